/*
 * parked_contract.c - what parked_commands.h promises, as cases that the stand-in and the real store both pass.
 *
 * Every case begins with an empty, prepared store and a client of it. Time passes by backend_pass().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "backend.h"
#include "parked_commands.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANE	   "cashewd"
#define OTHER_LANE "cashewd-slow"

enum { LEASE_MS = 20000, BEHIND_MS = 5 * 60 * 1000, TRIES_MAX = 4 };
static const struct backlog_lease mine = {"owner-1", LEASE_MS}, others = {"owner-2", LEASE_MS};

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

/* ---- Making and taking ---- */

static struct parked_command sample(const char *user, int64_t position)
{
	static const char *const settled[] = {"first_handler", "second_handler"};

	return (struct parked_command){
		.id = store_new_id(),
		.lane = LANE,
		.user = user,
		.topic = "1/request_contact",
		.position = position,
		.payload = "{\"contact_id\":\"2\"}",
		.payload_size = 18,
		.correlation = "\x01\x00\xff",
		.correlation_size = 3,
		.response_topic = "1/answers",
		.settled = settled,
		.settled_count = 2,
		.end = "rejected",
		.attempts = 4,
		.crashes = 1,
		.replayed = true,
		.handler = "third_handler",
		.reason = "it was busy",
	};
}

/* Whether a write or a claim is to be repeated, as the host does: with the same ids, until it is answered. A stand-in on a machine with
 * other work may take longer for it than an operation may last. */
static bool unanswered(int error, unsigned *tries)
{
	return error == STORE_E_AWAY && ++*tries < TRIES_MAX;
}

static int finish_answered(struct store_client *own, const char *user, const struct store_id *ids,
	size_t count, const struct store_id *next, const struct backlog_lease *lease)
{
	unsigned tries = 0;
	int error;

	do
		error = parked_commands_finish(own, user, ids, count, next, lease);
	while (unanswered(error, &tries));
	return error;
}

static int claim_answered(struct store_client *own, const char *user, const struct backlog_lease *lease,
	size_t count_max, struct parked_batch *ret_batch)
{
	unsigned tries = 0;
	int error;

	do
		error = parked_commands_claim(own, LANE, user, lease, count_max, 0, ret_batch);
	while (unanswered(error, &tries));
	return error;
}

static void append_leased(
	const struct parked_command *commands, size_t count, const struct backlog_lease *lease)
{
	const struct parked_command **pointers = malloc(count * sizeof(pointers[0]));
	unsigned tries = 0;
	size_t failed;
	int error;

	assert_non_null(pointers);
	for (size_t i = 0; i < count; i++)
		pointers[i] = &commands[i];
	do
		error = parked_commands_append(client, pointers, count, lease, &failed);
	while (unanswered(error, &tries));
	assert_int_equal(error, 0);
	free(pointers);
}

static void append(const struct parked_command *commands, size_t count)
{
	append_leased(commands, count, NULL);
}

static struct parked_batch claim(const char *user, const struct backlog_lease *lease)
{
	struct parked_batch batch;

	assert_int_equal(claim_answered(client, user, lease, 0, &batch), 0);
	assert_true(batch.count > 0);
	return batch;
}

static void claim_count(const char *user, const struct backlog_lease *lease, size_t expected)
{
	struct parked_batch batch = claim(user, lease);

	assert_int_equal(batch.count, expected);
	parked_batch_free(&batch);
}

/* later_ms. */
static int64_t expect_no_claim(const char *user, const struct backlog_lease *lease, int expected)
{
	struct parked_batch batch;

	assert_int_equal(parked_commands_claim(client, LANE, user, lease, 0, 0, &batch), expected);
	assert_null(batch.commands);
	assert_int_equal(batch.count, 0);
	if (expected == PARKED_E_LATER)
		assert_true(batch.later_ms > 0);
	return batch.later_ms;
}

static void finish(const struct parked_command *done, size_t count, const struct store_id *next,
	const struct backlog_lease *lease)
{
	struct store_id *ids = malloc((count + 1) * sizeof(ids[0]));

	assert_non_null(ids);
	for (size_t i = 0; i < count; i++)
		ids[i] = done[i].id;
	assert_int_equal(finish_answered(client, done[0].user, ids, count, next, lease), 0);
	free(ids);
}

