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
#include "opened.h"
#include "parked_commands.h"
#include "parked_parts.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Making and taking ---- */

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
	assert_int_equal(
		parked_commands_finish(client,
			&(struct parked_finish){.user = "1", .next = &commands[2].id, .lease = &mine}, 1),
		0);
	assert_int_equal(
		parked_commands_finish(client, &(struct parked_finish){.user = "1", .lease = &mine}, 1), 0);
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

/* Whatever the order of the _ids: two hosts have written them. */
static void test_finish_of_two_hosts(void **state)
{
	struct parked_command commands[] = {
		sample("1", 10), sample("1", 20), sample("1", 30), sample("1", 40)};
	const struct store_id first = commands[0].id;

	(void)state;
	commands[0].id = commands[2].id;
	commands[2].id = first;
	append(commands, 4);
	claim_count("1", &mine, 4);
	finish(commands, 4, NULL, NULL);
	assert_int_equal(count_all(), 0);
}

/* Of several users at once, as of each by itself; whose lease it is not keeps it. */
static void test_finish_of_several(void **state)
{
	const struct parked_command commands[] = {sample("1", 10), sample("1", 20), sample("2", 30),
		sample("2", 40), sample("3", 50), sample("3", 60)};
	const struct parked_finish finishes[] = {
		{.user = "1", .done = &commands[0].id, .count = 1, .next = &commands[1].id, .lease = &mine},
		{.user = "2", .done = &commands[2].id, .count = 1, .next = &commands[3].id, .lease = &mine},
		{.user = "3", .done = &commands[4].id, .count = 1},
	};
	unsigned tries = 0;
	int error;

	(void)state;
	append(commands, 6);
	claim_count("1", &mine, 2);
	claim_count("2", &others, 2);
	claim_count("3", &mine, 2);
	for (int i = 0; i < 2; i++) {
		do
			error = parked_commands_finish(client, finishes, 3);
		while (unanswered(error, &tries));
		assert_int_equal(error, 0);
		assert_int_equal(count_all(), 3);
		assert_int_equal(parked_commands_renew(client, "1", &commands[1].id, &mine), 0);
	}
	(void)expect_no_claim("1", &others, PARKED_E_LATER);
	claim_count("2", &mine, 1);
	claim_count("3", &others, 1);
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
		CASE(test_finish_of_several),
		CASE(test_finish_of_two_hosts),
		CASE(test_behind),
	};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
