/*
 * parked_contract.c - what store.h promises of parked commands, as cases that the stand-in and the real store
 * both pass.
 *
 * Every case begins with an empty, prepared store and a client of it. Time is what the cases say it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "backend.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANE	    "cashewd"
#define OTHER_LANE  "cashewd-slow"
#define OWNER	    "owner-1"
#define OTHER_OWNER "owner-2"

/* A time of day that the cases count from. */
static const int64_t T = INT64_C(1795432800000);

static struct store *store;
static struct store_client *client;

static int open_store(void **state)
{
	(void)state;
	store = backend_open();
	client = store_acquire(store);
	return store_prepare(client);
}

static int close_store(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	return 0;
}

/* ---- making and taking ---- */

static struct parked_command sample(const char *user, int64_t position)
{
	static const char *const settled[] = {"first_handler", "second_handler"};
	struct parked_command command = {
		.lane = LANE,
		.user = user,
		.topic = "1/request_contact",
		.position = position,
		.payload = "{\"contact_id\":\"2\"}",
		.payload_size = 18,
		.correlation = "\x01\x00\xff",
		.correlation_size = 3,
		.response_topic = "1/answers",
		.mid = 65535,
		.key = UINT64_C(0xfedcba9876543210),
		.settled = settled,
		.settled_count = 2,
		.end = "rejected",
		.attempts = 4,
		.crashes = 1,
		.handler = "third_handler",
		.reason = "it was busy",
		.not_before_ms = T,
	};

	parked_command_new_id(command.id);
	return command;
}

static void add(const struct parked_command *command)
{
	assert_int_equal(parked_command_add(client, command), 0);
}

static struct parked_command *claim_at(const char *user, const char *owner, int64_t now_ms)
{
	struct parked_command *command = NULL;

	assert_int_equal(parked_command_claim(client, LANE, user, owner, now_ms, now_ms + 1000, &command), 0);
	assert_non_null(command);
	assert_string_equal(command->claimed_by, owner);
	return command;
}

static void expect_no_claim(const char *user, const char *owner, int64_t now_ms, int expected)
{
	static struct parked_command untouched;
	struct parked_command *command = &untouched;

	assert_int_equal(
		parked_command_claim(client, LANE, user, owner, now_ms, now_ms + 1000, &command), expected);
	assert_ptr_equal(command, &untouched);
}

static bool finish(const struct parked_command *command)
{
	bool more = false;

	assert_int_equal(parked_command_finish(client, command, &more), 0);
	return more;
}

/* ---- marks ---- */

enum { MARKS_MAX = 400 };

struct marks {
	struct parked_mark items[MARKS_MAX];
	char users[MARKS_MAX][65];
	char befores[MARKS_MAX][16];
	size_t count;
};

static void note(void *context, const struct parked_mark *mark)
{
	struct marks *marks = context;

	assert_true(marks->count < MARKS_MAX);
	assert_true(strlen(mark->user) <= 64);
	strcpy(marks->users[marks->count], mark->user);
	assert_true(mark->before_size <= sizeof(marks->befores[0]));
	if (mark->before_size > 0)
		memcpy(marks->befores[marks->count], mark->before, mark->before_size);
	marks->items[marks->count++] = *mark;
}

/* In memory that lives until the next call. */
static struct marks *marks_of(const char *lane)
{
	static struct marks marks;

	marks.count = 0;
	assert_int_equal(parked_command_marks(client, lane, note, &marks), 0);
	return &marks;
}

static void test_marks(void **state)
{
	struct parked_command commands[5] = {
		sample("b", 30), sample("a", 20), sample("b", 10), sample("a", 40), sample("c", 50)};
	const struct marks *marks;

	(void)state;
	assert_int_equal(marks_of(LANE)->count, 0);
	commands[0].mid = 0;
	commands[0].key = 7;
	commands[4].lane = OTHER_LANE;
	for (size_t i = 0; i < 5; i++)
		add(&commands[i]);
	assert_true(finish(&commands[1]));
	marks = marks_of(LANE);
	assert_int_equal(marks->count, 4);
	{
		static const struct {
			const char *user;
			int64_t position;
			bool done;
		} expected[] = {{"a", 20, true}, {"a", 40, false}, {"b", 10, false}, {"b", 30, false}};

		for (size_t i = 0; i < 4; i++) {
			assert_string_equal(marks->users[i], expected[i].user);
			assert_int_equal(marks->items[i].position, expected[i].position);
			assert_int_equal(marks->items[i].done, expected[i].done);
			assert_int_equal(marks->items[i].not_before_ms, expected[i].done ? 0 : T);
			assert_int_equal(marks->items[i].mid, i == 3 ? 0 : 65535);
			assert_true(marks->items[i].key == (i == 3 ? 7 : UINT64_C(0xfedcba9876543210)));
		}
	}
	marks = marks_of(OTHER_LANE);
	assert_int_equal(marks->count, 1);
	assert_string_equal(marks->users[0], "c");
}