static uint64_t count_all(void)
{
	uint64_t count = 0;

	assert_int_equal(parked_command_count(client, &count), 0);
	return count;
}

/* ---- Append, claim ---- */

static void assert_same(const struct parked_command *found, const struct parked_command *expected)
{
	assert_memory_equal(&found->id, &expected->id, sizeof(expected->id));
	assert_string_equal(found->lane, expected->lane);
	assert_string_equal(found->user, expected->user);
	assert_string_equal(found->topic, expected->topic);
	assert_int_equal(found->position, expected->position);
	assert_int_equal(found->payload_size, expected->payload_size);
	assert_non_null(found->payload);
	if (expected->payload_size > 0)
		assert_memory_equal(found->payload, expected->payload, expected->payload_size);
	assert_int_equal(((const char *)found->payload)[found->payload_size], '\0');
	assert_int_equal(found->correlation_size, expected->correlation_size);
	if (expected->correlation_size > 0)
		assert_memory_equal(found->correlation, expected->correlation, expected->correlation_size);
	assert_int_equal(found->correlation == NULL, expected->correlation == NULL);
	if (expected->response_topic)
		assert_string_equal(found->response_topic, expected->response_topic);
	else
		assert_null(found->response_topic);
	assert_int_equal(found->settled_count, expected->settled_count);
	for (size_t i = 0; i < expected->settled_count; i++)
		assert_string_equal(found->settled[i], expected->settled[i]);
	assert_string_equal(found->end, expected->end);
	assert_int_equal(found->attempts, expected->attempts);
	assert_int_equal(found->crashes, expected->crashes);
	assert_int_equal(found->replayed, expected->replayed);
	assert_string_equal(found->handler, expected->handler);
	assert_string_equal(found->reason, expected->reason);
	assert_true(found->due_in_ms <= 0);
}

static void test_comes_back_as_it_was(void **state)
{
	static unsigned char large[200 * 1024];
	struct parked_command cases[4] = {
		sample("u0", 1), sample("u1", INT64_MAX), sample("u2", 3), sample("u|_.-", 4)};
	static const char *const names[] = {"all fields", "as little as can be", "large", "bytes"};

	(void)state;
	cases[1] = (struct parked_command){.id = store_new_id(),
		.lane = LANE,
		.user = "u1",
		.topic = "u1/x",
		.position = INT64_MAX,
		.end = "done",
		.handler = "",
		.reason = ""};
	memset(large, 0xfe, sizeof(large));
	cases[2].payload = large;
	cases[2].payload_size = sizeof(large);
	cases[2].correlation = "";
	cases[2].correlation_size = 0;
	cases[2].response_topic = NULL;
	cases[3].payload = "\0\xff\0";
	cases[3].payload_size = 3;
	cases[3].settled_count = 0;
	append(cases, 4);
	for (size_t i = 0; i < 4; i++) {
		print_message("  %s\n", names[i]);
		struct parked_batch batch = claim(cases[i].user, &mine);
		assert_int_equal(batch.count, 1);
		assert_false(batch.more);
		assert_same(batch.commands[0], &cases[i]);
		/* It may be taken out. */
		struct parked_command *taken = batch.commands[0];
		batch.commands[0] = NULL;
		parked_batch_free(&batch);
		assert_same(taken, &cases[i]);
		parked_command_free(taken);
	}
	parked_command_free(NULL);
}

static void test_texts_that_are_not_utf8(void **state)
{
	struct parked_command command = sample("1", 1);

	(void)state;
	command.reason = "\xff why";
	command.handler = "\xc3";
	append(&command, 1);
	claim_count("1", &mine, 1);
}

