/* test_basic.c - the main job: commands in, handlers on MongoDB, events out, under MQTT 5 and 3.1.1. */
#include "harness.h"
#include "relay.h"
#include <stdlib.h>
#include <string.h>

static struct device *connect_device(struct harness *h, const char *user)
{
	struct device *device = device_new(h, user);
	device_connect(device);
	return device;
}

HARNESS_CASE(ping_is_answered_with_the_same_payload)
{
	static const char *const payloads[] = {
		"{}", "[1, 2.5, null]", "\"text\"", "7", "true", "{\"a\":{\"b\":[\"\\u00e4\"]}}"};
	harness_host(h);
	struct device *phone = connect_device(h, "68946");
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		device_command(phone, "ping", payloads[i]);
		device_expect_json(phone, "pong", payloads[i]);
	}
}

/* ---- Apples ---- */

HARNESS_CASE(apples_come_in_nine_colours)
{
	json_t *colours = json_object();
	harness_host(h);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "get_apples", "{}");
	device_expect_json(phone, "got_apples", "[\"red\",\"yellow\",\"blue\"]");

	/* Two handlers listen to this one: each answers with an event of its own. */
	device_command(phone, "get_more_apples", "{}");
	device_wait_count(phone, "got_apples", 3);
	for (size_t i = 0; i < 3; i++) {
		json_t *apples = json_loads(phone->messages[i].payload, 0, NULL), *colour;
		size_t at;
		json_array_foreach(apples, at, colour)
			json_object_set(colours, json_string_value(colour), json_true());
		assert_int_equal(json_array_size(apples), 3);
		json_decref(apples);
	}
	assert_int_equal(json_object_size(colours), 9);
	json_decref(colours);
}

/* ---- Contacts ---- */

/* Asks for a list; it must hold just these users, ordered, separated by spaces. */
static void assert_list(struct device *device, const char *command, const char *event, const char *array,
	const char *field, const char *expected)
{
	char found[1024] = "";
	device_command(device, command, "{}");
	json_t *reply = json_loads(device_expect(device, event)->payload, 0, NULL), *entry;
	size_t at;
	json_array_foreach(json_object_get(reply, array), at, entry)
	{
		const char *user = json_string_value(json_object_get(entry, field));
		assert_non_null(user);
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s", at > 0 ? " " : "",
			user);
	}
	json_decref(reply);
	assert_string_equal(found, expected);
}

static void assert_contacts(struct device *device, const char *expected)
{
	assert_list(device, "get_contact_list", "contact_list", "contacts", "contact_id", expected);
}

static void assert_requests(struct device *device, const char *expected)
{
	assert_list(
		device, "get_contact_requests", "contact_requests", "contact_requests", "user_id", expected);
}

HARNESS_CASE(contact_is_requested_accepted_listed_and_removed)
{
	struct database *database = harness_database(h);
	harness_host(h);
	struct device *ann = connect_device(h, "68946"), *bob = connect_device(h, "23412");
	device_command(ann, "request_contact", "{\"contact_id\":\"23412\"}");
	device_expect_json(bob, "contact_requested", "{\"user_id\":\"68946\"}");
	assert_requests(bob, "68946");
	assert_contacts(bob, "");

	device_command(bob, "accept_contact", "{\"contact_id\":\"68946\"}");
	device_expect_json(ann, "contact_approved", "{\"contact_id\":\"23412\"}");
	assert_contacts(ann, "23412");
	assert_contacts(bob, "68946");
	assert_requests(bob, "");
	assert_int_equal(database_count(h, database, "contacts", "{\"_id\":\"68946/23412\"}"), 1);
	assert_int_equal(database_count(h, database, "contacts", "{\"_id\":\"23412/68946\"}"), 1);
	assert_int_equal(database_count(h, database, "contact_requests", "{}"), 0);

	device_command(ann, "remove_contact", "{\"contact_id\":\"23412\"}");
	device_expect_json(bob, "contact_removed", "{\"contact_id\":\"68946\"}");
	assert_contacts(ann, "");
	assert_contacts(bob, "");
	assert_int_equal(database_count(h, database, "contacts", "{}"), 0);
}

HARNESS_CASE(contact_is_declined)
{
	harness_host(h);
	struct device *ann = connect_device(h, "68946"), *bob = connect_device(h, "23412");
	device_command(ann, "request_contact", "{\"contact_id\":\"23412\"}");
	device_expect(bob, "contact_requested");
	device_command(bob, "decline_contact", "{\"contact_id\":\"68946\"}");
	device_expect_json(ann, "contact_declined", "{\"contact_id\":\"23412\"}");
	assert_requests(bob, "");
	assert_contacts(ann, "");
}

