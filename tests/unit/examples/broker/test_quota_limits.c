/* test_quota_limits.c - quota_limits.c of the broker's plugin: its defaults, its options, and whom an address stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "quota_limits.c"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void the_defaults(void **state)
{
	(void)state;
	struct quota_limits limits;
	quota_limits_init(&limits);
	assert_int_equal(limits.messages_per_second, 50);
	assert_int_equal(limits.messages_burst, 200);
	assert_int_equal(limits.bytes_per_second, 262144);
	assert_int_equal(limits.connections, 20);
	assert_int_equal(limits.sessions, 10);
	assert_int_equal(limits.subscriptions, 100);
	assert_int_equal(limits.connects_per_minute, 20);
	assert_false(limits.retained);
	assert_true(quota_limits_exempt(&limits, "127.0.0.1"));
	assert_true(quota_limits_exempt(&limits, "::1"));
	assert_false(quota_limits_exempt(&limits, "127.0.0.2"));
}

static void options_that_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct quota_limits limits, expected;
		char reason[QUOTA_REASON_SIZE] = "x";
		quota_limits_init(&limits);
		quota_limits_init(&expected);
		*(unsigned *)(void *)((char *)&expected + numbers[i].at) = 1234567;
		assert_true(quota_limits_option(&limits, numbers[i].name, "1234567", reason));
		assert_string_equal(reason, "");
		assert_memory_equal(&limits, &expected, sizeof(limits));
		assert_non_null(strstr(quota_limits_names(), numbers[i].name));
	}
	struct quota_limits limits;
	char reason[QUOTA_REASON_SIZE];
	quota_limits_init(&limits);
	assert_true(quota_limits_option(&limits, "quota_retained", "on", reason));
	assert_true(limits.retained);
	assert_true(quota_limits_option(&limits, "quota_connections", "0", reason));
	assert_int_equal(limits.connections, 0);
	assert_true(quota_limits_option(
		&limits, "quota_exempt_addresses", "192.0.2.1 ,2001:db8::1,, 198.51.100.7", reason));
	assert_string_equal(reason, "");
	assert_true(quota_limits_exempt(&limits, "192.0.2.1"));
	assert_true(quota_limits_exempt(&limits, "2001:db8::"));
	assert_true(quota_limits_exempt(&limits, "198.51.100.7"));
	assert_false(quota_limits_exempt(&limits, "127.0.0.1"));
	assert_true(quota_limits_option(&limits, "quota_exempt_addresses", "none", reason));
	assert_int_equal(limits.exempt_count, 0);
	assert_string_equal(reason, "");
	assert_false(quota_limits_option(&limits, "quota_friends", "1", reason));
	assert_false(quota_limits_option(&limits, "secret_file", "1", reason));
}

static void options_that_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value, *says;
	} cases[] = {
		{"quota_connections", "", "must be a number"},
		{"quota_connections", "-1", "must be a number"},
		{"quota_connections", "+1", "must be a number"},
		{"quota_connections", " 1", "must be a number"},
		{"quota_connections", "1 ", "must be a number"},
		{"quota_connections", "20k", "must be a number"},
		{"quota_bytes_per_second", "1000000001", "from 0, no limit, to 1000000000"},
		{"quota_bytes_per_second", "99999999999999999999999", "must be a number"},
		{"quota_retained", "yes", "must be on or off"},
		{"quota_exempt_addresses", "192.0.2.1,nearby", "\"nearby\" is no address"},
		{"quota_exempt_addresses", "192.0.2.256", "is no address"},
		{"quota_exempt_addresses", "192.0.2.0/24", "is no address"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct quota_limits limits;
		char reason[QUOTA_REASON_SIZE];
		quota_limits_init(&limits);
		assert_true(quota_limits_option(&limits, cases[i].name, cases[i].value, reason));
		if (!strstr(reason, cases[i].says))
			fail_msg("%s %s: \"%s\"", cases[i].name, cases[i].value, reason);
		assert_int_equal(limits.connections, 20);
	}
}

static void too_many_exempt_addresses_are_refused(void **state)
{
	(void)state;
	struct quota_limits limits;
	char reason[QUOTA_REASON_SIZE], list[2000] = "";
	quota_limits_init(&limits);
	for (int i = 0; i < QUOTA_EXEMPT_MAX; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "10.0.0.%d,", i);
	assert_true(quota_limits_option(&limits, "quota_exempt_addresses", list, reason));
	assert_string_equal(reason, "");
	assert_int_equal(limits.exempt_count, QUOTA_EXEMPT_MAX);
	strcat(list, "10.0.1.1");
	assert_true(quota_limits_option(&limits, "quota_exempt_addresses", list, reason));
	assert_non_null(strstr(reason, "more than 64"));
}

static void whom_an_address_stands_for(void **state)
{
	(void)state;
	static const struct {
		const char *address, *stands_for;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:2::9", "2001:db8:1:2::"},
		{"2001:db8:1:3::9", "2001:db8:1:3::"},
		{"::1", "::1"},
		{"", ""},
		{"a path of a socket", "a path of a socket"},
		{NULL, "-"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char address[QUOTA_ADDRESS_SIZE];
		quota_limits_address(cases[i].address, address);
		assert_string_equal(address, cases[i].stands_for);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults),
		cmocka_unit_test(options_that_are_taken),
		cmocka_unit_test(options_that_are_refused),
		cmocka_unit_test(too_many_exempt_addresses_are_refused),
		cmocka_unit_test(whom_an_address_stands_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