/* Whatever of the same call was written before: it ends with all, once. */
static void test_append_again(void **state)
{
	enum { COUNT = 12 };
	struct parked_command commands[COUNT];
	static const struct {
		const char *name;
		size_t first, count; /* written before */
	} cases[] = {
		{"nothing", 0, 0},
		{"the first", 0, 1},
		{"a beginning", 0, 5},
		{"all", 0, COUNT},
		{"all but the last", 0, COUNT - 1},
		{"what only another hand can have left: the end", 5, 7},
		{"the middle", 3, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char user[16];

		print_message("  %s\n", cases[i].name);
		snprintf(user, sizeof(user), "u%zu", i);
		for (int k = 0; k < COUNT; k++)
			commands[k] = sample(user, k + 1);
		append(&commands[cases[i].first], cases[i].count);
		append(commands, COUNT);
		append(commands, COUNT);
		assert_int_equal(count_all(), COUNT * (i + 1));
		struct parked_batch batch = claim(user, &mine);
		assert_int_equal(batch.count, COUNT);
		for (int k = 0; k < COUNT; k++)
			assert_same(batch.commands[k], &commands[k]);
		parked_batch_free(&batch);
		/* Nor does it wake what is leased. */
		append(commands, COUNT);
		(void)expect_no_claim(user, &others, PARKED_E_LATER);
	}
}

/* The one that fits into no document is told; those before it are there, those behind it not. */
static void test_append_too_large(void **state)
{
	enum { SIZE = 16 * 1024 * 1024 };
	char *large = calloc(1, SIZE);
	struct parked_command commands[] = {sample("1", 1), sample("1", 2), sample("1", 3), sample("1", 4)};
	const struct parked_command *const pointers[] = {
		&commands[0], &commands[1], &commands[2], &commands[3]};
	size_t failed = 0;

	(void)state;
	assert_non_null(large);
	commands[2].payload = large;
	commands[2].payload_size = SIZE;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			parked_commands_append(client, pointers, 4, NULL, &failed), STORE_E_PERMANENT);
		assert_int_equal(failed, 2);
		assert_string_not_equal(store_last_error(client), "");
		assert_int_equal(count_all(), 2);
	}
	assert_int_equal(parked_commands_append(client, pointers + 2, 2, NULL, &failed), STORE_E_PERMANENT);
	assert_int_equal(failed, 0);
	assert_int_equal(parked_commands_append(client, pointers, 0, NULL, &failed), 0);
	free(large);
	claim_count("1", &mine, 2);
}

/* ---- The lease ---- */

static void test_when_a_claim_is_answered(void **state)
{
	struct parked_command commands[] = {sample("1", 10), sample("1", 20)};

	(void)state;
	(void)expect_no_claim("1", &mine, PARKED_E_NONE);
	commands[0].due_in_ms = 5000;
	append(commands, 2);
	assert_in_range(expect_no_claim("1", &mine, PARKED_E_LATER), 1, 5000);
	backend_pass(store, 5000);
	claim_count("1", &mine, 2);
	/* The same owner again, at once. */
	claim_count("1", &mine, 2);
	assert_in_range(expect_no_claim("1", &others, PARKED_E_LATER), 1, LEASE_MS);
	backend_pass(store, LEASE_MS);
	claim_count("1", &others, 2);
	(void)expect_no_claim("1", &mine, PARKED_E_LATER);
	/* Of another lane, or another user, nothing is there. */
	struct parked_batch batch;
	assert_int_equal(parked_commands_claim(client, OTHER_LANE, "1", &mine, 0, 0, &batch), PARKED_E_NONE);
	(void)expect_no_claim("2", &mine, PARKED_E_NONE);
}

static void test_stepped_aside(void **state)
{
	struct parked_command commands[] = {sample("1", 10), sample("1", 20)};

	(void)state;
	append_leased(commands, 1, &mine);
	append(&commands[1], 1);
	(void)expect_no_claim("1", &others, PARKED_E_LATER);
	claim_count("1", &mine, 2);
	/* The answer to the append was lost: it is the same once more, with a lease. */
	append_leased(commands, 1, &mine);
	claim_count("1", &mine, 2);
}

