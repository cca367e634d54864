/*
 * test_stale.c - commands that come though they should not: left in the session by a host with other
 * handlers, retained, or at QoS 0.
 */
#include "account.h"
#include "harness.h"
#include "letter.h"
#include "scripted_broker.h"

static struct host *host_with(struct harness *h, const char *handlers)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_set(host, "HANDLERS", handlers);
	return host;
}

/* Makes the host's session, with the filters of all these handlers. */
static void start_and_stop(struct host *host)
{
	host_start(host);
	host_wait_ready(host);
	host_stop(host);
	(void)account_read(host);
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

/* Whether the broker still has anybody for that command (else it says 0x10, "No matching subscribers"). */
static bool is_subscribed(struct harness *h, const char *command)
{
	struct device *device = device_new(h, "quiet");
	device->quiet = true;
	device_connect(device);
	const int reason = device_wait_puback(device, device_publish(device, command, "{}"));
	device_disconnect(device);
	return reason != 0x10;
}

/* The payload is kept byte by byte, whatever it is: nobody looked into it. */
HARNESS_CASE(command_that_no_handler_wants_any_more)
{
	static const char payload[] = "\0\xff{not JSON";
	struct host *host = host_with(h, "ping,get_apples");
	struct device *phone = connect_device(h, "68946");
	start_and_stop(host);
	const struct device_publish_options stale = {
		.payload = payload, .payload_size = sizeof(payload) - 1, .qos = 1};
	assert_int_equal(device_wait_puback(phone, device_publish_with(phone, "get_apples", &stale)), 0);
	device_command(phone, "ping", "1");

	host_set(host, "HANDLERS", "ping");
	start_ready(host);
	letter_expect(h, harness_database(h), .topic = "68946/get_apples", .handler = "",
		.reason = "no handler wants this topic", .payload = payload,
		.payload_size = sizeof(payload) - 1, .attempts = 0);
	host_expect_log(
		host, "dead_letter", "topic", "68946/get_apples", "reason", "no handler wants this topic");
	host_expect_log(host, "stale_subscription", "filter", "+/get_apples", "lane", "main");
	host_expect_log(host, "unsubscribed", "lane", "main");
	device_expect(phone, "pong");

	assert_false(is_subscribed(h, "get_apples"));
	device_command(phone, "ping", "2");
	device_expect(phone, "pong");
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.dead, 1);
	assert_int_equal(account.done, 2);
	assert_int_equal(account.left_to_the_broker, 0);
	assert_int_equal(letter_count(h, harness_database(h)), 1);
	assert_int_equal(host_count_log(host, "stale_subscription"), 1);

	/* It was acknowledged, and the old filter is gone for the next start too. */
	start_ready(host);
	device_command(phone, "ping", "3");
	device_expect(phone, "pong");
	host_stop(host);
	assert_int_equal(account_read(host).dead, 0);
	assert_int_equal(host_count_log(host, "stale_subscription"), 1);
}

/* Many commands of several old filters, from several users, among commands that are wanted. */
HARNESS_CASE(commands_of_many_stale_filters)
{
	static const char *const stale[] = {"get_apples", "get_more_apples", "get_contact_list"};
	enum { FILTERS = sizeof(stale) / sizeof(stale[0]), ROUNDS = 40 };
	struct host *host = host_with(h, "");
	struct device *phone = connect_device(h, "68946"), *tablet = connect_device(h, "23412");
	start_and_stop(host);
	for (size_t i = 0; i < ROUNDS; i++) {
		for (size_t f = 0; f < FILTERS; f++)
			device_publish(i % 2 ? phone : tablet, stale[f], "{}");
		device_publish(phone, "ping", "1");
	}
	device_wait_all_pubacks(phone);
	device_wait_all_pubacks(tablet);
	host_set(host, "HANDLERS", "ping");
	start_ready(host);
	device_wait_count(phone, "pong", ROUNDS);
	for (size_t f = 0; f < FILTERS; f++)
		host_expect_log(host, "stale_subscription", "filter", harness_format(h, "+/%s", stale[f]));
	database_wait_count(h, harness_database(h), "dead_letters", "{}", FILTERS * ROUNDS);
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.dead, FILTERS * ROUNDS);
	assert_int_equal(account.done, ROUNDS);
	assert_int_equal(account.left_to_the_broker, 0);
	for (size_t f = 0; f < FILTERS; f++)
		assert_false(is_subscribed(h, stale[f]));
}

/* The broker that hands out retained messages at each subscription, though asked not to: an old one, or
 * MQTT 3.1.1. */
HARNESS_CASE(retained_command_is_ignored)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = host_with(h, "get_apples");
	scripted_use(host, broker);
	host_start(host);
	const struct scripted_pair links = scripted_welcome(broker, NULL);
	host_wait_ready(host);
	for (uint16_t mid = 1; mid <= 3; mid++)
		scripted_publish(links.ingress,
			&(struct scripted_publish){
				.mid = mid, .retain = true, .topic = "68946/get_apples", .payload = "{}"});
	scripted_publish(links.ingress,
		&(struct scripted_publish){.mid = 4, .topic = "23412/get_apples", .payload = "{}"});
	const struct mqtt_packet *event = scripted_expect(links.egress, MQTT_PUBLISH);
	assert_string_equal(event->topic, "23412/got_apples");
	scripted_puback(links.egress, event->mid, 0);
	for (uint16_t mid = 1; mid <= 4; mid++)
		scripted_expect_puback(links.ingress, mid);
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.retained_ignored, 3);
	assert_int_equal(account.done, 1);
	/* Said once. */
	assert_int_equal(host_count_log(host, "retained_ignored", "topic", "68946/get_apples"), 1);
	assert_int_equal(scripted_count(links.egress, MQTT_PUBLISH), 1);
}

