/*
 * host_connection.c - see host_connection.h.
 *
 * What libmosquitto 2.0 does and this file leans on: after mosquitto_threaded_set() packets are only queued,
 * and written by mosquitto_loop_write(); mosquitto_connect_bind_v5() with no host returns INVAL but keeps the
 * properties, which the non-blocking mosquitto_connect_bind_async() then sends; over TLS
 * mosquitto_loop_read() advances the handshake. Before 2.0.15 nothing else does, and it reports a dead socket
 * there as success, so errors are looked up on the socket itself; since then mosquitto_loop_write() would do
 * it too, and SIGPIPE is not ignored by the library any more but by cashewd itself.
 */
#include "host_connection.h"

#include "host_takeover.h"
#include "host_tls.h"
#include "log.h"
#include "settings.h"
#include "token.h"
#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	REASON_SIZE = 320,
	STEADY_MS = 2000, /* a link that lasted that long starts again with the shortest delay */
	KEEPALIVE_CHECK_MS = 1000,
	TAKEOVER_RETRIES = 3, /* in this many times STANDBY_RETRY: a host that waits comes back after 1.25 */
	RECEIVE_MAXIMUM_311 = 1000, /* MQTT 3.1.1 knows no limit; this bounds what a lost link repeats */
};

struct connection {
	struct connection_options options;
	enum connection_state state;
	struct mosquitto *mosquitto;
	bool wanted;
	bool held_back;		/* WAITING: its owner does not let it open yet */
	bool mqtt5;		/* the version of the next opening, and of this one */
	bool ipv4;		/* OPENING: IPv6 has failed; UP: so it was */
	bool connected;		/* OPENING: TCP is through */
	bool collects;		/* over TLS: writes collect until tls_flush() */
	bool more;		/* over TLS: the last read did not come to an end of what is there */
	bool connack;		/* a CONNACK came, whatever it said */
	bool spoke_mqtt5;	/* a CONNACK has welcomed us under MQTT 5, on this link or an earlier one */
	int server_reason;	/* reason code of the broker's DISCONNECT; 0: none */
	unsigned failures;	/* in a row, for the delay */
	unsigned silent_closes; /* closed before a CONNACK, in a row */
	int64_t due_ms;
	int farewell_fd; /* CLOSING: the socket once more, as libmosquitto closes its own; else -1 */
	int64_t up_since_ms;
	unsigned keepalive_s; /* UP: ours, or the broker's Server Keep Alive */
	struct takeover takeover;
	int64_t now_ms;		  /* of the call we are in */
	char reason[REASON_SIZE]; /* why it ended, as far as a callback knows */
};

static const char *const state_names[] = {
	[CONNECTION_IDLE] = "idle",
	[CONNECTION_WAITING] = "waiting",
	[CONNECTION_OPENING] = "opening",
	[CONNECTION_UP] = "up",
	[CONNECTION_CLOSING] = "closing",
};

static unsigned random_below(unsigned limit)
{
	unsigned value = 0;
	if (limit == 0 || getrandom(&value, sizeof(value), GRND_NONBLOCK) != (ssize_t)sizeof(value))
		return 0;
	return value % limit;
}

/* Exponential, half of it jitter: hosts that lost the same broker do not come back in step. */
static unsigned next_delay_ms(struct connection *connection, bool taken_over)
{
	if (taken_over) {
		const unsigned retry_ms = connection->options.settings->standby_retry_s * 1000;
		return retry_ms - retry_ms / 4 + random_below(retry_ms / 2);
	}
	unsigned full = CONNECTION_DELAY_MIN_MS;
	for (unsigned i = 0; i < connection->failures && full < CONNECTION_DELAY_MAX_MS; i++)
		full *= 2;
	if (full > CONNECTION_DELAY_MAX_MS)
		full = CONNECTION_DELAY_MAX_MS;
	connection->failures++;
	return full / 2 + random_below(full / 2);
}

/* ---- The end of a link ----------------------------------------------------------------------------------
 */

/* A broker that does not speak MQTT 5 says so, or just closes: after two closes without a word the other
 * version is tried. Not when it has spoken MQTT 5 before: then it is something before it that closes, a proxy
 * whose broker is away; and 3.1.1, once it works, would stay. */
static void choose_version(struct connection *connection)
{
	const bool handshake_done = connection->options.tls == NULL || connection->collects;
	if (connection->connack || connection->spoke_mqtt5 || !connection->connected || !handshake_done)
		return;
	if (++connection->silent_closes % 2 == 0)
		connection->mqtt5 = !connection->mqtt5;
}

