/*
 * test_never_blocked.c - whatever a broker does or leaves undone to one connection, the I/O thread goes on:
 * it hears SIGTERM and ends with 0, and the other connections do their work. See also test_stop.c and
 * test_connections.c.
 */
#include "account.h"
#include "harness.h"
#include "scripted_broker.h"
#include <signal.h>
#include <string.h>

/* What a stop takes at most when nothing runs that it would wait for: on a busy machine, with a farewell to
 * each connection. STOP_TIMEOUT is set to much more. */
enum { PROMPT_MS = 10000 };

static void assert_stops_promptly(struct host *host)
{
	const int64_t from_ms = harness_now_ms();
	host_stop(host);
	assert_in_range(harness_now_ms() - from_ms, 0, PROMPT_MS);
	const struct account account = account_read(host);
	assert_int_equal(account.left_to_the_broker, 0);
}

static struct host *new_host(struct harness *h)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "STOP_TIMEOUT", "60");
	return host;
}

/* ---- A stop in each state of a connection ---- */

static struct host *start_scripted(struct harness *h, struct scripted_broker *broker)
{
	struct host *host = new_host(h);
	scripted_use(host, broker);
	host_start(host);
	return host;
}

HARNESS_CASE(stop_while_nobody_listens)
{
	struct scripted_broker *broker = scripted_new(h);
	scripted_close_port(broker);
	struct host *host = start_scripted(h, broker);
	for (int i = 0; i < 3; i++)
		host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_stops_promptly(host);
}

HARNESS_CASE(stop_while_the_name_does_not_resolve)
{
	struct host *host = new_host(h);
	host_set(host, "BROKER_HOST", "no-such-host.invalid");
	host_start(host);
	host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_stops_promptly(host);
}

HARNESS_CASE(stop_while_no_connack_comes)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	(void)scripted_accept(broker);
	(void)scripted_accept(broker);
	assert_stops_promptly(host);
}

HARNESS_CASE(stop_while_the_tls_handshake_is_not_answered)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	broker_pause(broker);
	struct host *host = new_host(h);
	host_use_broker(host, broker);
	host_start(host);
	host_expect_log(host, "store_up");
	assert_stops_promptly(host);
	broker_resume(broker);
}

HARNESS_CASE(stop_while_a_certificate_is_refused)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.certificate = BROKER_EXPIRED});
	broker_start(broker);
	struct host *host = new_host(h);
	host_use_broker(host, broker);
	host_start(host);
	for (int i = 0; i < 3; i++)
		host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_stops_promptly(host);
}

HARNESS_CASE(stop_while_the_token_is_refused)
{
	struct host *host = new_host(h);
	host_set(host, "JWT_SECRET", "another secret than the broker's, long enough");
	host_start(host);
	for (int i = 0; i < 3; i++)
		host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_stops_promptly(host);
}

HARNESS_CASE(stop_while_no_suback_comes)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_link *links[2];
	for (int i = 0; i < 2; i++) {
		links[i] = scripted_accept(broker);
		scripted_connack(links[i], false, 0);
	}
	(void)scripted_expect(links[scripted_is_ingress(links[1])], MQTT_SUBSCRIBE);
	assert_stops_promptly(host);
	assert_int_equal(host_count_log(host, "ready"), 0);
}

HARNESS_CASE(stop_while_subscriptions_are_refused)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_link *links[2];
	for (int i = 0; i < 2; i++) {
		links[i] = scripted_accept(broker);
		scripted_connack(links[i], false, 0);
	}
	struct scripted_link *ingress = links[scripted_is_ingress(links[1])];
	/* All together, and then in two parts. */
	for (int i = 0; i < 3; i++)
		scripted_suback(ingress, scripted_expect(ingress, MQTT_SUBSCRIBE), 0x87);
	host_expect_log(host, "subscription_refused", "reason", "Not authorized");
	assert_stops_promptly(host);
}

/* It was ready once; now the broker takes nothing and says nothing. */
static void stop_amid_silence(struct harness *h, bool plain)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.plain = plain});
	broker_start(broker);
	struct host *host = new_host(h);
	host_use_broker(host, broker);
	host_start(host);
	host_wait_ready(host);
	broker_pause(broker);
	assert_stops_promptly(host);
	broker_resume(broker);
}

HARNESS_CASE(stop_while_the_broker_is_silent_tls)
{
	stop_amid_silence(h, false);
}

HARNESS_CASE(stop_while_the_broker_is_silent_plain)
{
	stop_amid_silence(h, true);
}

