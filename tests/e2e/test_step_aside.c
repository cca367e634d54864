/*
 * test_step_aside.c - a slow command steps aside after a second: it is written to the database and runs on, its PUBACK leaves, and so do those
 * behind it. Nobody else waits for it, neither behind the broker that is installed nor behind one that keeps a window of twenty.
 *
 * The slow ones are held at gates (tests/e2e/handlers/test_gate.h) for as long as the test needs; nothing here is measured, only what comes before
 * what. Where "slow" must be seen to be no matter, the gate is opened after everything else has happened.
 */
#include "account.h"
#include "copies.h"
#include "letter.h"
#include <signal.h>
#include <string.h>

enum { SLOW = 4, OTHERS = 200, WINDOW = 20, LONG_MS = 3500, QUIET_MS = 300 };

static const struct copy slow = {.mid = 1, .user = "u", .n = "x", .more = ",\"hold\":\"g\""};

/* ---- One slow command ---- */

COPIES_CASE(it_is_acknowledged_while_it_runs)
{
	copies_start(c);
	copies_send(c, slow);
	gate_wait_runs(c->h, c->host, "g", 1);
	copies_expect_pubacks(c, 1, 1);
	/* By then it is where a kill cannot lose it. */
	assert_int_equal(database_count(c->h, harness_database(c->h), "parked_commands",
				 "{\"done\":null,\"topic\":\"u/test_effect\"}"),
		1);
	assert_string_equal(effects_of(c->h, c->host, "u"), "");
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x");
	copies_wait_parked(c, 0);
	/* It was not run a second time for having been written down. */
	harness_watch(c->h, QUIET_MS);
	assert_int_equal(gate_runs(c->h, c->host, "g"), 1);
	effects_expect(c->h, c->host, "u", "x");
	assert_int_equal(letter_count(c->h, harness_database(c->h)), 0);
}

COPIES_CASE(later_ones_of_its_user_come_behind_it_in_order)
{
	static const char *const names[] = {"b", "c", "d", "e"};
	copies_start(c);
	copies_send(c, slow);
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "a"});
	copies_expect_pubacks(c, 1, 2);
	for (uint16_t i = 0; i < 4; i++)
		copies_send(c, (struct copy){.mid = (uint16_t)(3 + i), .user = "u", .n = names[i]});
	copies_expect_pubacks(c, 3, 6);
	copies_send(c, (struct copy){.mid = 7, .user = "v", .n = "y"});
	copies_expect_pubacks(c, 7, 7);
	effects_expect(c->h, c->host, "v", "y");
	assert_string_equal(effects_of(c->h, c->host, "u"), "");
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x a b c d e");
	copies_wait_parked(c, 0);
	/* And then he is on the straight way again. */
	copies_send(c, (struct copy){.mid = 8, .user = "u", .n = "f"});
	copies_expect_pubacks(c, 8, 8);
	effects_expect(c->h, c->host, "u", "x a b c d e f");
}

COPIES_CASE(killed_meanwhile_it_runs_again)
{
	copies_start(c);
	copies_send(c, slow);
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b"});
	copies_expect_pubacks(c, 1, 2);
	copies_kill(c);
	gate_wait_runs(c->h, c->host, "g", 2);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x b");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x b");
}

/* A stop waits for it as for any other, up to STOP_TIMEOUT; what is behind it stays where it is. */
COPIES_CASE(a_stop_lets_it_end)
{
	copies_start(c);
	copies_send(c, slow);
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b"});
	copies_expect_pubacks(c, 1, 2);
	host_signal(c->host, SIGTERM);
	host_expect_log(c->host, "stopping");
	gate_open(c->h, c->host, "g");
	assert_int_equal(host_wait_exit(c->host), 0);
	effects_expect(c->h, c->host, "u", "x");
	copies_wait_parked(c, 1);
	host_start(c->host);
	c->links = scripted_welcome(c->broker, &(struct scripted_welcome){.session_present = true});
	scripted_settle(c->links.egress, NULL);
	effects_expect(c->h, c->host, "u", "x b");
	copies_wait_parked(c, 0);
}

/* ---- Behind a broker that keeps twenty unacknowledged ---- */

static size_t send_within_window(struct copies *c, size_t sent, size_t count)
{
	for (; sent < count && sent - scripted_count(c->links.ingress, MQTT_PUBACK) < WINDOW; sent++)
		scripted_publish(
			c->links.ingress, &(struct scripted_publish){.mid = (uint16_t)(sent + 1),
						  .topic = harness_format(c->h, "p%zu/ping", sent % 50),
						  .payload = "1"});
	return sent;
}

struct progress {
	struct copies *copies;
	size_t sent, count;
};

static bool all_acknowledged(void *context)
{
	struct progress *progress = context;
	progress->sent = send_within_window(progress->copies, progress->sent, progress->count);
	return scripted_count(progress->copies->links.ingress, MQTT_PUBACK) >= progress->count;
}