static void log_lost(const struct connection *connection, bool was_up, const char *reason, unsigned delay_ms)
{
	log_warn(was_up ? "broker_lost" : "broker_unreachable",
		was_up ? "the connection to the broker is gone" : "cannot connect to the broker",
		LOG_TEXT("connection", connection->options.label),
		LOG_TEXT("broker", connection->options.settings->broker_host),
		LOG_INT("port", connection->options.settings->broker_port), LOG_TEXT("reason", reason),
		LOG_INT("retry_ms", delay_ms));
}

static void log_standby(const struct connection *connection, unsigned delay_ms)
{
	log_warn("standby",
		"another host uses this client id and has taken the session over: waiting as its standby",
		LOG_TEXT("connection", connection->options.label),
		LOG_TEXT("client_id", connection->options.client_id), LOG_INT("retry_ms", delay_ms));
}

static void end(struct connection *connection, const char *reason)
{
	const bool was_up = connection->state == CONNECTION_UP || connection->state == CONNECTION_CLOSING;
	const bool taken_over = connection->server_reason == MQTT_RC_SESSION_TAKEN_OVER;

	mosquitto_destroy(connection->mosquitto);
	connection->mosquitto = NULL;
	if (connection->farewell_fd >= 0)
		close(connection->farewell_fd);
	connection->farewell_fd = -1;
	const bool steady = was_up && connection->now_ms - connection->up_since_ms >= STEADY_MS;
	if (steady)
		connection->failures = 0;
	if (!was_up && !connection->connected)
		connection->ipv4 = false;
	connection->state = connection->wanted ? CONNECTION_WAITING : CONNECTION_IDLE;
	connection->held_back = false;
	if (connection->wanted) {
		const unsigned delay_ms = next_delay_ms(connection, taken_over);
		connection->due_ms = connection->now_ms + delay_ms;
		if (taken_over)
			log_standby(connection, delay_ms);
		else
			log_lost(connection, was_up, reason, delay_ms);
	} else {
		/* What made its owner drop it at once may do so again, as soon as it is wanted again. */
		connection->due_ms = connection->now_ms;
		if (was_up && !steady)
			connection->due_ms += next_delay_ms(connection, false);
	}
	connection->options.callbacks->down(connection->options.owner, was_up, taken_over);
}

/* An UP link that the broker has closed: without a word, if it sent no DISCONNECT. */
static void note_close(struct connection *connection)
{
	if (connection->options.callbacks->witness != NULL && connection->server_reason == 0)
		takeover_lost(&connection->takeover, connection->now_ms);
}

/* Whether the link that is due to be opened was another host's doing: then it waits on. */
static bool stand_by(struct connection *connection)
{
	const struct connection_owner *callbacks = connection->options.callbacks;
	const int64_t within_ms =
		(int64_t)connection->options.settings->standby_retry_s * 1000 * TAKEOVER_RETRIES;
	if (callbacks->witness == NULL || !takeover_happened(&connection->takeover,
						  callbacks->witness(connection->options.owner), within_ms))
		return false;
	const unsigned delay_ms = next_delay_ms(connection, true);
	connection->due_ms = connection->now_ms + delay_ms;
	log_standby(connection, delay_ms);
	callbacks->down(connection->options.owner, false, true);
	return true;
}

/* Ends the link if libmosquitto says that it is over. */
static bool over(struct connection *connection, int rc)
{
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(connection->mosquitto) >= 0)
		return false;
	const int error = errno;
	char reason[REASON_SIZE];
	if (connection->state == CONNECTION_OPENING)
		choose_version(connection);
	if (connection->reason[0] != '\0')
		snprintf(reason, sizeof(reason), "%s", connection->reason);
	else if (connection->server_reason != 0)
		snprintf(reason, sizeof(reason), "the broker closed it: %s",
			mosquitto_reason_string(connection->server_reason));
	else if (connection->options.tls != NULL &&
		 (rc == MOSQ_ERR_TLS || (rc == MOSQ_ERR_ERRNO && error == EPROTO)))
		tls_explain(connection->options.tls, connection->options.settings, reason);
	else if (rc == MOSQ_ERR_ERRNO)
		snprintf(reason, sizeof(reason), "%s", strerror(error));
	else if (rc == MOSQ_ERR_CONN_LOST)
		snprintf(reason, sizeof(reason), "%s",
			connection->state == CONNECTION_UP ? "the broker closed it without a word"
							   : "the broker closed it before its CONNACK");
	else if (rc == MOSQ_ERR_KEEPALIVE)
		snprintf(reason, sizeof(reason),
			"the broker did not answer a PINGREQ within the keepalive of %u s",
			connection->keepalive_s);
	else if (rc == MOSQ_ERR_EAI)
		snprintf(reason, sizeof(reason), "BROKER_HOST=%s cannot be resolved",
			connection->options.settings->broker_host);
	else
		snprintf(reason, sizeof(reason), "%s", mosquitto_strerror(rc));
	const bool closed =
		rc == MOSQ_ERR_CONN_LOST || (rc == MOSQ_ERR_ERRNO && (error == ECONNRESET || error == EPIPE));
	if (connection->state == CONNECTION_UP && closed)
		note_close(connection);
	end(connection, reason);
	return true;
}

