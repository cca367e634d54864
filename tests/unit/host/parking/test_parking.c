/*
 * test_parking.c - parking.c and parking_job.c: backlogs over the stand-in store. The pool is this file's: a job is done when the test says so, so
 * that what happens meanwhile can be tried. The owner does what dispatch.c does, in its simplest form, and writes down what it was told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "command.h"
#include "failing_malloc.h"
#include "fake_store.h"
#include "parking.h"
#include "parking_private.h"
#include "place.h"
#include "record.h"
#include "users.h"

static struct store *store;
static struct users *users;
static struct parking *parking;
static int64_t now_ms;
static bool no_memory_for_commands;
static unsigned refusals_logged;

/* ---- What was told, in words ---- */

static char told[64 * 1024];
static size_t told_size;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	told_size += (size_t)vsnprintf(told + told_size, sizeof(told) - told_size, format, arguments);
	va_end(arguments);
	assert_true(told_size < sizeof(told));
}

static void expect(const char *expected)
{
	assert_string_equal(told, expected);
	told_size = 0;
	told[0] = '\0';
}

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

static struct command *step_aside(struct user *user, const char *name)
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

/* Another host takes the backlog after our lease has ended. */
static void steal(const char *user)
{
	const struct backlog_lease lease = {.owner = "other", .lease_ms = PARKING_LEASE_MS};
	struct parked_batch batch;
	fake_store_pass(store, PARKING_LEASE_MS + 1);
	struct store_client *client = store_acquire(store);
	assert_int_equal(parked_commands_claim(client, "lane", user, &lease, 0, 0, &batch), 0);
	store_release(client);
	parked_batch_free(&batch);
}

static void begin_first(struct backlog *backlog)
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
static struct command *first_open(const struct backlog *backlog)
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
	told_size = 0;
	told[0] = '\0';
	queue = NULL;
	queue_end = &queue;
	queued = 0;
	const struct parking_options options = {.lease_owner = "me", .callbacks = &callbacks};
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

/* ---- The way in and out ---- */

static void test_in_and_out(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 1000, false);
	store_one(user, "b", 0, true);
	store_one(user, "c", 0, true);
	assert_int_equal(queued, 1);
	work(STORING_APPEND);
	expect("+a ");
	work(STORING_APPEND);
	expect("+b +c ");
	assert_int_equal(fake_store_parked(store), 3);
	assert_int_equal(parking_due_ms(parking), now_ms + PARKING_WALK_MS);
	serve(PARKING_WALK_MS);
	serve(900);
	assert_int_equal(queued, 0);
	fake_store_pass(store, 1000);
	serve(100);
	assert_false(parking_idle(parking));
	work(STORING_CLAIM);
	expect("<a <b <c . ");
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	assert_int_equal(parking_claimed_count(parking), 3);
	struct backlog *backlog = user->backlog;
	done(first_open(backlog));
	done(first_open(backlog));
	assert_int_equal(queued, 0); /* not yet, and not for each of them */
	serve(PARKING_FINISH_MS - 1);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	work(STORING_FINISH);
	expect("-a -b ");
	assert_int_equal(fake_store_parked(store), 1);
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	done(first_open(backlog));
	work(STORING_FINISH); /* the last one at once */
	expect("-c over:u ");
	assert_int_equal(fake_store_parked(store), 0);
	assert_int_equal(parking_claimed_count(parking), 0);
	assert_true(parking_idle(parking));
	assert_null(parking->backlogs);
}

static void test_batches(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 250);
	static const size_t sizes[] = {100, 100, 50};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parking_claimed_count(parking), sizes[i]);
		for (struct command *command; (command = first_open(backlog));)
			done(command);
		work(STORING_FINISH);
		if (i < 2)
			work(STORING_CLAIM);
	}
	assert_int_equal(fake_store_parked(store), 0);
	assert_non_null(strstr(told, "-249 -250 over:u "));
	assert_non_null(strstr(told, "-99 -100 <101 <102 "));
}

/* New ones behind a claimed backlog: read after it, in order; while they are written nothing new waits in memory for long. */
static void test_behind(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 1);
	expect("<1 . ");
	assert_true(parking_lets_wait(parking, backlog));
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	store_one(backlog->user, "b", 0, true);
	done(first);
	work(STORING_APPEND);
	expect("+b ");
	assert_false(parking_lets_wait(parking, backlog)); /* the store has more */
	work(STORING_FINISH);
	expect("-1 ");
	work(STORING_CLAIM);
	expect("<b . ");
	done(first_open(backlog));
	work(STORING_FINISH);
	expect("-b over:u ");
}

