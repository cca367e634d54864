/*
 * wire.c - the libmosquitto instance of a link, at the local end of a socket pair: see connection_private.h.
 *
 * libmosquitto wants to connect by itself. So it gets a loopback listener, opened for that one connect, and then one end of
 * a socket pair is put in the place of its socket (dup3): no file, no port that carries data. It is never told of TLS.
 * mosquitto_threaded_set() makes it queue packets, CONNECT too, until mosquitto_loop_write().
 *
 * What libmosquitto 2.0 does and this file leans on: a PUBACK is queued before on_message is called; mosquitto_loop_read() takes
 * at least one packet if there is one, and leaves errno at EAGAIN when it found the socket empty; mosquitto_loop_misc(), which
 * would send PINGREQs of its own, is never called.
 */
#include "connection_private.h"

#include "log.h"
#include "packet.h"
#include "settings.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECEIVE_MAXIMUM_311 = 1000, /* MQTT 3.1.1 knows no limit; this bounds what a lost link repeats */
	TAKE_SIZE = 64 * 1024,
	THIRST_MS = 10,
};

void wire_watch_peer(const struct connection *connection, unsigned keepalive_s)
{
	const unsigned timeout_ms = keepalive_s * 1500;
	(void)setsockopt(
		way_socket(connection->way), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* ---- libmosquitto's callbacks ---- */

static void read_terms(const mosquitto_property *properties, struct connection_terms *terms)
{
	uint16_t word;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &word, false))
		terms->receive_maximum = word;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &word, false))
		terms->keepalive_s = word;
	uint8_t byte;
	if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &byte, false))
		terms->qos_max = byte;
	if (mosquitto_property_read_byte(properties, MQTT_PROP_WILDCARD_SUB_AVAILABLE, &byte, false))
		terms->wildcards = byte != 0;
	if (mosquitto_property_read_byte(properties, MQTT_PROP_SHARED_SUB_AVAILABLE, &byte, false))
		terms->shared = byte != 0;
	uint32_t size;
	if (mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &size, false))
		terms->packet_max = size;
	if (mosquitto_property_read_int32(properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, &size, false))
		terms->session_expiry_s = size;
}

/* MQTT 5, section 3.2.2.3.2: the broker may have another opinion, and says so. */
static void check_session_expiry(const struct connection *connection, uint32_t granted_s)
{
	const uint32_t asked_s = connection->options.settings->session_expiry_s;
	if (connection->options.persistent && granted_s < asked_s)
		log_warn("session_expiry_capped",
			"the broker keeps the session for less time than SESSION_EXPIRY: commands are lost if no host comes back within it",
			LOG_TEXT("connection", connection->options.label), LOG_INT("granted_s", granted_s),
			LOG_INT("asked_s", asked_s));
}

static void choose_old_version(struct connection *connection)
{
	connection->connack = MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION;
	connection->silent_closes = 0;
	connection->mqtt5 = false;
	connection->failures = 0;
	snprintf(connection->reason, sizeof(connection->reason),
		"the broker does not speak MQTT 5: trying 3.1.1");
}