/* ---- libmosquitto's callbacks ---------------------------------------------------------------------------
 */

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

/* ---- Opening --------------------------------------------------------------------------------------------
 */

static int read_token_file(const char *path, char **ret_token)
{
	char buffer[TOKEN_SIZE_MAX + 2];
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	const size_t size = fread(buffer, 1, sizeof(buffer) - 1, file);
	fclose(file);
	buffer[size] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	char *token = strdup(buffer);
	if (token == NULL)
		return -ENOMEM;
	*ret_token = token;
	return 0;
}

/* A fresh token for each opening, so that no reconnect comes with an expired one. */
static int set_identity(struct connection *connection)
{
	const struct settings *settings = connection->options.settings;
	char *token = NULL;
	const int rc = settings->handler_token_file[0] != '\0'
			       ? read_token_file(settings->handler_token_file, &token)
			       : token_sign_handler(settings->jwt_secret, settings->handler_name,
					 (int64_t)time(NULL), settings->token_lifetime_s, &token);
	if (rc != 0) {
		snprintf(connection->reason, sizeof(connection->reason),
			"the handler's token cannot be %s: %s",
			settings->handler_token_file[0] != '\0' ? "read from HANDLER_TOKEN_FILE" : "signed",
			strerror(-rc));
		return MOSQ_ERR_AUTH;
	}
	const int set = mosquitto_username_pw_set(connection->mosquitto, "JWT", token);
	explicit_bzero(token, strlen(token));
	free(token);
	return set;
}

static int set_session(struct connection *connection)
{
	struct mosquitto *mosquitto = connection->mosquitto;
	int rc = mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION,
		connection->mqtt5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	if (rc == MOSQ_ERR_SUCCESS && connection->options.receive_maximum != 0)
		rc = mosquitto_int_option(
			mosquitto, MOSQ_OPT_RECEIVE_MAXIMUM, (int)connection->options.receive_maximum);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_SEND_MAXIMUM, 65535);
	if (rc != MOSQ_ERR_SUCCESS || !connection->mqtt5 || !connection->options.persistent)
		return rc;
	mosquitto_property *properties = NULL;
	rc = mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
		connection->options.settings->session_expiry_s);
	if (rc == MOSQ_ERR_SUCCESS &&
		mosquitto_connect_bind_v5(mosquitto, NULL, 0, 0, NULL, properties) != MOSQ_ERR_INVAL)
		rc = MOSQ_ERR_NOT_SUPPORTED;
	mosquitto_property_free_all(&properties);
	return rc;
}

static int configure(struct connection *connection)
{
	struct mosquitto *mosquitto = connection->mosquitto;
	mosquitto_threaded_set(mosquitto, true);
	mosquitto_connect_v5_callback_set(mosquitto, on_connect);
	mosquitto_disconnect_v5_callback_set(mosquitto, on_disconnect);
	const struct connection_owner *callbacks = connection->options.callbacks;
	mosquitto_message_v5_callback_set(mosquitto, callbacks->message != NULL ? on_message : NULL);
	mosquitto_publish_v5_callback_set(mosquitto, callbacks->published != NULL ? on_publish : NULL);
	mosquitto_subscribe_v5_callback_set(mosquitto, callbacks->subscribed != NULL ? on_subscribe : NULL);
	mosquitto_unsubscribe_v5_callback_set(
		mosquitto, callbacks->unsubscribed != NULL ? on_unsubscribe : NULL);
	int rc = mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
	if (rc == MOSQ_ERR_SUCCESS && connection->options.tls != NULL)
		rc = mosquitto_void_option(mosquitto, MOSQ_OPT_SSL_CTX, tls_context(connection->options.tls));
	if (rc == MOSQ_ERR_SUCCESS && connection->options.tls != NULL)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = set_session(connection);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = set_identity(connection);
	return rc;
}

static int connect_from(struct connection *connection, const char *address)
{
	const struct settings *settings = connection->options.settings;
	errno = 0;
	return mosquitto_connect_bind_async(connection->mosquitto, settings->broker_host,
		(int)settings->broker_port, (int)settings->keepalive_s, address);
}

