/*
 * test_broker_access.c - examples/broker's plugin in a real mosquitto, over TLS: what devices and handlers may subscribe to and publish, retained messages,
 * last wills, and what waits for a device that is away.
 */
#include "harness.h"
#include "plugin_parts.h"
#include <mqtt_protocol.h>
#include <string.h>
#include <sys/socket.h>

#define SIXTY_FOUR "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_abcdefghij"

/* ---- Tokens, handlers, logs ---- */

static size_t publish(struct device *device, const char *topic, const char *payload, int qos, bool retain)
{
	const struct device_publish_options options = {.topic = topic,
		.payload = payload,
		.payload_size = strlen(payload),
		.qos = qos,
		.retain = retain};
	return device_publish_with(device, NULL, &options);
}

/* ---- Subscribing ---- */

HARNESS_CASE(subscriptions)
{
	static const struct {
		const char *filter;
		bool device, handler;
	} cases[] = {
		{"1/#", true, true},
		{"1/x", true, true},
		{"1/+/x", true, true},
		{"1/+", true, true},
		{"1", false, false},
		{"1/", false, false},
		{"#", false, true},
		{"+", false, false},
		{"+/#", false, true},
		{"+/get_apples", false, true},
		{"12/#", false, true},
		{"/1/#", false, false},
		{"got_apples", false, false},
		{"$SYS/#", false, false},
		{"$SYS/broker/version", false, false},
		{"$1/#", false, false},
		{"$share/g/1/#", true, true},
		{"$share/g/1/x", true, true},
		{"$share/g/#", false, true},
		{"$share/g/+/x", false, true},
		{"$share/g/12/#", false, true},
		{"$share/1/12/#", false, true},
		{"$share/1/#", false, true}, /* the group is "1" */
		{"$share/g/1", false, false},
		{"$share/g//1/#", false, false},
		{"$share//1/#", false, false},
		{"$share/+/1/#", false, false},
		{"$share/+/1/x", false, false},
		{"$share/g/$SYS/#", false, false},
		{"$share/g/$share/g/1/#", false, false},
		{"$shared/g/1/#", false, false},
		{"$queue/1/#", false, false},
		{"$SHARE/g/1/#", false, false},
	};
	for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
		struct device *device = device_new(h, "1"), *handler = handler_new(h, "cashewd");
		device->mqtt311 = handler->mqtt311 = mqtt311;
		device->quiet = true;
		device_connect(device);
		device_connect(handler);
		const int refused = mqtt311 ? SUBSCRIPTION_REFUSED_311 : REFUSED;
		for (size_t i = 0; i < COUNT(cases); i++) {
			struct device *const both[] = {device, handler};
			for (size_t k = 0; k < 2; k++) {
				const bool allowed = k == 0 ? cases[i].device : cases[i].handler;
				const int granted = device_subscribe(both[k], cases[i].filter, 1);
				if (granted != (allowed ? 1 : refused))
					harness_fail("%s subscribes to %s: %d",
						k == 0 ? "user 1" : "a handler", cases[i].filter, granted);
			}
		}
		assert_true(device->connected);
		assert_true(handler->connected);
		device_disconnect(device);
		device_disconnect(handler);
	}
	expect_log(h, "may not subscribe to +/#");
}

HARNESS_CASE(a_device_is_sent_only_its_own)
{
	struct device *one = device_new(h, "1"), *twelve = device_new(h, "12"),
		      *handler = handler_new(h, "cashewd");
	device_connect(one);
	device_connect(twelve);
	device_connect(handler);
	assert_int_equal(device_subscribe(one, "$share/g/1/#", 1), 1);
	assert_int_equal(device_publish_answered(handler, "12/got_apples", "[]"), 0);
	assert_int_equal(device_publish_answered(handler, "1/got_apples", "[]"), 0);
	assert_int_equal(
		device_publish_answered(handler, "2/got_apples", "[]"), MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	device_barrier(handler, one, "1/barrier");
	device_barrier(handler, twelve, "12/barrier");
	for (size_t i = 0; i < one->message_count; i++)
		assert_memory_equal(one->messages[i].topic, "1/", 2);
	assert_in_range(device_count(one, "got_apples"), 1, 2); /* twice: once for each subscription */
	assert_int_equal(twelve->message_count, 2);
}

/* ---- Publishing ---- */

struct publish_case {
	const char *topic, *arrives; /* NULL: it is refused */
};

static void check_publishes(struct harness *h, struct device *sender, struct device *observer,
	const struct publish_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const size_t before = observer->message_count;
		const int reason = device_publish_answered(sender, cases[i].topic, "{}");
		const int expected = cases[i].arrives || sender->mqtt311 ? 0 : REFUSED;
		if (reason != expected && !(expected == 0 && reason == MQTT_RC_NO_MATCHING_SUBSCRIBERS))
			harness_fail("%s: PUBACK 0x%02x", cases[i].topic, (unsigned)reason);
		device_barrier(observer, observer, harness_format(h, "barrier/%zu", i));
		const size_t arrived = observer->message_count - before - 1;
		if (arrived != (cases[i].arrives != NULL) ||
			(arrived == 1 && strcmp(observer->messages[before].topic, cases[i].arrives) != 0))
			harness_fail("%s: %zu messages arrived, the first on %s", cases[i].topic, arrived,
				observer->messages[before].topic);
	}
	/* A refusal costs a message, not the connection. */
	assert_true(sender->connected);
}

