/*
 * loggly_probe.h - asks once whether Loggly can be reached, and if told so whether it takes an event.
 *
 * Happy path: one request over a connection of its own, with the checks that shipping does: TLS, name,
 * authorities, proxy. Failure modes are in the answer. One thread at a time, and not beside a struct loggly.
 */
#ifndef LOGGLY_PROBE_H
#define LOGGLY_PROBE_H

#include "loggly_http.h"

struct loggly_probe {
	const char *url, *token, *tags;
	const char *ca_file; /* NULL or "": the system's certificate authorities */
	unsigned timeout_ms;
	const char *message; /* of the event that is sent; NULL: none is, and the token is not shown */
};

/* 0 and *ret, with status 0 where it was not reached; or a negative errno. */
__attribute__((warn_unused_result)) int loggly_probe(
	const struct loggly_probe *probe, struct loggly_answer *ret);

#endif
