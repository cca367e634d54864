/*
 * connection.c - see connection.h. Opening is opening.c's, ending closing.c's, libmosquitto wire.c's.
 */
#include "connection_private.h"

#include "figures.h"
#include <errno.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	RELEASE_MS =
		5, /* while more can be read, settled places are not released for so long: many go in one write */
	HUNG_UP_MS = 100, /* for who reads on, before a link is ended that the broker has hung up */
};

_Static_assert((int)CONNECTION_UP == FIGURES_CONNECTION_UP &&
		       (int)CONNECTION_CLOSING + 1 == FIGURES_CONNECTION_STATES,
	"the figures name all states");
_Static_assert(CONNECTION_NO_PLACE == GATE_NO_PLACE, "the gate's number");

int connection_new(const struct connection_options *options, struct connection **ret)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return -ENOMEM;
	connection->options = *options;
	connection->mqtt5 = !options->old_version || !atomic_load(options->old_version);
	connection->connack = -1;
	connection->local_fd = -1;
	*ret = connection;
	return 0;
}

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	if (connection->way || connection->gate) {
		connection->wanted = false;
		closing_end(connection, "");
	}
	free(connection);
}

void connection_want(struct connection *connection, bool want, int64_t now_ms)
{
	connection->now_ms = now_ms;
	connection->wanted = want;
	if (want && connection->state == CONNECTION_IDLE) {
		connection->state = CONNECTION_WAITING;
		if (connection->due_ms < now_ms)
			connection->due_ms = now_ms;
	} else if (!want && (connection->way || connection->state == CONNECTION_CLOSING)) {
		closing_end(connection, "");
	} else if (!want) {
		connection->state = CONNECTION_IDLE;
	}
}

