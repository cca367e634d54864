/* test_harness.c - the harness itself: its database, broker, devices and scripted broker do what tests rely
 * on. */
#include "harness.h"
#include "scripted_broker.h"

HARNESS_CASE(database_keeps_its_data_through_sigkill)
{
	struct database *database = harness_own_database(h);
	database_command(h, database,
		"{\"insert\": \"apples\", \"documents\": [{\"_id\": \"red\", \"n\": 1}], "
		"\"writeConcern\": {\"w\": \"majority\", \"j\": true}}");
	database_kill(database);
	database_start(database);
	json_t *found = database_find(h, database, "apples", "{\"n\": 1}");
	assert_int_equal(json_array_size(found), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "_id")), "red");
	json_decref(found);
	assert_int_equal(database_count(h, database, "apples", "{\"n\": 2}"), 0);
}

HARNESS_CASE(database_of_the_program_is_another_for_each_case)
{
	struct database *database = harness_database(h);
	database_command(h, database, "{\"insert\": \"apples\", \"documents\": [{\"_id\": 1}]}");
	database_wait_count(h, database, "apples", "{}", 1);
}

HARNESS_CASE(database_shared_is_empty_again)
{
	assert_int_equal(database_count(h, harness_database(h), "apples", "{}"), 0);
}

HARNESS_CASE(broker_delivers_over_tls_with_tokens)
{
	struct device *phone = device_new(h, "68946");
	struct device *tablet = device_new(h, "68946");
	device_connect(phone);
	device_connect(tablet);
	device_command(phone, "hello", "{\"a\": 1}");
	device_expect_json(tablet, "hello", "{\"a\":1}");
	/* No Local: what it says itself does not come back to it. */
	assert_int_equal(device_count(phone, "hello"), 0);
}

HARNESS_CASE(broker_refuses_a_bad_token)
{
	struct device *phone = device_new(h, "68946");
	phone->token = "not.a.token";
	assert_int_equal(device_try_connect(phone), 0x87);
}

HARNESS_CASE(broker_keeps_sessions_through_a_stop)
{
	struct device *phone = device_new(h, "68946");
	struct device *tablet = device_new(h, "68946");
	phone->keep_session = true;
	device_connect(phone);
	device_drop(phone);
	device_connect(tablet);
	device_command(tablet, "hello", "1");
	broker_stop(harness_broker(h));
	broker_start(harness_broker(h));
	device_connect(phone);
	device_expect_json(phone, "hello", "1");
}

HARNESS_CASE(broker_with_bad_certificates_is_refused)
{
	static const enum broker_certificate bad[] = {BROKER_EXPIRED, BROKER_WRONG_NAME, BROKER_OTHER_CA};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct broker *broker = broker_new(h, &(struct broker_options){.certificate = bad[i]});
		broker_start(broker);
		struct device *phone = device_new(h, "68946");
		phone->broker = broker;
		assert_int_equal(device_try_connect(phone), -1);
	}
}

HARNESS_CASE(broker_of_mqtt311_refuses_mqtt5)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.only_mqtt311 = true});
	broker_start(broker);
	struct device *modern = device_new(h, "1"), *old = device_new(h, "2");
	modern->broker = old->broker = broker;
	old->mqtt311 = true;
	assert_int_not_equal(device_try_connect(modern), 0);
	device_connect(old);
	device_command(old, "hello", "1");
	device_expect_json(old, "hello", "1");
}

HARNESS_CASE(scripted_broker_says_what_it_is_told)
{
	struct scripted_broker *broker = scripted_new(h);
	struct device *phone = device_new(h, "68946");
	phone->plain_host = scripted_host(broker);
	phone->plain_port = scripted_port(broker);
	phone->keep_session = true;
	device_begin_connect(phone);
	struct scripted_link *link = scripted_accept(broker);
	assert_int_equal(link->protocol, 5);
	assert_string_equal(link->connect->client_id, phone->client_id);
	assert_false(link->connect->clean_start);
	assert_int_equal(mqtt_property(link->connect, 0x11)->number, 3600);
	link->grants = true;
	scripted_connack(link, true, 0);
	assert_int_equal(device_subscribe(phone, "68946/#", 1), 1);
	const struct mqtt_packet *subscribe = scripted_expect(link, MQTT_SUBSCRIBE);
	assert_int_equal(subscribe->filter_count, 1);
	assert_string_equal(subscribe->filters[0], "68946/#");
	scripted_publish(link, &(struct scripted_publish){.mid = 77,
				       .duplicate = true,
				       .topic = "68946/pong",
				       .payload = "{}",
				       .correlation = "abc"});
	const struct device_message *pong = device_expect(phone, "pong");
	assert_string_equal(pong->correlation, "abc");
	assert_int_equal(pong->qos, 1);
	assert_int_equal(scripted_expect_puback(link, 77)->packet.reason, 0);

	const size_t place = device_publish(phone, "ping", "[1]");
	const struct mqtt_packet *publish = scripted_expect(link, MQTT_PUBLISH);
	assert_string_equal(publish->topic, "68946/ping");
	assert_memory_equal(publish->payload, "[1]", 3);
	scripted_puback(link, publish->mid, 0x87);
	assert_int_equal(device_wait_puback(phone, place), 0x87);
	device_disconnect(phone);
	scripted_expect(link, MQTT_DISCONNECT);
	scripted_expect_close(link);
}

HARNESS_MAIN(HARNESS_TEST(database_keeps_its_data_through_sigkill),
	HARNESS_TEST(database_of_the_program_is_another_for_each_case),
	HARNESS_TEST(database_shared_is_empty_again), HARNESS_TEST(broker_delivers_over_tls_with_tokens),
	HARNESS_TEST(broker_refuses_a_bad_token), HARNESS_TEST(broker_keeps_sessions_through_a_stop),
	HARNESS_TEST(broker_with_bad_certificates_is_refused), HARNESS_TEST(broker_of_mqtt311_refuses_mqtt5),
	HARNESS_TEST(scripted_broker_says_what_it_is_told))
