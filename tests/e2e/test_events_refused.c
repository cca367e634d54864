/*
 * test_events_refused.c - commands that can never succeed: an event that the broker refuses or that is too
 * large, a handler that fails or returns what is no result. Each becomes a dead letter and is acknowledged,
 * and the commands beside it are done as if nothing had been.
 */
#include "account.h"
#include "harness.h"
#include "letter.h"
#include "scripted_broker.h"
#include <string.h>

static struct host *start_ready(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
	return host;
}

static struct device *connect_to(struct harness *h, const struct broker *broker, const char *user)
{
	struct device *device = device_new(h, user);
	if (broker)
		device->broker = broker;
	device_connect(device);
	return device;
}

/* Its commands are answered, before and after. */
static void assert_served(struct device *device)
{
	device_command(device, "get_apples", "{}");
	device_expect_json(device, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
}

/* The dead ones were acknowledged: the next start finds nothing at the broker. */
static void assert_not_again(struct harness *h, struct host *host, struct device *device, size_t dead)
{
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.dead, dead);
	assert_int_equal(account.left_to_the_broker, 0);
	start_ready(host);
	assert_served(device);
	host_stop(host);
	assert_int_equal(account_read(host).dead, 0);
	assert_int_equal(letter_count(h, harness_database(h)), dead);
}

/* ---- Handlers, on the real broker ---- */

HARNESS_CASE(handlers_that_fail_or_return_garbage)
{
	static const struct letter letters[] = {
		{.topic = "68946/test_fail",
			.handler = "test_fail",
			.reason = "told to fail",
			.payload = "{\"a\":\"\xc3\xa4\"}",
			.attempts = 1},
		{.topic = "68946/test_garbage",
			.handler = "test_garbage",
			.reason = "returned 42, which is no cashew_result",
			.payload = "{ }",
			.attempts = 1},
	};
	enum { COUNT = sizeof(letters) / sizeof(letters[0]) };
	struct host *host = start_ready(host_new(h, HOST_WITH_TEST_HANDLERS));
	struct device *phone = connect_to(h, NULL, "68946"), *other = connect_to(h, NULL, "other");
	for (size_t i = 0; i < COUNT; i++) {
		device_command(phone, strchr(letters[i].topic, '/') + 1, letters[i].payload);
		letter_expect_at(__FILE__, __LINE__, h, harness_database(h), &letters[i]);
		host_expect_log(host, "dead_letter", "topic", letters[i].topic, "handler", letters[i].handler,
			"user", "68946", "attempt", "1");
		device_expect_json(phone, "command_failed",
			harness_format(h, "{\"command\":\"%s\"}", strchr(letters[i].topic, '/') + 1));
		assert_served(phone);
		assert_served(other);
	}
	/* The sender sees nothing else, not even what the handler sent before it failed. */
	assert_int_equal(phone->message_count, 2 * COUNT);
	assert_int_equal(other->message_count, COUNT);
	assert_not_again(h, host, phone, COUNT);
}

HARNESS_CASE(event_that_the_handler_cannot_send)
{
	static const struct letter letters[] = {
		{.topic = "1/test_event", .handler = "test_event", .reason = "2000", .attempts = 1},
		{.topic = "2/test_event", .handler = "test_event", .reason = "not a name", .attempts = 1},
	};
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "EVENT_MAX", "2000");
	start_ready(host);
	struct device *one = connect_to(h, NULL, "1"), *two = connect_to(h, NULL, "2");
	device_command(one, "test_event", "{\"size\":2000}");
	assert_int_equal(device_expect(one, "big")->payload_size, 2000);
	device_command(one, "test_event", "{\"size\":2001}");
	device_command(two, "test_event", "{\"event\":\"not a name\"}");
	for (size_t i = 0; i < 2; i++)
		letter_expect_at(__FILE__, __LINE__, h, harness_database(h), &letters[i]);
	assert_served(one);
	assert_served(two);
	assert_not_again(h, host, one, 2);
}

/* EVENT_MAX allows more than the broker takes in a packet: its CONNACK said how much, so nothing larger is
 * sent. */
