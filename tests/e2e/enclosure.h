/*
 * enclosure.h - a host in a mount namespace of its own, in which some of the machine's files are others, or nothing can be written to.
 *
 * It takes the rights to mount (root, or a machine that lets anybody make user namespaces): enclosure_allowed() first, and a case that cannot
 * be run says so. The program under test keeps its process id, and ends with the test as always.
 */
#ifndef ENCLOSURE_H
#define ENCLOSURE_H

#include "harness.h"

/* Whether it can be done on this machine. */
bool enclosure_allowed(void);

/* The host sees these as /etc/hosts and /etc/resolv.conf. What is written to them later counts from then on. */
struct enclosure_names {
	const char *hosts, *resolver; /* paths, in the case's folder */
};
struct enclosure_names enclosure_names(
	struct harness *h, struct host *host, const char *hosts, const char *resolver);

/* Everything is read-only to the host, its working directory and the folders for temporary files too. */
void enclosure_read_only(struct harness *h, struct host *host, const char *program);

#endif
