/*
 * test_two_hosts.c - two hosts with the same client id: one is active, the other stands by.
 *
 * Who is active stands in the collection `hosts`, as a lease in the name of a supervisor. A standby connects no lane, so that the session is never
 * taken from anybody, and asks for the lease twice a second; it has it at once when the active one stops, and at the lease's end when that one dies:
 * soon, as the active one holds it for a short time only once somebody stands by.
 */
#include "account.h"
#include "harness.h"
#include "scrape.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LEASE_MS = 10000,
	AWAITED_LEASE_MS = 4000, /* while another stands by */
	RENEWED_MS = 1000,	 /* ago, at most */
	AT_ONCE_MS =
		LEASE_MS /
		2, /* two questions a second, and a connection: far less than waiting for the lease's end */
	LATE_MS = 3000, /* beyond the lease's end, until it is ready; the machine may be busy */
};

static void start_ready(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
}

static void start_standby(struct host *host)
{
	host_start(host);
	host_expect_log(host, "standby", "client_id", "cashewd");
}

static struct device *connect_device(struct harness *h, const char *user)
{
	struct device *device = device_new(h, user);
	device_connect(device);
	return device;
}

/* Nobody ever lost the session to the other: two hosts never duel. */
static void assert_no_duel(struct host *a, struct host *b)
{
	assert_int_equal(host_count_log(a, "session_taken_over"), 0);
	assert_int_equal(host_count_log(b, "session_taken_over"), 0);
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

HARNESS_CASE(second_stands_by)
{
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	host_set(second, "METRICS_ADDR", "127.0.0.1:0");
	start_standby(second);
	struct scrape *scrape = scrape_new(h, second);
	scrape_wait_page(scrape, "/readyz", 503,
		"broker: lane main: another host has the session: waiting as its standby\n");
	for (int i = 0; i < 50; i++)
		device_command(phone, "ping", harness_format(h, "%d", i));
	device_wait_count(phone, "pong", 50);
	assert_answered(phone, 50);
	/* It has not even asked the broker, and does not take the lease away with it when it stops. */
	host_stop(second);
	assert_int_equal(host_count_log(second, "broker_connected", "connection", "main"), 0);
	assert_int_equal(host_count_log(second, "standby"), 1);
	database_wait_count(
		h, harness_database(h), "hosts", "{\"_id\":\"cashewd\",\"owner\":{\"$ne\":null}}", 1);
	device_command(phone, "ping", "50");
	device_wait_count(phone, "pong", 51);
	host_stop(first);
	assert_no_duel(first, second);
	assert_int_equal(host_count_log(first, "not_ready"), 0);
	assert_int_equal(account_read(first).done, 51);
	const struct account standby = account_read(second);
	assert_int_equal(standby.done, 0);
	assert_int_equal(standby.left_to_the_broker, 0);
	/* Nobody holds it any more. */
	database_wait_count(h, harness_database(h), "hosts", "{\"_id\":\"cashewd\",\"owner\":null}", 1);
}

/* Each in turn stops while commands come, and comes back as the other's standby. */
HARNESS_CASE(nothing_is_lost_while_they_take_turns)
{
	enum { TURNS = 4, AT_ONCE = 8 };
	struct host *active = host_new(h, HOST_PRODUCT), *standby = host_new(h, HOST_PRODUCT);
	struct answers answers = {.device = NULL};
	start_ready(active);
	struct device *phone = connect_device(h, "68946");
	answers.device = phone;
	start_standby(standby);
	for (int turn = 0; turn < TURNS; turn++) {
		for (int i = 0; i < AT_ONCE; i++)
			device_publish(phone, "ping", harness_format(h, "%zu", answers.count++));
		host_stop(active);
		const int64_t from_ms = harness_now_ms();
		host_wait_ready(standby);
		assert_in_range(harness_now_ms() - from_ms, 0, AT_ONCE_MS);
		for (int i = 0; i < AT_ONCE; i++)
			device_publish(phone, "ping", harness_format(h, "%zu", answers.count++));
		harness_wait(h, all_answered, &answers, "%zu pings to be answered", answers.count);
		start_standby(active);
		struct host *other = active;
		active = standby;
		standby = other;
	}
	assert_answered(phone, answers.count);
	host_stop(standby);
	host_stop(active);
	assert_no_duel(active, standby);
	const struct account one = account_read(active), two = account_read(standby);
	assert_int_equal(one.dead + two.dead + one.rejected + two.rejected, 0);
}

/* With its supervisor: only the end of the lease tells. What was not acknowledged comes to the other. */
HARNESS_CASE(standby_is_active_after_the_lease_of_the_one_that_was_killed)
{
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	start_standby(second);
	struct answers answers = {.device = phone, .count = 200};
	for (int i = 0; i < 200; i++)
		device_publish(phone, "ping", harness_format(h, "%d", i));
	device_wait_count(phone, "pong", 1);
	host_kill(first);
	const int64_t from_ms = harness_now_ms();
	host_wait_ready(second);
	assert_in_range(harness_now_ms() - from_ms, 0, LEASE_MS + LATE_MS);
	harness_wait(h, all_answered, &answers, "200 pings to be answered");
	assert_answered(phone, 200);
	/* Killed, it comes back as everybody else does. */
	start_standby(first);
	host_stop(second);
	host_wait_ready(first);
	host_stop(first);
	assert_no_duel(first, second);
}

/* {"$date": "2026-11-29T10:05:30.123Z"} in milliseconds since 1970; milliseconds that are 0 are left out. */
static int64_t date_ms(const json_t *document, const char *field)
{
	struct tm time = {0};
	const char *text = json_string_value(json_object_get(json_object_get(document, field), "$date"));
	assert_non_null(text);
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &time);
	assert_non_null(rest);
	return (int64_t)timegm(&time) * 1000 + (*rest == '.' ? strtol(rest + 1, NULL, 10) : 0);
}

