/*
 * test_two_hosts.c - two hosts with the same client id: one has the session, the other waits as its standby.
 *
 * Each takeover is the broker's: it closes the connection of the first with "session taken over".
 */
#include "account.h"
#include "harness.h"
#include <stdlib.h>
#include <string.h>

/* How often each has said that it is the standby. */
static size_t standbys(struct host *a, struct host *b)
{
	return host_count_log(a, "standby") + host_count_log(b, "standby");
}

static struct host *host_with(struct harness *h, enum host_program program, const char *standby_retry)
{
	struct host *host = host_new(h, program);
	host_set(host, "STANDBY_RETRY", standby_retry);
	return host;
}

static void start_ready(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
}

static struct device *connect_device(struct harness *h, const char *user)
{
	struct device *device = device_new(h, user);
	device_connect(device);
	return device;
}

/* Pings with these numbers are answered once or, where the first answer came too late to count, again. */
static void assert_answered(const struct device *device, size_t count)
{
	unsigned char *answered = calloc(count, 1);
	assert_non_null(answered);
	for (size_t i = 0; i < device->message_count; i++) {
		const size_t number = strtoul(device->messages[i].payload, NULL, 10);
		assert_non_null(strstr(device->messages[i].topic, "/pong"));
		assert_true(number < count);
		answered[number] = 1;
	}
	for (size_t i = 0; i < count; i++)
		if (!answered[i])
			harness_fail("command %zu was lost", i);
	free(answered);
}

struct answers {
	const struct device *device;
	size_t count;
};

static bool all_answered(void *context)
{
	const struct answers *answers = context;
	size_t distinct = 0;
	/* Answers may come twice, but their first ones come in order. */
	for (size_t i = 0; i < answers->device->message_count; i++)
		if (strtoul(answers->device->messages[i].payload, NULL, 10) == distinct)
			distinct++;
	return distinct >= answers->count;
}

HARNESS_CASE(second_takes_over_and_the_first_waits)
{
	struct host *first = host_with(h, HOST_PRODUCT, "3600"), *second = host_with(h, HOST_PRODUCT, "3600");
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "ping", "0");
	device_wait_count(phone, "pong", 1);
	start_ready(second);
	const json_t *standby =
		host_expect_log(first, "standby", "connection", "main", "client_id", "cashewd");
	/* STANDBY_RETRY, and as much jitter to both sides of it as is needed not to come in step. */
	const json_int_t retry_ms = json_integer_value(json_object_get(standby, "retry_ms"));
	assert_in_range(retry_ms, 3600 * 750, 3600 * 1250);
	host_expect_log(first, "not_ready");

	/* It is the second one now that answers, and the first one lets it. */
	for (int i = 1; i < 50; i++)
		device_command(phone, "ping", harness_format(h, "%d", i));
	device_wait_count(phone, "pong", 50);
	assert_answered(phone, 50);
	assert_int_equal(standbys(first, second), 1);
	host_stop(first);
	host_stop(second);
	assert_int_equal(account_read(first).done, 1);
	assert_int_equal(account_read(second).done, 49);
}

/* No duel: each takes the session at most once per STANDBY_RETRY, and commands keep being answered. */
HARNESS_CASE(nothing_is_lost_while_they_take_turns)
{
	enum { TURNS = 6, AT_ONCE = 8 };
	struct host *first = host_with(h, HOST_PRODUCT, "1"), *second = host_with(h, HOST_PRODUCT, "1");
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	start_ready(second);
	struct answers answers = {.device = phone};
	const int64_t start_ms = harness_now_ms();
	while (standbys(first, second) < TURNS) {
		for (int i = 0; i < AT_ONCE; i++)
			device_publish(phone, "ping", harness_format(h, "%zu", answers.count++));
		harness_wait(h, all_answered, &answers, "%zu pings to be answered", answers.count);
	}
	/* Each waits for 0.75 s or more before it takes the session back. */
	assert_true(harness_now_ms() - start_ms >= (TURNS - 1) * 750 - 750);
	assert_true(host_count_log(first, "standby") > 1);
	assert_true(host_count_log(second, "standby") > 1);
	assert_answered(phone, answers.count);
	host_stop(first);
	host_stop(second);
	const struct account one = account_read(first), two = account_read(second);
	assert_true(one.done + two.done >= answers.count);
	assert_int_equal(one.dead + two.dead + one.rejected + two.rejected, 0);
}

