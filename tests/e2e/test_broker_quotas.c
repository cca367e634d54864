/*
 * test_broker_quotas.c - examples/broker's limits and quotas in a real mosquitto, as they are shipped: what one user may do, whatever connections
 * he does it with, and that others do not notice.
 *
 * Rates go on while a case runs, however slow the machine is: so the cases ask for more than any machine gives in the time, or for bounds that hold
 * at any speed. What happens at which millisecond is in tests/unit/examples/broker.
 */
#include "harness.h"
#include "token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REFUSED = MQTT_RC_NOT_AUTHORIZED, REFUSED_311 = 5, SUBSCRIPTION_REFUSED_311 = 0x80 };

static void start_broker(struct harness *h, const char *extra)
{
	harness_broker_with(h, &(struct broker_options){.example_limits = true, .extra = extra});
}

/* Connected, and sent everything below all user ids. */
static struct device *observer_new(struct harness *h)
{
	struct device *observer = device_new_handler(h, "observer");
	device_connect(observer);
	assert_int_equal(device_subscribe(observer, "#", 1), 1);
	return observer;
}

static size_t publish_sized(struct device *device, const char *topic, size_t size, bool retain)
{
	static char payload[2 * 1024 * 1024];
	return device_publish_with(device, NULL,
		&(struct device_publish_options){.topic = topic,
			.payload = payload,
			.payload_size = size,
			.qos = 1,
			.retain = retain});
}

/* Publishes so often, waits for the PUBACKs; how many were taken. */
static size_t publish_many(struct device *device, const char *topic, size_t size, size_t count)
{
	const size_t first = device->published_count;
	size_t taken = 0;
	for (size_t i = 0; i < count; i++)
		publish_sized(device, topic, size, false);
	device_wait_all_pubacks(device);
	for (size_t i = first; i < device->published_count; i++) {
		const int reason = device->published[i].reason;
		assert_true(reason == 0 || reason == MQTT_RC_NO_MATCHING_SUBSCRIBERS || reason == REFUSED);
		taken += reason != REFUSED;
	}
	return taken;
}

static bool is_closed(void *context)
{
	const struct device *device = context;
	return !device->connected;
}

static void wait_closed(struct harness *h, struct device *device)
{
	harness_wait(h, is_closed, device, "the broker to close the connection of %s", device->client_id);
}

/* ---- The broker's log ---- */

static void expect_log(struct harness *h, const char *text)
{
	broker_wait_log(h, harness_broker(h), text, 1);
}

/* ---- Messages ---- */

HARNESS_CASE(messages_over_the_rate_are_refused)
{
	start_broker(h, NULL);
	struct device *observer = observer_new(h), *flooder = device_new(h, "1"),
		      *second = device_new(h, "1"), *other = device_new(h, "2");
	device_connect(flooder);
	device_connect(second);
	device_connect(other);
	const size_t taken = publish_many(flooder, "1/ping", 10, 900);
	/* 50 a second, and 200 at once. */
	assert_in_range(taken, 200, 850);
	/* Neither another connection nor a new one has more. */
	assert_in_range(publish_many(second, "1/ping", 10, 150), 0, 140);
	device_disconnect(flooder);
	device_connect(flooder);
	assert_in_range(publish_many(flooder, "1/ping", 10, 150), 0, 140);
	assert_int_equal(publish_many(other, "2/ping", 10, 200), 200);
	device_wait_count(observer, "2/ping", 200);
	/* What was refused went nowhere: the observer has been sent what was taken, in order, and no more. */
	assert_in_range(device_count_on(observer, "1/ping"), taken, taken + 1000);
	expect_log(h, "user 1 is over its quota: refused 1 messages over the rate");
	assert_in_range(broker_count_log(harness_broker(h), "is over its quota"), 1, 2);
	/* The counter of all that was refused. */
	kill(broker_pid(harness_broker(h)), SIGHUP);
	expect_log(h, "over quotas were refused since the start: ");
	assert_int_equal(broker_count_log(harness_broker(h), "refused since the start: nothing"), 0);
}

