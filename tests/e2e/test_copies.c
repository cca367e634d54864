/*
 * test_copies.c - what a broker sends again, and the order of one user's effects: a copy is known only as long as every one of its user's
 * before it was known, and only until its PUBACK has been released. Everything else that comes is a new command.
 *
 * In every case the effects of each user stand in the file that test_effect writes, and are compared as a whole, after the last PUBACK: what
 * was to be run is done then, and nothing is left that could still be. Each case is run under MQTT 5 and 3.1.1.
 */
#include "account.h"
#include "copies.h"
#include "relay.h"
#include <signal.h>
#include <string.h>

/* Long enough for a command to run that must not. */
enum { QUIET_MS = 300 };

#define UNTIL_G ",\"until\":\"g\""
#define HOLD_G	",\"hold\":\"g\""

/* ---- PUBACKs that are lost ---- */

static const struct copy x_y_b[] = {{.mid = 1, .user = "u", .n = "x"}, {.mid = 2, .user = "v", .n = "y"},
	{.mid = 3, .user = "u", .n = "b"}, {0}};

/* x is released; b is settled, and held behind y, whose event waits for its PUBACK. */
static void hold_b_behind_y(struct copies *c)
{
	copies_start(c);
	copies_withhold(c, "v");
	copies_send(c, x_y_b[0]);
	copies_expect_pubacks(c, 1, 1);
	copies_send_all(c, x_y_b + 1, false);
	effects_expect(c->h, c->host, "v", "y");
	effects_expect(c->h, c->host, "u", "x b");
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 1);
}

/* Were b known, while x, sent before it, is run once more, x would have the last word. */
COPIES_CASE(a_released_one_is_run_again_and_so_is_what_follows_it)
{
	hold_b_behind_y(c);
	copies_cut(c, true);
	copies_send_all(c, x_y_b, true);
	effects_expect(c->h, c->host, "u", "x b x b");
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	effects_expect(c->h, c->host, "u", "x b x b");
	effects_expect(c->h, c->host, "v", "y");
}

COPIES_CASE(the_link_ends_again_in_the_middle_of_it)
{
	hold_b_behind_y(c);
	copies_cut(c, true);
	copies_send(c, (struct copy){.mid = 1, .user = "u", .n = "x", .duplicate = true});
	effects_expect(c->h, c->host, "u", "x b x");
	copies_cut(c, true);
	copies_send_all(c, x_y_b, true);
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	effects_check(c->h, c->host, "u", "x b", true);
	effects_check(c->h, c->host, "v", "y", true);
}

static const struct copy y_x_b[] = {{.mid = 1, .user = "v", .n = "y"}, {.mid = 2, .user = "u", .n = "x"},
	{.mid = 3, .user = "u", .n = "b"}, {0}};

/* None of them is released. */
static void hold_all_behind_y(struct copies *c)
{
	copies_start(c);
	copies_withhold(c, "v");
	copies_send_all(c, y_x_b, false);
	effects_expect(c->h, c->host, "v", "y");
	effects_expect(c->h, c->host, "u", "x b");
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
}

COPIES_CASE(what_was_not_released_is_known)
{
	hold_all_behind_y(c);
	copies_cut(c, true);
	copies_send_all(c, y_x_b, true);
	harness_watch(c->h, QUIET_MS);
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	effects_expect(c->h, c->host, "u", "x b");
	effects_expect(c->h, c->host, "v", "y");
}

COPIES_CASE(a_parked_one_goes_behind_itself)
{
	const struct copy x = {.mid = 1, .user = "u", .n = "x", .more = UNTIL_G};
	copies_start(c);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	copies_wait_parked(c, 1);
	copies_cut(c, true);
	copies_send_all(c, (const struct copy[]){x, {0}}, true);
	copies_expect_pubacks(c, 1, 1);
	copies_wait_parked(c, 2);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x x");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x x");
}

COPIES_CASE(a_backlog_that_comes_again_goes_behind_itself)
{
	static const struct copy all[] = {{.mid = 1, .user = "v", .n = "y"},
		{.mid = 2, .user = "u", .n = "x", .more = UNTIL_G}, {.mid = 3, .user = "u", .n = "b"}, {0}};
	copies_start(c);
	copies_withhold(c, "v");
	copies_send_all(c, all, false);
	copies_wait_parked(c, 2);
	copies_cut(c, true);
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 0);
	copies_kill(c);
	copies_send_all(c, all, true);
	copies_wait_parked(c, 4);
	gate_open(c->h, c->host, "g");
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	effects_expect(c->h, c->host, "u", "x b x b");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x b x b");
	effects_expect(c->h, c->host, "v", "y y");
}