static void test_renew_and_release(void **state)
{
	struct parked_command command = sample("1", 10);

	(void)state;
	append_leased(&command, 1, &mine);
	for (int i = 0; i < 4; i++) {
		backend_pass(store, LEASE_MS / 2);
		assert_int_equal(parked_commands_renew(client, "1", &command.id, &mine), 0);
	}
	assert_in_range(expect_no_claim("1", &others, PARKED_E_LATER), LEASE_MS / 2, LEASE_MS);
	assert_int_equal(parked_commands_renew(client, "1", &command.id, &others), PARKED_E_LATER);
	/* Not theirs to give. */
	assert_int_equal(parked_commands_release(client, "1", &command.id, others.owner), 0);
	(void)expect_no_claim("1", &others, PARKED_E_LATER);
	for (int i = 0; i < 2; i++)
		assert_int_equal(parked_commands_release(client, "1", &command.id, mine.owner), 0);
	assert_int_equal(parked_commands_renew(client, "1", &command.id, &mine), PARKED_E_LATER);
	struct parked_batch batch = claim("1", &others);
	assert_int_equal(batch.commands[0]->attempts, command.attempts);
	parked_batch_free(&batch);
	finish(&command, 1, NULL, NULL);
	assert_int_equal(parked_commands_renew(client, "1", &command.id, &others), PARKED_E_LATER);
	assert_int_equal(parked_commands_release(client, "1", &command.id, others.owner), 0);
	assert_int_equal(count_all(), 0);
}

/* ---- What a claim reads ---- */

static void test_batches(void **state)
{
	enum { COUNT = 250 };
	static struct parked_command commands[COUNT];
	size_t seen = 0;
	bool more = true;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		commands[i] = sample("1", i + 1);
		commands[i].behind = i > 0;
	}
	/* whatever order they come in */
	append(&commands[100], COUNT - 100);
	append(commands, 100);
	while (more) {
		struct parked_batch batch = claim("1", &mine);
		assert_int_equal(
			batch.count, COUNT - seen < PARKED_BATCH_MAX ? COUNT - seen : PARKED_BATCH_MAX);
		for (size_t i = 0; i < batch.count; i++)
			assert_memory_equal(
				&batch.commands[i]->id, &commands[seen + i].id, sizeof(commands[0].id));
		finish(&commands[seen], batch.count, NULL, NULL);
		seen += batch.count;
		more = batch.more;
		assert_int_equal(more, seen < COUNT);
		parked_batch_free(&batch);
	}
	(void)expect_no_claim("1", &mine, PARKED_E_NONE);
}

static void test_batches_by_bytes(void **state)
{
	enum { SIZE = 300 * 1024 };
	static char payload[SIZE], huge[4 * SIZE];
	struct parked_command commands[6];
	static const struct {
		size_t count_max, bytes_max, expected;
	} cases[] = {{0, 0, 3}, {2, 0, 2}, {1, 0, 1}, {0, 1, 1}, {0, 2 * SIZE + 100, 2}, {6, 100 * SIZE, 6},
		{7, 100 * SIZE, 6}};

	(void)state;
	for (int i = 0; i < 6; i++) {
		commands[i] = sample("1", i + 1);
		commands[i].payload = payload;
		commands[i].payload_size = SIZE;
	}
	append(commands, 6);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct parked_batch batch;

		assert_int_equal(parked_commands_claim(client, LANE, "1", &mine, cases[i].count_max,
					 cases[i].bytes_max, &batch),
			0);
		assert_int_equal(batch.count, cases[i].expected);
		assert_int_equal(batch.more, cases[i].expected < 6);
		parked_batch_free(&batch);
	}
	/* The first always. */
	commands[0] = sample("2", 1);
	commands[0].payload = huge;
	commands[0].payload_size = sizeof(huge);
	commands[1] = sample("2", 2);
	append(commands, 2);
	claim_count("2", &mine, 1);
}

/* ---- Postpone ---- */