HARNESS_CASE(under_mqtt_311_what_is_refused_is_acknowledged_and_reaches_nobody)
{
	start_broker(h, NULL);
	struct device *observer = observer_new(h), *flooder = device_new(h, "1");
	flooder->mqtt311 = true;
	device_connect(flooder);
	assert_int_equal(publish_many(flooder, "1/ping", 10, 1000), 1000);
	assert_true(flooder->connected);
	struct device *other = device_new(h, "2");
	device_connect(other);
	assert_int_equal(publish_many(other, "2/ping", 10, 1), 1);
	device_expect(observer, "2/ping");
	assert_in_range(device_count_on(observer, "1/ping"), 200, 950);
}

HARNESS_CASE(bytes_over_the_rate_are_refused)
{
	start_broker(h, NULL);
	struct device *flooder = device_new(h, "1");
	device_connect(flooder);
	/* 256 KiB a second, and 1 MiB at once. */
	assert_in_range(publish_many(flooder, "1/ping", 100000, 18), 10, 17);
	expect_log(h, "messages over the rate of bytes");
}

HARNESS_CASE(properties_count_as_bytes)
{
	start_broker(h, NULL);
	struct device *flooder = device_new(h, "1");
	device_connect(flooder);
	char *correlation = harness_format(h, "%060000d", 0);
	const size_t first = flooder->published_count;
	for (unsigned i = 0; i < 150; i++)
		device_publish_with(flooder, "ping",
			&(struct device_publish_options){
				.payload = "1", .payload_size = 1, .qos = 1, .correlation = correlation});
	device_wait_all_pubacks(flooder);
	size_t refused = 0;
	for (size_t i = first; i < flooder->published_count; i++)
		refused += flooder->published[i].reason == REFUSED;
	assert_in_range(refused, 1, 135);
	expect_log(h, "messages over the rate of bytes");
}

/* mosquitto reads such a client and nobody else: so it is cut off. Also one that floods what it may not do at all. */
HARNESS_CASE(who_goes_on_after_many_refusals_is_cut_off)
{
	start_broker(h, NULL);
	const char *const topics[] = {"1/ping", "2/ping"};
	for (size_t i = 0; i < 2; i++) {
		struct device *flooder = device_new(h, i == 0 ? "1" : "3"), *other = device_new(h, "2");
		flooder->mqtt311 = i == 1;
		device_connect(flooder);
		device_connect(other);
		/* All of it is on its way before the broker reads any. */
		broker_pause(harness_broker(h));
		for (unsigned k = 0; k < 1500; k++)
			publish_sized(flooder, topics[i], 10, false);
		broker_resume(harness_broker(h));
		wait_closed(h, flooder);
		assert_int_equal(publish_many(other, "2/ping", 10, 1), 1);
	}
	expect_log(h, "user 3 is over its quota: refused 1 connections that went on all the same");
}

