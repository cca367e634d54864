/* test_quota.c - quota.c of the broker's plugin, over a clock of the test's own: what a user may do, and what its log line says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "quota_parts.h"

/* ---- A quota, a broker's sessions, a log ---- */

static unsigned publish_many(struct world *world, const char *user, unsigned count, size_t size)
{
	unsigned passed = 0;
	for (unsigned i = 0; i < count; i++)
		passed += quota_publish(&world->quota, user, size, false, world->now_ms);
	return passed;
}

/* ---- Messages ---- */

static void messages_by_the_second(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_int_equal(publish_many(&w, "u", 1000, 10), 200);
	w.now_ms += 19;
	assert_int_equal(publish_many(&w, "u", 10, 10), 0);
	w.now_ms += 1;
	assert_int_equal(publish_many(&w, "u", 10, 10), 1);
	/* Half a message is not lost. */
	for (unsigned i = 0; i < 100; i++) {
		w.now_ms += 10;
		assert_int_equal(publish_many(&w, "u", 10, 10), i % 2);
	}
	w.now_ms += 1000;
	assert_int_equal(publish_many(&w, "u", 1000, 10), 50);
	w.now_ms += INT64_C(1000) * 3600 * 24 * 365 * 100;
	assert_int_equal(publish_many(&w, "u", 1000, 10), 200);
	quota_free(&w.quota);
}

static void users_have_quotas_of_their_own(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_int_equal(publish_many(&w, "u", 1000, 10), 200);
	assert_int_equal(publish_many(&w, "v", 1000, 10), 200);
	assert_int_equal(publish_many(&w, "u", 1000, 10), 0);
	quota_free(&w.quota);
}

static void bytes_by_the_second(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_int_equal(publish_many(&w, "u", 100, 128 * 1024), 8);
	w.now_ms += 400;
	assert_int_equal(publish_many(&w, "u", 100, 128 * 1024), 0);
	w.now_ms += 100;
	assert_int_equal(publish_many(&w, "u", 100, 128 * 1024), 1);
	/* A refused large one has cost no small one. */
	assert_int_equal(publish_many(&w, "u", 1, 1), 0);
	w.now_ms += 1;
	assert_int_equal(publish_many(&w, "u", 1, 1), 1);
	quota_free(&w.quota);
}

static void what_is_larger_than_the_burst_passes_once_and_is_owed(void **state)
{
	(void)state;
	struct quota_limits limits;
	struct world w;
	quota_limits_init(&limits);
	limits.bytes_per_second = limits.bytes_burst = 1000;
	world_init_with(&w, &limits, 10);
	assert_int_equal(publish_many(&w, "u", 5, 3000), 1);
	w.now_ms += 2999;
	assert_int_equal(publish_many(&w, "u", 1, 3000), 0);
	w.now_ms += 1;
	assert_int_equal(publish_many(&w, "u", 5, 3000), 1);
	quota_free(&w.quota);
}

static void properties_count(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(publish_many(&w, "u", 1, 10), i < 4 ? 1 : 0);
		quota_properties(&w.quota, "u", 300 * 1000, w.now_ms);
	}
	assert_non_null(strstr(w.line, "1 messages over the rate of bytes"));
	quota_free(&w.quota);
}

static void nothing_is_retained_unless_it_may_be(void **state)
{
	(void)state;
	struct quota_limits limits;
	struct world w;
	quota_limits_init(&limits);
	world_init_with(&w, &limits, 10);
	assert_false(quota_publish(&w.quota, "u", 1, true, w.now_ms));
	assert_true(quota_publish(&w.quota, "u", 1, false, w.now_ms));
	assert_non_null(strstr(w.line, "user u is over its quota: refused 1 retained messages"));
	quota_free(&w.quota);
	limits.retained = true;
	world_init_with(&w, &limits, 10);
	assert_true(quota_publish(&w.quota, "u", 1, true, w.now_ms));
	quota_free(&w.quota);
}

static void no_limits_limit_nothing(void **state)
{
	(void)state;
	const struct quota_limits limits = {.retained = true};
	struct world w;
	world_init_with(&w, &limits, 10);
	assert_int_equal(publish_many(&w, "u", 100000, 1000000), 100000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(quota_connect(&w.quota, "u", w.now_ms));
		assert_false(quota_refused(&w.quota, "u", 10, w.now_ms));
		assert_true(quota_login(&w.quota, "192.0.2.1", w.now_ms));
		assert_true(quota_login_failed(&w.quota, "192.0.2.1", w.now_ms));
	}
	assert_int_equal(begin_many(&w, 100, QUOTA_SESSION_STAYS), 100);
	end_many(&w, 100);
	/* Nothing piles up. */
	struct entry *entry = quota_table_find(&w.quota.users, "u");
	assert_null(entry->sessions);
	assert_int_equal(entry->node.pins, 0);
	assert_true(quota_subscribe(&w.quota, "u", 1000000, w.now_ms));
	assert_int_equal(w.lines, 0);
	quota_free(&w.quota);
}

