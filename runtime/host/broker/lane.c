/*
 * lane.c - see host_lane.h.
 */
#include "lane.h"

#include "arrival.h"
#include "backlogs.h"
#include "command.h"
#include "connection.h"
#include "context.h"
#include "egress.h"
#include "failpoint.h"
#include "host_group.h"
#include "log.h"
#include "pool.h"
#include "settings.h"
#include "store_watch.h"
#include "subscriptions.h"
#include "users.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	READS_PER_TURN = 32,   /* so that a burst here does not keep events and other lanes waiting */
	HOLD_MS = 3000,	       /* after connecting, when it has begun to */
	REDELIVERY_MS = 30000, /* after connecting, when a broker has long sent again what it sends again */
};


struct lane {
	struct host *host;
	struct figures_lane *figures; /* on the board */
	const struct route_lane *routes;
	struct connection *connection;
	struct lane_users *users;
	struct subscriptions *subscriptions;
	char client_id[ROUTE_CLIENT_ID_SIZE];
	bool stopping, stopped;
	const char *give_up_reason; /* not NULL: the connection is to be dropped */

	struct group group;

	int64_t hold_until_ms;	     /* then what is held of an earlier connection's is held no more */
	int64_t redelivery_until_ms; /* INT64_MAX: nothing of an earlier connection is kept */
	size_t unacknowledged;	     /* QoS 0 commands under way */

	bool loading, loaded;	       /* what is parked: asked for; known, so that it may connect */
	struct parked_marks *parked;   /* until no copy of them comes any more; else NULL */
	int64_t last_position;	       /* of what was parked */
	int64_t acknowledged_position; /* what is parked up to there was acknowledged by this host */
	int64_t copied_position;       /* of what is parked, to be acknowledged with the group */
	int64_t unheld_position;       /* what is parked up to there waits for no acknowledgement any more */
};

/* ---- What is parked ---- */

static void forget_parked(struct lane *lane)
{
	parked_marks_free(lane->parked);
	lane->parked = NULL;
}

void lane_loaded(struct lane *lane, struct parked_marks *marks)
{
	lane->loading = false;
	forget_parked(lane);
	if (marks->error != 0 || parked_load(&lane->host->parked, lane, marks) != 0) {
		parked_marks_free(marks);
		return;
	}
	if (marks->last_position > lane->last_position)
		lane->last_position = marks->last_position;
	parked_marks_acknowledged(marks, lane->acknowledged_position);
	lane->parked = marks;
	lane->loaded = true;
	parked_unhold(&lane->host->parked);
}

bool lane_awaits_parked(const struct lane *lane)
{
	return lane->parked != NULL && lane->parked->copy_count > 0;
}

bool lane_take_parked(struct lane *lane, uint16_t mid, uint64_t key, struct parked_copy *ret)
{
	return parked_marks_take(lane->parked, mid, key, ret);
}

void lane_acknowledge_parked(struct lane *lane, const struct parked_copy *copy)
{
	if (copy->position > lane->copied_position)
		lane->copied_position = copy->position;
}

bool lane_holds(const struct lane *lane, int64_t held_position)
{
	return !lane->loaded || held_position > lane->unheld_position;
}

/* What was held for it may be claimed. */
static void unhold(struct lane *lane, int64_t position)
{
	if (position <= lane->unheld_position)
		return;
	lane->unheld_position = position;
	if (lane->host->parked.held != NULL) {
		parked_unhold(&lane->host->parked);
		worker_pool_wake(lane->host->pool);
	}
}

/* No copy comes any more: what was parked before the lane connected has been acknowledged, by whichever host. */
static void end_redelivery(struct lane *lane)
{
	if (lane->parked != NULL)
		unhold(lane, lane->parked->last_position);
	forget_parked(lane);
}

size_t lane_before(struct lane *lane, const struct command *command, unsigned char *ret, size_t max)
{
	size_t count = 0;
	for (const struct held *earlier = lane->group.first; earlier != NULL && earlier != command->held;
		earlier = earlier->group_next) {
		if (earlier->user != command->held->user)
			continue;
		if (count < max)
			parked_before_write(ret + count * PARKED_BEFORE_SIZE, earlier->mid, earlier->key);
		count++;
	}
	return count;
}