static void test_lets_wait(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 60000, false);
	work_all();
	assert_false(parking_lets_wait(parking, user->backlog)); /* for too long */
	parking_found(parking, user->backlog, now_ms + 500);
	assert_true(parking_lets_wait(parking, user->backlog));
	struct place place = {.delays = user->backlog};
	user->backlog->after = &place;
	assert_false(parking_lets_wait(parking, user->backlog));
	user->backlog->after = NULL;
	for (unsigned i = 0; i <= PARKING_WAITING_MAX; i++) /* one of them is being written */
		store_one(user, "b", 0, true);
	assert_false(parking_lets_wait(parking, user->backlog));
	work_all();
	parking_stop(parking);
	assert_false(parking_lets_wait(parking, user->backlog));
}

/* ---- Giving back ---- */

static void test_postpone(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 4);
	expect("<1 <2 <3 <4 . ");
	done(first_open(backlog));
	struct command *second = first_open(backlog);
	const struct routes routes = {0};
	second->reason = "busy";
	second->handler = "h";
	assert_true(record_make(second, &routes, &(struct record_terms){.attempts = 7, .delay_ms = 5000}));
	second->state = COMMAND_STORING;
	parking_postpone(parking, second, 5000);
	assert_false(parking_lets_wait(parking, backlog));
	work(STORING_FINISH); /* what is before it, at once */
	expect("-1 ");
	work(STORING_POSTPONE);
	expect(">2 >3 >4 ");
	assert_int_equal(backlog->state, BACKLOG_RESTING);
	assert_int_equal(fake_store_parked_command(store, 0)->attempts, 7);
	assert_string_equal(fake_store_parked_command(store, 0)->reason, "busy");
	assert_null(fake_store_backlog_owner(store, 0));
	assert_int_equal(parking_claimed_count(parking), 0);
	serve(4000);
	assert_int_equal(queued, 0);
	fake_store_pass(store, 5000);
	serve(1000);
	work(STORING_CLAIM);
	expect("<2 <3 <4 . ");
	parking_stop(parking);
	work(STORING_RELEASE);
	expect(">2 >3 >4 ");
}

static void test_lease(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 3);
	expect("<1 <2 <3 . ");
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	fake_store_pass(store, PARKING_LEASE_MS - 1);
	serve(PARKING_LEASE_MS / 2 - 1);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	work(STORING_RENEW);
	expect("");
	serve(PARKING_LEASE_MS / 2 - 1);
	assert_int_equal(queued, 0);
	steal("u");
	serve(1 + PARKING_WALK_MS);
	work(STORING_RENEW);
	expect(">1 >2 >3 ");
	assert_int_equal(backlog->state, BACKLOG_RESTING);
	assert_int_equal(parking_claimed_count(parking), 0);
	let_go(first);
	/* The other one's lease is not ours to take. */
	serve(PARKING_LEASE_MS + PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("");
	assert_int_equal(backlog->state, BACKLOG_RESTING);
	assert_in_range(backlog->due_ms, now_ms + 1, now_ms + PARKING_LEASE_MS);
	fake_store_pass(store, PARKING_LEASE_MS);
	serve(PARKING_LEASE_MS);
	work(STORING_CLAIM);
	expect("<1 <2 <3 . ");
	parking_stop(parking);
	work_all();
}

/* Another host has done all of it meanwhile. */
static void test_found_nothing(void **state)
{
	(void)state;
	find("u");
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("over:u ");
	assert_true(parking_idle(parking));
}

static void test_stop(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 3);
	expect("<1 <2 <3 . ");
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	fill("v", 1);
	find("v");
	serve(PARKING_WALK_MS);
	parking_stop(parking);
	expect(">2 >3 ");
	work(STORING_CLAIM); /* v's, that was under way: nothing of it is begun */
	expect("<1 >1 ");
	work(STORING_RELEASE);
	assert_false(parking_idle(parking));
	done(first);
	work(STORING_FINISH);
	expect("-1 ");
	assert_true(parking_idle(parking));
	assert_int_equal(fake_store_parked(store), 3);
	for (size_t i = 0; i < 3; i++)
		assert_null(fake_store_backlog_owner(store, i));
	serve(PARKING_LEASE_MS);
	assert_int_equal(queued, 0);
}

/* ---- The store is away ---- */

/* Brings a backlog of "1", "2" to where a job of that kind is queued. */
static void until(enum storing_kind kind)
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

