/*
 * test_websocket.c - hosts that reach mosquitto by WebSockets, over TLS and without: all is as over TCP, also what a killed host and a cut link may cost.
 * Devices come over MQTT as it is.
 */
#include "broker_parts.h"
#include "doctor_parts.h"
#include "harness.h"
#include "pings.h"
#include "relay.h"
#include <stdlib.h>
#include <string.h>

enum { LARGE = 100000 };

static struct broker *start_broker(struct harness *h, bool plain)
{
	struct broker *broker = broker_new(h, &(struct broker_options){.websocket = true, .plain = plain});
	broker_start(broker);
	return broker;
}

/* ---- A story ---- */

static void story(struct harness *h, bool plain)
{
	struct broker *broker = start_broker(h, plain);
	struct host *host = new_host(h, broker);
	host_start(host);
	host_wait_ready(host);
	struct device *ann = connect_device(h, broker, "68946"), *bob = connect_device(h, broker, "23412");
	device_command(ann, "ping", "[1]");
	device_expect_json(ann, "pong", "[1]");
	device_command(ann, "get_apples", "{}");
	device_expect_json(ann, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
	device_command(ann, "request_contact", "{\"contact_id\":\"23412\"}");
	device_expect_json(bob, "contact_requested", "{\"user_id\":\"68946\"}");
	/* More than a frame, a record and what wslay reads at a time. */
	char *large = malloc(LARGE + 3);
	assert_non_null(large);
	memset(large, 'x', LARGE + 2);
	large[0] = large[LARGE + 1] = '"';
	large[LARGE + 2] = '\0';
	device_command(bob, "ping", large);
	assert_string_equal(device_expect(bob, "pong")->payload, large);
	free(large);
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
	host_stop(host);
}

HARNESS_CASE(story_over_tls)
{
	story(h, false);
}

HARNESS_CASE(story_without_tls)
{
	story(h, true);
}

/* ---- Nothing is lost ---- */

HARNESS_CASE(host_is_killed_with_commands_in_hand)
{
	struct broker *broker = start_broker(h, false);
	struct host *host = new_host(h, broker);
	host_start(host);
	host_wait_ready(host);
	struct pings pings = {.phone = connect_device(h, broker, "68946")};
	for (int i = 0; i < 3; i++) {
		pings_send(h, pings.phone, i * PINGS / 3, (i + 1) * PINGS / 3);
		device_wait_count(pings.phone, "pong", (size_t)i + 1);
		host_kill(host);
		host_start(host);
		host_wait_ready(host);
	}
	harness_wait(h, pings_answered, &pings, "answers to all %d pings", PINGS);
}

HARNESS_CASE(links_are_cut)
{
	struct broker *broker = start_broker(h, false);
	struct relay *relay = relay_new(h, broker_handler_port(broker));
	struct host *host = new_host(h, broker);
	host_set(host, "BROKER_PORT", harness_format(h, "%u", relay_port(relay)));
	host_start(host);
	host_wait_ready(host);
	struct pings pings = {.phone = connect_device(h, broker, "68946")};
	for (int i = 0; i < 3; i++) {
		pings_send(h, pings.phone, i * PINGS / 3, (i + 1) * PINGS / 3);
		device_wait_count(pings.phone, "pong", (size_t)i + 1);
		assert_true(relay_cut(relay, i % 2 == 0) > 0);
		host_expect_log(host, "broker_lost", "connection", "main");
		host_wait_ready(host);
	}
	harness_wait(h, pings_answered, &pings, "answers to all %d pings", PINGS);
}

/* ---- What does not fit ---- */

HARNESS_CASE(broker_without_websockets_there)
{
	struct broker *broker = broker_new(h, NULL);
	broker_start(broker);
	struct host *host = new_host(h, broker);
	host_set(host, "BROKER_TRANSPORT", "websocket");
	host_start(host);
	const json_t *record = host_expect_log(host, "broker_unreachable", "connection", "main");
	assert_non_null(
		strstr(json_string_value(json_object_get(record, "reason")), "WebSocket upgrade at /mqtt"));
	assert_int_equal(host_count_log(host, "broker_connected"), 0);
}

HARNESS_CASE(doctor_goes_the_same_way)
{
	struct broker *broker = start_broker(h, false);
	struct host *doctor = doctor_new(h);
	host_use_broker(doctor, broker);
	struct visit visit = examine(h, doctor);
	expect_line(&visit, "broker_tls", "ok", "TLSv1.");
	expect_line(&visit, "broker_login", "ok", "MQTT 5 over WebSocket");
	forget(&visit);
	host_set(doctor, "BROKER_PORT", harness_format(h, "%u", broker_port(broker)));
	visit = examine(h, doctor);
	expect_failure(&visit, "broker_login", "WebSocket upgrade at /mqtt");
	forget(&visit);
}

HARNESS_MAIN(HARNESS_TEST(story_over_tls), HARNESS_TEST(story_without_tls),
	HARNESS_TEST(host_is_killed_with_commands_in_hand), HARNESS_TEST(links_are_cut),
	HARNESS_TEST(broker_without_websockets_there), HARNESS_TEST(doctor_goes_the_same_way))