bool lane_overtaken(const struct lane *lane, const struct command *command)
{
	(void)lane;
	const struct held *held = command->held;
	for (const struct held *later = held->group_next; later != NULL; later = later->group_next)
		if (later->user == held->user &&
			(later->command == NULL || later->command->state != COMMAND_WAITING))
			return true;
	return false;
}

int64_t lane_next_position(struct lane *lane)
{
	const int64_t now_us = host_unix_ms() * 1000;
	lane->last_position = now_us > lane->last_position ? now_us : lane->last_position + 1;
	return lane->last_position;
}

/* ---- The group ---- */

int lane_attach(struct lane *lane, struct command *command)
{
	return group_add(&lane->group, command);
}

struct held *lane_in_flight(const struct lane *lane, uint16_t mid)
{
	return group_in_flight(&lane->group, mid);
}

void lane_join(struct lane *lane, struct held *held)
{
	group_join(&lane->group, held);
}

void lane_unlist(struct lane *lane, struct held *held)
{
	group_unlist(&lane->group, held);
}

void lane_settled(struct lane *lane, struct command *command)
{
	struct held *held = command->held;
	if (held == NULL)
		return;
	group_settle(&lane->group, held);
	/* Too late for the broker to send it again: a copy would be another command. */
	if (!held->attached && lane->redelivery_until_ms == INT64_MAX &&
		connection_state(lane->connection) == CONNECTION_UP)
		group_unlist(&lane->group, held);
}

void lane_forget(struct lane *lane, struct command *command)
{
	if (command->held != NULL)
		group_forget(&lane->group, command->held);
}

static bool reads_on(const struct lane *lane)
{
	return !lane->stopping;
}

static bool may_read(struct lane *lane)
{
	return !lane->stopping && lane->give_up_reason == NULL && !suspects_quiet(lane->host) &&
	       group_reads(&lane->group);
}

static void count_acknowledged(void *context, const struct held *held)
{
	struct lane *lane = context;
	command_count(lane->host, (enum command_end)held->end);
	if (held->position > lane->copied_position)
		lane->copied_position = held->position;
}

/* Of what is parked, all that was read so far is acknowledged with the group. */
static void release(struct lane *lane)
{
	const struct group *group = &lane->group;
	if (group->count > 0) {
		const int64_t held_ms = lane->host->now_ms - group->started_ms;
		figures_add(&lane->figures->acknowledged, group->count);
		board_count(&lane->host->board->released, group->count);
		figures_observe(&lane->figures->hold, (uint64_t)held_ms * 1000);
	}
	group_release(&lane->group, count_acknowledged, lane);
	if (lane->copied_position > lane->acknowledged_position)
		lane->acknowledged_position = lane->copied_position;
	unhold(lane, lane->acknowledged_position);
}

static void flush(struct lane *lane, bool many)
{
	/* A write drains the whole queue, so nothing may be read until it is empty: an acknowledgement would
	 * leave early. */
	connection_flush(lane->connection, many);
	if (connection_state(lane->connection) == CONNECTION_UP)
		group_flushed(&lane->group, !connection_want_write(lane->connection));
}

bool lane_waits(const struct lane *lane)
{
	return group_waits(&lane->group) || lane->stopping;
}

