/*
 * test_groups.c - acknowledgements: a command's PUBACK leaves when its work is done and never before, over
 * and across connections, and without stopping the stream. All but one case against a scripted broker, which
 * sees every packet.
 *
 * A test that a PUBACK does not come watches for a moment (QUIET_MS): long for the host, which would send it
 * within milliseconds, and nothing waits for that moment to pass but the test itself.
 */
#include "account.h"
#include "harness.h"
#include "scripted_broker.h"
#include <string.h>

enum { QUIET_MS = 300 };

static struct host *new_host(struct harness *h, const struct scripted_broker *broker)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	scripted_use(host, broker);
	host_set(host, "HANDLERS", "ping,get_apples,get_more_apples,get_more_apples_stored,test_gate");
	return host;
}

static struct scripted_pair start(struct host *host, struct scripted_broker *broker)
{
	host_start(host);
	const struct scripted_pair links = scripted_welcome(broker, NULL);
	host_wait_ready(host);
	return links;
}

static void send_command(struct scripted_link *link, uint16_t mid, const char *topic, const char *payload)
{
	scripted_publish(link, &(struct scripted_publish){.mid = mid, .topic = topic, .payload = payload});
}

static void send_again(struct scripted_link *link, uint16_t mid, const char *topic, const char *payload)
{
	scripted_publish(link, &(struct scripted_publish){
				       .mid = mid, .topic = topic, .payload = payload, .duplicate = true});
}

static void puback_event(struct scripted_pair links, const char *topic)
{
	const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_string_equal(event->topic, topic);
	assert_int_equal(event->qos, 1);
	scripted_puback(links.egress, event->mid, 0);
}

static void puback_events(struct scripted_pair links, size_t count)
{
	for (size_t i = 0; i < count; i++)
		scripted_puback(links.egress, scripted_expect(links.egress, MQTT_PUBLISH)->mid, 0);
}

static void assert_no_puback(struct harness *h, struct scripted_link *link)
{
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(link, MQTT_PUBACK), 0);
}

/* ---- Not before ---- */

HARNESS_CASE(puback_follows_that_of_the_event)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	send_command(links.ingress, 7, "1/get_apples", "{}");
	const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_no_puback(h, links.ingress);
	scripted_puback(links.egress, event->mid, 0);
	(void)scripted_expect_puback(links.ingress, 7);
}

HARNESS_CASE(puback_follows_those_of_both_handlers_events)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	send_command(links.ingress, 7, "1/get_more_apples", "{}");
	puback_event(links, "1/got_apples");
	const struct mqtt_packet *second = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_no_puback(h, links.ingress);
	scripted_puback(links.egress, second->mid, 0);
	(void)scripted_expect_puback(links.ingress, 7);
}

HARNESS_CASE(pubacks_of_a_group_leave_together_and_in_order)
{
	enum { COMMANDS = 40 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	/* The first of them runs until it is let go; all others are done. */
	send_command(links.ingress, 1, "slow/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, "1/ping", "1");
	puback_events(links, COMMANDS - 1);
	assert_no_puback(h, links.ingress);
	gate_open(h, host, "a");
	puback_event(links, "slow/gate_passed");
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		assert_int_equal(scripted_expect(links.ingress, MQTT_PUBACK)->mid, mid);
}

HARNESS_CASE(nothing_held_is_acknowledged_when_the_connection_goes)
{
	enum { COMMANDS = 500 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 1, "slow/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, "1/ping", "1");
	puback_events(links, COMMANDS - 1);
	scripted_close(links.ingress);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);

	/* All come again, and join what was done already: no event is sent twice. */
	struct scripted_link *again =
		scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	send_again(again, 1, "slow/test_gate", "{\"gate\":\"a\"}");
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_again(again, mid, "1/ping", "1");
	assert_no_puback(h, again);
	gate_open(h, host, "a");
	puback_event(links, "slow/gate_passed");
	scripted_wait_count(again, MQTT_PUBACK, COMMANDS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), COMMANDS);
	assert_int_equal(gate_runs(h, host, "a"), 1);
	host_stop(host);
	assert_int_equal(account_read(host).joined, COMMANDS);
}

/* ---- Redelivery ---- */

HARNESS_CASE(copy_on_a_live_connection_joins)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 5, "1/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	send_again(links.ingress, 5, "1/test_gate", "{\"gate\":\"a\"}");
	/* DUP proves nothing, one way or the other. */
	send_command(links.ingress, 5, "1/test_gate", "{\"gate\":\"a\"}");
	send_command(links.ingress, 6, "2/ping", "1");
	puback_event(links, "2/pong");
	gate_open(h, host, "a");
	puback_event(links, "1/gate_passed");
	(void)scripted_expect_puback(links.ingress, 5);
	(void)scripted_expect_puback(links.ingress, 6);
	harness_watch(h, QUIET_MS);
	assert_int_equal(gate_runs(h, host, "a"), 1);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), 2);
	host_stop(host);
	assert_int_equal(account_read(host).joined, 2);
}

