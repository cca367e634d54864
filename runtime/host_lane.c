/*
 * host_lane.c - see host_lane.h.
 */
#include "host_lane.h"

#include "failpoint.h"
#include "host_arrival.h"
#include "host_command.h"
#include "host_connection.h"
#include "host_context.h"
#include "host_egress.h"
#include "host_parked.h"
#include "host_store.h"
#include "host_subscriptions.h"
#include "host_users.h"
#include "log.h"
#include "settings.h"
#include "worker_pool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MID_BUCKETS = 1024,
	READS_PER_TURN = 32, /* so that a burst here does not keep events and other lanes waiting */
	LINGER_DOUBLINGS_MAX = 6,
	GROUP_BYTES_MAX =
		8 * 1024 *
		1024,	/* of payloads; the group grows to twice that at most, beside what one read brings */
	HOLD_MS = 3000, /* after connecting, when it has begun to */
	REDELIVERY_MS = 30000, /* after connecting, when a broker has long sent again what it sends again */
};

enum lane_phase { PHASE_EMPTY, PHASE_FILLING, PHASE_DRAINING, PHASE_LINGERING, PHASE_FULL, PHASE_FLUSHING };

_Static_assert((int)PHASE_FLUSHING + 1 == FIGURES_PHASES, "the figures name all phases");

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

	enum lane_phase phase;
	struct command *group, **group_end;
	size_t group_count; /* commands in the group: PUBACKs held */
	size_t group_unsettled;
	size_t group_bytes; /* of payloads */
	unsigned halvings;  /* of GROUP_MAX and WINDOW, after groups that grew too old */
	int64_t group_started_ms;
	int64_t drain_started_ms;
	unsigned group_limit_ms; /* age at which the connection is dropped */
	unsigned round;		 /* how often this group has lingered */
	size_t round_unsettled;	 /* unsettled commands that were there when the last lingering began */

	int64_t hold_until_ms;	     /* then what is held of an earlier connection's is held no more */
	int64_t redelivery_until_ms; /* INT64_MAX: nothing of an earlier connection is kept */
	size_t unacknowledged;	     /* QoS 0 commands under way */

	bool loading, loaded;	       /* what is parked: asked for; known, so that it may connect */
	struct parked_marks *parked;   /* until no copy of them comes any more; else NULL */
	int64_t last_position;	       /* of what was parked */
	int64_t acknowledged_position; /* what is parked up to there was acknowledged by this host */
	int64_t copied_position;       /* of what is parked, to be acknowledged with the group */
	int64_t unheld_position;       /* what is parked up to there waits for no acknowledgement any more */

	struct command *in_flight[MID_BUCKETS]; /* linked by table_next */
};

/* ---- The in-flight table --------------------------------------------------------------------------------
 */

struct command *lane_in_flight(const struct lane *lane, uint16_t mid)
{
	struct command *command = lane->in_flight[mid % MID_BUCKETS];
	while (command != NULL && command->mid != mid)
		command = command->table_next;
	return command;
}

void lane_unlist(struct lane *lane, struct command *command)
{
	if (!command->listed)
		return;
	struct command **at = &lane->in_flight[command->mid % MID_BUCKETS];
	while (*at != command)
		at = &(*at)->table_next;
	*at = command->table_next;
	command->listed = false;
}

/* Results of an earlier connection are worth keeping only while the broker will send these very commands
 * again: later the packet identifiers mean other commands. `running` ones are kept longer, so that no copy
 * runs beside its first. */
static void forget_results(struct lane *lane, bool running)
{
	for (size_t i = 0; i < MID_BUCKETS; i++) {
		struct command *command = lane->in_flight[i], *next;
		for (; command != NULL; command = next) {
			next = command->table_next;
			if (command->attached || (!running && command->state != COMMAND_SETTLED))
				continue;
			lane_unlist(lane, command);
			command_release(command);
		}
	}
}

/* ---- What is parked -------------------------------------------------------------------------------------
 */

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

/* No copy comes any more: what was parked before the lane connected has been acknowledged, by whichever host.
 */
static void end_redelivery(struct lane *lane)
{
	if (lane->parked != NULL)
		unhold(lane, lane->parked->last_position);
	forget_parked(lane);
}

