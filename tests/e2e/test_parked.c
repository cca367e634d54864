/*
 * test_parked.c - commands whose failure lasts: parked in the database, acknowledged, and run again when they
 * are due, in the order of their user, whatever dies meanwhile.
 *
 * The handler test_flaky fails until its gate is open (tests/e2e/handlers/test_flaky.c).
 */
#include "account.h"
#include "harness.h"
#include "letter.h"
#include "order.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct host *host_with(struct harness *h, const char *client_id, const char *handlers)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "CLIENT_ID", client_id);
	host_set(host, "HANDLERS", handlers);
	return host;
}

static struct host *start_ready(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
	return host;
}

static struct device *connect_device(struct harness *h, const char *user)
{
	struct device *device = device_new(h, user);
	device_connect(device);
	return device;
}

static void flaky(struct harness *h, struct device *device, const char *gate)
{
	device_command(device, "test_flaky", harness_format(h, "{\"gate\":\"%s\"}", gate));
}

/* Until that many commands are in the database and not done. */
#define wait_parked(h, count) \
	database_wait_count(h, harness_database(h), "parked_commands", "{\"done\":null}", count)

/* The gates at which the replies came, in their order. again: the host was killed, and what it had not acknowledged yet may have come
 * twice, at once behind itself. */
static void assert_gates(const struct device *device, const char *expected, bool again)
{
	char passed[128] = "";
	for (size_t i = 0, length = 0; i < device->message_count; i++) {
		if (!strstr(device->messages[i].topic, "/flaky_passed"))
			continue;
		json_error_t error;
		json_t *reply = json_loads(device->messages[i].payload, 0, &error);
		const char gate = json_string_value(json_object_get(reply, "gate"))[0];
		json_decref(reply);
		assert_in_range(length, 0, sizeof(passed) - 2);
		if (!again || length == 0 || passed[length - 1] != gate)
			passed[length++] = gate;
	}
	assert_string_equal(passed, expected);
}

static void assert_passed(const struct device *device, const char *expected)
{
	assert_gates(device, expected, false);
}

HARNESS_CASE(is_run_again_until_it_is_done)
{
	struct host *host = start_ready(host_with(h, "cashewd", ""));
	struct device *phone = connect_device(h, "68946");
	flaky(h, phone, "a");
	const json_t *parked = host_expect_log(host, "command_parked", "topic", "68946/test_flaky", "user",
		"68946", "handler", "test_flaky", "attempts", "1", "reason", "*", "not_before", "*");
	assert_non_null(parked);
	wait_parked(h, 1);
	/* It is tried again from there, and postponed. */
	host_expect_log(host, "parked_command_run", "topic", "68946/test_flaky", "attempt", "2");
	host_expect_log(host, "command_parked", "attempts", "2");
	gate_open(h, host, "a");
	device_wait_count(phone, "flaky_passed", 1);
	wait_parked(h, 0);
	/* Nothing is left of what is done. */
	database_wait_count(h, harness_database(h), "parked_commands", "{}", 0);
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.parked, 1);
	assert_int_equal(account.done, 1);
	assert_int_equal(account.left_to_the_broker, 0);
	assert_passed(phone, "a");
	assert_int_equal(letter_count(h, harness_database(h)), 0);
	/* It was acknowledged: the broker has nothing for the next one, and neither has the database. */
	start_ready(host);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	host_stop(host);
	assert_int_equal(account_read(host).done, 1);
	assert_passed(phone, "a");
}

/* {"gate":"d"}, as the database keeps it. */
#define PAYLOAD_OF_D "{\"$binary\":{\"base64\":\"eyJnYXRlIjoiZCJ9\",\"subType\":\"00\"}}"

/* What comes later from the same user goes behind it, what comes from others does not; also in the next life
 * of the host, which knows it before it connects. */
HARNESS_CASE(later_ones_stay_behind_it_when_the_host_is_killed)
{
	struct host *host = start_ready(host_with(h, "cashewd", ""));
	struct device *phone = connect_device(h, "68946"), *other = connect_device(h, "other");
	gate_open(h, host, "b");
	gate_open(h, host, "c");
	gate_open(h, host, "d");
	flaky(h, phone, "a");
	flaky(h, phone, "b");
	wait_parked(h, 2);
	flaky(h, phone, "c");
	flaky(h, other, "b");
	device_wait_count(other, "flaky_passed", 1);
	wait_parked(h, 3);
	host_kill(host);
	flaky(h, phone, "d");
	device_command(other, "ping", "1");
	start_ready(host);
	device_expect(other, "pong");
	/* Of those before it one may be there twice by now: its PUBACK died with the host. */
	database_wait_count(h, harness_database(h), "parked_commands", "{\"payload\":" PAYLOAD_OF_D "}", 1);
	assert_passed(phone, "");
	gate_open(h, host, "a");
	device_wait_count(phone, "flaky_passed", 4);
	wait_parked(h, 0);
	/* From here on nothing stands before them. */
	gate_open(h, host, "e");
	flaky(h, phone, "e");
	while (!strstr(device_expect(phone, "flaky_passed")->payload, "\"e\""))
		;
	assert_gates(phone, "abcde", true);
	host_stop(host);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

HARNESS_CASE(attempts_used_up_end_in_a_dead_letter)
{
	struct host *host = host_with(h, "cashewd", "");
	host_set(host, "MAX_ATTEMPTS", "3");
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	gate_open(h, host, "b");
	flaky(h, phone, "a");
	flaky(h, phone, "b");
	letter_expect(h, harness_database(h), .topic = "68946/test_flaky", .handler = "test_flaky",
		.reason = "asked to be run again", .payload = "{\"gate\":\"a\"}", .attempts = 3);
	/* Then it is the next one's turn. */
	device_wait_count(phone, "flaky_passed", 1);
	wait_parked(h, 0);
	assert_passed(phone, "b");
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.dead, 1);
	assert_int_equal(account.parked, 2);
	assert_int_equal(account.done, 1);
}

