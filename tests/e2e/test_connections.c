/*
 * test_connections.c - why a broker does not let the host in, and what they say to each other as it connects.
 * The host says why, and tries for ever. Ways to go away: test_broker_away.c.
 */
#include "broker_parts.h"
#include "harness.h"
#include "scripted_broker.h"
#include "token.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* MQTT 5.0 section 2.4 */
enum { NOT_AUTHORIZED = 0x87, SERVER_UNAVAILABLE = 0x88, SESSION_TAKEN_OVER = 0x8e, QUOTA_EXCEEDED = 0x97 };
enum { FILTERS = 9 }; /* of the product's handlers */
/* MQTT 5.0 section 2.2.2.2 */
enum { SESSION_EXPIRY_INTERVAL = 0x11, RECEIVE_MAXIMUM = 0x21 };

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
		if (!told || !strstr(told, reason))
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
	host_set(host, "JWT_SECRET", "Hq5_Yx1Lc9-Wk3Ur7Ad2Pz6Ne8Vg4Tj0");
	host_start(host);
	for (int i = 0; i < 3; i++) {
		const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
		assert_non_null(strstr(json_string_value(json_object_get(record, "reason")), "JWT_SECRET"));
	}
	assert_false(host_wrote(host, "Hq5_Yx1L"));
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
	host_set(host, "WINDOW", "1400");
	host_set(host, "KEEPALIVE", "42");
	host_set(host, "BROKER_USER", "cashewd@example.org");
	host_start(host);
	struct scripted_pair links = scripted_welcome(broker, NULL);
	const struct mqtt_packet *connect = links.ingress->connect;
	assert_int_equal(connect->protocol, 5);
	assert_string_equal(connect->client_id, "cashewd");
	assert_string_equal(connect->user_name, "cashewd@example.org");
	assert_string_equal(links.egress->connect->user_name, "cashewd@example.org");
	assert_false(connect->clean_start);
	assert_int_equal(connect->keepalive_s, 42);
	assert_int_equal(mqtt_property(connect, SESSION_EXPIRY_INTERVAL)->number, 12345);
	assert_int_equal(mqtt_property(connect, RECEIVE_MAXIMUM)->number, 1400);

	/* Events need no session, and must not take over that of another host. */
	assert_true(links.egress->connect->clean_start);
	assert_string_not_equal(links.egress->connect->client_id, "cashewd");
	host_wait_ready(host);
	/* One SUBSCRIBE asks for all. */
	const struct mqtt_packet *subscribe = scripted_expect(links.ingress, MQTT_SUBSCRIBE);
	assert_int_equal(scripted_count(links.ingress, MQTT_SUBSCRIBE), 1);
	for (size_t i = 0; i < subscribe->filter_count; i++) {
		assert_int_equal(subscribe->options[i] & 3, 1);
		/* Retain Handling 2: retained commands are not sent at all. */
		assert_int_equal(subscribe->options[i] >> 4 & 3, 2);
	}
	/* Ten handlers, two of them on one topic. */
	assert_int_equal(subscribe->filter_count, FILTERS);
}

/* The egress has no session, and says nothing. */
HARNESS_CASE(broker_that_keeps_the_session_for_less)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	scripted_welcome(broker, &(struct scripted_welcome){.session_expiry_interval = 7200});
	host_expect_log(host, "session_expiry_capped", "connection", "main", "granted_s", "7200", "asked_s",
		"604800");
	host_wait_ready(host);
	assert_int_equal(host_count_log(host, "session_expiry_capped"), 1);
}

/* Both links; the lane's, whose SUBSCRIBE is for the test to answer. */
static struct scripted_link *accept_lane(struct scripted_broker *broker)
{
	struct scripted_link *ingress = NULL;
	for (int i = 0; i < 2; i++) {
		struct scripted_link *link = scripted_accept(broker);
		link->grants = !scripted_is_ingress(link);
		if (scripted_is_ingress(link))
			ingress = link;
		scripted_connack(link, false, 0);
	}
	return ingress;
}

static struct scripted_link *accept_again(struct scripted_broker *broker)
{
	struct scripted_link *link = scripted_accept(broker);
	assert_true(scripted_is_ingress(link));
	scripted_connack(link, false, 0);
	return link;
}

HARNESS_CASE(suback_that_refuses)
{
	static const uint8_t refused[] = {NOT_AUTHORIZED, 0x80, 0};
	for (size_t i = 0; i < sizeof(refused); i++) {
		struct scripted_broker *broker = scripted_new(h);
		struct host *host = start_scripted(h, broker);
		struct scripted_link *ingress = accept_lane(broker);
		const struct mqtt_packet *subscribe = scripted_expect(ingress, MQTT_SUBSCRIBE);
		uint8_t codes[FILTERS];
		memset(codes, 1, sizeof(codes));
		codes[4] = refused[i];
		scripted_suback_codes(ingress, subscribe, codes, FILTERS);
		host_expect_log(host, "subscription_refused", "filter", subscribe->filters[4], "granted",
			harness_format(h, "%d", refused[i]));
		/* The others are granted, but without this one it is not ready. */
		assert_int_equal(host_count_log(host, "subscription_refused"), 1);
		assert_int_equal(host_count_log(host, "ready"), 0);
		host_kill(host);
	}
}

