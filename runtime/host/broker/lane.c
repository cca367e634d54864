/*
 * lane.c - see lane.h.
 */
#include "lane.h"

#include "clock.h"
#include "command.h"
#include "connection.h"
#include "copies.h"
#include "failpoint.h"
#include "figures.h"
#include "former.h"
#include "log.h"
#include "settings.h"
#include "spare.h"
#include "subscriptions.h"
#include <errno.h>
#include <stdlib.h>

enum {
	READS_PER_TURN = 4, /* bursts, so that one here does not keep events and other lanes waiting */
	STALL_MS = 20,	    /* nothing has come or was released for that long .. */
	STALL_SETTLED = 8,  /* .. and so many settled places are held: the broker's own window is full */
	IDLE_MS = 1000,	    /* the same: nobody sends more than is done */
	BLOCKED_PART = 4,   /* one place of so many .. */
	BLOCKED_EACH = 8,   /* .. or so many for each user at work: that is no accident of who came first */
};

struct lane {
	struct lane_options options;
	struct figures_lane *figures; /* on the board */
	struct connection *connection;
	struct subscriptions *subscriptions;
	struct former former;
	char client_id[ROUTE_CLIENT_ID_SIZE];
	bool wanted, stopping, stopped;
	bool forgets; /* nothing of the link that is being closed is kept: this host has stood by meanwhile */
	const char *give_up_reason; /* not NULL: the link is to be dropped */
	int64_t now_ms;		    /* of this turn */

	struct places places;	 /* of this link */
	struct place *unsettled; /* all places before it have settled; NULL: all */
	size_t settled;		 /* places held that have */
	size_t parked;		 /* of these, with their command in the store */
	int64_t moved_ms;	 /* the last message, or PUBACK */
	struct copies *copies;
	struct spare spare;
};

/* ---- Places ---- */

static void free_place(struct lane *lane, struct place *place, bool released)
{
	lane->options.callbacks->freed(lane->options.owner, place, released);
	spare_give(&lane->spare, place);
}

static void forget_kept(void *owner, struct place *place)
{
	free_place(owner, place, false);
}

static bool is_parked(const struct place *place)
{
	return place->settled && place->end == COMMAND_PARKED;
}

static void add_place(struct lane *lane, struct place *place)
{
	places_append(&lane->places, place);
	lane->moved_ms = lane->now_ms;
	lane->settled += place->settled;
	lane->parked += is_parked(place);
	if (!lane->unsettled && !place->settled)
		lane->unsettled = place;
}

struct place *lane_hold(struct lane *lane, uint64_t number, uint16_t mid, uint64_t user, uint64_t fingerprint)
{
	struct place *place = spare_take(&lane->spare);
	if (!place)
		return NULL;
	*place = (struct place){.number = number,
		.mid = mid,
		.user = user,
		.fingerprint = fingerprint,
		.arrived_us = clock_us()};
	add_place(lane, place);
	return place;
}

bool lane_hold_settled(struct lane *lane, uint64_t number, uint16_t mid)
{
	struct place *place = lane_hold(lane, number, mid, 0, 0);
	if (!place)
		return false;
	place->ignored = true;
	lane_settle(lane, place, 0);
	return true;
}

struct place *lane_take_copy(
	struct lane *lane, uint64_t number, uint16_t mid, bool dup, uint64_t user, uint64_t fingerprint)
{
	if (copies_any(lane->copies) && !dup)
		copies_end(lane->copies);
	if (!copies_any(lane->copies))
		return NULL;
	struct place *place = copies_take(lane->copies, mid, user, fingerprint);
	if (!place)
		return NULL;
	place->number = number;
	add_place(lane, place);
	if (place->settled)
		connection_settle(lane->connection, number);
	return place;
}

struct place *lane_held_place(const struct lane *lane, uint16_t mid)
{
	struct place *place = lane->places.last;
	while (place && place->mid != mid)
		place = place->previous;
	return place;
}

void lane_settle(struct lane *lane, struct place *place, unsigned end)
{
	place->command = NULL;
	place->end = (uint8_t)end;
	place->settled = true;
	if (place->kept)
		return;
	lane->settled++;
	lane->parked += is_parked(place);
	while (lane->unsettled && lane->unsettled->settled)
		lane->unsettled = lane->unsettled->next;
	/* A link that is being left releases nothing more. */
	if (connection_state(lane->connection) == CONNECTION_UP)
		connection_settle(lane->connection, place->number);
}

