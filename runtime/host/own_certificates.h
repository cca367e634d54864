/*
 * own_certificates.h - the certificates that this host shows to the broker (BROKER_CERT_FILE) and to the database (tlsCertificateKeyFile in
 * MONGO_DB_URL): the log says so when one has ended, or is about to.
 *
 * Happy path: own_certificates_look() now and then; the files are read once a minute, and what is to be told is told once a day. One that has been
 * renewed is told of, too. Failure modes: a file that cannot be read is told by whoever connects with it. One thread, which may wait for a disk.
 */
#ifndef OWN_CERTIFICATES_H
#define OWN_CERTIFICATES_H

#include <stdint.h>

enum {
	OWN_CERTIFICATES_EVERY_MS = 60000,
	OWN_CERTIFICATES_AGAIN_MS = 24 * 3600 * 1000,
	OWN_CERTIFICATES = 2
};

/* All zero but for the names: as at the start. A path that is NULL or "" is none. */
struct own_certificates {
	struct own_certificate {
		const char *setting, *path;
		int64_t told_ends_s; /* the end that the log was told of; 0: none */
		int told;	     /* enum certificate_state: what it was told */
		int64_t again_at_ms;
	} of[OWN_CERTIFICATES];
	int64_t look_at_ms;
};

/* now_ms: monotonic; now_s: Unix time. */
void own_certificates_look(struct own_certificates *own, int64_t now_ms, int64_t now_s);

#endif