/* ---- What only looks like a copy ---- */

/* From a broker that hands out the lowest identifier that is free. */
COPIES_CASE(equal_commands_with_one_identifier_are_many)
{
	const struct copy x = {.mid = 1, .user = "u", .n = "x"};
	copies_start(c);
	for (int i = 0; i < 5; i++) {
		copies_send(c, x);
		copies_expect_pubacks(c, 1, 1);
	}
	effects_expect(c->h, c->host, "u", "x x x x x");
	copies_cut(c, true);
	copies_send_all(c, (const struct copy[]){x, {0}}, true);
	copies_expect_pubacks(c, 1, 1);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	effects_expect(c->h, c->host, "u", "x x x x x x x");
}

COPIES_CASE(one_like_a_parked_or_a_finished_one_is_new)
{
	const struct copy x = {.mid = 1, .user = "u", .n = "x", .more = UNTIL_G};
	copies_start(c);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	copies_wait_parked(c, 1);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	copies_wait_parked(c, 2);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x x");
	copies_wait_parked(c, 0);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	effects_expect(c->h, c->host, "u", "x x x");
	/* Neither does the next host know it from the store. */
	copies_kill(c);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	effects_expect(c->h, c->host, "u", "x x x x");
	copies_cut(c, true);
	copies_send(c, x);
	copies_expect_pubacks(c, 1, 1);
	effects_expect(c->h, c->host, "u", "x x x x x");
}

COPIES_CASE(without_dup_all_is_run_again_in_order)
{
	hold_all_behind_y(c);
	copies_cut(c, true);
	copies_send_all(c, y_x_b, false);
	effects_expect(c->h, c->host, "u", "x b x b");
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	effects_expect(c->h, c->host, "u", "x b x b");
	effects_expect(c->h, c->host, "v", "y y");
}

/* What was sent on a link that broke before it was read. */
COPIES_CASE(with_dup_what_is_new_is_run_once)
{
	hold_all_behind_y(c);
	copies_cut(c, true);
	copies_send_all(c, y_x_b, true);
	copies_send(c, (struct copy){.mid = 4, .user = "u", .n = "c", .duplicate = true});
	copies_send(c, (struct copy){.mid = 5, .user = "w", .n = "z", .duplicate = true});
	effects_expect(c->h, c->host, "u", "x b c");
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 5);
	effects_expect(c->h, c->host, "u", "x b c");
	effects_expect(c->h, c->host, "v", "y");
	effects_expect(c->h, c->host, "w", "z");
}

/* ---- Without a copy ---- */

COPIES_CASE(without_its_session_what_is_kept_goes_on)
{
	static const struct copy all[] = {{.mid = 1, .user = "v", .n = "y"},
		{.mid = 2, .user = "u", .n = "x", .more = HOLD_G}, {.mid = 3, .user = "u", .n = "b"}, {0}};
	copies_start(c);
	copies_withhold(c, "v");
	copies_send_all(c, all, false);
	effects_expect(c->h, c->host, "v", "y");
	gate_wait_runs(c->h, c->host, "g", 1);
	copies_cut(c, false);
	copies_send(c, (struct copy){.mid = 1, .user = "u", .n = "c"});
	gate_open(c->h, c->host, "g");
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 1);
	effects_expect(c->h, c->host, "u", "x b c");
	effects_expect(c->h, c->host, "v", "y");
	assert_int_equal(scripted_count(c->links.ingress, MQTT_PUBACK), 1);
}

/* ---- What has stepped aside ---- */

static const struct copy y_slow_b[] = {{.mid = 1, .user = "v", .n = "y"},
	{.mid = 2, .user = "u", .n = "x", .more = HOLD_G}, {.mid = 3, .user = "u", .n = "b"}, {0}};

COPIES_CASE(what_has_stepped_aside_is_known)
{
	copies_start(c);
	copies_withhold(c, "v");
	copies_send_all(c, y_slow_b, false);
	copies_wait_parked(c, 2);
	copies_cut(c, true);
	copies_send_all(c, y_slow_b, true);
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x b");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x b");
	effects_expect(c->h, c->host, "v", "y");
	assert_int_equal(gate_runs(c->h, c->host, "g"), 1);
}

