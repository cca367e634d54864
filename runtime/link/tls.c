/* tls.c - see tls.h; its certificate files are tls_context.c's. */
#include "tls.h"

#include "certificate.h"
#include "settings.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	HOST_SIZE = 256,
	ALERT_REASON_MIN = SSL_AD_REASON_OFFSET, /* OpenSSL's reasons from here on are alerts of the peer */
	/* RFC 8446, section 6.2 */
	ALERT_BAD_CERTIFICATE = ALERT_REASON_MIN + 42,
	ALERT_CERTIFICATE_UNKNOWN = ALERT_REASON_MIN + 46,
	ALERT_UNKNOWN_CA = ALERT_REASON_MIN + 48,
	ALERT_CERTIFICATE_REQUIRED = ALERT_REASON_MIN + 116,
	ALERT_NO_PROTOCOL = ALERT_REASON_MIN + 120, /* RFC 7301, section 3.2 */
};

struct tls {
	SSL *ssl;
	const struct settings *settings;
	int verify_error;  /* X509_V_OK: the certificate was not the reason */
	short shake_wants; /* events of poll() */
	bool shaken;
	bool broken; /* OpenSSL must not be asked for anything any more */
	bool read_wants_write, write_wants_read;
	bool drained; /* what OpenSSL has read is no whole record: only the socket can bring more */
	char reason[TLS_REASON_SIZE];
};

/* ---- Reasons ---- */

static int on_verify(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);
	if (!ok)
		tls->verify_error = X509_STORE_CTX_get_error(store);
	return ok;
}

/* What OpenSSL says when it is answered something that is no TLS record. */
static bool is_plain_text(int reason)
{
	return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
	       reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST ||
	       reason == SSL_R_RECORD_LENGTH_MISMATCH || reason == SSL_R_DATA_LENGTH_TOO_LONG ||
	       reason == SSL_R_ENCRYPTED_LENGTH_TOO_LONG;
}

static void explain_certificate(struct tls *tls)
{
	const struct settings *settings = tls->settings;
	if (tls->verify_error == X509_V_ERR_HOSTNAME_MISMATCH ||
		tls->verify_error == X509_V_ERR_IP_ADDRESS_MISMATCH)
		snprintf(tls->reason, sizeof(tls->reason),
			"the broker's certificate is not for %s: set BROKER_HOST to a name that is in it",
			settings->broker_host);
	else
		snprintf(tls->reason, sizeof(tls->reason),
			"the broker's certificate is refused: %s (checked against %s)",
			X509_verify_cert_error_string(tls->verify_error),
			settings->broker_ca_file[0] != '\0' ? settings->broker_ca_file
							    : "the system's certificate authorities");
}

/* The alerts that are about what this host has shown. */
static bool is_about_ours(int reason)
{
	return (reason >= ALERT_BAD_CERTIFICATE && reason <= ALERT_CERTIFICATE_UNKNOWN) ||
	       reason == ALERT_UNKNOWN_CA;
}

static void explain_refusal(struct tls *tls, const char *words)
{
	char end[CERTIFICATE_WORDS_SIZE];
	const int64_t ends_s = certificate_end_of(SSL_get_certificate(tls->ssl));
	const bool ended = certificate_tell(ends_s, time(NULL), end) == CERTIFICATE_ENDED;
	snprintf(tls->reason, sizeof(tls->reason),
		"the broker does not take this host's certificate, BROKER_CERT_FILE=%.120s%s%s: %s",
		tls->settings->broker_cert_file, ended ? ", which " : "", ended ? end : "", words);
}

/* A server need not choose a protocol; OpenSSL takes one that was not offered for a bad extension. */
static bool is_about_protocol(const struct tls *tls, int reason)
{
	return tls->settings->broker_transport != BROKER_TRANSPORT_TCP &&
	       (reason == ALERT_NO_PROTOCOL || reason == SSL_R_BAD_EXTENSION);
}

static void explain(struct tls *tls, int os_error)
{
	const unsigned port = tls->settings->broker_port;
	const unsigned long error = ERR_peek_error();
	const int number = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
	const char *words = error != 0 && !ERR_SYSTEM_ERROR(error) ? ERR_reason_error_string(error) : NULL;
	if (!words)
		words = os_error != 0 ? strerror(os_error) : "the broker closed the connection";
	if (tls->verify_error != X509_V_OK)
		explain_certificate(tls);
	else if (number == ALERT_CERTIFICATE_REQUIRED)
		snprintf(tls->reason, sizeof(tls->reason),
			"the broker wants a certificate of its clients: set BROKER_CERT_FILE and BROKER_KEY_FILE");
	else if (is_about_protocol(tls, number))
		snprintf(tls->reason, sizeof(tls->reason),
			"what answers on port %u does not choose http/1.1, all that it was offered (ALPN: %s), and a WebSocket begins with that: set BROKER_PORT to "
			"the port of the broker's WebSockets",
			port, words);
	else if (is_about_ours(number) && SSL_get_certificate(tls->ssl))
		explain_refusal(tls, words);
	else if (number >= ALERT_REASON_MIN)
		snprintf(tls->reason, sizeof(tls->reason), "the broker ended TLS: %s", words);
	else if (tls->shaken)
		snprintf(tls->reason, sizeof(tls->reason), "%s", words);
	else if (is_plain_text(number))
		snprintf(tls->reason, sizeof(tls->reason),
			"the TLS handshake failed: what answers on port %u does not speak TLS; if it speaks plain MQTT there, use its TLS port or set "
			"BROKER_TLS=off",
			port);
	else
		snprintf(tls->reason, sizeof(tls->reason),
			"the TLS handshake failed (%s); does the broker speak TLS 1.2 or later on port %u? If it speaks plain MQTT there, use its TLS "
			"port or set BROKER_TLS=off",
			words, port);
}