/* Like observer_new(), but it hears itself, which the barriers want. */
static struct device *echoing_observer_new(struct harness *h)
{
	struct device *observer = handler_new(h, "observer");
	observer->mqtt311 = true;
	device_connect(observer);
	assert_int_equal(device_subscribe(observer, "#", 1), 1);
	return observer;
}

HARNESS_CASE(what_a_device_publishes)
{
	static const struct publish_case cases[] = {
		{"1/get_apples", "1/get_apples"},
		{"1/a/b", "1/a/b"},
		{"1//", "1//"},
		{"1/ \xc3\xa4", "1/ \xc3\xa4"},
		{"1/$SYS", "1/$SYS"},
		{"12/get_apples", NULL},
		{"2/get_apples", NULL},
		{"x/1/get_apples", NULL},
		{"/1/get_apples", NULL},
		{"1", NULL},
		{"1/", NULL},
		{"/", NULL},
		{"$SYS/broker/connection/a/state", NULL},
		{"$share/g/1/x", NULL},
		{"$CONTROL/dynamic-security/v1", NULL},
		{"$1/x", NULL},
		/* bare commands */
		{"get_apples", "1/get_apples"},
		{"a", "1/a"},
		{"_", "1/_"},
		{SIXTY_FOUR, "1/" SIXTY_FOUR},
		{SIXTY_FOUR "k", NULL},
		{"Get_apples", NULL},
		{"get-apples", NULL},
		{"get apples", NULL},
		{"get_apples2", NULL},
		{"get_apples/", NULL},
		{"/get_apples", NULL},
		{"get/apples", NULL},
		{"$get_apples", NULL},
	};
	struct device *observer = echoing_observer_new(h);
	for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
		struct device *device = device_new(h, "1");
		device->quiet = true;
		device->mqtt311 = mqtt311;
		device_connect(device);
		check_publishes(h, device, observer, cases, COUNT(cases));
		device_disconnect(device);
	}
}

HARNESS_CASE(what_a_handler_publishes)
{
	static const struct publish_case cases[] = {
		{"1/got_apples", "1/got_apples"},
		{"auth0|5f-7.A_z/got_apples", "auth0|5f-7.A_z/got_apples"},
		{"1/a/b", "1/a/b"},
		{"got_apples", NULL},
		{"1", NULL},
		{"1/", NULL},
		{"/1/x", NULL},
		{"a b/x", NULL},
		{"\xc3\xa4/x", NULL},
		{"$SYS/x", NULL},
		{"$CONTROL/dynamic-security/v1", NULL},
		{"$share/g/1/x", NULL},
	};
	struct device *observer = echoing_observer_new(h), *handler = handler_new(h, "cashewd");
	device_connect(handler);
	check_publishes(h, handler, observer, cases, COUNT(cases));
}

HARNESS_CASE(bare_commands_of_every_qos)
{
	struct device *observer = observer_new(h), *device = device_new(h, "auth0|5f-7.A_z");
	device->client_id = "auth0|5f-7.A_z/phone";
	device_connect(device);
	for (int qos = 0; qos <= 2; qos++) {
		publish(device, "request_contact", "{\"contact_id\":\"2\"}", qos, false);
		const struct device_message *message =
			device_expect(observer, "auth0|5f-7.A_z/request_contact");
		assert_int_equal(message->qos, qos);
		assert_string_equal(message->payload, "{\"contact_id\":\"2\"}");
	}
	/* With what MQTT 5 has to keep a topic short: an alias, set and used. */
	for (int i = 0; i < 2; i++) {
		mosquitto_property *properties = NULL;
		assert_int_equal(mosquitto_property_add_int16(&properties, MQTT_PROP_TOPIC_ALIAS, 1), 0);
		assert_int_equal(mosquitto_publish_v5(device->mosquitto, NULL, i == 0 ? "get_apples" : NULL,
					 2, "{}", 1, false, properties),
			0);
		mosquitto_property_free_all(&properties);
		device_expect(observer, "auth0|5f-7.A_z/get_apples");
	}
	/* A user id that looks like a command. */
	struct device *ping = device_new(h, "ping");
	device_connect(ping);
	device_wait_puback(ping, publish(ping, "ping", "{}", 1, false));
	device_expect(observer, "ping/ping");
	assert_int_equal(device_count_on(observer, "ping"), 0);
}

/* ---- Retained messages ---- */

