/*
 * egress.c - see egress.h.
 *
 *   first ... sent, waiting for PUBACK ... | next ... not yet sent ... last
 */
#include "egress.h"

#include "call.h"
#include "clock.h"
#include "connection.h"
#include "failpoint.h"
#include "figures.h"
#include "log.h"
#include "random.h"
#include "settings.h"
#include <errno.h>
#include <mqtt_protocol.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MID_BUCKETS = 1024,
	CLIENT_ID_SIZE = 96,
	SUSPECT_LOSSES = 2,
	CONDEMN_LOSSES = 5,
	READS_PER_TURN = 4,
	SILENCE_MS = 10000,    /* a broker that PUBACKs nothing for that long is given up: the keepalive would
				  take longer to notice */
	IN_FLIGHT_MAX = 32768, /* packet identifiers are 16 bits, and libmosquitto does not look whether one
				  is taken */
	BYTES_IN_FLIGHT = 256 * 1024, /* libmosquitto has two copies of each payload: one to send, and one
					 until the PUBACK */
	FULL_BYTES = 1024 * 1024,
	WINDOW_MAX =
		512, /* at each PUBACK libmosquitto looks at all messages in flight. With thousands it does nothing else,
			     which makes the PUBACKs late and yet more wait: so never more than this, however late they come. A broker
			     that is 100 ms away still takes 5,000 a second. When half are through the next ones go, in full
			     segments */
	PACKET_OVERHEAD = 144, /* of a PUBLISH: 10 bytes of headers and the longest "{user}/{event}"; not what
				  a command brings, its Response Topic and Correlation Data */
};

struct egress {
	struct egress_options options;
	struct figures_egress *figures; /* on the board */
	struct connection *connection;
	char client_id[CLIENT_ID_SIZE];
	bool mqtt5;
	unsigned window;
	unsigned in_flight;
	size_t bytes_in_flight; /* of their payloads */
	bool many;		/* WINDOW_MAX are in flight, or were, and half still is */
	size_t count;		/* of events in the list */
	size_t bytes;		/* of their payloads */
	bool full;
	int64_t read_at_ms;    /* when PUBACKs are waited for, at the latest */
	bool read_now;	       /* they are waited for in this turn */
	int64_t now_ms;	       /* of this turn */
	int64_t progress_ms;   /* the last PUBACK, or when the first event went out */
	unsigned losses;       /* that count against the first event, in a row */
	int64_t first_sent_ms; /* the first event, on this connection or the last one */
	bool dropped;	       /* by ourselves */
	bool accused;	       /* the last connection was lost with the first event in flight */
	struct call_event *first, *last, *next;
	struct call_event *by_mid[MID_BUCKETS]; /* linked by mid_next */
};

/* ---- The list ---- */

static void append(struct egress *egress, struct call_event *event)
{
	event->next = NULL;
	event->previous = egress->last;
	if (egress->last)
		egress->last->next = event;
	else
		egress->first = event;
	egress->last = event;
	egress->count++;
	egress->bytes += event->payload_size;
	if (!egress->next)
		egress->next = event;
}

static void unlink_event(struct egress *egress, struct call_event *event)
{
	if (egress->next == event)
		egress->next = event->next;
	if (event->previous)
		event->previous->next = event->next;
	else
		egress->first = event->next;
	if (event->next)
		event->next->previous = event->previous;
	else
		egress->last = event->previous;
	event->next = event->previous = NULL;
	egress->count--;
	egress->bytes -= event->payload_size;
}

static struct call_event *take_by_mid(struct egress *egress, int mid)
{
	struct call_event **at = &egress->by_mid[mid % MID_BUCKETS];
	while (*at && (*at)->mid != mid)
		at = &(*at)->mid_next;
	struct call_event *event = *at;
	if (event)
		*at = event->mid_next;
	return event;
}

/* ---- Sending ---- */

static void finish(struct egress *egress, struct call_event *event, const char *reason, bool permanent)
{
	unlink_event(egress, event);
	figures_add(reason ? &egress->figures->refused : &egress->figures->published, 1);
	if (reason)
		log_warn("event_refused", "an event was refused", LOG_TEXT("event_topic", event->topic),
			LOG_INT("bytes", event->payload_size), LOG_TEXT("topic", event->cause),
			LOG_TEXT("reason", reason));
	egress->options.ended(egress->options.owner, event, reason, permanent);
}

static int send_event(
	struct egress *egress, struct mosquitto *mosquitto, struct call_event *event, int *ret_mid)
{
	mosquitto_property *properties = NULL;
	if (egress->mqtt5 && event->correlation &&
		mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, event->correlation,
			event->correlation_size) != MOSQ_ERR_SUCCESS)
		return MOSQ_ERR_NOMEM;
	const int code = mosquitto_publish_v5(mosquitto, ret_mid, event->topic, (int)event->payload_size,
		event->payload, 1, false, properties);
	mosquitto_property_free_all(&properties);
	return code;
}

