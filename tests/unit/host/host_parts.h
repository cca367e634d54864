/*
 * host_parts.h - a host without threads, broker or database, for tests of what decides: arrival.c, dispatch*.c.
 *
 * Real: users, commands, suspects, parking and its storing jobs, the workers' run of a command, the board; the store is the stand-in. This file's:
 * lanes, egress, pools and store watch. A job is done, and an event is answered, when the test says so. Time is host.now_ms, and moves by pass().
 * What a command's runs come to is in its payload: host_plans.h.
 *
 * Include it in one source file.
 */
#ifndef HOST_PARTS_H
#define HOST_PARTS_H

#include "arrival.h"
#include "board.h"
#include "call.h"
#include "clock.h"
#include "command.h"
#include "context.h"
#include "dispatch.h"
#include "egress.h"
#include "fake_store.h"
#include "fingerprint.h"
#include "host_plans.h"
#include "lane.h"
#include "log.h"
#include "parking.h"
#include "pool.h"
#include "settings.h"
#include "store_watch.h"
#include "stored.h"
#include "storing.h"
#include "users.h"
#include "worker.h"
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Pools ---- */

struct pool {
	struct job *first, **end;
	size_t count;
	bool now; /* the first was submitted before all others */
};

static struct pool workers, storers;
static unsigned busy_workers;

void pool_submit(struct pool *pool, struct job *job)
{
	job->next = NULL;
	if (!pool->first)
		pool->end = &pool->first;
	*pool->end = job;
	pool->end = &job->next;
	pool->count++;
}

void pool_submit_now(struct pool *pool, struct job *job)
{
	if (!pool->first)
		pool->end = &job->next;
	job->next = pool->first;
	pool->first = job;
	pool->count++;
	pool->now = true;
}

unsigned pool_busy(struct pool *pool)
{
	return pool == &workers ? busy_workers : 0;
}

int pool_new(const struct pool_options *options, struct pool **ret)
{
	(void)options;
	(void)ret;
	fail();
	return -1;
}

static struct job *pool_take(struct pool *pool)
{
	struct job *job = pool->first;
	assert_non_null(job);
	pool->first = job->next;
	job->next = NULL;
	pool->count--;
	pool->now = false;
	return job;
}

/* ---- The store watch ---- */

static unsigned suspected;

void store_watch_suspect(struct store_watch *watch)
{
	(void)watch;
	suspected++;
}

/* ---- The lane ---- */

struct lane {
	struct places places; /* held */
	bool stalls, no_memory;
	bool waits_alike; /* it is not blocked */
	const char *given_up, *unsubscribed;
	struct place *copy; /* what the next message is a copy of */
	bool copies_forgotten;
	unsigned stepped_aside;
};

static struct lane lane;
static struct host host;

struct place *lane_hold(struct lane *of, uint64_t number, uint16_t mid, uint64_t user, uint64_t fingerprint)
{
	struct place *place = of->no_memory ? NULL : malloc(sizeof(*place));
	if (!place)
		return NULL;
	*place = (struct place){.number = number,
		.mid = mid,
		.user = user,
		.fingerprint = fingerprint,
		.arrived_us = host.now_ms * 1000};
	places_append(&of->places, place);
	return place;
}

void lane_settle(struct lane *of, struct place *place, unsigned end)
{
	(void)of;
	assert_false(place->settled);
	place->command = NULL;
	place->settled = true;
	place->end = (uint8_t)end;
}

bool lane_hold_settled(struct lane *of, uint64_t number, uint16_t mid)
{
	struct place *place = lane_hold(of, number, mid, 0, 0);
	if (!place)
		return false;
	place->ignored = true;
	lane_settle(of, place, 0);
	return true;
}

struct place *lane_take_copy(
	struct lane *of, uint64_t number, uint16_t mid, bool dup, uint64_t user, uint64_t fingerprint)
{
	struct place *place = of->copy;
	(void)number;
	(void)mid;
	if (!dup || !place || place->user != user || place->fingerprint != fingerprint)
		return NULL;
	of->copy = NULL;
	return place;
}

struct place *lane_held_place(const struct lane *of, uint16_t mid)
{
	struct place *place = of->places.last;
	while (place && place->mid != mid)
		place = place->previous;
	return place;
}