HARNESS_CASE(first_copy_may_come_with_dup_set)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	send_again(links.ingress, 5, "1/ping", "1");
	puback_event(links, "1/pong");
	(void)scripted_expect_puback(links.ingress, 5);
}

HARNESS_CASE(same_identifier_with_another_payload_is_another_command)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	for (int i = 0; i < 3; i++) {
		send_again(links.ingress, 5, "1/ping", harness_format(h, "%d", i / 2));
		const struct mqtt_packet *pong = scripted_expect(links.egress, MQTT_PUBLISH);
		assert_int_equal(pong->payload[0], '0' + i / 2);
		scripted_puback(links.egress, pong->mid, 0);
		/* Acknowledged, it is forgotten: the same again is a new command, too. */
		(void)scripted_expect_puback(links.ingress, 5);
	}
}

HARNESS_CASE(late_result_acknowledges_nothing_on_the_next_connection)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 9, "1/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	scripted_reset(links.ingress);
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	host_wait_ready(host);
	gate_open(h, host, "a");
	puback_event(links, "1/gate_passed");
	assert_no_puback(h, links.ingress);

	/* On this connection the identifier may mean another command, which takes it over. */
	send_command(links.ingress, 9, "2/ping", "1");
	const struct mqtt_packet *pong = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_string_equal(pong->topic, "2/pong");
	assert_no_puback(h, links.ingress);
	scripted_puback(links.egress, pong->mid, 0);
	(void)scripted_expect_puback(links.ingress, 9);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 1);
}

HARNESS_CASE(result_is_kept_for_the_copy_that_comes_again)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 9, "1/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	scripted_close(links.ingress);
	gate_open(h, host, "a");
	puback_event(links, "1/gate_passed");
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	send_again(links.ingress, 9, "1/test_gate", "{\"gate\":\"a\"}");
	(void)scripted_expect_puback(links.ingress, 9);
	assert_int_equal(gate_runs(h, host, "a"), 1);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), 1);
}

HARNESS_CASE(result_is_not_kept_when_the_session_is_gone)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 9, "1/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	scripted_close(links.ingress);
	gate_open(h, host, "a");
	puback_event(links, "1/gate_passed");
	/* Packet identifiers begin anew with a new session: this is another command. */
	links.ingress = scripted_welcome_one(broker, NULL);
	send_command(links.ingress, 9, "1/test_gate", "{\"gate\":\"a\"}");
	puback_event(links, "1/gate_passed");
	(void)scripted_expect_puback(links.ingress, 9);
	assert_int_equal(gate_runs(h, host, "a"), 2);
}

HARNESS_CASE(event_comes_again_when_egress_is_lost_before_its_puback)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 7, "1/ping", "17");
	(void)scripted_expect(links.egress, MQTT_PUBLISH);
	scripted_reset(links.egress);
	links.egress = scripted_welcome_one(broker, NULL);
	assert_false(scripted_is_ingress(links.egress));
	const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_memory_equal(event->payload, "17", 2);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	scripted_puback(links.egress, event->mid, 0);
	(void)scripted_expect_puback(links.ingress, 7);
}

/* ---- Limits ---- */

HARNESS_CASE(age_limit_drops_the_connection_and_runs_nothing_twice)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	/* The limit is keepalive/2 - 2 s. */
	host_set(host, "KEEPALIVE", "10");
	host_set(host, "HANDLER_TIMEOUT", "2");
	struct scripted_pair links = start(host, broker);
	/* No handler may run that long, but a broker may keep an event's PUBACK back. */
	send_command(links.ingress, 3, "1/ping", "1");
	const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
	const uint16_t kept_back = event->mid;
	assert_string_equal(event->topic, "1/pong");
	send_command(links.ingress, 4, "2/ping", "1");
	puback_event(links, "2/pong");
	const int64_t from_ms = harness_now_ms();
	scripted_expect_close(links.ingress);
	assert_in_range(harness_now_ms() - from_ms, 1, 4500);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	/* No DISCONNECT: that would be the end of what the session holds for some brokers, and stands behind
	 * the held PUBACKs. */
	assert_int_equal(scripted_count(links.ingress, MQTT_DISCONNECT), 0);
	host_expect_log(host, "lane_dropped", "lane", "main");

	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	send_again(links.ingress, 3, "1/ping", "1");
	send_again(links.ingress, 4, "2/ping", "1");
	assert_no_puback(h, links.ingress);
	scripted_puback(links.egress, kept_back, 0);
	(void)scripted_expect_puback(links.ingress, 3);
	(void)scripted_expect_puback(links.ingress, 4);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), 2);
}

