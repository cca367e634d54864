/*
 * provider_fetch.h - one answer of an identity provider, over HTTPS that is verified.
 *
 * Happy path: provider_fetch(), 200 and a body. libcurl does it: certificate and host name are always verified, TLS 1.2 or later, no redirect is
 * followed. A proxy that https_proxy names is asked. Failure modes: no such answer within the time, one that is larger than PROVIDER_BODY_MAX, no memory.
 */
#ifndef PROVIDER_FETCH_H
#define PROVIDER_FETCH_H

#include "provider.h"

#include <stddef.h>

/*
 * Asks for `address`. 0 with *ret_body, which has a NUL behind its *ret_size bytes and is free()d by the caller; PROVIDER_E_AWAY, PROVIDER_E_ANSWER (a
 * redirect, or too large), both with the reason; -ENOMEM. One thread, which waits for source->timeout_ms at most.
 */
__attribute__((warn_unused_result)) int provider_fetch(const struct provider_source *source,
	const char *address, char **ret_body, size_t *ret_size, char reason[static PROVIDER_REASON_SIZE]);

#endif
