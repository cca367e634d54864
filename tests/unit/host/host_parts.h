/*
 * host_parts.h - one lane of the host with its commands, for the tests of lane.c and command.c:
 * both are the real ones, with the users, routes, subscriptions and runs of handlers that belong to them.
 *
 * Stood in for is what leaves the thread: the connection (the test says what arrives and sees which PUBACKs
 * leave), the worker pool (the test says when the next command is run), the egress (the test says what
 * becomes of each event) and the store. The clock is parts.host.now_ms. Include it in one source file per
 * program.
 */
#ifndef HOST_PARTS_H
#define HOST_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "backlogs.h"
#include "command.h"
#include "connection.h"
#include "context.h"
#include "egress.h"
#include "fake_store.h"
#include "host_group.h"
#include "lane.h"
#include "parking.h"
#include "pool.h"
#include "routes.h"
#include "settings.h"
#include "store_watch.h"
#include "suspects.h"

enum { PARTS_MAX = 4096, PARTS_START_MS = 1000000 };

#define PARTS_UNIX_MS INT64_C(1700000000000)

/* What arrives, in the order in which it was sent. Topics and payloads outlive the test. */
struct parts_message {
	struct mosquitto_message message;
	const mosquitto_property *properties;
};

struct connection {
	struct connection_options options;
	enum connection_state state;
	int64_t due_ms;
	struct parts_message incoming[PARTS_MAX];
	size_t incoming_first, incoming_end;
	uint16_t held[PARTS_MAX],
		left[PARTS_MAX]; /* PUBACKs queued, and on the wire since the last connect */
	size_t held_count, left_count;
	size_t others_held; /* SUBSCRIBEs and such */
	size_t room;	    /* how many packets the socket takes before it is full */
	bool pending;	    /* what arrives has left the socket already: TLS has it */
	unsigned breaks_at; /* the read or flush that finds the link broken, counted from 1; 0: none does */
	unsigned flushes, drops, disconnects, keepalives;
};

struct parts_event {
	struct command *command;
	struct call_event *event;
};

/* How a handler ends, a letter for each run; the last one stands for all that follow. */
struct parts_plan {
	const char *steps;
	unsigned runs, last_attempt;
	size_t size; /* of the event of step 'b' */
};

static struct {
	struct settings settings;
	struct host host;
	struct lane *lane;
	struct connection *connection;
	struct pollfd poll;
	struct command *submitted[PARTS_MAX];
	size_t submitted_count;
	struct parts_event events[PARTS_MAX];
	size_t event_count;
	unsigned store_away, loads;
	bool loads_late;
	int subscribe_mid;
	unsigned subscribes;
	char unsubscribed[256];
	struct parts_plan one, two_a, two_b, light;
} parts;

static struct board parts_board;
static unsigned parts_places[8];

/* ---- The handlers ---- */

static inline cashew_result parts_run(cashew_command *cmd, struct parts_plan *plan)
{
	const char step = plan->steps[0];
	assert_int_not_equal(step, '\0');
	if (plan->steps[1] != '\0')
		plan->steps++;
	plan->runs++;
	plan->last_attempt = cashew_attempt(cmd);
	switch (step) {
	case '.': return CASHEW_DONE;
	case 'e': return cashew_reply(cmd, "got", "1");
	case 'b': return cashew_reply_bytes(cmd, "got", (const char[1024]){0}, plan->size);
	case '3':
		CASHEW_TRY(cashew_reply(cmd, "got", "1"));
		CASHEW_TRY(cashew_reply(cmd, "got", "2"));
		return cashew_reply(cmd, "got", "3");
	case 'r': return CASHEW_RETRY;
	case 's': return cashew_stored(cmd, STORE_E_AWAY);
	case 'x': return cashew_reject(cmd, "not so");
	case 'f': return cashew_fail(cmd, "never");
	case 'g': return (cashew_result)77;
	default: abort();
	}
}

static inline cashew_result parts_one(cashew_command *cmd)
{
	return parts_run(cmd, &parts.one);
}

static inline cashew_result parts_two_a(cashew_command *cmd)
{
	return parts_run(cmd, &parts.two_a);
}

static inline cashew_result parts_two_b(cashew_command *cmd)
{
	return parts_run(cmd, &parts.two_b);
}

static inline cashew_result parts_light(cashew_command *cmd)
{
	return parts_run(cmd, &parts.light);
}

static const struct cashew_handler parts_handler_one = {
	.name = "one", .topic = "+/one", .handle = parts_one, .payload = CASHEW_BYTES};