HARNESS_CASE(contact_commands_can_be_repeated)
{
	struct database *database = harness_database(h);
	harness_host(h);
	struct device *ann = connect_device(h, "68946"), *bob = connect_device(h, "23412");
	for (int i = 0; i < 2; i++) {
		device_command(ann, "request_contact", "{\"contact_id\":\"23412\"}");
		device_expect_json(bob, "contact_requested", "{\"user_id\":\"68946\"}");
	}
	assert_int_equal(database_count(h, database, "contact_requests", "{}"), 1);
	json_t *before = NULL;
	for (int i = 0; i < 2; i++) {
		device_command(bob, "accept_contact", "{\"contact_id\":\"68946\"}");
		device_expect_json(ann, "contact_approved", "{\"contact_id\":\"23412\"}");
		json_t *contacts = database_find(h, database, "contacts", "{}");
		assert_int_equal(json_array_size(contacts), 2);
		if (before)
			assert_true(json_equal(before, contacts));
		json_decref(before);
		before = contacts;
	}
	json_decref(before);
}

HARNESS_CASE(contact_commands_that_make_no_sense_are_rejected)
{
	static const struct {
		const char *command, *payload;
	} cases[] = {
		{"accept_contact", "{\"contact_id\":\"23412\"}"},  /* nobody has asked */
		{"request_contact", "{\"contact_id\":\"68946\"}"}, /* oneself */
		{"request_contact", "{}"},
	};
	harness_host(h);
	struct device *ann = connect_device(h, "68946");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		device_command(ann, cases[i].command, cases[i].payload);
		json_t *rejected = json_loads(device_expect(ann, "command_rejected")->payload, 0, NULL);
		assert_string_equal(
			json_string_value(json_object_get(rejected, "command")), cases[i].command);
		assert_true(strlen(json_string_value(json_object_get(rejected, "reason"))) > 0);
		json_decref(rejected);
	}
	assert_int_equal(database_count(h, harness_database(h), "contact_requests", "{}"), 0);
}

HARNESS_CASE(two_who_ask_each_other_become_contacts)
{
	harness_host(h);
	struct device *ann = connect_device(h, "68946"), *bob = connect_device(h, "23412");
	device_publish(ann, "request_contact", "{\"contact_id\":\"23412\"}");
	device_publish(bob, "request_contact", "{\"contact_id\":\"68946\"}");
	device_expect_json(ann, "contact_approved", "{\"contact_id\":\"23412\"}");
	device_expect_json(bob, "contact_approved", "{\"contact_id\":\"68946\"}");
	assert_contacts(ann, "23412");
	assert_contacts(bob, "68946");
	assert_requests(ann, "");
	assert_requests(bob, "");
}

HARNESS_CASE(bare_command_gets_the_user_of_the_token)
{
	harness_host(h);
	struct device *ann = connect_device(h, "68946"), *bob = connect_device(h, "23412");
	const char *payload = "{\"contact_id\":\"23412\"}";
	device_publish_with(ann, NULL,
		&(struct device_publish_options){.topic = "request_contact",
			.payload = payload,
			.payload_size = strlen(payload),
			.qos = 1});
	device_expect_json(bob, "contact_requested", "{\"user_id\":\"68946\"}");
}

/* ---- MQTT 5's properties ---- */

HARNESS_CASE(correlation_data_comes_back)
{
	harness_host(h);
	struct device *phone = connect_device(h, "68946");
	device_publish_with(phone, "get_more_apples",
		&(struct device_publish_options){
			.payload = "{}", .payload_size = 2, .qos = 1, .correlation = "request 17"});
	for (int i = 0; i < 2; i++) {
		const struct device_message *message = device_expect(phone, "got_apples");
		assert_string_equal(message->correlation, "request 17");
	}
	device_command(phone, "get_apples", "{}");
	assert_null(device_expect(phone, "got_apples")->correlation);
}

HARNESS_CASE(response_topic_of_the_sender_is_honoured)
{
	harness_host(h);
	struct device *phone = connect_device(h, "68946");
	device_publish_with(phone, "get_apples",
		&(struct device_publish_options){.payload = "{}",
			.payload_size = 2,
			.qos = 1,
			.response_topic = "68946/replies/17",
			.correlation = "17"});
	const struct device_message *message =
		device_expect_json(phone, "68946/replies/17", "[\"red\",\"yellow\",\"blue\"]");
	assert_string_equal(message->correlation, "17");
	assert_int_equal(device_count(phone, "got_apples"), 0);
}

HARNESS_CASE(response_topic_of_another_user_is_refused)
{
	static const char *const topics[] = {"23412/got_apples", "68946", "68946x/y"};
	harness_host(h);
	struct device *phone = connect_device(h, "68946"), *victim = connect_device(h, "23412");
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
		device_publish_with(phone, "get_apples",
			&(struct device_publish_options){
				.payload = "{}", .payload_size = 2, .qos = 1, .response_topic = topics[i]});
		device_expect(phone, "command_rejected");
	}
	assert_int_equal(phone->message_count, 3);
	assert_int_equal(victim->message_count, 0);
}

/* ---- MQTT 3.1.1 ---- */

