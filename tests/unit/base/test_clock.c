/* test_clock.c - clock.c and random.c: how times are written, how waits grow, and within which bounds chance stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "clock.h"
#include <limits.h>
#include <string.h>

static void times_are_written(void **state)
{
	(void)state;
	static const struct {
		int64_t unix_ms;
		const char *seconds, *milliseconds;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
		{1795417446123, "2026-11-23T07:04:06Z", "2026-11-23T07:04:06.123Z"},
		{-1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z"},
		{-1000, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000Z"},
		{253402300799999, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999Z"},
		{253402300800000, "?", "?"},
		{INT64_MAX, "?", "?"},
		{INT64_MIN, "?", "?"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[CLOCK_ISO_SIZE];
		clock_iso(cases[i].unix_ms, text);
		assert_string_equal(text, cases[i].seconds);
		clock_iso_ms(cases[i].unix_ms, text);
		assert_string_equal(text, cases[i].milliseconds);
	}
}

static void waits_double(void **state)
{
	(void)state;
	static const unsigned cases[][4] = {/* failures, least, most, expected */
		{0, 100, 1000, 100}, {1, 100, 1000, 200}, {2, 100, 1000, 400}, {3, 100, 1000, 800},
		{4, 100, 1000, 1000}, {1000000, 100, 1000, 1000}, {UINT_MAX, 1, UINT_MAX, UINT_MAX},
		{0, 500, 100, 100}, {3, 3000000000u, UINT_MAX, UINT_MAX}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(backoff_ms(cases[i][0], cases[i][1], cases[i][2]), cases[i][3]);
}

static void chance_stays_within_bounds(void **state)
{
	(void)state;
	unsigned seen[4] = {0};
	for (unsigned i = 0; i < 1000; i++) {
		assert_in_range(clock_jitter_ms(100), 50, 100);
		const unsigned number = random_below(4);
		assert_in_range(number, 0, 3);
		seen[number]++;
	}
	/* A fair one misses one of four in 1,000 once in 10^124 times. */
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(seen[i], 0);
	assert_int_equal(clock_jitter_ms(0), 0);
	assert_int_equal(random_below(0), 0);
	assert_int_equal(random_below(1), 0);
}

static void random_bytes_differ(void **state)
{
	(void)state;
	unsigned char one[16] = {0}, other[16] = {0};
	random_bytes(one, sizeof(one));
	random_bytes(other, sizeof(other));
	assert_memory_not_equal(one, other, sizeof(one));
}

static void moments(void **state)
{
	(void)state;
	static const struct {
		int64_t ms, expected_ms;
	} cases[] = {{0, 0}, {-5, 0}, {1, 1}, {999, 999}, {1000, 1000}, {12345, 12345}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct timespec at;
		const int64_t before_us = clock_us();
		clock_timespec_in(cases[i].ms, &at);
		const int64_t after_us = clock_us();
		assert_in_range(at.tv_nsec, 0, 999999999);
		const int64_t at_us = (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
		assert_true(at_us >= before_us + cases[i].expected_ms * 1000);
		assert_true(at_us <= after_us + cases[i].expected_ms * 1000);
	}
}

static void clocks_agree_on_units(void **state)
{
	(void)state;
	const int64_t before_us = clock_us(), ms = clock_ms(), after_us = clock_us();
	assert_in_range(ms, before_us / 1000, after_us / 1000);
	const int64_t unix_before_us = clock_unix_us(), unix_ms = clock_unix_ms();
	/* Nobody sets the clock back by a minute while this runs. */
	assert_true(unix_ms >= unix_before_us / 1000 - 60000 && unix_ms <= unix_before_us / 1000 + 60000);
	assert_true(unix_ms / 1000 - (int64_t)time(NULL) < 60);
}

static void times_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		int64_t ms;
	} cases[] = {
		{"1970-01-01T00:00:00Z", true, 0},
		{"2026-01-31T12:00:00.000Z", true, 1769860800000},
		{"2026-01-31T12:00:00.123Z", true, 1769860800123},
		{"2026-01-31T12:00:00.1Z", true, 1769860800100},
		{"2026-01-31T12:00:00.123000000Z", true, 1769860800123},
		{"2026-01-31T13:30:00+01:30", true, 1769860800000},
		{"2026-01-31T11:00:00-01:00", true, 1769860800000},
		{"2024-02-29T00:00:00Z", true, 1709164800000},
		{"1969-12-31T23:59:59.999Z", true, -1},
		{"0001-01-01T00:00:00Z", true, -62135596800000},
		{"9999-12-31T23:59:59.999Z", true, 253402300799999},
		{"2026-01-31T12:00:00.1234Z", false, 0},
		{"2026-01-31T12:00:00.Z", false, 0},
		{"2026-01-31T12:00:00", false, 0},
		{"2026-01-31T12:00Z", false, 0},
		{"2026-01-31 12:00:00Z", false, 0},
		{"2026-01-31t12:00:00z", false, 0},
		{"2026-01-31", false, 0},
		{"2023-02-29T00:00:00Z", false, 0},
		{"2026-06-31T00:00:00Z", false, 0},
		{"2026-13-01T00:00:00Z", false, 0},
		{"2026-00-01T00:00:00Z", false, 0},
		{"0000-01-01T00:00:00Z", false, 0},
		{"2026-01-31T24:00:00Z", false, 0},
		{"2026-01-31T12:60:00Z", false, 0},
		{"2016-12-31T23:59:60Z", false, 0},
		{"2026-01-31T12:00:00+24:00", false, 0},
		{"2026-01-31T12:00:00+0100", false, 0},
		{"+026-01-31T12:00:00Z", false, 0},
		{"2026-01-31T12:00:00Z ", false, 0},
		{"", false, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = 77;
		if (clock_read(cases[i].text, strlen(cases[i].text), &ms) != cases[i].good)
			fail_msg("%s", cases[i].text);
		if (ms != (cases[i].good ? cases[i].ms : 77))
			fail_msg("%s: %lld", cases[i].text, (long long)ms);
	}
	int64_t ms;
	assert_false(clock_read("2026-01-31T12:00:00Z\0", 21, &ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(waits_double),
		cmocka_unit_test(chance_stays_within_bounds),
		cmocka_unit_test(random_bytes_differ),
		cmocka_unit_test(moments),
		cmocka_unit_test(clocks_agree_on_units),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