void lane_flush(struct lane *lane)
{
	if (lane->give_up_reason != NULL) {
		const char *reason = lane->give_up_reason;
		lane->give_up_reason = NULL;
		log_warn("lane_dropped", "the lane's connection is dropped, nothing held is acknowledged",
			LOG_TEXT("lane", lane->routes->name), LOG_TEXT("reason", reason),
			LOG_INT("held", lane->group.count));
		figures_add(&lane->figures->dropped, 1);
		if (lane->stopping) {
			connection_leave(lane->connection, lane->host->now_ms);
			lane->stopped = true;
		} else {
			connection_drop(lane->connection, lane->host->now_ms);
		}
		return;
	}
	if (connection_state(lane->connection) != CONNECTION_UP || lane->group.phase == GROUP_FLUSHING)
		return;
	if (group_drained(&lane->group, reads_on(lane)) && connection_want_write(lane->connection)) {
		const bool many = lane->group.count > 1;
		if (lane->group.count > 0)
			failpoint("before_acknowledgement");
		release(lane);
		flush(lane, many);
		failpoint("after_acknowledgement");
	}
	if (lane->stopping && lane->group.count == 0 && lane->group.phase != GROUP_FLUSHING &&
		!lane->stopped) {
		connection_disconnect(lane->connection);
		lane->stopped = true;
	}
}

/* How long a group may hold acknowledgements, until groups go. */
static int64_t group_limit_ms(unsigned keepalive_s)
{
	const unsigned half_s = keepalive_s / 2;
	return (keepalive_s == 0 || half_s > 22 ? 20 : half_s > 3 ? half_s - 2 : 1) * 1000;
}

/* ---- The connection's callbacks ---- */

static void lane_on_up(void *owner, const struct connection_terms *terms)
{
	struct lane *lane = owner;
	figures_up(&lane->figures->connection, lane->host->now_ms);
	if (!terms->session_present) {
		group_unlist_detached(&lane->group, true);
		end_redelivery(lane);
	}
	lane->redelivery_until_ms = lane->host->now_ms + REDELIVERY_MS;
	lane->hold_until_ms = lane->host->now_ms + HOLD_MS;
	lane->group.limit_ms = group_limit_ms(terms->keepalive_s);
	subscriptions_start(lane->subscriptions, connection_mosquitto(lane->connection), terms->mqtt5,
		lane->host->now_ms);
}

/* The broker sends it again; what has begun keeps its result for the copy. */
static void forget_idle(struct command *command)
{
	if ((command->state == COMMAND_RETRYING || command->state == COMMAND_WAITING) &&
		command->user == NULL)
		command_forget(command);
}

/* What the connection's end means for the group, and for what waits: the broker sends all of it again. */
static void forget_group(struct lane *lane)
{
	lane->give_up_reason = NULL;
	if (lane->stopping)
		board_count(&lane->host->board->account.left, lane->group.count);
	subscriptions_reset(lane->subscriptions);
	/* What has not begun is taken back from the workers, to be forgotten with the rest. */
	struct command *command = worker_pool_take_back(lane->host->pool, lane), *next;
	for (; command != NULL; command = next) {
		next = command->job_next;
		command_take_back(command);
	}
	group_detach(&lane->group, forget_idle);
	for (command = users_take_idle(lane->users); command != NULL; command = next) {
		next = command->user_next;
		command_forget(command);
	}
}

static void lane_on_down(void *owner, bool was_up, bool taken_over)
{
	struct lane *lane = owner;
	lane->loaded = false;
	figures_down(&lane->figures->connection, was_up, taken_over);
	if (was_up)
		forget_group(lane);
	/* Another host has the session now, and acknowledges: packet identifiers will mean other commands. */
	if (taken_over)
		group_unlist_detached(&lane->group, true);
}

/* It connects only when it knows whose commands are parked: what comes from these users goes behind. */
static bool lane_may_open(void *owner)
{
	struct lane *lane = owner;
	if (!lane->loaded && !lane->loading)
		lane->loading = store_watch_load(lane->host->store_watch, lane->client_id);
	return lane->loaded;
}

static int64_t lane_witness(void *owner)
{
	const struct lane *lane = owner;
	return egress_up_since_ms(lane->host->egress);
}

static void lane_on_message(
	void *owner, const struct mosquitto_message *message, const mosquitto_property *properties)
{
	struct lane *lane = owner;
	arrival_take(lane, message, properties);
}

static void lane_on_subscribed(void *owner, int mid, int count, const int *granted)
{
	struct lane *lane = owner;
	subscriptions_granted(lane->subscriptions, mid, count, granted, lane->host->now_ms);
}