static bool has_room(struct egress *egress)
{
	const unsigned window = egress->losses >= SUSPECT_LOSSES ? 1 : egress->window;
	egress->many = egress->in_flight >= (egress->many ? WINDOW_MAX / 2 : WINDOW_MAX);
	return egress->in_flight < window && !egress->many && egress->bytes_in_flight < BYTES_IN_FLIGHT;
}

/* Hands events to libmosquitto while the window has room. */
static void pump(struct egress *egress)
{
	struct mosquitto *mosquitto = connection_mosquitto(egress->connection);
	if (!mosquitto)
		return;
	while (egress->next && has_room(egress)) {
		struct call_event *event = egress->next;
		int mid = 0;
		failpoint("before_event");
		const int code = send_event(egress, mosquitto, event, &mid);
		if (code == MOSQ_ERR_NOMEM || code == MOSQ_ERR_NO_CONN)
			return;
		if (code != MOSQ_ERR_SUCCESS) {
			if (event == egress->first)
				egress->losses = 0;
			finish(egress, event,
				code == MOSQ_ERR_OVERSIZE_PACKET
					? "larger than the broker's Maximum Packet Size"
					: mosquitto_strerror(code),
				true);
			continue;
		}
		if (event == egress->first)
			egress->first_sent_ms = egress->now_ms;
		event->mid = (uint16_t)mid;
		event->mid_next = egress->by_mid[mid % MID_BUCKETS];
		egress->by_mid[mid % MID_BUCKETS] = event;
		egress->next = event->next;
		if (egress->in_flight++ == 0) {
			egress->progress_ms = egress->now_ms;
			egress->read_at_ms = egress->now_ms + EGRESS_READ_MS;
		}
		egress->bytes_in_flight += event->payload_size;
	}
}

/* ---- The connection's callbacks ---- */

/* Whether a lane's connection, which was there when the first event was sent, has outlived that of the egress. Asked on the
 * next connection: where the broker is gone, the lanes notice it at the same time. */
static bool broker_stayed(const struct egress *egress)
{
	return egress->options.witness(egress->options.owner) <= egress->first_sent_ms;
}

/* The connection is up again, after one that was lost with events in flight. */
static void judge_first(struct egress *egress)
{
	if (!egress->accused)
		return;
	egress->accused = false;
	if (!broker_stayed(egress) || ++egress->losses < CONDEMN_LOSSES)
		return;
	/* The next one is not sent in company either. */
	egress->losses = SUSPECT_LOSSES;
	finish(egress, egress->first, "the broker closes the connection whenever it is sent", true);
}

static void egress_on_up(void *owner, const struct connection_terms *terms)
{
	struct egress *egress = owner;
	figures_up(&egress->figures->connection, egress->now_ms);
	egress->mqtt5 = terms->mqtt5;
	egress->window = terms->receive_maximum < IN_FLIGHT_MAX ? terms->receive_maximum : IN_FLIGHT_MAX;
	size_t event_max = egress->options.settings->event_max;
	if (terms->packet_max < event_max + PACKET_OVERHEAD)
		event_max = terms->packet_max > PACKET_OVERHEAD ? terms->packet_max - PACKET_OVERHEAD : 0;
	atomic_store_explicit(egress->options.event_max, event_max, memory_order_relaxed);
	judge_first(egress);
}

/* What was in flight is sent again from the first on. */
static void egress_on_down(void *owner, bool was_up)
{
	struct egress *egress = owner;
	figures_down(&egress->figures->connection, was_up, false);
	figures_add(&egress->figures->repeated, egress->in_flight);
	if (was_up)
		egress->accused = egress->in_flight > 0 && !egress->dropped;
	egress->dropped = false;
	for (size_t i = 0; i < MID_BUCKETS; i++)
		egress->by_mid[i] = NULL;
	egress->in_flight = 0;
	egress->bytes_in_flight = 0;
	egress->next = egress->first;
}

/* Refusals that will be the same next time (MQTT 5.0 section 3.4.2.1); the others may pass. */
static bool permanent_refusal(int reason_code)
{
	return reason_code == MQTT_RC_NOT_AUTHORIZED || reason_code == MQTT_RC_TOPIC_NAME_INVALID ||
	       reason_code == MQTT_RC_PACKET_TOO_LARGE || reason_code == MQTT_RC_PAYLOAD_FORMAT_INVALID;
}

static void egress_on_published(void *owner, int mid, int reason_code)
{
	struct egress *egress = owner;
	struct call_event *event = take_by_mid(egress, mid);
	if (!event)
		return;
	failpoint("event_acknowledged");
	egress->in_flight--;
	egress->bytes_in_flight -= event->payload_size;
	if (egress->losses > 0) {
		/* It takes events: the one that it does not take is found out sooner. */
		connection_served(egress->connection);
		egress->losses = 0;
	}
	egress->progress_ms = egress->now_ms;
	const bool refused = reason_code >= 0x80;
	finish(egress, event, refused ? mosquitto_reason_string(reason_code) : NULL,
		refused && permanent_refusal(reason_code));
}

