/*
 * tls.h - TLS to the broker: one OpenSSL context for all connections, which verifies certificate and
 * host name.
 *
 * libmosquitto takes the context as it is (MOSQ_OPT_SSL_CTX). There is no way to switch verification off.
 */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>

struct settings;
struct host_tls;
struct ssl_ctx_st;
struct ssl_st;

enum { TLS_REASON_SIZE = 256 };
enum tls_error { TLS_E_SETTINGS = 1 };

/* 0 and *ret; TLS_E_SETTINGS with the reason in words (a file that is no certificate ...); -ENOMEM. */
__attribute__((warn_unused_result)) int tls_new(
	const struct settings *settings, struct host_tls **ret, char reason[static TLS_REASON_SIZE]);
void tls_free(struct host_tls *tls);

/* Borrowed; libmosquitto takes a reference of its own. */
struct ssl_ctx_st *tls_context(const struct host_tls *tls);

/*
 * Lets what is written to a connection whose handshake is through collect, until tls_flush(): libmosquitto
 * writes each packet as a TLS record of its own, and each would be a system call. Nothing happens when out of
 * memory.
 */
void tls_collect_writes(struct ssl_st *ssl);

/* Sends what has been collected, as far as the socket takes it. */
void tls_flush(struct ssl_st *ssl);

/* Whether something collected has not been taken by the socket yet. */
bool tls_unsent(const struct ssl_st *ssl);

/* Why the last handshake failed and what to do, in words: the certificate's fault if it was one, else what
 * else it may be. */
void tls_explain(struct host_tls *tls, const struct settings *settings, char reason[static TLS_REASON_SIZE]);

#endif
