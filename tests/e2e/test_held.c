/*
 * test_held.c - acknowledgements: a command's PUBACK leaves when its work is done and those before it have left, and never before, over and
 * across connections, and without stopping the stream. All but one case against a scripted broker, which sees every packet.
 *
 * What is to hold its place for as long as a test likes is a command of the user "held", whose event the broker does not PUBACK: a handler
 * that runs for long would step aside. A test that a PUBACK does not come watches for a moment (QUIET_MS): long for the host, which would send it
 * within milliseconds, and nothing waits for that moment to pass but the test itself.
 */
#include "account.h"
#include "harness.h"
#include "scripted_broker.h"

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

/* A ping whose event waits for its PUBACK until release(): all PUBACKs behind it are held. */
static void hold_place(struct scripted_pair links, uint16_t mid)
{
	scripted_settle(links.egress, "held");
	send_command(links.ingress, mid, "held/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, 1);
}

/* And whatever else waits. */
static void release(struct scripted_pair links)
{
	scripted_settle(links.egress, NULL);
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

HARNESS_CASE(pubacks_behind_a_held_one_wait_and_leave_in_order)
{
	enum { COMMANDS = 40 };
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	hold_place(links, 1);
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, "1/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, COMMANDS);
	assert_no_puback(h, links.ingress);
	release(links);
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		assert_int_equal(scripted_expect(links.ingress, MQTT_PUBACK)->mid, mid);
}

/* One that was settled before others leaves with the first ones that are, not with all that were read. */
HARNESS_CASE(a_puback_waits_for_none_behind_it)
{
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	scripted_settle(links.egress, "held");
	send_command(links.ingress, 1, "1/ping", "1");
	send_command(links.ingress, 2, "held/ping", "1");
	send_command(links.ingress, 3, "1/ping", "1");
	(void)scripted_expect_puback(links.ingress, 1);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 1);
	release(links);
	(void)scripted_expect_puback(links.ingress, 2);
	(void)scripted_expect_puback(links.ingress, 3);
}

/* The connection goes on: PINGREQs pass what is held, and everybody else is served, for as long as it takes. */
HARNESS_CASE(a_connection_outlives_what_is_held)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_start(host);
	/* Pings come every 2 s: after 10 s without a PUBACK the egress would connect anew, and send the event again. */
	const struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.server_keep_alive = 4});
	host_wait_ready(host);
	hold_place(links, 1);
	scripted_wait_count(links.ingress, MQTT_PINGREQ, 2);
	send_command(links.ingress, 2, "1/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, 2);
	assert_no_puback(h, links.ingress);
	release(links);
	(void)scripted_expect_puback(links.ingress, 1);
	(void)scripted_expect_puback(links.ingress, 2);
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
}

HARNESS_CASE(nothing_held_is_acknowledged_when_the_connection_goes)
{
	enum { COMMANDS = 500 };
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	hold_place(links, 1);
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, "1/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, COMMANDS);
	scripted_close(links.ingress);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	/* No DISCONNECT: for some brokers that is the end of what the session holds. */
	assert_int_equal(scripted_count(links.ingress, MQTT_DISCONNECT), 0);

	/* All come again, and take over what was done already: no event is sent twice. */
	struct scripted_link *again =
		scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	send_again(again, 1, "held/ping", "1");
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_again(again, mid, "1/ping", "1");
	assert_no_puback(h, again);
	release(links);
	scripted_wait_count(again, MQTT_PUBACK, COMMANDS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), COMMANDS);
}

/* ---- Redelivery ---- */

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
	hold_place(links, 9);
	scripted_reset(links.ingress);
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	host_wait_ready(host);
	release(links);
	assert_no_puback(h, links.ingress);

	/* On this connection the identifier may mean another command. */
	scripted_settle(links.egress, "2");
	send_command(links.ingress, 9, "2/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, 2);
	assert_no_puback(h, links.ingress);
	release(links);
	(void)scripted_expect_puback(links.ingress, 9);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 1);
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

HARNESS_CASE(pubacks_flow_under_a_steady_stream)
{
	enum { COMMANDS = 6000, STEP = 500 };
	struct scripted_broker *broker = scripted_new(h);
	struct scripted_pair links = start(new_host(h, broker), broker);
	/* All of them are there at once, as from a broker that always has the next one ready. */
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid % 50), "1");
	/* What is done is acknowledged, though nothing behind it is: those events wait. */
	for (size_t events = STEP; events <= COMMANDS; events += STEP) {
		puback_events(links, STEP);
		scripted_wait_count(links.ingress, MQTT_PUBACK, events - STEP + 1);
	}
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		assert_int_equal(
			links.ingress->packets[links.ingress->packet_count - COMMANDS + mid - 1]->packet.mid,
			mid);
}

