/*
 * test_clocks.c - a machine whose clock is wrong, and is put right: what is kept in the database goes by the database's time, so nobody waits for a
 * time that no clock shows, and nothing is removed before its time. The difference is a warning.
 */
#include "account.h"
#include "harness.h"
#include "letter.h"
#include "wall_clock.h"
#include <inttypes.h>

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };

/* By plain TCP: certificates are judged by this machine's clock, rightly. */
static struct host *host_with_clock(struct harness *h, int64_t ahead_ms)
{
	(void)harness_broker_with(h, &(struct broker_options){.plain = true});
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	wall_clock_use_token(h, host);
	wall_clock_set(host, ahead_ms);
	return host;
}

static struct device *connect_device(struct harness *h)
{
	struct device *device = device_new(h, "68946");
	device_connect(device);
	return device;
}

/* Whether there is a document with a date in that field that is between so much before now and so much after. */
static bool has_date(
	struct harness *h, const char *collection, const char *field, int64_t before_ms, int64_t after_ms)
{
	const int64_t now_ms = wall_clock_now_ms();
	return database_has(h, harness_database(h), collection,
		harness_format(h,
			"{\"%s\":{\"$gt\":{\"$date\":{\"$numberLong\":\"%" PRId64
			"\"}},\"$lt\":{\"$date\":{\"$numberLong\":\"%" PRId64 "\"}}}}",
			field, now_ms - before_ms, now_ms + after_ms));
}

/* It stays for its user's next command, and for the next host, no longer than it would by a clock that is right: the host is killed, so that its leases
 * stand in the database, too. */
