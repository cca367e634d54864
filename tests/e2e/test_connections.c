/*
 * test_connections.c - whatever way the broker is not there, or goes away: the host says why, reconnects for
 * ever, and loses no command.
 */
#include "harness.h"
#include "scripted_broker.h"
#include <stdlib.h>
#include <string.h>

/* MQTT 5.0 section 2.4 */
enum { NOT_AUTHORIZED = 0x87, SERVER_UNAVAILABLE = 0x88, SESSION_TAKEN_OVER = 0x8e };
/* MQTT 5.0 section 2.2.2.2 */
enum { SESSION_EXPIRY_INTERVAL = 0x11, RECEIVE_MAXIMUM = 0x21 };

static struct device *connect_device(struct harness *h, const struct broker *broker, const char *user)
{
	struct device *device = device_new(h, user);
	device->broker = broker;
	device_connect(device);
	return device;
}

static struct host *new_host(struct harness *h, const struct broker *broker)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_broker(host, broker);
	return host;
}

static void assert_serves(struct harness *h, const struct broker *broker)
{
	struct device *phone = connect_device(h, broker, "68946");
	device_command(phone, "get_apples", "{}");
	device_expect(phone, "got_apples");
	device_disconnect(phone);
}

/* ---- Reasons not to be let in ---- */

static void reason_then_cure(struct harness *h, enum broker_certificate certificate, const char *reason)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.certificate = certificate});
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_start(host);
	/* More than once: it goes on trying. */
	for (int i = 0; i < 3; i++) {
		json_t *record = host_expect_log(host, "broker_unreachable", "connection", "egress");
		const char *told = json_string_value(json_object_get(record, "reason"));
		if (told == NULL || strstr(told, reason) == NULL)
			harness_fail("the reason is \"%s\", which does not say \"%s\"", told, reason);
	}
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
	broker_stop(broker);
	broker_set_certificate(broker, BROKER_GOOD);
	broker_start(broker);
	host_wait_ready(host);
	assert_serves(h, broker);
}

HARNESS_CASE(certificate_of_an_unknown_authority)
{
	reason_then_cure(h, BROKER_OTHER_CA, "issuer certificate");
}

HARNESS_CASE(certificate_that_has_expired)
{
	reason_then_cure(h, BROKER_EXPIRED, "expired");
}

HARNESS_CASE(certificate_for_another_name)
{
	reason_then_cure(h, BROKER_WRONG_NAME, "localhost");
}

HARNESS_CASE(plain_broker_on_the_tls_port)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.plain = true});
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_set(host, "BROKER_TLS", "on");
	host_set(host, "BROKER_CA_FILE", broker_ca_file(harness_broker(h)));
	host_start(host);
	for (int i = 0; i < 3; i++) {
		const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
		assert_non_null(strstr(json_string_value(json_object_get(record, "reason")), "TLS"));
	}
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
}

HARNESS_CASE(tls_broker_and_a_host_without_tls)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_set(host, "BROKER_TLS", "off");
	host_start(host);
	host_expect_log(host, "tls_off");
	for (int i = 0; i < 2; i++)
		host_expect_log(host, "broker_unreachable", "connection", "main", "reason", "*");
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
}

HARNESS_CASE(token_that_is_refused)
{
	struct broker *broker = harness_broker(h);
	struct host *host = new_host(h, broker);
	host_set(host, "JWT_SECRET", "not the broker's secret, but of a good length");
	host_start(host);
	for (int i = 0; i < 3; i++) {
		const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
		assert_non_null(strstr(json_string_value(json_object_get(record, "reason")), "JWT_SECRET"));
	}
	assert_false(host_wrote(host, "not the broker's secret"));
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
}

HARNESS_CASE(host_name_that_does_not_resolve)
{
	struct host *host = new_host(h, harness_broker(h));
	host_set(host, "BROKER_HOST", "nowhere.invalid");
	host_start(host);
	const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_non_null(strstr(json_string_value(json_object_get(record, "reason")), "nowhere.invalid"));
}

/* ---- What it says as it connects, and what it makes of the answers ---- */

static struct host *start_scripted(struct harness *h, struct scripted_broker *broker)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, broker);
	host_start(host);
	return host;
}

