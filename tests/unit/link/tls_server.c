/* tls_server.c - see tls_server.h. */
#include "tls_server.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { BUFFER_SIZE = 65536, PATIENCE_S = 20, VALID_S = 3600 };

struct server {
	enum server_kind kind;
	int listener;
	unsigned port;
	SSL_CTX *context;
	pthread_t thread;
	const char *chosen; /* NULL: it has no opinion */
	char name[256], offered[256];
};

/* ---- Certificates ---- */

static EVP_PKEY *read_key(const char *path)
{
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	assert_non_null(key);
	return key;
}

static X509 *read_certificate(const char *path)
{
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	assert_non_null(certificate);
	return certificate;
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void write_files(
	const struct certificate *paths, X509 *certificate, EVP_PKEY *key, const char *password)
{
	FILE *file = fopen(paths->certificate_file, "we");
	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
	file = fopen(paths->key_file, "we");
	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, key, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
				 (void *)(uintptr_t)password),
		1);
	fclose(file);
}

struct certificate certificate_new(const char *folder, const char *name, const char *common_name,
	const char *san, const struct certificate *issuer, const char *password)
{
	static long serial = 0;
	struct certificate ret;
	snprintf(ret.certificate_file, sizeof(ret.certificate_file), "%s/%s.crt", folder, name);
	snprintf(ret.key_file, sizeof(ret.key_file), "%s/%s.key", folder, name);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	assert_non_null(key);
	assert_non_null(certificate);
	X509 *signer = issuer ? read_certificate(issuer->certificate_file) : NULL;
	EVP_PKEY *signer_key = issuer ? read_key(issuer->key_file) : NULL;
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -VALID_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S);
	X509_set_pubkey(certificate, key);
	X509_NAME *subject = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(certificate, signer ? X509_get_subject_name(signer) : subject);
	extend(certificate, signer ? signer : certificate, NID_basic_constraints,
		issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (san)
		extend(certificate, signer ? signer : certificate, NID_subject_alt_name, san);
	assert_true(X509_sign(certificate, signer_key ? signer_key : key, EVP_sha256()) > 0);
	write_files(&ret, certificate, key, password);
	X509_free(signer);
	EVP_PKEY_free(signer_key);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return ret;
}

/* ---- Connections ---- */

static void echo_plain(const struct server *server, int socket)
{
	static const char greeting[] = "220 mail.example ready\r\n";
	char *buffer = malloc(BUFFER_SIZE);
	ssize_t count = buffer ? 1 : -1;
	if (server->kind == SERVER_GREETS)
		count = send(socket, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL);
	while (count > 0) {
		count = recv(socket, buffer, BUFFER_SIZE, 0);
		if (server->kind == SERVER_CLOSES)
			break;
		if (count > 0 && server->kind == SERVER_ECHO)
			count = send(socket, buffer, (size_t)count, MSG_NOSIGNAL);
	}
	free(buffer);
}

/* Notes what is offered. */
static int on_protocols(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
	const unsigned char *offered, unsigned size, void *context)
{
	struct server *server = context;
	(void)ssl;
	server->offered[0] = '\0';
	for (unsigned i = 0, at = 0; i < size; i += 1U + offered[i])
		at += (unsigned)snprintf(server->offered + at, sizeof(server->offered) - at, "%s%.*s",
			at > 0 ? "," : "", offered[i], (const char *)offered + i + 1);
	if (!server->chosen)
		return SSL_TLSEXT_ERR_NOACK;
	*ret = (const unsigned char *)server->chosen;
	*ret_size = (unsigned char)strlen(server->chosen);
	return *ret_size > 0 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void echo_tls(struct server *server, int socket)
{
	char *buffer = malloc(BUFFER_SIZE);
	SSL *ssl = SSL_new(server->context);
	server->offered[0] = '\0';
	if (buffer && ssl && SSL_set_fd(ssl, socket) == 1 && SSL_accept(ssl) == 1) {
		const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		snprintf(server->name, sizeof(server->name), "%s", name ? name : "");
		int count;
		while ((count = SSL_read(ssl, buffer, BUFFER_SIZE)) > 0)
			if (SSL_write(ssl, buffer, count) != count)
				break;
		SSL_shutdown(ssl);
	}
	/* What the client sent after an alert is read, so that closing resets nothing. */
	shutdown(socket, SHUT_WR);
	while (buffer && recv(socket, buffer, BUFFER_SIZE, 0) > 0)
		;
	SSL_free(ssl);
	free(buffer);
}

static void *run(void *argument)
{
	struct server *server = argument;
	int socket;
	while ((socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		const struct timeval patience = {.tv_sec = PATIENCE_S};
		setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (server->context)
			echo_tls(server, socket);
		else
			echo_plain(server, socket);
		close(socket);
	}
	return NULL;
}

/* ---- Interface ---- */

static struct server *start(enum server_kind kind, const struct certificate *certificate,
	const struct certificate *authority, const char *chosen)
{
	struct server *server = calloc(1, sizeof(*server));
	assert_non_null(server);
	server->kind = kind;
	server->chosen = chosen;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server->listener, 16), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
	server->port = ntohs(address.sin_port);
	if (certificate) {
		server->context = SSL_CTX_new(TLS_server_method());
		assert_non_null(server->context);
		assert_int_equal(SSL_CTX_use_certificate_file(
					 server->context, certificate->certificate_file, SSL_FILETYPE_PEM),
			1);
		assert_int_equal(
			SSL_CTX_use_PrivateKey_file(server->context, certificate->key_file, SSL_FILETYPE_PEM),
			1);
		SSL_CTX_set_alpn_select_cb(server->context, on_protocols, server);
	}
	if (kind == SERVER_TLS_CLIENTS) {
		SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		assert_int_equal(SSL_CTX_load_verify_file(server->context, authority->certificate_file), 1);
	}
	assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
	return server;
}

struct server *server_start(
	enum server_kind kind, const struct certificate *certificate, const struct certificate *authority)
{
	return start(kind, certificate, authority, NULL);
}

struct server *server_start_choosing(const struct certificate *certificate, const char *protocol)
{
	return start(SERVER_TLS, certificate, NULL, protocol);
}

unsigned server_port(const struct server *server)
{
	return server->port;
}

static void stop(struct server *server)
{
	/* Wakes accept(). */
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	SSL_CTX_free(server->context);
}

void server_stop_name(struct server *server, char ret_name[static 256])
{
	stop(server);
	memcpy(ret_name, server->name, sizeof(server->name));
	free(server);
}

void server_stop_offered(struct server *server, char ret_offered[static 256])
{
	stop(server);
	memcpy(ret_offered, server->offered, sizeof(server->offered));
	free(server);
}

void server_stop(struct server *server)
{
	stop(server);
	free(server);
}