/* For how long the active one holds it. */
static int64_t lease_ms(struct harness *h)
{
	json_t *hosts = database_find(h, harness_database(h), "hosts", "{\"_id\":\"cashewd\"}");
	const json_t *host = json_array_get(hosts, 0);
	const int64_t length_ms = date_ms(host, "lease_until") - date_ms(host, "seen");
	json_decref(hosts);
	return length_ms;
}

static bool lease_is_short(void *context)
{
	return lease_ms(context) == AWAITED_LEASE_MS;
}

static bool lease_is_long(void *context)
{
	return lease_ms(context) == LEASE_MS;
}

/* It is active sooner than a lease that nobody waits for would end. */
HARNESS_CASE(standby_that_is_known_need_not_wait_for_long)
{
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	start_ready(first);
	assert_true(lease_is_long(h));
	start_standby(second);
	harness_wait(h, lease_is_short, h, "the active host to hold a short lease");
	host_kill(first);
	const int64_t from_ms = harness_now_ms();
	host_wait_ready(second);
	assert_in_range(harness_now_ms() - from_ms, 0, LEASE_MS - RENEWED_MS);
	/* Alone, it needs no short one. */
	harness_wait(h, lease_is_long, h, "the lease to be a long one again");
	host_stop(second);
}

/* The command that runs when its host is killed runs on the other as well: it was not acknowledged. */
HARNESS_CASE(command_that_runs_when_its_host_is_killed)
{
	struct host *first = host_new(h, HOST_WITH_TEST_HANDLERS),
		    *second = host_new(h, HOST_WITH_TEST_HANDLERS);
	start_ready(first);
	start_standby(second);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	device_command(phone, "ping", "1");
	gate_wait_runs(h, first, "a", 1);
	host_kill(first);
	gate_wait_runs(h, second, "a", 1);
	assert_int_equal(device_count(phone, "pong"), 0);
	gate_open(h, second, "a");
	device_expect(phone, "gate_passed");
	device_expect(phone, "pong");
	host_stop(second);
	assert_int_equal(device_count(phone, "gate_passed"), 1);
	assert_int_equal(device_count(phone, "pong"), 1);
	assert_int_equal(account_read(second).left_to_the_broker, 0);
}