HARNESS_CASE(pubacks_flow_under_a_steady_stream)
{
	enum { COMMANDS = 6000, GROUP = 500 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_set(host, "GROUP_MAX", harness_format(h, "%d", GROUP));
	struct scripted_pair links = start(host, broker);
	/* All of them are there at once, as from a broker that always has the next one ready. */
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid % 50), "1");
	for (size_t events = 1; events <= COMMANDS; events++) {
		puback_events(links, 1);
		/* No group is larger than that, but for what one turn of the loop reads. */
		if (events % GROUP == 0)
			assert_in_range(events - scripted_count(links.ingress, MQTT_PUBACK), 0, 2 * GROUP);
	}
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		assert_int_equal(
			links.ingress->packets[links.ingress->packet_count - COMMANDS + mid - 1]->packet.mid,
			mid);
}

HARNESS_CASE(window_bounds_what_is_read_behind_a_slow_command)
{
	enum { GROUP = 50, WINDOW = 2 * GROUP, COMMANDS = 1000 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_set(host, "GROUP_MAX", harness_format(h, "%d", GROUP));
	host_set(host, "WINDOW", harness_format(h, "%d", WINDOW));
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 1, "slow/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid), "1");
	/* It lingers, and is joined by more: the others are served, as far as the window goes. */
	puback_events(links, WINDOW - 1);
	harness_watch(h, QUIET_MS);
	assert_in_range(scripted_count(links.egress, MQTT_PUBLISH), WINDOW - 1, WINDOW + 32);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	gate_open(h, host, "a");
	puback_events(links, COMMANDS - (WINDOW - 1));
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
}

HARNESS_CASE(events_keep_to_the_brokers_receive_maximum)
{
	enum { MAXIMUM = 5, COMMANDS = 60 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_start(host);
	struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.receive_maximum = MAXIMUM});
	host_wait_ready(host);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid), "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, MAXIMUM);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), MAXIMUM);
	for (size_t i = 1; i <= COMMANDS; i++) {
		puback_events(links, 1);
		assert_in_range(scripted_count(links.egress, MQTT_PUBLISH), i, i + MAXIMUM);
	}
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
}

HARNESS_CASE(a_far_broker_gets_as_many_events_as_its_window_takes)
{
	enum { NEAR = 384, WINDOW = 450, COMMANDS = 500 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_start(host);
	const struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.receive_maximum = WINDOW});
	host_wait_ready(host);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, "1/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, NEAR);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), NEAR);
	/* Its first PUBACK took long: the others are not waited for. */
	puback_events(links, 1);
	scripted_wait_count(links.egress, MQTT_PUBLISH, WINDOW + 1);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), WINDOW + 1);
	puback_events(links, COMMANDS - 1);
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
}

/* As many PUBACKs at once as the small buffers cannot take while the broker does not read. */
enum { STUCK = 20000 };

/* All the commands are done, and their PUBACKs are on their way, but stuck. */
static struct scripted_pair start_stuck(struct harness *h, struct host *host, struct scripted_broker *broker)
{
	scripted_small_buffers(broker);
	host_set(host, "WINDOW", "30000");
	struct scripted_pair links = start(host, broker);
	send_command(links.ingress, 1, "slow/test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (uint16_t mid = 2; mid <= STUCK; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid % 50), "1");
	puback_events(links, STUCK - 1);
	links.ingress->silent = true;
	gate_open(h, host, "a");
	puback_event(links, "slow/gate_passed");
	harness_watch(h, QUIET_MS);
	return links;
}

HARNESS_CASE(nothing_is_read_while_acknowledgements_wait_to_be_written)
{
	enum { COMMANDS = STUCK };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start_stuck(h, host, broker);

	/* They are on their way, and stuck. Were this one read now, its PUBACK would leave with theirs,
	 * before it has run. */
	send_command(links.ingress, COMMANDS + 1, "slow/test_gate", "{\"gate\":\"b\"}");
	harness_watch(h, QUIET_MS);
	assert_int_equal(gate_runs(h, host, "b"), 0);
	links.ingress->silent = false;
	gate_wait_runs(h, host, "b", 1);
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), COMMANDS);
	gate_open(h, host, "b");
	puback_event(links, "slow/gate_passed");
	(void)scripted_expect_puback(links.ingress, COMMANDS + 1);
}