/* Each kind is repeated, as it was, until it is answered: nothing was done, or the answer was lost. */
static void test_away(void **state)
{
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_KINDS; kind++) {
		for (int lost = 0; lost < 2; lost++) {
			print_message(
				"  %s, %s\n", storing_kind_name(kind), lost ? "answer lost" : "not done");
			until(kind);
			expect(outcomes[kind].before);
			for (int again = 0; again < 2; again++) {
				if (lost)
					fake_store_lose_answer_at(store, 0);
				else
					fake_store_fail_next(store, STORE_E_AWAY, 1);
				work(kind);
				expect("away ");
				assert_false(parking_idle(parking));
				serve(PARKING_WALK_MS);
				assert_int_equal(queued, 0); /* not before the store answers again */
				parking_store_back(parking);
				assert_int_equal(queued, 1);
			}
			work(kind);
			expect(outcomes[kind].after);
			assert_int_equal(fake_store_parked(store), outcomes[kind].parked);
			assert_int_equal(fake_store_dead_letters(store), kind == STORING_BURY);
			clean_up();
			end(NULL);
			begin(NULL);
		}
	}
}

/* ---- The store cannot now ---- */

/* Each kind is repeated, as it was, after a pause that doubles; the store is not called away. */
static void test_transient(void **state)
{
	static const int64_t pauses_ms[] = {50, 100, 200, 400, 800, 1000, 1000};
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_KINDS; kind++) {
		print_message("  %s\n", storing_kind_name(kind));
		until(kind);
		expect(outcomes[kind].before);
		for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
			fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
			work(kind);
			expect("");
			assert_false(parking_idle(parking));
			serve(0);
			assert_int_equal(queued, 0);
			assert_in_range(parking->repeat_at_ms - now_ms, pauses_ms[i] / 2, pauses_ms[i]);
			assert_true(parking_due_ms(parking) <= parking->repeat_at_ms);
			serve(parking->repeat_at_ms - now_ms - 1);
			assert_int_equal(queued, 0);
			serve(1);
			assert_int_equal(queued, 1);
		}
		work(kind);
		expect(outcomes[kind].after);
		assert_int_equal(fake_store_parked(store), outcomes[kind].parked);
		assert_int_equal(parking->repeat_at_ms, INT64_MAX);
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* What pauses is not forgotten over what waits for the store, nor the other way round. */
static void test_transient_and_away(void **state)
{
	(void)state;
	store_one(user_of("u"), "a", 60000, false);
	store_one(user_of("v"), "b", 60000, false);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_APPEND);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	work(STORING_APPEND);
	expect("away ");
	serve(0);
	serve(50);
	work(STORING_APPEND);
	expect("+b ");
	serve(10000);
	assert_int_equal(queued, 0);
	parking_store_back(parking);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	work(STORING_APPEND);
	parking_store_back(parking); /* before the pause has begun */
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_APPEND);
	expect("away ");
	store_one(user_of("w"), "c", 60000, false);
	fake_store_fail_next(store, STORE_E_TRANSIENT, 1);
	work(STORING_APPEND);
	serve(0);
	serve(50);
	work(STORING_APPEND);
	expect("+c ");
	serve(10000);
	assert_int_equal(queued, 0);
	parking_store_back(parking);
	work(STORING_APPEND);
	expect("+a ");
	clean_up();
}

static size_t next_count(void)
{
	assert_int_equal(next_kind(), STORING_FINISH);
	return ((struct storing *)queue)->count;
}

/* Deletions that fail are tried with half as many, in order; when they work, with more. */
static void test_finish_less(void **state)
{
	static const int errors[] = {
		STORE_E_TRANSIENT, STORE_E_AWAY, STORE_E_TRANSIENT, STORE_E_AWAY, STORE_E_AWAY};
	static const size_t counts[] = {100, 50, 25, 12, 10}, more[] = {10, 20, 30, 40};
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct backlog *backlog = claim("u", 120);
		for (struct command *command; (command = first_open(backlog));)
			done(command);
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			assert_int_equal(next_count(), counts[i]);
			if (lost && i > 1)
				fake_store_lose_answer_at(store, 0);
			else
				fake_store_fail_next(store, errors[i], 1);
			parking_returned(parking, do_next());
			parking_store_back(parking);
		}
		told_size = 0;
		for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
			assert_int_equal(next_count(), more[i]);
			work(STORING_FINISH);
			if (!lost && i < 3)
				assert_string_equal(fake_store_backlog_owner(store, 0), "me");
		}
		assert_int_equal(fake_store_parked(store), 20);
		assert_int_equal(fake_store_parked_command(store, 0)->position, 101);
		assert_memory_equal(told, "-1 -2 -3 ", 9);
		assert_non_null(strstr(told, "-39 -40 -41 "));
		work(STORING_CLAIM);
		for (struct command *command; (command = first_open(backlog));)
			done(command);
		work(STORING_FINISH);
		assert_non_null(strstr(told, "-120 over:u "));
		assert_true(parking_idle(parking));
		end(NULL);
		begin(NULL);
	}
}

/* ---- Refused ---- */