void connection_drop(struct connection *connection, int64_t now_ms)
{
	if (!connection->way || connection->state == CONNECTION_CLOSING)
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

/* MQTT 5.0, section 3.14.2.2.2: a DISCONNECT may say that the session is to be kept for less time, or not at all. */
static void queue_disconnect(struct connection *connection)
{
	mosquitto_property *properties = NULL;
	/* Without memory it says nothing of that, and the session ends by itself. */
	if (connection->options.tries && connection->mqtt5)
		(void)mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
	mosquitto_disconnect_v5(connection->mosquitto, 0, properties);
	mosquitto_property_free_all(&properties);
}

void connection_disconnect(struct connection *connection)
{
	connection->wanted = false;
	if (connection->state != CONNECTION_UP) {
		connection_want(connection, false, connection->now_ms);
		return;
	}
	connection->disconnects = true;
	queue_disconnect(connection);
	if (!wire_take(connection) || !closing_write(connection))
		return;
	closing_let_go(connection, "");
}

void connection_fail(struct connection *connection, const char *reason)
{
	if (connection->failed)
		return;
	connection->failed = true;
	snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
}

void connection_served(struct connection *connection)
{
	connection->failures = 0;
	connection->outage_ms = 0;
}

/* Whether the window has room for another place. */
static bool has_room(const struct connection *connection)
{
	return connection->options.window == 0 || gate_held(connection->gate) < connection->options.window;
}

void connection_poll(struct connection *connection, bool read, struct pollfd *ret_poll)
{
	const uint8_t *bytes;
	*ret_poll = (struct pollfd){.fd = -1};
	if (!connection->way)
		return;
	const bool writes = connection->gate && gate_output(connection->gate, &bytes) > 0;
	connection->reads = connection->thirsty_ms == 0 &&
			    (connection->state != CONNECTION_UP || (read && has_room(connection)));
	/* Nothing that poll() tells of it is new. */
	if (connection->hung_up_ms != 0 && !connection->reads && !writes)
		return;
	way_poll(connection->way, connection->reads, writes, ret_poll);
	if (connection->state == CONNECTION_UP && !connection->reads && connection->hung_up_ms == 0)
		ret_poll->events |= POLLRDHUP;
}

static int64_t earlier_ms(int64_t one_ms, int64_t other_ms)
{
	return one_ms < other_ms ? one_ms : other_ms;
}

int64_t connection_due_ms(const struct connection *connection)
{
	const int64_t thirsty_ms = connection->thirsty_ms != 0 ? connection->thirsty_ms : INT64_MAX;
	switch (connection->state) {
	case CONNECTION_IDLE: return INT64_MAX;
	case CONNECTION_UP: {
		const int64_t release_ms =
			connection->settled_ms != 0 ? connection->settled_ms + RELEASE_MS : INT64_MAX;
		const int64_t hung_up_ms = connection->hung_up_ms != 0 && !connection->reads
						   ? connection->hung_up_ms + HUNG_UP_MS
						   : INT64_MAX;
		const int64_t due_ms = earlier_ms(release_ms, gate_due_ms(connection->gate));
		return connection->failed ? 0 : earlier_ms(due_ms, earlier_ms(thirsty_ms, hung_up_ms));
	}
	case CONNECTION_OPENING: {
		const int64_t way_ms = connection->mosquitto ? thirsty_ms : way_due_ms(connection->way);
		return earlier_ms(way_ms, connection->due_ms);
	}
	case CONNECTION_WAITING:
	case CONNECTION_CLOSING: return connection->due_ms;
	}
	abort();
}

/* False: the link has ended. */
static bool end_if_failed(struct connection *connection)
{
	if (!connection->failed)
		return true;
	char reason[REASON_SIZE];
	snprintf(reason, sizeof(reason), "%s", connection->reason);
	closing_end(connection, reason);
	return false;
}

/* Whether the broker has hung up (FIN or RST), and nobody is going to read what came before. While something is read, its end is found
 * by reading. While nothing is, the owner has HUNG_UP_MS to go on: PUBACKs of events may stand there, or a DISCONNECT that says why.
 * After that the link ends with all that is unread in it: no PUBACK can leave on it any more, so what stands there at QoS 1 comes
 * again on the next one in any case, and the sooner that opens the better. */
static bool is_hung_up(struct connection *connection, short revents)
{
	const bool told = (revents & (POLLERR | POLLHUP | POLLRDHUP)) != 0 && (revents & POLLIN) == 0;
	if (connection->reads)
		return told;
	if (told && connection->hung_up_ms == 0)
		connection->hung_up_ms = connection->now_ms;
	return connection->hung_up_ms != 0 && connection->now_ms - connection->hung_up_ms >= HUNG_UP_MS;
}

static void serve_up(struct connection *connection, short revents)
{
	if (!end_if_failed(connection))
		return;
	if (is_hung_up(connection, revents)) {
		closing_end(connection, "the broker closed it");
		return;
	}
	if (gate_tick(connection->gate, connection->reads && has_room(connection), connection->now_ms) != 0)
		closing_end(connection, gate_reason(connection->gate));
	else {
		way_serve(connection->way, revents, connection->now_ms);
		closing_write_out(connection);
	}
}

void connection_serve(struct connection *connection, short revents, int64_t now_ms)
{
	connection->now_ms = now_ms;
	if (now_ms >= connection->thirsty_ms)
		connection->thirsty_ms = 0;
	switch (connection->state) {
	case CONNECTION_IDLE: break;
	case CONNECTION_WAITING:
		if (now_ms >= connection->due_ms)
			opening_start(connection);
		break;
	case CONNECTION_OPENING: opening_advance(connection, revents); break;
	case CONNECTION_UP: serve_up(connection, revents); break;
	case CONNECTION_CLOSING: closing_advance(connection, revents); break;
	}
}

bool connection_read(struct connection *connection)
{
	uint8_t *bytes;
	/* What was read before comes first. */
	if (connection->more)
		return wire_tell(connection) || (connection->state == CONNECTION_UP && !connection->failed);
	const size_t room = wire_room(connection, &bytes);
	const ssize_t got = room > 0 ? way_read(connection->way, bytes, room) : -EAGAIN;
	if (got == -EAGAIN)
		return false;
	if (got <= 0) {
		closing_end(connection,
			got == 0 ? "the broker closed it without a word" : way_reason(connection->way));
		return false;
	}
	gate_received(connection->gate, (size_t)got);
	const bool more = wire_tell(connection);
	if (connection->state != CONNECTION_UP || connection->failed)
		return false;
	return more || (size_t)got == room || way_pending(connection->way);
}

bool connection_pending(const struct connection *connection)
{
	return connection->state == CONNECTION_UP &&
	       (connection->more || (connection->thirsty_ms == 0 && way_pending(connection->way)));
}

static void release(struct connection *connection)
{
	const size_t count = gate_release(connection->gate);
	/* What has stayed, without memory, is tried again. */
	connection->settled_ms = gate_releasable(connection->gate) ? connection->now_ms : 0;
	/* The window has room again for what was read and could not be told. */
	connection->more = connection->more || (count > 0 && gate_hungry(connection->gate));
	if (count > 0 && connection->options.callbacks->released)
		connection->options.callbacks->released(connection->options.owner, count);
}

void connection_flush(struct connection *connection)
{
	if (!end_if_failed(connection) || !wire_take(connection))
		return;
	if (gate_releasable(connection->gate)) {
		if (connection->settled_ms == 0)
			connection->settled_ms = connection->now_ms;
		if (!connection_pending(connection) ||
			connection->now_ms - connection->settled_ms >= RELEASE_MS)
			release(connection);
	}
	closing_write_out(connection);
}

void connection_settle(struct connection *connection, uint64_t place)
{
	gate_settle(connection->gate, place);
}

size_t connection_held(const struct connection *connection)
{
	return connection->gate ? gate_held(connection->gate) : 0;
}

enum connection_state connection_state(const struct connection *connection)
{
	return connection->state;
}

void connection_ended(const struct connection *connection, struct connection_end *ret)
{
	*ret = (struct connection_end){
		.reason = connection->reason,
		.reached = connection->reached,
		.connack = connection->connack,
		.mqtt5 = connection->mqtt5,
	};
}

int64_t connection_up_since_ms(const struct connection *connection)
{
	return connection->state == CONNECTION_UP ? connection->up_since_ms : INT64_MAX;
}

int64_t connection_alive_since_ms(const struct connection *connection)
{
	if (connection->state != CONNECTION_UP)
		return INT64_MAX;
	struct pollfd closed = {.fd = way_socket(connection->way), .events = POLLRDHUP};
	return poll(&closed, 1, 0) == 0 ? connection->up_since_ms : INT64_MAX;
}

struct mosquitto *connection_mosquitto(const struct connection *connection)
{
	return connection->state == CONNECTION_UP ? connection->mosquitto : NULL;
}