HARNESS_CASE(two_hours_ahead_while_a_command_is_parked)
{
	struct host *host = host_with_clock(h, 2 * HOUR_MS);
	host_start(host);
	const json_t *told = host_expect_log(host, "clocks_differ", "level", "warn", "this_clock", "ahead");
	assert_in_range(json_integer_value(json_object_get(told, "by_ms")), 2 * HOUR_MS - 1000, 2 * HOUR_MS);
	host_wait_ready(host);
	struct device *phone = connect_device(h);
	device_command(phone, "test_flaky", "{\"gate\":\"a\"}");
	host_expect_log(host, "command_parked", "attempts", "1");
	host_expect_log(host, "command_parked", "attempts", "2");
	assert_true(has_date(h, "parked_commands", "not_before", MINUTE_MS, MINUTE_MS));
	assert_true(has_date(h, "hosts", "lease_until", MINUTE_MS, MINUTE_MS));
	/* Some turns of the watch have passed, and it was told once. */
	assert_int_equal(host_count_log(host, "clocks_differ"), 1);
	host_kill(host);
	wall_clock_set(host, 0);
	host_start(host);
	host_wait_ready(host);
	gate_open(h, host, "a");
	device_wait_count(phone, "flaky_passed", 1);
	database_wait_count(h, harness_database(h), "parked_commands", "{}", 0);
	assert_int_equal(host_count_log(host, "clocks_differ"), 1);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* The clock is put right under a host that runs, and goes wrong the other way. */
HARNESS_CASE(put_right_while_a_command_is_parked)
{
	struct host *host = host_with_clock(h, 2 * HOUR_MS);
	host_start(host);
	host_wait_ready(host);
	host_expect_log(host, "clocks_differ", "this_clock", "ahead");
	struct device *phone = connect_device(h);
	device_command(phone, "test_flaky", "{\"gate\":\"a\"}");
	/* By now it stays there for some seconds. */
	database_wait_count(h, harness_database(h), "parked_commands", "{\"attempts\":{\"$gte\":3}}", 1);
	wall_clock_set(host, 0);
	host_expect_log(host, "clocks_agree");
	gate_open(h, host, "a");
	device_wait_count(phone, "flaky_passed", 1);
	wall_clock_set(host, -2 * HOUR_MS);
	host_expect_log(host, "clocks_differ", "this_clock", "behind");
	device_command(phone, "test_flaky", "{\"gate\":\"b\"}");
	database_wait_count(h, harness_database(h), "parked_commands", "{\"attempts\":{\"$gte\":3}}", 1);
	assert_true(has_date(h, "parked_commands", "not_before", MINUTE_MS, MINUTE_MS));
	wall_clock_set(host, 0);
	host_expect_log(host, "clocks_agree");
	gate_open(h, host, "b");
	device_wait_count(phone, "flaky_passed", 2);
}

HARNESS_CASE(dead_letter_of_a_clock_that_is_120_days_behind)
{
	struct host *host = host_with_clock(h, INT64_C(-120) * DAY_MS);
	host_start(host);
	host_expect_log(host, "clocks_differ", "this_clock", "behind");
	host_wait_ready(host);
	struct device *phone = connect_device(h);
	device_command(phone, "test_fail", "{}");
	letter_expect(
		h, harness_database(h), .topic = "68946/test_fail", .handler = "test_fail", .attempts = 1);
	assert_true(has_date(h, "dead_letters", "when", MINUTE_MS, MINUTE_MS));
	/* DEAD_LETTER_DAYS are 90. */
	assert_true(has_date(h, "dead_letters", "expires", INT64_C(-89) * DAY_MS, INT64_C(91) * DAY_MS));
	host_stop(host);
	/* And until its last line was written it has waited for its log. */
	assert_int_equal(host_count_log(host, "stopped"), 1);
}

static void add_letter(struct harness *h)
{
	database_command(h, harness_database(h),
		harness_format(h,
			"{\"insert\":\"dead_letters\",\"documents\":[{\"topic\":\"68946/get_apples\",\"user_id\":"
			"\"68946\",\"handler\":\"get_apples\",\"reason\":\"r\",\"payload\":{\"$binary\":{\"base64\":"
			"\"e30=\",\"subType\":\"00\"}},\"attempts\":1,\"crashes\":0,\"host\":\"cashewd\",\"when\":"
			"{\"$date\":{\"$numberLong\":\"%" PRId64 "\"}}}]}",
			wall_clock_now_ms() - 2 * MINUTE_MS));
}

/* The tool's clock says neither which letters there are nor when they run. */
HARNESS_CASE(replay_on_a_machine_whose_clock_is_wrong)
{
	static const struct {
		int64_t ahead_ms;
		const char *const arguments[5];
		const char *told;
	} cases[] = {
		{30 * MINUTE_MS, {"dead-letters", "replay", "--all"}, "1 dead letter replayed"},
		{-30 * MINUTE_MS, {"dead-letters", "replay", "--all"}, "1 dead letter replayed"},
		{30 * MINUTE_MS, {"dead-letters", "replay", "--since", "10m"}, "1 dead letter replayed"},
		{-30 * MINUTE_MS, {"dead-letters", "replay", "--since", "1m"}, "0 dead letters replayed"},
		{-30 * MINUTE_MS, {"dead-letters", "list", "--since", "10m"}, "68946/get_apples"},
	};
	enum { CASES = sizeof(cases) / sizeof(cases[0]), REPLAYED = 3 };
	for (size_t i = 0; i < CASES; i++) {
		struct host *tool = host_with_clock(h, cases[i].ahead_ms);
		add_letter(h);
		host_set_arguments(tool, cases[i].arguments);
		host_start(tool);
		assert_int_equal(host_wait_exit(tool), 0);
		host_expect_text(tool, cases[i].told);
	}
	database_wait_count(h, harness_database(h), "parked_commands", "{}", REPLAYED);
	assert_false(has_date(h, "parked_commands", "not_before", 0, DAY_MS));
	const int64_t now_us = wall_clock_now_ms() * 1000;
	database_wait_count(h, harness_database(h), "parked_commands",
		harness_format(h,
			"{\"position\":{\"$gt\":{\"$numberLong\":\"%" PRId64
			"\"},\"$lt\":{\"$numberLong\":\"%" PRId64 "\"}}}",
			now_us - 5 * MINUTE_MS * 1000, now_us + 1000 * 1000),
		REPLAYED);
	struct device *phone = connect_device(h);
	(void)harness_host(h);
	device_wait_count(phone, "got_apples", REPLAYED);
	database_wait_count(h, harness_database(h), "parked_commands", "{}", 0);
}

HARNESS_MAIN(HARNESS_TEST(two_hours_ahead_while_a_command_is_parked),
	HARNESS_TEST(put_right_while_a_command_is_parked),
	HARNESS_TEST(dead_letter_of_a_clock_that_is_120_days_behind),
	HARNESS_TEST(replay_on_a_machine_whose_clock_is_wrong))
