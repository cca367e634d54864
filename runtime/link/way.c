/* way.c - see way.h. A way is at one stage after the other; each has its descriptor and its deadline. */
#include "way.h"

#include "handler_token.h"
#include "log.h"
#include "proxy.h"
#include "resolver.h"
#include "settings.h"
#include "tcp.h"
#include "tls.h"
#include "websocket.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum stage { RESOLVING, CONNECTING, PASSING, SHAKING, UPGRADING, OPEN, FAILED };

struct way {
	struct way_options options;
	enum stage stage;
	int64_t begun_ms;
	int64_t deadline_ms;		  /* of the stage; of CONNECTING it is tcp's */
	struct resolver_request *request; /* RESOLVING */
	struct tcp *tcp;		  /* CONNECTING */
	int socket;			  /* from PASSING on */
	struct proxy *proxy;		  /* PASSING */
	struct ssl_ctx_st *context;	  /* until SHAKING */
	struct tls *tls;		  /* from SHAKING on; NULL: BROKER_TLS=off */
	struct websocket *websocket;	  /* from UPGRADING on; NULL: BROKER_TRANSPORT=tcp */
	char *token;
	char reason[TLS_REASON_SIZE];
};

/* ---- TCP, or TLS over it ---- */

static ssize_t plain_result(ssize_t count)
{
	if (count >= 0)
		return count;
	return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static ssize_t read_below(void *context, void *bytes, size_t size)
{
	const struct way *way = context;
	return way->tls ? tls_read(way->tls, bytes, size) : plain_result(recv(way->socket, bytes, size, 0));
}

static ssize_t write_below(void *context, const void *bytes, size_t size)
{
	const struct way *way = context;
	return way->tls ? tls_write(way->tls, bytes, size)
			: plain_result(send(way->socket, bytes, size, MSG_NOSIGNAL));
}

/* Of the layer that knows one. */
static const char *reason_of(const struct way *way, int error)
{
	if (way->websocket && websocket_reason(way->websocket)[0] != '\0')
		return websocket_reason(way->websocket);
	return way->tls && tls_reason(way->tls)[0] != '\0' ? tls_reason(way->tls) : strerror(-error);
}

/* ---- Stages ---- */

static void fail(struct way *way, const char *reason)
{
	way->stage = FAILED;
	snprintf(way->reason, sizeof(way->reason), "%s", reason);
}

static void opened(struct way *way, int64_t now_ms)
{
	way->stage = OPEN;
	log_debug("way_open", "the way to the broker is open", LOG_TEXT("connection", way->options.label),
		LOG_TEXT("broker", way->options.settings->broker_host),
		LOG_INT("took_ms", now_ms - way->begun_ms));
}

/* It is the proxy that does not answer, or is not found, where there is one: then that is told. */
static void fail_before(struct way *way, const char *reason)
{
	char name[PROXY_NAME_SIZE];
	if (!proxy_is_set(way->options.settings)) {
		fail(way, reason);
		return;
	}
	proxy_name(way->options.settings, name);
	way->stage = FAILED;
	snprintf(way->reason, sizeof(way->reason), "%.150s: %s", name, reason);
}

static void fail_late(struct way *way)
{
	switch (way->stage) {
	case RESOLVING:
		fail(way, proxy_is_set(way->options.settings)
				  ? "the host in BROKER_PROXY was not resolved in time"
				  : "BROKER_HOST was not resolved in time");
		break;
	case CONNECTING: fail_before(way, "no answer came in time"); break;
	case PASSING: fail_before(way, "it did not answer CONNECT in time"); break;
	case SHAKING: fail(way, "the broker did not go on with the TLS handshake in time"); break;
	case UPGRADING: fail(way, "the broker did not answer the WebSocket upgrade in time"); break;
	case OPEN:
	case FAILED: abort();
	}
}

static void upgrade(struct way *way, int64_t now_ms)
{
	const int error = websocket_shake(way->websocket);
	if (error == 0)
		opened(way, now_ms);
	else if (error != -EAGAIN)
		fail(way, reason_of(way, error));
	else if (now_ms >= way->deadline_ms)
		fail_late(way);
}

/* TCP, through the proxy if there is one, and TLS where it is wanted, are there. */
static void secured(struct way *way, int64_t now_ms)
{
	if (way->options.settings->broker_transport == BROKER_TRANSPORT_TCP) {
		opened(way, now_ms);
		return;
	}
	const struct websocket_below below = {.read = read_below, .write = write_below, .context = way};
	const int error = websocket_new(way->options.settings, &below, &way->websocket);
	if (error != 0) {
		fail(way, strerror(-error));
		return;
	}
	way->stage = UPGRADING;
	way->deadline_ms = now_ms + WAY_SHAKE_MS;
	upgrade(way, now_ms);
}

static void shake(struct way *way, int64_t now_ms)
{
	const int error = tls_shake(way->tls);
	if (error == 0)
		secured(way, now_ms);
	else if (error != -EAGAIN)
		fail(way, tls_reason(way->tls));
	else if (now_ms >= way->deadline_ms)
		fail_late(way);
}

/* The socket leads to the broker. */
static void reached(struct way *way, int64_t now_ms)
{
	if (!way->context) {
		secured(way, now_ms);
		return;
	}
	const int error = tls_new(way->context, way->options.settings, way->socket, &way->tls);
	tls_context_free(way->context);
	way->context = NULL;
	if (error != 0) {
		fail(way, strerror(-error));
		return;
	}
	way->stage = SHAKING;
	way->deadline_ms = now_ms + WAY_SHAKE_MS;
	shake(way, now_ms);
}

static void pass(struct way *way, int64_t now_ms)
{
	const int error = proxy_shake(way->proxy);
	if (error == 0) {
		proxy_free(way->proxy);
		way->proxy = NULL;
		reached(way, now_ms);
	} else if (error != -EAGAIN)
		fail(way, proxy_reason(way->proxy));
	else if (now_ms >= way->deadline_ms)
		fail_late(way);
}

static void connected(struct way *way, int64_t now_ms)
{
	if (!proxy_is_set(way->options.settings)) {
		reached(way, now_ms);
		return;
	}
	const int error = proxy_new(way->options.settings, way->socket, &way->proxy);
	if (error != 0) {
		fail(way, strerror(-error));
		return;
	}
	way->stage = PASSING;
	way->deadline_ms = now_ms + WAY_SHAKE_MS;
	pass(way, now_ms);
}

static void connect_to(struct way *way, int64_t now_ms)
{
	const int error = tcp_serve(way->tcp, now_ms, &way->socket);
	if (error == -EAGAIN)
		return;
	tcp_free(way->tcp);
	way->tcp = NULL;
	if (error == 0)
		connected(way, now_ms);
	else if (error == TCP_E_LATE)
		fail_late(way);
	else
		fail_before(way, strerror(-error));
}

static void resolve(struct way *way, int64_t now_ms)
{
	struct resolver_answer answer;
	if (!resolver_take(way->request, &answer)) {
		if (now_ms >= way->deadline_ms)
			fail_late(way);
		return;
	}
	resolver_forget(way->request);
	way->request = NULL;
	if (!answer.ok) {
		fail(way, answer.reason);
		return;
	}
	way->token = answer.token;
	way->context = answer.context;
	const int error = tcp_new(answer.addresses, now_ms, &way->tcp);
	freeaddrinfo(answer.addresses);
	if (error != 0) {
		fail(way, strerror(-error));
		return;
	}
	way->stage = CONNECTING;
	connect_to(way, now_ms);
}

/* ---- Interface: opening ---- */

int way_new(const struct way_options *options, int64_t now_ms, struct way **ret)
{
	struct way *way = calloc(1, sizeof(*way));
	if (!way)
		return -ENOMEM;
	way->options = *options;
	way->stage = RESOLVING;
	way->begun_ms = now_ms;
	way->deadline_ms = now_ms + WAY_RESOLVE_MS;
	way->socket = -1;
	const int error = resolver_ask(options->resolver, options->settings->broker_host, &way->request);
	if (error == -ENOMEM) {
		free(way);
		return error;
	}
	if (error != 0)
		fail(way, strerror(-error));
	*ret = way;
	return 0;
}

void way_free(struct way *way)
{
	if (!way)
		return;
	resolver_forget(way->request);
	tcp_free(way->tcp);
	proxy_free(way->proxy);
	/* An end without a word is an error to the broker, which writes it into its log each time. */
	if (way->stage == OPEN && way->websocket)
		websocket_shutdown(way->websocket, WEBSOCKET_NORMAL);
	websocket_free(way->websocket);
	if (way->stage == OPEN && way->tls)
		tls_shutdown(way->tls);
	tls_free(way->tls);
	tls_context_free(way->context);
	if (way->socket >= 0)
		close(way->socket);
	handler_token_free(way->token);
	free(way);
}

enum way_state way_state(const struct way *way)
{
	return way->stage == OPEN ? WAY_OPEN : way->stage == FAILED ? WAY_FAILED : WAY_OPENING;
}

void way_poll(const struct way *way, bool read, bool write, struct pollfd *ret_poll)
{
	*ret_poll = (struct pollfd){.fd = -1};
	switch (way->stage) {
	case RESOLVING:
		ret_poll->fd = resolver_poll_fd(way->request);
		ret_poll->events = POLLIN;
		break;
	case CONNECTING:
		ret_poll->fd = tcp_poll_fd(way->tcp);
		ret_poll->events = POLLIN;
		break;
	case PASSING:
		ret_poll->fd = way->socket;
		ret_poll->events = proxy_events(way->proxy);
		break;
	case UPGRADING:
		read = true;
		write = false;
		/* fall through */
	case SHAKING:
	case OPEN:
		if (way->websocket)
			write |= websocket_wants_write(way->websocket);
		ret_poll->fd = way->socket;
		ret_poll->events = way->tls ? tls_events(way->tls, read, write)
					    : (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
		break;
	case FAILED: break;
	}
}

int64_t way_due_ms(const struct way *way)
{
	if (way->stage == CONNECTING)
		return tcp_due_ms(way->tcp);
	return way->stage == OPEN || way->stage == FAILED ? INT64_MAX : way->deadline_ms;
}

/* Answers to pings that could not be written before. */
static void serve_open(struct way *way)
{
	const int error = way->websocket ? websocket_serve(way->websocket) : 0;
	if (error != 0)
		fail(way, reason_of(way, error));
}

void way_serve(struct way *way, short revents, int64_t now_ms)
{
	/* Each stage asks its descriptor itself: that costs nothing worth mentioning, once for each connection. */
	(void)revents;
	switch (way->stage) {
	case RESOLVING: resolve(way, now_ms); break;
	case CONNECTING: connect_to(way, now_ms); break;
	case PASSING: pass(way, now_ms); break;
	case SHAKING: shake(way, now_ms); break;
	case UPGRADING: upgrade(way, now_ms); break;
	case OPEN: serve_open(way); break;
	case FAILED: break;
	}
}

void way_give_up(struct way *way)
{
	if (way_state(way) == WAY_OPENING)
		fail_late(way);
}

/* ---- Interface: bytes ---- */

/* Keeps why it is over. */
static ssize_t ended(struct way *way, ssize_t outcome)
{
	if (outcome == 0)
		snprintf(way->reason, sizeof(way->reason), "the broker has closed the connection");
	else if (outcome < 0 && outcome != -EAGAIN)
		fail(way, reason_of(way, (int)outcome));
	return outcome;
}

ssize_t way_read(struct way *way, void *bytes, size_t size)
{
	if (way->stage != OPEN)
		return -ENOTCONN;
	const ssize_t got =
		way->websocket ? websocket_read(way->websocket, bytes, size) : read_below(way, bytes, size);
	return got > 0 ? got : ended(way, got);
}

ssize_t way_write(struct way *way, const void *bytes, size_t size)
{
	if (way->stage != OPEN)
		return -ENOTCONN;
	if (size == 0)
		return 0;
	const ssize_t taken =
		way->websocket ? websocket_write(way->websocket, bytes, size) : write_below(way, bytes, size);
	return taken > 0 ? taken : ended(way, taken);
}

bool way_pending(const struct way *way)
{
	if (way->stage != OPEN)
		return false;
	return (way->websocket && websocket_pending(way->websocket)) || (way->tls && tls_pending(way->tls));
}

void way_shutdown(struct way *way)
{
	if (way->stage != OPEN)
		return;
	if (way->websocket)
		websocket_shutdown(way->websocket, WEBSOCKET_NORMAL);
	if (way->tls)
		tls_shutdown(way->tls);
	(void)shutdown(way->socket, SHUT_WR);
}

/* ---- Interface: what there is to know ---- */

const char *way_token(const struct way *way)
{
	return way->stage == OPEN ? way->token : "";
}

const char *way_reason(const struct way *way)
{
	return way->reason;
}

int way_socket(const struct way *way)
{
	return way->stage == OPEN ? way->socket : -1;
}
