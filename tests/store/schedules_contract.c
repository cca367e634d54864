/* schedules_contract.c - what schedules.h promises, as cases that the stand-in and the real store both pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "opened.h"
#include "parked_commands.h"
#include "schedules.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000, LONG_MS = 60000, LEASE_MS = 20000, THREADS = 6 };

/* 2026-01-31T12:00:00.000Z */
static const int64_t noon_ms = INT64_C(1769860800000);

static struct schedule_state read_as(const char *name, const char *owner)
{
	struct schedule_state found;

	assert_int_equal(schedules_read(client, &name, 1, owner, &found), 0);
	assert_string_equal(found.name, name);
	return found;
}

static bool same(const struct store_id *a, const struct store_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* What begins after `before`, an hour later. */
static struct schedule_run next_of(const struct schedule_state *before, const char *owner)
{
	return (struct schedule_run){.name = before->name,
		.before = before,
		.slot_ms = before->slot_ms + HOUR_MS,
		.since_ms = before->slot_ms,
		.id = store_new_id(),
		.owner = owner};
}

static const struct schedule_outcome done = {.end = "done", .events = 3, .ran_ms = 40};

static void test_found_once(void **state)
{
	(void)state;
	assert_false(read_as("hourly", "a").known);
	assert_int_equal(schedule_found(client, "hourly", noon_ms, noon_ms - HOUR_MS), 0);
	const struct schedule_state first = read_as("hourly", "a");
	assert_true(first.known && !first.damaged && !first.open && !first.ours && !first.asked);
	assert_int_equal(first.slot_ms, noon_ms);
	assert_int_equal(first.since_ms, noon_ms - HOUR_MS);
	assert_true(first.begun_ms == INT64_MIN && first.ended_ms == INT64_MIN);
	assert_string_equal(first.end, "");
	/* Another host, later, with another time table: it goes on from where it is. */
	assert_int_equal(schedule_found(client, "hourly", noon_ms + HOUR_MS, noon_ms), 0);
	const struct schedule_state again = read_as("hourly", "b");
	assert_int_equal(again.slot_ms, noon_ms);
	assert_true(same(&again.run, &first.run));
}

static void test_begins_and_ends(void **state)
{
	(void)state;
	assert_int_equal(schedule_found(client, "hourly", noon_ms, noon_ms - HOUR_MS), 0);
	const struct schedule_state before = read_as("hourly", "a");
	const struct schedule_run run = next_of(&before, "a");
	const int64_t began_ms = store_now_ms(store);
	assert_int_equal(schedule_begin(client, &run), 0);
	struct schedule_state now = read_as("hourly", "a");
	assert_true(now.open && now.ours && same(&now.run, &run.id));
	assert_int_equal(now.slot_ms, noon_ms + HOUR_MS);
	assert_int_equal(now.since_ms, noon_ms);
	assert_in_range(now.begun_ms, began_ms - 1000, began_ms + 10000);
	assert_false(read_as("hourly", "b").ours);
	/* By what was read before, by what is read now: not while it is open. */
	assert_int_equal(schedule_begin(client, &run), SCHEDULE_E_TAKEN);
	const struct schedule_run other = next_of(&now, "b");
	assert_int_equal(schedule_begin(client, &other), SCHEDULE_E_TAKEN);
	/* A run that is not the open one ends nothing; ending it twice changes nothing. */
	assert_int_equal(schedule_end(client, "hourly", &before.run, &done), 0);
	assert_true(read_as("hourly", "a").open);
	assert_int_equal(schedule_end(client, "hourly", &run.id, &done), 0);
	assert_int_equal(
		schedule_end(client, "hourly", &run.id, &(struct schedule_outcome){.end = "dead"}), 0);
	now = read_as("hourly", "a");
	assert_false(now.open);
	assert_string_equal(now.end, "done");
	assert_int_equal(now.events, 3);
	assert_int_equal(now.ran_ms, 40);
	assert_true(now.ended_ms >= now.begun_ms);
	assert_int_equal(now.slot_ms, noon_ms + HOUR_MS);
	/* By what was read before that run. */
	const struct schedule_run late = next_of(&before, "b");
	assert_int_equal(schedule_begin(client, &late), SCHEDULE_E_TAKEN);
	const struct schedule_run next = next_of(&now, "b");
	assert_int_equal(schedule_begin(client, &next), 0);
	assert_int_equal(read_as("hourly", "b").since_ms, noon_ms + HOUR_MS);
	/* Of a schedule that nobody knows, and of one that was never begun. */
	assert_int_equal(schedule_end(client, "nobody", &run.id, &done), 0);
	assert_false(read_as("nobody", "a").known);
}

static void test_many_names(void **state)
{
	(void)state;
	const char *const names[] = {"hourly", "unknown", "daily"};
	struct schedule_state states[3];

	assert_int_equal(schedule_found(client, "daily", noon_ms, 0), 0);
	assert_int_equal(schedule_found(client, "hourly", noon_ms + 1, 0), 0);
	assert_int_equal(schedule_found(client, "other", noon_ms, 0), 0);
	assert_int_equal(schedules_read(client, names, 3, "", states), 0);
	assert_int_equal(states[0].slot_ms, noon_ms + 1);
	assert_false(states[1].known);
	assert_string_equal(states[1].name, "unknown");
	assert_int_equal(states[2].slot_ms, noon_ms);
	assert_int_equal(schedules_read(client, names, 0, "", states), 0);
}

static void test_questions(void **state)
{
	(void)state;
	const struct store_id first = store_new_id(), second = store_new_id(), none = {{0}};
	bool taken;

	assert_int_equal(schedule_ask(client, "hourly", &first), STORE_E_NOT_FOUND);
	assert_int_equal(schedule_found(client, "hourly", noon_ms, noon_ms - HOUR_MS), 0);
	const struct schedule_state unasked = read_as("hourly", "a");
	assert_int_equal(schedule_ask(client, "hourly", &first), 0);
	const struct schedule_state asked = read_as("hourly", "a");
	assert_true(asked.asked && same(&asked.asks, &first));
	/* Replaced after it was read: that is for the next look. */
	assert_int_equal(schedule_ask(client, "hourly", &second), 0);
	struct schedule_run run = next_of(&asked, "a");
	assert_int_equal(schedule_begin(client, &run), SCHEDULE_E_TAKEN);
	assert_int_equal(schedule_unask(client, "hourly", &first, &taken), 0);
	assert_false(taken);
	/* One that begins without having seen it leaves it. */
	run = next_of(&unasked, "a");
	assert_int_equal(schedule_begin(client, &run), 0);
	struct schedule_state now = read_as("hourly", "a");
	assert_true(now.asked && same(&now.asks, &second) && same(&now.question, &none));
	assert_int_equal(schedule_end(client, "hourly", &run.id, &done), 0);
	now = read_as("hourly", "a");
	run = next_of(&now, "a");
	assert_int_equal(schedule_begin(client, &run), 0);
	now = read_as("hourly", "a");
	assert_true(!now.asked && same(&now.question, &second));
	assert_int_equal(schedule_unask(client, "hourly", &second, &taken), 0);
	assert_false(taken);
	assert_int_equal(schedule_end(client, "hourly", &run.id, &done), 0);
	/* It stays until the next run, which answers none. */
	now = read_as("hourly", "a");
	assert_true(same(&now.question, &second));
	run = next_of(&now, "a");
	assert_int_equal(schedule_begin(client, &run), 0);
	now = read_as("hourly", "a");
	assert_true(same(&now.question, &none));
	assert_int_equal(schedule_ask(client, "hourly", &first), 0);
	assert_int_equal(schedule_unask(client, "hourly", &first, &taken), 0);
	assert_true(taken);
	assert_false(read_as("hourly", "a").asked);
}

/* ---- A run that was left on a lane ---- */

static const struct backlog_lease lease = {"a", LEASE_MS}, other_lease = {"b", LEASE_MS};

static int claim_on(const char *lane, const char *user, const struct backlog_lease *by)
{
	struct parked_batch batch;
	const int error = parked_commands_claim(client, lane, user, by, 10, 0, &batch);

	if (error == 0)
		assert_int_equal(batch.count, 1);
	parked_batch_free(&batch);
	return error;
}

static bool move(const char *user, const struct store_id *id, unsigned since_ms)
{
	bool moved;

	assert_int_equal(parked_commands_move(client, user, id, "other", since_ms, &moved), 0);
	return moved;
}

/* It is of another lane where nobody has come to it for that time: never while it is leased, or waits for its pause to end. */
static void test_moves_what_is_left(void **state)
{
	struct parked_command run = {.id = store_new_id(),
		.lane = "gone",
		.user = "$schedule/hourly",
		.topic = "$schedule/hourly",
		.position = 1,
		.payload = "{}",
		.payload_size = 2,
		.end = "done",
		.handler = "",
		.reason = ""};
	const struct parked_command *const runs[] = {&run};
	const struct store_id unknown = store_new_id();
	size_t failed;

	(void)state;
	assert_int_equal(parked_commands_append(client, runs, 1, NULL, &failed), 0);
	assert_false(move(run.user, &run.id, LONG_MS));
	backend_pass(store, LONG_MS + 1000);
	assert_false(move("$schedule/daily", &run.id, LONG_MS));
	assert_false(move(run.user, &unknown, LONG_MS));
	assert_int_equal(claim_on("gone", run.user, &lease), 0);
	assert_false(move(run.user, &run.id, LONG_MS));
	/* The lease is over, but not for long; then it is postponed. */
	backend_pass(store, LEASE_MS);
	assert_false(move(run.user, &run.id, LONG_MS));
	run.attempts = 1;
	assert_int_equal(parked_commands_postpone(client, &run, lease.owner, LONG_MS), 0);
	backend_pass(store, LONG_MS);
	assert_false(move(run.user, &run.id, LONG_MS));
	backend_pass(store, LONG_MS + 1000);
	assert_true(move(run.user, &run.id, LONG_MS));
	assert_false(move(run.user, &run.id, 0));
	assert_int_equal(claim_on("gone", run.user, &lease), PARKED_E_NONE);
	assert_int_equal(claim_on("other", run.user, &other_lease), 0);
	assert_int_equal(claim_on("other", run.user, &lease), PARKED_E_LATER);
	assert_int_equal(
		parked_commands_finish(client,
			&(struct parked_finish){
				.user = run.user, .done = &run.id, .count = 1, .lease = &other_lease},
			1),
		0);
	assert_false(move(run.user, &run.id, 0));
}

static atomic_int begun, failures;

static void *try_to_begin(void *context)
{
	struct store_client *own = store_acquire(store);
	const char *const name = "hourly";
	struct schedule_state before;
	char owner[16];

	snprintf(owner, sizeof(owner), "owner-%d", *(int *)context);
	if (schedule_found(own, name, noon_ms, 0) != 0 ||
		schedules_read(own, &name, 1, owner, &before) != 0) {
		failures++;
	} else {
		const struct schedule_run run = next_of(&before, owner);
		const int error = before.open ? SCHEDULE_E_TAKEN : schedule_begin(own, &run);

		begun += error == 0;
		failures += error != 0 && error != SCHEDULE_E_TAKEN;
	}
	store_release(own);
	return NULL;
}

/* However many find it due at once, one begins the run. */
static void test_many_try(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		pthread_t threads[THREADS];
		int numbers[THREADS];

		begun = failures = 0;
		for (int i = 0; i < THREADS; i++) {
			numbers[i] = i;
			assert_int_equal(pthread_create(&threads[i], NULL, try_to_begin, &numbers[i]), 0);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(failures, 0);
		assert_int_equal(begun, 1);
		const struct schedule_state now = read_as("hourly", "");
		assert_int_equal(now.slot_ms, noon_ms + (round + 1) * (int64_t)HOUR_MS);
		assert_int_equal(schedule_end(client, "hourly", &now.run, &done), 0);
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_found_once), CASE(test_begins_and_ends),
		CASE(test_many_names), CASE(test_questions), CASE(test_moves_what_is_left),
		CASE(test_many_try)};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
