/*
 * test_bad_broker.c - a broker that sends what it should not: the host serves on, nothing is lost, and what is wrong costs a link at most,
 * never the process. What a broker leaves undone: test_never_blocked.c; what it sends again: test_copies.c.
 */
#include "account.h"
#include "copies.h"
#include <string.h>

/* Long enough for something to happen that must not. */
enum { QUIET_MS = 300 };

/* A packet whose end never comes: a PUBLISH that claims to be longer than all that follows. */
static const uint8_t half_a_packet[] = {0x32, 0xc0, 0x9a, 0x0c, 0, 6, 'u', '/', 'p', 'i', 'n', 'g', 0, 9};

static void ping(struct copies *c, uint16_t mid, const char *user)
{
	scripted_publish(c->links.ingress,
		&(struct scripted_publish){
			.mid = mid, .topic = harness_format(c->h, "%s/ping", user), .payload = "1"});
}

/* Somebody else's command is run and acknowledged, on the links as they are. */
static void assert_serves(struct copies *c)
{
	scripted_settle(c->links.egress, NULL);
	copies_send(c, (struct copy){.mid = 30000, .user = "somebody", .n = "s"});
	(void)scripted_expect_puback(c->links.ingress, 30000);
	effects_expect(c->h, c->host, "somebody", "s");
	assert_int_equal(host_count_log(c->host, "host_died"), 0);
}

/* ---- Packets ---- */

COPIES_CASE(half_a_packet_for_ever)
{
	host_set(c->host, "KEEPALIVE", "10");
	copies_start(c);
	scripted_send_bytes(c->links.ingress, half_a_packet, sizeof(half_a_packet));
	/* The answer to its PINGREQ stands behind it, for ever. */
	scripted_expect_close(c->links.ingress);
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
	c->links.ingress =
		scripted_welcome_one(c->broker, &(struct scripted_welcome){.session_present = true});
	assert_true(scripted_is_ingress(c->links.ingress));
	assert_serves(c);
}

COPIES_CASE(a_stop_amid_half_a_packet)
{
	host_set(c->host, "STOP_TIMEOUT", "60");
	copies_start(c);
	scripted_send_bytes(c->links.ingress, half_a_packet, sizeof(half_a_packet));
	ping(c, 1, "u"); /* a part of it */
	harness_watch(c->h, QUIET_MS);
	host_stop(c->host);
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
}

/* More than the gate lets through: skipped, and rejected. To drop the link would repeat it for ever. */
COPIES_CASE(a_packet_larger_than_allowed)
{
	enum { SIZE = 2 << 20 };
	char *payload = harness_format(c->h, "%*s", SIZE, "");
	host_set(c->host, "PAYLOAD_MAX", "1024");
	copies_start(c);
	copies_withhold(c, "u");
	copies_send(c, (struct copy){.mid = 1, .user = "v", .n = "y"});
	scripted_publish(c->links.ingress,
		&(struct scripted_publish){
			.mid = 2, .topic = "u/test_effect", .payload = payload, .payload_size = SIZE});
	copies_send(c, (struct copy){.mid = 3, .user = "v", .n = "z"});
	(void)scripted_expect_puback(c->links.ingress, 1);
	const struct mqtt_packet *event = scripted_expect(c->links.egress, MQTT_PUBLISH);
	assert_string_equal(event->topic, "u/command_rejected");
	assert_non_null(strstr((const char *)event->payload, "test_effect"));
	harness_watch(c->h, QUIET_MS);
	/* It holds its place until it is rejected. */
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 1);
	scripted_puback(c->links.egress, event->mid, 0);
	copies_expect_pubacks(c, 2, 3);
	effects_expect(c->h, c->host, "v", "y z");
	assert_serves(c);
	assert_int_equal(database_count(c->h, harness_database(c->h), "dead_letters", "{}"), 0);
	host_stop(c->host);
	assert_int_equal(account_read(c->host).rejected, 1);
}

COPIES_CASE(pubacks_for_what_nobody_sent)
{
	copies_start(c);
	for (uint16_t mid = 1; mid <= 3; mid++) {
		scripted_puback(c->links.egress, mid, 0);
		scripted_puback(c->links.ingress, (uint16_t)(mid + 100), 0);
	}
	copies_send(c, (struct copy){.mid = 1, .user = "u", .n = "x"});
	(void)scripted_expect_puback(c->links.ingress, 1);
	/* And once more for what was PUBACKed already. */
	scripted_puback(c->links.egress, 1, 0);
	assert_serves(c);
	effects_expect(c->h, c->host, "u", "x");
}

/* ---- Places ---- */

COPIES_CASE(a_publish_while_ten_thousand_are_held)
{
	enum { HELD = 10000 };
	host_set(c->host, "WINDOW", "65535");
	copies_start(c);
	copies_withhold(c, "v");
	copies_send(c, (struct copy){.mid = 1, .user = "v", .n = "y"});
	effects_expect(c->h, c->host, "v", "y");
	for (uint16_t mid = 2; mid <= HELD; mid++)
		ping(c, mid, harness_format(c->h, "%d", mid % 50));
	scripted_wait_count(c->links.egress, MQTT_PUBLISH, HELD);
	copies_send(c, (struct copy){.mid = HELD + 1, .user = "u", .n = "x"});
	effects_expect(c->h, c->host, "u", "x");
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
	copies_withhold(c, NULL);
	scripted_wait_count(c->links.ingress, MQTT_PUBACK, HELD + 1);
	for (uint16_t mid = 1; mid <= HELD + 1; mid++)
		assert_int_equal(scripted_expect(c->links.ingress, MQTT_PUBACK)->mid, mid);
}