static void who_goes_on_after_many_refusals_is_cut_off(void **state)
{
	(void)state;
	struct world w;
	unsigned closed = 0;
	world_init(&w);
	for (unsigned i = 0; i < 1000; i++)
		closed += quota_refused(&w.quota, "u", 10, w.now_ms);
	assert_int_equal(closed, 0);
	assert_int_equal(w.lines, 0);
	assert_true(quota_refused(&w.quota, "u", 10, w.now_ms));
	assert_string_equal(
		w.line, "user u is over its quota: refused 1 connections that went on all the same");
	assert_false(quota_refused(&w.quota, "v", 10, w.now_ms));
	/* 50 a second do no harm. */
	for (unsigned i = 0; i < 5000; i++) {
		w.now_ms += 20;
		assert_false(quota_refused(&w.quota, "u", 10, w.now_ms));
	}
	assert_true(quota_refused(&w.quota, "u", 10, w.now_ms));
	/* Of large ones fewer will do. */
	for (unsigned i = 0; i < 10; i++)
		assert_false(quota_refused(&w.quota, "x", 100 * 1024, w.now_ms));
	assert_true(quota_refused(&w.quota, "x", 1, w.now_ms));
	quota_free(&w.quota);
}

static void subscriptions_of_a_session(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_true(quota_subscribe(&w.quota, "u", 0, w.now_ms));
	assert_true(quota_subscribe(&w.quota, "u", 99, w.now_ms));
	assert_false(quota_subscribe(&w.quota, "u", 100, w.now_ms));
	assert_non_null(strstr(w.line, "1 subscriptions"));
	quota_free(&w.quota);
}

/* ---- The log ---- */

static void one_line_a_minute_and_user(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	publish_many(&w, "u", 300, 10);
	assert_int_equal(w.lines, 1);
	assert_string_equal(w.line, "user u is over its quota: refused 1 messages over the rate");
	quota_publish(&w.quota, "u", 1, true, w.now_ms);
	/* What came after the first line is told a minute later, without another refusal. */
	for (unsigned i = 0; i < 59; i++) {
		w.now_ms += 1000;
		quota_sweep(&w.quota, w.now_ms);
		assert_int_equal(w.lines, 1);
	}
	for (unsigned i = 0; i < 61; i++) {
		w.now_ms += 1000;
		quota_sweep(&w.quota, w.now_ms);
	}
	assert_int_equal(w.lines, 2);
	assert_string_equal(
		w.line, "user u is over its quota: refused 99 messages over the rate, 1 retained messages");
	for (unsigned i = 0; i < 600; i++) {
		w.now_ms += 1000;
		quota_sweep(&w.quota, w.now_ms);
	}
	assert_int_equal(w.lines, 2);
	char total[QUOTA_LINE_SIZE];
	quota_total(&w.quota, total);
	assert_string_equal(total, "100 messages over the rate, 1 retained messages");
	quota_free(&w.quota);
}

static void a_flood_is_one_line_a_minute(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (unsigned i = 0; i < 300; i++) {
		publish_many(&w, "u", 1000, 10);
		w.now_ms += 1000;
		quota_sweep(&w.quota, w.now_ms);
	}
	assert_in_range(w.lines, 4, 6);
	quota_free(&w.quota);
}

static void other_refusals_are_five_lines_then_one_a_minute(void **state)
{
	(void)state;
	struct world w;
	unsigned lines = 0;
	world_init(&w);
	for (unsigned i = 0; i < 100; i++)
		lines += quota_may_log(&w.quota, "u", w.now_ms);
	assert_int_equal(lines, 5);
	w.now_ms += 60000;
	for (unsigned i = 0; i < 100; i++)
		lines += quota_may_log(&w.quota, "u", w.now_ms);
	assert_int_equal(lines, 6);
	quota_free(&w.quota);
}

static void nothing_refused_is_said_so(void **state)
{
	(void)state;
	struct world w;
	char total[QUOTA_LINE_SIZE];
	world_init(&w);
	quota_total(&w.quota, total);
	assert_string_equal(total, "nothing");
	quota_free(&w.quota);
}

static void all_counts_fit_into_a_line(void **state)
{
	(void)state;
	struct world w;
	char total[QUOTA_LINE_SIZE];
	world_init(&w);
	for (unsigned i = 0; i < QUOTA_KINDS; i++)
		w.quota.refused[i] = UINT64_MAX;
	quota_total(&w.quota, total);
	assert_non_null(strstr(total, "logins after too many that failed"));
	quota_free(&w.quota);
}

/* ---- Memory ---- */