HARNESS_CASE(a_device_retains_nothing)
{
	start_broker(h, NULL);
	struct device *device = device_new(h, "1"), *handler = device_new_handler(h, "handler");
	device_connect(device);
	device_connect(handler);
	assert_int_equal(device_wait_puback(device, publish_sized(device, "1/kept", 1, true)), REFUSED);
	assert_in_range(device_wait_puback(handler, publish_sized(handler, "1/kept_by_handler", 1, true)), 0,
		MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	struct device *late = observer_new(h);
	device_expect(late, "1/kept_by_handler");
	assert_int_equal(late->message_count, 1);
	expect_log(h, "refused 1 retained messages");
}

HARNESS_CASE(handlers_have_no_quota)
{
	start_broker(h, NULL);
	struct device *handler = device_new_handler(h, "handler");
	device_connect(handler);
	assert_int_equal(publish_many(handler, "1/got_apples", 10, 5000), 5000);
	for (unsigned i = 0; i < 150; i++)
		assert_int_equal(device_subscribe(handler, harness_format(h, "%u/x", i), 1), 1);
	for (unsigned i = 0; i < 60; i++) {
		device_disconnect(handler);
		device_connect(handler);
	}
	assert_int_equal(broker_count_log(harness_broker(h), "is over its quota"), 0);
}

/* ---- Sizes ---- */

HARNESS_CASE(large_payloads_are_refused)
{
	start_broker(h, NULL);
	struct device *device = device_new(h, "1");
	device_connect(device);
	assert_in_range(device_wait_puback(device, publish_sized(device, "1/ping", 131072, false)), 0,
		MQTT_RC_NO_MATCHING_SUBSCRIBERS);
	struct device *old = device_new(h, "1");
	old->mqtt311 = true;
	device_connect(old);
	assert_int_equal(device_wait_puback(old, publish_sized(old, "1/ping", 131073, false)), 0);
	assert_true(old->connected);
	/* mosquitto says "packet too large", which MQTT 5 has for no PUBACK: libmosquitto 2.0.21 ends its connection for that, 2.0.11 does not. */
	int major, minor, revision;
	mosquitto_lib_version(&major, &minor, &revision);
	const int mid = publish_sized(device, "1/ping", 131073, false);
	if (major == 2 && minor == 0 && revision <= 11) {
		assert_int_equal(device_wait_puback(device, mid), MQTT_RC_PACKET_TOO_LARGE);
		assert_true(device->connected);
	} else {
		wait_closed(h, device);
	}
}

struct stranger {
	int fd;
};

static bool stranger_is_closed(void *context)
{
	struct stranger *stranger = context;
	char byte;
	const ssize_t size = recv(stranger->fd, &byte, 1, MSG_DONTWAIT);
	return size == 0 || (size < 0 && errno != EAGAIN);
}

/* The beginning of a CONNECT that says it has a megabyte: nobody has to show a token for that. */
HARNESS_CASE(a_large_connect_ends_the_connection_at_its_first_bytes)
{
	static const unsigned char beginning[] = {0x10, 0xc0, 0x84, 0x3d, 0, 4, 'M', 'Q', 'T', 'T', 5};
	harness_broker_with(h, &(struct broker_options){.example_limits = true, .plain = true});
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)broker_port(harness_broker(h))),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct stranger stranger = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(connect(stranger.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(stranger.fd, beginning, sizeof(beginning), MSG_NOSIGNAL), sizeof(beginning));
	harness_wait(h, stranger_is_closed, &stranger, "the broker to close the connection");
	close(stranger.fd);
}

/* ---- Subscriptions ---- */

HARNESS_CASE(a_session_has_a_hundred_subscriptions)
{
	start_broker(h, NULL);
	for (int mqtt311 = 0; mqtt311 <= 1; mqtt311++) {
		struct device *device = device_new(h, "1");
		device->mqtt311 = mqtt311;
		device->quiet = true;
		device_connect(device);
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(device_subscribe(device, harness_format(h, "1/%u", i), 1), 1);
		assert_int_equal(
			device_subscribe(device, "1/more", 1), mqtt311 ? SUBSCRIPTION_REFUSED_311 : REFUSED);
		struct device *another = device_new(h, "1");
		device_connect(another);
	}
	expect_log(h, "refused 1 subscriptions");
}

/* The broker looks at a session's subscriptions when the plugin closes a connection: a hundred are not too many then. */
HARNESS_CASE(the_end_of_a_token_costs_no_subscription)
{
	start_broker(h, NULL);
	struct device *device = device_new(h, "1"), *handler = device_new_handler(h, "handler");
	char *token = NULL;
	assert_int_equal(token_sign_user(HARNESS_SECRET, "1", (int64_t)time(NULL), 5, &token), 0);
	const char *whole = device->token;
	device->token = token;
	device->keep_session = device->quiet = true;
	device_connect(device);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(device_subscribe(device, harness_format(h, "1/%u", i), 1), 1);
	wait_closed(h, device);
	expect_log(h, "has expired");
	free(token);
	device_connect(handler);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(device_wait_puback(handler,
					 publish_sized(handler, harness_format(h, "1/%u", i), 1, false)),
			0);
	device->token = whole;
	device_connect(device);
	for (unsigned i = 0; i < 100; i++)
		device_expect(device, harness_format(h, "1/%u", i));
}

