/*
 * test_store_outage.c - the store while its server is away: not there yet, stopped, killed.
 *
 * Every operation answers STORE_E_AWAY within its time-outs, and the same store and clients work again once
 * the server does. What was acknowledged before a kill -9 is there after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "database.h"
#include "operations.h"
#include "parked_commands.h"
#include "store_waits.h"
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Short, so that the test is: socketTimeoutMS bounds an operation under way, the other two the next one's way
 * there. The rest is for a machine that is busy. */
#define TIMEOUTS "serverSelectionTimeoutMS=600&connectTimeoutMS=500&socketTimeoutMS=800"
enum { AWAY_MS_MAX = 800 + 2 * 600 + 500 + 2000, BACK_MS_MAX = 20000 };

static struct database database;
static struct store *store;
static struct store_client *client;

static int open_store(void **state)
{
	struct store_options options = {.pool_size = 8};
	char *url;

	(void)state;
	database_start(&database, true);
	url = database_url_with(&database, TIMEOUTS);
	options.url = url;
	store = database_open(&database, &options);
	client = store_acquire(store);
	free(url);
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	database_stop(&database);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- operations ---- */

static void expect_away(enum operation operation)
{
	const int64_t start = now_ms();
	const int r = operate(client, operation);
	const int64_t took = now_ms() - start;

	print_message("  %s: %d after %d ms, %s\n", operation_names[operation], r, (int)took,
		store_last_error(client));
	assert_int_equal(r, STORE_E_AWAY);
	assert_string_not_equal(store_last_error(client), "");
	assert_in_range(took, 0, AWAY_MS_MAX);
}

/* As the host does it: asks until the server answers. The driver waits inside of each attempt. */
static void expect_back(void)
{
	const int64_t until = now_ms() + BACK_MS_MAX;

	while (store_ping(client) != 0)
		if (now_ms() > until)
			fail_msg("not back: %s", store_last_error(client));
	for (int i = 0; i < OPERATIONS; i++) {
		const int r = operate(client, (enum operation)i);

		if (r != 0)
			fail_msg("%s: %d, %s", operation_names[i], r, store_last_error(client));
	}
}

/* ---- cases ---- */

static void test_not_there_yet(void **state)
{
	(void)state;
	database_signal(&database, SIGKILL);
	for (int i = 0; i < OPERATIONS; i++)
		expect_away((enum operation)i);
	database_restart(&database);
	expect_back();
}

static void test_stopped(void **state)
{
	(void)state;
	expect_back();
	/* each operation is the first after the server stopped: with connections that look whole */
	for (int i = 0; i < OPERATIONS; i++) {
		database_signal(&database, SIGSTOP);
		expect_away((enum operation)i);
		database_signal(&database, SIGCONT);
		expect_back();
	}
	/* and while it stays so, without one */
	database_signal(&database, SIGSTOP);
	for (int i = 0; i < 3; i++)
		expect_away(REQUEST_ADD);
	database_signal(&database, SIGCONT);
	expect_back();
}

static void test_killed_and_restarted(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		expect_back();
		database_signal(&database, SIGKILL);
		expect_away(CONTACT_ADD);
		database_restart(&database);
		expect_back();
	}
}

/* What a thread waits for the server is counted where it has said, and nowhere else. */
static void test_waits(void **state)
{
	struct store_waits waits = {0};

	(void)state;
	expect_back();
	store_waits_count(&waits);
	const int64_t start_ms = now_ms();
	for (int i = 0; i < OPERATIONS; i++) {
		const int64_t before_us = atomic_load(&waits.total_us);

		assert_int_equal(operate(client, (enum operation)i), 0);
		assert_true(atomic_load(&waits.total_us) > before_us);
		assert_int_equal(atomic_load(&waits.since_us), 0);
	}
	assert_in_range(atomic_load(&waits.total_us), 1, (now_ms() - start_ms + 1) * 1000);
	/* An operation that fails is one that has ended. */
	database_signal(&database, SIGSTOP);
	const int64_t before_us = atomic_load(&waits.total_us);
	expect_away(REQUEST_ADD);
	database_signal(&database, SIGCONT);
	assert_int_equal(atomic_load(&waits.since_us), 0);
	assert_true(atomic_load(&waits.total_us) >= before_us + 700 * 1000);
	store_waits_count(NULL);
	const int64_t counted_us = atomic_load(&waits.total_us);
	expect_back();
	assert_int_equal(atomic_load(&waits.total_us), counted_us);
}