static const struct cashew_handler parts_handler_two_a = {
	.name = "two_a", .topic = "+/two", .handle = parts_two_a, .payload = CASHEW_BYTES};
static const struct cashew_handler parts_handler_two_b = {
	.name = "two_b", .topic = "+/two", .handle = parts_two_b, .payload = CASHEW_BYTES};
static const struct cashew_handler parts_handler_light = {
	.name = "light", .topic = "+/light", .handle = parts_light, .payload = CASHEW_BYTES, .light = true};
static const struct cashew_handler *const parts_handlers[] = {
	&parts_handler_one, &parts_handler_two_a, &parts_handler_two_b, &parts_handler_light, NULL};

/* ---- The connection ---- */

int connection_new(const struct connection_options *options, struct connection **ret)
{
	parts.connection = calloc(1, sizeof(*parts.connection));
	assert_non_null(parts.connection);
	parts.connection->options = *options;
	parts.connection->due_ms = INT64_MAX;
	parts.connection->room = SIZE_MAX;
	*ret = parts.connection;
	return 0;
}

void connection_free(struct connection *connection)
{
	assert_true(connection == NULL || connection->state == CONNECTION_IDLE);
	free(connection);
}

static inline void parts_connection_end(
	struct connection *connection, enum connection_state next, bool taken_over)
{
	const bool was_up = connection->state == CONNECTION_UP;
	const bool was_open = was_up || connection->state == CONNECTION_OPENING;
	connection->state = next;
	connection->held_count = connection->others_held = 0;
	connection->incoming_first = connection->incoming_end = 0;
	if (was_open)
		connection->options.callbacks->down(connection->options.owner, was_up, taken_over);
}

void connection_want(struct connection *connection, bool want, int64_t now_ms)
{
	(void)now_ms;
	if (!want)
		parts_connection_end(connection, CONNECTION_IDLE, false);
	else if (connection->state == CONNECTION_IDLE)
		connection->state = CONNECTION_WAITING;
}

void connection_drop(struct connection *connection, int64_t now_ms)
{
	(void)now_ms;
	if (connection->state != CONNECTION_UP)
		return;
	connection->drops++;
	parts_connection_end(connection, CONNECTION_WAITING, false);
}

/* Here the broker closes at once. */
void connection_leave(struct connection *connection, int64_t now_ms)
{
	connection_want(connection, false, now_ms);
}

void connection_disconnect(struct connection *connection)
{
	assert_int_equal(connection->held_count, 0);
	connection->disconnects++;
	parts_connection_end(connection, CONNECTION_IDLE, false);
}

void connection_poll(const struct connection *connection, bool read, bool write, struct pollfd *ret_poll)
{
	const bool up = connection->state == CONNECTION_UP;
	*ret_poll = (struct pollfd){
		.fd = up ? 7 : -1, .events = (short)(up ? (read ? POLLIN : 0) | (write ? POLLOUT : 0) : 0)};
}

int64_t connection_due_ms(const struct connection *connection)
{
	return connection->due_ms;
}

void connection_serve(struct connection *connection, short revents, int64_t now_ms)
{
	(void)connection;
	(void)revents;
	(void)now_ms;
}

static inline bool parts_link_breaks(struct connection *connection)
{
	if (connection->breaks_at == 0 || --connection->breaks_at > 0)
		return false;
	parts_connection_end(connection, CONNECTION_WAITING, false);
	return true;
}

bool connection_read(struct connection *connection)
{
	assert_int_equal(connection->state, CONNECTION_UP);
	if (parts_link_breaks(connection))
		return false;
	if (connection->incoming_first == connection->incoming_end)
		return false;
	const struct parts_message *next = &connection->incoming[connection->incoming_first++];
	/* As libmosquitto does: the PUBACK is queued before the message is told. */
	if (next->message.qos > 0)
		connection->held[connection->held_count++] = (uint16_t)next->message.mid;
	connection->options.callbacks->message(connection->options.owner, &next->message, next->properties);
	return connection->incoming_first < connection->incoming_end;
}

bool connection_pending(const struct connection *connection)
{
	return connection->pending && connection->incoming_first < connection->incoming_end;
}

/* Whatever is written takes all that is queued along, so this must not be called while a command is
 * unsettled. */
