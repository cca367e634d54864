/* bulk_server.c - see bulk_server.h. */
#include "bulk_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, BODY_MAX = 5 * 1000 * 1000, ANSWERS_MAX = 64, ACCEPT_BACKLOG = 64 };

struct connection {
	struct bulk_server *server;
	struct connection *next;
	pthread_t thread;
	int fd;
	SSL *tls;
	bool ended; /* the thread needs joining only */
	char head[HEAD_MAX + 1];
	size_t head_size, head_used; /* read, and belonging to the request that is being served */
};

struct bulk_server {
	struct bulk_server_options options;
	SSL_CTX *tls;
	int listener, stop; /* stop: an eventfd, readable when the server is to stop */
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock, take_lock;
	pthread_cond_t came;
	struct connection *connections;
	struct bulk_answer answers[ANSWERS_MAX];
	size_t answer_count;
	struct bulk_counts counts;
};

/* ---- A request ---- */

static bool write_all(struct connection *c, const char *bytes, size_t size)
{
	return size == 0 || SSL_write(c->tls, bytes, (int)size) == (int)size;
}

/* Reads as far as the empty line; NULL: the connection is at its end. */
static char *read_head(struct connection *c)
{
	memmove(c->head, c->head + c->head_used, c->head_size - c->head_used);
	c->head_size -= c->head_used;
	c->head_used = 0;
	for (;;) {
		c->head[c->head_size] = '\0';
		char *end = strstr(c->head, "\r\n\r\n");
		if (end) {
			*end = '\0';
			c->head_used = (size_t)(end + 4 - c->head);
			return c->head;
		}
		const int got = SSL_read(c->tls, c->head + c->head_size, (int)(HEAD_MAX - c->head_size));
		if (c->head_size == HEAD_MAX || got <= 0)
			return NULL;
		c->head_size += (size_t)got;
	}
}

static bool read_body(struct connection *c, char *body, size_t size)
{
	const size_t there = c->head_size - c->head_used, first = there < size ? there : size;
	memcpy(body, c->head + c->head_used, first);
	c->head_used += first;
	for (size_t at = first; at < size;) {
		const int got = SSL_read(c->tls, body + at, (int)(size - at));
		if (got <= 0)
			return false;
		at += (size_t)got;
	}
	return true;
}

