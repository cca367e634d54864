/*
 * parked_parts.h - for the contract suites of parked_commands.h: commands, and how they are appended, claimed and finished.
 *
 * A write whose answer is lost is tried again, as the host does. Include it in one source file.
 */
#ifndef PARKED_PARTS_H
#define PARKED_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "opened.h"
#include "parked_commands.h"
#include <cmocka.h>
#include <stdlib.h>

#define LANE	   "cashewd"
#define OTHER_LANE "cashewd-slow"

enum { LEASE_MS = 20000, BEHIND_MS = 5 * 60 * 1000, TRIES_MAX = 4 };
static const struct backlog_lease mine = {"owner-1", LEASE_MS}, others = {"owner-2", LEASE_MS};

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
		error = parked_commands_finish(own,
			&(struct parked_finish){
				.user = user, .done = ids, .count = count, .next = next, .lease = lease},
			1);
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

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

#endif
