/*
 * test_broker_away.c - whatever way the broker goes away, or is away from the start: the host notices,
 * reconnects for ever, and loses no command. Each over TLS and over plain TCP.
 */
#include "broker_parts.h"
#include "harness.h"
#include <stdlib.h>
#include <string.h>

/* ---- Gone, with commands on their way ---- */

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

HARNESS_MAIN(HARNESS_TEST(broker_stopped_and_started_tls), HARNESS_TEST(broker_stopped_and_started_plain),
	HARNESS_TEST(broker_killed_and_started_tls), HARNESS_TEST(broker_killed_and_started_plain),
	HARNESS_TEST(broker_restarted_without_its_session_tls),
	HARNESS_TEST(broker_restarted_without_its_session_plain),
	HARNESS_TEST(broker_becomes_a_black_hole_tls), HARNESS_TEST(broker_becomes_a_black_hole_plain),
	HARNESS_TEST(broker_is_a_black_hole_from_the_start), HARNESS_TEST(broker_comes_after_the_host),
	HARNESS_TEST(connections_do_not_add_up))