static size_t find_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");
	return at ? strtoull(at + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* What this request gets; counts it. */
static struct bulk_answer begin_request(struct bulk_server *server, const char *head)
{
	struct bulk_answer answer = {.status = 200};
	const char *path = strchr(head, ' ');
	const size_t size = path ? strcspn(path + 1, " \r\n") : 0;
	pthread_mutex_lock(&server->lock);
	if (server->answer_count > 0) {
		answer = server->answers[0];
		if (server->answers[0].times <= 1)
			memmove(server->answers, server->answers + 1,
				--server->answer_count * sizeof(server->answers[0]));
		else
			server->answers[0].times--;
	}
	if (answer.status == 0)
		answer.status = 200;
	snprintf(server->counts.path, sizeof(server->counts.path), "%.*s", (int)size, path ? path + 1 : "");
	server->counts.requests++;
	pthread_cond_broadcast(&server->came);
	pthread_mutex_unlock(&server->lock);
	return answer;
}

static uint64_t count_lines(const char *lines, size_t size)
{
	uint64_t count = 0;
	for (size_t i = 0; i < size; i++)
		count += lines[i] == '\n' || i == size - 1;
	return count;
}

static void take(struct bulk_server *server, const char *body, size_t size)
{
	pthread_mutex_lock(&server->take_lock);
	if (server->options.take)
		server->options.take(server->options.context, body, size);
	pthread_mutex_unlock(&server->take_lock);
	pthread_mutex_lock(&server->lock);
	server->counts.taken++;
	server->counts.events += count_lines(body, size);
	if (size > server->counts.largest)
		server->counts.largest = size;
	pthread_mutex_unlock(&server->lock);
}

static const char *words_of(int status)
{
	static const struct {
		int status;
		const char *words;
	} table[] = {{200, "OK"}, {301, "Moved Permanently"}, {307, "Temporary Redirect"},
		{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
		{408, "Request Timeout"}, {413, "Content Too Large"}, {429, "Too Many Requests"},
		{500, "Internal Server Error"}, {503, "Service Unavailable"}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].status == status)
			return table[i].words;
	return "Answer";
}

/* Waits that long, or until the server is to stop; for ever: -1. */
static void pause_for(const struct bulk_server *server, int ms)
{
	struct pollfd stop = {.fd = server->stop, .events = POLLIN};
	(void)poll(&stop, 1, ms);
}

/* Whether the connection is kept. */
static bool give_answer(struct connection *c, const struct bulk_answer *answer)
{
	char text[2048], body[512];
	const int body_size = answer->body ? snprintf(body, sizeof(body), "%s", answer->body)
					   : snprintf(body, sizeof(body), "{\"response\":\"%s\"}",
						     answer->status == 200 ? "ok" : words_of(answer->status));
	const int size = snprintf(text, sizeof(text),
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s%s\r\n%s",
		answer->status, words_of(answer->status), body_size, answer->header ? answer->header : "",
		answer->header ? "\r\n" : "", body);
	if (answer->delay_ms > 0)
		pause_for(c->server, (int)answer->delay_ms);
	const size_t left = answer->manner == BULK_CUTS_STATUS	 ? 10
			    : answer->manner == BULK_CUTS_ANSWER ? (size_t)(size - body_size / 2)
								 : (size_t)size;
	return write_all(c, text, left) && left == (size_t)size;
}

/* Whether the connection is kept. */
static bool serve_request(struct connection *c, const char *head)
{
	struct bulk_answer answer = begin_request(c->server, head);
	if (answer.manner == BULK_CUTS_REQUEST)
		return false;
	const size_t size = find_length(head);
	if (size > BODY_MAX)
		return give_answer(c, &(struct bulk_answer){.status = 413}) && false;
	if (answer.status == 200 && strncmp(head, "POST /bulk/", 11) != 0)
		answer.status = 404;
	char *body = malloc(size + 1);
	if (!body || !read_body(c, body, size)) {
		free(body);
		return false;
	}
	if (answer.manner == BULK_SILENT)
		pause_for(c->server, -1);
	else if (answer.status == 200)
		take(c->server, body, size);
	free(body);
	return answer.manner != BULK_SILENT && give_answer(c, &answer);
}

/* ---- Connections ---- */

static void *connection_run(void *argument)
{
	struct connection *c = argument;
	if (SSL_accept(c->tls) == 1) {
		pthread_mutex_lock(&c->server->lock);
		c->server->counts.connections++;
		pthread_mutex_unlock(&c->server->lock);
		for (const char *head; (head = read_head(c)) && serve_request(c, head);)
			continue;
	}
	shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_lock(&c->server->lock);
	c->ended = true;
	pthread_mutex_unlock(&c->server->lock);
	return NULL;
}

static void connection_free(struct connection *c)
{
	pthread_join(c->thread, NULL);
	SSL_free(c->tls);
	close(c->fd);
	free(c);
}

/* Those that have ended, or all. */
static void free_connections(struct bulk_server *server, bool all)
{
	struct connection *to_free = NULL;
	pthread_mutex_lock(&server->lock);
	for (struct connection **at = &server->connections; *at;) {
		struct connection *c = *at;
		if (all)
			shutdown(c->fd, SHUT_RDWR);
		if (all || c->ended) {
			*at = c->next;
			c->next = to_free;
			to_free = c;
		} else {
			at = &c->next;
		}
	}
	pthread_mutex_unlock(&server->lock);
	while (to_free) {
		struct connection *c = to_free;
		to_free = c->next;
		connection_free(c);
	}
}

static void connection_start(struct bulk_server *server, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	const int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (c)
		*c = (struct connection){.server = server, .fd = fd, .tls = SSL_new(server->tls)};
	if (!c || !c->tls || SSL_set_fd(c->tls, fd) != 1) {
		if (c)
			SSL_free(c->tls);
		free(c);
		close(fd);
		return;
	}
	pthread_mutex_lock(&server->lock);
	if (pthread_create(&c->thread, NULL, connection_run, c) == 0) {
		c->next = server->connections;
		server->connections = c;
		c = NULL;
	}
	pthread_mutex_unlock(&server->lock);
	if (c) {
		SSL_free(c->tls);
		close(fd);
		free(c);
	}
}

static void *listener_run(void *argument)
{
	struct bulk_server *server = argument;
	struct pollfd polls[] = {
		{.fd = server->listener, .events = POLLIN}, {.fd = server->stop, .events = POLLIN}};
	while (poll(polls, 2, -1) >= 0 && polls[1].revents == 0) {
		const int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			connection_start(server, fd);
		free_connections(server, false);
	}
	free_connections(server, true);
	return NULL;
}

/* ---- The server ---- */

static int open_listener(struct bulk_server *server)
{
	const int on = 1;
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server->options.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listener < 0 ||
		setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(server->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(server->listener, ACCEPT_BACKLOG) != 0 ||
		getsockname(server->listener, (struct sockaddr *)&address, &size) != 0)
		return -errno;
	server->port = ntohs(address.sin_port);
	server->stop = eventfd(0, EFD_CLOEXEC);
	return server->stop < 0 ? -errno : 0;
}

static int open_tls(struct bulk_server *server)
{
	const struct bulk_server_options *options = &server->options;
	server->tls = SSL_CTX_new(TLS_server_method());
	if (!server->tls)
		return -ENOMEM;
	if (options->old_tls && (SSL_CTX_set_min_proto_version(server->tls, TLS1_VERSION) != 1 ||
					SSL_CTX_set_max_proto_version(server->tls, TLS1_1_VERSION) != 1 ||
					SSL_CTX_set_cipher_list(server->tls, "DEFAULT@SECLEVEL=0") != 1))
		return -EINVAL;
	if (SSL_CTX_use_certificate_chain_file(server->tls, options->certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(server->tls, options->key, SSL_FILETYPE_PEM) != 1)
		return -EINVAL;
	return 0;
}

static void server_free(struct bulk_server *server)
{
	if (server->listener >= 0)
		close(server->listener);
	if (server->stop >= 0)
		close(server->stop);
	SSL_CTX_free(server->tls);
	pthread_cond_destroy(&server->came);
	pthread_mutex_destroy(&server->lock);
	pthread_mutex_destroy(&server->take_lock);
	free(server);
}

int bulk_server_start(const struct bulk_server_options *options, struct bulk_server **ret)
{
	struct bulk_server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->options = *options;
	server->listener = server->stop = -1;
	pthread_mutex_init(&server->lock, NULL);
	pthread_mutex_init(&server->take_lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->came, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* A peer that goes away is an error of SSL_write(). The threads inherit it. */
	sigset_t pipe_signal, old;
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
	int error = open_tls(server);
	if (error == 0)
		error = open_listener(server);
	if (error == 0)
		error = -pthread_create(&server->thread, NULL, listener_run, server);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0) {
		server_free(server);
		return error;
	}
	*ret = server;
	return 0;
}

void bulk_server_stop(struct bulk_server *server)
{
	if (!server)
		return;
	(void)eventfd_write(server->stop, 1);
	pthread_join(server->thread, NULL);
	server_free(server);
}

unsigned bulk_server_port(const struct bulk_server *server)
{
	return server->port;
}

void bulk_server_answer(struct bulk_server *server, const struct bulk_answer *answer)
{
	pthread_mutex_lock(&server->lock);
	if (server->answer_count == ANSWERS_MAX)
		abort();
	server->answers[server->answer_count++] = *answer;
	pthread_mutex_unlock(&server->lock);
}

void bulk_server_counts(struct bulk_server *server, struct bulk_counts *ret)
{
	pthread_mutex_lock(&server->lock);
	*ret = server->counts;
	pthread_mutex_unlock(&server->lock);
}

bool bulk_server_wait(struct bulk_server *server, unsigned requests, unsigned timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000 + 1;
	pthread_mutex_lock(&server->lock);
	int error = 0;
	while (server->counts.requests < requests && error == 0)
		error = pthread_cond_timedwait(&server->came, &server->lock, &until);
	const bool came = server->counts.requests >= requests;
	pthread_mutex_unlock(&server->lock);
	return came;
}
