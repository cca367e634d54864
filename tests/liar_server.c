/* liar_server.c - see liar_server.h. */
#include "liar_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATHS_MAX = 8, REQUEST_MAX = 8192, PATIENCE_S = 30, TRICKLE_MS = 20 };

struct said {
	char *path, *headers, *body;
	struct liar_answer answer;
};

struct liar_server {
	int listener;
	unsigned port;
	SSL_CTX *context;
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows */
	struct said said[PATHS_MAX];
	size_t said_count;
	unsigned requests;
};

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "liar_server: %s\n", what);
	abort();
}

/* ---- Answering ---- */

/* False: the other side is gone. */
static bool put(SSL *ssl, const char *text, size_t size)
{
	return size == 0 || SSL_write(ssl, text, (int)size) == (int)size;
}

__attribute__((format(printf, 2, 3))) static bool put_format(SSL *ssl, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	const int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	need(size >= 0 && size < (int)sizeof(text), "a text is too long");
	return put(ssl, text, (size_t)size);
}

static void wait_for_end(SSL *ssl)
{
	char byte;
	while (SSL_read(ssl, &byte, 1) > 0)
		;
}

static void trickle(SSL *ssl)
{
	(void)put_format(ssl, "HTTP/1.1 200 OK\r\nX-Slow: ");
	struct pollfd other = {.fd = SSL_get_fd(ssl), .events = POLLIN};
	/* Until something comes, which can only be its end. */
	while (poll(&other, 1, TRICKLE_MS) == 0 && put(ssl, "a", 1))
		;
}

static void answer(SSL *ssl, const struct said *said)
{
	static char much[16384];
	const struct liar_answer *answer = &said->answer;
	if (answer->manner == LIAR_CLOSES)
		return;
	if (answer->manner == LIAR_SILENT) {
		wait_for_end(ssl);
		return;
	}
	if (answer->manner == LIAR_TRICKLES) {
		trickle(ssl);
		return;
	}
	const size_t size = strlen(said->body);
	(void)put_format(
		ssl, "HTTP/1.1 %d Said so\r\nConnection: close\r\n%s", answer->status, said->headers);
	if (answer->manner == LIAR_ENDLESS) {
		memset(much, ' ', sizeof(much));
		(void)put_format(ssl, "\r\n");
		while (put(ssl, much, sizeof(much)))
			;
		return;
	}
	(void)put_format(ssl, "Content-Length: %zu\r\n\r\n", size);
	(void)put(ssl, said->body, answer->manner == LIAR_CUTS ? size / 2 : size);
	if (answer->manner == LIAR_ANSWERS)
		(void)SSL_shutdown(ssl);
}

/* The request's path; "" where it ends before its headers do. */
static void request_read(SSL *ssl, char ret_path[static REQUEST_MAX])
{
	char request[REQUEST_MAX] = "";
	size_t size = 0;
	ret_path[0] = '\0';
	while (!strstr(request, "\r\n\r\n")) {
		const int count = SSL_read(ssl, request + size, (int)(sizeof(request) - 1 - size));
		if (count <= 0)
			return;
		size += (size_t)count;
		request[size] = '\0';
	}
	if (strncmp(request, "GET ", 4) == 0)
		(void)snprintf(ret_path, REQUEST_MAX, "%.*s", (int)strcspn(request + 4, " "), request + 4);
}

static char *copy(const char *text)
{
	char *copied = strdup(text ? text : "");
	need(copied, "no memory");
	return copied;
}

/* A copy of what was said of the path, so that it is served without the lock. */
static struct said look_up(struct liar_server *server, const char *path)
{
	struct said found = {.answer = {.status = 404}};
	pthread_mutex_lock(&server->lock);
	server->requests++;
	for (size_t i = 0; i < server->said_count; i++) {
		const struct said *said = &server->said[i];
		if (strcmp(said->path, path) != 0)
			continue;
		found.answer = said->answer;
		found.headers = copy(said->headers);
		found.body = copy(said->body);
	}
	pthread_mutex_unlock(&server->lock);
	found.headers = found.headers ? found.headers : copy(NULL);
	found.body = found.body ? found.body : copy(NULL);
	return found;
}

static void serve(struct liar_server *server, int fd)
{
	char path[REQUEST_MAX];
	(void)setsockopt(
		fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = PATIENCE_S}, sizeof(struct timeval));
	SSL *ssl = SSL_new(server->context);
	need(ssl && SSL_set_fd(ssl, fd) == 1, "no TLS for a connection");
	if (SSL_accept(ssl) == 1) {
		request_read(ssl, path);
		if (path[0] != '\0') {
			struct said said = look_up(server, path);
			answer(ssl, &said);
			free(said.headers);
			free(said.body);
		}
	}
	SSL_free(ssl);
	close(fd);
}

static void *run(void *context)
{
	struct liar_server *server = context;
	for (;;) {
		const int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && errno == EINTR)
			continue;
		if (fd < 0)
			return NULL;
		serve(server, fd);
	}
}

/* ---- Life ---- */

struct liar_server *liar_server_start(const char *certificate, const char *key)
{
	struct liar_server *server = calloc(1, sizeof(*server));
	need(server, "no memory");
	signal(SIGPIPE, SIG_IGN);
	server->context = SSL_CTX_new(TLS_server_method());
	need(server->context && SSL_CTX_use_certificate_chain_file(server->context, certificate) == 1 &&
			SSL_CTX_use_PrivateKey_file(server->context, key, SSL_FILETYPE_PEM) == 1,
		"certificate or key cannot be used");
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(server->listener >= 0 && bind(server->listener, (struct sockaddr *)&address, size) == 0 &&
			listen(server->listener, 16) == 0 &&
			getsockname(server->listener, (struct sockaddr *)&address, &size) == 0,
		"no port");
	server->port = ntohs(address.sin_port);
	pthread_mutex_init(&server->lock, NULL);
	need(pthread_create(&server->thread, NULL, run, server) == 0, "no thread");
	return server;
}

unsigned liar_server_port(const struct liar_server *server)
{
	return server->port;
}

void liar_server_say(struct liar_server *server, const char *path, const struct liar_answer *answer)
{
	pthread_mutex_lock(&server->lock);
	size_t i = 0;
	while (i < server->said_count && strcmp(server->said[i].path, path) != 0)
		i++;
	need(i < PATHS_MAX, "too many paths");
	struct said *said = &server->said[i];
	if (i == server->said_count) {
		server->said_count++;
		said->path = copy(path);
	}
	free(said->headers);
	free(said->body);
	said->headers = copy(answer->headers);
	said->body = copy(answer->body);
	said->answer = *answer;
	said->answer.status = answer->status != 0 ? answer->status : 200;
	pthread_mutex_unlock(&server->lock);
}

unsigned liar_server_requests(struct liar_server *server)
{
	pthread_mutex_lock(&server->lock);
	const unsigned requests = server->requests;
	pthread_mutex_unlock(&server->lock);
	return requests;
}

void liar_server_stop(struct liar_server *server)
{
	/* Ends accept(). */
	(void)shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	for (size_t i = 0; i < server->said_count; i++) {
		free(server->said[i].path);
		free(server->said[i].headers);
		free(server->said[i].body);
	}
	pthread_mutex_destroy(&server->lock);
	SSL_CTX_free(server->context);
	free(server);
}