static void test_postpone(void **state)
{
	static const char *const settled[] = {"fourth_handler"};
	struct parked_command commands[] = {sample("1", 10), sample("1", 20)};

	(void)state;
	append(commands, 2);
	claim_count("1", &mine, 2);
	commands[0].attempts = 7;
	commands[0].crashes = 2;
	commands[0].end = "dead";
	commands[0].handler = "fourth_handler";
	commands[0].reason = "busy still";
	commands[0].settled = settled;
	commands[0].settled_count = 1;
	for (int i = 0; i < 2; i++)
		assert_int_equal(parked_commands_postpone(client, &commands[0], mine.owner, 3000), 0);
	/* What follows is not before it either, and nobody has the lease. */
	assert_in_range(expect_no_claim("1", &mine, PARKED_E_LATER), 1, 3000);
	assert_in_range(expect_no_claim("1", &others, PARKED_E_LATER), 1, 3000);
	backend_pass(store, 3000);
	struct parked_batch batch = claim("1", &others);
	assert_int_equal(batch.count, 2);
	assert_same(batch.commands[0], &commands[0]);
	assert_same(batch.commands[1], &commands[1]);
	parked_batch_free(&batch);
	/* Late: another has it by now. */
	commands[0].attempts = 99;
	assert_int_equal(parked_commands_postpone(client, &commands[0], mine.owner, 3000), 0);
	batch = claim("1", &others);
	assert_int_equal(batch.commands[0]->attempts, 7);
	parked_batch_free(&batch);
	/* Too late: it is gone. */
	finish(commands, 2, NULL, NULL);
	assert_int_equal(parked_commands_postpone(client, &commands[0], others.owner, 3000), 0);
	(void)expect_no_claim("1", &others, PARKED_E_NONE);
}

/* ---- Finish ---- */

static void test_finish(void **state)
{
	struct parked_command commands[] = {
		sample("1", 10), sample("1", 20), sample("1", 30), sample("1", 40), sample("2", 50)};

	(void)state;
	append(commands, 5);
	claim_count("1", &mine, 4);
	for (int i = 0; i < 2; i++) {
		finish(commands, 2, &commands[2].id, &mine);
		assert_int_equal(count_all(), 3);
		/* The lease has gone on to the first that stays. */
		(void)expect_no_claim("1", &others, PARKED_E_LATER);
		assert_int_equal(parked_commands_renew(client, "1", &commands[2].id, &mine), 0);
	}
	/* It may go on without a delete. */
	assert_int_equal(parked_commands_finish(client, "1", NULL, 0, &commands[2].id, &mine), 0);
	assert_int_equal(parked_commands_finish(client, "1", NULL, 0, NULL, &mine), 0);
	for (int i = 0; i < 2; i++) {
		finish(&commands[2], 1, NULL, NULL);
		assert_int_equal(count_all(), 2);
	}
	/* Without a lease the rest is anybody's; and one that has it keeps it. */
	claim_count("1", &others, 1);
	finish(commands, 2, &commands[3].id, &mine);
	(void)expect_no_claim("1", &mine, PARKED_E_LATER);
	finish(&commands[3], 1, NULL, NULL);
	(void)expect_no_claim("1", &mine, PARKED_E_NONE);
	/* Another user's stays. */
	claim_count("2", &mine, 1);
}

/* ---- Behind ---- */

