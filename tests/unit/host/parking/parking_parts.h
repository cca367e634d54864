/*
 * parking_parts.h - parking over the stand-in store, for tests. The pool is this file's: a job is done when the test says so, so that what happens
 * meanwhile can be tried. The owner does what dispatch.c does, in its simplest form, and writes down what it was told.
 *
 * Include it in one source file.
 */
#ifndef PARKING_PARTS_H
#define PARKING_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "fake_store.h"
#include "parking.h"
#include "parking_private.h"
#include "place.h"
#include "record.h"
#include "told.h"
#include "users.h"

enum { CLAIMED_MAX = 64 };

static struct store *store;
static struct users *users;
static struct parking *parking;
static int64_t now_ms;
static bool no_memory_for_commands;
static unsigned refusals_logged;

/* ---- The pool ---- */

static struct job *queue, **queue_end = &queue;
static size_t queued;

void pool_submit(struct pool *pool, struct job *job)
{
	(void)pool;
	job->next = NULL;
	*queue_end = job;
	queue_end = &job->next;
	queued++;
}

int pool_new(const struct pool_options *options, struct pool **ret)
{
	(void)options;
	(void)ret;
	fail();
	return -1;
}

/* The kind of the job that is next; STORING_KINDS: none is. */
static enum storing_kind next_kind(void)
{
	return queue ? ((struct storing *)queue)->kind : STORING_KINDS;
}

static struct job *do_next(void)
{
	struct job *job = queue;
	assert_non_null(job);
	queue = job->next;
	if (!queue)
		queue_end = &queue;
	queued--;
	job->next = NULL;
	job->run(job, store);
	return job;
}

/* One job, which must be of that kind, is done and comes back. */
static void work(enum storing_kind kind)
{
	assert_string_equal(next_kind() < STORING_KINDS ? storing_kind_name(next_kind()) : "none",
		storing_kind_name(kind));
	parking_returned(parking, do_next());
}

static void work_all(void)
{
	while (queue)
		parking_returned(parking, do_next());
}

static void serve(int64_t later_ms)
{
	now_ms += later_ms;
	parking_serve(parking, true, now_ms);
}

/* What follows is written with what others have, and not at once. */
static inline void work_followers(void)
{
	assert_int_equal(queued, 0);
	serve(PARKING_WALK_MS);
	work(STORING_APPEND);
}

/* ---- Commands: the payload is the name ---- */

static const char *name_of(const struct command *command)
{
	return command->input.payload;
}

static struct command *new_command(struct user *user, const char *name, unsigned delay_ms, bool behind)
{
	static int64_t position;
	struct command *command = calloc(1, sizeof(*command) + COMMAND_ARENA_SIZE);
	arena_init(&command->arena, command + 1, COMMAND_ARENA_SIZE);
	command->origin = COMMAND_FROM_BROKER;
	command->handler = "";
	command->input = (struct call_input){
		.topic = arena_format(&command->arena, "%s/x", user->name),
		.user = user->name,
		.payload = arena_format(&command->arena, "%s", name),
		.payload_size = strlen(name),
	};
	const struct store_id id = store_new_id();
	memcpy(command->input.made_id, id.bytes, sizeof(id.bytes));
	const struct routes routes = {0};
	const struct record_terms terms = {
		.lane_id = "lane", .position = ++position, .delay_ms = delay_ms, .behind = behind};
	assert_true(record_make(command, &routes, &terms));
	user_append(user, command);
	return command;
}

static void let_go(struct command *command)
{
	struct user *user = command->user;
	user_remove(user, command);
	users_drop_idle(user);
	command_free(command);
}

static struct user *user_of(const char *name)
{
	return users_get(users, users_key(name, strlen(name)), name, strlen(name));
}

static struct backlog *backlog_of(struct user *user)
{
	struct backlog *backlog = parking_backlog(parking, user, NULL, "lane", false);
	assert_non_null(backlog);
	return backlog;
}

static struct command *store_one(struct user *user, const char *name, unsigned delay_ms, bool behind)
{
	struct command *command = new_command(user, name, delay_ms, behind);
	struct backlog *backlog = backlog_of(user);
	command->state = COMMAND_STORING;
	command->backlog = backlog;
	parking_store(parking, backlog, command);
	return command;
}

static inline struct command *step_aside(struct user *user, const char *name)
{
	struct command *command = new_command(user, name, 0, false);
	struct backlog *backlog = backlog_of(user);
	command->state = COMMAND_RUNNING;
	command->stepping = true;
	command->backlog = backlog;
	backlog->stepped_aside = true;
	parking_store(parking, backlog, command);
	return command;
}

/* So many in the store, from another time: "1", "2", .. */
static void fill(const char *user, unsigned count)
{
	struct store_client *client = store_acquire(store);
	for (unsigned i = 1; i <= count; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%u", i);
		const struct parked_command command = {.id = store_new_id(),
			.lane = "lane",
			.user = user,
			.topic = "u/x",
			.position = i,
			.payload = name,
			.payload_size = strlen(name),
			.end = "done",
			.handler = "",
			.reason = "",
			.behind = i > 1};
		const struct parked_command *const commands[] = {&command};
		size_t failed;
		assert_int_equal(parked_commands_append(client, commands, 1, NULL, &failed), 0);
	}
	store_release(client);
}

static struct backlog *find(const char *name)
{
	struct backlog *backlog = backlog_of(user_of(name));
	parking_found(parking, backlog, now_ms);
	return backlog;
}

/* A backlog of so many, claimed. */
static struct backlog *claim(const char *user, unsigned count)
{
	fill(user, count);
	struct backlog *backlog = find(user);
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	return backlog;
}

