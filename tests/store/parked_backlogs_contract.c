/*
 * parked_backlogs_contract.c - what parked_commands.h promises of backlogs: who has one, which is due, and many that claim at once, as cases that the
 * stand-in and the real store both pass.
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
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

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
		/* Looked at while the lease is here: others go on as soon as it is not. */
		if (batch.more != (ended < COMMANDS))
			failures++;
		running--;
		struct store_id ids[3];
		for (size_t i = 0; i < batch.count; i++)
			ids[i] = batch.commands[i]->id;
		if (finish_one_by_one(own, ids, batch.count, &lease) != 0)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