/* What is behind others is due as soon as it is the first, but nobody looks at it for some minutes. */
static void test_behind(void **state)
{
	struct parked_command commands[] = {sample("1", 10), sample("1", 20)};
	struct parked_user *users;
	size_t count;

	(void)state;
	commands[0].behind = commands[1].behind = true;
	append(commands, 2);
	assert_int_equal(parked_commands_due(client, NULL, 0, 0, 10, &users, &count), 0);
	parked_users_free(users, count);
	assert_int_equal(count, 0);
	claim_count("1", &mine, 2);
	finish(commands, 1, NULL, NULL);
	backend_pass(store, BEHIND_MS);
	assert_int_equal(parked_commands_due(client, NULL, 0, 0, 10, &users, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(users[0].user, "1");
	parked_users_free(users, count);
	claim_count("1", &others, 1);
	/* Leased, and so in good hands. */
	assert_int_equal(parked_commands_due(client, NULL, 0, 0, 10, &users, &count), 0);
	parked_users_free(users, count);
	assert_int_equal(count, 0);
}

/* ---- Who has something parked ---- */

struct seen {
	size_t count;
	char users[400][16];
	int64_t due_in_ms[400];
};

static void see(void *context, const char *user, int64_t due_in_ms)
{
	struct seen *seen = context;

	snprintf(seen->users[seen->count], sizeof(seen->users[0]), "%s", user);
	seen->due_in_ms[seen->count++] = due_in_ms;
}

static int64_t see_all(const char *lane, struct seen *seen)
{
	int64_t last = -1;

	seen->count = 0;
	assert_int_equal(parked_commands_backlogs(client, lane, mine.owner, see, seen, &last), 0);
	return last;
}

static void test_backlogs(void **state)
{
	struct parked_command commands[] = {sample("1", 10), sample("1", 20), sample("2", 30),
		sample("3", 40), sample("4", 50), sample("5", 60), sample("6", 1000)};
	static struct seen seen;

	(void)state;
	assert_int_equal(see_all(LANE, &seen), 0);
	assert_int_equal(seen.count, 0);
	commands[0].due_in_ms = 7000;
	commands[4].behind = true;
	commands[6].lane = OTHER_LANE;
	append_leased(&commands[2], 1, &mine);
	append_leased(&commands[3], 1, &others);
	append(commands, 2);
	append(&commands[4], 3);
	/* None of them is new, so the time is above them all. */
	assert_int_equal(see_all(LANE, &seen), 0);
	assert_int_equal(seen.count, 5);
	static const int64_t due[][2] = {{1, 7000}, {0, 0}, {1, LEASE_MS}, {0, 0}, {-1000, 0}};
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(seen.users[i][0], '1' + (int)i);
		print_message("  user %s: %lld\n", seen.users[i], (long long)seen.due_in_ms[i]);
		assert_true(seen.due_in_ms[i] >= due[i][0] && seen.due_in_ms[i] <= due[i][1]);
	}
	/* Of another lane, ahead of the time. */
	assert_int_equal(see_all(OTHER_LANE, &seen), 0);
	assert_int_equal(seen.count, 1);
	struct parked_command ahead[] = {
		sample("7", store_now_us(store) + 5000000), sample("8", store_now_us(store) + 4000000)};
	ahead[0].lane = ahead[1].lane = OTHER_LANE;
	append(ahead, 2);
	assert_int_equal(see_all(OTHER_LANE, &seen), ahead[0].position);
	assert_int_equal(seen.count, 3);
	assert_int_equal(see_all(LANE, &seen), 0);
}

/* Many users, and long backlogs among them: each once. */
static void test_many_backlogs(void **state)
{
	static struct parked_command commands[1800];
	static char names[300][16];
	static struct seen seen;
	size_t count = 0;
	const int64_t now_us = store_now_us(store);

	(void)state;
	for (int user = 0; user < 300; user++) {
		const int length = user == 50 ? 1200 : user == 299 ? 250 : 1;

		snprintf(names[user], sizeof(names[0]), "u%03d", user);
		for (int i = 0; i < length; i++, count++)
			commands[count] = sample(names[user], now_us + (int64_t)count);
	}
	for (size_t i = 0; i < count; i += 300)
		append(&commands[i], count - i < 300 ? count - i : 300);
	assert_int_equal(see_all(LANE, &seen), now_us + (int64_t)count - 1);
	assert_int_equal(seen.count, 300);
	for (int user = 0; user < 300; user++)
		assert_string_equal(seen.users[user], names[user]);
}

static void expect_due(
	const char *const *lanes, size_t lane_count, unsigned since_ms, size_t limit, const char *expected)
{
	struct parked_user *users = NULL;
	char found[64] = "";
	size_t count;

	assert_int_equal(parked_commands_due(client, lanes, lane_count, since_ms, limit, &users, &count), 0);
	for (size_t i = 0; i < count; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s", users[i].user,
			strcmp(users[i].lane, LANE) == 0 ? "" : "'");
	assert_string_equal(found, expected);
	parked_users_free(users, count);
}

static void test_due(void **state)
{
	static const char *const lane[] = {LANE}, *const both[] = {LANE, OTHER_LANE},
				 *const none[] = {"nobody's"};
	struct parked_command commands[] = {sample("1", 10), sample("1", 20), sample("2", 30),
		sample("3", 40), sample("1", 50), sample("4", 60)};

	(void)state;
	expect_due(lane, 1, 0, 10, "");
	commands[0].due_in_ms = -30000;
	commands[2].due_in_ms = -90000;
	commands[3].due_in_ms = 60000;
	commands[4].lane = OTHER_LANE;
	commands[4].due_in_ms = -100000;
	append(commands, 5);
	append_leased(&commands[5], 1, &others);
	expect_due(lane, 1, 0, 10, "21");
	expect_due(both, 2, 0, 10, "1'21");
	expect_due(NULL, 0, 0, 10, "1'21");
	expect_due(both, 2, 0, 2, "1'2");
	expect_due(none, 1, 0, 10, "");
	expect_due(both, 2, 60000, 10, "1'2");
	/* What is claimed is in good hands, until the lease ends. */
	backend_pass(store, 1000);
	claim_count("2", &mine, 1);
	expect_due(lane, 1, 0, 10, "1");
	backend_pass(store, 60001);
	expect_due(lane, 1, 0, 10, "1423");
	expect_due(lane, 1, 70000, 10, "1");
	finish(commands, 2, NULL, NULL);
	expect_due(lane, 1, 0, 10, "423");
	finish(&commands[2], 1, NULL, NULL);
	expect_due(lane, 1, 0, 10, "43");
	expect_due(both, 2, 0, 10, "1'43");
}

/* ---- Threads ---- */

enum { THREADS = 6, COMMANDS = 40 };

static atomic_int running, ended, failures;

/* One by one, and the lease goes on each time: so the backlog is without one only when all are gone. */
static int finish_one_by_one(
	struct store_client *own, const struct store_id *ids, size_t count, const struct backlog_lease *lease)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++)
		error = finish_answered(own, "1", &ids[i], 1, i + 1 < count ? &ids[i + 1] : NULL, lease);
	return error;
}