size_t lane_before(struct lane *lane, const struct command *command, unsigned char *ret, size_t max)
{
	size_t count = 0;
	for (struct command *earlier = lane->group; earlier != NULL && earlier != command;
		earlier = earlier->group_next) {
		if (strcmp(earlier->input.user, command->input.user) != 0)
			continue;
		if (count < max)
			parked_before_write(
				ret + count * PARKED_BEFORE_SIZE, earlier->mid, command_key(earlier));
		count++;
	}
	return count;
}

bool lane_overtaken(const struct lane *lane, const struct command *command)
{
	(void)lane;
	for (const struct command *later = command->group_next; later != NULL; later = later->group_next)
		if (later->state != COMMAND_WAITING && strcmp(later->input.user, command->input.user) == 0)
			return true;
	return false;
}

int64_t lane_next_position(struct lane *lane)
{
	const int64_t now_us = host_unix_ms() * 1000;
	lane->last_position = now_us > lane->last_position ? now_us : lane->last_position + 1;
	return lane->last_position;
}

/* ---- The group ------------------------------------------------------------------------------------------
 */

static void group_reset(struct lane *lane)
{
	lane->group = NULL;
	lane->group_end = &lane->group;
	lane->group_count = 0;
	lane->group_unsettled = 0;
	lane->group_bytes = 0;
	lane->round = 0;
	lane->round_unsettled = 0;
	lane->phase = PHASE_EMPTY;
}

static void group_add(struct lane *lane, struct command *command)
{
	if (lane->group_count == 0) {
		lane->group_started_ms = lane->host->now_ms;
		lane->phase = PHASE_FILLING;
	}
	command->attached = true;
	command->round = lane->round;
	command->group_next = NULL;
	*lane->group_end = command;
	lane->group_end = &command->group_next;
	lane->group_count++;
	lane->group_bytes += command->input.payload_size;
	if (command->state != COMMAND_SETTLED)
		lane->group_unsettled++;
}

void lane_attach(struct lane *lane, struct command *command)
{
	struct command **bucket = &lane->in_flight[command->mid % MID_BUCKETS];
	command->table_next = *bucket;
	*bucket = command;
	command->listed = true;
	group_add(lane, command);
}

void lane_join(struct lane *lane, struct command *command)
{
	board_count(&lane->host->board->account.joined, 1);
	log_debug("command_joined", "a redelivered command joined the first, which is not run twice",
		LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
		LOG_TEXT("state", command_state_name(command->state)));
	if (!command->attached)
		group_add(lane, command);
}

void lane_settled(struct lane *lane, struct command *command)
{
	if (!command->attached) {
		/* Too late for the broker to send it again: a copy would be another command. */
		if (lane->redelivery_until_ms == INT64_MAX &&
			connection_state(lane->connection) == CONNECTION_UP)
			lane_unlist(lane, command);
		return;
	}
	lane->group_unsettled--;
	if (command->round == lane->round)
		return;
	/* What made the group linger is done: stop reading again, so that the rest can drain. */
	if (--lane->round_unsettled == 0 && lane->phase == PHASE_LINGERING) {
		lane->phase = PHASE_DRAINING;
		lane->drain_started_ms = lane->host->now_ms;
	}
}

/* Draining lasts longer each time it did not help, so that a stream of slowish commands comes to an end as
 * well. */
static int64_t linger_at_ms(const struct lane *lane)
{
	const unsigned doublings = lane->round < LINGER_DOUBLINGS_MAX ? lane->round : LINGER_DOUBLINGS_MAX;
	return lane->drain_started_ms + ((int64_t)LANE_LINGER_MS << doublings);
}

/* It has not drained. Reading on helps while workers are free: however many commands wait behind a slow one
 * of their user, those of others need not; but not so late that the rest cannot drain before the age limit.
 */
static void end_draining(struct lane *lane)
{
	const int64_t now_ms = lane->host->now_ms;
	if (now_ms - lane->group_started_ms >= lane->group_limit_ms / 2) {
		lane->phase = PHASE_FULL;
	} else if (lane->host->jobs < lane->host->settings->workers) {
		lane->phase = PHASE_LINGERING;
		lane->round++;
		lane->round_unsettled = lane->group_unsettled;
	} else {
		lane->drain_started_ms = now_ms;
	}
}

