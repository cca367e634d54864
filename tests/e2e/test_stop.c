/*
 * test_stop.c - SIGTERM and SIGINT: no more commands are read, what runs is finished and acknowledged, the
 * rest is left to the broker, the account adds up, and the exit code is 0.
 */
#include "account.h"
#include "harness.h"
#include "scripted_broker.h"
#include <signal.h>
#include <stdlib.h>

/* The least that can be set. */
enum { STOP_TIMEOUT_MS = 12000 };

static struct host *start(struct harness *h, struct scripted_broker *broker, struct scripted_pair *ret_links)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	scripted_use(host, broker);
	host_set(host, "STOP_TIMEOUT", "12");
	host_set(host, "HANDLERS", "ping,request_contact,test_gate,test_fail");
	host_start(host);
	*ret_links = scripted_welcome(broker, NULL);
	host_wait_ready(host);
	return host;
}

static void send_command(struct scripted_link *link, uint16_t mid, const char *topic, const char *payload)
{
	scripted_publish(link, &(struct scripted_publish){.mid = mid, .topic = topic, .payload = payload});
}

static void puback_event(struct scripted_pair links)
{
	scripted_puback(links.egress, scripted_expect(links.egress, MQTT_PUBLISH)->mid, 0);
}

static void assert_account(struct host *host, size_t done, size_t rejected, size_t dead, size_t left)
{
	const struct account account = account_read(host);
	assert_int_equal(account.done, done);
	assert_int_equal(account.rejected, rejected);
	assert_int_equal(account.dead, dead);
	assert_int_equal(account.left_to_the_broker, left);
}

/* Whether the host, which has ended, left its lease behind: nobody comes in then before that has run out. */
static size_t leases_held(struct harness *h)
{
	return database_count(
		h, harness_database(h), "hosts", "{\"_id\":\"cashewd\",\"owner\":{\"$ne\":null}}");
}

static void stop_idle(struct harness *h, int signal)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start(h, broker, &links);
	const int64_t from_ms = harness_now_ms();
	host_signal(host, signal);
	assert_int_equal(host_wait_exit(host), 0);
	assert_in_range(harness_now_ms() - from_ms, 0, 5000);
	assert_int_equal(scripted_expect(links.ingress, MQTT_DISCONNECT)->reason, 0);
	assert_int_equal(scripted_expect(links.egress, MQTT_DISCONNECT)->reason, 0);
	assert_account(host, 0, 0, 0, 0);
	assert_int_equal(leases_held(h), 0);
}

HARNESS_CASE(sigterm_when_idle)
{
	stop_idle(h, SIGTERM);
}

HARNESS_CASE(sigint_when_idle)
{
	stop_idle(h, SIGINT);
}

HARNESS_CASE(account_of_each_end)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start(h, broker, &links);
	for (uint16_t mid = 1; mid <= 5; mid++) {
		send_command(links.ingress, mid, "1/ping", "1");
		puback_event(links);
		(void)scripted_expect_puback(links.ingress, mid);
	}
	for (uint16_t mid = 1; mid <= 3; mid++) {
		send_command(links.ingress, mid, "1/request_contact", "no JSON");
		puback_event(links);
		(void)scripted_expect_puback(links.ingress, mid);
	}
	for (uint16_t mid = 1; mid <= 2; mid++) {
		send_command(links.ingress, mid, "1/test_fail", "{}");
		puback_event(links);
		(void)scripted_expect_puback(links.ingress, mid);
	}
	host_stop(host);
	assert_account(host, 5, 3, 2, 0);
}

HARNESS_CASE(what_runs_is_finished_and_nothing_more_is_read)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start(h, broker, &links);
	send_command(links.ingress, 1, "1/test_gate", "{\"gate\":\"a\"}");
	/* This one was read, and waits for its turn. */
	send_command(links.ingress, 2, "1/ping", "1");
	send_command(links.ingress, 3, "2/ping", "1");
	puback_event(links);
	gate_wait_runs(h, host, "a", 1);
	host_signal(host, SIGTERM);
	host_expect_log(host, "stopping", "signal", "SIGTERM");
	send_command(links.ingress, 4, "3/ping", "1");
	harness_watch(h, 300);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), 1);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	gate_open(h, host, "a");
	puback_event(links);
	puback_event(links);
	for (uint16_t mid = 1; mid <= 3; mid++)
		assert_int_equal(scripted_expect(links.ingress, MQTT_PUBACK)->mid, mid);
	(void)scripted_expect(links.ingress, MQTT_DISCONNECT);
	assert_int_equal(host_wait_exit(host), 0);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 3);
	assert_account(host, 3, 0, 0, 0);
}