static void test_refused(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 0, false);
	store_one(user, "b", 0, true);
	struct command *huge = store_one(user, "c", 0, true);
	huge->record->written.payload_size = 16 * 1024 * 1024; /* looked at by its size alone */
	store_one(user, "d", 0, true);
	work(STORING_APPEND);
	store_one(user, "e", 0, true); /* behind what is being written */
	expect("+a ");
	work(STORING_APPEND);
	expect("+b !c ");
	work(STORING_APPEND);
	expect("+d +e ");
	assert_int_equal(fake_store_parked(store), 4);
}

/* The only one is refused: there is no backlog. */
static void test_refused_first(void **state)
{
	(void)state;
	struct command *huge = store_one(user_of("u"), "a", 0, false);
	huge->record->written.payload_size = 16 * 1024 * 1024;
	work(STORING_APPEND);
	expect("!a over:u ");
	assert_true(parking_idle(parking));
}

/* ---- A change is refused ---- */

/* The log goes to standard error, as it is not open. */
static void refuse(enum storing_kind kind)
{
	char text[4096];
	fake_store_fail_next(store, STORE_E_PERMANENT, 1);
	assert_int_equal(next_kind(), kind);
	const int log_fd = memfd_create("log", MFD_CLOEXEC), stderr_fd = dup(STDERR_FILENO);
	assert_int_equal(dup2(log_fd, STDERR_FILENO), STDERR_FILENO);
	parking_returned(parking, do_next());
	assert_int_equal(dup2(stderr_fd, STDERR_FILENO), STDERR_FILENO);
	const ssize_t size = pread(log_fd, text, sizeof(text) - 1, 0);
	assert_true(size > 0);
	text[size] = '\0';
	refusals_logged += strstr(text, "refuses to delete parked commands") != NULL;
	close(stderr_fd);
	close(log_fd);
}

/* What is done and cannot be deleted stays, and so does our lease; new ones are written behind it; it is told once. */
static void test_finish_refused(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 4);
	expect("<1 <2 <3 <4 . ");
	done(first_open(backlog));
	done(first_open(backlog));
	serve(PARKING_FINISH_MS + PARKING_WALK_MS);
	refuse(STORING_FINISH);
	expect("");
	assert_int_equal(fake_store_parked(store), 4);
	assert_int_equal(backlog->memory.count, 4);
	done(first_open(backlog));
	serve(PARKING_FINISH_MS + PARKING_WALK_MS);
	assert_int_equal(queued, 0);
	store_one(backlog->user, "b", 0, true);
	work(STORING_APPEND);
	expect("+b ");
	fake_store_pass(store, PARKING_LEASE_MS / 2);
	serve(PARKING_REFUSED_MS - 2 * (PARKING_FINISH_MS + PARKING_WALK_MS));
	assert_int_equal(next_kind(), STORING_RENEW); /* meanwhile it is kept */
	work(STORING_RENEW);
	expect("");
	serve(2 * (PARKING_FINISH_MS + PARKING_WALK_MS));
	assert_int_equal(next_count(), 3);
	refuse(STORING_FINISH);
	serve(PARKING_REFUSED_MS - 1);
	if (next_kind() == STORING_RENEW)
		work(STORING_RENEW);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	assert_int_equal(next_count(), 3);
	work(STORING_FINISH);
	expect("-1 -2 -3 ");
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	done(first_open(backlog));
	work(STORING_FINISH);
	work(STORING_CLAIM);
	expect("-4 <b . ");
	done(first_open(backlog));
	refuse(STORING_FINISH); /* again, after it was taken in between */
	assert_int_equal(refusals_logged, 2);
	serve(PARKING_REFUSED_MS);
	work_all();
	serve(PARKING_WALK_MS);
	work_all();
	expect("-b over:u ");
}

/* An attempt that cannot be written down is not made: what failed is not run again before. */
static void test_postpone_refused(void **state)
{
	(void)state;
	until(STORING_POSTPONE);
	expect("<1 <2 . ");
	struct backlog *backlog = user_of("u")->backlog;
	refuse(STORING_POSTPONE);
	expect("");
	assert_int_equal(backlog->state, BACKLOG_CLAIMED);
	serve(PARKING_REFUSED_MS - 1);
	if (next_kind() == STORING_RENEW)
		work(STORING_RENEW);
	assert_int_equal(queued, 0);
	serve(1 + PARKING_WALK_MS);
	refuse(STORING_POSTPONE);
	work(STORING_RENEW); /* the lease is kept meanwhile */
	serve(PARKING_REFUSED_MS + PARKING_WALK_MS);
	work(STORING_POSTPONE);
	expect(">1 >2 ");
	assert_int_equal(refusals_logged, 1);
	assert_int_equal(fake_store_parked_command(store, 0)->attempts, 1);
	assert_null(fake_store_backlog_owner(store, 0));
}

