/*
 * closing.c - how a link ends: see connection.h.
 *
 * A link that breaks, or is not wanted any more, ends at once: its way, gate and libmosquitto instance are destroyed with all
 * that is queued in them, log and owner are told, and the next one is due after a delay. One that we let go, and whose session
 * is persistent, is CLOSING until the broker has read what was written to it. Failure modes: a broker that does not close in
 * CONNECTION_FAREWELL_MS is given up; one that gave our session to another client is asked again after STANDBY_RETRY.
 */
#include "connection_private.h"

#include "clock.h"
#include "log.h"
#include "settings.h"
#include <errno.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STEADY_MS = 2000,  /* a link that lasted that long starts again with the shortest delay */
	OUTAGE_MS = 60000, /* from then on the delays grow on */
};

/* Half of it is jitter: hosts that lost the same broker do not come back in step. */
static unsigned next_delay_ms(struct connection *connection, bool taken_over)
{
	if (taken_over) {
		const unsigned retry_ms = connection->options.settings->standby_retry_s * 1000;
		return retry_ms - retry_ms / 4 + random_below(retry_ms / 2);
	}
	const bool lasts =
		connection->outage_ms != 0 && connection->now_ms - connection->outage_ms >= OUTAGE_MS;
	const unsigned delay_ms = backoff_ms(connection->failures++, CONNECTION_DELAY_MIN_MS,
		lasts ? CONNECTION_DELAY_LATER_MS : CONNECTION_DELAY_MAX_MS);
	return (unsigned)clock_jitter_ms(delay_ms);
}

static void log_lost(const struct connection *connection, bool was_up, const char *reason, unsigned delay_ms)
{
	log_warn(was_up ? "broker_lost" : "broker_unreachable",
		was_up ? "the connection to the broker is gone" : "cannot connect to the broker",
		LOG_TEXT("connection", connection->options.label), LOG_TEXT("broker", connection->host),
		LOG_INT("port", connection->options.settings->broker_port), LOG_TEXT("reason", reason),
		LOG_INT("retry_ms", delay_ms));
}

static void log_taken_over(const struct connection *connection, unsigned delay_ms)
{
	log_warn("session_taken_over",
		"another client of the broker uses this client id, and has taken the session over",
		LOG_TEXT("connection", connection->options.label),
		LOG_TEXT("client_id", connection->options.client_id), LOG_INT("retry_ms", delay_ms));
}

static void destroy_link(struct connection *connection)
{
	mosquitto_destroy(connection->mosquitto);
	connection->mosquitto = NULL;
	if (connection->local_fd >= 0)
		close(connection->local_fd);
	connection->local_fd = -1;
	gate_free(connection->gate);
	connection->gate = NULL;
	way_free(connection->way);
	connection->way = NULL;
}

/* The broker that a link was lost to is tried first. Where an attempt fails it is the next one's turn; not where this one only speaks another version. */
static void choose_broker(struct connection *connection, bool was_up)
{
	const bool other_version = connection->connack == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION;
	if (!was_up && !other_version)
		connection->number = (connection->number + 1) %
				     broker_names_count(connection->options.settings->broker_host);
}

void closing_end(struct connection *connection, const char *reason)
{
	const bool was_up = connection->state == CONNECTION_UP || connection->state == CONNECTION_CLOSING;
	const bool taken_over = connection->server_reason == MQTT_RC_SESSION_TAKEN_OVER;
	char told[REASON_SIZE];
	/* It may stand in what is going to be destroyed, or in the connection itself. */
	snprintf(told, sizeof(told), "%s", reason);
	snprintf(connection->reason, sizeof(connection->reason), "%s", told);
	destroy_link(connection);
	const bool steady = was_up && connection->now_ms - connection->up_since_ms >= STEADY_MS;
	if (steady)
		connection->failures = 0;
	if (steady || connection->outage_ms == 0)
		connection->outage_ms = connection->now_ms;
	connection->state = connection->wanted ? CONNECTION_WAITING : CONNECTION_IDLE;
	connection->failed = false;
	connection->more = false;
	connection->settled_ms = 0;
	if (connection->wanted) {
		choose_broker(connection, was_up);
		const unsigned delay_ms = next_delay_ms(connection, taken_over);
		connection->due_ms = connection->now_ms + delay_ms;
		if (taken_over)
			log_taken_over(connection, delay_ms);
		else
			log_lost(connection, was_up, told, delay_ms);
	} else {
		/* What made its owner drop it at once may do so again, as soon as it is wanted again. */
		connection->due_ms = connection->now_ms;
		if (was_up && !steady)
			connection->due_ms += next_delay_ms(connection, false);
	}
	connection->options.callbacks->down(connection->options.owner, was_up);
}