HARNESS_CASE(connect_asks_for_a_session_and_a_window)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, broker);
	host_set(host, "SESSION_EXPIRY", "12345");
	host_set(host, "GROUP_MAX", "700");
	host_set(host, "KEEPALIVE", "42");
	host_start(host);
	struct scripted_pair links = scripted_welcome(broker, NULL);
	const struct mqtt_packet *connect = links.ingress->connect;
	assert_int_equal(connect->protocol, 5);
	assert_string_equal(connect->client_id, "cashewd");
	assert_string_equal(connect->user_name, "JWT");
	assert_false(connect->clean_start);
	assert_int_equal(connect->keepalive_s, 42);
	assert_int_equal(mqtt_property(connect, SESSION_EXPIRY_INTERVAL)->number, 12345);
	assert_in_range(mqtt_property(connect, RECEIVE_MAXIMUM)->number, 1400, 65535);

	/* Events need no session, and must not take over that of another host. */
	assert_true(links.egress->connect->clean_start);
	assert_string_not_equal(links.egress->connect->client_id, "cashewd");
	host_wait_ready(host);
	size_t filters = 0;
	for (size_t i = 0; i < links.ingress->packet_count; i++) {
		const struct mqtt_packet *packet = &links.ingress->packets[i]->packet;
		if (packet->type != MQTT_SUBSCRIBE)
			continue;
		for (size_t j = 0; j < packet->filter_count; j++, filters++) {
			assert_int_equal(packet->options[j] & 3, 1);
			/* Retain Handling 2: retained commands are not sent at all. */
			assert_int_equal(packet->options[j] >> 4 & 3, 2);
		}
	}
	/* Ten handlers, two of them on one topic. */
	assert_int_equal(filters, 9);
}

HARNESS_CASE(suback_that_refuses)
{
	static const uint8_t codes[] = {NOT_AUTHORIZED, 0x80, 0};
	for (size_t i = 0; i < sizeof(codes); i++) {
		struct scripted_broker *broker = scripted_new(h);
		struct host *host = start_scripted(h, broker);
		struct scripted_link *ingress = NULL;
		for (int j = 0; j < 2; j++) {
			struct scripted_link *link = scripted_accept(broker);
			link->grants = !scripted_is_ingress(link);
			if (scripted_is_ingress(link))
				ingress = link;
			scripted_connack(link, false, 0);
		}
		const struct mqtt_packet *subscribe = scripted_expect(ingress, MQTT_SUBSCRIBE);
		const char *filter = subscribe->filters[0];
		scripted_suback(ingress, subscribe, codes[i]);
		host_expect_log(host, "subscription_refused", "filter", filter, "granted",
			harness_format(h, "%d", codes[i]));
		/* The others are granted, but without this one it is not ready. */
		ingress->grants = true;
		for (size_t granted = 1; granted < 9; granted++)
			scripted_suback(ingress, scripted_expect(ingress, MQTT_SUBSCRIBE), 1);
		assert_int_equal(host_count_log(host, "ready"), 0);
		host_kill(host);
	}
}

HARNESS_CASE(connack_that_refuses_for_now)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	for (int i = 0; i < 4; i++) {
		struct scripted_link *link = scripted_accept(broker);
		scripted_connack(link, false, SERVER_UNAVAILABLE);
		scripted_expect_close(link);
	}
	(void)scripted_welcome(broker, NULL);
	host_wait_ready(host);
	assert_true(host_count_log(host, "broker_unreachable") >= 4);
}

HARNESS_CASE(broker_that_closes_without_a_word_gets_the_other_version)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	bool welcomed[2] = {false, false};
	/* Old brokers do this to MQTT 5. */
	while (!welcomed[0] || !welcomed[1]) {
		struct scripted_link *link = scripted_accept(broker);
		if (link->protocol == 5) {
			scripted_close(link);
			continue;
		}
		link->grants = true;
		welcomed[scripted_is_ingress(link)] = true;
		scripted_connack(link, false, 0);
	}
	host_wait_ready(host);
}

