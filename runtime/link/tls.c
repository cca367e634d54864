/*
 * tls.c - see host_tls.h. TLS 1.2 or later; the host name (or IP address) in the certificate must be
 * BROKER_HOST.
 */
#include "tls.h"

#include "settings.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_BUFFER_SIZE = 16384 };

struct host_tls {
	SSL_CTX *context;
	int verify_error; /* of the handshake that failed last; X509_V_OK: its certificate was not the reason */
};

static const char *openssl_reason(void)
{
	const unsigned long error = ERR_peek_last_error();
	const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;
	return reason != NULL ? reason : "no reason given";
}

/* Keeps the reason: a handshake that fails at once leaves no SSL object to ask. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct host_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	if (!ok)
		tls->verify_error = X509_STORE_CTX_get_error(store);
	return ok;
}

static bool is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static int load_certificates(
	SSL_CTX *context, const struct settings *settings, char reason[static TLS_REASON_SIZE])
{
	if (settings->broker_ca_file[0] == '\0') {
		if (SSL_CTX_set_default_verify_paths(context) != 1) {
			snprintf(reason, TLS_REASON_SIZE,
				"the system's certificate authorities cannot be read: %s; name one with "
				"BROKER_CA_FILE",
				openssl_reason());
			return TLS_E_SETTINGS;
		}
	} else if (SSL_CTX_load_verify_file(context, settings->broker_ca_file) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
			"BROKER_CA_FILE=%s: expected certificates in PEM format: %s",
			settings->broker_ca_file, openssl_reason());
		return TLS_E_SETTINGS;
	}
	if (settings->broker_cert_file[0] == '\0')
		return 0;
	if (SSL_CTX_use_certificate_chain_file(context, settings->broker_cert_file) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
			"BROKER_CERT_FILE=%s: expected a certificate in PEM format: %s",
			settings->broker_cert_file, openssl_reason());
		return TLS_E_SETTINGS;
	}
	if (SSL_CTX_use_PrivateKey_file(context, settings->broker_key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(context) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
			"BROKER_KEY_FILE=%s: expected the private key of BROKER_CERT_FILE in PEM format: %s",
			settings->broker_key_file, openssl_reason());
		return TLS_E_SETTINGS;
	}
	return 0;
}

int tls_new(const struct settings *settings, struct host_tls **ret, char reason[static TLS_REASON_SIZE])
{
	struct host_tls *tls = calloc(1, sizeof(*tls));
	if (tls == NULL)
		return -ENOMEM;
	ERR_clear_error();
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL) {
		free(tls);
		return -ENOMEM;
	}
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_options(tls->context, SSL_OP_NO_COMPRESSION);
	/* One system call reads what is there, not two for each record: see connection_read(). */
	SSL_CTX_set_read_ahead(tls->context, 1);
	SSL_CTX_set_app_data(tls->context, tls);
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, on_verify);
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->context);
	const int host_set = is_address(settings->broker_host)
				     ? X509_VERIFY_PARAM_set1_ip_asc(param, settings->broker_host)
				     : X509_VERIFY_PARAM_set1_host(param, settings->broker_host, 0);
	int rc = host_set == 1 ? 0 : -ENOMEM;
	if (rc == 0)
		rc = load_certificates(tls->context, settings, reason);
	if (rc != 0) {
		tls_free(tls);
		return rc;
	}
	*ret = tls;
	return 0;
}

void tls_free(struct host_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

struct ssl_ctx_st *tls_context(const struct host_tls *tls)
{
	return tls->context;
}

void tls_collect_writes(struct ssl_st *ssl)
{
	BIO *socket_bio = SSL_get_wbio(ssl), *buffer = BIO_new(BIO_f_buffer());
	if (buffer == NULL || BIO_set_write_buffer_size(buffer, WRITE_BUFFER_SIZE) != 1 ||
		BIO_up_ref(socket_bio) != 1) {
		BIO_free(buffer);
		return;
	}
	BIO_push(buffer, socket_bio);
	SSL_set0_wbio(ssl, buffer);
}

void tls_flush(struct ssl_st *ssl)
{
	/* What fails for good is found by the next read. */
	(void)BIO_flush(SSL_get_wbio(ssl));
	ERR_clear_error();
}

bool tls_unsent(const struct ssl_st *ssl)
{
	return BIO_wpending(SSL_get_wbio(ssl)) > 0;
}

void tls_explain(struct host_tls *tls, const struct settings *settings, char reason[static TLS_REASON_SIZE])
{
	const long verified = tls->verify_error;
	tls->verify_error = X509_V_OK;
	if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH)
		snprintf(reason, TLS_REASON_SIZE,
			"the broker's certificate is not for %s: set BROKER_HOST to a name that is in it",
			settings->broker_host);
	else if (verified != X509_V_OK)
		snprintf(reason, TLS_REASON_SIZE,
			"the broker's certificate is refused: %s (checked against %s)",
			X509_verify_cert_error_string(verified),
			settings->broker_ca_file[0] != '\0' ? settings->broker_ca_file
							    : "the system's certificate authorities");
	else
		snprintf(reason, TLS_REASON_SIZE,
			"the TLS handshake failed; does the broker speak TLS 1.2 or later on port %u? If it "
			"speaks plain MQTT "
			"there, use its TLS port or set BROKER_TLS=off",
			settings->broker_port);
}