const struct place *lane_oldest(const struct lane *lane)
{
	return lane->unsettled;
}

/* Then it is this host that reads no more. */
static bool is_full(const struct lane *lane)
{
	return lane->places.count >= lane->options.settings->window;
}

bool lane_stalls(const struct lane *lane, int64_t now_ms)
{
	return now_ms >= lane_stalls_at_ms(lane);
}

/* What is settled before the oldest unsettled place leaves with the next flush: what is left is behind it. */
int64_t lane_stalls_at_ms(const struct lane *lane)
{
	return lane->unsettled && lane->settled >= STALL_SETTLED && !is_full(lane) ? lane->moved_ms + STALL_MS
										   : INT64_MAX;
}

bool lane_is_idle(const struct lane *lane, int64_t now_ms)
{
	return !is_full(lane) && now_ms - lane->moved_ms >= IDLE_MS;
}

bool lane_is_blocked(const struct lane *lane, size_t users, int64_t now_ms)
{
	const size_t done = lane->settled - lane->parked;
	return done * BLOCKED_PART >= lane->places.count || done >= users * BLOCKED_EACH ||
	       lane_stalls(lane, now_ms) || lane_is_idle(lane, now_ms);
}

size_t lane_held(const struct lane *lane)
{
	return lane->places.count;
}

void lane_stepped_aside(struct lane *lane)
{
	figures_add(&lane->figures->stepped_aside, 1);
}

/* ---- The connection's callbacks ---- */

static void lane_on_up(void *owner, const struct connection_terms *terms)
{
	struct lane *lane = owner;
	/* By whichever host of this supervisor: the session is for all of them. */
	const bool had_one = FIGURES_GET(lane->figures->connection.opened) > 0;
	figures_up(&lane->figures->connection, lane->now_ms);
	FIGURES_SET(lane->figures->session_expiry_s, terms->session_expiry_s);
	if (!terms->session_present) {
		figures_add(&lane->figures->sessions_lost, had_one);
		if (had_one)
			log_warn("session_lost", "the broker has forgotten the session and what waited in it",
				LOG_TEXT("connection", lane->options.routes->name));
		copies_end(lane->copies);
	}
	lane->moved_ms = lane->now_ms;
	if (former_begin(&lane->former, terms))
		subscriptions_start(lane->subscriptions, connection_mosquitto(lane->connection), terms->mqtt5,
			lane->now_ms);
}

static void lane_on_down(void *owner, bool was_up)
{
	struct lane *lane = owner;
	figures_down(&lane->figures->connection, was_up, false);
	lane->give_up_reason = NULL;
	lane->unsettled = NULL;
	lane->settled = lane->parked = 0;
	if (!was_up)
		return;
	copies_keep(lane->copies, &lane->places);
	if (lane->forgets)
		copies_end(lane->copies);
	lane->forgets = false;
	subscriptions_reset(lane->subscriptions, lane->wanted && !lane->stopping);
}

static void lane_on_message(void *owner, const struct mosquitto_message *message,
	const mosquitto_property *properties, uint64_t number, bool dup)
{
	struct lane *lane = owner;
	if (lane->give_up_reason)
		return; /* one before it could not be held: all that follows comes again */
	lane->options.callbacks->message(lane->options.owner, message, properties, number, dup);
}

static void lane_on_oversized(void *owner, const struct mosquitto_message *message, uint64_t number, bool dup)
{
	struct lane *lane = owner;
	if (!lane->give_up_reason)
		lane->options.callbacks->oversized(lane->options.owner, message, number, dup);
}

static void lane_on_released(void *owner, size_t count)
{
	struct lane *lane = owner;
	const int64_t now_us = clock_us();
	figures_add(&lane->figures->acknowledged, count);
	lane->moved_ms = lane->now_ms;
	while (count-- > 0) {
		struct place *place = lane->places.first;
		places_remove(&lane->places, place);
		lane->settled--;
		lane->parked -= is_parked(place);
		figures_observe(&lane->figures->hold, (uint64_t)(now_us - place->arrived_us));
		free_place(lane, place, true);
	}
}

