/*
 * store_threads_contract.c - what store.h and cashew_store.h promise when many threads do it at once, as cases that the stand-in and the real store
 * both pass.
 *
 * Every case begins with an empty, prepared store and a client of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "dead_letters.h"
#define OPENED_WANT(store) contact_documents_want_indexes(store)
#include "opened.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "store_pages.h"

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 60 };

/* What goes wrong in a thread is counted: cmocka's assertions are for the thread of the test. */
static atomic_int failures;

/* Runs the work in THREADS threads, each with a client of its own and its number. */
struct worker {
	pthread_t thread;
	int number;
	void (*work)(struct store_client *client, int number);
};

static void *run_worker(void *context)
{
	const struct worker *worker = context;
	struct store_client *own = store_acquire(store);

	worker->work(own, worker->number);
	store_release(own);
	return NULL;
}

static void run_workers(void (*work)(struct store_client *, int))
{
	struct worker workers[THREADS];

	failures = 0;
	/* the pool has as many connections as there are threads */
	store_release(client);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.number = i, .work = work};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	client = store_acquire(store);
	assert_int_equal(failures, 0);
}

static void expect_done(struct store_client *own, const char *what, int r)
{
	if (r == 0)
		return;
	failures++;
	fprintf(stderr, "%s: %d, %s\n", what, r, store_last_error(own));
}

static void prepare_often(struct store_client *own, int number)
{
	(void)number;
	for (int i = 0; i < 5; i++)
		expect_done(own, "store_prepare", store_prepare(own));
}

static void test_prepare_at_once(void **state)
{
	(void)state;
	/* on a database that does not exist yet */
	(void)close_store(NULL);
	store = backend_open();
	assert_int_equal(contact_documents_want_indexes(store), 0);
	client = store_acquire(store);
	run_workers(prepare_often);
	assert_int_equal(store_prepare(client), 0);
}

/* Both users and all threads at the same two documents. */
static void add_same_pair(struct store_client *own, int number)
{
	for (int i = 0; i < ROUNDS; i++) {
		if ((i + number) % 2 == 0)
			expect_done(own, "contact_add", contact_add(own, "68946", "23412"));
		else
			expect_done(own, "contact_add", contact_add(own, "23412", "68946"));
		expect_done(own, "contact_request_add", contact_request_add(own, "68946", "23412"));
	}
}

static void test_same_pair_from_many_threads(void **state)
{
	(void)state;
	run_workers(add_same_pair);
	assert_int_equal(list_page(contact_list, "68946", NULL, 10, 0)->count, 1);
	assert_int_equal(list_page(contact_list, "23412", NULL, 10, 0)->count, 1);
	assert_int_equal(list_page(contact_request_list, "23412", NULL, 10, 0)->count, 1);
}

/* A pair that is new to all of them each time, so that they meet in its insertion. */
static void add_new_pairs(struct store_client *own, int number)
{
	char user[16];

	(void)number;
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(user, sizeof(user), "u%03d", i);
		expect_done(own, "contact_add", contact_add(own, "me", user));
		expect_done(own, "contact_request_add", contact_request_add(own, user, "me"));
	}
}

static void test_new_pairs_from_many_threads(void **state)
{
	(void)state;
	run_workers(add_new_pairs);
	assert_int_equal(list_page(contact_list, "me", NULL, PAGE_MAX, 0)->count, ROUNDS);
	assert_int_equal(list_page(contact_request_list, "me", NULL, PAGE_MAX, 0)->count, ROUNDS);
	assert_int_equal(list_page(contact_list, "u000", NULL, PAGE_MAX, 0)->count, 1);
}

static void add_and_remove(struct store_client *own, int number)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (number % 2 == 0)
			expect_done(own, "contact_add", contact_add(own, "1", "2"));
		else
			expect_done(own, "contact_remove", contact_remove(own, "2", "1"));
	}
}

static void test_add_and_remove_from_many_threads(void **state)
{
	(void)state;
	run_workers(add_and_remove);
	/* whoever was last: once more makes it whole, whatever was left */
	assert_int_equal(contact_add(client, "1", "2"), 0);
	assert_int_equal(contact_find(client, "1", "2"), 0);
	assert_int_equal(contact_find(client, "2", "1"), 0);
	assert_int_equal(contact_remove(client, "1", "2"), 0);
	assert_int_equal(list_page(contact_list, "1", NULL, 10, 0)->count, 0);
	assert_int_equal(list_page(contact_list, "2", NULL, 10, 0)->count, 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_prepare_at_once),
		CASE(test_same_pair_from_many_threads),
		CASE(test_new_pairs_from_many_threads),
		CASE(test_add_and_remove_from_many_threads),
	};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