/* The number of commands at which reading stops. */
static size_t group_target(const struct lane *lane)
{
	const size_t target = lane->host->settings->group_max >> lane->halvings;
	return target > 0 ? target : 1;
}

/* The number that a lingering group grows to at most. */
static size_t group_window(const struct lane *lane)
{
	const size_t window = lane->host->settings->window >> lane->halvings;
	return window > 0 ? window : 1;
}

static void update_phase(struct lane *lane)
{
	const struct settings *settings = lane->host->settings;
	const int64_t now_ms = lane->host->now_ms;
	const bool enough = lane->group_count >= group_target(lane) || lane->group_bytes >= GROUP_BYTES_MAX ||
			    now_ms - lane->group_started_ms >= settings->group_ms;
	if (lane->phase == PHASE_FILLING && enough) {
		lane->phase = PHASE_DRAINING;
		lane->drain_started_ms = now_ms;
	}
	if (lane->phase == PHASE_DRAINING && now_ms >= linger_at_ms(lane))
		end_draining(lane);
	if (lane->phase == PHASE_LINGERING &&
		(lane->group_count >= group_window(lane) || lane->group_bytes >= 2 * (size_t)GROUP_BYTES_MAX))
		lane->phase = PHASE_FULL;
}

static bool may_read(struct lane *lane)
{
	if (lane->stopping || lane->give_up_reason != NULL || suspects_quiet(lane->host))
		return false;
	update_phase(lane);
	return lane->phase == PHASE_EMPTY || lane->phase == PHASE_FILLING || lane->phase == PHASE_LINGERING;
}

/* The whole group has settled: from here on each of its PUBACKs may be on the wire, so its commands are
 * forgotten. */
static void group_release(struct lane *lane)
{
	struct command *command = lane->group, *next;
	if (lane->group_count > 0) {
		const int64_t held_ms = lane->host->now_ms - lane->group_started_ms;
		figures_add(&lane->figures->groups, 1);
		figures_add(&lane->figures->acknowledged, lane->group_count);
		figures_observe(&lane->figures->held, (uint64_t)held_ms * 1000);
	}
	if (lane->halvings > 0 && lane->group_count >= group_target(lane))
		lane->halvings--;
	group_reset(lane);
	for (; command != NULL; command = next) {
		next = command->group_next;
		command->attached = false;
		command_count(command);
		if (command->position > lane->copied_position)
			lane->copied_position = command->position;
		lane_unlist(lane, command);
		command_release(command);
	}
	if (lane->copied_position > lane->acknowledged_position)
		lane->acknowledged_position = lane->copied_position;
	unhold(lane, lane->acknowledged_position);
}

static void flush(struct lane *lane, bool many)
{
	/* A write drains the whole queue, so nothing may be read until it is empty: an acknowledgement would
	 * leave early. */
	connection_flush(lane->connection, many);
	if (connection_state(lane->connection) != CONNECTION_UP)
		return;
	if (!connection_want_write(lane->connection)) {
		lane->phase = PHASE_EMPTY;
	} else if (lane->phase != PHASE_FLUSHING) {
		lane->phase = PHASE_FLUSHING;
		lane->group_started_ms = lane->host->now_ms;
	}
}

/* More than what drains in time was read: smaller groups from here on, until they drain again. Otherwise a
 * store that is slower than the stream would never let one be acknowledged. */
static void shrink_groups(struct lane *lane)
{
	const size_t count = lane->group_count;
	while (group_target(lane) > 1 && group_target(lane) > count / 2)
		lane->halvings++;
}

/* While the lane reads on anyway, a small group that has drained is given a few milliseconds to grow. */
static bool awaits_company(const struct lane *lane)
{
	return lane->phase == PHASE_FILLING && !lane->stopping && lane->group_count < LANE_FLUSH_COUNT &&
	       lane->host->now_ms - lane->group_started_ms < LANE_FLUSH_MS;
}