static void lane_on_unsubscribed(void *owner, int mid, const mosquitto_property *properties)
{
	(void)mid;
	(void)properties;
	struct lane *lane = owner;
	log_info("unsubscribed", "a filter that no handler wants is unsubscribed",
		LOG_TEXT("lane", lane->routes->name));
}

static const struct connection_owner callbacks = {
	.up = lane_on_up,
	.down = lane_on_down,
	.may_open = lane_may_open,
	.witness = lane_witness,
	.message = lane_on_message,
	.subscribed = lane_on_subscribed,
	.unsubscribed = lane_on_unsubscribed,
};

/* ---- Public ---- */

/* A constant client id: the session is found again by it. Lanes other than main have ids of their own. */
int lane_new(struct host *host, const struct route_lane *routes, struct lane **ret)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		return -ENOMEM;
	lane->host = host;
	lane->routes = routes;
	lane->figures = &host->board->figures.lanes[figures_lane_place(&host->board->figures, routes->name)];
	FIGURES_SET(lane->figures->filters, (uint32_t)routes->route_count);
	lane->hold_until_ms = INT64_MAX;
	group_init(&lane->group, host, group_limit_ms(host->settings->keepalive_s));
	routes_client_id(routes, host->settings->client_id, lane->client_id);
	const struct connection_options options = {
		.label = routes->name,
		.client_id = lane->client_id,
		.persistent = true,
		.receive_maximum = host->settings->window,
		.settings = host->settings,
		.tls = host->tls,
		.callbacks = &callbacks,
		.owner = lane,
	};
	lane->users = users_new();
	lane->subscriptions = subscriptions_new(routes);
	if (lane->users == NULL || lane->subscriptions == NULL ||
		connection_new(&options, &lane->connection) != 0) {
		lane_free(lane);
		return -ENOMEM;
	}
	*ret = lane;
	return 0;
}

void lane_free(struct lane *lane)
{
	if (lane == NULL)
		return;
	if (lane->connection != NULL)
		connection_want(lane->connection, false, lane->host->now_ms);
	group_unlist_detached(&lane->group, true);
	forget_parked(lane);
	group_free(&lane->group);
	connection_free(lane->connection);
	users_free(lane->users);
	subscriptions_free(lane->subscriptions);
	free(lane);
}

void lane_poll(struct lane *lane, struct pollfd *ret_poll)
{
	connection_poll(lane->connection, may_read(lane), lane->group.phase == GROUP_FLUSHING, ret_poll);
}

int64_t lane_due_ms(struct lane *lane)
{
	/* While acknowledgements are held the keepalive must wait: what is due is the group. A lane that
	 * stops does not linger: it reads no more. */
	const bool held = lane->group.count > 0 || lane->group.phase == GROUP_FLUSHING;
	int64_t due_ms = held && connection_state(lane->connection) == CONNECTION_UP
				 ? group_due_ms(&lane->group, reads_on(lane))
				 : connection_due_ms(lane->connection);
	if (connection_pending(lane->connection) && may_read(lane))
		due_ms = 0;
	if (lane->host->parked.held != NULL && connection_state(lane->connection) == CONNECTION_UP &&
		lane->hold_until_ms < due_ms)
		due_ms = lane->hold_until_ms;
	const int64_t retry_ms = subscriptions_due_ms(lane->subscriptions);
	return retry_ms < due_ms ? retry_ms : due_ms;
}

static void read_commands(struct lane *lane)
{
	for (unsigned i = 0; i < READS_PER_TURN && may_read(lane); i++)
		if (!connection_read(lane->connection) ||
			connection_state(lane->connection) != CONNECTION_UP) {
			group_caught_up(&lane->group);
			return;
		}
}