HARNESS_CASE(what_does_not_finish_in_time_is_left_to_the_broker)
{
	gate_keeps_places(h);
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start(h, broker, &links);
	send_command(links.ingress, 1, "1/test_gate", "{\"gate\":\"a\"}");
	send_command(links.ingress, 2, "2/ping", "1");
	puback_event(links);
	gate_wait_runs(h, host, "a", 1);
	const int64_t from_ms = harness_now_ms();
	host_signal(host, SIGTERM);
	assert_int_equal(host_wait_exit(host), 0);
	assert_in_range(harness_now_ms() - from_ms, STOP_TIMEOUT_MS - 100, STOP_TIMEOUT_MS + 5000);
	/* Both: what was done behind the one that runs is held as well. And no DISCONNECT, which would stand behind
	 * their PUBACKs. */
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	assert_int_equal(scripted_count(links.ingress, MQTT_DISCONNECT), 0);
	assert_account(host, 0, 0, 0, 2);
	/* Its handler might have written still. */
	assert_int_equal(leases_held(h), 1);
}

HARNESS_CASE(second_signal_hurries)
{
	gate_keeps_places(h);
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start(h, broker, &links);
	send_command(links.ingress, 1, "1/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	host_signal(host, SIGTERM);
	host_expect_log(host, "stopping");
	const int64_t from_ms = harness_now_ms();
	host_signal(host, SIGINT);
	assert_int_equal(host_wait_exit(host), 0);
	assert_in_range(harness_now_ms() - from_ms, 0, 5000);
	host_expect_log(host, "stopping_now", "signal", "SIGINT");
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	assert_account(host, 0, 0, 0, 1);
}

HARNESS_CASE(broker_that_takes_no_events_does_not_keep_it)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links;
	struct host *host = start(h, broker, &links);
	send_command(links.ingress, 1, "1/ping", "1");
	(void)scripted_expect(links.egress, MQTT_PUBLISH);
	const int64_t from_ms = harness_now_ms();
	host_signal(host, SIGTERM);
	assert_int_equal(host_wait_exit(host), 0);
	assert_in_range(harness_now_ms() - from_ms, 0, STOP_TIMEOUT_MS + 5000);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	assert_account(host, 0, 0, 0, 1);
	/* Nothing of it runs any more: a standby need not wait. */
	assert_int_equal(leases_held(h), 0);
}

HARNESS_CASE(stop_before_the_broker_was_there)
{
	struct scripted_broker *broker = scripted_new(h);
	scripted_close_port(broker);
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, broker);
	host_start(host);
	host_expect_log(host, "broker_unreachable", "connection", "main");
	const int64_t from_ms = harness_now_ms();
	host_stop(host);
	assert_in_range(harness_now_ms() - from_ms, 0, 5000);
	assert_account(host, 0, 0, 0, 0);
}

/* ---- With mosquitto: over several stops under load every command ends once ---- */

HARNESS_CASE(stops_under_load_lose_nothing_and_do_nothing_twice)
{
	enum { COMMANDS = 3000, STOPS = 3, USERS = 10 };
	/* One that keeps nothing on disk reads the last acknowledgements in time, however long its queue is. */
	struct broker *broker = broker_new(h, &(struct broker_options){.no_persistence = true});
	broker_start(broker);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_broker(host, broker);
	host_set(host, "STOP_TIMEOUT", "60"); /* as long as it takes */
	host_start(host);
	host_wait_ready(host);
	struct device *phones[USERS];
	bool answered[USERS][COMMANDS / USERS] = {{false}};
	size_t done = 0;
	for (int user = 0; user < USERS; user++) {
		phones[user] = device_new(h, harness_format(h, "%d", user));
		phones[user]->broker = broker;
		device_connect(phones[user]);
	}
	for (int i = 0; i < COMMANDS; i++)
		device_publish(phones[i % USERS], "ping", harness_format(h, "%d", i / USERS));
	for (int stop = 0; stop < STOPS; stop++) {
		device_wait_count(phones[0], "pong", (size_t)(stop + 1) * 20);
		host_stop(host);
		const struct account account = account_read(host);
		assert_int_equal(account.left_to_the_broker, 0);
		done += account.done;
		host_start(host);
		host_wait_ready(host);
	}
	for (int user = 0; user < USERS; user++)
		device_wait_count(phones[user], "pong", COMMANDS / USERS);
	host_stop(host);
	done += account_read(host).done;
	assert_int_equal(done, COMMANDS);
	for (int user = 0; user < USERS; user++) {
		assert_int_equal(phones[user]->message_count, COMMANDS / USERS);
		for (size_t i = 0; i < phones[user]->message_count; i++) {
			const int number = atoi(phones[user]->messages[i].payload);
			if (answered[user][number])
				harness_fail(
					"user %d, ping %d was answered twice, the second time as event %zu",
					user, number, i);
			answered[user][number] = true;
		}
	}
}

HARNESS_MAIN(HARNESS_TEST(sigterm_when_idle), HARNESS_TEST(sigint_when_idle),
	HARNESS_TEST(account_of_each_end), HARNESS_TEST(what_runs_is_finished_and_nothing_more_is_read),
	HARNESS_TEST(what_does_not_finish_in_time_is_left_to_the_broker), HARNESS_TEST(second_signal_hurries),
	HARNESS_TEST(broker_that_takes_no_events_does_not_keep_it),
	HARNESS_TEST(stop_before_the_broker_was_there),
	HARNESS_TEST(stops_under_load_lose_nothing_and_do_nothing_twice))