static void lane_on_subscribed(void *owner, int mid, int count, const int *granted)
{
	struct lane *lane = owner;
	if (subscriptions_granted(lane->subscriptions, mid, count, granted, lane->now_ms) != 0)
		connection_fail(lane->connection, "its SUBACK does not answer the SUBSCRIBE");
	else if (subscriptions_ready(lane->subscriptions))
		former_end(&lane->former, connection_mosquitto(lane->connection));
}

static void lane_on_unsubscribed(void *owner, int mid, const mosquitto_property *properties)
{
	(void)properties;
	const struct lane *lane = owner;
	if (mid != lane->former.mid)
		subscriptions_unsubscribed(lane->subscriptions);
}

static const struct connection_owner callbacks = {
	.up = lane_on_up,
	.down = lane_on_down,
	.message = lane_on_message,
	.oversized = lane_on_oversized,
	.released = lane_on_released,
	.subscribed = lane_on_subscribed,
	.unsubscribed = lane_on_unsubscribed,
};

/* ---- Public ---- */

/* A constant client id: the session is found again by it. Lanes other than main have ids of their own. */
int lane_new(const struct lane_options *options, struct lane **ret)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	if (!lane)
		return -ENOMEM;
	lane->options = *options;
	lane->figures = &options->figures->lanes[figures_lane_place(options->figures, options->routes->name)];
	FIGURES_SET(lane->figures->filters, (uint32_t)options->routes->route_count);
	routes_client_id(options->routes, options->settings->client_id, lane->client_id);
	const struct connection_options connection = {
		.label = options->routes->name,
		.client_id = lane->client_id,
		.persistent = true,
		.holds = true,
		.window = options->settings->window,
		.old_version = &lane->figures->connection.old_version,
		.settings = options->settings,
		.resolver = options->resolver,
		.callbacks = &callbacks,
		.owner = lane,
	};
	lane->copies = copies_new(forget_kept, lane);
	lane->subscriptions = subscriptions_new(options->routes);
	lane->former = (struct former){.routes = options->routes,
		.group = options->settings->shared_group,
		.groups = options->former_groups};
	if (!lane->copies || !lane->subscriptions || connection_new(&connection, &lane->connection) != 0) {
		lane_free(lane);
		return -ENOMEM;
	}
	*ret = lane;
	return 0;
}

void lane_free(struct lane *lane)
{
	if (!lane)
		return;
	if (lane->connection)
		connection_want(lane->connection, false, lane->now_ms);
	copies_free(lane->copies);
	connection_free(lane->connection);
	subscriptions_free(lane->subscriptions);
	spare_free(&lane->spare);
	free(lane);
}

static bool may_read(const struct lane *lane, bool reads)
{
	return reads && !lane->stopping && !lane->give_up_reason;
}

void lane_poll(struct lane *lane, bool reads, struct pollfd *ret_poll)
{
	connection_poll(lane->connection, may_read(lane, reads), ret_poll);
}

int64_t lane_due_ms(const struct lane *lane, bool reads)
{
	if (connection_pending(lane->connection) && may_read(lane, reads))
		return 0;
	const int64_t due_ms = connection_due_ms(lane->connection);
	const int64_t retry_ms = subscriptions_due_ms(lane->subscriptions);
	return retry_ms < due_ms ? retry_ms : due_ms;
}

void lane_serve(struct lane *lane, short revents, bool reads, int64_t now_ms)
{
	lane->now_ms = now_ms;
	const bool was_up = connection_state(lane->connection) == CONNECTION_UP;
	connection_serve(lane->connection, revents, now_ms);
	if (!was_up || connection_state(lane->connection) != CONNECTION_UP)
		return;
	if ((revents & POLLIN) != 0 || connection_pending(lane->connection))
		for (unsigned i = 0; i < READS_PER_TURN && may_read(lane, reads); i++)
			if (!connection_read(lane->connection) ||
				connection_state(lane->connection) != CONNECTION_UP)
				break;
	if (connection_state(lane->connection) == CONNECTION_UP)
		subscriptions_retry(lane->subscriptions, connection_mosquitto(lane->connection), now_ms);
}