static inline void begin_first(struct backlog *backlog)
{
	backlog->memory.first->state = COMMAND_RUNNING;
}

static void done(struct command *command)
{
	user_through(command->user, command);
	command->state = COMMAND_FINISHING;
	if (!command->stepping)
		parking_done(parking, command);
}

/* The first that is not done. */
static inline struct command *first_open(const struct backlog *backlog)
{
	struct command *command = backlog->memory.first;
	while (command && command->state == COMMAND_FINISHING)
		command = command->backlog_next;
	return command;
}

/* ---- The owner ---- */

static void on_stored(void *owner, struct command *command, bool refused)
{
	(void)owner;
	tell("%s%s ", refused ? "!" : "+", name_of(command));
	if (!command->stepping || refused) {
		command->stepping = false;
		let_go(command);
		return;
	}
	command->stepping = false;
	user_stored(command->user, command);
	parking_add(parking, command->backlog, command);
	if (command->state == COMMAND_FINISHING)
		parking_done(parking, command);
}

static bool on_read(void *owner, struct backlog *backlog, struct parked_command *document)
{
	(void)owner;
	if (no_memory_for_commands)
		return false;
	struct command *command = calloc(1, sizeof(*command));
	command->origin = COMMAND_FROM_STORE;
	command->document = document;
	record_read(command);
	user_insert(backlog->user, command);
	parking_add(parking, backlog, command);
	tell("<%s ", name_of(command));
	return true;
}

static void on_claimed(void *owner, struct backlog *backlog)
{
	(void)owner;
	(void)backlog;
	tell(". ");
}

static void on_finished(void *owner, struct command *command)
{
	(void)owner;
	tell("-%s ", name_of(command));
	let_go(command);
}

static void on_given_back(void *owner, struct command *command)
{
	(void)owner;
	tell(">%s ", name_of(command));
	command->backlog = NULL;
	if (command->state != COMMAND_RUNNING)
		let_go(command);
}

static void on_over(void *owner, struct user *user)
{
	(void)owner;
	tell("over:%s ", user->name);
	users_drop_idle(user);
}

static void on_buried(void *owner, struct command *command, int error)
{
	(void)owner;
	tell("buried:%s:%d ", name_of(command), error);
	let_go(command);
}

static void on_away(void *owner)
{
	(void)owner;
	tell("away ");
}

static const struct parking_owner callbacks = {
	.stored = on_stored,
	.read = on_read,
	.claimed = on_claimed,
	.finished = on_finished,
	.given_back = on_given_back,
	.over = on_over,
	.buried = on_buried,
	.away = on_away,
};

static int begin(void **state)
{
	(void)state;
	store = fake_store_new();
	users = users_new();
	now_ms = 1000000;
	no_memory_for_commands = false;
	refusals_logged = 0;
	forget_told();
	queue = NULL;
	queue_end = &queue;
	queued = 0;
	const struct parking_options options = {
		.lease_owner = "me", .claimed_max = CLAIMED_MAX, .callbacks = &callbacks};
	assert_int_equal(parking_new(&options, &parking), 0);
	serve(0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_null(queue);
	parking_free(parking);
	users_free(users);
	store_close(store);
	return 0;
}

/* ---- The store is away ---- */

/* Brings a backlog of "1", "2" to where a job of that kind is queued. */
static inline void until(enum storing_kind kind)
{
	const struct routes routes = {0};
	if (kind == STORING_APPEND) {
		store_one(user_of("u"), "1", 0, false);
		return;
	}
	if (kind == STORING_BURY) {
		struct command *command = new_command(user_of("u"), "x", 0, false);
		const struct dead_letter letter = {.id = store_new_id(),
			.topic = "u/x",
			.payload = "",
			.user = "u",
			.handler = "",
			.reason = "never",
			.host = ""};
		assert_int_equal(parking_bury(parking, command, &letter), 0);
		return;
	}
	fill("u", 2);
	struct backlog *backlog = find("u");
	serve(PARKING_WALK_MS);
	if (kind == STORING_CLAIM)
		return;
	work(STORING_CLAIM);
	struct command *first = backlog->memory.first;
	switch ((int)kind) {
	case STORING_FINISH:
		done(first);
		serve(PARKING_FINISH_MS + PARKING_WALK_MS);
		break;
	case STORING_POSTPONE:
		assert_true(
			record_make(first, &routes, &(struct record_terms){.attempts = 1, .delay_ms = 1000}));
		first->state = COMMAND_STORING;
		parking_postpone(parking, first, 1000);
		break;
	case STORING_RENEW: serve(PARKING_LEASE_MS / 2); break;
	case STORING_RELEASE: parking_stop(parking); break;
	default: fail();
	}
}

static const struct {
	const char *before, *after; /* told */
	size_t parked;
} outcomes[STORING_KINDS] = {
	[STORING_APPEND] = {"", "+1 ", 1},
	[STORING_CLAIM] = {"", "<1 <2 . ", 2},
	[STORING_FINISH] = {"<1 <2 . ", "-1 ", 1},
	[STORING_POSTPONE] = {"<1 <2 . ", ">1 >2 ", 2},
	[STORING_RENEW] = {"<1 <2 . ", "", 2},
	[STORING_RELEASE] = {"<1 <2 . >1 >2 ", "", 2},
	[STORING_BURY] = {"", "buried:x:0 ", 0},
};

static void clean_up(void)
{
	if (!parking->stopping)
		parking_stop(parking);
	work_all();
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

#endif