static void refused(struct connection *connection, int reason_code)
{
	const struct settings *settings = connection->options.settings;
	if (connection->mqtt5 && (reason_code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION || reason_code == 1)) {
		choose_old_version(connection);
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
}

static void welcomed(struct connection *connection, int flags, const mosquitto_property *properties)
{
	const struct settings *settings = connection->options.settings;
	struct connection_terms terms = {
		.session_present = (flags & 1) != 0,
		.mqtt5 = connection->mqtt5,
		.keepalive_s = settings->keepalive_s,
		.receive_maximum = connection->mqtt5 ? 65535 : RECEIVE_MAXIMUM_311,
		.packet_max = UINT32_MAX,
		.qos_max = 2,
		.wildcards = true,
		.shared = true,
		.session_expiry_s = settings->session_expiry_s,
	};
	read_terms(properties, &terms);
	gate_set_keepalive(connection->gate, terms.keepalive_s, connection->now_ms);
	wire_watch_peer(connection, terms.keepalive_s);
	connection->state = CONNECTION_UP;
	connection->up_since_ms = connection->now_ms;
	connection->spoke_mqtt5 = connection->spoke_mqtt5 || connection->mqtt5;
	if (connection->options.old_version)
		atomic_store(connection->options.old_version, !connection->mqtt5);
	log_info("broker_connected", "connected to the broker",
		LOG_TEXT("connection", connection->options.label), LOG_TEXT("broker", connection->host),
		LOG_INT("port", settings->broker_port), LOG_TEXT("client_id", connection->options.client_id),
		LOG_TEXT("mqtt", terms.mqtt5 ? "5" : "3.1.1"),
		LOG_TEXT("session", terms.session_present ? "resumed" : "new"));
	check_session_expiry(connection, terms.session_expiry_s);
	connection->options.callbacks->up(connection->options.owner, &terms);
}

static void on_connect(struct mosquitto *mosquitto, void *object, int reason_code, int flags,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	struct connection *connection = object;
	const bool again = connection->connack >= 0;
	connection->connack = reason_code;
	connection->silent_closes = 0;
	if (again)
		connection_fail(connection, "the broker sent a second CONNACK");
	else if (reason_code != 0)
		refused(connection, reason_code);
	else
		welcomed(connection, flags, properties);
	errno = 0;
}

static void on_disconnect(
	struct mosquitto *mosquitto, void *object, int reason_code, const mosquitto_property *properties)
{
	(void)mosquitto;
	(void)properties;
	struct connection *connection = object;
	/* libmosquitto's own errors are small numbers; a broker's DISCONNECT carries 0x80 and above (MQTT 5.0 section
	 * 3.14.2.1). */
	if (reason_code >= 0x80)
		connection->server_reason = reason_code;
}

static void on_message(struct mosquitto *mosquitto, void *object, const struct mosquitto_message *message,
	const mosquitto_property *properties)
{
	(void)mosquitto;
	struct connection *connection = object;
	struct gate_delivery delivery = {.number = GATE_NO_PLACE};
	if (message->qos == 1 && gate_deliver(connection->gate, (uint16_t)message->mid, &delivery) != 0)
		connection_fail(connection, gate_reason(connection->gate));
	else if (!connection->failed)
		connection->options.callbacks->message(
			connection->options.owner, message, properties, delivery.number, delivery.dup);
	/* libmosquitto looks at errno to see whether its socket is empty. */
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

static void listen_to(struct connection *connection)
{
	struct mosquitto *mosquitto = connection->mosquitto;
	const struct connection_owner *callbacks = connection->options.callbacks;
	mosquitto_connect_v5_callback_set(mosquitto, on_connect);
	mosquitto_disconnect_v5_callback_set(mosquitto, on_disconnect);
	mosquitto_message_v5_callback_set(mosquitto, callbacks->message ? on_message : NULL);
	mosquitto_publish_v5_callback_set(mosquitto, callbacks->published ? on_publish : NULL);
	mosquitto_subscribe_v5_callback_set(mosquitto, callbacks->subscribed ? on_subscribe : NULL);
	mosquitto_unsubscribe_v5_callback_set(mosquitto, callbacks->unsubscribed ? on_unsubscribe : NULL);
}

/* ---- Opening ---- */

static int set_options(struct connection *connection)
{
	struct mosquitto *mosquitto = connection->mosquitto;
	const struct connection_login *login = connection->options.login;
	const char *password = login ? login->password : way_token(connection->way);
	int code = mosquitto_threaded_set(mosquitto, true);
	if (code == MOSQ_ERR_SUCCESS)
		code = mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION,
			connection->mqtt5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	if (code == MOSQ_ERR_SUCCESS && connection->options.window != 0)
		code = mosquitto_int_option(
			mosquitto, MOSQ_OPT_RECEIVE_MAXIMUM, (int)connection->options.window);
	if (code == MOSQ_ERR_SUCCESS)
		code = mosquitto_int_option(mosquitto, MOSQ_OPT_SEND_MAXIMUM, 65535);
	if (code == MOSQ_ERR_SUCCESS && password)
		code = mosquitto_username_pw_set(
			mosquitto, connection->options.settings->broker_user, password);
	return code;
}

/* A listener on the loopback interface, for one connect. -1: errno. */
static int listen_once(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 1) != 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int connect_locally(struct connection *connection)
{
	const struct settings *settings = connection->options.settings;
	mosquitto_property *properties = NULL;
	uint16_t port;
	if (connection->mqtt5 && connection->options.persistent) {
		const int added = mosquitto_property_add_int32(
			&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, settings->session_expiry_s);
		if (added != MOSQ_ERR_SUCCESS)
			return added;
	}
	const int listener = listen_once(&port);
	int code = MOSQ_ERR_ERRNO;
	if (listener >= 0) {
		code = mosquitto_connect_bind_v5(connection->mosquitto, "127.0.0.1", port,
			(int)settings->keepalive_s, NULL, properties);
		close(listener);
	}
	mosquitto_property_free_all(&properties);
	return code;
}

bool wire_open(struct connection *connection)
{
	int pair[2];
	connection->mosquitto =
		mosquitto_new(connection->options.client_id, !connection->options.persistent, connection);
	if (!connection->mosquitto) {
		closing_end(connection, strerror(errno));
		return false;
	}
	listen_to(connection);
	int code = set_options(connection);
	if (code == MOSQ_ERR_SUCCESS)
		code = connect_locally(connection);
	if (code == MOSQ_ERR_SUCCESS &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		code = MOSQ_ERR_ERRNO;
	if (code != MOSQ_ERR_SUCCESS) {
		closing_over(connection, code);
		return false;
	}
	connection->local_fd = pair[0];
	const int placed = dup3(pair[1], mosquitto_socket(connection->mosquitto), O_CLOEXEC);
	const int error = errno;
	close(pair[1]);
	if (placed < 0) {
		closing_end(connection, strerror(error));
		return false;
	}
	return true;
}

/* ---- Between gate and libmosquitto ---- */

size_t wire_room(struct connection *connection, uint8_t **ret_bytes)
{
	if (connection->thirsty_ms != 0)
		return 0;
	const size_t room = gate_room(connection->gate, ret_bytes);
	/* There is no memory: what can be read stays readable meanwhile, and poll() would not sleep. */
	if (room == 0)
		connection->thirsty_ms = connection->now_ms + THIRST_MS;
	return room;
}

static void end_by_gate(struct connection *connection, int error)
{
	closing_end(connection, error == GATE_E_BROKEN ? gate_reason(connection->gate) : strerror(-error));
}

bool wire_take(struct connection *connection)
{
	uint8_t bytes[TAKE_SIZE];
	while (mosquitto_want_write(connection->mosquitto)) {
		const int code = mosquitto_loop_write(connection->mosquitto, 1);
		for (ssize_t got = TAKE_SIZE; got == TAKE_SIZE;) {
			got = recv(connection->local_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
			const int error = got > 0 ? gate_written(connection->gate, bytes, (size_t)got) : 0;
			if (error != 0) {
				end_by_gate(connection, error);
				return false;
			}
		}
		/* After a DISCONNECT it has closed its socket, as it should. */
		if (connection->disconnects && mosquitto_socket(connection->mosquitto) < 0)
			return true;
		if (closing_over(connection, code))
			return false;
	}
	return true;
}

/* Has it read so many packets, or what is there. */
static bool read_packets(struct connection *connection, unsigned packets, bool all)
{
	for (unsigned i = 0; all || i < packets; i++) {
		errno = 0;
		const int code = mosquitto_loop_read(connection->mosquitto, 1);
		const bool empty = errno == EAGAIN || errno == EWOULDBLOCK;
		if (closing_over(connection, code))
			return false;
		if (empty)
			break;
	}
	return true;
}

/* Whether the broker answers our CONNECT of MQTT 5 in the form of MQTT 3.1.1 (section 3.2): two bytes, and no properties. Whatever
 * the return code: it speaks that version. What libmosquitto makes of it depends on its own version: 2.0.11 calls on_connect,
 * 2.0.21 takes it for garbage. */
static bool is_old_connack(const struct connection *connection, const uint8_t *bytes, size_t size)
{
	return connection->mqtt5 && connection->connack < 0 && size >= 4 && bytes[0] == PACKET_CONNACK << 4 &&
	       bytes[1] == 2;
}

static void tell_oversized(const struct connection *connection, const struct gate_oversized *oversized)
{
	const struct mosquitto_message message = {
		.mid = oversized->mid,
		.topic = oversized->topic,
		.payloadlen = (int)oversized->size, /* MQTT: 256 MiB at most */
		.qos = (int)oversized->qos,
		.retain = oversized->retain,
	};
	if (connection->options.callbacks->oversized)
		connection->options.callbacks->oversized(
			connection->options.owner, &message, oversized->number, oversized->dup);
}

/* The next span. False: the link has ended, or (*ret_idle) there is none. */
static bool tell_span(struct connection *connection, bool *ret_idle)
{
	const uint8_t *bytes;
	size_t size;
	unsigned packets;
	struct gate_oversized oversized;
	*ret_idle = false;
	const int error = gate_feed(connection->gate, &bytes, &size, &packets, &oversized);
	if (error != 0) {
		end_by_gate(connection, error);
		return false;
	}
	if (oversized.topic)
		tell_oversized(connection, &oversized);
	if (size == 0) {
		*ret_idle = !oversized.topic;
		return !*ret_idle;
	}
	if (is_old_connack(connection, bytes, size)) {
		choose_old_version(connection);
		closing_end(connection, connection->reason);
		return false;
	}
	const ssize_t taken = send(connection->local_fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (taken < 0 && errno != EAGAIN && errno != EINTR) {
		closing_end(connection, strerror(errno));
		return false;
	}
	const bool whole = taken == (ssize_t)size;
	if (taken > 0)
		gate_fed(connection->gate, (size_t)taken);
	return read_packets(connection, packets, !whole);
}

bool wire_tell(struct connection *connection)
{
	bool idle;
	connection->more = false;
	if (!tell_span(connection, &idle) || connection->failed)
		return false;
	if (!wire_take(connection))
		return false;
	connection->more = !idle && gate_hungry(connection->gate);
	return connection->more;
}