/* Addresses of the broker that cannot be reached from the one that is given here are passed over. */
static int connect_to_broker(struct connection *connection)
{
	const int rc = connect_from(connection, connection->ipv4 ? "0.0.0.0" : NULL);
	/* The name has none of IPv4: say what is wrong with those it has. */
	return connection->ipv4 && rc == MOSQ_ERR_ERRNO ? connect_from(connection, "::") : rc;
}

static void open_link(struct connection *connection)
{
	connection->reason[0] = '\0';
	connection->server_reason = 0;
	connection->connected = false;
	connection->collects = false;
	connection->more = false;
	connection->connack = false;
	connection->state = CONNECTION_OPENING;
	connection->due_ms = connection->now_ms + CONNECTION_OPEN_MS;
	connection->mosquitto =
		mosquitto_new(connection->options.client_id, !connection->options.persistent, connection);
	if (connection->mosquitto == NULL) {
		end(connection, strerror(errno));
		return;
	}
	int rc = configure(connection);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = connect_to_broker(connection);
	(void)over(connection, rc);
}

/* libmosquitto tries a name's first address only. Where that is of IPv6 and nobody is there, IPv4 is tried at
 * once: many a "localhost" is ::1 first, and many a broker listens on 127.0.0.1. */
static bool try_ipv4(struct connection *connection)
{
	struct sockaddr_storage own;
	socklen_t size = sizeof(own);
	if (connection->ipv4 ||
		getsockname(mosquitto_socket(connection->mosquitto), (struct sockaddr *)&own, &size) != 0 ||
		own.ss_family != AF_INET6)
		return false;
	mosquitto_destroy(connection->mosquitto);
	connection->ipv4 = true;
	open_link(connection);
	return true;
}

/* Whether TCP is through; ends the link if it failed. */
static bool tcp_connected(struct connection *connection, short revents)
{
	if (connection->connected || (revents & (POLLOUT | POLLERR | POLLHUP)) == 0)
		return connection->connected;
	/* Over TLS something may have been written by now: then TCP was through, whatever came of it. */
	const SSL *ssl = mosquitto_ssl_get(connection->mosquitto);
	if (ssl != NULL && BIO_number_written(SSL_get_wbio(ssl)) > 0) {
		connection->connected = true;
		return true;
	}
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(mosquitto_socket(connection->mosquitto), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	/* OpenSSL's first try to write may have taken the error away; then there is just no peer. */
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer);
	if (error == 0 && getpeername(mosquitto_socket(connection->mosquitto), (struct sockaddr *)&peer,
				  &peer_size) != 0)
		error = ECONNREFUSED;
	if (error != 0) {
		if (!try_ipv4(connection))
			end(connection, strerror(error));
		return false;
	}
	connection->connected = true;
	return true;
}

/* False if that was the end of the link. */
static bool write_queued(struct connection *connection)
{
	errno = 0;
	if (over(connection, mosquitto_loop_write(connection->mosquitto, 1)))
		return false;
	if (connection->collects)
		tls_flush(mosquitto_ssl_get(connection->mosquitto));
	return true;
}

static void advance_opening(struct connection *connection, short revents)
{
	if (!tcp_connected(connection, revents))
		return;
	/* CONNACK, and over TLS the handshake before it; callbacks may set UP. */
	if (over(connection, mosquitto_loop_read(connection->mosquitto, 1)))
		return;
	SSL *ssl = mosquitto_ssl_get(connection->mosquitto);
	const bool shaking_hands = ssl != NULL && !SSL_is_init_finished(ssl);
	if (ssl != NULL && !connection->collects && !shaking_hands) {
		tls_collect_writes(ssl);
		connection->collects = true;
	}
	/* CONNECT waits until the handshake is through and writes collect: `more` depends on it when CONNACK
	 * comes. Once UP, writing is the owner's. */
	if (connection->state == CONNECTION_OPENING && !shaking_hands && connection_want_write(connection) &&
		!write_queued(connection))
		return;
	if (connection->state == CONNECTION_OPENING && (revents & (POLLERR | POLLHUP)) != 0) {
		char reason[REASON_SIZE] = "the broker closed it before its CONNACK";
		if (ssl != NULL && !connection->collects)
			tls_explain(connection->options.tls, connection->options.settings, reason);
		choose_version(connection);
		end(connection, reason);
	}
}

/* ---- Public ---------------------------------------------------------------------------------------------
 */

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
		end(connection, "");
	} else if (!want) {
		connection->state = CONNECTION_IDLE;
	}
}