/* On a real broker: published before the host's first start, and while it runs. */
HARNESS_CASE(retained_command_on_a_real_broker)
{
	const struct device_publish_options retained = {
		.payload = "{}", .payload_size = 2, .qos = 1, .retain = true};
	struct device *phone = connect_device(h, "68946");
	device_wait_puback(phone, device_publish_with(phone, "get_apples", &retained));
	struct host *host = host_with(h, "get_apples,ping");
	start_ready(host);
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	/* Retain Handling 2: the broker did not even send it. */
	assert_int_equal(device_count(phone, "got_apples"), 0);
	assert_int_equal(host_count_log(host, "retained_ignored"), 0);
	/* To a subscription that is there already it comes as any other command. */
	device_wait_puback(phone, device_publish_with(phone, "get_apples", &retained));
	device_expect(phone, "got_apples");
	host_stop(host);
	assert_int_equal(account_read(host).done, 2);
	/* A second start, with the session that it has. */
	start_ready(host);
	device_command(phone, "ping", "2");
	device_expect(phone, "pong");
	host_stop(host);
	assert_int_equal(account_read(host).done, 1);
	assert_int_equal(device_count(phone, "got_apples"), 1);
}

HARNESS_CASE(retained_command_on_a_broker_of_mqtt311)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.only_mqtt311 = true});
	broker_start(broker);
	struct device *phone = device_new(h, "68946");
	phone->broker = broker;
	phone->mqtt311 = phone->quiet = true;
	device_connect(phone);
	device_subscribe(phone, "68946/got_apples", 1);
	device_subscribe(phone, "68946/pong", 1);
	device_wait_puback(
		phone, device_publish_with(phone, "get_apples",
			       &(struct device_publish_options){
				       .payload = "{}", .payload_size = 2, .qos = 1, .retain = true}));
	struct host *host = host_with(h, "get_apples,ping");
	host_use_broker(host, broker);
	start_ready(host);
	host_expect_log(host, "retained_ignored", "topic", "68946/get_apples");
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.retained_ignored, 1);
	assert_int_equal(account.done, 1);
	assert_int_equal(device_count(phone, "got_apples"), 0);
}

/* No promise, but an answer; it has no place, so nothing is acknowledged and nothing waits for it. */
HARNESS_CASE(qos0_commands_are_run_and_counted)
{
	enum { COUNT = 20 };
	const struct device_publish_options qos0 = {.payload = "{}", .payload_size = 2, .qos = 0};
	struct host *host = host_with(h, "");
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	for (size_t i = 0; i < COUNT; i++) {
		device_publish_with(phone, "get_apples", &qos0);
		device_publish_with(phone, "get_contact_list", &qos0);
	}
	device_command(phone, "ping", "1");
	device_wait_count(phone, "got_apples", COUNT);
	device_wait_count(phone, "contact_list", COUNT);
	device_expect(phone, "pong");
	host_stop(host);
	const struct account account = account_read(host);
	assert_int_equal(account.qos0, 2 * COUNT);
	assert_int_equal(account.done, 1);
	assert_int_equal(host_count_log(host, "qos0_command"), 1);
}

/* What is wrong with one of them ends it as it would any other. */
HARNESS_CASE(qos0_commands_that_are_bad)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	device_publish_with(phone, "get_contact_list",
		&(struct device_publish_options){.payload = "x", .payload_size = 1, .qos = 0});
	device_expect(phone, "command_rejected");
	device_publish_with(phone, "test_fail",
		&(struct device_publish_options){.payload = "{}", .payload_size = 2, .qos = 0});
	letter_expect(h, harness_database(h), .topic = "68946/test_fail", .handler = "test_fail",
		.reason = "told to fail", .payload = "{}", .attempts = 1);
	device_publish_with(phone, "test_retry",
		&(struct device_publish_options){
			.payload = "{\"attempts\":3}", .payload_size = 14, .qos = 0});
	device_expect(phone, "retry_replied");
	host_stop(host);
	assert_int_equal(account_read(host).qos0, 3);
}

/* One that is retried for good has nobody to come back to: it is given up, and says so. */
HARNESS_CASE(qos0_command_whose_retries_are_spent)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	start_ready(host);
	struct device *phone = connect_device(h, "68946");
	device_publish_with(phone, "test_retry",
		&(struct device_publish_options){
			.payload = "{\"attempts\":999}", .payload_size = 16, .qos = 0});
	host_expect_log(host, "qos0_dropped", "topic", "68946/test_retry");
	/* Its user's turn goes on. */
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	assert_int_equal(host_count_log(host, "lane_dropped"), 0);
	host_stop(host);
}

HARNESS_MAIN(HARNESS_TEST(command_that_no_handler_wants_any_more),
	HARNESS_TEST(commands_of_many_stale_filters), HARNESS_TEST(retained_command_is_ignored),
	HARNESS_TEST(retained_command_on_a_real_broker),
	HARNESS_TEST(retained_command_on_a_broker_of_mqtt311),
	HARNESS_TEST(qos0_commands_are_run_and_counted), HARNESS_TEST(qos0_commands_that_are_bad),
	HARNESS_TEST(qos0_command_whose_retries_are_spent))
