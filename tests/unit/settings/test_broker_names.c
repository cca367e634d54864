/* test_broker_names.c - broker_names.c: one name, several, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "broker_names.h"

static void test_each(void **state)
{
	(void)state;
	static const struct {
		const char *names;
		size_t count;
		const char *each[4]; /* and on from the first again */
	} cases[] = {
		{"a", 1, {"a", "a", "a", "a"}},
		{"mqtt.example.com,10.0.0.1,fe80::1", 3,
			{"mqtt.example.com", "10.0.0.1", "fe80::1", "mqtt.example.com"}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[BROKER_NAME_SIZE];
		assert_null(broker_names_problem(cases[i].names));
		assert_int_equal(broker_names_count(cases[i].names), cases[i].count);
		for (size_t j = 0; j < 4; j++) {
			broker_names_at(cases[i].names, j, name);
			assert_string_equal(name, cases[i].each[j]);
		}
	}
}

static void test_problems(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ",", "a,", ",a", "a,,b", "a, b", "a b", "a,a", "a,b,A",
		"a:1883", "a,b:1", "mqtt://a", "[::1]", "user@a", "1,2,3,4,5,6,7,8,9"};
	char long_name[400], name[BROKER_NAME_SIZE];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!broker_names_problem(bad[i]))
			fail_msg("nothing is wrong with \"%s\"", bad[i]);
	assert_null(broker_names_problem("1,2,3,4,5,6,7,8"));
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_non_null(broker_names_problem(long_name));
	broker_names_at(long_name, 0, name);
	assert_int_equal(strlen(name), BROKER_NAME_SIZE - 1);
	long_name[254] = '\0';
	assert_null(broker_names_problem(long_name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each), cmocka_unit_test(test_problems)};
	return cmocka_run_group_tests_name("broker_names", tests, NULL, NULL);
}