/* Only those that were refused are asked for again: soon, as it is a limit that refused them. */
HARNESS_CASE(suback_that_refuses_some_for_now)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_link *ingress = accept_lane(broker);
	const struct mqtt_packet *all = scripted_expect(ingress, MQTT_SUBSCRIBE);
	static const uint8_t codes[FILTERS] = {1, QUOTA_EXCEEDED, 1, 1, QUOTA_EXCEEDED, 1, 1, 1, 1};
	scripted_suback_codes(ingress, all, codes, FILTERS);
	const struct mqtt_packet *some = scripted_expect(ingress, MQTT_SUBSCRIBE);
	assert_int_equal(some->filter_count, 2);
	assert_string_equal(some->filters[0], all->filters[1]);
	assert_string_equal(some->filters[1], all->filters[4]);
	scripted_suback_codes(ingress, some, (const uint8_t[]){1, QUOTA_EXCEEDED}, 2);
	const struct mqtt_packet *one = scripted_expect(ingress, MQTT_SUBSCRIBE);
	assert_int_equal(one->filter_count, 1);
	assert_string_equal(one->filters[0], all->filters[4]);
	assert_int_equal(host_count_log(host, "ready"), 0);
	scripted_suback(ingress, one, 1);
	host_wait_ready(host);
	assert_int_equal(host_count_log(host, "subscription_refused"), 3);
	assert_int_equal(host_count_log(host, "subscribe_split"), 0);
}

/* mosquitto with the plugin, and a token that is locked to two of the filters. */
HARNESS_CASE(broker_that_grants_some)
{
	static const char *const granted[] = {"+/get_apples", "+/ping"}, *const events[] = {"+/#"};
	const struct token_topics topics = {granted, 2, events, 1};
	char *token = NULL, reason[TOKEN_REASON_SIZE];
	assert_int_equal(token_sign_locked_handler(HARNESS_SECRET, "cashewd", &topics, (int64_t)time(NULL),
				 3600, &token, reason),
		0);
	struct host *host = new_host(h, harness_broker(h));
	host_set(host, "HANDLER_TOKEN_FILE", harness_write_file(h, "token", token));
	free(token);
	host_start(host);
	for (int i = 0; i < FILTERS - 2; i++) {
		const json_t *told = host_expect_log(host, "subscription_refused", "granted", "135");
		const char *filter = json_string_value(json_object_get(told, "filter"));
		for (size_t j = 0; j < 2; j++)
			assert_string_not_equal(filter, granted[j]);
	}
	assert_serves(h, harness_broker(h));
	assert_int_equal(host_count_log(host, "subscription_refused"), FILTERS - 2);
	assert_int_equal(host_count_log(host, "subscribe_split"), 0);
	assert_int_equal(host_count_log(host, "ready"), 0);
}

/* One that takes eight filters at most says so, or not. */
HARNESS_CASE(broker_that_takes_few_filters_at_once)
{
	for (int closes = 0; closes < 2; closes++) {
		struct scripted_broker *broker = scripted_new(h);
		struct host *host = start_scripted(h, broker);
		struct scripted_link *ingress = accept_lane(broker);
		const struct mqtt_packet *all = scripted_expect(ingress, MQTT_SUBSCRIBE);
		if (closes) {
			/* Once may be chance. */
			scripted_close(ingress);
			ingress = accept_again(broker);
			all = scripted_expect(ingress, MQTT_SUBSCRIBE);
			assert_int_equal(all->filter_count, FILTERS);
			assert_int_equal(host_count_log(host, "subscribe_split"), 0);
			scripted_close(ingress);
			ingress = accept_again(broker);
		} else {
			scripted_suback(ingress, all, QUOTA_EXCEEDED);
		}
		host_expect_log(host, "subscribe_split", "lane", "main", "filters", "9", "next", "8");
		for (size_t asked = 0, count; asked < FILTERS; asked += count) {
			const struct mqtt_packet *part = scripted_expect(ingress, MQTT_SUBSCRIBE);
			count = part->filter_count;
			assert_int_equal(count, asked == 0 ? 8 : 1);
			assert_string_equal(part->filters[0], all->filters[asked]);
			scripted_suback(ingress, part, 1);
		}
		host_wait_ready(host);
		assert_int_equal(host_count_log(host, "subscription_refused"), 0);
		host_kill(host);
	}
}