COPIES_CASE(what_has_stepped_aside_and_was_released_is_run_by_the_next_host)
{
	copies_start(c);
	copies_send_all(c, y_slow_b + 1, false);
	copies_expect_pubacks(c, 2, 3);
	copies_wait_parked(c, 2);
	assert_string_equal(effects_of(c->h, c->host, "u"), "");
	copies_kill(c);
	gate_wait_runs(c->h, c->host, "g", 2);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x b");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x b");
}

COPIES_CASE(what_has_stepped_aside_and_was_not_released_comes_again_at_a_kill)
{
	copies_start(c);
	copies_withhold(c, "v");
	copies_send_all(c, y_slow_b, false);
	copies_wait_parked(c, 2);
	copies_kill(c);
	copies_send_all(c, y_slow_b, true);
	copies_withhold(c, NULL);
	copies_expect_pubacks(c, 1, 3);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x b x b");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x b x b");
	effects_expect(c->h, c->host, "v", "y y");
}

/* ---- The database's answers ---- */

/* With the database behind a relay. */
static struct relay *start_with_relay(struct copies *c)
{
	const char *url = database_url(harness_database(c->h));
	struct relay *relay = relay_new(c->h, (unsigned)strtoul(strrchr(url, ':') + 1, NULL, 10));
	host_set(c->host, "MONGO_DB_URL", harness_format(c->h, "mongodb://127.0.0.1:%u", relay_port(relay)));
	copies_start(c);
	return relay;
}

static bool is_trapped(void *context)
{
	return relay_trapped(context) > 0;
}

/* x has run from the store, and the host does not hear that its document is deleted. b comes then, and must wait. */
static struct relay *withhold_deletion(struct copies *c, enum relay_trap trap)
{
	struct relay *relay = start_with_relay(c);
	copies_send(c, (struct copy){.mid = 1, .user = "u", .n = "x", .more = UNTIL_G});
	copies_expect_pubacks(c, 1, 1);
	copies_wait_parked(c, 1);
	relay_set_trap(relay, trap, "delete", "parked_commands");
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x");
	harness_wait(c->h, is_trapped, relay, "the deletion of what is done");
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b"});
	harness_watch(c->h, QUIET_MS);
	effects_expect(c->h, c->host, "u", "x");
	return relay;
}

COPIES_CASE(the_next_command_waits_until_a_backlog_is_deleted)
{
	struct relay *relay = withhold_deletion(c, RELAY_WITHHOLD_REPLY);
	relay_set_trap(relay, RELAY_NO_TRAP, NULL, NULL);
	copies_expect_pubacks(c, 2, 2);
	effects_expect(c->h, c->host, "u", "x b");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x b");
}

COPIES_CASE(a_backlog_that_was_not_deleted_is_run_again_before_the_next_command)
{
	struct relay *relay = withhold_deletion(c, RELAY_WITHHOLD_REQUEST);
	const bool acknowledged = scripted_count(c->links.ingress, MQTT_PUBACK) == 2;
	host_may_die(c->host);
	host_signal_child(c->host, SIGKILL);
	/* What is on its way is lost with it. */
	(void)relay_cut(relay, true);
	relay_set_trap(relay, RELAY_NO_TRAP, NULL, NULL);
	c->links = scripted_welcome(c->broker, &(struct scripted_welcome){.session_present = true});
	scripted_settle(c->links.egress, NULL);
	if (!acknowledged) {
		copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b", .duplicate = true});
		copies_expect_pubacks(c, 2, 2);
	}
	effects_wait(c->h, c->host, "u", 3);
	copies_wait_parked(c, 0);
	effects_check(c->h, c->host, "u", "x b", false);
	assert_int_equal(strncmp(effects_of(c->h, c->host, "u"), "x x b", 5), 0);
}

static bool acknowledged_or_cut(void *context)
{
	const struct copies *c = context;
	return c->links.ingress->fd < 0 || scripted_count(c->links.ingress, MQTT_PUBACK) > 0;
}

