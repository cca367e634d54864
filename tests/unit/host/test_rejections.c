/* test_rejections.c - rejections.c: which rejected commands the log tells of, and how many it only counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "log_lines.h"
#include "rejections.h"

#include <stdlib.h>
#include <string.h>

static struct rejections rejections;

static int begin(void **state)
{
	(void)state;
	rejections_init(&rejections);
	log_lines_keep();
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_lines_leave();
	return 0;
}

static void the_first_at_once_and_then_a_number_each_second(void **state)
{
	(void)state;
	assert_int_equal(rejections_count(&rejections, "u", 5000), 1);
	assert_int_equal(rejections.due_ms, INT64_MAX);
	for (unsigned i = 0; i < 700; i++)
		assert_int_equal(rejections_count(&rejections, "u", 5999), 0);
	assert_int_equal(rejections.due_ms, 6000);
	/* The next one is told with those that were not. */
	assert_int_equal(rejections_count(&rejections, "u", 6000), 701);
	assert_int_equal(rejections_count(&rejections, "u", 6001), 0);
	rejections_serve(&rejections, 6999);
	assert_string_equal(log_lines, "");
	assert_int_equal(rejections.due_ms, 7000);
	/* None follows: the number is told all the same. */
	rejections_serve(&rejections, 7000);
	assert_int_equal(log_lines_count("\"user\":\"u\",\"count\":1}"), 1);
	assert_int_equal(rejections.due_ms, INT64_MAX);
	rejections_serve(&rejections, 9000);
	assert_int_equal(log_lines_count("command_rejected"), 1);
	/* Whoever is rejected now and then has a line for each. */
	for (int64_t now_ms = 10000; now_ms < 20000; now_ms += 1000)
		assert_int_equal(rejections_count(&rejections, "u", now_ms), 1);
}

static void users_have_lines_of_their_own(void **state)
{
	(void)state;
	assert_int_equal(rejections_count(&rejections, "u", 5000), 1);
	assert_int_equal(rejections_count(&rejections, "v", 5000), 1);
	assert_int_equal(rejections_count(&rejections, "", 5000), 1);
	assert_int_equal(rejections_count(&rejections, "u", 5000), 0);
	assert_int_equal(rejections_count(&rejections, "v", 5000), 0);
	rejections_serve(&rejections, 6000);
	assert_int_equal(log_lines_count("command_rejected"), 2);
}

/* However many users there are, and however often each of them is rejected: none is lost, and the lines stay few. */
static void a_flood_of_users_is_bounded(void **state)
{
	(void)state;
	unsigned told = 0, lines_now = 0;
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 10000; i++) {
			char name[REJECTIONS_NAME_SIZE];
			snprintf(name, sizeof(name), "user-%056u", i);
			const unsigned count = rejections_count(&rejections, name, 5000);
			lines_now += count > 0;
			told += count;
		}
	assert_in_range(lines_now, 200, REJECTIONS_USERS + 1);
	rejections_serve(&rejections, 6000);
	assert_in_range(log_lines_count("command_rejected"), 200, REJECTIONS_USERS + 1);
	for (const char *at = log_lines; (at = strstr(at, "\"count\":")); at++)
		told += (unsigned)strtoul(at + strlen("\"count\":"), NULL, 10);
	assert_int_equal(told, 30000);
}

static void nothing_is_lost_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(rejections_count(&rejections, "u", 5000), 1);
	assert_int_equal(rejections_count(&rejections, "u", 5000), 0);
	rejections_serve(&rejections, INT64_MAX);
	assert_int_equal(log_lines_count("\"count\":1}"), 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_at_once_and_then_a_number_each_second),
		TEST(users_have_lines_of_their_own),
		TEST(a_flood_of_users_is_bounded),
		TEST(nothing_is_lost_at_the_end),
	};
	return cmocka_run_group_tests_name("rejections", tests, NULL, NULL);
}