/* ---- Silence, and an operation that is slow by itself ---- */

#define PATIENT "serverSelectionTimeoutMS=8000&connectTimeoutMS=8000&socketTimeoutMS=20000"

static void *go_on_later(void *stopped_ms)
{
	const struct timespec rest = {
		.tv_sec = (intptr_t)stopped_ms / 1000, .tv_nsec = (intptr_t)stopped_ms % 1000 * 1000000};

	nanosleep(&rest, NULL);
	database_signal(&database, SIGCONT);
	return NULL;
}

/* What counts, in milliseconds, of one operation that is answered after so long. */
static int64_t counted_ms_of(struct store_client *patient, int stopped_ms)
{
	struct store_waits waits = {0};
	pthread_t thread;

	assert_int_equal(store_ping(patient), 0);
	database_signal(&database, SIGSTOP);
	assert_int_equal(pthread_create(&thread, NULL, go_on_later, (void *)(intptr_t)stopped_ms), 0);
	store_waits_count(&waits);
	assert_int_equal(store_ping(patient), 0);
	store_waits_count(NULL);
	pthread_join(thread, NULL);
	return atomic_load(&waits.total_us) / 1000;
}

static atomic_bool asks;

/* Somebody who is answered all the time. */
static void *ask(void *context)
{
	struct store_client *other = context;
	const struct timespec moment = {.tv_nsec = 50000000};

	while (asks && store_ping(other) == 0)
		nanosleep(&moment, NULL);
	return NULL;
}

static void test_silence_counts_whole(void **state)
{
	struct database elsewhere;
	struct store_options options = {.pool_size = 2};
	char *url = database_url_with(&database, PATIENT);
	pthread_t thread;

	(void)state;
	options.url = url;
	struct store *patient_store = database_open(&database, &options);
	struct store_client *patient = store_acquire(patient_store);
	free(url);
	assert_in_range(counted_ms_of(patient, 2500), 2400, 60000);

	/* While another is answered a second counts, and what that other one may have had to wait on a busy machine. */
	database_start(&elsewhere, true);
	struct store *other_store = database_open(&elsewhere, NULL);
	struct store_client *other = store_acquire(other_store);
	asks = true;
	assert_int_equal(pthread_create(&thread, NULL, ask, other), 0);
	assert_in_range(counted_ms_of(patient, 4000), 1000, 3600);
	asks = false;
	pthread_join(thread, NULL);
	store_release(other);
	store_close(other_store);
	database_stop(&elsewhere);
	store_release(patient);
	store_close(patient_store);
}

/* ---- kill -9 under load ---- */

enum { THREADS = 4, REQUESTS_MAX = 20000, KILL_AT = 150 };

static struct {
	atomic_int acknowledged;
	atomic_bool stop;
	/* the numbers of the requests that were acknowledged, by thread */
	struct {
		int numbers[REQUESTS_MAX];
		int count;
		int wrong; /* results that were neither done nor away nor transient */
	} threads[THREADS];
} load;

static void request_user(int thread, int number, char user[static 32])
{
	snprintf(user, 32, "t%d-%d", thread, number);
}

static void *write_requests(void *context)
{
	const int thread = (int)(intptr_t)context;
	struct store_client *own = store_acquire(store);

	for (int number = 0; number < REQUESTS_MAX && !load.stop; number++) {
		char user[32];
		int r;

		request_user(thread, number, user);
		r = contact_request_add(own, user, "me");
		if (r == 0) {
			load.threads[thread].numbers[load.threads[thread].count++] = number;
			load.acknowledged++;
		} else if (r != STORE_E_AWAY && r != STORE_E_TRANSIENT) {
			fprintf(stderr, "%d: %s\n", r, store_last_error(own));
			load.threads[thread].wrong++;
		}
	}
	store_release(own);
	return NULL;
}

static void wait_for_acknowledged(int more)
{
	const int target = load.acknowledged + more;
	const int64_t until = now_ms() + BACK_MS_MAX;
	const struct timespec moment = {.tv_nsec = 2000000};

	while (load.acknowledged < target) {
		if (now_ms() > until)
			fail_msg("%d of %d are acknowledged", load.acknowledged, target);
		nanosleep(&moment, NULL);
	}
}