HARNESS_CASE(no_handler_wants_it_any_more)
{
	struct host *host = start_ready(host_with(h, "cashewd", ""));
	struct device *phone = connect_device(h, "68946");
	flaky(h, phone, "a");
	wait_parked(h, 1);
	host_stop(host);
	host_set(host, "HANDLERS", "ping");
	start_ready(host);
	letter_expect(h, harness_database(h), .topic = "68946/test_flaky", .handler = "test_flaky",
		.reason = "no handler wants the topic any more", .attempts = 1);
	wait_parked(h, 0);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
}

/* Stopped while one runs: that one is finished, the others stay where they are. */
HARNESS_CASE(stop_while_one_runs)
{
	struct host *host = start_ready(host_with(h, "cashewd", ""));
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_flaky", "{\"gate\":\"a\",\"hold\":\"held\"}");
	flaky(h, phone, "b");
	wait_parked(h, 2);
	gate_open(h, host, "a");
	gate_open(h, host, "b");
	gate_wait_runs(h, host, "held", 1);
	host_signal(host, SIGTERM);
	host_expect_log(host, "stopping");
	gate_open(h, host, "held");
	assert_int_equal(host_wait_exit(host), 0);
	assert_passed(phone, "a");
	wait_parked(h, 1);
	start_ready(host);
	device_wait_count(phone, "flaky_passed", 2);
	assert_passed(phone, "ab");
	wait_parked(h, 0);
}

/* The gates at which the replies came are in order, first and last ones; a and b were run, some perhaps more than once. */
static void assert_passed_in_order(const struct device *device)
{
	unsigned passed[64];
	char reason[ORDER_REASON_SIZE];
	size_t count = 0;
	for (size_t i = 0; i < device->message_count && count < 64; i++) {
		json_t *reply = json_loads(device->messages[i].payload, 0, NULL);
		const char *gate = json_string_value(json_object_get(reply, "gate"));
		if (gate)
			passed[count++] = (unsigned)(gate[0] - 'a' + 1);
		json_decref(reply);
	}
	if (!order_holds(passed, count, 2, 0, reason))
		harness_fail("%s", reason);
}

/* What is done while the database is away is done: its deletion is repeated until it is answered, and nothing runs twice. */
HARNESS_CASE(database_away_while_one_runs)
{
	struct database *database = harness_own_database(h);
	struct host *host = host_with(h, "cashewd", "");
	host_use_database(host, database);
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_flaky", "{\"gate\":\"a\",\"hold\":\"held\"}");
	flaky(h, phone, "b");
	database_wait_count(h, database, "parked_commands", "{\"done\":null}", 2);
	gate_open(h, host, "a");
	gate_open(h, host, "b");
	gate_wait_runs(h, host, "held", 1);
	database_kill(database);
	gate_open(h, host, "held");
	host_expect_log(host, "store_away");
	database_start(database);
	database_wait_count(h, database, "parked_commands", "{\"done\":null}", 0);
	device_wait_count(phone, "flaky_passed", 2);
	assert_passed_in_order(phone);
}

static void flaky_of(struct harness *h, struct device *device, const char *user, char gate)
{
	const char *payload = harness_format(h, "{\"gate\":\"%c\"}", gate);
	device_publish_with(device, NULL,
		&(struct device_publish_options){.topic = harness_format(h, "%s/test_flaky", user),
			.payload = payload,
			.payload_size = strlen(payload),
			.qos = 1});
}

enum { USERS = 50, EACH = 3, GREEDY = 100, CROWD = USERS * EACH + GREEDY };

static bool all_passed(void *context)
{
	const struct device *device = context;
	return device->message_count >= CROWD;
}

/* What all of them depend on was away: when it is back, each user's are done in order and once, and
 * what arrives meanwhile is answered. */