const struct place *lane_oldest(const struct lane *of)
{
	const struct place *place = of->places.first;
	while (place && place->settled)
		place = place->next;
	return place;
}

bool lane_stalls(const struct lane *of, int64_t now_ms)
{
	(void)now_ms;
	return of->stalls;
}

int64_t lane_stalls_at_ms(const struct lane *of)
{
	return of->stalls ? 0 : INT64_MAX;
}

bool lane_is_blocked(const struct lane *of, size_t users, int64_t now_ms)
{
	(void)users;
	(void)now_ms;
	return !of->waits_alike;
}

bool lane_is_idle(const struct lane *of, int64_t now_ms)
{
	(void)now_ms;
	return !of->waits_alike;
}

size_t lane_held(const struct lane *of)
{
	return of->places.count;
}

void lane_stepped_aside(struct lane *of)
{
	of->stepped_aside++;
}

void lane_give_up(struct lane *of, const char *reason)
{
	of->given_up = reason;
}

void lane_stand_by(struct lane *of, int64_t now_ms)
{
	(void)now_ms;
	of->copies_forgotten = true;
}

const char *lane_client_id(const struct lane *of)
{
	(void)of;
	return "cashewd";
}

void lane_unsubscribe_stale(struct lane *of, const char *topic)
{
	of->unsubscribed = topic;
}

/* PUBACKs of what has settled leave, in order. Returns how many. */
static inline unsigned release(void)
{
	unsigned count = 0;
	for (struct place *place; (place = lane.places.first) && place->settled; count++) {
		places_remove(&lane.places, place);
		dispatch_place_freed(&host, place, true);
		free(place);
	}
	return count;
}

/* ---- The egress ---- */

static struct call_event *published, **published_end = &published;
static size_t published_count;

void egress_publish(struct egress *egress, struct call_event *event)
{
	(void)egress;
	event->next = NULL;
	*published_end = event;
	published_end = &event->next;
	published_count++;
}

/* The oldest event is answered. reason: NULL: PUBACKed. */
static inline void answer(const char *reason, bool permanent)
{
	struct call_event *event = published;
	assert_non_null(event);
	published = event->next;
	if (!published)
		published_end = &published;
	published_count--;
	dispatch_event_ended(&host, event, reason, permanent);
}

static inline void puback_all(void)
{
	while (published)
		answer(NULL, false);
}

/* ---- The host ---- */

static struct settings settings;
static struct host_lane home;
static struct users *line;
static uint64_t next_number;
static uint16_t next_mid;

static int begin_host(void **state)
{
	int fd;
	(void)state;
	memset(plans, 0, sizeof(plans));
	forget_told();
	workers = storers = (struct pool){0};
	published = NULL;
	published_end = &published;
	published_count = 0;
	busy_workers = suspected = 0;
	lane = (struct lane){0};
	next_number = 0;
	next_mid = 0;
	settings = (struct settings){.client_id = "cashewd",
		.window = 100,
		.user_window = 5000,
		.payload_max = 64 * 1024,
		.event_max = 1024 * 1024,
		.max_attempts = 10,
		.crash_limit = 3,
		.handler_timeout_s = 60,
		.dead_letter_days = 1};
	host = (struct host){.settings = &settings,
		.owner = "me",
		.lane_count = 1,
		.lanes = &home,
		.pool = &workers,
		.storing_pool = &storers,
		.retries_at_ms = INT64_MAX,
		.now_ms = clock_ms(),
		.event_max = 1024 * 1024,
		.store_up = true,
		.active = true,
		.store = fake_store_new(),
		.foreign = users_new(),
		.places = calloc(8, sizeof(unsigned))};
	assert_int_equal(board_new(&host.board, &fd), 0);
	close(fd);
	assert_int_equal(routes_new(handlers, &host.routes), 0);
	home = (struct host_lane){.host = &host,
		.lane = &lane,
		.routes = &host.routes.lanes[0],
		.users = users_new(),
		.key = 7};
	line = home.users;
	host.light = (struct worker_context){.routes = &host.routes,
		.settings = &settings,
		.store = host.store,
		.event_max = &host.event_max,
		.places = host.places};
	assert_int_equal(worker_states_new(&host.light), 0);
	const struct parking_options options = {.pool = &storers,
		.lease_owner = host.owner,
		.claimed_max = 64,
		.callbacks = &dispatch_parking_owner,
		.owner = &host};
	assert_int_equal(parking_new(&options, &host.parking), 0);
	parking_serve(host.parking, true, host.now_ms);
	return 0;
}

