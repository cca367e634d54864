/*
 * connection.c - see host_connection.h.
 *
 * Opening is opening.c's, ending closing.c's. What libmosquitto 2.0 does and this file leans on:
 * after mosquitto_threaded_set() packets are only queued, and written by mosquitto_loop_write(). From 2.0.15
 * on SIGPIPE is not ignored by the library any more but by cashewd itself.
 */
#include "connection_private.h"

#include "figures.h"
#include "log.h"
#include "settings.h"
#include "tls.h"
#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	KEEPALIVE_CHECK_MS = 1000,
	RECEIVE_MAXIMUM_311 = 1000, /* MQTT 3.1.1 knows no limit; this bounds what a lost link repeats */
};

static const char *const state_names[] = {
	[CONNECTION_IDLE] = "idle",
	[CONNECTION_WAITING] = "waiting",
	[CONNECTION_OPENING] = "opening",
	[CONNECTION_UP] = "up",
	[CONNECTION_CLOSING] = "closing",
};

/* ---- libmosquitto's callbacks ---- */

static void read_terms(const mosquitto_property *properties, struct connection_terms *terms)
{
	uint16_t word;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &word, false) != NULL)
		terms->receive_maximum = word;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &word, false) != NULL)
		terms->keepalive_s = word;
	uint32_t size;
	if (mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &size, false) != NULL)
		terms->packet_max = size;
}

static void on_connect(struct mosquitto *mosquitto, void *object, int reason_code, int flags,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	struct connection *connection = object;
	const struct settings *settings = connection->options.settings;

	connection->connack = true;
	connection->silent_closes = 0;
	if (reason_code != 0) {
		if (connection->mqtt5 &&
			(reason_code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION || reason_code == 1)) {
			connection->mqtt5 = false;
			connection->failures = 0;
			snprintf(connection->reason, sizeof(connection->reason),
				"the broker does not speak MQTT 5: trying 3.1.1");
			return;
		}
		snprintf(connection->reason, sizeof(connection->reason),
			"the broker refuses the connection: %s (reason code %d)%s",
			connection->mqtt5 ? mosquitto_reason_string(reason_code)
					  : mosquitto_connack_string(reason_code),
			reason_code,
			settings->handler_token_file[0] != '\0'
				? "; is the token in HANDLER_TOKEN_FILE one that it accepts?"
				: "; is JWT_SECRET the broker's, and this machine's clock right?");
		return;
	}
	struct connection_terms terms = {
		.session_present = (flags & 1) != 0,
		.mqtt5 = connection->mqtt5,
		.keepalive_s = settings->keepalive_s,
		.receive_maximum = connection->mqtt5 ? 65535 : RECEIVE_MAXIMUM_311,
		.packet_max = UINT32_MAX,
	};
	read_terms(properties, &terms);
	connection->keepalive_s = terms.keepalive_s;
	connection->state = CONNECTION_UP;
	connection->up_since_ms = connection->now_ms;
	connection->due_ms = connection->now_ms + KEEPALIVE_CHECK_MS;
	connection->spoke_mqtt5 = connection->spoke_mqtt5 || connection->mqtt5;
	log_info("broker_connected", "connected to the broker",
		LOG_TEXT("connection", connection->options.label), LOG_TEXT("broker", settings->broker_host),
		LOG_INT("port", settings->broker_port), LOG_TEXT("client_id", connection->options.client_id),
		LOG_TEXT("mqtt", terms.mqtt5 ? "5" : "3.1.1"),
		LOG_TEXT("session", terms.session_present ? "resumed" : "new"));
	connection->options.callbacks->up(connection->options.owner, &terms);
	/* The read that brought the CONNACK may have brought more. */
	connection->more = connection->collects;
	errno = 0;
}

static void on_disconnect(
	struct mosquitto *mosquitto, void *object, int reason_code, const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	struct connection *connection = object;
	/* libmosquitto's own errors are small numbers; a broker's DISCONNECT carries 0x80 and above (MQTT 5.0
	 * section 3.14.2.1). */
	if (reason_code >= 0x80)
		connection->server_reason = reason_code;
}

static void on_message(struct mosquitto *mosquitto, void *object, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	struct connection *connection = object;
	connection->options.callbacks->message(connection->options.owner, message, properties);
	/* libmosquitto looks at errno to see whether its socket is empty, after its write to a wake-up pipe
	 * that nobody reads. */
	errno = 0;
}

static void on_publish(struct mosquitto *mosquitto, void *object, int mid, int reason_code,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	struct connection *connection = object;
	connection->options.callbacks->published(connection->options.owner, mid, reason_code);
	errno = 0;
}

