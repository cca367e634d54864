/* test_quota_connections.c - quota.c of the broker's plugin: how many connections, sessions and logins a user or an address may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "quota_parts.h"

/* ---- Connections and sessions ---- */

static void connects_by_the_minute(void **state)
{
	(void)state;
	struct world w;
	unsigned passed = 0;
	world_init(&w);
	for (unsigned i = 0; i < 1000; i++)
		passed += quota_connect(&w.quota, "u", w.now_ms);
	assert_int_equal(passed, 20);
	w.now_ms += 2999;
	assert_false(quota_connect(&w.quota, "u", w.now_ms));
	w.now_ms += 1;
	assert_true(quota_connect(&w.quota, "u", w.now_ms));
	assert_false(quota_connect(&w.quota, "u", w.now_ms));
	assert_true(quota_connect(&w.quota, "v", w.now_ms));
	quota_free(&w.quota);
}

static void twenty_connections_at_once(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_int_equal(begin_many(&w, 30, QUOTA_SESSION_ENDS), 20);
	/* One that is there already takes its own place. */
	assert_true(begin(&w, "u", "u/3", 50, QUOTA_SESSION_ENDS));
	/* The end of the older one comes later, and frees nothing. */
	end(&w, "u", "u/3", 3);
	assert_false(begin(&w, "u", "u/new", 51, QUOTA_SESSION_ENDS));
	end(&w, "u", "u/3", 50);
	assert_true(begin(&w, "u", "u/new", 51, QUOTA_SESSION_ENDS));
	assert_false(begin(&w, "u", "u/newer", 52, QUOTA_SESSION_ENDS));
	/* Ends of nobody's. */
	end(&w, "u", "u/unknown", 1);
	end(&w, "v", "u/1", 1);
	end(&w, "u", "u/1", 1);
	end(&w, "u", "u/1", 1);
	assert_true(begin(&w, "u", "u/newer", 52, QUOTA_SESSION_ENDS));
	assert_false(begin(&w, "u", "u/newest", 53, QUOTA_SESSION_ENDS));
	assert_non_null(strstr(w.line, "user u is over its quota: refused 1 connections"));
	quota_free(&w.quota);
}

static void ten_sessions_that_stay(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_int_equal(begin_many(&w, 20, QUOTA_SESSION_STAYS), 10);
	end_many(&w, 20);
	strcpy(w.sessions, " u/0 u/1 u/2 u/3 u/4 u/5 u/6 u/7 u/8 u/9 ");
	w.now_ms += 1000;
	assert_false(begin(&w, "u", "u/new", 50, QUOTA_SESSION_STAYS));
	assert_false(begin(&w, "u", "u/new", 50, QUOTA_SESSION_UNKNOWN));
	/* Its own ones it gets back, and those that leave nothing behind it may have besides. */
	assert_true(begin(&w, "u", "u/4", 51, QUOTA_SESSION_STAYS));
	assert_true(begin(&w, "u", "u/clean", 52, QUOTA_SESSION_ENDS));
	/* One that was there becomes one that ends: then it is a session less. */
	assert_true(begin(&w, "u", "u/5", 53, QUOTA_SESSION_ENDS));
	end(&w, "u", "u/5", 53);
	assert_true(begin(&w, "u", "u/new", 50, QUOTA_SESSION_STAYS));
	assert_false(begin(&w, "u", "u/newer", 54, QUOTA_SESSION_STAYS));
	quota_free(&w.quota);
}