HARNESS_CASE(event_larger_than_the_broker_takes_in_a_packet)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.extra = "max_packet_size 20000\n"});
	broker_start(broker);
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_use_broker(host, broker);
	start_ready(host);
	struct device *phone = connect_to(h, broker, "68946");
	device_command(phone, "test_event", "{\"size\":19856}");
	assert_int_equal(device_expect(phone, "big")->payload_size, 19856);
	device_command(phone, "test_event", "{\"size\":19857}");
	letter_expect(h, harness_database(h), .topic = "68946/test_event", .handler = "test_event",
		.reason = "19856", .payload = "{\"size\":19857}", .attempts = 1);
	assert_served(phone);
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
	assert_not_again(h, host, phone, 1);
}

/*
 * It fits into a packet, but is larger than message_size_limit. mosquitto refuses it by reason code 0x95,
 * which is none that MQTT 5 has for a PUBACK (section 3.4.2.1): libmosquitto 2.0.11 passes it on all the
 * same, 2.0.21 ends the connection, as often as the event is sent. Either way it is that event's fault and
 * nobody else's.
 */
HARNESS_CASE(event_that_the_broker_refuses_as_too_large)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "EVENT_MAX", "2000000");
	start_ready(host);
	struct device *phone = connect_to(h, NULL, "68946"), *other = connect_to(h, NULL, "other");
	device_command(phone, "test_event", "{\"size\":1048577}");
	host_expect_log(host, "event_refused", "topic", "68946/test_event", "event_topic", "68946/big");
	const bool passed_on = host_count_log(host, "broker_lost") == 0;
	letter_expect(h, harness_database(h), .topic = "68946/test_event", .handler = "test_event",
		.reason = passed_on ? "event 68946/big: Packet too large"
				    : "event 68946/big: the broker closes the connection whenever it is sent",
		.payload = "{\"size\":1048577}", .attempts = 1);
	assert_served(phone);
	assert_served(other);
	assert_int_equal(host_count_log(host, "broker_lost", "connection", "main"), 0);
	assert_not_again(h, host, phone, 1);
}

/* Under 3.1.1 the broker has no words for it: it closes the connection, as often as the event is sent. */
HARNESS_CASE(event_on_which_a_broker_of_mqtt311_closes_the_connection)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.only_mqtt311 = true});
	broker_start(broker);
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_use_broker(host, broker);
	host_set(host, "EVENT_MAX", "2000000");
	start_ready(host);
	struct device *phone = device_new(h, "68946"), *other = device_new(h, "other");
	phone->broker = other->broker = broker;
	phone->mqtt311 = other->mqtt311 = true;
	phone->quiet = other->quiet = true;
	device_connect(phone);
	device_connect(other);
	device_subscribe(phone, "68946/got_apples", 1);
	device_subscribe(other, "other/got_apples", 1);
	/* Around the one that is refused, in the same flow of events. */
	device_command(other, "get_apples", "{}");
	device_command(phone, "test_event", "{\"size\":1200000}");
	device_command(other, "get_apples", "{}");
	letter_expect(h, harness_database(h), .topic = "68946/test_event", .handler = "test_event",
		.reason = "event 68946/big: the broker closes the connection whenever it is sent",
		.payload = "{\"size\":1200000}", .attempts = 1);
	host_wait_log_count(host, 1, "event_refused", "event_topic", "68946/big");
	assert_true(host_count_log(host, "broker_lost", "connection", "egress") >= 5);
	assert_int_equal(host_count_log(host, "broker_lost", "connection", "main"), 0);
	device_wait_count(other, "got_apples", 2);
	assert_served(phone);
	assert_not_again(h, host, phone, 1);
}

/* ---- What no real broker says on demand ---- */

struct scripted {
	struct scripted_broker *broker;
	struct host *host;
	struct scripted_pair links;
};

static struct scripted scripted_start(struct harness *h)
{
	struct scripted scripted = {.broker = scripted_new(h), .host = host_new(h, HOST_PRODUCT)};
	scripted_use(scripted.host, scripted.broker);
	host_start(scripted.host);
	scripted.links = scripted_welcome(scripted.broker, NULL);
	host_wait_ready(scripted.host);
	return scripted;
}

static void command_in(struct scripted_link *ingress, uint16_t mid, const char *topic)
{
	scripted_publish(ingress, &(struct scripted_publish){.mid = mid, .topic = topic, .payload = "{}"});
}

/* Reads the next event, whose topic must be this, and acknowledges it with that reason code. */
static void answer_event(struct scripted_link *egress, const char *topic, uint8_t reason)
{
	const struct mqtt_packet *event = scripted_expect(egress, MQTT_PUBLISH);
	assert_string_equal(event->topic, topic);
	scripted_puback(egress, event->mid, reason);
}