static void on_subscribe(struct mosquitto *mosquitto, void *object, int mid, int count, const int *granted,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	struct connection *connection = object;
	connection->options.callbacks->subscribed(connection->options.owner, mid, count, granted);
	errno = 0;
}

static void on_unsubscribe(
	struct mosquitto *mosquitto, void *object, int mid, const mosquitto_property *properties)
{
	(void)mosquitto;
	struct connection *connection = object;
	connection->options.callbacks->unsubscribed(connection->options.owner, mid, properties);
	errno = 0;
}

bool connection_write(struct connection *connection)
{
	errno = 0;
	if (closing_over(connection, mosquitto_loop_write(connection->mosquitto, 1)))
		return false;
	if (connection->collects)
		tls_flush(mosquitto_ssl_get(connection->mosquitto));
	return true;
}

void connection_listen(struct connection *connection)
{
	struct mosquitto *mosquitto = connection->mosquitto;
	mosquitto_connect_v5_callback_set(mosquitto, on_connect);
	mosquitto_disconnect_v5_callback_set(mosquitto, on_disconnect);
	const struct connection_owner *callbacks = connection->options.callbacks;
	mosquitto_message_v5_callback_set(mosquitto, callbacks->message != NULL ? on_message : NULL);
	mosquitto_publish_v5_callback_set(mosquitto, callbacks->published != NULL ? on_publish : NULL);
	mosquitto_subscribe_v5_callback_set(mosquitto, callbacks->subscribed != NULL ? on_subscribe : NULL);
	mosquitto_unsubscribe_v5_callback_set(
		mosquitto, callbacks->unsubscribed != NULL ? on_unsubscribe : NULL);
}

/* ---- Public ---- */

int connection_new(const struct connection_options *options, struct connection **ret)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL)
		return -ENOMEM;
	connection->options = *options;
	connection->mqtt5 = true;
	connection->farewell_fd = -1;
	*ret = connection;
	return 0;
}

void connection_free(struct connection *connection)
{
	if (connection == NULL)
		return;
	if (connection->farewell_fd >= 0)
		close(connection->farewell_fd);
	mosquitto_destroy(connection->mosquitto);
	free(connection);
}

void connection_want(struct connection *connection, bool want, int64_t now_ms)
{
	connection->now_ms = now_ms;
	connection->wanted = want;
	if (want && connection->state == CONNECTION_IDLE) {
		connection->state = CONNECTION_WAITING;
		connection->held_back = false;
		if (connection->due_ms < now_ms)
			connection->due_ms = now_ms;
	} else if (!want && (connection->mosquitto != NULL || connection->state == CONNECTION_CLOSING)) {
		closing_end(connection, "");
	} else if (!want) {
		connection->state = CONNECTION_IDLE;
	}
}

void connection_drop(struct connection *connection, int64_t now_ms)
{
	if (connection->mosquitto == NULL)
		return;
	connection->now_ms = now_ms;
	closing_let_go(connection, "dropped by this host, nothing held was acknowledged");
}

void connection_leave(struct connection *connection, int64_t now_ms)
{
	connection->now_ms = now_ms;
	connection->wanted = false;
	if (connection->state == CONNECTION_UP)
		closing_let_go(connection, "");
	else if (connection->state != CONNECTION_CLOSING)
		connection_want(connection, false, now_ms);
}

void connection_disconnect(struct connection *connection)
{
	connection->wanted = false;
	if (connection->state == CONNECTION_UP) {
		if (connection->options.persistent)
			connection->farewell_fd =
				fcntl(mosquitto_socket(connection->mosquitto), F_DUPFD_CLOEXEC, 0);
		mosquitto_disconnect_v5(connection->mosquitto, 0, NULL);
		if (connection->farewell_fd >= 0) {
			connection->state = CONNECTION_CLOSING;
			connection->due_ms = connection->now_ms + CONNECTION_FAREWELL_MS;
			closing_advance(connection, 0);
			return;
		}
		mosquitto_loop_write(connection->mosquitto, 1);
	}
	if (connection->mosquitto != NULL)
		closing_end(connection, "");
	connection->state = CONNECTION_IDLE;
}

void connection_served(struct connection *connection)
{
	connection->failures = 0;
}