/* The host may take the store for away, and end the link: then the command comes again, and is known. */
COPIES_CASE(the_answer_to_parking_is_lost)
{
	const struct copy x = {.mid = 1, .user = "u", .n = "x", .more = UNTIL_G};
	struct relay *relay = start_with_relay(c);
	relay_set_trap(relay, RELAY_LOSE_REPLY, "insert", "parked_commands");
	copies_send(c, x);
	harness_wait(c->h, acknowledged_or_cut, c, "the command to be parked, or to be left to the broker");
	assert_int_equal(relay_lost_replies(relay), 1);
	if (c->links.ingress->fd < 0) {
		copies_cut(c, true);
		copies_send_all(c, (const struct copy[]){x, {0}}, true);
	}
	copies_expect_pubacks(c, 1, 1);
	copies_wait_parked(c, 1);
	gate_open(c->h, c->host, "g");
	effects_expect(c->h, c->host, "u", "x");
	copies_wait_parked(c, 0);
	effects_expect(c->h, c->host, "u", "x");
}

/* ---- Crashes ---- */

enum { CRASH_LIMIT = 3, LINKS_MAX = 20 };

static size_t crashes(const struct copies *c)
{
	char bytes[100];
	FILE *file = fopen(harness_format(c->h, "%s/crashes", host_folder(c->host)), "re");
	const size_t count = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
	if (file)
		fclose(file);
	return count;
}

static bool is_cut(const struct copies *c)
{
	return c->links.ingress->fd < 0 || c->links.egress->fd < 0;
}

static bool is_dead(const struct copies *c)
{
	return host_count_log(c->host, "dead_letter") > 0;
}

static bool dead_or_cut(void *context)
{
	return is_cut(context) || is_dead(context);
}

static void send_crasher(struct copies *c, bool duplicate)
{
	scripted_publish(c->links.ingress, &(struct scripted_publish){.mid = 1,
						   .topic = "u/test_crash",
						   .payload = "{\"how\":\"abort\",\"times\":1000}",
						   .duplicate = duplicate});
}

/* The broker never reads a PUBACK of it, since the host dies first, and so sends it again each time. */
COPIES_CASE(a_crasher_whose_puback_is_always_lost_is_given_up)
{
	int links = 0;
	host_may_die(c->host);
	copies_start(c);
	send_crasher(c, false);
	for (; links < LINKS_MAX; links++) {
		harness_wait(c->h, dead_or_cut, c, "the crasher to crash, or to be given up");
		if (!is_cut(c))
			break;
		c->links = scripted_welcome(c->broker, &(struct scripted_welcome){.session_present = true});
		scripted_settle(c->links.egress, NULL);
		send_crasher(c, true);
	}
	assert_in_range(links, 1, LINKS_MAX - 1);
	assert_in_range(crashes(c), 1, CRASH_LIMIT);
	/* Its copy is dead at once. */
	copies_cut(c, true);
	send_crasher(c, true);
	harness_wait(c->h, acknowledged_or_cut, c, "the crasher's copy to be acknowledged");
	if (is_cut(c))
		harness_fail("the copy of a crasher that was given up has killed the host once more");
	copies_expect_pubacks(c, 1, 1);
	copies_send(c, (struct copy){.mid = 2, .user = "u", .n = "b"});
	copies_expect_pubacks(c, 2, 2);
	effects_expect(c->h, c->host, "u", "b");
	copies_wait_parked(c, 0);
	assert_in_range(crashes(c), 1, CRASH_LIMIT);
}

/* First the two that tell at once whether a suffix is torn, or a command lost. */
HARNESS_MAIN(COPIES_TEST(a_released_one_is_run_again_and_so_is_what_follows_it),
	COPIES_TEST(one_like_a_parked_or_a_finished_one_is_new),
	COPIES_TEST(the_link_ends_again_in_the_middle_of_it), COPIES_TEST(what_was_not_released_is_known),
	COPIES_TEST(a_parked_one_goes_behind_itself),
	COPIES_TEST(a_backlog_that_comes_again_goes_behind_itself),
	COPIES_TEST(equal_commands_with_one_identifier_are_many),
	COPIES_TEST(without_dup_all_is_run_again_in_order), COPIES_TEST(with_dup_what_is_new_is_run_once),
	COPIES_TEST(without_its_session_what_is_kept_goes_on), COPIES_TEST(what_has_stepped_aside_is_known),
	COPIES_TEST(what_has_stepped_aside_and_was_released_is_run_by_the_next_host),
	COPIES_TEST(what_has_stepped_aside_and_was_not_released_comes_again_at_a_kill),
	COPIES_TEST(the_next_command_waits_until_a_backlog_is_deleted),
	COPIES_TEST(a_backlog_that_was_not_deleted_is_run_again_before_the_next_command),
	COPIES_TEST(a_crasher_whose_puback_is_always_lost_is_given_up),
	COPIES_TEST(the_answer_to_parking_is_lost))