/* The lease holds as long as it was taken for: it is renewed within that, or given up at its end. */
static void test_renew_refused(void **state)
{
	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		until(STORING_RENEW);
		expect("<1 <2 . ");
		const int64_t ends_ms = user_of("u")->backlog->leased_ms + PARKING_LEASE_MS;
		for (int again = 0; again < 3; again++) {
			refuse(STORING_RENEW);
			serve(PARKING_RETRY_MS - 1);
			assert_int_equal(queued, 0);
			serve(1 + PARKING_WALK_MS);
		}
		expect("");
		if (taken) {
			work(STORING_RENEW);
			serve(PARKING_LEASE_MS / 2 - 1);
			assert_int_equal(queued, 0);
			serve(1 + PARKING_WALK_MS);
			work(STORING_RENEW);
			expect("");
		} else {
			while (now_ms < ends_ms) {
				expect("");
				refuse(STORING_RENEW);
				serve(PARKING_RETRY_MS + PARKING_WALK_MS);
			}
			if (queued > 0)
				refuse(STORING_RENEW);
			expect(">1 >2 ");
		}
		assert_int_equal(refusals_logged, 1);
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* A lease that cannot be given back ends by itself: the host does not wait for that. */
static void test_release_refused(void **state)
{
	(void)state;
	until(STORING_RELEASE);
	refuse(STORING_RELEASE);
	assert_true(parking_idle(parking));
	assert_int_equal(fake_store_parked(store), 2);
}

/* ---- Stepping aside ---- */

static void test_step_aside(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	struct command *slow = step_aside(user, "slow");
	struct backlog *backlog = user->backlog;
	store_one(user, "b", 0, true);
	store_one(user, "c", 0, true);
	assert_false(parking_lets_wait(parking, backlog));
	work(STORING_APPEND);
	expect("+slow ");
	assert_int_equal(backlog->state, BACKLOG_CLAIMED);
	assert_string_equal(fake_store_backlog_owner(store, 0), "me");
	work(STORING_APPEND);
	expect("+b +c ");
	assert_null(fake_store_backlog_owner(store, 1));
	fake_store_pass(store, PARKING_LEASE_MS / 2);
	serve(PARKING_LEASE_MS / 2);
	work(STORING_RENEW);
	assert_int_equal(queued, 0); /* what is behind it waits, however long it takes */
	done(slow);
	work(STORING_FINISH);
	work(STORING_CLAIM);
	expect("-slow <b <c . ");
	assert_true(parking_lets_wait(parking, backlog)); /* what has stepped aside is through */
	done(first_open(backlog));
	done(first_open(backlog));
	work(STORING_FINISH);
	expect("-b -c over:u ");
}

/* It has ended before its document was written, or that was refused. */
static void test_step_aside_ends(void **state)
{
	(void)state;
	struct command *slow = step_aside(user_of("u"), "slow");
	done(slow);
	work(STORING_APPEND);
	expect("+slow ");
	work(STORING_FINISH);
	expect("-slow over:u ");
	slow = step_aside(user_of("u"), "slow");
	slow->record->written.payload_size = 16 * 1024 * 1024;
	work(STORING_APPEND);
	expect("!slow over:u ");
	assert_true(parking_idle(parking));
}

/* ---- After a place ---- */

static void test_after_place(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 0, false);
	struct place place = {.delays = user->backlog};
	user->backlog->after = &place;
	work_all();
	expect("+a ");
	serve(5000);
	assert_int_equal(queued, 0);
	parking_place_freed(parking, user->backlog);
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("<a . ");
	clean_up();
}

/* A backlog that ends leaves no place that knows of it. */
static void test_after_place_ends(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	struct place place = {.delays = find("u")};
	user->backlog->after = &place;
	parking_drop_all(parking);
	expect("over:u ");
	assert_null(place.delays);
}

/* ---- Standby ---- */

/* Nothing of the user is known any more. */
static void expect_nothing_left(void)
{
	assert_null(parking->backlogs);
	assert_true(parking_idle(parking));
	assert_int_equal(parking_claimed_count(parking), 0);
	assert_int_equal(parking->counted, 0);
}

/* Of what is told when a backlog is dropped with a job of that kind under way: what has not begun goes at once, .. */
static const char *const dropped_at_once[STORING_KINDS] = {
	[STORING_FINISH] = ">2 ",
	[STORING_POSTPONE] = ">2 ",
	[STORING_RENEW] = ">1 >2 ",
};