static void *work(void *context)
{
	struct store_client *own = store_acquire(store);
	char owner[16];
	const struct backlog_lease lease = {owner, LEASE_MS};

	snprintf(owner, sizeof(owner), "owner-%d", *(int *)context);
	while (ended < COMMANDS && failures == 0) {
		struct parked_batch batch;
		const int error = claim_answered(own, "1", &lease, 3, &batch);

		if (error == PARKED_E_LATER || error == PARKED_E_NONE)
			continue;
		if (error != 0 || atomic_fetch_add(&running, 1) != 0)
			failures++;
		if (error != 0)
			break;
		for (size_t i = 0; i < batch.count; i++)
			if (batch.commands[i]->position != ++ended)
				failures++;
		running--;
		struct store_id ids[3];
		for (size_t i = 0; i < batch.count; i++)
			ids[i] = batch.commands[i]->id;
		if (finish_one_by_one(own, ids, batch.count, &lease) != 0 || batch.more != (ended < COMMANDS))
			failures++;
		parked_batch_free(&batch);
	}
	store_release(own);
	return NULL;
}

/* Whoever claims, a user's commands run one at a time and in their order. */
static void test_many_claim(void **state)
{
	static struct parked_command commands[COMMANDS];
	pthread_t threads[THREADS];
	int numbers[THREADS];

	(void)state;
	for (int i = 0; i < COMMANDS; i++)
		commands[i] = sample("1", i + 1);
	append(commands, COMMANDS);
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
	(void)expect_no_claim("1", &mine, PARKED_E_NONE);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_comes_back_as_it_was),
		CASE(test_texts_that_are_not_utf8),
		CASE(test_append_again),
		CASE(test_append_too_large),
		CASE(test_when_a_claim_is_answered),
		CASE(test_stepped_aside),
		CASE(test_renew_and_release),
		CASE(test_batches),
		CASE(test_batches_by_bytes),
		CASE(test_postpone),
		CASE(test_finish),
		CASE(test_behind),
		CASE(test_backlogs),
		CASE(test_many_backlogs),
		CASE(test_due),
		CASE(test_many_claim),
	};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