/* ---- Opening ---- */

static int set_name(SSL *ssl, const char *name)
{
	char host[HOST_SIZE];
	snprintf(host, sizeof(host), "%s", name);
	/* A name may end in the root's dot; certificates and SNI have none (RFC 6066, section 3). */
	const size_t size = strlen(host);
	if (size > 1 && host[size - 1] == '.')
		host[size - 1] = '\0';
	unsigned char address[sizeof(struct in6_addr)];
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, host);
	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return X509_VERIFY_PARAM_set1_host(param, host, 0) && SSL_set_tlsext_host_name(ssl, host);
}

/* What stands before a broker may offer HTTP/2 on the same port, over which there is no upgrade. */
static bool set_protocol(SSL *ssl, const struct settings *settings)
{
	static const unsigned char http[] = "\x08http/1.1";
	return settings->broker_transport == BROKER_TRANSPORT_TCP ||
	       SSL_set_alpn_protos(ssl, http, sizeof(http) - 1) == 0;
}

int tls_new(struct ssl_ctx_st *context, const struct settings *settings, int socket, struct tls **ret)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	tls->settings = settings;
	tls->shake_wants = POLLOUT;
	tls->ssl = SSL_new(context);
	if (!tls->ssl || !SSL_set_app_data(tls->ssl, tls) || !SSL_set_fd(tls->ssl, socket) ||
		!set_name(tls->ssl, settings->broker_host) || !set_protocol(tls->ssl, settings)) {
		tls_free(tls);
		ERR_clear_error();
		return -ENOMEM;
	}
	SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, on_verify);
	SSL_set_connect_state(tls->ssl);
	*ret = tls;
	return 0;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

/* ---- Going on ---- */

/* What an operation that returned `result` has come to: 0 the peer has closed, -EAGAIN with *ret_wants, or over. */
static int outcome(struct tls *tls, int result, int os_error, short *ret_wants)
{
	const int error = SSL_get_error(tls->ssl, result);
	*ret_wants = 0;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		*ret_wants = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
		return -EAGAIN;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	const bool system = error == SSL_ERROR_SYSCALL && os_error != 0 && os_error != EAGAIN;
	tls->broken = true;
	explain(tls, system ? os_error : 0);
	return system ? -os_error : -EPROTO;
}

/* What others have left in the thread's queue would be taken for our own. To clear one that is empty, as it nearly always is, frees an entry at a time,
 * and takes a twentieth of what a command costs this thread. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	errno = 0;
}

int tls_shake(struct tls *tls)
{
	forget_errors();
	const int result = SSL_do_handshake(tls->ssl);
	if (result == 1) {
		tls->shaken = true;
		return 0;
	}
	const int error = outcome(tls, result, errno, &tls->shake_wants);
	if (error == 0)
		explain(tls, 0);
	return error == 0 ? -EPROTO : error;
}

short tls_events(const struct tls *tls, bool read, bool write)
{
	if (!tls->shaken)
		return tls->shake_wants;
	short events = 0;
	if (read)
		events |= tls->read_wants_write ? POLLOUT : POLLIN;
	if (write)
		events |= tls->write_wants_read ? POLLIN : POLLOUT;
	return events;
}

ssize_t tls_read(struct tls *tls, void *bytes, size_t size)
{
	size_t count = 0;
	short wants = 0;
	forget_errors();
	const int result = SSL_read_ex(tls->ssl, bytes, size, &count);
	const int os_error = errno;
	tls->read_wants_write = false;
	tls->drained = false;
	if (result == 1)
		return (ssize_t)count;
	const int error = outcome(tls, result, os_error, &wants);
	tls->read_wants_write = wants == POLLOUT;
	tls->drained = true;
	return error;
}

ssize_t tls_write(struct tls *tls, const void *bytes, size_t size)
{
	if (size == 0)
		return 0;
	size_t count = 0;
	short wants = 0;
	forget_errors();
	const int result = SSL_write_ex(tls->ssl, bytes, size, &count);
	const int os_error = errno;
	tls->write_wants_read = false;
	if (result == 1)
		return (ssize_t)count;
	const int error = outcome(tls, result, os_error, &wants);
	tls->write_wants_read = wants == POLLIN;
	if (error != 0)
		return error;
	snprintf(tls->reason, sizeof(tls->reason), "the broker has closed the connection");
	return -EPIPE;
}

bool tls_pending(const struct tls *tls)
{
	return !tls->drained && SSL_has_pending(tls->ssl);
}

void tls_shutdown(struct tls *tls)
{
	if (!tls->shaken || tls->broken || (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

struct ssl_st *tls_ssl(const struct tls *tls)
{
	return tls->ssl;
}

const char *tls_reason(const struct tls *tls)
{
	return tls->reason;
}
