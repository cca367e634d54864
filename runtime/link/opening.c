/*
 * opening.c - how a link is opened, without blocking: see connection.h.
 *
 * Happy path: opening_start() starts the way; when that is open, and the broker's name is checked, the local end opens, and
 * libmosquitto's CONNECT goes out with the token that came with the way; its callback makes the connection UP. Failure modes:
 * all end the link by closing.c, which opens the next one after a delay.
 */
#include "connection_private.h"

#include "settings.h"
#include <errno.h>
#include <string.h>

enum { PACKET_MARGIN = 256 * 1024 }; /* of a PUBLISH, beside its payload */

void opening_start(struct connection *connection)
{
	connection->reason[0] = '\0';
	connection->server_reason = 0;
	connection->reached = false;
	connection->connack = -1;
	connection->failed = false;
	connection->reads = true;
	connection->more = false;
	connection->disconnects = false;
	connection->settled_ms = 0;
	connection->thirsty_ms = 0;
	connection->hung_up_ms = 0;
	connection->state = CONNECTION_OPENING;
	connection->due_ms = connection->now_ms + CONNECTION_OPEN_MS;
	broker_names_at(connection->options.settings->broker_host, connection->number, connection->host);
	connection->settings = *connection->options.settings;
	connection->settings.broker_host = connection->host;
	const struct settings *settings = &connection->settings;
	const size_t window = connection->options.window != 0 ? connection->options.window : UINT16_MAX;
	const struct way_options options = {
		.settings = settings,
		.resolver = connection->options.resolver,
		.label = connection->options.label,
	};
	int error = gate_new(
		connection->options.holds, window, settings->payload_max + PACKET_MARGIN, &connection->gate);
	if (error == 0)
		error = way_new(&options, connection->now_ms, &connection->way);
	if (error != 0)
		closing_end(connection, strerror(-error));
}

/* What the broker says before the connection is UP: a CONNACK, and perhaps what follows it. */
static void read_welcome(struct connection *connection)
{
	uint8_t *bytes;
	const size_t room = wire_room(connection, &bytes);
	if (room == 0)
		return;
	const ssize_t got = way_read(connection->way, bytes, room);
	if (got == -EAGAIN)
		return;
	if (got <= 0) {
		closing_end_unwelcome(connection,
			got == 0 ? "the broker closed it before its CONNACK" : way_reason(connection->way));
		return;
	}
	gate_received(connection->gate, (size_t)got);
	while (wire_tell(connection) && connection->state == CONNECTION_OPENING)
		continue;
}

static void advance_way(struct connection *connection, short revents)
{
	if (way_state(connection->way) == WAY_OPENING)
		way_serve(connection->way, revents, connection->now_ms);
	if (way_state(connection->way) == WAY_FAILED) {
		closing_end(connection, way_reason(connection->way));
		return;
	}
	if (way_state(connection->way) != WAY_OPEN || !wire_open(connection))
		return;
	wire_watch_peer(connection, connection->options.settings->keepalive_s);
	connection->reached = true;
	if (wire_take(connection))
		closing_write_out(connection);
}

void opening_advance(struct connection *connection, short revents)
{
	if (!connection->mosquitto)
		advance_way(connection, revents);
	else if (closing_write(connection))
		read_welcome(connection);
	if (connection->state != CONNECTION_OPENING || connection->now_ms < connection->due_ms)
		return;
	way_give_up(connection->way);
	closing_end_unwelcome(
		connection, connection->mosquitto ? "no CONNACK came in time" : way_reason(connection->way));
}