HARNESS_CASE(window_bounds_what_is_read_behind_a_held_command)
{
	enum { WINDOW = 100, COMMANDS = 1000, BURST = 200 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_set(host, "WINDOW", harness_format(h, "%d", WINDOW));
	struct scripted_pair links = start(host, broker);
	hold_place(links, 1);
	for (uint16_t mid = 2; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid), "1");
	/* The others are served, as far as the window goes. */
	scripted_wait_count(links.egress, MQTT_PUBLISH, WINDOW);
	harness_watch(h, QUIET_MS);
	assert_in_range(scripted_count(links.egress, MQTT_PUBLISH), WINDOW, WINDOW + BURST);
	assert_int_equal(scripted_count(links.ingress, MQTT_PUBACK), 0);
	release(links);
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

/* At each PUBACK libmosquitto looks at all events in flight: a broker that falls behind must not get more and more of them. */
HARNESS_CASE(a_broker_whose_pubacks_are_late_gets_no_more_events_for_it)
{
	enum { IN_FLIGHT = 512, COMMANDS = 1200 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	host_start(host);
	const struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.receive_maximum = 5000});
	host_wait_ready(host);
	for (uint16_t mid = 1; mid <= COMMANDS; mid++)
		send_command(links.ingress, mid, "1/ping", "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, IN_FLIGHT);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), IN_FLIGHT);
	/* The next ones go when half of them are through. */
	puback_events(links, IN_FLIGHT / 2);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), IN_FLIGHT);
	puback_events(links, 1);
	scripted_wait_count(links.egress, MQTT_PUBLISH, IN_FLIGHT + IN_FLIGHT / 2 + 1);
	harness_watch(h, QUIET_MS);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), IN_FLIGHT + IN_FLIGHT / 2 + 1);
	puback_events(links, COMMANDS - IN_FLIGHT / 2 - 1);
	scripted_wait_count(links.ingress, MQTT_PUBACK, COMMANDS);
}

/* As many PUBACKs at once as the small buffers cannot take while the broker does not read. */
enum { STUCK = 20000 };

HARNESS_CASE(acknowledgements_stuck_in_a_lost_connection_do_not_cross)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = new_host(h, broker);
	scripted_small_buffers(broker);
	host_set(host, "WINDOW", "30000");
	struct scripted_pair links = start(host, broker);
	hold_place(links, 1);
	for (uint16_t mid = 2; mid <= STUCK; mid++)
		send_command(links.ingress, mid, harness_format(h, "%d/ping", mid % 50), "1");
	scripted_wait_count(links.egress, MQTT_PUBLISH, STUCK);
	links.ingress->silent = true;
	release(links);
	harness_watch(h, QUIET_MS);
	scripted_reset(links.ingress);
	links.ingress = scripted_welcome_one(broker, &(struct scripted_welcome){.session_present = true});
	host_wait_ready(host);
	assert_no_puback(h, links.ingress);

	/* For a broker that has had some of them the identifiers may mean other commands. */
	scripted_settle(links.egress, "held");
	send_command(links.ingress, STUCK, "held/ping", "2");
	scripted_wait_count(links.egress, MQTT_PUBLISH, STUCK + 1);
	assert_no_puback(h, links.ingress);
	release(links);
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

/* ---- On the broker that is installed ---- */

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
	/* From the broker, or from the database, if it has stepped aside there. */
	gate_wait_runs(h, host, "a", 2);
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	database_wait_count(h, harness_database(h), "parked_commands", "{\"done\":null}", 0);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	host_stop(host);
	assert_int_equal(account_read(host).left_to_the_broker, 0);

	/* And then never more. */
	const size_t runs = gate_runs(h, host, "a"), pongs = device_count(other, "pong");
	host_start(host);
	host_wait_ready(host);
	device_command(phone, "ping", "2");
	device_wait_count(phone, "pong", 2);
	assert_int_equal(gate_runs(h, host, "a"), runs);
	assert_int_equal(device_count(other, "pong"), pongs);
}

HARNESS_MAIN(HARNESS_TEST(puback_follows_that_of_the_event),
	HARNESS_TEST(puback_follows_those_of_both_handlers_events),
	HARNESS_TEST(pubacks_behind_a_held_one_wait_and_leave_in_order),
	HARNESS_TEST(a_puback_waits_for_none_behind_it), HARNESS_TEST(a_connection_outlives_what_is_held),
	HARNESS_TEST(nothing_held_is_acknowledged_when_the_connection_goes),
	HARNESS_TEST(first_copy_may_come_with_dup_set),
	HARNESS_TEST(same_identifier_with_another_payload_is_another_command),
	HARNESS_TEST(late_result_acknowledges_nothing_on_the_next_connection),
	HARNESS_TEST(event_comes_again_when_egress_is_lost_before_its_puback),
	HARNESS_TEST(pubacks_flow_under_a_steady_stream),
	HARNESS_TEST(window_bounds_what_is_read_behind_a_held_command),
	HARNESS_TEST(events_keep_to_the_brokers_receive_maximum),
	HARNESS_TEST(a_broker_whose_pubacks_are_late_gets_no_more_events_for_it),
	HARNESS_TEST(acknowledgements_stuck_in_a_lost_connection_do_not_cross),
	HARNESS_TEST(retained_commands_are_ignored), HARNESS_TEST(commands_of_qos_0_run_and_are_counted),
	HARNESS_TEST(killed_inside_a_handler_the_command_comes_back))