/* ---- Connections and sessions ---- */

#define MANY_CONNECTS "plugin_opt_quota_connects_per_minute 0\n"

HARNESS_CASE(a_user_has_twenty_connections)
{
	start_broker(h, MANY_CONNECTS);
	struct device *devices[22];
	for (unsigned i = 0; i < 22; i++) {
		devices[i] = device_new(h, "1");
		devices[i]->mqtt311 = i % 2 == 0;
		if (i < 20)
			device_connect(devices[i]);
	}
	assert_int_equal(device_try_connect(devices[20]), REFUSED_311);
	assert_int_equal(device_try_connect(devices[21]), REFUSED);
	struct device *other = device_new(h, "2");
	device_connect(other);
	/* One that takes over the connection of its own client id needs no room. */
	struct device *same = device_new(h, "1");
	same->client_id = devices[3]->client_id;
	device_connect(same);
	wait_closed(h, devices[3]);
	assert_int_equal(device_try_connect(devices[21]), REFUSED);
	device_disconnect(same);
	device_connect(devices[21]);
	assert_int_equal(device_try_connect(devices[20]), REFUSED_311);
	expect_log(h, "user 1 is over its quota: refused 1 connections");
}

HARNESS_CASE(a_user_has_ten_sessions_that_stay)
{
	start_broker(h, MANY_CONNECTS);
	struct device *devices[11];
	for (unsigned i = 0; i < 11; i++) {
		devices[i] = device_new(h, "1");
		devices[i]->mqtt311 = i % 2 == 0;
		devices[i]->keep_session = true;
		if (i == 10)
			break;
		device_connect(devices[i]);
		device_disconnect(devices[i]);
	}
	assert_int_equal(device_try_connect(devices[10]), REFUSED_311);
	expect_log(h, "user 1 is over its quota: refused 1 sessions");
	/* Its own it keeps, also those that the plugin has looked for, and one that leaves nothing behind it may have. */
	for (unsigned i = 0; i < 10; i++) {
		device_connect(devices[i]);
		assert_int_equal(publish_many(devices[i], "1/ping", 1, 1), 1);
		device_disconnect(devices[i]);
	}
	struct device *clean = device_new(h, "1");
	clean->mqtt311 = true;
	device_connect(clean);
	/* Where one has ended there is room. */
	devices[4]->keep_session = false;
	device_connect(devices[4]);
	device_disconnect(devices[4]);
	device_connect(devices[10]);
}

/* Sessions that the broker has forgotten, of which no plugin is told, cost nothing: pages of a browser. */
HARNESS_CASE(sessions_that_have_ended_do_not_count)
{
	start_broker(h, MANY_CONNECTS);
	struct device *kept = device_new(h, "1");
	kept->keep_session = true;
	device_connect(kept);
	device_disconnect(kept);
	for (unsigned i = 0; i < 20; i++) {
		struct device *page = device_new(h, "1");
		page->quiet = true;
		device_connect(page);
		device_disconnect(page);
	}
	/* The one that is there has not been hurt by the looks. */
	struct device *handler = device_new_handler(h, "handler");
	device_connect(handler);
	assert_int_equal(device_wait_puback(handler, publish_sized(handler, "1/got_apples", 1, false)), 0);
	device_connect(kept);
	device_expect(kept, "got_apples");
}