/*
 * A socket that is closed while data lies unread in it resets the connection, and the broker then drops
 * acknowledgements that it has not read yet: so what still comes is read, and thrown away, until the broker
 * has closed as well. What is queued and not written, as held acknowledgements are, goes with libmosquitto's
 * client, which is gone by then.
 */
static void let_go(struct connection *connection, const char *reason)
{
	const int fd = connection->state == CONNECTION_UP && connection->options.persistent
			       ? fcntl(mosquitto_socket(connection->mosquitto), F_DUPFD_CLOEXEC, 0)
			       : -1;
	if (fd < 0) {
		end(connection, reason);
		return;
	}
	mosquitto_destroy(connection->mosquitto);
	connection->mosquitto = NULL;
	shutdown(fd, SHUT_WR);
	snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
	connection->farewell_fd = fd;
	connection->state = CONNECTION_CLOSING;
	connection->due_ms = connection->now_ms + CONNECTION_FAREWELL_MS;
}

void connection_drop(struct connection *connection, int64_t now_ms)
{
	if (connection->mosquitto == NULL)
		return;
	connection->now_ms = now_ms;
	let_go(connection, "dropped by this host, nothing held was acknowledged");
}

void connection_leave(struct connection *connection, int64_t now_ms)
{
	connection->now_ms = now_ms;
	connection->wanted = false;
	if (connection->state == CONNECTION_UP)
		let_go(connection, "");
	else if (connection->state != CONNECTION_CLOSING)
		connection_want(connection, false, now_ms);
}

/* Writes what is queued and DISCONNECT, unless the client is gone, after which libmosquitto closes its
 * socket; then waits for the broker's end. */
static void advance_closing(struct connection *connection, short revents)
{
	const int fd = connection->farewell_fd;
	if (connection->mosquitto != NULL && mosquitto_socket(connection->mosquitto) >= 0) {
		if (mosquitto_loop_write(connection->mosquitto, 1) != MOSQ_ERR_SUCCESS) {
			end(connection, "");
			return;
		}
		if (mosquitto_socket(connection->mosquitto) < 0)
			shutdown(fd, SHUT_WR);
	}
	if ((revents & ~POLLOUT) != 0) {
		char nothing[4096];
		ssize_t got;
		do
			got = recv(fd, nothing, sizeof(nothing), MSG_DONTWAIT);
		while (got > 0);
		if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			end(connection, connection->reason);
			return;
		}
	}
	if (connection->now_ms < connection->due_ms)
		return;
	log_warn("farewell_unanswered",
		"the broker did not close in time: acknowledgements that it had not read may be lost, and "
		"their commands come again",
		LOG_TEXT("connection", connection->options.label),
		LOG_INT("waited_ms", CONNECTION_FAREWELL_MS));
	end(connection, connection->reason);
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
			advance_closing(connection, 0);
			return;
		}
		mosquitto_loop_write(connection->mosquitto, 1);
	}
	if (connection->mosquitto != NULL)
		end(connection, "");
	connection->state = CONNECTION_IDLE;
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
		if (now_ms >= connection->due_ms && !stand_by(connection) && may_open(connection))
			open_link(connection);
		break;
	case CONNECTION_OPENING:
		if (revents != 0)
			advance_opening(connection, revents);
		if (connection->state == CONNECTION_OPENING && now_ms >= connection->due_ms &&
			(connection->connected || !try_ipv4(connection)))
			end(connection,
				connection->connected ? "no CONNACK came in time" : "no answer came in time");
		break;
	case CONNECTION_UP:
		/* Hung up both ways, and nothing to read: no acknowledgement can leave any more. */
		if ((revents & (POLLERR | POLLHUP)) != 0 && (revents & POLLIN) == 0) {
			note_close(connection);
			end(connection, "the broker closed it");
		}
		break;
	case CONNECTION_CLOSING: advance_closing(connection, revents); break;
	}
}

bool connection_read(struct connection *connection)
{
	errno = 0;
	const int rc = mosquitto_loop_read(connection->mosquitto, 1);
	/* It found the socket empty if its last read said so. OpenSSL reads ahead, and poll() cannot tell of
	 * what it holds. */
	const bool empty = errno == EAGAIN || errno == EWOULDBLOCK;
	if (over(connection, rc))
		return false;
	connection->more = connection->collects && !empty;
	return !empty;
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
	if (write_queued(connection) && cork)
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
	if (!over(connection, mosquitto_loop_misc(connection->mosquitto)) &&
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

const char *connection_state_name(enum connection_state state)
{
	return state_names[state];
}

struct mosquitto *connection_mosquitto(const struct connection *connection)
{
	return connection->state == CONNECTION_UP ? connection->mosquitto : NULL;
}