void lane_serve(struct lane *lane, short revents)
{
	const int64_t now_ms = lane->host->now_ms;
	const bool was_up = connection_state(lane->connection) == CONNECTION_UP;
	connection_serve(lane->connection, revents, now_ms);
	if (!was_up || connection_state(lane->connection) != CONNECTION_UP)
		return;
	if (group_too_old(&lane->group)) {
		/* Few unsettled ones are slow by themselves; that many were too many to read. */
		if (lane->group.unsettled >= lane->host->settings->workers)
			group_shrink(&lane->group);
		lane_give_up(lane, lane->group.count > 0 ? "a command is unfinished at the group's age "
							   "limit; results are kept for its redelivery"
							 : "the broker does not take the acknowledgements");
		return;
	}
	if (now_ms >= lane->hold_until_ms) {
		lane->hold_until_ms = INT64_MAX;
		if (lane->parked != NULL)
			unhold(lane, lane->parked->last_position);
	}
	if (now_ms >= lane->redelivery_until_ms) {
		lane->redelivery_until_ms = INT64_MAX;
		group_unlist_detached(&lane->group, false);
		end_redelivery(lane);
	}
	if (lane->group.phase == GROUP_FLUSHING && (revents & POLLOUT) != 0)
		flush(lane, true);
	if (connection_state(lane->connection) == CONNECTION_UP &&
		((revents & POLLIN) != 0 || connection_pending(lane->connection)))
		read_commands(lane);
	if (connection_state(lane->connection) != CONNECTION_UP)
		return;
	subscriptions_retry(lane->subscriptions, connection_mosquitto(lane->connection), now_ms);
	if (lane->group.phase == GROUP_EMPTY && now_ms >= connection_due_ms(lane->connection) &&
		!connection_want_write(lane->connection))
		connection_keepalive(lane->connection);
}

void lane_want(struct lane *lane, bool want)
{
	if (lane->stopping)
		return;
	if (want)
		connection_want(lane->connection, true, lane->host->now_ms);
	else
		connection_leave(lane->connection, lane->host->now_ms);
}

void lane_give_up(struct lane *lane, const char *reason)
{
	if (lane->give_up_reason == NULL && connection_state(lane->connection) == CONNECTION_UP)
		lane->give_up_reason = reason;
}

void lane_tell(struct lane *lane)
{
	struct figures_lane *figures = lane->figures;
	struct group *group = &lane->group;
	FIGURES_SET(figures->connection.state, (uint32_t)connection_state(lane->connection));
	FIGURES_SET(figures->granted, (uint32_t)subscriptions_granted_count(lane->subscriptions));
	FIGURES_SET(figures->held, group->count);
	FIGURES_SET(figures->unsettled, group->unsettled);
	FIGURES_SET(figures->oldest_ms, group_oldest_ms(group));
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

void lane_stop(struct lane *lane)
{
	lane->stopping = true;
	if (connection_state(lane->connection) != CONNECTION_UP) {
		connection_leave(lane->connection, lane->host->now_ms);
		lane->stopped = true;
	}
}

bool lane_stopped(const struct lane *lane)
{
	const enum connection_state state = connection_state(lane->connection);
	return state != CONNECTION_UP && state != CONNECTION_CLOSING;
}

void lane_abandon(struct lane *lane)
{
	lane->stopping = true;
	lane->stopped = true;
	connection_want(lane->connection, false, lane->host->now_ms);
}

struct host *lane_host(const struct lane *lane)
{
	return lane->host;
}

const char *lane_client_id(const struct lane *lane)
{
	return lane->client_id;
}

const struct route_lane *lane_routes(const struct lane *lane)
{
	return lane->routes;
}

struct lane_users *lane_users(struct lane *lane)
{
	return lane->users;
}

void lane_unsubscribe_stale(struct lane *lane, const char *topic)
{
	struct mosquitto *mosquitto = connection_mosquitto(lane->connection);
	if (mosquitto != NULL)
		subscriptions_drop_stale(lane->subscriptions, mosquitto, topic);
}

bool lane_add_unacknowledged(struct lane *lane)
{
	if (lane->unacknowledged >= lane->host->settings->window)
		return false;
	lane->unacknowledged++;
	return true;
}

void lane_remove_unacknowledged(struct lane *lane)
{
	lane->unacknowledged--;
}