/* The lease is the supervisor's: its own next host does not wait, and nobody else comes in between. */
HARNESS_CASE(next_host_of_the_same_supervisor_goes_on)
{
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	host_may_die(first);
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	start_standby(second);
	device_command(phone, "ping", "0");
	device_wait_count(phone, "pong", 1);
	const int64_t from_ms = harness_now_ms();
	host_signal_child(first, SIGKILL);
	host_wait_log_count(first, 2, "ready");
	assert_in_range(harness_now_ms() - from_ms, 0, AT_ONCE_MS);
	device_command(phone, "ping", "1");
	device_wait_count(phone, "pong", 2);
	assert_int_equal(host_count_log(second, "active"), 0);
	host_stop(second);
	host_stop(first);
	assert_no_duel(first, second);
}

/* At SIGHUP the lease stays in the supervisor's name. Here the next host looks at another database, so that what the first one has left can be
 * seen. */
HARNESS_CASE(host_that_is_replaced_keeps_the_lease)
{
	static const char held[] = "{\"_id\":\"cashewd\",\"owner\":{\"$ne\":null}}";
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	start_ready(first);
	start_standby(second);
	host_set(first, "MONGO_DB_NAME", harness_format(h, "%s_other", harness_database_name(h)));
	host_write_env(first);
	const int64_t from_ms = harness_now_ms();
	host_signal(first, SIGHUP);
	host_wait_log_count(first, 2, "host_started");
	assert_int_equal(database_count(h, harness_database(h), "hosts", held), 1);
	assert_int_equal(host_count_log(second, "active"), 0);
	/* It is nobody's who would renew it. */
	host_expect_log(second, "active", "client_id", "cashewd");
	assert_true(harness_now_ms() - from_ms > RENEWED_MS);
	host_stop(second);
	host_stop(first);
}

/* It was stopped in the middle of something for longer than its lease: when it goes on it is not active any more, and knows so before it does
 * anything else. */
HARNESS_CASE(who_slept_too_long_stands_by)
{
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	start_ready(first);
	struct device *phone = connect_device(h, "68946");
	start_standby(second);
	device_command(phone, "ping", "0");
	device_wait_count(phone, "pong", 1);
	host_pause(first);
	host_wait_ready(second);
	device_command(phone, "ping", "1");
	host_resume(first);
	host_expect_log(first, "standby", "client_id", "cashewd");
	for (int i = 2; i < 50; i++)
		device_command(phone, "ping", harness_format(h, "%d", i));
	struct answers answers = {.device = phone, .count = 50};
	harness_wait(h, all_answered, &answers, "50 pings to be answered");
	assert_answered(phone, 50);
	/* The active one keeps the session. */
	assert_int_equal(host_count_log(second, "session_taken_over"), 0);
	assert_int_equal(host_count_log(second, "not_ready"), 0);
	host_stop(second);
	host_wait_log_count(first, 2, "ready");
	host_stop(first);
	/* The first one may have fallen asleep before the PUBACK of what it had answered left. */
	assert_in_range(account_read(second).done, 49, 50);
}

HARNESS_CASE(standby_stops_at_once)
{
	struct host *first = host_new(h, HOST_PRODUCT), *second = host_new(h, HOST_PRODUCT);
	start_ready(first);
	start_standby(second);
	const int64_t start_ms = harness_now_ms();
	host_stop(second);
	assert_true(harness_now_ms() - start_ms < AT_ONCE_MS);
	assert_int_equal(account_read(second).left_to_the_broker, 0);
	host_stop(first);
}

HARNESS_MAIN(HARNESS_TEST(second_stands_by), HARNESS_TEST(nothing_is_lost_while_they_take_turns),
	HARNESS_TEST(standby_is_active_after_the_lease_of_the_one_that_was_killed),
	HARNESS_TEST(standby_that_is_known_need_not_wait_for_long),
	HARNESS_TEST(command_that_runs_when_its_host_is_killed),
	HARNESS_TEST(next_host_of_the_same_supervisor_goes_on),
	HARNESS_TEST(host_that_is_replaced_keeps_the_lease), HARNESS_TEST(who_slept_too_long_stands_by),
	HARNESS_TEST(standby_stops_at_once))
