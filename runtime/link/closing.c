/*
 * closing.c - how a connection ends: see host_connection.h.
 *
 * A link that breaks, or is not wanted any more, ends at once: its libmosquitto instance is destroyed with
 * all that is queued in it, log and owner are told, and the next one is due after a delay that doubles. One
 * that we let go, and whose session is persistent, is CLOSING until the broker has read what was written to
 * it. Failure modes: a broker that does not close in CONNECTION_FAREWELL_MS is given up; one that gave our
 * session to another host makes the connection a standby.
 */
#include "clock.h"
#include "connection_private.h"
#include "random.h"

#include "log.h"
#include "settings.h"
#include "tls.h"
#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STEADY_MS = 2000,     /* a link that lasted that long starts again with the shortest delay */
	TAKEOVER_RETRIES = 3, /* in this many times STANDBY_RETRY: a host that waits comes back after 1.25 */
};

/* Exponential, half of it jitter: hosts that lost the same broker do not come back in step. */
static unsigned next_delay_ms(struct connection *connection, bool taken_over)
{
	if (taken_over) {
		const unsigned retry_ms = connection->options.settings->standby_retry_s * 1000;
		return retry_ms - retry_ms / 4 + random_below(retry_ms / 2);
	}
	const unsigned full =
		backoff_ms(connection->failures++, CONNECTION_DELAY_MIN_MS, CONNECTION_DELAY_MAX_MS);
	return full / 2 + random_below(full / 2);
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

void closing_end(struct connection *connection, const char *reason)
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
void closing_note(struct connection *connection)
{
	if (connection->options.callbacks->witness != NULL && connection->server_reason == 0)
		takeover_lost(&connection->takeover, connection->now_ms);
}

/* Whether the link that is due to be opened was another host's doing: then it waits on. */
bool closing_stands_by(struct connection *connection)
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
bool closing_over(struct connection *connection, int rc)
{
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(connection->mosquitto) >= 0)
		return false;
	const int error = errno;
	char reason[REASON_SIZE];
	if (connection->state == CONNECTION_OPENING)
		opening_choose_version(connection);
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
		closing_note(connection);
	closing_end(connection, reason);
	return true;
}

/*
 * A socket that is closed while data lies unread in it resets the connection, and the broker then drops
 * acknowledgements that it has not read yet: so what still comes is read, and thrown away, until the broker
 * has closed as well. What is queued and not written, as held acknowledgements are, goes with libmosquitto's
 * client, which is gone by then.
 */
void closing_let_go(struct connection *connection, const char *reason)
{
	const int fd = connection->state == CONNECTION_UP && connection->options.persistent
			       ? fcntl(mosquitto_socket(connection->mosquitto), F_DUPFD_CLOEXEC, 0)
			       : -1;
	if (fd < 0) {
		closing_end(connection, reason);
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

/* Writes what is queued and DISCONNECT, unless the client is gone, after which libmosquitto closes its
 * socket; then waits for the broker's end. */
void closing_advance(struct connection *connection, short revents)
{
	const int fd = connection->farewell_fd;
	if (connection->mosquitto != NULL && mosquitto_socket(connection->mosquitto) >= 0) {
		if (mosquitto_loop_write(connection->mosquitto, 1) != MOSQ_ERR_SUCCESS) {
			closing_end(connection, "");
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
			closing_end(connection, connection->reason);
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
	closing_end(connection, connection->reason);
}
