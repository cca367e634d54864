/*
 * opening.c - how a connection is opened, without blocking: see host_connection.h.
 *
 * Happy path: opening_start() makes a libmosquitto instance with a fresh token and starts TCP; as the socket
 * becomes ready, opening_advance() takes it through the TLS handshake, CONNECT and CONNACK, whose callback
 * makes it UP. Failure modes: all end the link by closing.c, which opens the next one after a delay; an
 * address of IPv6 that does not answer is followed by one of IPv4 at once.
 *
 * What libmosquitto 2.0 does and this file leans on: mosquitto_connect_bind_v5() with no host returns INVAL
 * but keeps the properties, which the non-blocking mosquitto_connect_bind_async() then sends (a name is still
 * resolved in that call); over TLS mosquitto_loop_read() advances the handshake. Before 2.0.15 nothing else
 * does, and it reports a dead socket there as success, so errors are looked up on the socket itself; since
 * then mosquitto_loop_write() would do it too.
 */
#include "connection_private.h"

#include "handler_token.h"
#include "log.h"
#include "settings.h"
#include "tls.h"
#include <errno.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* A broker that does not speak MQTT 5 says so, or just closes: after two closes without a word the other
 * version is tried. Not when it has spoken MQTT 5 before: then it is something before it that closes, a proxy
 * whose broker is away; and 3.1.1, once it works, would stay. */
void opening_choose_version(struct connection *connection)
{
	const bool handshake_done = connection->options.tls == NULL || connection->collects;
	if (connection->connack || connection->spoke_mqtt5 || !connection->connected || !handshake_done)
		return;
	if (++connection->silent_closes % 2 == 0)
		connection->mqtt5 = !connection->mqtt5;
}

/* A fresh token for each opening, so that no reconnect comes with an expired one. */
static int set_identity(struct connection *connection)
{
	const struct settings *settings = connection->options.settings;
	char *token = NULL;
	const int rc = handler_token(settings, (int64_t)time(NULL), &token);
	if (rc != 0) {
		snprintf(connection->reason, sizeof(connection->reason),
			"the handler's token cannot be %s: %s",
			settings->handler_token_file[0] != '\0' ? "read from HANDLER_TOKEN_FILE" : "signed",
			strerror(-rc));
		return MOSQ_ERR_AUTH;
	}
	const int set = mosquitto_username_pw_set(connection->mosquitto, "JWT", token);
	handler_token_free(token);
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
	connection_listen(connection);
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

void opening_start(struct connection *connection)
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
		closing_end(connection, strerror(errno));
		return;
	}
	int rc = configure(connection);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = connect_to_broker(connection);
	(void)closing_over(connection, rc);
}

/* libmosquitto tries a name's first address only. Where that is of IPv6 and nobody is there, IPv4 is tried at
 * once: many a "localhost" is ::1 first, and many a broker listens on 127.0.0.1. */
bool opening_try_ipv4(struct connection *connection)
{
	struct sockaddr_storage own;
	socklen_t size = sizeof(own);
	if (connection->ipv4 ||
		getsockname(mosquitto_socket(connection->mosquitto), (struct sockaddr *)&own, &size) != 0 ||
		own.ss_family != AF_INET6)
		return false;
	mosquitto_destroy(connection->mosquitto);
	connection->ipv4 = true;
	opening_start(connection);
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
		if (!opening_try_ipv4(connection))
			closing_end(connection, strerror(error));
		return false;
	}
	connection->connected = true;
	return true;
}

void opening_advance(struct connection *connection, short revents)
{
	if (!tcp_connected(connection, revents))
		return;
	/* CONNACK, and over TLS the handshake before it; callbacks may set UP. */
	if (closing_over(connection, mosquitto_loop_read(connection->mosquitto, 1)))
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
		!connection_write(connection))
		return;
	if (connection->state == CONNECTION_OPENING && (revents & (POLLERR | POLLHUP)) != 0) {
		char reason[REASON_SIZE] = "the broker closed it before its CONNACK";
		if (ssl != NULL && !connection->collects)
			tls_explain(connection->options.tls, connection->options.settings, reason);
		opening_choose_version(connection);
		closing_end(connection, reason);
	}
}
