/*
 * tls_server.h - a real server on 127.0.0.1 that echoes, over TLS or plain TCP, and certificates for it.
 *
 * Certificates are made with OpenSSL in a folder of the test's own. The server is a thread that takes one connection after the other until
 * server_stop(). What the test could not do without fails it.
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <stdbool.h>

struct server;

enum server_kind {
	SERVER_ECHO,	    /* without TLS */
	SERVER_GREETS,	    /* writes a line of text at once, and closes when the client does */
	SERVER_CLOSES,	    /* closes as soon as something has come */
	SERVER_TLS,	    /* echoes */
	SERVER_TLS_CLIENTS, /* echoes to those who show a certificate of the authority's */
};

struct certificate {
	char certificate_file[96];
	char key_file[96];
};

/*
 * Makes a key and a certificate in `folder` as NAME.crt and NAME.key. common_name: of the subject; san: its subjectAltName ("DNS:localhost"), or
 * NULL; issuer: the authority that signs it, or NULL: it signs itself; password: of the key, or NULL.
 */
struct certificate certificate_new(const char *folder, const char *name, const char *common_name,
	const char *san, const struct certificate *issuer, const char *password);

/* certificate: NULL without TLS. authority: of SERVER_TLS_CLIENTS. */
struct server *server_start(
	enum server_kind kind, const struct certificate *certificate, const struct certificate *authority);
/* SERVER_TLS, which by ALPN chooses that protocol whatever it is offered; "": none, and ends the handshake. Others choose none, and go on. */
struct server *server_start_choosing(const struct certificate *certificate, const char *protocol);
unsigned server_port(const struct server *server);
/* Also frees. Connections are over by then: the clients have closed. */
void server_stop(struct server *server);
/* As server_stop(); whether the last client named a host (SNI), and which. */
void server_stop_name(struct server *server, char ret_name[static 256]);

/* As server_stop(); what the last client offered by ALPN, "http/1.1,h2"; "": nothing. */
void server_stop_offered(struct server *server, char ret_offered[static 256]);

#endif