/* More than a server sends in its first batch (101). */
/* They are known for as long as it is, done or not. */
static void test_before(void **state)
{
	struct parked_command with = sample("a", 10), without = sample("a", 20);
	const struct marks *marks;

	(void)state;
	with.before = "\x01\x02\x00\x03\x00";
	with.before_size = 5;
	add(&with);
	add(&without);
	marks = marks_of(LANE);
	assert_int_equal(marks->count, 2);
	assert_int_equal(marks->items[0].before_size, 5);
	assert_memory_equal(marks->befores[0], with.before, 5);
	assert_int_equal(marks->items[1].before_size, 0);
	assert_true(finish(&with));
	marks = marks_of(LANE);
	assert_true(marks->items[0].done);
	assert_int_equal(marks->items[0].before_size, 5);
}

static void test_many_marks(void **state)
{
	const struct marks *marks;

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct parked_command command = sample("1", 300 - i);

		add(&command);
	}
	marks = marks_of(LANE);
	assert_int_equal(marks->count, 300);
	for (int i = 0; i < 300; i++)
		assert_int_equal(marks->items[i].position, i + 1);
}

/* ---- add, claim ---- */

static void assert_same(const struct parked_command *found, const struct parked_command *expected)
{
	assert_memory_equal(found->id, expected->id, sizeof(expected->id));
	assert_string_equal(found->lane, expected->lane);
	assert_string_equal(found->user, expected->user);
	assert_string_equal(found->topic, expected->topic);
	assert_int_equal(found->position, expected->position);
	assert_int_equal(found->payload_size, expected->payload_size);
	if (expected->payload_size > 0)
		assert_memory_equal(found->payload, expected->payload, expected->payload_size);
	assert_int_equal(found->correlation_size, expected->correlation_size);
	if (expected->correlation_size > 0)
		assert_memory_equal(found->correlation, expected->correlation, expected->correlation_size);
	assert_int_equal(found->correlation == NULL, expected->correlation == NULL);
	if (expected->response_topic)
		assert_string_equal(found->response_topic, expected->response_topic);
	else
		assert_null(found->response_topic);
	assert_int_equal(found->mid, expected->mid);
	assert_true(found->key == expected->key);
	assert_int_equal(found->settled_count, expected->settled_count);
	for (size_t i = 0; i < expected->settled_count; i++)
		assert_string_equal(found->settled[i], expected->settled[i]);
	assert_string_equal(found->end, expected->end);
	assert_int_equal(found->attempts, expected->attempts);
	assert_int_equal(found->crashes, expected->crashes);
	assert_string_equal(found->handler, expected->handler);
	assert_string_equal(found->reason, expected->reason);
	assert_int_equal(found->not_before_ms, expected->not_before_ms);
}

static void test_comes_back_as_it_was(void **state)
{
	static unsigned char large[200 * 1024];
	struct parked_command cases[4] = {
		sample("u0", 1), sample("u1", INT64_MAX), sample("u2", 3), sample("u|_.-", 4)};
	static const char *const names[] = {"all fields", "as little as can be", "large", "bytes"};

	(void)state;
	cases[1] = (struct parked_command){.lane = LANE,
		.user = "u1",
		.topic = "u1/x",
		.position = INT64_MAX,
		.end = "done",
		.handler = "",
		.reason = ""};
	parked_command_new_id(cases[1].id);
	memset(large, 0xfe, sizeof(large));
	cases[2].payload = large;
	cases[2].payload_size = sizeof(large);
	cases[2].correlation = "";
	cases[2].correlation_size = 0;
	cases[2].response_topic = NULL;
	cases[3].payload = "\0\xff\0";
	cases[3].payload_size = 3;
	cases[3].settled_count = 0;
	for (size_t i = 0; i < 4; i++)
		add(&cases[i]);
	for (size_t i = 0; i < 4; i++) {
		struct parked_command *found;

		print_message("  %s\n", names[i]);
		found = claim_at(cases[i].user, OWNER, T);
		cases[i].attempts++;
		assert_same(found, &cases[i]);
		parked_command_free(found);
	}
	parked_command_free(NULL);
}