static void sessions_whose_end_nobody_tells(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	/* Tabs of a browser: each has another client id, and the broker forgets each at its end. */
	for (unsigned i = 0; i < 200; i++) {
		char id[32];
		snprintf(id, sizeof(id), "u/tab-%u", i);
		assert_true(begin(&w, "u", id, 1, QUOTA_SESSION_UNKNOWN));
		end(&w, "u", id, 1);
	}
	/* These stay. */
	assert_int_equal(begin_many(&w, 10, QUOTA_SESSION_UNKNOWN), 10);
	strcpy(w.sessions, " u/0 u/1 u/2 u/3 u/4 u/5 u/6 u/7 u/8 u/9 ");
	end_many(&w, 10);
	assert_false(begin(&w, "u", "u/new", 1, QUOTA_SESSION_UNKNOWN));
	/* The broker is not asked for each of a thousand tries. */
	const unsigned asked = w.asked;
	for (unsigned i = 0; i < 1000; i++)
		assert_false(begin(&w, "u", "u/new", 1, QUOTA_SESSION_UNKNOWN));
	assert_int_equal(w.asked, asked);
	strcpy(w.sessions, " u/0 u/1 u/2 u/3 u/4 u/5 u/6 u/7 u/8 ");
	w.now_ms += 59999;
	assert_false(begin(&w, "u", "u/new", 1, QUOTA_SESSION_UNKNOWN));
	w.now_ms += 1;
	assert_true(begin(&w, "u", "u/new", 1, QUOTA_SESSION_UNKNOWN));
	quota_free(&w.quota);
}

static void long_client_ids_are_refused(void **state)
{
	(void)state;
	struct world w;
	char id[QUOTA_CLIENT_ID_MAX + 2];
	world_init(&w);
	memset(id, 'x', sizeof(id));
	id[QUOTA_CLIENT_ID_MAX + 1] = '\0';
	assert_false(begin(&w, "u", id, 1, QUOTA_SESSION_ENDS));
	id[QUOTA_CLIENT_ID_MAX] = '\0';
	assert_true(begin(&w, "u", id, 1, QUOTA_SESSION_ENDS));
	quota_free(&w.quota);
}

/* ---- Logins ---- */

static void failed_logins_by_address(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	/* Whoever fails not pays nothing. */
	for (unsigned i = 0; i < 1000; i++)
		assert_true(quota_login(&w.quota, "192.0.2.1", w.now_ms));
	for (unsigned i = 0; i < 30; i++) {
		assert_true(quota_login(&w.quota, "192.0.2.1", w.now_ms));
		assert_true(quota_login_failed(&w.quota, "192.0.2.1", w.now_ms));
	}
	assert_false(quota_login(&w.quota, "192.0.2.1", w.now_ms));
	assert_non_null(strstr(w.line, "address 192.0.2.1 is over its quota: refused 1 logins after"));
	assert_true(quota_login(&w.quota, "192.0.2.2", w.now_ms));
	w.now_ms += 2000;
	assert_true(quota_login(&w.quota, "192.0.2.1", w.now_ms));
	assert_true(quota_login_failed(&w.quota, "192.0.2.1", w.now_ms));
	assert_false(quota_login(&w.quota, "192.0.2.1", w.now_ms));
	quota_free(&w.quota);
}

static void neighbours_under_ipv6_are_one(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (unsigned i = 0; i < 30; i++) {
		char address[64];
		snprintf(address, sizeof(address), "2001:db8::%x", i + 1);
		assert_true(quota_login_failed(&w.quota, address, w.now_ms));
	}
	assert_false(quota_login(&w.quota, "2001:db8::ffff", w.now_ms));
	assert_true(quota_login(&w.quota, "2001:db8:0:1::1", w.now_ms));
	quota_free(&w.quota);
}

static void exempt_addresses_may_fail_but_not_fill_the_log(void **state)
{
	(void)state;
	struct world w;
	unsigned lines = 0;
	world_init(&w);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(quota_login(&w.quota, "127.0.0.1", w.now_ms));
		lines += quota_login_failed(&w.quota, "127.0.0.1", w.now_ms);
	}
	assert_int_equal(lines, 30);
	assert_int_equal(w.lines, 0);
	quota_free(&w.quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects_by_the_minute),
		cmocka_unit_test(twenty_connections_at_once),
		cmocka_unit_test(ten_sessions_that_stay),
		cmocka_unit_test(sessions_whose_end_nobody_tells),
		cmocka_unit_test(long_client_ids_are_refused),
		cmocka_unit_test(failed_logins_by_address),
		cmocka_unit_test(neighbours_under_ipv6_are_one),
		cmocka_unit_test(exempt_addresses_may_fail_but_not_fill_the_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