static void test_drop_all(void **state)
{
	/* .. and the rest when it comes back. */
	static const char *const then[STORING_KINDS] = {
		[STORING_CLAIM] = "over:u ",
		[STORING_FINISH] = "-1 over:u ",
		[STORING_POSTPONE] = ">1 over:u ",
		[STORING_RENEW] = "over:u ",
		[STORING_RELEASE] = "over:u ",
	};
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_BURY; kind++) {
		print_message("  %s\n", storing_kind_name(kind));
		until(kind);
		expect(outcomes[kind].before);
		parking_drop_all(parking);
		expect(dropped_at_once[kind] ? dropped_at_once[kind] : "");
		work(kind);
		if (kind == STORING_APPEND) {
			/* It was written: it stays known. */
			expect("+1 ");
			assert_int_equal(user_of("u")->backlog->state, BACKLOG_RESTING);
		} else {
			expect(then[kind]);
			expect_nothing_left();
		}
		end(NULL);
		begin(NULL);
	}
}

/* What was not answered before another host may have taken over is not done after that, neither when the store answers again nor after a pause. It
 * comes back before (it waits to be repeated), or after. */
static void test_drop_unanswered(void **state)
{
	static const char *const forgotten[STORING_KINDS] = {
		[STORING_APPEND] = ">1 ",
		[STORING_CLAIM] = "over:u ",
		[STORING_FINISH] = ">1 >2 over:u ",
		[STORING_POSTPONE] = ">1 >2 over:u ",
		[STORING_RENEW] = ">1 >2 over:u ",
		[STORING_RELEASE] = "over:u ",
	};
	static const struct {
		const char *name;
		int error; /* 0: it is done, and the answer is lost */
		bool late; /* it comes back when all has been dropped */
	} cases[] = {{"away", STORE_E_AWAY, false}, {"answer lost", 0, false},
		{"cannot now", STORE_E_TRANSIENT, false}, {"away, late", STORE_E_AWAY, true},
		{"answer lost, late", 0, true}, {"cannot now, late", STORE_E_TRANSIENT, true}};
	(void)state;
	for (enum storing_kind kind = 0; kind < STORING_BURY; kind++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			print_message("  %s, %s\n", storing_kind_name(kind), cases[i].name);
			until(kind);
			expect(outcomes[kind].before);
			if (cases[i].late) {
				parking_drop_all(parking);
				if (dropped_at_once[kind])
					assert_string_equal(told, dropped_at_once[kind]);
			}
			if (cases[i].error != 0)
				fake_store_fail_next(store, cases[i].error, 1);
			else
				fake_store_lose_answer_at(store, 0);
			work(kind);
			const bool away = cases[i].error != STORE_E_TRANSIENT;
			if (!cases[i].late) {
				expect(away ? "away " : "");
				parking_drop_all(parking);
				expect(forgotten[kind]);
			}
			parking_serve(parking, false, now_ms += 2000);
			parking_store_back(parking);
			assert_int_equal(queued, 0);
			assert_true(parking_idle(parking));
			told_size = 0;
			told[0] = '\0';
			if (kind == STORING_APPEND) {
				/* It is looked whether it was written, before anything else of the user. */
				assert_non_null(user_of("u")->backlog);
				serve(PARKING_WALK_MS);
				work(STORING_CLAIM);
				expect(cases[i].error == 0 ? "<1 . " : "over:u ");
				if (cases[i].error == 0)
					clean_up();
			} else {
				expect_nothing_left();
			}
			end(NULL);
			begin(NULL);
		}
	}
}

/* A dead letter is nobody's backlog. */
static void test_drop_bury(void **state)
{
	(void)state;
	until(STORING_BURY);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_BURY);
	expect("away ");
	parking_drop_all(parking);
	parking_store_back(parking);
	work(STORING_BURY);
	expect("buried:x:0 ");
	assert_int_equal(fake_store_dead_letters(store), 1);
}

/* What waits to be written is the broker's; what comes when this host is active again is written as ever. */
static void test_drop_to_store(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	store_one(user, "a", 0, false);
	store_one(user, "b", 0, true);
	store_one(user, "c", 0, true);
	parking_drop_all(parking);
	expect(">b >c ");
	store_one(user, "d", 0, true);
	work(STORING_APPEND);
	expect("+a ");
	work(STORING_APPEND);
	expect("+d ");
	assert_int_equal(fake_store_parked(store), 2);
	clean_up();
}

/* Idle ones go at once; what runs goes on without its document. */
static void test_drop_idle(void **state)
{
	(void)state;
	struct backlog *backlog = claim("u", 2);
	expect("<1 <2 . ");
	begin_first(backlog);
	struct command *first = backlog->memory.first;
	find("v");
	parking_drop_all(parking);
	assert_true(strcmp(told, "over:v >1 >2 over:u ") == 0 || strcmp(told, ">1 >2 over:u over:v ") == 0);
	assert_null(first->backlog);
	assert_null(first->user->backlog);
	let_go(first);
	assert_true(parking_idle(parking));
}

/* One that steps aside meanwhile is no longer in memory of a backlog that is gone. */
static void test_drop_stepping(void **state)
{
	(void)state;
	struct command *slow = step_aside(user_of("u"), "slow");
	parking_drop_all(parking);
	expect("");
	work(STORING_APPEND);
	expect("+slow >slow ");
	assert_null(slow->backlog);
	assert_int_equal(parking_claimed_count(parking), 0);
	let_go(slow);
}