static void test_acknowledged_writes_survive_a_kill(void **state)
{
	pthread_t threads[THREADS];
	int checked = 0;

	(void)state;
	assert_int_equal(contact_documents_want_indexes(store), 0);
	assert_int_equal(store_prepare(client), 0);
	for (intptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_requests, (void *)i), 0);
	for (int kills = 0; kills < 2; kills++) {
		wait_for_acknowledged(KILL_AT);
		database_signal(&database, SIGKILL);
		database_restart(&database);
	}
	wait_for_acknowledged(KILL_AT);
	load.stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(load.threads[i].wrong, 0);
		for (int n = 0; n < load.threads[i].count; n++, checked++) {
			char user[32];

			request_user(i, load.threads[i].numbers[n], user);
			if (contact_request_find(client, user, "me") != 0)
				fail_msg("%s was acknowledged and is gone", user);
		}
	}
	print_message("  %d acknowledged requests over two kills, all there\n", checked);
	assert_true(checked >= 3 * KILL_AT);
}

/* ---- A backlog over kills ---- */

enum { BACKLOG = 3000, AT_ONCE = 20 };

static struct parked_command backlog[BACKLOG];
static atomic_int progress; /* documents whose writing, or removal, was answered */
static atomic_bool out_of_order;

/* Says what was answered, as the host takes it: a call is repeated until it is. */
static void *append_backlog(void *context)
{
	struct store_client *own = store_acquire(store);
	const struct parked_command *commands[AT_ONCE];
	size_t failed;

	(void)context;
	for (int at = 0; at < BACKLOG; at += AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++)
			commands[i] = &backlog[at + i];
		while (parked_commands_append(own, commands, AT_ONCE, NULL, &failed) != 0)
			;
		progress += AT_ONCE;
	}
	store_release(own);
	return NULL;
}

static void *finish_backlog(void *context)
{
	static const struct backlog_lease lease = {"owner", 20000};
	struct store_client *own = store_acquire(store);
	struct store_id done[AT_ONCE];

	(void)context;
	while (progress < BACKLOG) {
		struct parked_batch batch;

		if (parked_commands_claim(own, "cashewd", "1", &lease, AT_ONCE, 0, &batch) != 0)
			continue;
		/* What is there is an end of the list, in order, whatever was under way when the server was killed. */
		for (size_t i = 0; i < batch.count; i++) {
			out_of_order = out_of_order || batch.commands[i]->position != progress + 1 + (int)i;
			done[i] = batch.commands[i]->id;
		}
		while (parked_commands_finish(own,
			       &(struct parked_finish){.user = "1", .done = done, .count = batch.count},
			       1) != 0)
			;
		progress += (int)batch.count;
		parked_batch_free(&batch);
	}
	store_release(own);
	return NULL;
}

/* Two kills under way. */
static void run_over_kills(void *(*work)(void *context))
{
	const struct timespec moment = {.tv_nsec = 2000000};
	pthread_t thread;

	progress = 0;
	assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
	for (int kills = 1; kills <= 2; kills++) {
		while (progress < kills * BACKLOG / 4)
			nanosleep(&moment, NULL);
		database_signal(&database, SIGKILL);
		database_restart(&database);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(progress, BACKLOG);
}

static void test_a_backlog_over_kills(void **state)
{
	uint64_t count;

	(void)state;
	assert_int_equal(store_prepare(client), 0);
	for (int i = 0; i < BACKLOG; i++)
		backlog[i] = (struct parked_command){.id = store_new_id(),
			.lane = "cashewd",
			.user = "1",
			.topic = "1/x",
			.end = "done",
			.position = i + 1};
	run_over_kills(append_backlog);
	assert_int_equal(parked_command_count(client, &count), 0);
	assert_int_equal(count, BACKLOG);
	run_over_kills(finish_backlog);
	assert_false(out_of_order);
	assert_int_equal(parked_command_count(client, &count), 0);
	assert_int_equal(count, 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_not_there_yet),
		CASE(test_stopped),
		CASE(test_killed_and_restarted),
		CASE(test_waits),
		CASE(test_silence_counts_whole),
		CASE(test_acknowledged_writes_survive_a_kill),
		CASE(test_a_backlog_over_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