/* Slow ones stand in the middle of the stream, and none ends before all others have. */
COPIES_CASE(a_window_of_twenty_goes_on)
{
	struct progress progress = {.copies = c};
	copies_start(c);
	for (progress.count = OTHERS; progress.count <= OTHERS * SLOW; progress.count += OTHERS) {
		/* With an identifier of its own, in the place of the next. */
		copies_send(c, (struct copy){.mid = (uint16_t)(progress.sent + 1),
				       .user = harness_format(c->h, "s%zu", progress.count),
				       .n = "x",
				       .more = ",\"hold\":\"g\""});
		progress.sent++;
		harness_wait(c->h, all_acknowledged, &progress, "%zu PUBACKs behind slow commands",
			progress.count);
	}
	assert_int_equal(gate_runs(c->h, c->host, "g"), SLOW);
	copies_wait_parked(c, SLOW);
	/* In the order in which they came. */
	for (unsigned mid = 1; mid <= OTHERS * SLOW; mid++)
		assert_int_equal(scripted_expect(c->links.ingress, MQTT_PUBACK)->mid, mid);
	gate_open(c->h, c->host, "g");
	for (size_t count = OTHERS; count <= OTHERS * SLOW; count += OTHERS)
		effects_expect(c->h, c->host, harness_format(c->h, "s%zu", count), "x");
	copies_wait_parked(c, 0);
}

/* ---- Behind the broker that is installed ---- */

/* Others are answered while some are slow for several seconds, and no place is held for so long that the lane is given up. */
HARNESS_CASE(others_are_answered_meanwhile)
{
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "HANDLER_TIMEOUT", "60");
	host_start(host);
	host_wait_ready(host);
	struct device *slow_ones[SLOW], *other = device_new(h, "other");
	device_connect(other);
	for (int i = 0; i < SLOW; i++) {
		slow_ones[i] = device_new(h, harness_format(h, "slow%d", i));
		device_connect(slow_ones[i]);
		device_command(slow_ones[i], "test_gate", "{\"gate\":\"a\"}");
		device_command(slow_ones[i], "ping", "1");
	}
	gate_wait_runs(h, host, "a", SLOW);
	const int64_t until_ms = harness_now_ms() + LONG_MS;
	size_t pings = 0;
	while (pings < OTHERS || harness_now_ms() < until_ms) {
		device_command(other, "ping", "1");
		device_wait_count(other, "pong", ++pings);
		harness_watch(h, 10);
	}
	database_wait_count(h, harness_database(h), "parked_commands", "{\"done\":null}", 2 * SLOW);
	for (int i = 0; i < SLOW; i++)
		assert_int_equal(slow_ones[i]->message_count, 0);
	gate_open(h, host, "a");
	for (int i = 0; i < SLOW; i++) {
		device_wait_count(slow_ones[i], "gate_passed", 1);
		device_wait_count(slow_ones[i], "pong", 1);
		assert_non_null(strstr(slow_ones[i]->messages[0].topic, "gate_passed"));
		assert_int_equal(slow_ones[i]->message_count, 2);
	}
	database_wait_count(h, harness_database(h), "parked_commands", "{\"done\":null}", 0);
	assert_int_equal(gate_runs(h, host, "a"), SLOW);
	assert_int_equal(host_count_log(host, "lane_dropped"), 0);
	host_stop(host);
	assert_int_equal(account_read(host).left_to_the_broker, 0);
}

/* One that takes longer than a keepalive lets the broker wait. */
HARNESS_CASE(one_that_outlasts_the_keepalive)
{
	enum { KEEPALIVE_S = 10 };
	struct host *host = host_new(h, HOST_WITH_TEST_HANDLERS);
	host_set(host, "KEEPALIVE", harness_format(h, "%d", KEEPALIVE_S));
	host_set(host, "HANDLER_TIMEOUT", "60");
	host_start(host);
	host_wait_ready(host);
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	device_command(phone, "test_gate", "{\"gate\":\"a\"}");
	gate_wait_runs(h, host, "a", 1);
	harness_watch(h, KEEPALIVE_S * 1000 * 3 / 2 + 1000);
	gate_open(h, host, "a");
	device_expect(phone, "gate_passed");
	assert_int_equal(gate_runs(h, host, "a"), 1);
	assert_int_equal(host_count_log(host, "lane_dropped"), 0);
	assert_int_equal(host_count_log(host, "broker_lost"), 0);
}

HARNESS_MAIN(COPIES_TEST(it_is_acknowledged_while_it_runs),
	COPIES_TEST(later_ones_of_its_user_come_behind_it_in_order),
	COPIES_TEST(killed_meanwhile_it_runs_again), COPIES_TEST(a_stop_lets_it_end),
	COPIES_TEST(a_window_of_twenty_goes_on), HARNESS_TEST(others_are_answered_meanwhile),
	HARNESS_TEST(one_that_outlasts_the_keepalive))