HARNESS_CASE(stop_while_the_broker_is_lost)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	struct host *host = new_host(h);
	host_use_broker(host, broker);
	host_start(host);
	host_wait_ready(host);
	broker_kill(broker);
	host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_stops_promptly(host);
}

/* What runs then has nowhere to be acknowledged to: there is nothing to wait for but the handler itself. */
HARNESS_CASE(stop_while_the_broker_is_lost_and_a_command_runs)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_use_broker(host, broker);
	host_set(host, "STOP_TIMEOUT", "60");
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	phone->broker = broker;
	phone->keep_session = true;
	device_connect(phone);
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	broker_stop(broker);
	host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_stops_promptly(host);
	/* The next start has it all to do again. */
	gate_open(h, host, "a");
	broker_start(broker);
	host_start(host);
	device_connect(phone);
	device_expect(phone, "gate_passed");
}

/* ---- Commands that a stop has left to the broker ---- */

HARNESS_CASE(what_a_hurried_stop_has_left_comes_again)
{
	gate_keeps_places(h);
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_start(host);
	host_wait_ready(host);
	struct device *slow = device_new(h, "slow"), *quick = device_new(h, "quick");
	device_connect(slow);
	device_connect(quick);
	device_command(slow, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (int i = 0; i < 10; i++)
		device_command(quick, "ping", harness_format(h, "%d", i));
	device_wait_count(quick, "pong", 10);
	host_signal(host, SIGTERM);
	host_expect_log(host, "stopping");
	host_signal(host, SIGTERM);
	assert_int_equal(host_wait_exit(host), 0);
	/* PUBACKs leave in order: of the quick ones only those before the slow one are acknowledged. */
	const struct account first = account_read(host);
	assert_int_equal(first.done + first.left_to_the_broker, 11);
	assert_true(first.left_to_the_broker >= 1);

	gate_open(h, host, "a");
	host_start(host);
	host_wait_ready(host);
	device_expect(slow, "gate_passed");
	device_wait_count(quick, "pong", 10 + first.left_to_the_broker - 1);
	host_stop(host);
	const struct account second = account_read(host);
	assert_int_equal(second.done, first.left_to_the_broker);
	assert_int_equal(second.left_to_the_broker, 0);
}

/* ---- The other connections ---- */

/* Two lanes and the egress: that of the lane "main" gets nothing. */
HARNESS_CASE(lane_works_while_another_gets_no_connack)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	scripted_use(host, broker);
	host_start(host);
	struct scripted_link *egress = NULL, *slow = NULL, *silent = NULL;
	while (!egress || !slow || !silent) {
		struct scripted_link *link = scripted_accept(broker);
		if (strcmp(link->connect->client_id, "cashewd") == 0) {
			silent = link;
			continue;
		}
		*(scripted_is_ingress(link) ? &slow : &egress) = link;
		link->grants = true;
		scripted_connack(link, false, 0);
	}
	/* Longer than the host waits for a CONNACK, and it tries again meanwhile. */
	gate_open(h, host, "a");
	for (uint16_t mid = 1; host_count_log(host, "broker_unreachable", "connection", "main") < 2; mid++) {
		scripted_publish(slow,
			&(struct scripted_publish){
				.mid = mid, .topic = "68946/test_gate_lane", .payload = "{\"gate\":\"a\"}"});
		const struct mqtt_packet *event = scripted_expect(egress, MQTT_PUBLISH);
		assert_string_equal(event->topic, "68946/gate_passed");
		scripted_puback(egress, event->mid, 0);
		scripted_expect_puback(slow, mid);
		harness_watch(h, 100);
	}
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
	assert_int_equal(host_count_log(host, "ready"), 0);
}

HARNESS_MAIN(HARNESS_TEST(stop_while_nobody_listens), HARNESS_TEST(stop_while_the_name_does_not_resolve),
	HARNESS_TEST(stop_while_no_connack_comes), HARNESS_TEST(stop_while_the_tls_handshake_is_not_answered),
	HARNESS_TEST(stop_while_a_certificate_is_refused), HARNESS_TEST(stop_while_the_token_is_refused),
	HARNESS_TEST(stop_while_no_suback_comes), HARNESS_TEST(stop_while_subscriptions_are_refused),
	HARNESS_TEST(stop_while_the_broker_is_silent_tls),
	HARNESS_TEST(stop_while_the_broker_is_silent_plain), HARNESS_TEST(stop_while_the_broker_is_lost),
	HARNESS_TEST(stop_while_the_broker_is_lost_and_a_command_runs),
	HARNESS_TEST(what_a_hurried_stop_has_left_comes_again),
	HARNESS_TEST(lane_works_while_another_gets_no_connack))