void connection_flush(struct connection *connection, bool many)
{
	(void)many;
	assert_int_equal(connection->state, CONNECTION_UP);
	if (parts_link_breaks(connection))
		return;
	connection->flushes++;
	size_t room = connection->room, taken = 0;
	for (; connection->others_held > 0 && room > 0; room--)
		connection->others_held--;
	for (; taken < connection->held_count && room > 0; room--, taken++)
		connection->left[connection->left_count++] = connection->held[taken];
	connection->held_count -= taken;
	memmove(connection->held, connection->held + taken,
		connection->held_count * sizeof(connection->held[0]));
	/* Every PUBACK may be on the wire now: a copy with that packet identifier must not join. */
	for (size_t i = 0; i < connection->left_count; i++)
		assert_true(lane_in_flight(parts.lane, connection->left[i]) == NULL ||
			    !lane_in_flight(parts.lane, connection->left[i])->attached);
}

bool connection_want_write(const struct connection *connection)
{
	return connection->held_count + connection->others_held > 0;
}

void connection_keepalive(struct connection *connection)
{
	assert_int_equal(connection->held_count, 0);
	connection->keepalives++;
}

enum connection_state connection_state(const struct connection *connection)
{
	return connection->state;
}

int64_t connection_alive_since_ms(const struct connection *connection)
{
	return connection->state == CONNECTION_UP ? 0 : INT64_MAX;
}

struct mosquitto *connection_mosquitto(const struct connection *connection)
{
	static char instance[1];
	return connection->state == CONNECTION_UP ? (struct mosquitto *)(void *)instance : NULL;
}

