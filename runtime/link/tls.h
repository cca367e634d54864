/*
 * tls.h - TLS to the broker on a connected, non-blocking socket: OpenSSL, which verifies the certificate and the name in it.
 *
 * Happy path: tls_context_new() reads the certificate files, in a thread that may wait for a disk; tls_new() lays TLS over a socket; tls_shake() goes
 * on with the handshake until it returns 0; then tls_read() and tls_write(). tls_events() says what to wait for. Failure modes: a file that is no
 * certificate: TLS_E_SETTINGS with the reason; a certificate that is refused, a peer that speaks no TLS, a link that breaks: a negative errno, and
 * tls_reason() says why and what to do.
 *
 * Where a WebSocket follows, ALPN offers http/1.1 and nothing else (RFC 7301); else it is not used.
 *
 * TLS 1.2 or later. The name must be among the certificate's subjectAltNames (RFC 9525: no common name, no wildcard for a part of a label). There is
 * no way to switch verification off. One thread for a struct tls; a context may be used in another thread than the one that made it. Writes use
 * write(2): SIGPIPE must be ignored.
 */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct settings;
struct ssl_ctx_st;
struct ssl_st;
struct tls;

enum {
	TLS_REASON_SIZE = 320,
	TLS_FILE_SIZE_MAX = 4194304, /* of a file of certificates; Debian's authorities are 220 KB */
};
enum tls_error { TLS_E_SETTINGS = 1 };

/*
 * Reads BROKER_CA_FILE (or knows where the system's authorities are), BROKER_CERT_FILE and BROKER_KEY_FILE. 0 and *ret, given back by
 * tls_context_free(); TLS_E_SETTINGS with the reason in words; -ENOMEM. Any thread.
 */
__attribute__((warn_unused_result)) int tls_context_new(
	const struct settings *settings, struct ssl_ctx_st **ret, char reason[static TLS_REASON_SIZE]);

/* A struct tls that was made of it lives on. NULL is fine. */
void tls_context_free(struct ssl_ctx_st *context);

/* Whether tls_context_new() would succeed: to find a mistaken path at start. Its errors. */
__attribute__((warn_unused_result)) int tls_check(
	const struct settings *settings, char reason[static TLS_REASON_SIZE]);

/*
 * A client on the socket, which stays the caller's and is closed after tls_free(). The settings (BROKER_HOST, BROKER_PORT, BROKER_CA_FILE) outlive
 * it. 0 and *ret; -ENOMEM.
 */
__attribute__((warn_unused_result)) int tls_new(
	struct ssl_ctx_st *context, const struct settings *settings, int socket, struct tls **ret);

/* Sends nothing; NULL is fine. */
void tls_free(struct tls *tls);

/* Goes on with the handshake. 0: certificate and name are checked; -EAGAIN: wait for tls_events(); another negative errno: over. */
__attribute__((warn_unused_result)) int tls_shake(struct tls *tls);

/* What to wait for, as events of poll(): during the handshake what it waits for; later for what the caller wants to do. */
short tls_events(const struct tls *tls, bool read, bool write);

/* Up to `size` bytes, of one record at most. > 0; 0: the peer has closed; -EAGAIN; another negative errno: over. */
ssize_t tls_read(struct tls *tls, void *bytes, size_t size);

/*
 * Bytes taken, which may be less than `size`; -EAGAIN: the next call begins with the same bytes and has no fewer of them (they may have moved): a
 * record is on its way; another negative errno: over.
 */
ssize_t tls_write(struct tls *tls, const void *bytes, size_t size);

/* Whether tls_read() may return bytes that have been read from the socket already. */
bool tls_pending(const struct tls *tls);

/* Says close_notify, once, if it can be said at once. */
void tls_shutdown(struct tls *tls);

/* OpenSSL's own, for who wants to know more of certificates: before tls_shake() it may be given another verify callback and other application data; the
 * rest is left alone. Valid until tls_free(). */
struct ssl_st *tls_ssl(const struct tls *tls);

/* Why it is over, in words for the log. Valid until tls_free(). */
const char *tls_reason(const struct tls *tls);

#endif