/* Equal: it is the same one, run once, and acknowledged once. */
COPIES_CASE(an_identifier_twice_on_one_link)
{
	const struct copy x = {.mid = 2, .user = "u", .n = "x"};
	copies_start(c);
	copies_withhold(c, "v");
	copies_send(c, (struct copy){.mid = 1, .user = "v", .n = "y"});
	copies_send(c, x);
	effects_expect(c->h, c->host, "u", "x");
	copies_send(c, x);
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "x", .duplicate = true});
	copies_send(c, (struct copy){.mid = 3, .user = "u", .n = "b"});
	effects_expect(c->h, c->host, "u", "x b");
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	harness_watch(c->h, QUIET_MS);
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 3);
	/* It was acknowledged, so it is free for another one. */
	copies_send(c, x);
	(void)scripted_expect_puback(c->links.ingress, 2);
	effects_expect(c->h, c->host, "u", "x b x");
}

/* With other content nobody knows which of them a PUBACK would mean: that ends the link. */
COPIES_CASE(an_identifier_twice_with_other_content)
{
	copies_start(c);
	copies_withhold(c, "v");
	copies_send(c, (struct copy){.mid = 1, .user = "v", .n = "y"});
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "x"});
	effects_expect(c->h, c->host, "u", "x");
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b"});
	scripted_expect_close(c->links.ingress);
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
	c->links.ingress =
		scripted_welcome_one(c->broker, &(struct scripted_welcome){.session_present = true});
	assert_true(scripted_is_ingress(c->links.ingress));
	assert_serves(c);
}

/* ---- Without the promise ---- */

/* Of an old subscription: run, told once, and never acknowledged for its work. */
COPIES_CASE(a_publish_of_qos_2)
{
	copies_start(c);
	for (uint8_t mid = 1; mid <= 3; mid++) {
		const uint8_t pubrel[] = {0x62, 2, 0, mid};
		scripted_publish(c->links.ingress,
			&(struct scripted_publish){
				.mid = mid, .qos = 2, .topic = "u/test_effect", .payload = "{\"n\":\"x\"}"});
		assert_int_equal(scripted_expect(c->links.ingress, MQTT_PUBREC)->mid, mid);
		scripted_send_bytes(c->links.ingress, pubrel, sizeof(pubrel));
		assert_int_equal(scripted_expect(c->links.ingress, MQTT_PUBCOMP)->mid, mid);
		effects_wait(c->h, c->host, "u", mid);
	}
	effects_expect(c->h, c->host, "u", "x x x");
	assert_int_equal(host_count_log(c->host, "qos2_command", "topic", "u/test_effect"), 1);
	assert_serves(c);
}

/* ---- More than there is room for ---- */

/* Nobody takes what comes: all workers are at gates. The broker is not read any more then, and nothing is lost. */
COPIES_CASE(the_local_end_is_full)
{
	enum { WORKERS = 2, COMMANDS = 400, SIZE = 100000 };
	char *filling = harness_format(c->h, ",\"filling\":\"%0*d\"", SIZE, 0);
	host_set(c->host, "WORKERS", harness_format(c->h, "%d", WORKERS));
	copies_start(c);
	for (uint16_t mid = 1; mid <= WORKERS; mid++)
		copies_send(c, (struct copy){.mid = mid,
				       .user = harness_format(c->h, "w%d", mid),
				       .n = "w",
				       .more = ",\"hold\":\"g\""});
	gate_wait_runs(c->h, c->host, "g", WORKERS);
	const size_t rss_kib = host_rss_kib(c->host);
	for (uint16_t mid = WORKERS + 1; mid <= COMMANDS; mid++)
		copies_send(c, (struct copy){.mid = mid,
				       .user = harness_format(c->h, "u%d", mid),
				       .n = "x",
				       .more = filling});
	harness_watch(c->h, 4 * QUIET_MS);
	assert_true(c->links.ingress->output_size > 0);
	/* 8 MiB of payloads, and what they are kept in. */
	assert_in_range(host_rss_kib(c->host), 0, rss_kib + 16 * 1024 + MEMORY_SLACK_KIB);
	gate_open(c->h, c->host, "g");
	scripted_wait_count(c->links.ingress, MQTT_PUBACK, COMMANDS);
	for (uint16_t mid = WORKERS + 1; mid <= COMMANDS; mid++)
		assert_string_equal(effects_of(c->h, c->host, harness_format(c->h, "u%d", mid)), "x");
	assert_serves(c);
}

HARNESS_MAIN(COPIES_TEST(half_a_packet_for_ever), COPIES_TEST(a_stop_amid_half_a_packet),
	COPIES_TEST(a_packet_larger_than_allowed), COPIES_TEST(pubacks_for_what_nobody_sent),
	COPIES_TEST(a_publish_while_ten_thousand_are_held), COPIES_TEST(an_identifier_twice_on_one_link),
	COPIES_TEST(an_identifier_twice_with_other_content), COPIES_TEST(a_publish_of_qos_2),
	COPIES_TEST(the_local_end_is_full))
