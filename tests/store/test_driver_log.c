/* Tests of driver_log.c: what the driver says again and again is logged once a minute, and what it says once always. */
#include "driver_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const refused =
	"Failed to authenticate: Authentication failed, connection 17 of 127.0.0.1:27017";

static void test_repeats(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int64_t at_ms;
		const char *message;
		bool may;
		uint64_t held_back;
	} cases[] = {
		{"the first one", 5000, "Failed to authenticate: connection 17", true, 0},
		{"a second later", 6000, "Failed to authenticate: connection 17", false, 0},
		{"with other numbers", 7000, "Failed to authenticate: connection 9021", false, 0},
		{"another text", 7000, "No suitable servers", true, 0},
		{"just before a minute", 64999, "Failed to authenticate: connection 1", false, 0},
		{"after a minute", 65000, "Failed to authenticate: connection 1", true, 3},
		{"and then", 65001, "Failed to authenticate: connection 1", false, 0},
		{"after a day", 86400000, "Failed to authenticate: connection 1", true, 1},
		{"which was not repeated", 86400000 + 60000, "Failed to authenticate: connection 1", true, 0},
		{"no text", 5, "", true, 0},
		{"a long text", 5, NULL, true, 0},
	};
	struct driver_log log = {.texts = {{0}}};
	static char longest[2000];
	memset(longest, 'x', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t held_back = 77;
		print_message("%s\n", cases[i].name);
		const char *message = cases[i].message ? cases[i].message : longest;
		assert_int_equal(driver_log_may(&log, message, cases[i].at_ms, &held_back), cases[i].may);
		assert_int_equal(held_back, cases[i].may ? cases[i].held_back : 77);
	}
}

/* A wrong password: a line a second for an hour. Beside it others come and go, fewer than there is room for. */
static void test_an_hour(void **state)
{
	(void)state;
	struct driver_log log = {.texts = {{0}}};
	uint64_t lines = 0, told = 0, held_back, others = 0;
	char other[64];
	for (int64_t second = 0; second < 3600; second++) {
		if (driver_log_may(&log, refused, second * 1000, &held_back)) {
			lines++;
			told += held_back;
		}
		snprintf(other, sizeof(other), "trouble %c", (char)('a' + second % (DRIVER_LOG_TEXTS - 1)));
		others += driver_log_may(&log, other, second * 1000, &held_back);
	}
	assert_int_equal(lines, 60);
	assert_int_equal(told, 59 * 59);
	assert_in_range(others, DRIVER_LOG_TEXTS - 1, 60 * (DRIVER_LOG_TEXTS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_repeats), cmocka_unit_test(test_an_hour)};
	return cmocka_run_group_tests_name("driver_log", tests, NULL, NULL);
}