HARNESS_CASE(refusals_that_are_final)
{
	static const struct {
		const char *user;
		uint8_t reason;
		const char *told;
	} rows[] = {
		{"not-authorized", 0x87, "event not-authorized/got_apples: Not authorized"},
		{"topic-invalid", 0x90, "event topic-invalid/got_apples: Topic Name invalid"},
		{"format-invalid", 0x99, "event format-invalid/got_apples: Payload format invalid"},
	};
	struct scripted scripted = scripted_start(h);
	struct scripted_link *ingress = scripted.links.ingress, *egress = scripted.links.egress;
	uint16_t mid = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *topic = harness_format(h, "%s/get_apples", rows[i].user);
		command_in(ingress, ++mid, topic);
		answer_event(egress, harness_format(h, "%s/got_apples", rows[i].user), rows[i].reason);
		answer_event(egress, harness_format(h, "%s/command_failed", rows[i].user), rows[i].reason);
		scripted_expect_puback(ingress, mid);
		letter_expect(h, harness_database(h), .topic = topic, .handler = "get_apples",
			.reason = rows[i].told, .payload = "{}", .attempts = 1);
		/* The same user's next one is none the worse. */
		command_in(ingress, ++mid, topic);
		answer_event(egress, harness_format(h, "%s/got_apples", rows[i].user), 0);
		scripted_expect_puback(ingress, mid);
	}
	assert_int_equal(letter_count(h, harness_database(h)), sizeof(rows) / sizeof(rows[0]));
	assert_int_equal(host_count_log(scripted.host, "broker_lost"), 0);
}

/* Two handlers, two events: the worst end counts, and both events were sent. */
HARNESS_CASE(refusal_of_one_event_of_two)
{
	struct scripted scripted = scripted_start(h);
	command_in(scripted.links.ingress, 1, "68946/get_more_apples");
	answer_event(scripted.links.egress, "68946/got_apples", 0x87);
	assert_int_equal(scripted_count(scripted.links.ingress, MQTT_PUBACK), 0);
	answer_event(scripted.links.egress, "68946/got_apples", 0);
	answer_event(scripted.links.egress, "68946/command_failed", 0);
	scripted_expect_puback(scripted.links.ingress, 1);
	letter_expect(h, harness_database(h), .topic = "68946/get_more_apples", .handler = "",
		.reason = "event 68946/got_apples: Not authorized", .payload = "{}", .attempts = 1);
}