HARNESS_CASE(server_keep_alive_is_obeyed_and_told)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.server_keep_alive = 10});
	host_expect_log(host, "keepalive_lowered", "lane", "main", "keepalive_s", "10");
	host_wait_ready(host);
	/* A PINGREQ before one and a half times that. */
	const int64_t from_ms = harness_now_ms();
	(void)scripted_expect(links.ingress, MQTT_PINGREQ);
	(void)scripted_expect(links.egress, MQTT_PINGREQ);
	assert_in_range(harness_now_ms() - from_ms, 1, 15000);
}

/* ---- Another host; more of that in test_two_hosts.c ---- */

HARNESS_CASE(standby_waits_before_it_tries_again)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = host_new(h, HOST_PRODUCT);
	scripted_use(host, broker);
	host_set(host, "STANDBY_RETRY", "3");
	host_start(host);
	struct scripted_pair links = scripted_welcome(broker, NULL);
	host_wait_ready(host);
	const int64_t from_ms = harness_now_ms();
	scripted_disconnect(links.ingress, SESSION_TAKEN_OVER);
	host_expect_log(host, "standby");
	struct scripted_link *again = scripted_welcome_one(broker, NULL);
	assert_true(scripted_is_ingress(again));
	assert_true(harness_now_ms() - from_ms >= 3000 * 3 / 4);
	host_wait_ready(host);
}

/* ---- Ways to go away. Each over TLS and over plain TCP, with commands on their way. ---- */

enum { PINGS = 200 };

struct pings {
	const struct device *phone;
	size_t seen;
	bool answered[PINGS];
	int left;
};

static bool pings_answered(void *context)
{
	struct pings *pings = context;
	for (; pings->seen < pings->phone->message_count; pings->seen++) {
		const int number = atoi(pings->phone->messages[pings->seen].payload);
		pings->left -= !pings->answered[number];
		pings->answered[number] = true;
	}
	return pings->left == 0;
}

/* Numbered pings from a phone that repeats once what got no answer when the broker comes back: mosquitto
 * acknowledges before it has written. */
static void assert_pings_survive(struct harness *h, bool plain, void (*away)(struct broker *broker))
{
	struct broker *broker = broker_new(h, &(struct broker_options){.plain = plain});
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_set(host, "KEEPALIVE", "10");
	host_set(host, "HANDLER_TIMEOUT", "2");
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	phone->broker = broker;
	phone->keep_session = true;
	device_connect(phone);
	for (int i = 0; i < PINGS; i++)
		device_publish(phone, "ping", harness_format(h, "%d", i));
	away(broker);
	host_wait_ready(host);
	struct pings pings = {.phone = phone, .left = PINGS};
	device_connect(phone);
	if (!pings_answered(&pings))
		for (int i = 0; i < PINGS; i++)
			if (!pings.answered[i])
				device_publish(phone, "ping", harness_format(h, "%d", i));
	harness_wait(h, pings_answered, &pings, "answers to all %d pings", PINGS);
	assert_serves(h, broker);
}

static void away_stopped(struct broker *broker)
{
	broker_stop(broker);
	broker_start(broker);
}

static void away_killed(struct broker *broker)
{
	broker_kill(broker);
	broker_start(broker);
}

static void away_without_memory(struct broker *broker)
{
	broker_kill(broker);
	broker_forget(broker);
	broker_start(broker);
}

HARNESS_CASE(broker_stopped_and_started_tls)
{
	assert_pings_survive(h, false, away_stopped);
}

HARNESS_CASE(broker_stopped_and_started_plain)
{
	assert_pings_survive(h, true, away_stopped);
}

HARNESS_CASE(broker_killed_and_started_tls)
{
	assert_pings_survive(h, false, away_killed);
}

HARNESS_CASE(broker_killed_and_started_plain)
{
	assert_pings_survive(h, true, away_killed);
}

HARNESS_CASE(broker_restarted_without_its_session_tls)
{
	assert_pings_survive(h, false, away_without_memory);
}

HARNESS_CASE(broker_restarted_without_its_session_plain)
{
	assert_pings_survive(h, true, away_without_memory);
}