/* One whose document has not been answered runs on, and has none. */
static void test_drop_stepping_unanswered(void **state)
{
	(void)state;
	struct command *slow = step_aside(user_of("u"), "slow");
	store_one(slow->user, "b", 0, true);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	work(STORING_APPEND);
	expect("away ");
	parking_drop_all(parking);
	expect("!slow >b ");
	parking_store_back(parking);
	assert_int_equal(queued, 0);
	serve(PARKING_WALK_MS);
	work(STORING_CLAIM);
	expect("over:u ");
	expect_nothing_left();
}

/* This host is active again before the job has come back: what was found then is not forgotten. */
static void test_drop_and_found(void **state)
{
	static const enum storing_kind kinds[] = {
		STORING_CLAIM, STORING_FINISH, STORING_POSTPONE, STORING_RENEW};
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		print_message("  %s\n", storing_kind_name(kinds[i]));
		until(kinds[i]);
		parking_drop_all(parking);
		find("u");
		told_size = 0;
		told[0] = '\0';
		work(kinds[i]);
		assert_null(strstr(told, "over"));
		fake_store_pass(store, PARKING_LEASE_MS);
		serve(PARKING_WALK_MS);
		work(STORING_CLAIM);
		assert_non_null(strstr(told, "<2 . "));
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* ---- Many ---- */

static void test_many_due(void **state)
{
	enum { USERS = 100, AT_ONCE = 64 };
	(void)state;
	for (unsigned i = 0; i < USERS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "u%u", i);
		fill(name, 1);
		find(name);
	}
	parking_serve(parking, false, now_ms += PARKING_WALK_MS);
	assert_int_equal(queued, 0); /* not while it may not */
	serve(0);
	assert_int_equal(queued, AT_ONCE);
	work_all();
	serve(PARKING_WALK_MS);
	assert_int_equal(queued, 0);
	unsigned finished = 0;
	for (unsigned turns = 0; parking->backlogs && turns < USERS; turns++) {
		for (struct backlog *backlog = parking->backlogs; backlog; backlog = backlog->next) {
			if (!backlog->memory.first)
				continue;
			done(backlog->memory.first);
			finished++;
		}
		work_all();
		serve(PARKING_WALK_MS);
		work_all();
		assert_true(parking->claimed <= AT_ONCE);
	}
	assert_int_equal(finished, USERS);
	assert_int_equal(fake_store_parked(store), 0);
}

/* As many as may be claimed at once have stepped aside, and twice as many: the others are claimed all the same. */
static void test_many_aside(void **state)
{
	enum { ASIDE = 128, USERS = 70, AT_ONCE = 64 };
	(void)state;
	struct command *slow[ASIDE];
	for (unsigned i = 0; i < ASIDE; i++) {
		char name[8];
		snprintf(name, sizeof(name), "s%u", i);
		slow[i] = step_aside(user_of(name), "slow");
	}
	work_all();
	for (unsigned i = 0; i < USERS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "u%u", i);
		fill(name, 1);
		find(name);
	}
	serve(PARKING_WALK_MS);
	assert_int_equal(queued, AT_ONCE);
	assert_int_equal(parking->claimed, ASIDE + AT_ONCE);
	work_all();
	/* What was behind one that had stepped aside is claimed, and counts like any other. */
	store_one(slow[0]->user, "b", 0, true);
	work_all();
	done(slow[0]);
	work_all();
	assert_int_equal(parking->counted, AT_ONCE + 1);
	serve(PARKING_WALK_MS);
	assert_int_equal(queued, 0);
	for (unsigned i = 1; i < ASIDE; i++)
		done(slow[i]);
	work_all();
	for (unsigned turns = 0; parking->backlogs && turns < 10; turns++) {
		for (struct backlog *backlog = parking->backlogs; backlog; backlog = backlog->next)
			if (backlog->memory.first)
				done(backlog->memory.first);
		work_all();
		serve(PARKING_WALK_MS);
		work_all();
	}
	assert_null(parking->backlogs);
	assert_int_equal(parking->claimed, 0);
	assert_int_equal(parking->counted, 0);
}