static void drop(struct lane *lane)
{
	log_warn("lane_dropped", "the lane's connection is dropped, nothing held is acknowledged",
		LOG_TEXT("lane", lane->options.routes->name), LOG_TEXT("reason", lane->give_up_reason),
		LOG_INT("held", lane->places.count));
	figures_add(&lane->figures->dropped, 1);
	lane->give_up_reason = NULL;
	if (!lane->stopping) {
		connection_drop(lane->connection, lane->now_ms);
		return;
	}
	connection_leave(lane->connection, lane->now_ms);
	lane->stopped = true;
}

void lane_flush(struct lane *lane, int64_t now_ms)
{
	lane->now_ms = now_ms;
	if (lane->give_up_reason) {
		drop(lane);
		return;
	}
	if (connection_state(lane->connection) != CONNECTION_UP) {
		/* A link that is lost while the lane stops is not opened again: what was held is left to the broker. */
		if (lane->stopping && !lane->stopped)
			lane_stop(lane, now_ms);
		return;
	}
	const bool releases = lane->places.first && lane->places.first->settled;
	if (releases)
		failpoint("before_acknowledgement");
	connection_flush(lane->connection);
	if (releases)
		failpoint("after_acknowledgement");
	if (lane->stopping && !lane->stopped && lane->places.count == 0 &&
		connection_state(lane->connection) == CONNECTION_UP) {
		connection_disconnect(lane->connection);
		lane->stopped = true;
	}
}

void lane_want(struct lane *lane, bool want, int64_t now_ms)
{
	lane->now_ms = now_ms;
	if (lane->stopping || want == lane->wanted)
		return;
	lane->wanted = want;
	if (want)
		connection_want(lane->connection, true, now_ms);
	else
		connection_leave(lane->connection, now_ms);
}

void lane_give_up(struct lane *lane, const char *reason)
{
	if (!lane->give_up_reason && connection_state(lane->connection) == CONNECTION_UP)
		lane->give_up_reason = reason;
}

void lane_tell(const struct lane *lane, bool standby)
{
	struct figures_lane *figures = lane->figures;
	FIGURES_SET(figures->connection.state, (uint32_t)connection_state(lane->connection));
	FIGURES_SET(figures->connection.standby, standby);
	FIGURES_SET(figures->granted, (uint32_t)subscriptions_granted_count(lane->subscriptions));
	FIGURES_SET(figures->held, lane->places.count);
	FIGURES_SET(figures->unsettled, lane->places.count - lane->settled);
	FIGURES_SET(figures->oldest_ms, lane->unsettled ? lane->unsettled->arrived_us / 1000 : 0);
}

bool lane_ready(const struct lane *lane)
{
	return connection_state(lane->connection) == CONNECTION_UP &&
	       subscriptions_ready(lane->subscriptions);
}

int64_t lane_alive_since_ms(const struct lane *lane)
{
	return connection_alive_since_ms(lane->connection);
}

void lane_stop(struct lane *lane, int64_t now_ms)
{
	lane->stopping = true;
	if (connection_state(lane->connection) != CONNECTION_UP) {
		connection_leave(lane->connection, now_ms);
		lane->stopped = true;
	}
}

bool lane_stopped(const struct lane *lane)
{
	const enum connection_state state = connection_state(lane->connection);
	return lane->stopping && state != CONNECTION_UP && state != CONNECTION_CLOSING;
}

size_t lane_abandon(struct lane *lane, int64_t now_ms)
{
	const size_t left = lane->places.count;
	lane->stopping = lane->stopped = true;
	connection_want(lane->connection, false, now_ms);
	return left;
}

void lane_stand_by(struct lane *lane, int64_t now_ms)
{
	lane_want(lane, false, now_ms);
	/* Places of a link that is still being closed are kept when it ends. */
	lane->forgets = connection_state(lane->connection) == CONNECTION_CLOSING;
	copies_end(lane->copies);
}

const char *lane_client_id(const struct lane *lane)
{
	return lane->client_id;
}

void lane_unsubscribe_stale(struct lane *lane, const char *topic)
{
	struct mosquitto *mosquitto = connection_mosquitto(lane->connection);
	if (mosquitto && subscriptions_drop_stale(lane->subscriptions, mosquitto, topic))
		former_drop(&lane->former, mosquitto, topic);
}
