/* hosts_contract.c - what hosts.h promises, as cases that the stand-in and the real store both pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "hosts.h"
#include "opened.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { LEASE_MS = 10000, THREADS = 6 };

static struct host_lease hold(const char *client_id, const char *owner)
{
	struct host_lease lease = {.ours = false};

	assert_int_equal(host_lease_hold(client, client_id, owner, LEASE_MS, &lease), 0);
	return lease;
}

static void test_one_holds_it(void **state)
{
	(void)state;
	struct host_lease lease = hold("cashewd", "a");
	assert_true(lease.ours && lease.taken);
	for (int i = 0; i < 3; i++) {
		lease = hold("cashewd", "a");
		assert_true(lease.ours && !lease.taken);
		lease = hold("cashewd", "b");
		assert_false(lease.ours || lease.taken);
		assert_in_range(lease.free_in_ms, 1, LEASE_MS);
		backend_pass(store, LEASE_MS - 1000);
	}
	/* Renewed before its end it goes on; another client id has one of its own. */
	assert_true(hold("cashewd", "a").ours);
	backend_pass(store, 2000);
	assert_false(hold("cashewd", "b").ours);
	assert_true(hold("another", "b").taken);
	/* Over: whoever comes first has it. */
	backend_pass(store, LEASE_MS);
	lease = hold("cashewd", "b");
	assert_true(lease.ours && lease.taken);
	assert_false(hold("cashewd", "a").ours);
	/* Over, but nobody came: it was ours all the time. */
	backend_pass(store, 10 * LEASE_MS);
	lease = hold("cashewd", "b");
	assert_true(lease.ours && !lease.taken);
}

/* The holder is told of a standby, for as long as that asks. */
static void test_awaited(void **state)
{
	(void)state;
	assert_false(hold("cashewd", "a").awaited);
	assert_false(hold("cashewd", "a").awaited);
	for (int i = 0; i < 2; i++) {
		assert_false(hold("cashewd", "b").awaited);
		assert_true(hold("cashewd", "a").awaited);
		backend_pass(store, HOST_STANDBY_SEEN_MS / 2);
		assert_true(hold("cashewd", "a").awaited);
		backend_pass(store, HOST_STANDBY_SEEN_MS / 2 + 1);
		assert_false(hold("cashewd", "a").awaited);
	}
	/* That of another client id is not theirs. */
	assert_true(hold("another", "a").ours);
	assert_false(hold("another", "b").ours);
	assert_false(hold("cashewd", "a").awaited);
}

static void test_release(void **state)
{
	(void)state;
	assert_int_equal(host_lease_release(client, "cashewd", "a"), 0);
	assert_true(hold("cashewd", "a").ours);
	assert_int_equal(host_lease_release(client, "cashewd", "b"), 0);
	assert_false(hold("cashewd", "b").ours);
	for (int i = 0; i < 2; i++)
		assert_int_equal(host_lease_release(client, "cashewd", "a"), 0);
	assert_true(hold("cashewd", "b").taken);
	/* Late. */
	assert_int_equal(host_lease_release(client, "cashewd", "a"), 0);
	assert_false(hold("cashewd", "a").ours);
}

static atomic_int held, failures;

static void *take(void *context)
{
	struct store_client *own = store_acquire(store);
	struct host_lease lease;
	char owner[16];

	snprintf(owner, sizeof(owner), "owner-%d", *(int *)context);
	if (host_lease_hold(own, "cashewd", owner, LEASE_MS, &lease) != 0)
		failures++;
	else if (lease.ours)
		held++;
	store_release(own);
	return NULL;
}

/* However many try at once, when it was never held and when it is over. */
static void test_many_try(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		pthread_t threads[THREADS];
		int numbers[THREADS];

		held = failures = 0;
		for (int i = 0; i < THREADS; i++) {
			numbers[i] = round * THREADS + i;
			assert_int_equal(pthread_create(&threads[i], NULL, take, &numbers[i]), 0);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(failures, 0);
		assert_int_equal(held, 1);
		backend_pass(store, LEASE_MS);
	}
}

static void note(const char *client_id, const char *group, const char *others)
{
	struct host_groups groups = {.count = 0};
	char text[256] = "";

	for (int i = 0; i < 2; i++) {
		assert_int_equal(host_groups_note(client, client_id, group, &groups), 0);
		text[0] = '\0';
		for (size_t j = 0; j < groups.count; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", groups.names[j]);
		assert_string_equal(text, others);
		host_groups_free(&groups);
		assert_int_equal(groups.count, 0);
	}
}

/* Each group that a client id was ever in is told to whoever is in another one, however often it is taken, renewed and given up. */
static void test_groups(void **state)
{
	(void)state;
	assert_true(hold("cashewd", "a").ours);
	note("cashewd", "", "");
	note("cashewd", "one", "");
	note("cashewd", "", "one ");
	note("cashewd", "a.b|c", "one ");
	assert_true(hold("cashewd", "a").ours);
	assert_int_equal(host_lease_release(client, "cashewd", "a"), 0);
	assert_true(hold("cashewd", "b").ours);
	note("cashewd", "one", "a.b|c ");
	note("cashewd", "", "one a.b|c ");
	assert_true(hold("another", "b").ours);
	note("another", "two", "");
	note("cashewd", "", "one a.b|c ");
	/* Nor does it free the lease. */
	assert_false(hold("cashewd", "a").ours);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_one_holds_it), CASE(test_awaited), CASE(test_release),
		CASE(test_many_try), CASE(test_groups)};
	int failed;

	backend_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	backend_stop();
	return failed;
}