static const struct connection_owner callbacks = {
	.up = egress_on_up,
	.down = egress_on_down,
	.published = egress_on_published,
};

/* ---- Public ---- */

int egress_new(const struct egress_options *options, struct egress **ret)
{
	struct egress *egress = calloc(1, sizeof(*egress));
	if (!egress)
		return -ENOMEM;
	egress->options = *options;
	egress->figures = options->figures;
	egress->now_ms = clock_ms();
	/* It keeps no session, so its client id may differ from run to run. */
	snprintf(egress->client_id, sizeof(egress->client_id), "%s-egress-%08x", options->settings->client_id,
		random_below(UINT32_MAX));
	const struct connection_options connection = {
		.label = "egress",
		.client_id = egress->client_id,
		.old_version = &egress->figures->connection.old_version,
		.settings = options->settings,
		.resolver = options->resolver,
		.callbacks = &callbacks,
		.owner = egress,
	};
	const int error = connection_new(&connection, &egress->connection);
	if (error != 0) {
		free(egress);
		return error;
	}
	*ret = egress;
	return 0;
}

void egress_free(struct egress *egress)
{
	if (!egress)
		return;
	connection_free(egress->connection);
	free(egress);
}

void egress_start(struct egress *egress)
{
	connection_want(egress->connection, true, egress->now_ms);
}

void egress_publish(struct egress *egress, struct call_event *event)
{
	event->mid = 0;
	append(egress, event);
}

void egress_poll(struct egress *egress, bool urgent, int64_t now_ms, struct pollfd *ret_poll)
{
	egress->read_now = urgent || egress->in_flight == 0 || egress->next || now_ms >= egress->read_at_ms;
	connection_poll(egress->connection, egress->read_now, ret_poll);
}

int64_t egress_due_ms(const struct egress *egress)
{
	const int64_t due_ms = connection_due_ms(egress->connection);
	if (connection_pending(egress->connection))
		return 0;
	if (egress->in_flight == 0)
		return due_ms;
	const int64_t events_ms = egress->read_now ? egress->progress_ms + SILENCE_MS : egress->read_at_ms;
	return events_ms < due_ms ? events_ms : due_ms;
}

void egress_serve(struct egress *egress, short revents, int64_t now_ms)
{
	struct connection *connection = egress->connection;
	const bool was_up = connection_state(connection) == CONNECTION_UP;
	egress->now_ms = now_ms;
	connection_serve(connection, revents, now_ms);
	if (!was_up || connection_state(connection) != CONNECTION_UP)
		return;
	/* A process that was stopped finds more than its poll() has told it. */
	const bool silent = egress->in_flight > 0 && now_ms - egress->progress_ms >= SILENCE_MS;
	if ((revents & POLLIN) != 0 || (egress->in_flight > 0 && !egress->read_now) || silent ||
		connection_pending(connection)) {
		egress->read_at_ms = now_ms + EGRESS_READ_MS;
		for (int i = 0; i < READS_PER_TURN && connection_read(connection); i++)
			continue;
	}
	if (connection_state(connection) != CONNECTION_UP || egress->in_flight == 0 ||
		now_ms - egress->progress_ms < SILENCE_MS)
		return;
	log_warn("egress_silent", "the broker acknowledges no event: connecting anew",
		LOG_INT("in_flight", egress->in_flight), LOG_INT("silence_ms", SILENCE_MS));
	egress->dropped = true;
	connection_drop(connection, now_ms);
}

void egress_flush(struct egress *egress)
{
	pump(egress);
	if (connection_state(egress->connection) == CONNECTION_UP)
		connection_flush(egress->connection);
}

bool egress_full(struct egress *egress)
{
	egress->full = egress->bytes >= (egress->full ? FULL_BYTES / 2 : FULL_BYTES);
	return egress->full;
}

bool egress_idle(const struct egress *egress)
{
	return !egress->first;
}

bool egress_up(const struct egress *egress)
{
	return connection_state(egress->connection) == CONNECTION_UP;
}

void egress_tell(const struct egress *egress)
{
	struct figures_egress *figures = egress->figures;
	FIGURES_SET(figures->connection.state, (uint32_t)connection_state(egress->connection));
	FIGURES_SET(figures->unsent, egress->count - egress->in_flight);
	FIGURES_SET(figures->awaiting, egress->in_flight);
}

int64_t egress_up_since_ms(const struct egress *egress)
{
	return connection_up_since_ms(egress->connection);
}

void egress_stop(struct egress *egress)
{
	connection_disconnect(egress->connection);
}