static void test_texts_that_are_not_utf8(void **state)
{
	struct parked_command command = sample("1", 1), *found;

	(void)state;
	command.reason = "\xff why";
	command.handler = "\xc3";
	add(&command);
	found = claim_at("1", OWNER, T);
	parked_command_free(found);
}

static void test_added_twice_is_one(void **state)
{
	struct parked_command command = sample("1", 1), *found;

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&command);
	assert_int_equal(marks_of(LANE)->count, 1);
	/* nor does it wake what is claimed, or done */
	found = claim_at("1", OWNER, T);
	add(&command);
	expect_no_claim("1", OTHER_OWNER, T, PARKED_E_LATER);
	assert_false(finish(found));
	add(&command);
	expect_no_claim("1", OWNER, T, PARKED_E_NONE);
	parked_command_free(found);
}

static void test_claims_the_first_only(void **state)
{
	struct parked_command commands[] = {
		sample("1", 30), sample("1", 10), sample("1", 20), sample("2", 5)};

	(void)state;
	expect_no_claim("1", OWNER, T, PARKED_E_NONE);
	for (size_t i = 0; i < 4; i++)
		add(&commands[i]);
	commands[0].lane = OTHER_LANE;
	parked_command_new_id(commands[0].id);
	commands[0].position = 1;
	add(&commands[0]);
	for (int64_t position = 10; position <= 30; position += 10) {
		struct parked_command *found = claim_at("1", OWNER, T);

		assert_int_equal(found->position, position);
		/* nobody gets what comes after it */
		expect_no_claim("1", OTHER_OWNER, T, PARKED_E_LATER);
		assert_int_equal(finish(found), position < 30);
		parked_command_free(found);
	}
	expect_no_claim("1", OWNER, T, PARKED_E_NONE);
	parked_command_free(claim_at("2", OWNER, T));
}

static void test_when_a_claim_is_answered(void **state)
{
	static const struct {
		const char *name;
		const char *claimed_by; /* NULL: nobody */
		int64_t lease_ms;
		const char *owner;
		int64_t now_ms;
		int expected;
	} cases[] = {
		{"before it is due", NULL, 0, OWNER, -1, PARKED_E_LATER},
		{"when it is due", NULL, 0, OWNER, 0, 0},
		{"long after", NULL, 0, OWNER, INT64_C(86400000), 0},
		{"another has it", OTHER_OWNER, 1000, OWNER, 999, PARKED_E_LATER},
		{"the other's lease is over", OTHER_OWNER, 1000, OWNER, 1000, 0},
		{"it is the owner's own", OWNER, 1000, OWNER, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char user[8];
		struct parked_command command, *found = NULL;

		print_message("  %s\n", cases[i].name);
		snprintf(user, sizeof(user), "%zu", i);
		command = sample(user, 1);
		add(&command);
		if (cases[i].claimed_by) {
			assert_int_equal(parked_command_claim(client, LANE, user, cases[i].claimed_by, T,
						 T + cases[i].lease_ms, &found),
				0);
			parked_command_free(found);
			found = NULL;
		}
		assert_int_equal(parked_command_claim(client, LANE, user, cases[i].owner, T + cases[i].now_ms,
					 T + cases[i].now_ms + 1000, &found),
			cases[i].expected);
		if (cases[i].expected == 0) {
			assert_int_equal(found->attempts, cases[i].claimed_by ? 6 : 5);
			parked_command_free(found);
		} else {
			assert_null(found);
		}
	}
}

/* ---- due ---- */

/* "lane/user lane/user ", in memory that lives until the next call. */
static const char *due(const char *const *lanes, size_t lane_count, int64_t before_ms, size_t limit)
{
	static char text[1024];
	struct parked_user *users = NULL;
	size_t count = 0;

	assert_int_equal(parked_command_due(client, lanes, lane_count, before_ms, limit, &users, &count), 0);
	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s/%s ", users[i].lane,
			users[i].user);
	parked_users_free(users, count);
	return text;
}