bool lane_waits(const struct lane *lane)
{
	return lane->phase == PHASE_DRAINING || lane->phase == PHASE_FULL || lane->stopping;
}

void lane_flush(struct lane *lane)
{
	if (lane->give_up_reason != NULL) {
		const char *reason = lane->give_up_reason;
		lane->give_up_reason = NULL;
		log_warn("lane_dropped", "the lane's connection is dropped, nothing held is acknowledged",
			LOG_TEXT("lane", lane->routes->name), LOG_TEXT("reason", reason),
			LOG_INT("held", lane->group_count));
		figures_add(&lane->figures->dropped, 1);
		if (lane->stopping) {
			connection_leave(lane->connection, lane->host->now_ms);
			lane->stopped = true;
		} else {
			connection_drop(lane->connection, lane->host->now_ms);
		}
		return;
	}
	if (connection_state(lane->connection) != CONNECTION_UP || lane->phase == PHASE_FLUSHING)
		return;
	if (lane->group_unsettled == 0 && !awaits_company(lane) && connection_want_write(lane->connection)) {
		const bool many = lane->group_count > 1;
		if (lane->group_count > 0)
			failpoint("before_acknowledgement");
		group_release(lane);
		flush(lane, many);
		failpoint("after_acknowledgement");
	}
	if (lane->stopping && lane->group_count == 0 && lane->phase != PHASE_FLUSHING && !lane->stopped) {
		connection_disconnect(lane->connection);
		lane->stopped = true;
	}
}

/* ---- The connection's callbacks -------------------------------------------------------------------------
 */

static void lane_on_up(void *owner, const struct connection_terms *terms)
{
	struct lane *lane = owner;
	const struct settings *settings = lane->host->settings;
	figures_up(&lane->figures->connection, lane->host->now_ms);
	if (!terms->session_present) {
		forget_results(lane, true);
		end_redelivery(lane);
	}
	lane->redelivery_until_ms = lane->host->now_ms + REDELIVERY_MS;
	lane->hold_until_ms = lane->host->now_ms + HOLD_MS;
	/* A broker's Server Keep Alive may leave nothing; a second lets a group come to its end. */
	const unsigned most_s = settings_group_limit_s(terms->keepalive_s), limit_s = most_s > 0 ? most_s : 1;
	lane->group_limit_ms = limit_s * 1000;
	if (settings->handler_timeout_s >= limit_s)
		log_warn("keepalive_lowered",
			"the broker's Server Keep Alive is too short for HANDLER_TIMEOUT: commands that take "
			"longer than "
			"limit_s make the lane reconnect",
			LOG_TEXT("lane", lane->routes->name), LOG_INT("keepalive_s", terms->keepalive_s),
			LOG_INT("limit_s", limit_s),
			LOG_INT("handler_timeout_s", settings->handler_timeout_s));
	subscriptions_start(lane->subscriptions, connection_mosquitto(lane->connection), terms->mqtt5,
		lane->host->now_ms);
}

/* What the connection's end means for the group, and for what waits: the broker sends all of it again. */
static void forget_group(struct lane *lane)
{
	lane->give_up_reason = NULL;
	if (lane->stopping)
		board_count(&lane->host->board->account.left, lane->group_count);
	subscriptions_reset(lane->subscriptions);
	/* What has not begun is taken back from the workers, to be forgotten with the rest: the broker sends
	 * it again. */
	struct command *command = worker_pool_take_back(lane->host->pool, lane), *next;
	for (; command != NULL; command = next) {
		next = command->job_next;
		command_take_back(command);
	}
	command = lane->group;
	group_reset(lane);
	for (; command != NULL; command = next) {
		next = command->group_next;
		command->attached = false;
		if ((command->state == COMMAND_RETRYING || command->state == COMMAND_WAITING) &&
			command->user == NULL)
			command_forget(command);
	}
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
		forget_results(lane, true);
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

/* ---- Public ---------------------------------------------------------------------------------------------
 */

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
	lane->group_limit_ms = settings_group_limit_s(host->settings->keepalive_s) * 1000;
	group_reset(lane);
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
	forget_results(lane, true);
	forget_parked(lane);
	connection_free(lane->connection);
	users_free(lane->users);
	subscriptions_free(lane->subscriptions);
	free(lane);
}