HARNESS_CASE(retained_messages)
{
	struct device *one = device_new(h, "1"), *two = device_new(h, "2"),
		      *handler = handler_new(h, "cashewd");
	one->quiet = two->quiet = true;
	device_connect(one);
	device_connect(two);
	device_connect(handler);
	assert_in_range(device_wait_puback(one, publish(one, "1/state", "mine", 1, true)), 0, 16);
	assert_in_range(device_wait_puback(one, publish(one, "mood", "good", 1, true)), 0, 16);
	assert_int_equal(device_wait_puback(one, publish(one, "2/state", "theirs", 1, true)), REFUSED);
	assert_in_range(device_wait_puback(handler, publish(handler, "2/kept", "event", 1, true)), 0, 16);
	assert_int_equal(device_subscribe(one, "1/#", 1), 1);
	assert_int_equal(device_subscribe(two, "2/#", 1), 1);
	assert_int_equal(device_subscribe(handler, "#", 1), 1);
	assert_true(device_expect(one, "1/state")->retain);
	assert_true(device_expect(one, "1/mood")->retain);
	assert_true(device_expect(two, "2/kept")->retain);
	device_wait_count(handler, "1/state", 1);
	device_wait_count(handler, "1/mood", 1);
	device_wait_count(handler, "2/kept", 1);
	device_barrier(handler, one, "1/barrier");
	device_barrier(handler, two, "2/barrier");
	assert_int_equal(one->message_count, 3);
	assert_int_equal(two->message_count, 2);
	assert_int_equal(handler->message_count, 3);
}

/* ---- Last wills ---- */

HARNESS_CASE(last_wills)
{
	static const struct {
		const char *topic;
		bool arrives;
	} cases[] = {
		{"1/gone", true}, {"2/gone", false}, {"12/gone", false}, {"$SYS/gone", false},
		{"/gone", false}, {"gone", false}, /* not rewritten, and nobody is sent what has no user id */
	};
	struct device *observer = echoing_observer_new(h), *two = device_new(h, "2");
	device_connect(two);
	const char *token = user_token(h, HARNESS_SECRET, "1", 0, 3600);
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		const char *id = harness_format(h, "1/will-%zu", i);
		const struct visitor visitor = {.username = "JWT",
			.password = token,
			.client_id = id,
			.will_topic = cases[i / 2].topic,
			.will_retain = i % 2 == 1};
		const size_t before = observer->message_count;
		int connack;
		struct mosquitto *m = visitor_connect(h, &visitor, &connack);
		assert_int_equal(connack, 0);
		shutdown(mosquitto_socket(m), SHUT_RDWR);
		mosquitto_destroy(m);
		/* This is logged just before the will is sent. */
		expect_log(h, harness_format(h, "Client %s closed its connection.", id));
		device_barrier(observer, observer, harness_format(h, "barrier/%zu", i));
		const size_t arrived = observer->message_count - before - 1;
		if (arrived != cases[i / 2].arrives)
			harness_fail("a will on %s: %zu messages", cases[i / 2].topic, arrived);
		if (arrived == 1)
			assert_string_equal(observer->messages[before].topic, cases[i / 2].topic);
	}
	device_barrier(observer, two, "2/barrier");
	assert_int_equal(two->message_count, 1);
	/* Of the retained ones only the allowed one is kept where someone can be sent it. */
	struct device *late = observer_new(h);
	device_expect(late, "1/gone");
	device_barrier(observer, late, "barrier/last");
	assert_int_equal(late->message_count, 2);
}

/* ---- Sessions ---- */

static void check_offline_session(struct harness *h, bool restart)
{
	struct device *phone = device_new(h, "1"), *handler = handler_new(h, "cashewd");
	phone->keep_session = true;
	device_connect(phone);
	device_drop(phone);
	device_connect(handler);
	expect_log(h, harness_format(h, "Client %s closed its connection.", phone->client_id));
	assert_int_equal(device_publish_answered(handler, "1/got_apples", "while away"), 0);
	assert_int_equal(device_publish_answered(handler, "12/got_apples", "of another"),
		MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	if (restart) {
		device_disconnect(handler);
		broker_stop(harness_broker(h));
		broker_start(harness_broker(h));
		device_connect(handler);
		assert_int_equal(device_publish_answered(handler, "1/got_more", "after the restart"), 0);
	}
	device_connect(phone);
	assert_string_equal(device_expect(phone, "got_apples")->payload, "while away");
	if (restart)
		assert_string_equal(device_expect(phone, "got_more")->payload, "after the restart");
	device_barrier(handler, phone, "1/barrier");
	assert_int_equal(phone->message_count, restart ? 3 : 2);
}

HARNESS_CASE(a_session_is_served_while_its_device_is_away)
{
	check_offline_session(h, false);
}

HARNESS_CASE(a_session_is_served_after_a_restart)
{
	check_offline_session(h, true);
}

HARNESS_MAIN(HARNESS_TEST(subscriptions), HARNESS_TEST(a_device_is_sent_only_its_own),
	HARNESS_TEST(what_a_device_publishes), HARNESS_TEST(what_a_handler_publishes),
	HARNESS_TEST(bare_commands_of_every_qos), HARNESS_TEST(retained_messages), HARNESS_TEST(last_wills),
	HARNESS_TEST(a_session_is_served_while_its_device_is_away),
	HARNESS_TEST(a_session_is_served_after_a_restart))