static void test_due(void **state)
{
	static const char *const one[] = {"one"}, *const both[] = {"one", "two"}, *const none[] = {"three"};
	static const struct {
		const char *lane, *user;
		int64_t position, not_before;
	} parked[] = {
		{"one", "a", 1, 300},
		{"one", "a", 2, 300},
		{"one", "a", 3, 300},
		{"one", "b", 4, 100},
		{"two", "a", 5, 200},
		{"two", "c", 6, 50},
		{"one", "d", 7, 900},
		{"one", "e", 8, 600},
		{"one", "e", 9, 400},
	};
	static const struct {
		const char *name;
		const char *const *lanes;
		size_t lane_count;
		int64_t before;
		size_t limit;
		const char *expected;
	} cases[] = {
		{"nothing yet", one, 1, 99, 10, ""},
		{"the first", one, 1, 100, 10, "one/b "},
		{"each user once", one, 1, 300, 10, "one/b one/a "},
		{"a follower counts", one, 1, 400, 10, "one/b one/a one/e "},
		{"all of one lane", one, 1, 1000, 10, "one/b one/a one/e one/d "},
		{"both lanes", both, 2, 1000, 10, "two/c one/b two/a one/a one/e one/d "},
		{"any lane", NULL, 0, 300, 10, "two/c one/b two/a one/a "},
		{"at most", NULL, 0, 1000, 2, "two/c one/b "},
		{"a lane without", none, 1, 1000, 10, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(parked) / sizeof(parked[0]); i++) {
		struct parked_command command = sample(parked[i].user, parked[i].position);

		command.lane = parked[i].lane;
		command.not_before_ms = T + parked[i].not_before;
		add(&command);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		assert_string_equal(
			due(cases[i].lanes, cases[i].lane_count, T + cases[i].before, cases[i].limit),
			cases[i].expected);
	}
}

static void test_what_is_done_is_not_due(void **state)
{
	static const char *const lanes[] = {LANE};
	struct parked_command commands[] = {sample("1", 10), sample("1", 20)};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		add(&commands[i]);
	assert_true(finish(&commands[0]));
	assert_string_equal(due(lanes, 1, T, 10), LANE "/1 ");
	assert_false(finish(&commands[1]));
	assert_string_equal(due(lanes, 1, T, 10), "");
}

/* ---- postpone ---- */

static void test_postpone(void **state)
{
	static const char *const lanes[] = {LANE}, *const settled[] = {"a", "b", "c"};
	struct parked_command commands[] = {
		sample("1", 10), sample("1", 20), sample("1", 30), sample("2", 40)};
	struct parked_command *found, changed;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		add(&commands[i]);
	found = claim_at("1", OWNER, T);
	changed = *found;
	changed.not_before_ms = T + 5000;
	changed.attempts = 7;
	changed.crashes = 2;
	changed.handler = "c";
	changed.reason = "again";
	changed.settled = settled;
	changed.settled_count = 3;
	changed.end = "dead";
	for (int i = 0; i < 2; i++)
		assert_int_equal(parked_command_postpone(client, &changed), 0);
	parked_command_free(found);
	/* what follows it waits as well; another user does not */
	assert_string_equal(due(lanes, 1, T + 4999, 10), LANE "/2 ");
	expect_no_claim("1", OTHER_OWNER, T + 4999, PARKED_E_LATER);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(marks_of(LANE)->items[i].not_before_ms, T + 5000);
	assert_int_equal(marks_of(LANE)->items[3].not_before_ms, T);
	/* and it is free, with all that was said of it */
	found = claim_at("1", OTHER_OWNER, T + 5000);
	commands[0].not_before_ms = T + 5000;
	commands[0].attempts = 8;
	commands[0].crashes = 2;
	commands[0].handler = "c";
	commands[0].reason = "again";
	commands[0].settled = settled;
	commands[0].settled_count = 3;
	commands[0].end = "dead";
	assert_same(found, &commands[0]);
	parked_command_free(found);
}

static void test_late_postpone(void **state)
{
	struct parked_command command = sample("1", 10), *first, *second;

	(void)state;
	add(&command);
	first = claim_at("1", OWNER, T);
	second = claim_at("1", OTHER_OWNER, T + 1000);
	/* its lease was over, and the claim is somebody else's */
	first->not_before_ms = T + 500;
	assert_int_equal(parked_command_postpone(client, first), 0);
	expect_no_claim("1", OWNER, T + 1500, PARKED_E_LATER);
	assert_int_equal(marks_of(LANE)->items[0].not_before_ms, T);
	/* what is done stays so */
	assert_false(finish(second));
	second->not_before_ms = T + 2000;
	assert_int_equal(parked_command_postpone(client, second), 0);
	expect_no_claim("1", OWNER, T + 9000, PARKED_E_NONE);
	assert_true(marks_of(LANE)->items[0].done);
	parked_command_free(first);
	parked_command_free(second);
}

/* What a crash between the two halves of a postponement leaves: what follows is due before the first. */
static void test_half_a_postponement(void **state)
{
	static const char *const lanes[] = {LANE};
	struct parked_command commands[] = {sample("1", 10), sample("1", 20)}, *found;

	(void)state;
	commands[0].not_before_ms = T + 5000;
	for (size_t i = 0; i < 2; i++)
		add(&commands[i]);
	assert_string_equal(due(lanes, 1, T, 10), LANE "/1 ");
	expect_no_claim("1", OWNER, T, PARKED_E_LATER);
	found = claim_at("1", OWNER, T + 5000);
	assert_int_equal(found->position, 10);
	found->not_before_ms = T + 9000;
	assert_int_equal(parked_command_postpone(client, found), 0);
	assert_string_equal(due(lanes, 1, T + 8999, 10), "");
	parked_command_free(found);
}

/* ---- finish ---- */

static void test_finish_twice(void **state)
{
	struct parked_command commands[] = {sample("1", 10), sample("1", 20), sample("2", 30)};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		add(&commands[i]);
	for (int i = 0; i < 2; i++)
		assert_true(finish(&commands[0]));
	for (int i = 0; i < 2; i++)
		assert_false(finish(&commands[1]));
	assert_int_equal(marks_of(LANE)->count, 3);
	parked_command_free(claim_at("2", OWNER, T));
	/* one that is not there */
	commands[0] = sample("3", 1);
	assert_false(finish(&commands[0]));
	assert_int_equal(marks_of(LANE)->count, 3);
}

/* ---- threads ---- */

enum { THREADS = 6, COMMANDS = 40 };

static atomic_int running, ended, failures;

static void *work(void *context)
{
	struct store_client *own = store_acquire(store);
	char owner[16];

	snprintf(owner, sizeof(owner), "owner-%d", *(int *)context);
	while (ended < COMMANDS && failures == 0) {
		struct parked_command *command;
		const int r = parked_command_claim(own, LANE, "1", owner, T, T + 1000, &command);
		bool more;

		if (r == PARKED_E_LATER || r == PARKED_E_NONE)
			continue;
		if (r != 0 || atomic_fetch_add(&running, 1) != 0 || command->position != ended + 1)
			failures++;
		if (r != 0)
			break;
		running--;
		ended++;
		if (parked_command_finish(own, command, &more) != 0 || more != (command->position < COMMANDS))
			failures++;
		parked_command_free(command);
	}
	store_release(own);
	return NULL;
}

/* Whoever claims, a user's commands run one at a time and in their order. */
static void test_many_claim(void **state)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];

	(void)state;
	for (int i = 0; i < COMMANDS; i++) {
		struct parked_command command = sample("1", COMMANDS - i);

		add(&command);
	}
	store_release(client);
	running = ended = failures = 0;
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	client = store_acquire(store);
	assert_int_equal(failures, 0);
	assert_int_equal(ended, COMMANDS);
	expect_no_claim("1", OWNER, T, PARKED_E_NONE);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_marks),
		CASE(test_before),
		CASE(test_many_marks),
		CASE(test_comes_back_as_it_was),
		CASE(test_texts_that_are_not_utf8),
		CASE(test_added_twice_is_one),
		CASE(test_claims_the_first_only),
		CASE(test_when_a_claim_is_answered),
		CASE(test_due),
		CASE(test_what_is_done_is_not_due),
		CASE(test_postpone),
		CASE(test_late_postpone),
		CASE(test_half_a_postponement),
		CASE(test_finish_twice),
		CASE(test_many_claim),
	};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