HARNESS_CASE(no_subscriber_is_no_refusal)
{
	struct scripted scripted = scripted_start(h);
	command_in(scripted.links.ingress, 1, "68946/get_apples");
	answer_event(scripted.links.egress, "68946/got_apples", 0x10);
	scripted_expect_puback(scripted.links.ingress, 1);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

HARNESS_CASE(refusals_that_may_pass_are_sent_again)
{
	static const uint8_t reasons[] = {0x80, 0x83, 0x97};
	struct scripted scripted = scripted_start(h);
	uint16_t mid = 0;
	for (size_t i = 0; i < sizeof(reasons); i++) {
		command_in(scripted.links.ingress, ++mid, "68946/get_apples");
		answer_event(scripted.links.egress, "68946/got_apples", reasons[i]);
		answer_event(scripted.links.egress, "68946/got_apples", reasons[i]);
		assert_int_equal(scripted_count(scripted.links.ingress, MQTT_PUBACK), mid - 1);
		answer_event(scripted.links.egress, "68946/got_apples", 0);
		scripted_expect_puback(scripted.links.ingress, mid);
	}
	host_stop(scripted.host);
	assert_int_equal(account_read(scripted.host).done, mid);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* However long it lasts: it is sent again, and the handler is not run again for it. */
HARNESS_CASE(refusal_that_lasts_is_waited_for)
{
	enum { REFUSALS = 6 };
	struct scripted scripted = scripted_start(h);
	struct scripted_link *ingress = scripted.links.ingress;
	command_in(ingress, 1, "68946/get_apples");
	for (int i = 0; i < REFUSALS; i++)
		answer_event(scripted.links.egress, "68946/got_apples", 0x97);
	assert_int_equal(scripted_count(ingress, MQTT_PUBACK), 0);
	answer_event(scripted.links.egress, "68946/got_apples", 0);
	scripted_expect_puback(ingress, 1);
	assert_int_equal(host_count_log(scripted.host, "command_done", "topic", "68946/get_apples"), 1);
	database_wait_count(h, harness_database(h), "parked_commands", "{}", 0);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* MQTT 5 and 3.1.1: whichever way the connection ends, five times in a row with the same event first is
 * enough. */
static void close_on_event(struct harness *h, uint8_t protocol)
{
	struct scripted scripted = {.broker = scripted_new(h), .host = host_new(h, HOST_PRODUCT)};
	scripted_use(scripted.host, scripted.broker);
	host_start(scripted.host);
	if (protocol < 5)
		for (int i = 0; i < 2; i++)
			scripted_connack(scripted_accept(scripted.broker), false, 0x84);
	scripted.links = scripted_welcome(scripted.broker, NULL);
	struct scripted_link *ingress = scripted.links.ingress, *egress = scripted.links.egress;
	assert_int_equal(egress->protocol, protocol);
	host_wait_ready(scripted.host);

	command_in(ingress, 1, "bad/get_apples");
	command_in(ingress, 2, "good/get_apples");
	for (int i = 0; i < 5; i++) {
		const struct mqtt_packet *event = scripted_expect(egress, MQTT_PUBLISH);
		assert_string_equal(event->topic, "bad/got_apples");
		if (protocol == 5 && i % 2 == 0)
			scripted_disconnect(egress, 0x95);
		else
			scripted_close(egress);
		egress = scripted_welcome_one(scripted.broker, NULL);
		assert_false(scripted_is_ingress(egress));
	}
	answer_event(egress, "good/got_apples", 0);
	answer_event(egress, "bad/command_failed", 0);
	scripted_expect_puback(ingress, 1);
	scripted_expect_puback(ingress, 2);
	letter_expect(h, harness_database(h), .topic = "bad/get_apples", .handler = "get_apples",
		.reason = "the broker closes the connection whenever it is sent", .payload = "{}",
		.attempts = 1);
	assert_int_equal(letter_count(h, harness_database(h)), 1);
	assert_true(ingress->fd >= 0);
}

HARNESS_CASE(event_on_which_the_connection_ends_each_time)
{
	close_on_event(h, 5);
}

HARNESS_CASE(event_on_which_the_connection_ends_each_time_311)
{
	close_on_event(h, 4);
}

/* Where the lane's connection goes as well, the broker is at fault, or the way to it: however often that is,
 * the event is none the worse. */
HARNESS_CASE(event_of_a_broker_that_goes_away_each_time)
{
	struct scripted scripted = scripted_start(h);
	struct scripted_pair links = scripted.links;
	command_in(links.ingress, 1, "68946/get_apples");
	for (int i = 0; i < 8; i++) {
		(void)scripted_expect(links.egress, MQTT_PUBLISH);
		/* Which of them the host notices first makes no difference. */
		scripted_close(i % 2 == 0 ? links.egress : links.ingress);
		scripted_close(i % 2 == 0 ? links.ingress : links.egress);
		links = scripted_welcome(
			scripted.broker, &(struct scripted_welcome){.session_present = true});
	}
	scripted_publish(links.ingress,
		&(struct scripted_publish){
			.mid = 1, .duplicate = true, .topic = "68946/get_apples", .payload = "{}"});
	answer_event(links.egress, "68946/got_apples", 0);
	scripted_expect_puback(links.ingress, 1);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

HARNESS_MAIN(HARNESS_TEST(handlers_that_fail_or_return_garbage),
	HARNESS_TEST(event_that_the_handler_cannot_send),
	HARNESS_TEST(event_larger_than_the_broker_takes_in_a_packet),
	HARNESS_TEST(event_that_the_broker_refuses_as_too_large),
	HARNESS_TEST(event_on_which_a_broker_of_mqtt311_closes_the_connection),
	HARNESS_TEST(refusals_that_are_final), HARNESS_TEST(refusal_of_one_event_of_two),
	HARNESS_TEST(no_subscriber_is_no_refusal), HARNESS_TEST(refusals_that_may_pass_are_sent_again),
	HARNESS_TEST(refusal_that_lasts_is_waited_for),
	HARNESS_TEST(event_on_which_the_connection_ends_each_time),
	HARNESS_TEST(event_on_which_the_connection_ends_each_time_311),
	HARNESS_TEST(event_of_a_broker_that_goes_away_each_time))
