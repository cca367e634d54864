/* test_top_text.c - top_text.c: numbers of all sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "top_text.h"

static void test_counts(void **state)
{
	static const struct {
		int64_t count;
		const char *text, *bytes;
	} cases[] = {
		{0, "0", "-"},
		{9999999, "9999999", "9.5 MB"},
		{10000000, "10.0M", "9.5 MB"},
		{14575206, "14.6M", "13.9 MB"},
		{10000000000, "10.0G", "9.3 GB"},
		{INT64_MAX, "9223372036.9G", "8589934592.0 GB"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(top_text_count(cases[i].count).text, cases[i].text);
		assert_string_equal(top_text_bytes(cases[i].count).text, cases[i].bytes);
	}
}

static void test_rates(void **state)
{
	static const struct {
		int64_t count;
		double seconds;
		const char *text;
	} cases[] = {
		{0, 1, "0"},
		{1, 1, "1.00"},
		{1, 1000, "0.00"},
		{10, 1, "10.0"},
		{53, 2, "26.5"},
		{9999, 100, "100"},
		{813, 1, "813"},
		{5, 0, "0.00"},
		{5, -1, "0.00"},
		{INT64_MAX, 0.001, "1000000000000"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(top_text_rate(cases[i].count, cases[i].seconds).text, cases[i].text);
}

static void test_durations(void **state)
{
	static const struct {
		double ms;
		const char *text;
	} cases[] = {
		{-1, "0ms"},
		{0, "0ms"},
		{0.004, "0.00ms"},
		{0.42, "0.42ms"},
		{9.99, "9.99ms"},
		{9.996, "10.0ms"},
		{99.96, "100ms"},
		{999.4, "999ms"},
		{999.6, "1.0s"},
		{59949, "59.9s"},
		{59999, "0m59s"},
		{60000, "1m00s"},
		{3599999, "59m59s"},
		{3600000, "1h00m"},
		{86399999, "23h59m"},
		{86400000, "1d00h"},
		{1e10, "115d17h"},
		{1e300, "46296296d07h"},
		{0.0 / 0.0, "0ms"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(top_text_duration(cases[i].ms).text, cases[i].text);
	}
}

static void test_clock(void **state)
{
	(void)state;
	assert_string_equal(top_text_clock(INT64_C(1795435200123)).text, "2026-11-23 12:00:00Z");
	assert_string_equal(top_text_clock(0).text, "1970-01-01 00:00:00Z");
	assert_string_equal(top_text_clock(INT64_MAX).text, "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_clock),
	};
	return cmocka_run_group_tests_name("top_text", tests, NULL, NULL);
}