/* A broker that does not speak MQTT 5 says so, or just closes: after two ends without a CONNACK the other version is tried. Not
 * when it has spoken MQTT 5 before: then it is something before it that closes, a proxy whose broker is away; and 3.1.1, once
 * it works, would stay. */
void closing_end_unwelcome(struct connection *connection, const char *reason)
{
	if (connection->connack < 0 && !connection->spoke_mqtt5 && connection->reached &&
		++connection->silent_closes % 2 == 0)
		connection->mqtt5 = !connection->mqtt5;
	closing_end(connection, reason);
}

bool closing_over(struct connection *connection, int code)
{
	if (code == MOSQ_ERR_SUCCESS && mosquitto_socket(connection->mosquitto) >= 0)
		return false;
	const int error = errno;
	char reason[REASON_SIZE];
	if (connection->reason[0] != '\0')
		snprintf(reason, sizeof(reason), "%s", connection->reason);
	else if (connection->server_reason != 0)
		snprintf(reason, sizeof(reason), "the broker closed it: %s",
			mosquitto_reason_string(connection->server_reason));
	else if (code == MOSQ_ERR_ERRNO)
		snprintf(reason, sizeof(reason), "%s", strerror(error));
	else
		snprintf(reason, sizeof(reason), "%s",
			code == MOSQ_ERR_SUCCESS ? "the broker closed it" : mosquitto_strerror(code));
	/* What it said instead of a CONNACK is no better than silence. */
	if (connection->state == CONNECTION_OPENING && code != MOSQ_ERR_NOMEM)
		closing_end_unwelcome(connection, reason);
	else
		closing_end(connection, reason);
	return true;
}

bool closing_write(struct connection *connection)
{
	const uint8_t *bytes;
	size_t size;
	while ((size = gate_output(connection->gate, &bytes)) > 0) {
		const ssize_t taken = way_write(connection->way, bytes, size);
		if (taken == -EAGAIN) {
			gate_sent(connection->gate, 0, connection->now_ms);
			return true;
		}
		if (taken < 0) {
			closing_end(connection, way_reason(connection->way));
			return false;
		}
		gate_sent(connection->gate, (size_t)taken, connection->now_ms);
	}
	return true;
}

void closing_write_out(struct connection *connection)
{
	if (!closing_write(connection))
		return;
}

/* A socket that is closed while data lies unread in it resets the connection, and the broker then drops acknowledgements that
 * it has not read yet: so what still comes is read, and thrown away, until the broker has closed as well. */
void closing_let_go(struct connection *connection, const char *reason)
{
	if (connection->state != CONNECTION_UP || !connection->options.persistent) {
		closing_end(connection, reason);
		return;
	}
	mosquitto_destroy(connection->mosquitto);
	connection->mosquitto = NULL;
	snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
	connection->state = CONNECTION_CLOSING;
	connection->thirsty_ms = 0;
	connection->hung_up_ms = 0;
	connection->due_ms = connection->now_ms + CONNECTION_FAREWELL_MS;
	closing_advance(connection, 0);
}

void closing_advance(struct connection *connection, short revents)
{
	const uint8_t *bytes;
	char nothing[4096];
	if (!closing_write(connection))
		return;
	if (gate_output(connection->gate, &bytes) == 0)
		way_shutdown(connection->way);
	/* Past TLS: what comes is not looked at. */
	ssize_t got = (revents & ~POLLOUT) != 0 ? 1 : -1;
	errno = EAGAIN;
	while (got > 0)
		got = recv(way_socket(connection->way), nothing, sizeof(nothing), MSG_DONTWAIT);
	if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		closing_end(connection, connection->reason);
		return;
	}
	if (connection->now_ms < connection->due_ms)
		return;
	log_warn("farewell_unanswered",
		"the broker did not close in time: acknowledgements that it had not read may be lost, and their commands come again",
		LOG_TEXT("connection", connection->options.label),
		LOG_INT("waited_ms", CONNECTION_FAREWELL_MS));
	closing_end(connection, connection->reason);
}