HARNESS_CASE(host_falls_back_to_mqtt311)
{
	struct broker *old = broker_new(h, &(struct broker_options){.only_mqtt311 = true});
	broker_start(old);
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_broker(host, old);
	host_start(host);
	host_wait_ready(host);
	host_expect_log(host, "broker_connected", "mqtt", "3.1.1");
	struct device *phone = device_new(h, "68946");
	phone->broker = old;
	phone->mqtt311 = true;
	device_connect(phone);
	for (int i = 0; i < 100; i++)
		device_publish(phone, "get_more_apples", "{}");
	device_wait_count(phone, "got_apples", 200);
}

/* ---- Order, parallel users, sessions ---- */

HARNESS_CASE(commands_of_a_user_keep_their_order)
{
	enum { COMMANDS = 300 };
	harness_host(h);
	struct device *phone = connect_device(h, "68946");
	for (int i = 0; i < COMMANDS; i++)
		device_publish(phone, "ping", harness_format(h, "%d", i));
	for (int i = 0; i < COMMANDS; i++)
		assert_int_equal(atoi(device_expect(phone, "pong")->payload), i);
}

HARNESS_CASE(slow_user_does_not_hold_up_the_others)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_start(host);
	host_wait_ready(host);
	struct device *slow = connect_device(h, "1"), *quick = connect_device(h, "2");
	device_command(slow, "test_gate", "{\"gate\":\"a\"}");
	device_command(slow, "ping", "1");
	for (int i = 0; i < 20; i++) {
		device_command(quick, "get_more_apples", "{}");
		device_wait_count(quick, "got_apples", 2 * (size_t)i + 2);
	}
	/* Its own next command waits its turn. */
	assert_int_equal(device_count(slow, "pong"), 0);
	harness_write_file(h, harness_format(h, "%s/a.open", host_folder(host)), "");
	device_expect(slow, "gate_passed");
	device_expect(slow, "pong");
}

HARNESS_CASE(commands_wait_in_the_session_while_no_host_runs)
{
	struct host *host = harness_host(h);
	struct device *phone = connect_device(h, "68946");
	host_stop(host);
	for (int i = 0; i < 50; i++)
		device_command(phone, "ping", harness_format(h, "%d", i));
	host_start(host);
	for (int i = 0; i < 50; i++)
		assert_int_equal(atoi(device_expect(phone, "pong")->payload), i);
}

HARNESS_CASE(handlers_can_be_spread_over_hosts)
{
	struct host *apples = host_new(h, HOST_PRODUCT), *rest = host_new(h, HOST_PRODUCT);
	host_set(apples, "HANDLERS", "get_apples");
	host_set(apples, "CLIENT_ID", "cashewd-apples");
	host_set(rest, "HANDLERS", "ping,get_contact_list");
	host_start(apples);
	host_start(rest);
	host_wait_ready(apples);
	host_wait_ready(rest);
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "get_apples", "{}");
	device_command(phone, "ping", "1");
	device_expect(phone, "got_apples");
	device_expect(phone, "pong");
}

HARNESS_CASE(lane_of_its_own_is_a_session_of_its_own)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "WORKERS", "2");
	host_start(host);
	host_wait_ready(host);
	host_expect_log(host, "broker_connected", "client_id", "cashewd-slow");
	struct device *phone = connect_device(h, "68946");
	device_command(phone, "test_gate_lane", "{\"gate\":\"a\"}");
	/* The order of a user's commands holds within a lane: this one does not wait. */
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	assert_int_equal(device_count(phone, "gate_passed"), 0);
	harness_write_file(h, harness_format(h, "%s/a.open", host_folder(host)), "");
	device_expect(phone, "gate_passed");
}

HARNESS_MAIN(HARNESS_TEST(ping_is_answered_with_the_same_payload), HARNESS_TEST(apples_come_in_nine_colours),
	HARNESS_TEST(contact_is_requested_accepted_listed_and_removed), HARNESS_TEST(contact_is_declined),
	HARNESS_TEST(contact_commands_can_be_repeated),
	HARNESS_TEST(contact_commands_that_make_no_sense_are_rejected),
	HARNESS_TEST(two_who_ask_each_other_become_contacts),
	HARNESS_TEST(bare_command_gets_the_user_of_the_token), HARNESS_TEST(correlation_data_comes_back),
	HARNESS_TEST(response_topic_of_the_sender_is_honoured),
	HARNESS_TEST(response_topic_of_another_user_is_refused), HARNESS_TEST(host_falls_back_to_mqtt311),
	HARNESS_TEST(commands_of_a_user_keep_their_order),
	HARNESS_TEST(slow_user_does_not_hold_up_the_others),
	HARNESS_TEST(commands_wait_in_the_session_while_no_host_runs),
	HARNESS_TEST(handlers_can_be_spread_over_hosts),
	HARNESS_TEST(lane_of_its_own_is_a_session_of_its_own))