HARNESS_CASE(connects_over_the_rate_are_refused)
{
	start_broker(h, NULL);
	struct device *device = device_new(h, "1");
	device->quiet = true;
	unsigned in = 0;
	for (unsigned i = 0; i < 100; i++) {
		const int connack = device_try_connect(device);
		assert_true(connack == 0 || connack == REFUSED);
		in += connack == 0;
		device_drop(device);
	}
	/* 20 a minute, and 20 at once. */
	assert_in_range(in, 20, 40);
	struct device *other = device_new(h, "2");
	device_connect(other);
	expect_log(h, "user 1 is over its quota: refused 1 connects over the rate");
	/* One line a minute, and one or two for each that got in. */
	assert_in_range(broker_count_log(harness_broker(h), "cashew plugin"), 22, 100);
}

/* ---- Logins ---- */

HARNESS_CASE(failed_logins_are_limited_by_address)
{
	start_broker(h, "plugin_opt_quota_exempt_addresses none\n");
	struct device *stranger = device_new(h, "1"), *honest = device_new(h, "2");
	stranger->token = "x.y.z";
	device_connect(honest);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(device_try_connect(stranger), REFUSED);
	assert_in_range(broker_count_log(harness_broker(h), "refused client"), 30, 60);
	expect_log(h, "is over its quota: refused 1 logins after too many that failed");
	/* Who is in stays; from that address nobody gets in for now, whatever the token: but one every two seconds, whom the stranger may be too slow to
	 * keep out. */
	assert_int_equal(publish_many(honest, "2/ping", 1, 1), 1);
	struct device *neighbour = device_new(h, "3");
	int connack = 0;
	for (unsigned i = 0; i < 10 && connack == 0; i++) {
		assert_int_equal(device_try_connect(stranger), REFUSED);
		connack = device_try_connect(neighbour);
		device_drop(neighbour);
	}
	assert_int_equal(connack, REFUSED);
}

HARNESS_CASE(exempt_addresses_may_fail)
{
	start_broker(h, NULL);
	struct device *stranger = device_new(h, "1"), *neighbour = device_new(h, "2");
	stranger->token = "x.y.z";
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(device_try_connect(stranger), REFUSED);
	device_connect(neighbour);
	assert_in_range(broker_count_log(harness_broker(h), "refused client"), 30, 60);
}

/* ---- Listeners ---- */

/* All connections of the devices' listener are taken: the host's are not. */
HARNESS_CASE(devices_cannot_take_the_hosts_connections)
{
	start_broker(h, "max_connections 3\n");
	struct device *devices[3];
	for (unsigned i = 0; i < 3; i++) {
		devices[i] = device_new(h, harness_format(h, "%u", i));
		device_connect(devices[i]);
	}
	struct device *late = device_new(h, "4");
	assert_int_equal(device_try_connect(late), -1);
	harness_host(h);
	device_command(devices[0], "get_apples", "{}");
	device_expect(devices[0], "got_apples");
	device_disconnect(devices[1]);
	device_connect(late);
}

HARNESS_MAIN(HARNESS_TEST(messages_over_the_rate_are_refused),
	HARNESS_TEST(under_mqtt_311_what_is_refused_is_acknowledged_and_reaches_nobody),
	HARNESS_TEST(bytes_over_the_rate_are_refused), HARNESS_TEST(properties_count_as_bytes),
	HARNESS_TEST(who_goes_on_after_many_refusals_is_cut_off), HARNESS_TEST(a_device_retains_nothing),
	HARNESS_TEST(handlers_have_no_quota), HARNESS_TEST(large_payloads_are_refused),
	HARNESS_TEST(a_large_connect_ends_the_connection_at_its_first_bytes),
	HARNESS_TEST(a_session_has_a_hundred_subscriptions),
	HARNESS_TEST(the_end_of_a_token_costs_no_subscription), HARNESS_TEST(a_user_has_twenty_connections),
	HARNESS_TEST(a_user_has_ten_sessions_that_stay), HARNESS_TEST(sessions_that_have_ended_do_not_count),
	HARNESS_TEST(connects_over_the_rate_are_refused), HARNESS_TEST(failed_logins_are_limited_by_address),
	HARNESS_TEST(exempt_addresses_may_fail), HARNESS_TEST(devices_cannot_take_the_hosts_connections))