/* Which filters are granted nobody knows. */
HARNESS_CASE(suback_with_too_few_codes)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_link *ingress = accept_lane(broker);
	const struct mqtt_packet *all = scripted_expect(ingress, MQTT_SUBSCRIBE);
	scripted_suback_codes(ingress, all, (const uint8_t[]){1, 1, 1}, 3);
	host_expect_log(host, "suback_malformed", "lane", "main", "filters", "9", "codes", "3");
	host_expect_log(host, "broker_lost", "connection", "main", "reason",
		"its SUBACK does not answer the SUBSCRIBE");
	scripted_expect_close(ingress);
	ingress = accept_again(broker);
	ingress->grants = true;
	scripted_wait_count(ingress, MQTT_SUBSCRIBE, 2);
	host_wait_ready(host);
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

/* It is asked for MQTT 5 once, and not by each host anew. */
HARNESS_CASE(broker_that_speaks_3_1_1_is_asked_for_5_once)
{
	enum { UNACCEPTABLE_PROTOCOL_VERSION = 1 };
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	host_may_die(host);
	for (unsigned hosts = 0; hosts < 3; hosts++) {
		unsigned refused = 0;
		for (unsigned welcomed = 0; welcomed < 2;) {
			struct scripted_link *link = scripted_accept(broker);
			link->grants = true;
			if (link->protocol == 5) {
				scripted_connack(link, false, UNACCEPTABLE_PROTOCOL_VERSION);
				refused++;
			} else {
				scripted_connack(link, hosts > 0 && scripted_is_ingress(link), 0);
				welcomed++;
			}
		}
		assert_int_equal(refused, hosts == 0 ? 2 : 0);
		host_wait_ready(host);
		if (hosts < 2)
			host_signal_child(host, SIGKILL);
	}
}

HARNESS_CASE(server_keep_alive_is_obeyed)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.server_keep_alive = 10});
	host_wait_ready(host);
	/* A PINGREQ before one and a half times that. */
	const int64_t from_ms = harness_now_ms();
	(void)scripted_expect(links.ingress, MQTT_PINGREQ);
	(void)scripted_expect(links.egress, MQTT_PINGREQ);
	assert_in_range(harness_now_ms() - from_ms, 1, 15000);
}

HARNESS_CASE(broker_that_answers_no_pingreq_is_told_as_such)
{
	struct scripted_broker *broker = scripted_new(h);
	struct host *host = start_scripted(h, broker);
	struct scripted_pair links =
		scripted_welcome(broker, &(struct scripted_welcome){.server_keep_alive = 1});
	host_wait_ready(host);
	links.egress->silent = true;
	host_expect_log(host, "broker_lost", "connection", "egress", "reason",
		"the broker did not answer a PINGREQ within the keepalive of 1 s");
	links.egress = scripted_welcome_one(broker, NULL);
	assert_false(scripted_is_ingress(links.egress));
}

/* ---- Another client with its client id, that asks no lease; hosts do: test_two_hosts.c ---- */

HARNESS_CASE(who_lost_the_session_waits_before_it_tries_again)
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
	const json_t *told =
		host_expect_log(host, "session_taken_over", "connection", "main", "client_id", "cashewd");
	assert_in_range(json_integer_value(json_object_get(told, "retry_ms")), 3000 * 3 / 4, 3000 * 5 / 4);
	struct scripted_link *again = scripted_welcome_one(broker, NULL);
	assert_true(scripted_is_ingress(again));
	assert_true(harness_now_ms() - from_ms >= 3000 * 3 / 4);
	host_wait_ready(host);
}

HARNESS_MAIN(HARNESS_TEST(certificate_of_an_unknown_authority), HARNESS_TEST(certificate_that_has_expired),
	HARNESS_TEST(certificate_for_another_name), HARNESS_TEST(plain_broker_on_the_tls_port),
	HARNESS_TEST(tls_broker_and_a_host_without_tls), HARNESS_TEST(token_that_is_refused),
	HARNESS_TEST(host_name_that_does_not_resolve), HARNESS_TEST(connect_asks_for_a_session_and_a_window),
	HARNESS_TEST(broker_that_keeps_the_session_for_less), HARNESS_TEST(suback_that_refuses),
	HARNESS_TEST(suback_that_refuses_some_for_now), HARNESS_TEST(broker_that_grants_some),
	HARNESS_TEST(broker_that_takes_few_filters_at_once), HARNESS_TEST(suback_with_too_few_codes),
	HARNESS_TEST(connack_that_refuses_for_now),
	HARNESS_TEST(broker_that_closes_without_a_word_gets_the_other_version),
	HARNESS_TEST(broker_that_speaks_3_1_1_is_asked_for_5_once), HARNESS_TEST(server_keep_alive_is_obeyed),
	HARNESS_TEST(broker_that_answers_no_pingreq_is_told_as_such),
	HARNESS_TEST(who_lost_the_session_waits_before_it_tries_again))