void connection_poll(const struct connection *connection, bool read, bool write, struct pollfd *ret_poll)
{
	short events = 0;
	int fd = connection->mosquitto != NULL ? mosquitto_socket(connection->mosquitto) : -1;
	if (connection->state == CONNECTION_CLOSING) {
		events = (short)(POLLIN | (fd >= 0 ? POLLOUT : 0));
		fd = connection->farewell_fd;
	} else if (connection->state == CONNECTION_UP) {
		events = (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
	} else if (connection->state == CONNECTION_OPENING) {
		const SSL *ssl = mosquitto_ssl_get(connection->mosquitto);
		const bool shaking_hands = ssl != NULL && !SSL_is_init_finished(ssl);
		if (!connection->connected)
			events = POLLOUT;
		else if (!shaking_hands && connection_want_write(connection))
			events = POLLIN | POLLOUT;
		else
			events = POLLIN;
	}
	*ret_poll = (struct pollfd){.fd = fd, .events = events};
}

int64_t connection_due_ms(const struct connection *connection)
{
	const bool asleep = connection->state == CONNECTION_IDLE ||
			    (connection->state == CONNECTION_WAITING && connection->held_back);
	return asleep ? INT64_MAX : connection->due_ms;
}

/* Until it may, it sleeps: its owner wakes the loop. */
static bool may_open(struct connection *connection)
{
	const struct connection_owner *callbacks = connection->options.callbacks;
	connection->held_back =
		callbacks->may_open != NULL && !callbacks->may_open(connection->options.owner);
	return !connection->held_back;
}

void connection_serve(struct connection *connection, short revents, int64_t now_ms)
{
	connection->now_ms = now_ms;
	switch (connection->state) {
	case CONNECTION_IDLE: break;
	case CONNECTION_WAITING:
		if (now_ms >= connection->due_ms && !closing_stands_by(connection) && may_open(connection))
			opening_start(connection);
		break;
	case CONNECTION_OPENING:
		if (revents != 0)
			opening_advance(connection, revents);
		if (connection->state == CONNECTION_OPENING && now_ms >= connection->due_ms &&
			(connection->connected || !opening_try_ipv4(connection)))
			closing_end(connection,
				connection->connected ? "no CONNACK came in time" : "no answer came in time");
		break;
	case CONNECTION_UP:
		/* Hung up both ways, and nothing to read: no acknowledgement can leave any more. */
		if ((revents & (POLLERR | POLLHUP)) != 0 && (revents & POLLIN) == 0) {
			closing_note(connection);
			closing_end(connection, "the broker closed it");
		}
		break;
	case CONNECTION_CLOSING: closing_advance(connection, revents); break;
	}
}

bool connection_read(struct connection *connection)
{
	errno = 0;
	const int rc = mosquitto_loop_read(connection->mosquitto, 1);
	/* It found the socket empty if its last read said so. */
	const bool empty = errno == EAGAIN || errno == EWOULDBLOCK;
	if (closing_over(connection, rc))
		return false;
	/* OpenSSL reads ahead, and poll() cannot tell of what it holds; of what the socket holds it does. */
	connection->more =
		connection->collects && !empty && SSL_has_pending(mosquitto_ssl_get(connection->mosquitto));
	return connection->collects ? connection->more : !empty;
}

bool connection_pending(const struct connection *connection)
{
	return connection->state == CONNECTION_UP && connection->more;
}

void connection_flush(struct connection *connection, bool many)
{
	/* Over TLS a burst is one write in any case. */
	const bool cork = many && !connection->collects;
	const int fd = mosquitto_socket(connection->mosquitto);
	const int on = 1, off = 0;
	if (cork)
		setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	if (connection_write(connection) && cork)
		setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
}

bool connection_want_write(const struct connection *connection)
{
	return connection->mosquitto != NULL &&
	       (mosquitto_want_write(connection->mosquitto) ||
		       (connection->collects && tls_unsent(mosquitto_ssl_get(connection->mosquitto))));
}

void connection_keepalive(struct connection *connection)
{
	connection->due_ms = connection->now_ms + KEEPALIVE_CHECK_MS;
	if (!closing_over(connection, mosquitto_loop_misc(connection->mosquitto)) &&
		connection_want_write(connection))
		connection_flush(connection, false);
}

enum connection_state connection_state(const struct connection *connection)
{
	return connection->state;
}

int64_t connection_up_since_ms(const struct connection *connection)
{
	return connection->state == CONNECTION_UP ? connection->up_since_ms : INT64_MAX;
}

int64_t connection_alive_since_ms(const struct connection *connection)
{
	if (connection->state != CONNECTION_UP)
		return INT64_MAX;
	struct pollfd closed = {.fd = mosquitto_socket(connection->mosquitto), .events = POLLRDHUP};
	return poll(&closed, 1, 0) == 0 ? connection->up_since_ms : INT64_MAX;
}

_Static_assert((int)CONNECTION_UP == FIGURES_CONNECTION_UP &&
		       (int)CONNECTION_CLOSING + 1 == FIGURES_CONNECTION_STATES,
	"the figures name all states");

const char *connection_state_name(enum connection_state state)
{
	return state_names[state];
}

struct mosquitto *connection_mosquitto(const struct connection *connection)
{
	return connection->state == CONNECTION_UP ? connection->mosquitto : NULL;
}