/* As loop.c does it. */
static inline void turn(void)
{
	dispatch_serve(&host);
	parking_serve(host.parking,
		host.store_up && host.active && !suspects_quiet(&host.suspects, host.now_ms), host.now_ms);
}

/* Here and at the database. Nothing happens but by turn(). */
static inline void pass(int64_t ms)
{
	host.now_ms += ms;
	fake_store_pass(host.store, ms);
	turn();
}

/* A worker begins the next command; it is through with it in do_end(). */
static inline struct command *do_begin(void)
{
	struct job *job = pool_take(&workers);
	struct command *command = (struct command *)((char *)job - offsetof(struct command, job));
	atomic_store(&command->begun_us, host.now_ms * 1000);
	busy_workers++;
	return command;
}

static inline void do_end(struct command *command)
{
	const int64_t begun_us = atomic_load(&command->begun_us);
	command->job.run(&command->job, &host.light);
	atomic_store(&command->begun_us, begun_us);
	command->ran_us = command_ran_us(command, host.now_ms * 1000);
	busy_workers--;
	dispatch_returned(&host, command);
}

static inline void work(void)
{
	do_end(do_begin());
}

static inline void work_all(void)
{
	while (workers.first)
		work();
}

/* One storing job. */
static inline void store_next(enum storing_kind kind)
{
	struct job *job = pool_take(&storers);
	assert_string_equal(storing_kind_name(((struct storing *)job)->kind), storing_kind_name(kind));
	job->run(job, host.store);
	parking_returned(host.parking, job);
}

static inline void store_all(void)
{
	while (storers.first) {
		struct job *job = pool_take(&storers);
		job->run(job, host.store);
		parking_returned(host.parking, job);
	}
}

/* Everything that can go on does, for so long. */
static inline void live(int64_t ms)
{
	const int64_t until_ms = host.now_ms + ms;
	do {
		pass(10);
		work_all();
		store_all();
		puback_all();
	} while (host.now_ms < until_ms);
}

static void free_line(void *context, struct user *user)
{
	(void)context;
	while (user->first) {
		struct command *command = user->first;
		user_remove(user, command);
		command_free(command);
	}
}

static int end_host(void **state)
{
	(void)state;
	/* What is left, is left as by a host that ends. */
	for (struct job *job; storers.first;) {
		job = pool_take(&storers);
		free(job);
	}
	while (lane.places.first) {
		struct place *place = lane.places.first;
		places_remove(&lane.places, place);
		free(place);
	}
	parking_free(host.parking);
	users_each(line, free_line, NULL);
	users_each(host.foreign, free_line, NULL);
	users_free(line);
	users_free(host.foreign);
	worker_states_free(&host.light);
	routes_free(&host.routes);
	free(host.places);
	board_unmap(host.board);
	store_close(host.store);
	return 0;
}

/* ---- Messages ---- */

static inline void arrive_as(
	const char *topic, const char *payload, int qos, bool retain, bool dup, uint16_t mid, bool placed)
{
	struct mosquitto_message message = {.mid = mid,
		.topic = (char *)(uintptr_t)topic,
		.payload = (char *)(uintptr_t)payload,
		.payloadlen = (int)strlen(payload),
		.qos = qos,
		.retain = retain};
	arrival_message(&home, &message, NULL, placed ? next_number++ : LANE_NO_PLACE, dup);
}

/* A command at QoS 1; its place. */
static inline struct place *send_command(const char *topic, const char *payload)
{
	arrive_as(topic, payload, 1, false, false, ++next_mid, true);
	return lane.places.last;
}

/* "waiting", .. or, when it has settled, its end. */
static inline const char *state_of(const struct place *place)
{
	if (place->settled)
		return command_end_name(place->end);
	return place->command ? command_state_name(place->command->state) : "forgotten";
}

/* A case, on a host of its own. */
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_host, end_host)

#endif