static void who_does_nothing_is_forgotten(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	publish_many(&w, "idle", 1000, 10);
	publish_many(&w, "u", 1, 10);
	assert_true(begin(&w, "u", "u/1", 1, QUOTA_SESSION_STAYS));
	end(&w, "u", "u/1", 1);
	assert_true(begin(&w, "v", "v/1", 2, QUOTA_SESSION_ENDS));
	quota_login_failed(&w.quota, "192.0.2.1", w.now_ms);
	for (unsigned i = 0; i < 400; i++) {
		w.now_ms += 1000;
		quota_sweep(&w.quota, w.now_ms);
	}
	assert_null(quota_table_find(&w.quota.users, "idle"));
	assert_non_null(quota_table_find(&w.quota.users, "u"));
	assert_non_null(quota_table_find(&w.quota.users, "v"));
	assert_null(quota_table_find(&w.quota.addresses, "192.0.2.1"));
	end(&w, "v", "v/1", 2);
	for (unsigned i = 0; i < 400; i++) {
		w.now_ms += 1000;
		quota_sweep(&w.quota, w.now_ms);
	}
	assert_null(quota_table_find(&w.quota.users, "v"));
	quota_free(&w.quota);
}

static void a_flood_of_users_takes_no_more_than_its_room(void **state)
{
	(void)state;
	struct quota_limits limits;
	struct world w;
	quota_limits_init(&limits);
	world_init_with(&w, &limits, 100);
	assert_int_equal(begin_many(&w, 1, QUOTA_SESSION_STAYS), 1);
	publish_many(&w, "u", 200, 10);
	for (unsigned i = 0; i < 100000; i++) {
		char user[32], address[32];
		snprintf(user, sizeof(user), "user-%u", i);
		snprintf(address, sizeof(address), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		assert_true(quota_publish(&w.quota, user, 10, false, w.now_ms));
		quota_login_failed(&w.quota, address, w.now_ms);
	}
	assert_int_equal(w.quota.users.count, 100);
	assert_int_equal(w.quota.addresses.count, 100);
	/* Who is connected keeps what he has used up. */
	assert_int_equal(publish_many(&w, "u", 1, 10), 0);
	quota_free(&w.quota);
}

static void without_memory_all_is_refused_and_nothing_breaks(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	failing_malloc_start(1, true);
	assert_false(quota_publish(&w.quota, "u", 1, false, w.now_ms));
	assert_false(quota_publish(&w.quota, "u", 1, true, w.now_ms));
	assert_false(quota_connect(&w.quota, "u", w.now_ms));
	assert_false(begin(&w, "u", "u/1", 1, QUOTA_SESSION_STAYS));
	assert_false(quota_may_log(&w.quota, "u", w.now_ms));
	assert_false(quota_refused(&w.quota, "u", 10, w.now_ms));
	assert_true(quota_login(&w.quota, "192.0.2.1", w.now_ms));
	assert_false(quota_login_failed(&w.quota, "192.0.2.1", w.now_ms));
	quota_properties(&w.quota, "u", 10, w.now_ms);
	assert_true(failing_malloc_stop());
	assert_true(quota_publish(&w.quota, "u", 1, false, w.now_ms));
	failing_malloc_start(1, true);
	assert_false(begin(&w, "u", "u/1", 1, QUOTA_SESSION_STAYS));
	assert_true(failing_malloc_stop());
	assert_true(begin(&w, "u", "u/1", 1, QUOTA_SESSION_STAYS));
	quota_free(&w.quota);
	struct quota_limits limits;
	quota_limits_init(&limits);
	for (size_t n = 1; n <= 2; n++) {
		struct quota quota;
		failing_malloc_start(n, false);
		assert_int_equal(quota_init(&quota, &limits, &w.quota.callbacks, 10, 10), -ENOMEM);
		assert_true(failing_malloc_stop());
		quota_free(&quota);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_by_the_second),
		cmocka_unit_test(users_have_quotas_of_their_own),
		cmocka_unit_test(bytes_by_the_second),
		cmocka_unit_test(what_is_larger_than_the_burst_passes_once_and_is_owed),
		cmocka_unit_test(properties_count),
		cmocka_unit_test(nothing_is_retained_unless_it_may_be),
		cmocka_unit_test(no_limits_limit_nothing),
		cmocka_unit_test(who_goes_on_after_many_refusals_is_cut_off),
		cmocka_unit_test(subscriptions_of_a_session),
		cmocka_unit_test(one_line_a_minute_and_user),
		cmocka_unit_test(a_flood_is_one_line_a_minute),
		cmocka_unit_test(other_refusals_are_five_lines_then_one_a_minute),
		cmocka_unit_test(nothing_refused_is_said_so),
		cmocka_unit_test(all_counts_fit_into_a_line),
		cmocka_unit_test(who_does_nothing_is_forgotten),
		cmocka_unit_test(a_flood_of_users_takes_no_more_than_its_room),
		cmocka_unit_test(without_memory_all_is_refused_and_nothing_breaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
