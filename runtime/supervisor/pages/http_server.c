/*
 * http_server.c - see http_server.h.
 */
#include "http_server.h"

#include "clock.h"
#include "log.h"
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	IDLE_S = 5,
	MEMORY = 8 * 1024,
	STACK_SIZE = 256 * 1024,
	BACKLOG = 128,
	/* What the library takes: those that were told to go are there until it has turned once more. */
	CONNECTIONS_MAX = 2 * HTTP_CONNECTIONS,
};

#define TEXT "text/plain; charset=utf-8"

/* A client's connection, for as long as it is open. */
struct guest {
	int fd;	      /* -1: none */
	bool leaving; /* its socket is shut */
	int64_t since_ms;
	uint64_t number; /* of all that came */
};

struct http_server {
	struct http_options options;
	struct http_address address;
	struct MHD_Daemon *daemon; /* NULL: the address could not be had */
	unsigned port;
	bool told; /* that it could not */
	int64_t again_ms;
	pthread_mutex_t mutex;
	struct guest guests[CONNECTIONS_MAX]; /* under the mutex */
	uint64_t came;			      /* the same */
};

/* ---- Answers ---- */

/* text: taken over, and freed. */
static enum MHD_Result answer(
	struct MHD_Connection *connection, unsigned status, const char *content_type, char *text, size_t size)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	enum MHD_Result error = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	if (error == MHD_YES)
		error = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (error == MHD_YES)
		error = MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	/* One request each: a client that comes every 15 seconds gains nothing by keeping it. */
	if (error == MHD_YES)
		error = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (error == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		error = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (error == MHD_YES)
		error = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return error;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
	char *copy = strdup(text);
	return copy ? answer(connection, status, TEXT, copy, strlen(copy)) : MHD_NO;
}

static enum MHD_Result answer_unknown(const struct http_server *http, struct MHD_Connection *connection)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return MHD_NO;
	fputs("there is no such page; there are:\n", out);
	for (const struct http_page *page = http->options.pages; page->path; page++)
		fprintf(out, "%s\n", page->path);
	if (fclose(out) != 0) {
		free(text);
		return MHD_NO;
	}
	return answer(connection, MHD_HTTP_NOT_FOUND, TEXT, text, size);
}

static enum MHD_Result answer_page(
	const struct http_server *http, const struct http_page *page, struct MHD_Connection *connection)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return MHD_NO;
	const unsigned status = page->write(http->options.view, out);
	if (fclose(out) != 0) {
		free(text);
		return MHD_NO;
	}
	return answer(connection, status, page->content_type, text, size);
}

/* By where the client is, and by the name it was led here by: see http_address_host_is_local(). */
static bool is_local(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	return info && info->client_addr && http_address_is_loopback(info->client_addr) &&
	       (!host || http_address_host_is_local(host));
}

/* A proxy on this machine says so: who asks it is somewhere else. */
static bool is_forwarded(struct MHD_Connection *connection)
{
	static const char *const headers[] = {
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, headers[i]))
			return true;
	return false;
}

/* A browser sends the name that it was led here by; HTTP/1.0 may have none. */
static bool is_asked_as_us(const struct http_server *http, struct MHD_Connection *connection)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	return !host || http_address_host_is_ours(host, http->options.names);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size, void **request)
{
	const struct http_server *http = context;
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(
			connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
	if (!is_asked_as_us(http, connection))
		return answer_text(connection, MHD_HTTP_FORBIDDEN,
			"ask for an address or a name without a dot; other names that lead here are to stand in METRICS_HOSTS\n");
	const struct http_page *page = http->options.pages;
	while (page->path && strcmp(page->path, url) != 0)
		page++;
	if (!page->path)
		return answer_unknown(http, connection);
	if (page->local_only && !is_local(connection))
		return answer_text(connection, MHD_HTTP_FORBIDDEN,
			"this page is for clients on the same machine, asking for an address or localhost\n");
	if (page->local_only && is_forwarded(connection))
		return answer_text(connection, MHD_HTTP_FORBIDDEN,
			"this page is for clients on the same machine, and a proxy passes this request on\n");
	return answer_page(http, page, connection);
}

/* ---- Connections ---- */

/* Since something came, or was acknowledged. */
static uint64_t idle_ms(const struct guest *guest)
{
	struct tcp_info info = {.tcpi_state = 0};
	socklen_t size = sizeof(info);
	if (getsockopt(guest->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
		return UINT64_MAX; /* its other side is gone */
	return info.tcpi_last_data_recv < info.tcpi_last_ack_recv ? info.tcpi_last_data_recv
								  : info.tcpi_last_ack_recv;
}

static void guest_dismiss(struct guest *guest)
{
	guest->leaving = true;
	(void)shutdown(guest->fd, SHUT_RDWR);
}

/* Of several the one that came first. */
static struct guest *longest_idle(struct http_server *http, const struct guest *but)
{
	struct guest *longest = NULL;
	uint64_t longest_ms = 0;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct guest *guest = &http->guests[i];
		if (guest->fd < 0 || guest->leaving || guest == but)
			continue;
		const uint64_t guest_ms = idle_ms(guest);
		if (longest && (guest_ms < longest_ms ||
				       (guest_ms == longest_ms && guest->number > longest->number)))
			continue;
		longest = guest;
		longest_ms = guest_ms;
	}
	return longest;
}

/* One too many: the longest idle one makes room, so that nobody keeps others out by doing nothing. */
static void guest_add(struct http_server *http, int fd)
{
	struct guest *added = NULL;
	size_t staying = 0;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct guest *guest = &http->guests[i];
		staying += guest->fd >= 0 && !guest->leaving;
		if (guest->fd < 0 && !added)
			added = guest;
	}
	if (!added)
		return;
	*added = (struct guest){.fd = fd, .since_ms = clock_ms(), .number = http->came++};
	struct guest *leaving = staying >= HTTP_CONNECTIONS ? longest_idle(http, added) : NULL;
	if (leaving)
		guest_dismiss(leaving);
}

static void guest_remove(struct http_server *http, int fd)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (http->guests[i].fd == fd)
			http->guests[i].fd = -1;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_server *http = context;
	(void)socket_context;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!info)
		return;
	pthread_mutex_lock(&http->mutex);
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		guest_add(http, info->connect_fd);
	else
		guest_remove(http, info->connect_fd);
	pthread_mutex_unlock(&http->mutex);
}

