/*
 * tls_context.c - the certificate files of tls.h: what is read anew for each connection, so that a renewed certificate needs no restart.
 *
 * Files are read whole and parsed from memory: OpenSSL's own functions would wait for ever at a FIFO, and ask for a key's password at the terminal.
 */
#include "tls.h"

#include "settings.h"
#include "small_file.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>

static const char *openssl_reason(void)
{
	const unsigned long error = ERR_peek_last_error();
	const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;
	return reason ? reason : "no reason given";
}

/* A key that needs a password cannot be used: there is nobody to ask. */
static int no_password(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

/* ---- What a file's bytes are used for: 1 as OpenSSL has it ---- */

/* Certificates and revocation lists, as SSL_CTX_load_verify_file() takes them; at least one certificate. */
static int use_authorities(SSL_CTX *context, BIO *bytes)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	STACK_OF(X509_INFO) *entries = PEM_X509_INFO_read_bio(bytes, NULL, no_password, NULL);
	int ok = entries != NULL, certificates = 0;
	for (int i = 0; ok && i < sk_X509_INFO_num(entries); i++) {
		const X509_INFO *entry = sk_X509_INFO_value(entries, i);
		if (entry->x509) {
			ok = X509_STORE_add_cert(store, entry->x509);
			certificates++;
		}
		if (ok && entry->crl)
			ok = X509_STORE_add_crl(store, entry->crl);
	}
	sk_X509_INFO_pop_free(entries, X509_INFO_free);
	if (ok && certificates == 0) {
		ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
		ok = 0;
	}
	return ok;
}

/* The client's certificate first, then those between it and the authority. */
static int use_chain(SSL_CTX *context, BIO *bytes)
{
	X509 *certificate = PEM_read_bio_X509_AUX(bytes, NULL, no_password, NULL);
	int ok = certificate && SSL_CTX_use_certificate(context, certificate);
	X509_free(certificate);
	while (ok) {
		X509 *link = PEM_read_bio_X509(bytes, NULL, no_password, NULL);
		if (!link)
			break;
		ok = SSL_CTX_add0_chain_cert(context, link);
		if (!ok)
			X509_free(link);
	}
	/* The end of the file is no error, anything else is one. */
	return ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static int use_key(SSL_CTX *context, BIO *bytes)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bytes, NULL, no_password, NULL);
	const int ok = key && SSL_CTX_use_PrivateKey(context, key) && SSL_CTX_check_private_key(context);
	EVP_PKEY_free(key);
	return ok;
}

/* ---- Files ---- */

struct use {
	const char *setting, *path, *expected;
	int (*use)(SSL_CTX *context, BIO *bytes);
};

static int load(SSL_CTX *context, const struct use *use, char reason[static TLS_REASON_SIZE])
{
	char *bytes = NULL;
	size_t size = 0;
	const int rc = small_file_read(use->path, TLS_FILE_SIZE_MAX, &bytes, &size);
	if (rc == -ENOMEM)
		return rc;
	if (rc != 0) {
		snprintf(reason, TLS_REASON_SIZE, "%s=%.120s: expected %s in PEM format: %s", use->setting,
			use->path, use->expected, small_file_explain(rc));
		return TLS_E_SETTINGS;
	}
	BIO *bio = BIO_new_mem_buf(bytes, (int)size);
	ERR_clear_error();
	const int ok = bio ? use->use(context, bio) : 0;
	if (ok != 1)
		snprintf(reason, TLS_REASON_SIZE, "%s=%.120s: expected %s in PEM format: %s", use->setting,
			use->path, use->expected, openssl_reason());
	ERR_clear_error();
	BIO_free(bio);
	small_file_free(bytes, size);
	return ok == 1 ? 0 : TLS_E_SETTINGS;
}

static int load_files(SSL_CTX *context, const struct settings *settings, char reason[static TLS_REASON_SIZE])
{
	const struct use authorities = {
		"BROKER_CA_FILE", settings->broker_ca_file, "certificates", use_authorities};
	const struct use chain = {"BROKER_CERT_FILE", settings->broker_cert_file, "a certificate", use_chain};
	const struct use key = {
		"BROKER_KEY_FILE", settings->broker_key_file, "the private key of BROKER_CERT_FILE", use_key};
	int rc = 0;
	if (settings->broker_ca_file[0] != '\0')
		rc = load(context, &authorities, reason);
	else if (SSL_CTX_set_default_verify_paths(context) != 1) {
		snprintf(reason, TLS_REASON_SIZE,
			"the system's certificate authorities cannot be read: %s; name one with BROKER_CA_FILE",
			openssl_reason());
		rc = TLS_E_SETTINGS;
	}
	if (rc != 0 || settings->broker_cert_file[0] == '\0')
		return rc;
	rc = load(context, &chain, reason);
	return rc == 0 ? load(context, &key, reason) : rc;
}

/* ---- Interface ---- */

int tls_context_new(
	const struct settings *settings, struct ssl_ctx_st **ret, char reason[static TLS_REASON_SIZE])
{
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	/* Packets carry their own length, so that a peer that closes without close_notify takes nothing away unseen. */
	SSL_CTX_set_options(
		context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One system call reads what is there, not two for each record. */
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	const int rc = load_files(context, settings, reason);
	if (rc != 0) {
		SSL_CTX_free(context);
		return rc;
	}
	*ret = context;
	return 0;
}

void tls_context_free(struct ssl_ctx_st *context)
{
	SSL_CTX_free(context);
}

int tls_check(const struct settings *settings, char reason[static TLS_REASON_SIZE])
{
	struct ssl_ctx_st *context = NULL;
	const int rc = tls_context_new(settings, &context, reason);
	if (rc == 0)
		tls_context_free(context);
	return rc;
}