int mosquitto_subscribe_v5(struct mosquitto *mosquitto, int *mid, const char *filter, int qos, int options,
	const mosquitto_property *properties)
{
	(void)options;
	(void)properties;
	assert_ptr_equal(mosquitto, connection_mosquitto(parts.connection));
	assert_non_null(filter);
	assert_int_equal(qos, 1);
	*mid = ++parts.subscribe_mid;
	parts.subscribes++;
	parts.connection->others_held++;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_unsubscribe_v5(
	struct mosquitto *mosquitto, int *mid, const char *filter, const mosquitto_property *properties)
{
	(void)mid;
	(void)properties;
	assert_ptr_equal(mosquitto, connection_mosquitto(parts.connection));
	snprintf(parts.unsubscribed, sizeof(parts.unsubscribed), "%s", filter);
	parts.connection->others_held++;
	return MOSQ_ERR_SUCCESS;
}

/* ---- Workers, egress, store watch ---- */

void worker_pool_submit(struct worker_pool *pool, struct command *command)
{
	(void)pool;
	assert_in_range(parts.submitted_count, 0, PARTS_MAX - 1);
	parts.submitted[parts.submitted_count++] = command;
}

static inline struct command *parts_submitted_take(size_t i)
{
	struct command *command = parts.submitted[i];
	parts.submitted_count--;
	memmove(&parts.submitted[i], &parts.submitted[i + 1],
		(parts.submitted_count - i) * sizeof(parts.submitted[0]));
	return command;
}

void worker_pool_wake(struct worker_pool *pool)
{
	(void)pool;
}

struct command *worker_pool_take_back(struct worker_pool *pool, const struct lane *lane)
{
	(void)pool;
	struct command *first = NULL, **end = &first;
	for (size_t i = 0; i < parts.submitted_count;) {
		if (parts.submitted[i]->lane != lane || parts.submitted[i]->state != COMMAND_RUNNING ||
			parts.submitted[i]->origin == COMMAND_FROM_STORE) {
			i++;
			continue;
		}
		*end = parts_submitted_take(i);
		end = &(*end)->job_next;
	}
	*end = NULL;
	return first;
}

/* What the lane asked the store for comes. */
static inline void parts_load(void)
{
	struct parked_marks *marks = parked_marks_new(lane_client_id(parts.lane));
	assert_non_null(marks);
	struct store_client *client = store_acquire(parts.host.light.store);
	parked_marks_read(marks, client, parts.settings.window);
	store_release(client);
	lane_loaded(parts.lane, marks);
}

int64_t egress_up_since_ms(const struct egress *egress)
{
	(void)egress;
	return INT64_MAX;
}

void egress_publish(struct egress *egress, struct command *command, struct call_event *event)
{
	(void)egress;
	assert_in_range(parts.event_count, 0, PARTS_MAX - 1);
	parts.events[parts.event_count++] = (struct parts_event){.command = command, .event = event};
}

/* By the test's clock. */
int64_t __wrap_clock_unix_ms(void);
int64_t __wrap_clock_unix_ms(void)
{
	return PARTS_UNIX_MS + parts.host.now_ms;
}

/* At once; or, where the test holds it back, with parts_load(). */
bool store_watch_load(struct store_watch *watch, const char *lane_id)
{
	(void)watch;
	assert_string_equal(lane_id, lane_client_id(parts.lane));
	parts.loads++;
	if (!parts.loads_late)
		parts_load();
	return parts.loads_late;
}

/* By the test's clock exactly. */
int64_t __wrap_clock_jitter_ms(unsigned ms);
int64_t __wrap_clock_jitter_ms(unsigned ms)
{
	return ms;
}

void host_store_away(struct host *host)
{
	host->store_up = false;
	parts.store_away++;
}

/* ---- What a test does ---- */

/* The lane, connected, its filters granted; every handler is done without an event. */
static inline int parts_begin(void **state)
{
	(void)state;
	memset(&parts, 0, sizeof(parts));
	parts.settings = (struct settings){.client_id = "cashewd",
		.keepalive_s = 60,
		.handler_timeout_s = 10,
		.workers = 1,
		.group_max = 4,
		.group_ms = 250,
		.window = 8,
		.user_window = 3,
		.max_attempts = 10,
		.crash_limit = 3,
		.payload_max = 1024,
		.event_max = 1024};
	parts.one = parts.two_a = parts.two_b = parts.light = (struct parts_plan){.steps = "."};
	/* Of the rows of runs, those that are used here: all of them are much. */
	memset(&parts_board, 0, offsetof(struct board, figures.runs[2]));
	struct host *host = &parts.host;
	*host = (struct host){.settings = &parts.settings,
		.board = &parts_board,
		.owner = parts_board.owner,
		.event_max = 1024,
		.now_ms = PARTS_START_MS,
		.places = parts_places,
		.store_up = true};
	for (unsigned i = 0; parts_handlers[i] != NULL; i++)
		parts_places[i] = figures_handler_place(&parts_board.figures, parts_handlers[i]->name);
	assert_int_equal(routes_new(parts_handlers, &host->routes), 0);
	host->light = (struct worker_context){.routes = &host->routes,
		.settings = &parts.settings,
		.store = fake_store_new(),
		.event_max = &host->event_max,
		.slot = &parts_board.slots[0],
		.runs = &parts_board.figures.runs[0],
		.places = parts_places,
		.owner = "this one",
		.lease_ms = PARKING_LEASE_MS};
	assert_int_equal(worker_states_new(&host->light), 0);
	assert_int_equal(lane_new(host, &host->routes.lanes[0], &parts.lane), 0);
	host->lanes = &parts.lane;
	host->lane_count = 1;
	return 0;
}

static inline int parts_end(void **state)
{
	(void)state;
	/* Those at QoS 0 have all been counted out again. */
	for (unsigned i = 0; parts.host.commands == 0 && i <= parts.settings.window; i++)
		assert_int_equal(lane_add_unacknowledged(parts.lane), i < parts.settings.window);
	lane_free(parts.lane);
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(parts.submitted_count, 0);
	assert_int_equal(parts.event_count, 0);
	assert_null(parts.host.retrying);
	assert_true(parking_idle(&parts.host));
	parked_drop_all(&parts.host.parked);
	worker_states_free(&parts.host.light);
	store_close(parts.host.light.store);
	routes_free(&parts.host.routes);
	return 0;
}

/* The broker takes the connection; session: it has kept what was not acknowledged. */
static inline void parts_connect(bool session)
{
	struct connection *connection = parts.connection;
	lane_want(parts.lane, true);
	assert_int_equal(connection->state, CONNECTION_WAITING);
	while (!connection->options.callbacks->may_open(connection->options.owner))
		assert_false(parts.loads_late);
	connection->state = CONNECTION_UP;
	connection->left_count = 0;
	const int first = parts.subscribe_mid + 1;
	connection->options.callbacks->up(
		connection->options.owner, &(const struct connection_terms){.session_present = session,
						   .mqtt5 = true,
						   .keepalive_s = parts.settings.keepalive_s,
						   .receive_maximum = 20,
						   .packet_max = UINT32_MAX});
	const int granted = 1;
	for (int mid = first; mid <= parts.subscribe_mid; mid++)
		connection->options.callbacks->subscribed(connection->options.owner, mid, 1, &granted);
	assert_true(lane_ready(parts.lane));
}

/* The connection is gone. */
static inline void parts_lose(bool taken_over)
{
	parts_connection_end(parts.connection, CONNECTION_WAITING, taken_over);
}

/* The broker has sent it. mid 0: at QoS 0. */
static inline struct parts_message *parts_sent(uint16_t mid, const char *topic, const char *payload)
{
	struct connection *connection = parts.connection;
	if (connection->incoming_first == connection->incoming_end)
		connection->incoming_first = connection->incoming_end = 0;
	assert_in_range(connection->incoming_end, 0, PARTS_MAX - 1);
	struct parts_message *sent = &connection->incoming[connection->incoming_end++];
	*sent = (struct parts_message){
		.message = {.mid = mid,
			.topic = (char *)(uintptr_t)topic,
			.payload = payload[0] != '\0' ? (void *)(uintptr_t)payload : NULL,
			.payloadlen = (int)strlen(payload),
			.qos = mid > 0 ? 1 : 0}};
	return sent;
}

/* One turn of the loop, as in loop.c, at that time after the last one. */
static inline void parts_turn(unsigned ms)
{
	struct host *host = &parts.host;
	const struct connection *connection = parts.connection;
	lane_poll(parts.lane, &parts.poll);
	host->now_ms += ms;
	for (struct command *command = host->retrying, *next; command != NULL; command = next) {
		next = command->retry_next;
		if (host->now_ms >= command->retry_at_ms && !suspects_quiet(host))
			command_retry(command);
	}
	suspects_serve(host);
	parking_serve(host);
	const bool readable = connection->incoming_first < connection->incoming_end;
	const short ready = (short)(POLLOUT | (readable ? POLLIN : 0));
	lane_serve(parts.lane, parts.poll.events & ready);
	lane_want(parts.lane, host->store_up);
	lane_flush(parts.lane);
}

/* Reads what was sent, without a turn of the loop. Returns the last one's command where it is in flight
 * and has not settled. */
static inline struct command *parts_read(uint16_t mid, const char *topic, const char *payload)
{
	parts_sent(mid, topic, payload);
	while (connection_read(parts.connection))
		continue;
	const struct held *held = mid > 0 ? lane_in_flight(parts.lane, mid) : NULL;
	return held != NULL ? held->command : NULL;
}

/* A worker takes submitted command number i, from 0, and is through with it. */
static inline void parts_work_on(size_t i)
{
	assert_in_range(i, 0, parts.submitted_count - 1);
	struct command *command = parts_submitted_take(i);
	worker_do(&parts.host.light, command);
	command_returned(command);
}

static inline void parts_work(void)
{
	assert_int_not_equal(parts.submitted_count, 0);
	parts_work_on(0);
}

/* The store says what is due, on this lane or, where the test wants it, on any. */
static inline void parts_due(bool any)
{
	struct parked_user *users = NULL;
	size_t count = 0;
	const char *const lanes[] = {lane_client_id(parts.lane)};
	struct store_client *client = store_acquire(parts.host.light.store);
	const int rc = parked_command_due(client, lanes, any ? 0 : 1, clock_unix_ms(), 256, &users, &count);
	store_release(client);
	if (rc != 0)
		return;
	parking_due(&parts.host, users, count);
	parked_users_free(users, count);
}

/* The event that was published first comes to its end: PUBACKed, where reason is NULL. */
static inline void parts_event_ends(const char *reason, bool permanent)
{
	assert_int_not_equal(parts.event_count, 0);
	const struct parts_event first = parts.events[0];
	memmove(&parts.events[0], &parts.events[1], --parts.event_count * sizeof(parts.events[0]));
	command_event_ended(first.command, first.event, reason, permanent);
}

static inline void parts_events_end(void)
{
	while (parts.event_count > 0)
		parts_event_ends(NULL, false);
}

/* Which PUBACKs have left on this connection, in their order. */
static inline void parts_left(const char *expected)
{
	char found[256] = "";
	for (size_t i = 0; i < parts.connection->left_count; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%d", i > 0 ? " " : "",
			parts.connection->left[i]);
	assert_string_equal(found, expected);
}

/* What the egress was given and the broker has not answered: the events' payloads. */
static inline void parts_published(const char *expected)
{
	char found[256] = "";
	for (size_t i = 0; i < parts.event_count; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.*s", i > 0 ? " " : "",
			(int)parts.events[i].event->payload_size,
			(const char *)parts.events[i].event->payload);
	assert_string_equal(found, expected);
}

static inline void parts_state(const struct command *command, enum command_state expected)
{
	assert_string_equal(command_state_name(command->state), command_state_name(expected));
}

/* It has settled: it is freed, and what is kept of it is known by its packet identifier. */
static inline void parts_settled(uint16_t mid)
{
	const struct held *held = lane_in_flight(parts.lane, mid);
	assert_non_null(held);
	assert_null(held->command);
}

/* How many packet identifiers mean commands that a copy would join. */
static inline size_t parts_known(void)
{
	size_t known = 0;
	for (unsigned mid = 1; mid <= UINT16_MAX; mid++)
		known += lane_in_flight(parts.lane, (uint16_t)mid) != NULL;
	return known;
}

#endif