HARNESS_CASE(crowd_is_worked_off)
{
	struct host *host = start_ready(host_with(h, "cashewd", ""));
	struct device *all = device_new_handler(h, "all"), *phone = connect_device(h, "68946");
	device_connect(all);
	for (int i = 0; i < GREEDY; i++)
		flaky_of(h, all, "greedy", 'a');
	for (int i = 0; i < USERS * EACH; i++)
		flaky_of(h, all, harness_format(h, "u%d", i % USERS), (char)('a' + i / USERS));
	device_wait_all_pubacks(all);
	wait_parked(h, CROWD);
	assert_int_equal(device_subscribe(all, "+/flaky_passed", 1), 1);
	gate_open(h, host, "b");
	gate_open(h, host, "c");
	const int64_t start_ms = harness_now_ms();
	gate_open(h, host, "a");
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	const int64_t pong_ms = harness_now_ms() - start_ms;
	harness_wait(h, all_passed, all, "%d commands to pass", CROWD);
	print_message("a ping took %d ms beside %d commands of %d users, which took %d ms\n", (int)pong_ms,
		CROWD, USERS + 1, (int)(harness_now_ms() - start_ms));
	char next[USERS];
	memset(next, 'a', sizeof(next));
	for (size_t i = 0; i < all->message_count; i++) {
		int user;
		char gate;
		if (sscanf(all->messages[i].topic, "u%d/", &user) != 1)
			continue;
		json_t *reply = json_loads(all->messages[i].payload, 0, NULL);
		gate = json_string_value(json_object_get(reply, "gate"))[0];
		json_decref(reply);
		assert_int_equal(gate, next[user]++);
	}
	wait_parked(h, 0);
	host_stop(host);
	assert_int_equal(account_read(host).done, CROWD + 1);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* Killed with all that belongs to it while one runs: the claim is a dead one's, and ends with its lease. */
HARNESS_CASE(killed_while_one_runs)
{
	struct host *host = host_with(h, "cashewd", "test_flaky,ping");
	host_set(host, "HANDLER_TIMEOUT", "1");
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_flaky", "{\"gate\":\"a\",\"hold\":\"held\"}");
	flaky(h, phone, "b");
	wait_parked(h, 2);
	gate_open(h, host, "a");
	gate_open(h, host, "b");
	gate_wait_runs(h, host, "held", 1);
	const int64_t killed_ms = harness_now_ms();
	host_kill(host);
	gate_open(h, host, "held");
	start_ready(host);
	device_wait_count(phone, "flaky_passed", 2);
	/* It is another supervisor's: the lease of 20 s is renewed at half, so at least about that was left of it. */
	assert_true(harness_now_ms() - killed_ms >= 8000);
	wait_parked(h, 0);
	assert_passed(phone, "ab");
}

/* The owner of a lane is dead, and no other has that lane: any host that has the handler runs it a minute
 * after it was due, one of them at a time. */
HARNESS_CASE(a_dead_host_is_survived_by_others)
{
	struct host *owner = start_ready(host_with(h, "owner", "test_flaky"));
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_flaky", "{\"gate\":\"a\",\"hold\":\"held\"}");
	flaky(h, phone, "b");
	wait_parked(h, 2);
	host_kill(owner);
	struct host *others[2], *without = start_ready(host_with(h, "without", "ping"));
	for (size_t i = 0; i < 2; i++) {
		others[i] = host_with(h, i == 0 ? "one" : "two", "test_flaky");
		host_set(others[i], "FLAKY_FOLDER", host_folder(owner));
		host_set(others[i], "HANDLER_TIMEOUT", "18");
		start_ready(others[i]);
	}
	const size_t runs = gate_runs(h, owner, "a");
	gate_open(h, owner, "a");
	gate_open(h, owner, "b");
	/* Not yet: its own host may come back. */
	harness_watch(h, 2500);
	assert_int_equal(gate_runs(h, owner, "a"), runs);
	database_command(h, harness_database(h),
		"{\"update\": \"parked_commands\", \"updates\": [{\"q\": {}, \"u\": {\"$set\": "
		"{\"not_before\": "
		"{\"$date\": \"2020-01-01T00:00:00Z\"}, \"lease_until\": {\"$date\": "
		"\"2020-01-01T00:00:00Z\"}}}, "
		"\"multi\": true}]}");
	gate_wait_runs(h, owner, "held", 1);
	/* All of them ask for what is overdue meanwhile: every ten seconds. */
	harness_watch(h, 11000);
	assert_int_equal(gate_runs(h, owner, "held"), 1);
	assert_int_equal(gate_runs(h, owner, "b"), 0);
	gate_open(h, owner, "held");
	device_wait_count(phone, "flaky_passed", 2);
	wait_parked(h, 0);
	assert_passed(phone, "ab");
	assert_int_equal(host_count_log(without, "dead_letter"), 0);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

HARNESS_MAIN(HARNESS_TEST(is_run_again_until_it_is_done),
	HARNESS_TEST(later_ones_stay_behind_it_when_the_host_is_killed),
	HARNESS_TEST(attempts_used_up_end_in_a_dead_letter), HARNESS_TEST(no_handler_wants_it_any_more),
	HARNESS_TEST(stop_while_one_runs), HARNESS_TEST(database_away_while_one_runs),
	HARNESS_TEST(crowd_is_worked_off), HARNESS_TEST(killed_while_one_runs),
	HARNESS_TEST(a_dead_host_is_survived_by_others))
