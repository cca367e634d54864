/* Tests of cron.c: what a line names, over ends of years and leap days, and which lines are refused. */
#include "clock.h"
#include "cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* "2026-01-31 12:00:00.5" in milliseconds. */
static int64_t at(const char *text)
{
	struct tm date = {0};
	const char *rest = strptime(text, "%Y-%m-%d %H:%M:%S", &date);
	assert_non_null(rest);
	return (int64_t)timegm(&date) * 1000 + (*rest == '.' ? 500 : 0);
}

static struct cron parsed(const char *line)
{
	char reason[CRON_REASON_SIZE] = "";
	struct cron cron;
	if (cron_parse(line, &cron, reason) != 0)
		fail_msg("%s: %s", line, reason);
	return cron;
}

static void expect_time(const char *line, const char *what, int64_t found, const char *expected)
{
	char text[CLOCK_ISO_SIZE];
	clock_iso_ms(found, text);
	if (found != at(expected))
		fail_msg("%s, %s: %s, expected %s", line, what, text, expected);
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		const char *line, *now, *latest, *after;
	} cases[] = {
		{"* * * * *", "2026-01-31 12:00:00", "2026-01-31 12:00:00", "2026-01-31 12:01:00"},
		{"* * * * *", "2026-01-31 12:00:59.5", "2026-01-31 12:00:00", "2026-01-31 12:01:00"},
		{"0 * * * *", "2026-01-31 12:00:00", "2026-01-31 12:00:00", "2026-01-31 13:00:00"},
		{"0 * * * *", "2026-01-31 23:59:59.5", "2026-01-31 23:00:00", "2026-02-01 00:00:00"},
		{"*/15 * * * *", "2026-01-31 12:44:00", "2026-01-31 12:30:00", "2026-01-31 12:45:00"},
		{"5,50-52/2 8 * * *", "2026-01-31 08:51:00", "2026-01-31 08:50:00", "2026-01-31 08:52:00"},
		{"5,50-52/2 8 * * *", "2026-01-31 08:52:00", "2026-01-31 08:52:00", "2026-02-01 08:05:00"},
		/* A day, a year */
		{"30 4 * * *", "2026-12-31 04:30:00", "2026-12-31 04:30:00", "2027-01-01 04:30:00"},
		{"30 4 * * *", "2027-01-01 04:29:59.5", "2026-12-31 04:30:00", "2027-01-01 04:30:00"},
		{"0 0 1 1 *", "2026-06-15 00:00:00", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
		{"59 23 31 dec *", "2026-12-31 23:59:00", "2026-12-31 23:59:00", "2027-12-31 23:59:00"},
		{"0 0 31 * *", "2026-03-31 00:00:00", "2026-03-31 00:00:00", "2026-05-31 00:00:00"},
		{"0 0 31 * *", "2026-03-30 23:59:00", "2026-01-31 00:00:00", "2026-03-31 00:00:00"},
		/* Weekdays: 2026-01-31 is a Saturday */
		{"30 4 * * 1-5", "2026-01-31 12:00:00", "2026-01-30 04:30:00", "2026-02-02 04:30:00"},
		{"30 4 * * MON-Fri", "2026-01-31 12:00:00", "2026-01-30 04:30:00", "2026-02-02 04:30:00"},
		{"0 0 * * 0", "2026-01-31 12:00:00", "2026-01-25 00:00:00", "2026-02-01 00:00:00"},
		{"0 0 * * 7", "2026-01-31 12:00:00", "2026-01-25 00:00:00", "2026-02-01 00:00:00"},
		{"0 0 * * sun", "2026-01-31 12:00:00", "2026-01-25 00:00:00", "2026-02-01 00:00:00"},
		{"0 0 * * fri-sun", "2026-02-02 12:00:00", "2026-02-01 00:00:00", "2026-02-06 00:00:00"},
		{"0 0 * * 6,7", "2026-02-02 12:00:00", "2026-02-01 00:00:00", "2026-02-07 00:00:00"},
		/* Either of both, unless one begins with * */
		{"0 0 13 * fri", "2026-02-13 00:00:00", "2026-02-13 00:00:00", "2026-02-20 00:00:00"},
		{"0 0 13 * fri", "2026-01-09 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00"},
		{"0 0 */2 * mon", "2026-02-02 00:00:00", "2026-01-19 00:00:00", "2026-02-09 00:00:00"},
		{"0 0 30 2 mon", "2026-02-03 00:00:00", "2026-02-02 00:00:00", "2026-02-09 00:00:00"},
		/* Leap days: 2000 and 2024 have one, 1900 and 2100 have none */
		{"0 12 29 2 *", "2026-02-28 00:00:00", "2024-02-29 12:00:00", "2028-02-29 12:00:00"},
		{"0 12 29 2 *", "2028-02-29 11:59:00", "2024-02-29 12:00:00", "2028-02-29 12:00:00"},
		{"0 12 29 feb *", "2096-02-29 12:00:00", "2096-02-29 12:00:00", "2104-02-29 12:00:00"},
		{"0 12 29 2 *", "2000-03-01 00:00:00", "2000-02-29 12:00:00", "2004-02-29 12:00:00"},
		{"0 0 */29 2 */7", "2026-01-01 00:00:00", "2015-02-01 00:00:00", "2026-02-01 00:00:00"},
		{"0 0 29-29/1 2 */6", "2096-03-01 00:00:00", "2088-02-29 00:00:00", "2116-02-29 00:00:00"},
		/* Before 1970 */
		{"0 * * * *", "1969-12-31 23:30:00.5", "1969-12-31 23:00:00", "1970-01-01 00:00:00"},
		{" 0\t0  1 JAN * ", "1970-01-01 00:00:00", "1970-01-01 00:00:00", "1971-01-01 00:00:00"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cron cron = parsed(cases[i].line);
		expect_time(cases[i].line, "latest", cron_latest(&cron, at(cases[i].now)), cases[i].latest);
		expect_time(cases[i].line, "after", cron_after(&cron, at(cases[i].now)), cases[i].after);
	}
}

/* The times of a line, one after the other, are the same in both directions. */
static void test_both_ways(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"*/7 */5 * * *", "0 0 29 2 *", "30 4 1,15 * 1", "59 23 31 * *", "0 6 * jan-mar/2 2-6/2"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const struct cron cron = parsed(lines[i]);
		int64_t now_ms = at("2095-12-31 23:59:59");
		for (int k = 0; k < 60; k++) {
			const int64_t next_ms = cron_after(&cron, now_ms);
			assert_true(next_ms > now_ms);
			assert_int_equal(cron_latest(&cron, next_ms), next_ms);
			assert_int_equal(cron_latest(&cron, next_ms - 1) <= now_ms, 1);
			assert_int_equal(cron_after(&cron, next_ms - 1), next_ms);
			now_ms = next_ms;
		}
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *line, *reason; /* a part of it */
	} cases[] = {
		{"", "expected five fields"},
		{"* * * *", "expected five fields"},
		{"* * * * * *", "expected five fields"},
		{"@hourly", "expected five fields"},
		{"60 * * * *", "the minute \"60\" is no such value: expected *, or values from 0 to 59"},
		{"-1 * * * *", "the minute \"-1\" is no such value"},
		{"1000000000000 * * * *", "is no such value"},
		{"* 24 * * *", "the hour \"24\" is no such value: expected *, or values from 0 to 23"},
		{"* * 0 * *", "the day of the month \"0\""},
		{"* * 32 * *", "the day of the month \"32\""},
		{"* * * 0 *", "the month \"0\""},
		{"* * * 13 *", "the month \"13\""},
		{"* * * january *", "the month \"january\" is no such value"},
		{"* * * * 8",
			"the day of the week \"8\" is no such value: expected *, or values from 0 to 7 or sun to sat"},
		{"* * * * monday", "the day of the week \"monday\""},
		{"* * * mon *", "the month \"mon\""},
		{"5-1 * * * *", "the minute \"5-1\" ends before it begins"},
		{"1- * * * *", "the minute \"1-\""},
		{"5/15 * * * *", "has a step behind a single value"},
		{"*/0 * * * *", "has a step that is none"},
		{"*/ * * * *", "has a step that is none"},
		{"*/99999999999 * * * *", "has a step that is none"},
		{"1,,2 * * * *", "the minute \"\" is empty"},
		{"1, * * * *", "is empty"},
		{"1x * * * *", "has something behind it"},
		{"** * * * *", "has something behind it"},
		{"1-2-3 * * * *", "has something behind it"},
		{"? * * * *", "is no such value"},
		{"30 2 30 2 *", "it never fires"},
		{"30 2 30,31 feb *", "it never fires"},
		{"0 0 31 4,6,9,11 *", "it never fires"},
		{"0 0 30 2 */2", "it never fires"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char reason[CRON_REASON_SIZE] = "";
		struct cron cron = {.minutes = 42};
		if (cron_parse(cases[i].line, &cron, reason) != CRON_E_BAD ||
			!strstr(reason, cases[i].reason) || cron.minutes != 42)
			fail_msg("<%s>: <%s>, expected <%s>", cases[i].line, reason, cases[i].reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