void lane_poll(struct lane *lane, struct pollfd *ret_poll)
{
	connection_poll(lane->connection, may_read(lane), lane->phase == PHASE_FLUSHING, ret_poll);
}

int64_t lane_due_ms(struct lane *lane)
{
	int64_t due_ms = INT64_MAX;
	/* While acknowledgements are held the keepalive must wait: what is due is the group. */
	if (connection_state(lane->connection) != CONNECTION_UP)
		due_ms = connection_due_ms(lane->connection);
	else if (lane->group_count > 0 || lane->phase == PHASE_FLUSHING)
		due_ms = lane->group_started_ms + lane->group_limit_ms;
	else
		due_ms = connection_due_ms(lane->connection);
	if (lane->phase == PHASE_FILLING && lane->group_unsettled == 0 &&
		lane->group_started_ms + LANE_FLUSH_MS < due_ms)
		due_ms = lane->group_started_ms + LANE_FLUSH_MS;
	if (connection_pending(lane->connection) && may_read(lane))
		due_ms = 0;
	/* A lane that stops does not linger: it reads no more. */
	if (lane->phase == PHASE_DRAINING && !lane->stopping && linger_at_ms(lane) < due_ms)
		due_ms = linger_at_ms(lane);
	if (lane->host->parked.held != NULL && connection_state(lane->connection) == CONNECTION_UP &&
		lane->hold_until_ms < due_ms)
		due_ms = lane->hold_until_ms;
	const int64_t retry_ms = subscriptions_due_ms(lane->subscriptions);
	return retry_ms < due_ms ? retry_ms : due_ms;
}

static void read_commands(struct lane *lane)
{
	for (unsigned i = 0; i < READS_PER_TURN && may_read(lane); i++)
		if (!connection_read(lane->connection) || connection_state(lane->connection) != CONNECTION_UP)
			return;
}

void lane_serve(struct lane *lane, short revents)
{
	const int64_t now_ms = lane->host->now_ms;
	const bool was_up = connection_state(lane->connection) == CONNECTION_UP;
	connection_serve(lane->connection, revents, now_ms);
	if (!was_up || connection_state(lane->connection) != CONNECTION_UP)
		return;
	if ((lane->group_count > 0 || lane->phase == PHASE_FLUSHING) &&
		now_ms - lane->group_started_ms >= lane->group_limit_ms) {
		/* Few unsettled ones are slow by themselves; that many were too many to read. */
		if (lane->group_unsettled >= lane->host->settings->workers)
			shrink_groups(lane);
		lane_give_up(lane, lane->group_count > 0 ? "a command is unfinished at the group's age "
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
		forget_results(lane, false);
		end_redelivery(lane);
	}
	if (lane->phase == PHASE_FLUSHING && (revents & POLLOUT) != 0)
		flush(lane, true);
	if (connection_state(lane->connection) == CONNECTION_UP &&
		((revents & POLLIN) != 0 || connection_pending(lane->connection)))
		read_commands(lane);
	if (connection_state(lane->connection) != CONNECTION_UP)
		return;
	subscriptions_retry(lane->subscriptions, connection_mosquitto(lane->connection), now_ms);
	if (lane->phase == PHASE_EMPTY && now_ms >= connection_due_ms(lane->connection) &&
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

void lane_tell(const struct lane *lane)
{
	struct figures_lane *figures = lane->figures;
	const bool held = lane->group_count > 0;
	FIGURES_SET(figures->connection.state, (uint32_t)connection_state(lane->connection));
	FIGURES_SET(figures->granted, (uint32_t)subscriptions_granted_count(lane->subscriptions));
	FIGURES_SET(figures->phase, (uint32_t)lane->phase);
	FIGURES_SET(figures->group, lane->group_count);
	FIGURES_SET(figures->unsettled, lane->group_unsettled);
	FIGURES_SET(figures->group_since_ms, held ? lane->group_started_ms : 0);
	FIGURES_SET(figures->oldest_ms, lane->group_unsettled > 0 ? lane->group_started_ms : 0);
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
