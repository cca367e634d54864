/* test_store_watch_lease.c - store_watch.c: who is active, and for how long; what a host that becomes active is told. */
#include "store_watch_parts.h"

static bool hold(const char *owner)
{
	struct store_client *client = store_acquire(store);
	struct host_lease lease;
	assert_int_equal(host_lease_hold(client, "cashewd", owner, STORE_WATCH_LEASE_MS, &lease), 0);
	store_release(client);
	return lease.ours;
}

/* It becomes active, and is told of what its lanes have, of the last host's leases too. */
static void test_active(void **state)
{
	(void)state;
	const struct backlog_lease own = {"me", 20000}, others = {"other", 20000};
	struct told told = {.due = 0};
	park("cashewd", "1", 70, 5000, NULL);
	park("cashewd", "1", 80, 0, NULL);
	const int64_t position = store_now_us(store);
	park("cashewd-slow", "2", position, 0, &own);
	park("another", "3", 100, 0, &others);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	assert_true(told.news.up);
	assert_int_equal(told.loaded, 2);
	assert_int_equal(told.backlogs, 2);
	assert_int_equal(told.due_in_ms, 0);
	assert_int_equal(told.last_position, position);
	assert_true(told.news.ours_until_ms > clock_ms());
	assert_true(told.news.ours_until_ms <= clock_ms() + STORE_WATCH_LEASE_MS);
	assert_true(atomic_load(&board.figures.store.writable));
	/* Once more, when it is asked for. */
	store_watch_load(watch);
	UNTIL(watch, &told, told.loaded == 4);
	store_watch_free(watch, false);
	/* A stop that is not meant to last keeps it: the next host has it at once, and is told all anew. */
	assert_string_equal(fake_store_active_host(store, "cashewd"), "me");
	watch = new_watch("me");
	told = (struct told){.due = 0};
	UNTIL(watch, &told, told.news.ours);
	assert_int_equal(told.backlogs, 2);
	store_watch_free(watch, true);
	assert_null(fake_store_active_host(store, "cashewd"));
	store_watch_free(NULL, true);
}

static void test_standby(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	assert_true(hold("other"));
	park("cashewd", "1", 1, 0, NULL);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.up);
	assert_false(told.news.ours);
	assert_in_range(told.news.free_in_ms, 1, STORE_WATCH_LEASE_MS);
	/* What is parked is no matter of one that stands by. */
	assert_int_equal(told.loaded, 0);
	assert_int_equal(told.due, 0);
	fake_store_pass(store, STORE_WATCH_LEASE_MS);
	UNTIL(watch, &told, told.news.ours);
	assert_int_equal(told.loaded, 2);
	assert_false(hold("other"));
	/* Another took it: it stands by again, and is told anew when it is back. The watch may be quicker, and renew it. */
	do
		fake_store_pass(store, STORE_WATCH_LEASE_MS + 1);
	while (!hold("other"));
	UNTIL(watch, &told, !told.news.ours);
	fake_store_pass(store, STORE_WATCH_LEASE_MS);
	UNTIL(watch, &told, told.news.ours);
	assert_int_equal(told.loaded, 4);
	store_watch_free(watch, true);
}

/* Its lease after another turn. */
static int64_t renewed_ms(struct store_watch *watch, struct told *told)
{
	const size_t loaded = told->loaded;
	store_watch_load(watch);
	UNTIL(watch, told, told->loaded > loaded);
	return told->news.ours_until_ms;
}

/* A standby shortens the lease for as long as it asks, so that it need not wait for long. */
static void test_awaited(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	assert_true(renewed_ms(watch, &told) > clock_ms() + STORE_WATCH_AWAITED_MS);
	assert_false(hold("other"));
	(void)renewed_ms(watch, &told);
	assert_true(renewed_ms(watch, &told) < clock_ms() + STORE_WATCH_AWAITED_MS);
	assert_true(told.news.ours);
	fake_store_pass(store, HOST_STANDBY_SEEN_MS);
	(void)renewed_ms(watch, &told);
	assert_true(renewed_ms(watch, &told) > clock_ms() + STORE_WATCH_AWAITED_MS);
	store_watch_free(watch, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_active),
		WITH_STORE(test_standby),
		WITH_STORE(test_awaited),
	};
	return cmocka_run_group_tests_name("store_watch_lease", tests, NULL, NULL);
}