/* Ten thousand that rest are not looked at in each turn. */
static void test_many_rest(void **state)
{
	enum { USERS = 10000, REST_MS = 60000 };
	(void)state;
	struct backlog *one = NULL;
	for (unsigned i = 0; i < USERS; i++) {
		char name[8];
		snprintf(name, sizeof(name), "u%u", i);
		one = backlog_of(user_of(name));
		parking_found(parking, one, now_ms + REST_MS);
	}
	const int64_t due_ms = now_ms + REST_MS;
	serve(PARKING_WALK_MS);
	assert_int_equal(parking_due_ms(parking), due_ms);
	one->due_ms = now_ms; /* behind its back: a walk would find it */
	for (unsigned i = 0; i < 1000; i++)
		serve(1);
	assert_false(one->in_line);
	assert_int_equal(queued, 0);
	assert_int_equal(parking_due_ms(parking), due_ms);
	now_ms = due_ms;
	parking_serve(parking, false, now_ms);
	assert_true(one->in_line);
}

/* ---- No memory ---- */

/* A job that could not be made is made by the next walk. */
static void test_no_memory(void **state)
{
	static const enum storing_kind kinds[] = {STORING_APPEND, STORING_CLAIM, STORING_FINISH,
		STORING_POSTPONE, STORING_RENEW, STORING_RELEASE};
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const enum storing_kind kind = kinds[i];
		print_message("  %s\n", storing_kind_name(kind));
		const struct routes routes = {0};
		struct user *user = user_of("u");
		struct command *command = kind == STORING_APPEND ? new_command(user, "1", 0, false) : NULL;
		struct backlog *backlog = backlog_of(user);
		if (kind != STORING_APPEND) {
			fill("u", 2);
			parking_found(parking, backlog, now_ms);
		}
		if (kind != STORING_APPEND && kind != STORING_CLAIM) {
			serve(PARKING_WALK_MS);
			work(STORING_CLAIM);
			command = backlog->memory.first;
		}
		if (kind == STORING_FINISH) {
			done(command);
			now_ms += PARKING_FINISH_MS;
		} else if (kind == STORING_POSTPONE) {
			assert_true(record_make(command, &routes, &(struct record_terms){.delay_ms = 1000}));
			command->state = COMMAND_STORING;
		} else if (kind == STORING_RENEW) {
			now_ms += PARKING_LEASE_MS / 2;
		}
		failing_malloc_start(1, true);
		if (kind == STORING_APPEND)
			parking_store(parking, backlog, command);
		else if (kind == STORING_POSTPONE)
			parking_postpone(parking, command, 1000);
		else if (kind == STORING_RELEASE)
			parking_stop(parking);
		serve(PARKING_WALK_MS);
		serve(PARKING_WALK_MS);
		assert_true(failing_malloc_stop());
		assert_int_equal(queued, 0);
		assert_true(parking_due_ms(parking) <= now_ms + PARKING_WALK_MS);
		told_size = 0;
		told[0] = '\0';
		serve(PARKING_WALK_MS);
		work(kind);
		expect(outcomes[kind].after);
		clean_up();
		end(NULL);
		begin(NULL);
	}
}

/* No backlog, no dead letter; no memory for what was read: it is read once more. */
static void test_no_memory_elsewhere(void **state)
{
	(void)state;
	struct user *user = user_of("u");
	struct command *command = new_command(user, "x", 0, false);
	const struct dead_letter letter = {.id = store_new_id()};
	failing_malloc_start(1, true);
	assert_null(parking_backlog(parking, user, NULL, "lane", false));
	assert_int_not_equal(parking_bury(parking, command, &letter), 0);
	failing_malloc_stop();
	assert_null(user->backlog);
	let_go(command);
	no_memory_for_commands = true;
	struct backlog *backlog = claim("u", 2);
	expect(". ");
	no_memory_for_commands = false;
	work(STORING_CLAIM);
	expect("<1 <2 . ");
	assert_int_equal(backlog->memory.count, 2);
	clean_up();
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_and_out),
		TEST(test_batches),
		TEST(test_behind),
		TEST(test_lets_wait),
		TEST(test_postpone),
		TEST(test_lease),
		TEST(test_found_nothing),
		TEST(test_stop),
		TEST(test_away),
		TEST(test_transient),
		TEST(test_transient_and_away),
		TEST(test_finish_less),
		TEST(test_refused),
		TEST(test_refused_first),
		TEST(test_finish_refused),
		TEST(test_postpone_refused),
		TEST(test_renew_refused),
		TEST(test_release_refused),
		TEST(test_step_aside),
		TEST(test_step_aside_ends),
		TEST(test_after_place),
		TEST(test_after_place_ends),
		TEST(test_drop_all),
		TEST(test_drop_unanswered),
		TEST(test_drop_bury),
		TEST(test_drop_to_store),
		TEST(test_drop_stepping_unanswered),
		TEST(test_drop_idle),
		TEST(test_drop_stepping),
		TEST(test_drop_and_found),
		TEST(test_many_due),
		TEST(test_many_aside),
		TEST(test_many_rest),
		TEST(test_no_memory),
		TEST(test_no_memory_elsewhere),
	};
	return cmocka_run_group_tests_name("parking", tests, NULL, NULL);
}