HARNESS_CASE(acknowledgements_stuck_in_a_lost_connection_do_not_cross)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start_stuck(h, host, broker);
	scripted_reset(links.ingress);
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	host_wait_ready(host);
	assert_no_puback(h, links.ingress);

	/* For a broker that has had some of them the identifiers may mean other commands. */
	send_command(links.ingress, STUCK, "1/test_gate", "{\"gate\":\"b\"}");
	gate_wait_runs(h, host, "b", 1);
	assert_no_puback(h, links.ingress);
	gate_open(h, host, "b");
	puback_event(links, "1/gate_passed");
	(void)scripted_expect_puback(links.ingress, STUCK);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 1);
}

/* ---- Commands without the promise ---- */

HARNESS_CASE(retained_commands_are_ignored)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	for (uint16_t mid = 1; mid <= 3; mid++)
		scripted_publish(links.ingress,
			&(struct scripted_publish){
				.mid = mid, .retain = true, .topic = "1/ping", .payload = "1"});
	for (uint16_t mid = 1; mid <= 3; mid++)
		(void)scripted_expect_puback(links.ingress, mid);
	send_command(links.ingress, 4, "1/ping", "2");
	const struct mqtt_packet *pong = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_memory_equal(pong->payload, "2", 1);
	scripted_puback(links.egress, pong->mid, 0);
	(void)scripted_expect_puback(links.ingress, 4);
	/* Told once, counted each time. */
	host_expect_log(host, "retained_ignored", "topic", "1/ping");
	assert_int_equal(host_count_log(host, "retained_ignored"), 1);
	host_stop(host);
	assert_int_equal(account_read(host).retained_ignored, 3);
}

HARNESS_CASE(commands_of_qos_0_run_and_are_counted)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	struct scripted_pair links = start(host, broker);
	for (int i = 0; i < 3; i++) {
		scripted_publish(links.ingress,
			&(struct scripted_publish){.qos = -1, .topic = "1/ping", .payload = "1"});
		puback_event(links, "1/pong");
	}
	host_expect_log(host, "qos0_command", "topic", "1/ping");
	assert_int_equal(host_count_log(host, "qos0_command"), 1);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	host_stop(host);
	assert_int_equal(account_read(host).qos0, 3);
}

/* ---- On the broker that is installed: how libmosquitto is made to wait is no promise of its own ---- */

HARNESS_CASE(killed_inside_a_handler_the_command_comes_back)
{
	enum { PINGS = 20 };
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "1"), *other = device_new(h, "2");
	device_connect(phone);
	device_connect(other);
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	for (int i = 0; i < PINGS; i++)
		device_command(other, "ping", harness_format(h, "%d", i));
	device_wait_count(other, "pong", PINGS);
	host_kill(host);
	host_start(host);
	/* The whole group comes again, for none of it was acknowledged. */
	gate_wait_runs(h, host, "a", 2);
	device_wait_count(other, "pong", (size_t)2 * PINGS);
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	host_stop(host);
	assert_int_equal(account_read(host).done, PINGS + 1);

	/* And then never more. */
	host_start(host);
	host_wait_ready(host);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	assert_int_equal(gate_runs(h, host, "a"), 2);
	assert_int_equal(device_count(other, "pong"), 2 * PINGS);
}

HARNESS_MAIN(HARNESS_TEST(puback_follows_that_of_the_event),
	HARNESS_TEST(puback_follows_those_of_both_handlers_events),
	HARNESS_TEST(pubacks_of_a_group_leave_together_and_in_order),
	HARNESS_TEST(nothing_held_is_acknowledged_when_the_connection_goes),
	HARNESS_TEST(copy_on_a_live_connection_joins), HARNESS_TEST(first_copy_may_come_with_dup_set),
	HARNESS_TEST(same_identifier_with_another_payload_is_another_command),
	HARNESS_TEST(late_result_acknowledges_nothing_on_the_next_connection),
	HARNESS_TEST(result_is_kept_for_the_copy_that_comes_again),
	HARNESS_TEST(result_is_not_kept_when_the_session_is_gone),
	HARNESS_TEST(event_comes_again_when_egress_is_lost_before_its_puback),
	HARNESS_TEST(age_limit_drops_the_connection_and_runs_nothing_twice),
	HARNESS_TEST(pubacks_flow_under_a_steady_stream),
	HARNESS_TEST(window_bounds_what_is_read_behind_a_slow_command),
	HARNESS_TEST(events_keep_to_the_brokers_receive_maximum),
	HARNESS_TEST(a_far_broker_gets_as_many_events_as_its_window_takes),
	HARNESS_TEST(nothing_is_read_while_acknowledgements_wait_to_be_written),
	HARNESS_TEST(acknowledgements_stuck_in_a_lost_connection_do_not_cross),
	HARNESS_TEST(retained_commands_are_ignored), HARNESS_TEST(commands_of_qos_0_run_and_are_counted),
	HARNESS_TEST(killed_inside_a_handler_the_command_comes_back))