/* The command that runs when the session is taken away runs on the other host as well; it was not
 * acknowledged. */
HARNESS_CASE(command_that_runs_at_a_takeover)
{
	struct host *first = host_with(h, HOST_WITH_TEST_HANDLERS, "3600"),
		    *second = host_with(h, HOST_WITH_TEST_HANDLERS, "3600");
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	device_command(phone, "ping", "1");
	gate_wait_runs(h, first, "a", 1);
	start_ready(second);
	gate_wait_runs(h, second, "a", 1);
	host_wait_log_count(first, 2, "standby"); /* both of its lanes */
	gate_open(h, second, "a");
	device_expect(phone, "gate_passed");
	device_expect(phone, "pong");
	/* What the first one was doing is done when it is done; it has nothing to acknowledge any more. */
	gate_open(h, first, "a");
	device_expect(phone, "gate_passed");
	host_stop(first);
	host_stop(second);
	assert_int_equal(account_read(first).done, 0);
	assert_int_equal(account_read(second).done, 2);
	assert_int_equal(device_count(phone, "pong"), 1);
}

HARNESS_CASE(standby_takes_over_when_the_active_one_stops)
{
	struct host *first = host_with(h, HOST_PRODUCT, "1"), *second = host_with(h, HOST_PRODUCT, "3600");
	start_ready(second);
	struct device *phone = connect_device(h, "68946");
	/* The first comes later, and becomes the standby when the second is back: it alone retries soon. */
	start_ready(first);
	host_expect_log(second, "standby");
	host_stop(second);
	host_start(second);
	host_wait_ready(second);
	host_expect_log(first, "standby");
	host_stop(second);
	/* Commands that come in between wait in the session. */
	for (int i = 0; i < 20; i++)
		device_command(phone, "ping", harness_format(h, "%d", i));
	host_wait_ready(first);
	device_wait_count(phone, "pong", 20);
	assert_answered(phone, 20);
	host_stop(first);
	assert_true(account_read(first).done <= 20);
}

HARNESS_CASE(standby_takes_over_when_the_active_one_is_killed)
{
	struct host *first = host_with(h, HOST_PRODUCT, "1"), *second = host_with(h, HOST_PRODUCT, "3600");
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	start_ready(second);
	host_expect_log(first, "standby");
	/* It takes the session back after STANDBY_RETRY, alive or not: what was not acknowledged comes to it. */
	for (int i = 0; i < 200; i++)
		device_publish(phone, "ping", harness_format(h, "%d", i));
	device_wait_count(phone, "pong", 1);
	host_kill(second);
	struct answers answers = {.device = phone, .count = 200};
	harness_wait(h, all_answered, &answers, "200 pings to be answered");
	host_wait_ready(first);
	host_stop(first);
}

HARNESS_CASE(standby_stops_at_once)
{
	struct host *first = host_with(h, HOST_PRODUCT, "3600"), *second = host_with(h, HOST_PRODUCT, "3600");
	start_ready(first);
	start_ready(second);
	host_expect_log(first, "standby");
	const int64_t start_ms = harness_now_ms();
	host_stop(first);
	assert_true(harness_now_ms() - start_ms < 10000);
	assert_int_equal(account_read(first).left_to_the_broker, 0);
	host_stop(second);
}

HARNESS_MAIN(HARNESS_TEST(second_takes_over_and_the_first_waits),
	HARNESS_TEST(nothing_is_lost_while_they_take_turns), HARNESS_TEST(command_that_runs_at_a_takeover),
	HARNESS_TEST(standby_takes_over_when_the_active_one_stops),
	HARNESS_TEST(standby_takes_over_when_the_active_one_is_killed), HARNESS_TEST(standby_stops_at_once))