/* Until the host has noticed by itself: the black hole outlasts the keepalive. */
static void black_hole(struct harness *h, bool plain)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.plain = plain});
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_set(host, "KEEPALIVE", "10");
	host_set(host, "HANDLER_TIMEOUT", "2");
	host_start(host);
	host_wait_ready(host);
	struct device *phone = connect_device(h, broker, "68946");
	device_command(phone, "ping", "1");
	device_expect(phone, "pong");
	broker_pause(broker);
	host_expect_log(host, "broker_lost", "connection", "main");
	host_expect_log(host, "broker_lost", "connection", "egress");
	/* Connections are still taken, and nothing comes of them: the host's own timer ends that. */
	host_expect_log(host, "broker_unreachable", "connection", "main");
	broker_resume(broker);
	host_wait_ready(host);
	/* The first one's acknowledgement may have been on its way: then it comes again. */
	device_command(phone, "ping", "2");
	while (strcmp(device_expect(phone, "pong")->payload, "2") != 0)
		continue;
}

HARNESS_CASE(broker_becomes_a_black_hole_tls)
{
	black_hole(h, false);
}

HARNESS_CASE(broker_becomes_a_black_hole_plain)
{
	black_hole(h, true);
}

HARNESS_CASE(broker_is_a_black_hole_from_the_start)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	broker_pause(broker);
	struct host *host = new_host(h, broker);
	host_start(host);
	host_expect_log(host, "store_up");
	host_expect_log(host, "broker_unreachable", "connection", "main");
	/* The I/O thread is not blocked by it: a stop is heard at once, while it tries again. */
	const int64_t from_ms = harness_now_ms();
	host_stop(host);
	assert_in_range(harness_now_ms() - from_ms, 0, 5000);
	broker_resume(broker);
}

HARNESS_CASE(broker_comes_after_the_host)
{
	struct broker *broker = broker_new(h, NULL);
	struct host *host = new_host(h, broker);
	host_start(host);
	host_expect_log(host, "broker_unreachable", "connection", "main");
	broker_start(broker);
	host_wait_ready(host);
	assert_serves(h, broker);
}

HARNESS_CASE(connections_do_not_add_up)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_start(host);
	host_wait_ready(host);
	size_t descriptors = 0, rss_kib = 0;
	for (int i = 0; i < 12; i++) {
		assert_serves(h, broker);
		broker_stop(broker);
		host_expect_log(host, "broker_lost", "connection", "main");
		broker_start(broker);
		host_wait_ready(host);
		if (i == 3) { /* all buffers have been in use */
			descriptors = host_descriptors(host);
			rss_kib = host_rss_kib(host);
		}
	}
	assert_in_range(host_descriptors(host), 1, descriptors + 1);
	assert_in_range(host_rss_kib(host), 1, rss_kib + MEMORY_SLACK_KIB);
}

HARNESS_MAIN(HARNESS_TEST(certificate_of_an_unknown_authority), HARNESS_TEST(certificate_that_has_expired),
	HARNESS_TEST(certificate_for_another_name), HARNESS_TEST(plain_broker_on_the_tls_port),
	HARNESS_TEST(tls_broker_and_a_host_without_tls), HARNESS_TEST(token_that_is_refused),
	HARNESS_TEST(host_name_that_does_not_resolve), HARNESS_TEST(connect_asks_for_a_session_and_a_window),
	HARNESS_TEST(suback_that_refuses), HARNESS_TEST(connack_that_refuses_for_now),
	HARNESS_TEST(broker_that_closes_without_a_word_gets_the_other_version),
	HARNESS_TEST(server_keep_alive_is_obeyed_and_told), HARNESS_TEST(standby_waits_before_it_tries_again),
	HARNESS_TEST(broker_stopped_and_started_tls), HARNESS_TEST(broker_stopped_and_started_plain),
	HARNESS_TEST(broker_killed_and_started_tls), HARNESS_TEST(broker_killed_and_started_plain),
	HARNESS_TEST(broker_restarted_without_its_session_tls),
	HARNESS_TEST(broker_restarted_without_its_session_plain),
	HARNESS_TEST(broker_becomes_a_black_hole_tls), HARNESS_TEST(broker_becomes_a_black_hole_plain),
	HARNESS_TEST(broker_is_a_black_hole_from_the_start), HARNESS_TEST(broker_comes_after_the_host),
	HARNESS_TEST(connections_do_not_add_up))