/* The library's own time-out is for silence only. It notices that the socket is shut, and closes it. */
static void cut_off(struct http_server *http, int64_t now_ms)
{
	pthread_mutex_lock(&http->mutex);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct guest *guest = &http->guests[i];
		if (guest->fd >= 0 && now_ms - guest->since_ms >= HTTP_AGE_MS)
			guest_dismiss(guest);
	}
	pthread_mutex_unlock(&http->mutex);
}

/* What clients do wrong is theirs, and nothing for our log. */
__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format, va_list arguments)
{
	(void)context;
	(void)format;
	(void)arguments;
}

/* ---- Listening ---- */

/* A socket of our own, so that what is wrong has a name. */
static int listen_at(const struct http_address *address, int *ret_fd)
{
	const int on = 1;
	const int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, (const struct sockaddr *)&address->socket, address->size) != 0 ||
		listen(fd, BACKLOG) != 0) {
		const int error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static struct MHD_Daemon *start_daemon(struct http_server *http, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
		http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_SIZE, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
		http, MHD_OPTION_END);
}

static int start(struct http_server *http, struct sockaddr_storage *ret_own)
{
	int fd = -1;
	int error = listen_at(&http->address, &fd);
	if (error != 0)
		return error;
	struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(own);
	if (getsockname(fd, (struct sockaddr *)&own, &size) != 0) {
		error = -errno;
		close(fd);
		return error;
	}
	/* It closes the socket, but not where it could not begin. */
	http->daemon = start_daemon(http, fd);
	if (!http->daemon) {
		close(fd);
		return -ENOMEM;
	}
	*ret_own = own;
	return 0;
}

static void say_on(struct http_server *http, const struct sockaddr *own)
{
	char where[HTTP_ADDRESS_TEXT_SIZE], paths[256] = "";
	http_address_write(own, where);
	http->port = (unsigned)strtoul(strrchr(where, ':') + 1, NULL, 10);
	for (const struct http_page *page = http->options.pages; page->path; page++) {
		const size_t used = strlen(paths);
		snprintf(paths + used, sizeof(paths) - used, "%s%s", used > 0 ? " " : "", page->path);
	}
	log_info("metrics_on", "metrics and health are served over HTTP", LOG_TEXT("address", where),
		LOG_INT("port", http->port), LOG_TEXT("paths", paths));
	if (!http_address_is_loopback(own))
		log_warn("metrics_open",
			"METRICS_ADDR is not an address of this machine alone: whoever reaches it can read the metrics",
			LOG_TEXT("address", where));
}

static void try(struct http_server *http, int64_t now_ms)
{
	struct sockaddr_storage own;
	const int error = start(http, &own);
	http->again_ms = now_ms + HTTP_AGAIN_MS;
	if (error == 0)
		say_on(http, (const struct sockaddr *)&own);
	else if (!http->told)
		log_warn("metrics_failed",
			"METRICS_ADDR cannot be listened on: everything else goes on, and it is tried again; another cashewd may have it: give each "
			"an address of its own, or off",
			LOG_TEXT("setting", "METRICS_ADDR"), LOG_TEXT("address", http->options.address),
			LOG_TEXT("reason", strerror(-error)));
	http->told = error != 0;
}

/* ---- Public ---- */

int http_server_open(const struct http_options *options, struct http_server **ret)
{
	struct http_server *http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->options = *options;
	pthread_mutex_init(&http->mutex, NULL);
	http->options.address = strdup(options->address);
	http->options.names = strdup(options->names ? options->names : "");
	if (!http->options.address || !http->options.names) {
		http_server_close(http);
		return -ENOMEM;
	}
	if (http_address_read(options->address, &http->address) != 0)
		http->address.off = true;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		http->guests[i].fd = -1;
	*ret = http;
	if (http->address.off)
		log_info("metrics_off", "METRICS_ADDR is off: no metrics are served");
	else
		try(http, clock_ms());
	return 0;
}

void http_server_look(struct http_server *http, int64_t now_ms)
{
	if (http->daemon)
		cut_off(http, now_ms);
	else if (!http->address.off && now_ms >= http->again_ms)
		try(http, now_ms);
}

void http_server_close(struct http_server *http)
{
	if (!http)
		return;
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	pthread_mutex_destroy(&http->mutex);
	free((char *)(uintptr_t)http->options.address);
	free((char *)(uintptr_t)http->options.names);
	free(http);
}

unsigned http_server_port(const struct http_server *http)
{
	return http->daemon ? http->port : 0;
}
