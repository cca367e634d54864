/* test_host_command.c - command.c: the life of a command from its arrival to the moment when its PUBACK
 * may leave, in a real lane. */
#define FAILING_MALLOC_ONLY /* the stand-in store has its memory always */
#include "failing_malloc.h"
#include "host_parts.h"

#include "arrival.h"
#include "log.h"
#include <mqtt_protocol.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is awaited of the lane is told by a turn of the loop; a small group is not kept waiting for company. */
static void turn(void)
{
	parts_turn(GROUP_COMPANY_MS);
}

static const struct dead_letter *letter(size_t i)
{
	const struct dead_letter *found = fake_store_dead_letter(parts.host.light.store, i);
	assert_non_null(found);
	return found;
}

static size_t letters(void)
{
	return fake_store_dead_letters(parts.host.light.store);
}

static void ended(unsigned done, unsigned rejected, unsigned dead)
{
	const struct board_account *account = &parts_board.account;
	assert_int_equal(board_read(&account->done), done);
	assert_int_equal(board_read(&account->rejected), rejected);
	assert_int_equal(board_read(&account->dead), dead);
}

static int begin(void **state)
{
	if (parts_begin(state) != 0)
		return -1;
	parts_connect(false);
	turn();
	assert_int_equal(parts.connection->others_held, 0);
	return 0;
}

/* ---- Done ---- */

static void test_done_without_events(void **state)
{
	(void)state;
	const struct command *command = parts_read(7, "u/one", "payload");
	parts_state(command, COMMAND_RUNNING);
	assert_string_equal(command->input.topic, "u/one");
	assert_string_equal(command->input.user, "u");
	assert_string_equal(command->input.command, "one");
	assert_string_equal(command->input.payload, "payload");
	assert_int_equal(command->input.payload_size, 7);
	turn();
	parts_left("");
	parts_work();
	parts_settled(7);
	parts_left("");
	turn();
	parts_left("7");
	assert_int_equal(parts.one.runs, 1);
	assert_int_equal(parts.host.commands, 0);
	ended(1, 0, 0);
}

static void test_done_with_events(void **state)
{
	(void)state;
	parts.one.steps = "3";
	const struct command *command = parts_read(7, "u/one", "");
	parts_work();
	parts_state(command, COMMAND_COMMITTING);
	parts_published("1 2 3");
	assert_string_equal(parts.events[0].event->topic, "u/got");
	parts_event_ends(NULL, false);
	parts_event_ends(NULL, false);
	parts_state(command, COMMAND_COMMITTING);
	turn();
	parts_left("");
	parts_event_ends(NULL, false);
	parts_settled(7);
	turn();
	parts_left("7");
	ended(1, 0, 0);
}

/* ---- Retries ---- */

static void test_retry_then_done(void **state)
{
	(void)state;
	parts.one.steps = "re";
	const struct command *command = parts_read(7, "u/one", "");
	parts_work();
	parts_state(command, COMMAND_RETRYING);
	assert_ptr_equal(parts.host.retrying, command);
	assert_int_equal(command->retry_at_ms, parts.host.now_ms + 25);
	parts_turn(24);
	assert_int_equal(parts.submitted_count, 0);
	parts_turn(1);
	parts_state(command, COMMAND_RUNNING);
	assert_null(parts.host.retrying);
	parts_work();
	assert_int_equal(parts.one.last_attempt, 2);
	parts_state(command, COMMAND_COMMITTING);
	parts_events_end();
	turn();
	parts_left("7");
	ended(1, 0, 0);
	assert_int_equal(parts.store_away, 0);
}

/* Several wait at once, and each is run when its own time has come. */
static void test_retries_of_several(void **state)
{
	(void)state;
	parts.one.steps = "rrr.";
	const struct command *first = parts_read(1, "a/one", "");
	const struct command *second = parts_read(2, "b/one", "");
	const struct command *third = parts_read(3, "c/one", "");
	parts_work();
	parts.host.now_ms += 10;
	parts_work();
	parts.host.now_ms += 10;
	parts_work();
	parts_turn(15);
	parts_state(first, COMMAND_RUNNING);
	parts_state(second, COMMAND_RUNNING);
	parts_state(third, COMMAND_RETRYING);
	assert_ptr_equal(parts.host.retrying, third);
	assert_null(third->retry_next);
	parts_work();
	parts_work();
	parts_turn(10);
	parts_work();
	turn();
	parts_left("1 2 3");
	ended(3, 0, 0);
}

/* The delays double; a second after the first failure the command is parked. */
static void test_retries_spent(void **state)
{
	(void)state;
	parts.one.steps = "r";
	const struct command *command = parts_read(7, "u/one", "");
	static const unsigned delays_ms[] = {25, 50, 100, 200, 400};
	for (size_t i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
		parts_work();
		assert_int_equal(command->retry_at_ms, parts.host.now_ms + delays_ms[i]);
		parts_turn(delays_ms[i]);
		assert_int_equal(parts.submitted_count, 1);
	}
	parts_work();
	assert_int_equal(parts.one.runs, 6);
	parts_state(command, COMMAND_PARKING);
	turn();
	parts_left("");
	parts_work();
	parts_settled(7);
	turn();
	parts_left("7");
	ended(0, 0, 0);
	assert_int_equal(parts_board.account.parked, 1);
	assert_int_equal(parts.connection->drops, 0);
	assert_null(parts.host.retrying);
}

/* At exactly a second it is run once more. */
static void test_retry_at_the_limit(void **state)
{
	(void)state;
	parts.one.steps = "rrrrr.";
	parts_read(7, "u/one", "");
	static const unsigned pauses_ms[] = {100, 100, 100, 300, 400};
	for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
		parts_work();
		parts_turn(pauses_ms[i]);
	}
	parts_work();
	turn();
	parts_left("7");
	assert_int_equal(parts.connection->drops, 0);
}

static void test_retry_of_a_lost_command(void **state)
{
	(void)state;
	parts.one.steps = "r.";
	parts_read(7, "u/one", "");
	/* A worker has it, so it is not taken back. */
	struct command *running = parts_submitted_take(0);
	parts_lose(false);
	assert_int_equal(parts.host.commands, 1);
	worker_run(&parts.host.light, running);
	command_returned(running);
	assert_int_equal(parts.host.commands, 0);
	assert_null(parts.host.retrying);
}

static void test_store_away(void **state)
{
	(void)state;
	parts.one.steps = "s.";
	const struct command *command = parts_read(7, "u/one", "");
	parts_read(8, "u/one", "");
	parts_work();
	parts_state(command, COMMAND_RETRYING);
	assert_int_equal(parts.store_away, 1);
	turn();
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	parts_left("");
	assert_int_equal(parts.host.commands, 0);

	parts.host.store_up = true;
	parts_connect(true);
	parts_read(7, "u/one", "");
	parts_read(8, "u/one", "");
	parts_work();
	parts_work();
	turn();
	parts_left("7 8");
	assert_int_equal(parts.store_away, 1);
}

/* ---- Refused events ---- */

static void test_event_refused_for_good(void **state)
{
	(void)state;
	parts.one.steps = "3";
	const struct command *command = parts_read(7, "u/one", "payload");
	parts_work();
	parts_event_ends(NULL, false);
	parts_event_ends("Not authorized", true);
	/* The first reason is the one that counts; and no event may be under way when it is buried. */
	parts_state(command, COMMAND_COMMITTING);
	parts_event_ends("Packet too large", true);
	parts_state(command, COMMAND_BURYING);
	turn();
	parts_left("");
	parts_work();
	parts_settled(7);
	turn();
	parts_left("7");
	ended(0, 0, 1);
	assert_int_equal(letters(), 1);
	assert_string_equal(letter(0)->reason, "event u/got: Not authorized");
	assert_string_equal(letter(0)->handler, "one");
	assert_string_equal(letter(0)->topic, "u/one");
	assert_string_equal(letter(0)->user, "u");
	assert_memory_equal(letter(0)->payload, "payload", 7);
	assert_int_equal(letter(0)->payload_size, 7);
	assert_int_equal(letter(0)->attempts, 1);
	assert_string_equal(letter(0)->host, "cashewd");
}

/* Two handlers made the events: none of them is blamed. */
static void test_event_of_two_refused(void **state)
{
	(void)state;
	parts.two_a.steps = "e";
	parts_read(7, "u/two", "");
	parts_work();
	parts_event_ends("Not authorized", true);
	parts_work();
	assert_string_equal(letter(0)->handler, "");
	turn();
	parts_left("7");
}

/* What was refused is sent again, in its order; what was not is not. */
static void test_event_refused_for_now(void **state)
{
	(void)state;
	parts.one.steps = "3";
	const struct command *command = parts_read(7, "u/one", "");
	parts_work();
	parts_event_ends("Quota exceeded", false);
	parts_event_ends(NULL, false);
	parts_event_ends("Quota exceeded", false);
	parts_state(command, COMMAND_RETRYING);
	assert_int_equal(command->retry_at_ms, parts.host.now_ms + 25);
	parts_turn(25);
	parts_state(command, COMMAND_COMMITTING);
	parts_published("1 3");
	parts_event_ends("Quota exceeded", false);
	parts_event_ends(NULL, false);
	parts_state(command, COMMAND_RETRYING);
	assert_int_equal(command->retry_at_ms, parts.host.now_ms + 50);
	parts_turn(50);
	parts_published("1");
	parts_events_end();
	parts_settled(7);
	turn();
	parts_left("7");
	assert_int_equal(parts.one.runs, 1);
	ended(1, 0, 0);
}

/* That of a rejection is made without a run. */
static void test_rejection_refused_for_now(void **state)
{
	(void)state;
	parts.settings.payload_max = 1;
	const struct command *command = parts_read(7, "u/one", "too large");
	for (unsigned i = 0; i < 2; i++) {
		parts_event_ends("Quota exceeded", false);
		parts_state(command, COMMAND_RETRYING);
		assert_int_equal(command->retry_at_ms, parts.host.now_ms + 25);
		parts_turn(25);
	}
	parts_events_end();
	turn();
	parts_left("7");
	ended(0, 1, 0);
}

static void test_event_refused_until_spent(void **state)
{
	(void)state;
	parts.one.steps = "e";
	parts_read(7, "u/one", "");
	parts_work();
	for (unsigned i = 0; parts.event_count > 0; i++) {
		assert_in_range(i, 0, 5);
		parts_event_ends("Quota exceeded", false);
		parts_turn(400);
	}
	parts_work();
	turn();
	parts_left("7");
	assert_int_equal(parts_board.account.parked, 1);
	const struct parked_command *parked = fake_store_parked_command(parts.host.light.store, 0);
	assert_string_equal(parked->reason, "an event was refused for now");
	/* Its handlers are run again: whose event it was is not known. */
	assert_int_equal(parked->settled_count, 0);
	assert_int_equal(letters(), 0);
}

/* Where a later command of its user has begun, running it again would turn their order round. */
static void test_event_refused_and_overtaken(void **state)
{
	(void)state;
	parts.one.steps = "e";
	parts_read(7, "u/one", "");
	parts_read(8, "u/one", "");
	parts_work();
	parts_work();
	for (unsigned i = 0; parts.connection->drops == 0; i++) {
		assert_in_range(i, 0, 5);
		while (parts.event_count > 0)
			parts_event_ends(parts.events[0].command->mid == 7 ? "Quota exceeded" : NULL, false);
		parts_turn(400);
	}
	parts_left("");
	/* What has become of the later one is kept for its copy. */
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(parts_known(), 1);
	parts_settled(8);
	assert_int_equal(fake_store_parked(parts.host.light.store), 0);
}

/* ---- Ends other than done ---- */

static void test_rejected_by_handler(void **state)
{
	(void)state;
	parts.one.steps = "x";
	parts_read(7, "u/one", "");
	parts_work();
	assert_string_equal(parts.events[0].event->topic, "u/command_rejected");
	parts_published("{\"command\":\"one\",\"reason\":\"not so\"}");
	turn();
	parts_left("");
	parts_events_end();
	turn();
	parts_left("7");
	ended(0, 1, 0);
}

static void test_failed(void **state)
{
	(void)state;
	static const struct {
		const char *steps, *reason;
		unsigned attempts;
	} cases[] = {
		{"f", "never", 1},
		{"rrf", "never", 3},
		{"g", "handler one returned 77, which is no cashew_result", 1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parts.one.steps = cases[i].steps;
		const struct command *command = parts_read((uint16_t)(i + 1), "u/one", "");
		for (unsigned run = 0; run < cases[i].attempts; run++) {
			parts_work();
			parts_turn(50);
		}
		parts_state(command, COMMAND_BURYING);
		parts_work();
		assert_int_equal(letters(), i + 1);
		assert_string_equal(letter(i)->reason, cases[i].reason);
		assert_string_equal(letter(i)->handler, "one");
		assert_int_equal(letter(i)->attempts, cases[i].attempts);
		turn();
	}
	parts_left("1 2 3");
	ended(0, 0, 3);
}

/* A dead letter that cannot be written is the store's failure: nothing is acknowledged, and it comes again. */
static void test_dead_letter_fails(void **state)
{
	(void)state;
	parts.one.steps = "f";
	const struct command *command = parts_read(7, "u/one", "");
	parts_work();
	fake_store_fail_next(parts.host.light.store, STORE_E_AWAY, 1);
	parts_work();
	parts_state(command, COMMAND_RETRYING);
	assert_int_equal(parts.store_away, 1);
	turn();
	assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
	parts_left("");
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(letters(), 0);

	parts.host.store_up = true;
	parts_connect(true);
	parts_read(7, "u/one", "");
	parts_work();
	parts_work();
	turn();
	parts_left("7");
	assert_int_equal(letters(), 1);
	ended(0, 0, 1);
}

/* The same when its connection is gone already. */
/* A lane that stops is not dropped for the store's sake, nor does it wait for what will not be written. */
static void test_dead_letter_fails_while_stopping(void **state)
{
	(void)state;
	parts.one.steps = "f";
	parts_read(7, "u/one", "");
	parts_work();
	lane_stop(parts.lane);
	fake_store_fail_next(parts.host.light.store, STORE_E_AWAY, 1);
	parts_work();
	turn();
	assert_true(lane_stopped(parts.lane));
	parts_left("");
	assert_int_equal(board_read(&parts_board.account.left), 1);
	assert_int_equal(parts.host.commands, 0);
}

static void test_dead_letter_of_a_lost_command_fails(void **state)
{
	(void)state;
	parts.one.steps = "f";
	parts_read(7, "u/one", "");
	parts_work();
	parts_lose(false);
	assert_int_equal(parts.host.commands, 1);
	fake_store_fail_next(parts.host.light.store, STORE_E_AWAY, 1);
	parts_work();
	assert_int_equal(parts.store_away, 1);
	assert_int_equal(parts.host.commands, 0);
	assert_null(lane_in_flight(parts.lane, 7));
}

static void test_no_handler(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *user, *reason, *unsubscribed;
	} cases[] = {
		{"u/unknown", "u", "no handler wants this topic", "+/unknown"},
		{"a b/one", "", "the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -",
			""},
		{"one", "", "the topic does not begin with a user id: 1 to 64 of A-Z a-z 0-9 . _ | -", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parts.unsubscribed[0] = '\0';
		const struct command *command = parts_read((uint16_t)(i + 1), cases[i].topic, "\x01payload");
		parts_state(command, COMMAND_BURYING);
		assert_string_equal(command->letter.handler, "");
		assert_string_equal(parts.unsubscribed, cases[i].unsubscribed);
		turn();
		assert_int_equal(parts.connection->left_count, i);
		parts_work();
		assert_string_equal(letter(i)->topic, cases[i].topic);
		assert_string_equal(letter(i)->user, cases[i].user);
		assert_string_equal(letter(i)->handler, "");
		assert_string_equal(letter(i)->reason, cases[i].reason);
		assert_int_equal(letter(i)->attempts, 0);
		assert_int_equal(letter(i)->payload_size, 8);
		assert_memory_equal(letter(i)->payload, "\x01payload", 8);
		turn();
	}
	parts_left("1 2 3");
	ended(0, 0, 3);
}

static void test_too_large(void **state)
{
	(void)state;
	parts.settings.payload_max = 16;
	const struct command *command = parts_read(7, "u/one", "16 bytes exactly");
	assert_int_equal(command->input.payload_size, 16);
	assert_string_equal(command->input.payload, "16 bytes exactly");
	parts_work();
	assert_int_equal(parts.one.runs, 1);
	parts_read(8, "u/one", "and one more byte");
	assert_int_equal(parts.submitted_count, 0);
	parts_published("{\"command\":\"one\",\"reason\":\"the payload is 17 bytes: 16 at most\"}");
	parts_events_end();
	/* What no handler wants is no dead letter without what it held. */
	parts_read(9, "u/unknown", "and one more byte");
	parts_published("{\"command\":\"unknown\",\"reason\":\"the payload is 17 bytes: 16 at most\"}");
	assert_string_equal(parts.unsubscribed, "+/unknown");
	parts_events_end();
	turn();
	parts_left("7 8 9");
	ended(1, 2, 0);
	assert_int_equal(letters(), 0);
	/* An event that cannot say it will not say it the next time. */
	parts.settings.event_max = 16;
	parts_read(10, "u/one", "and one more byte");
	parts_published("");
	parts_work();
	parts_turn(GROUP_COMPANY_MS);
	parts_left("7 8 9 10");
	ended(1, 2, 1);
	assert_int_equal(letters(), 1);
	assert_string_equal(letter(0)->reason, "event command_rejected is 64 bytes: 16 at most");
	assert_int_equal(letter(0)->payload_size, 0);
	assert_int_equal(letter(0)->payload_cut_from, 17);
}

static void test_retained(void **state)
{
	(void)state;
	parts_sent(7, "u/one", "")->message.retain = true;
	parts_sent(8, "u/one", "")->message.retain = true;
	turn();
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(board_read(&parts_board.account.ignored), 2);
	parts_left("7 8");
	ended(0, 0, 0);
}

/* ---- Several handlers ---- */

static void test_two_handlers(void **state)
{
	(void)state;
	/* The events of the first leave at once; only the second is run again. */
	parts.two_a.steps = "e";
	parts.two_b.steps = "rr3";
	const struct command *command = parts_read(7, "u/two", "");
	const struct command *next = parts_read(8, "u/one", "");
	parts_work();
	parts_state(command, COMMAND_COMMITTING);
	parts_published("1");
	parts_events_end();
	parts_state(command, COMMAND_RETRYING);
	parts_turn(25);
	parts_work();
	parts_state(command, COMMAND_RETRYING);
	parts_state(next, COMMAND_WAITING);
	parts_turn(50);
	parts_work();
	parts_published("1 2 3");
	parts_state(next, COMMAND_RUNNING);
	parts_events_end();
	parts_settled(7);
	assert_int_equal(parts.two_a.runs, 1);
	assert_int_equal(parts.two_b.runs, 3);
	parts_work();
	turn();
	parts_left("7 8");
	ended(2, 0, 0);
}

/* One is done and one is not: what the first one told is told, and then the command dies. */
static void test_two_handlers_one_fails(void **state)
{
	(void)state;
	parts.two_a.steps = "f";
	parts.two_b.steps = "re";
	const struct command *command = parts_read(7, "u/two", "");
	parts_work();
	parts_state(command, COMMAND_RETRYING);
	parts_turn(25);
	parts_work();
	parts_state(command, COMMAND_COMMITTING);
	/* That death is the reason, whatever happens to the events. */
	parts_event_ends("Quota exceeded", false);
	parts_turn(50);
	parts_event_ends("Not authorized", true);
	parts_state(command, COMMAND_BURYING);
	parts_work();
	assert_string_equal(letter(0)->handler, "two_a");
	assert_string_equal(letter(0)->reason, "never");
	assert_int_equal(parts.two_a.runs, 1);
	assert_int_equal(parts.two_b.runs, 2);
	turn();
	parts_left("7");
	ended(0, 0, 1);
}

static void test_two_handlers_lost(void **state)
{
	(void)state;
	parts.two_a.steps = "e";
	parts.two_b.steps = "r";
	parts_read(7, "u/two", "");
	parts_work();
	parts_lose(false);
	parts_connect(true);
	/* Its user's next command waits behind it still. */
	const struct command *next = parts_read(8, "u/one", "");
	parts_state(next, COMMAND_WAITING);
	parts_events_end();
	assert_null(lane_in_flight(parts.lane, 7));
	parts_state(next, COMMAND_RUNNING);
	parts_work();
	turn();
	parts_left("8");
}

/* ---- The order within a user ---- */

static void test_order(void **state)
{
	(void)state;
	parts.one.steps = "erere.";
	const struct command *first = parts_read(1, "u/one", "");
	const struct command *second = parts_read(2, "u/one", "");
	const struct command *third = parts_read(3, "u/one", "");
	const struct command *other = parts_read(4, "v/two", "");
	parts_state(second, COMMAND_WAITING);
	parts_state(third, COMMAND_WAITING);
	parts_state(other, COMMAND_RUNNING);
	assert_int_equal(parts.submitted_count, 2);
	/* The next one's turn is when the handlers are through, not when the events have arrived. */
	parts_work();
	parts_state(first, COMMAND_COMMITTING);
	parts_state(second, COMMAND_RUNNING);
	parts_state(third, COMMAND_WAITING);
	parts_work();
	parts_work();
	parts_state(second, COMMAND_RETRYING);
	parts_state(third, COMMAND_WAITING);
	parts_turn(25);
	parts_work();
	parts_state(second, COMMAND_COMMITTING);
	parts_state(third, COMMAND_RUNNING);
	parts_work();
	parts_turn(25);
	parts_work();
	parts_events_end();
	turn();
	parts_left("1 2 3 4");
	ended(4, 0, 0);
}

static void test_user_window(void **state)
{
	(void)state;
	parts_read(1, "u/one", "");
	parts_read(2, "u/one", "");
	parts_read(3, "u/one", "");
	assert_int_equal(parts.event_count, 0);
	const struct command *command = parts_read(4, "u/one", "");
	parts_state(command, COMMAND_COMMITTING);
	parts_published("{\"command\":\"one\",\"reason\":\"too many of your commands are waiting: send this "
			"one again later\"}");
	assert_string_equal(parts.events[0].event->topic, "u/command_rejected");
	parts_state(parts_read(5, "v/one", ""), COMMAND_RUNNING);
	while (parts.submitted_count > 0)
		parts_work();
	parts_events_end();
	turn();
	parts_left("1 2 3 4 5");
	ended(4, 1, 0);
	assert_int_equal(parts.one.runs, 4);
}

/* ---- Light handlers ---- */

static void test_light(void **state)
{
	(void)state;
	parts.light.steps = "e";
	const struct command *command = parts_read(1, "u/light", "");
	assert_int_equal(parts.light.runs, 1);
	assert_int_equal(parts.submitted_count, 0);
	parts_state(command, COMMAND_COMMITTING);
	/* Nothing of the user is in a queue, so the next one is run at once. */
	parts_read(2, "u/light", "");
	assert_int_equal(parts.light.runs, 2);
	parts.light.steps = ".";
	assert_null(parts_read(3, "u/light", ""));
	parts_settled(3);
	parts.light.steps = "x";
	parts_read(4, "u/light", "");
	parts.light.steps = "f";
	parts_state(parts_read(5, "u/light", ""), COMMAND_BURYING);
	parts_work();
	parts_events_end();
	turn();
	parts_left("1 2 3 4 5");
	ended(3, 1, 1);
}

static void test_light_behind_queued(void **state)
{
	(void)state;
	parts_read(1, "u/one", "");
	const struct command *behind = parts_read(2, "u/light", "");
	parts_state(behind, COMMAND_WAITING);
	assert_int_equal(parts.light.runs, 0);
	assert_null(parts_read(3, "v/light", ""));
	parts_settled(3);
	assert_int_equal(parts.light.runs, 1);
	parts_work();
	assert_int_equal(parts.light.runs, 1);
	parts_state(behind, COMMAND_RUNNING);
	parts_work();
	assert_int_equal(parts.light.runs, 2);
	turn();
	parts_left("1 2 3");
}

/* One that wants a retry keeps its user's turn, as any other does. */
static void test_light_retry(void **state)
{
	(void)state;
	parts.light.steps = "rr.";
	const struct command *command = parts_read(1, "u/light", "");
	assert_int_equal(parts.light.runs, 1);
	parts_state(parts_read(2, "u/light", ""), COMMAND_WAITING);
	parts_state(parts_read(3, "u/one", ""), COMMAND_WAITING);
	assert_int_equal(parts.light.runs, 1);
	/* Its first retry is delayed as well, and is a worker's. */
	parts_state(command, COMMAND_RETRYING);
	parts_turn(24);
	assert_int_equal(parts.submitted_count, 0);
	parts_turn(1);
	parts_state(command, COMMAND_RUNNING);
	parts_work();
	parts_state(command, COMMAND_RETRYING);
	assert_int_equal(parts.submitted_count, 0);
	parts_turn(50);
	parts_work();
	assert_int_equal(parts.light.last_attempt, 3);
	parts_settled(1);
	parts_work();
	parts_work();
	turn();
	parts_left("1 2 3");
	ended(3, 0, 0);
}

/* ---- Copies ---- */

static void test_copy_on_the_same_connection(void **state)
{
	(void)state;
	const struct command *command = parts_read(7, "u/one", "payload");
	assert_ptr_equal(parts_read(7, "u/one", "payload"), command);
	assert_int_equal(parts.host.commands, 1);
	assert_int_equal(board_read(&parts_board.account.joined), 1);
	parts_work();
	assert_null(parts_read(7, "u/one", "payload"));
	parts_settled(7);
	turn();
	/* Each copy is acknowledged, and the command counts once. */
	parts_left("7 7 7");
	ended(1, 0, 0);
	assert_int_equal(parts.one.runs, 1);
	/* After its acknowledgement the identifier means another command. */
	parts_read(7, "u/one", "payload");
	parts_work();
	turn();
	parts_left("7 7 7 7");
	assert_int_equal(parts.one.runs, 2);
}

static void test_copy_of_a_running_command(void **state)
{
	(void)state;
	parts.one.steps = "e";
	parts_read(7, "u/one", "payload");
	struct command *running = parts_submitted_take(0);
	parts_lose(false);
	parts_connect(true);
	assert_ptr_equal(parts_read(7, "u/one", "payload"), running);
	assert_int_equal(parts.submitted_count, 0);
	turn();
	worker_run(&parts.host.light, running);
	command_returned(running);
	turn();
	parts_left("");
	parts_events_end();
	turn();
	parts_left("7");
	assert_int_equal(parts.one.runs, 1);
	ended(1, 0, 0);
}

/* Done while its connection was away: the copy takes the result. */
static void test_copy_of_a_settled_command(void **state)
{
	(void)state;
	parts.one.steps = "e";
	parts_read(7, "u/one", "payload");
	parts_read(8, "v/one", "payload");
	parts_work();
	parts_work();
	parts_event_ends(NULL, false);
	parts_lose(false);
	parts_events_end();
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(parts_known(), 2);
	parts_connect(true);
	assert_null(parts_read(7, "u/one", "payload"));
	parts_settled(7);
	assert_null(parts_read(8, "v/one", "payload"));
	parts_settled(8);
	assert_int_equal(board_read(&parts_board.account.joined), 2);
	turn();
	parts_left("7 8");
	assert_int_equal(parts.one.runs, 2);
	ended(2, 0, 0);
}

/* Waiting behind another one it had not begun: then it is the copy that runs. */
static void test_copy_of_a_waiting_command(void **state)
{
	(void)state;
	parts_read(7, "u/one", "first");
	parts_read(8, "u/one", "second");
	parts_read(9, "v/one", "in the workers' queue");
	struct command *running = parts_submitted_take(0);
	parts_lose(false);
	assert_int_equal(parts.host.commands, 1);
	assert_int_equal(parts.submitted_count, 0);
	parts_connect(true);
	parts_read(7, "u/one", "first");
	const struct command *second = parts_read(8, "u/one", "second");
	parts_read(9, "v/one", "in the workers' queue");
	/* The first one has its user's turn still. */
	parts_state(second, COMMAND_WAITING);
	assert_int_equal(board_read(&parts_board.account.joined), 1);
	worker_run(&parts.host.light, running);
	command_returned(running);
	parts_work();
	parts_work();
	assert_int_equal(parts.one.runs, 3);
	turn();
	parts_left("7 8 9");
	ended(3, 0, 0);
}

/* The same identifier, but another command: it takes the identifier over. */
static void test_no_copy(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *payload;
	} cases[] = {{"u/one", "Payload"}, {"u/one", "payload "}, {"u/one", ""}, {"v/one", "payload"},
		{"u/light", "payload"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parts_read(7, "u/one", "payload");
		struct command *running = parts_submitted_take(0);
		parts_lose(false);
		parts_connect(true);
		const struct command *other = parts_read(7, cases[i].topic, cases[i].payload);
		assert_ptr_not_equal(other, running);
		assert_int_equal(parts.host.commands, 2);
		/* What it was is nobody's any more: it goes when it has run. */
		worker_run(&parts.host.light, running);
		command_returned(running);
		assert_int_equal(parts.host.commands, 1);
		parts_work();
		turn();
		parts_left("7");
	}
	assert_int_equal(board_read(&parts_board.account.joined), 0);

	/* The same where it has ended already. */
	parts_read(7, "u/one", "payload");
	parts_work();
	parts_lose(false);
	parts_connect(true);
	parts_read(7, "u/one", "another");
	assert_int_equal(parts.host.commands, 1);
	assert_int_equal(parts_known(), 1);
	parts_work();
	turn();
	parts_left("7");
}

/* A retry of what nobody will acknowledge is the broker's. */
static void test_event_of_a_lost_command_refused(void **state)
{
	(void)state;
	parts.one.steps = "e";
	parts_read(7, "u/one", "");
	parts_work();
	parts_lose(false);
	parts_event_ends("Quota exceeded", false);
	assert_int_equal(parts.host.commands, 0);
	assert_null(parts.host.retrying);
}

static void test_lost_command_dies(void **state)
{
	(void)state;
	parts.one.steps = "f";
	parts_read(7, "u/one", "");
	struct command *running = parts_submitted_take(0);
	parts_lose(false);
	worker_run(&parts.host.light, running);
	command_returned(running);
	parts_work();
	assert_int_equal(letters(), 1);
	parts_connect(true);
	assert_null(parts_read(7, "u/one", ""));
	parts_settled(7);
	turn();
	parts_left("7");
	assert_int_equal(letters(), 1);
	ended(0, 0, 1);
}

/* ---- QoS 0 ---- */

static void test_qos0(void **state)
{
	(void)state;
	parts.one.steps = "err.f";
	parts_read(0, "u/one", "");
	assert_int_equal(board_read(&parts_board.account.qos0), 1);
	parts_work();
	parts_events_end();
	assert_int_equal(parts.host.commands, 0);
	/* Retried as any other. */
	parts_read(0, "u/one", "");
	parts_work();
	parts_turn(25);
	parts_work();
	parts_turn(50);
	parts_work();
	assert_int_equal(parts.host.commands, 0);
	parts_read(0, "u/one", "");
	parts_work();
	parts_work();
	assert_int_equal(letters(), 1);
	assert_int_equal(parts.host.commands, 0);
	turn();
	parts_left("");
	ended(0, 0, 0);
	assert_int_equal(board_read(&parts_board.account.qos0), 3);
}

/* No promise: when the retries are spent, or the store is away, it is gone, and the lane stays. */
static void test_qos0_gives_up(void **state)
{
	(void)state;
	parts.one.steps = "r";
	parts_read(0, "u/one", "");
	for (parts.one.runs = 0; parts.submitted_count > 0; parts_turn(400)) {
		assert_in_range(parts.one.runs, 0, 5);
		parts_work();
	}
	assert_int_equal(parts.host.commands, 0);
	assert_null(parts.host.retrying);
	assert_int_equal(parts.connection->drops, 0);
	assert_int_equal(connection_state(parts.connection), CONNECTION_UP);

	parts.one.steps = "s";
	parts_read(0, "u/one", "");
	parts_work();
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(parts.store_away, 1);
}

static void test_qos0_dead_letter_fails(void **state)
{
	(void)state;
	parts.one.steps = "f";
	parts_read(0, "u/one", "");
	parts_work();
	fake_store_fail_next(parts.host.light.store, STORE_E_AWAY, 1);
	parts_work();
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(parts.store_away, 1);
}

/* As many as the window holds; what is more is dropped, and those that end make room. */
static void test_qos0_window(void **state)
{
	(void)state;
	parts.settings.user_window = 100;
	for (unsigned i = 0; i < parts.settings.window + 2; i++)
		parts_read(0, "u/one", "");
	assert_int_equal(parts.host.commands, parts.settings.window);
	assert_int_equal(board_read(&parts_board.account.qos0), parts.settings.window + 2);
	parts_work();
	parts_read(0, "u/one", "");
	assert_int_equal(parts.host.commands, parts.settings.window);
	while (parts.submitted_count > 0)
		parts_work();
	assert_int_equal(parts.host.commands, 0);
}

/* The log is told of the first, and then of how many there were, once in a while: a flood of them is no flood
 * of lines. */
static void test_qos0_dropped_log(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(log_open(&(const struct log_options){
				 .fd = ends[1], .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO}),
		0);
	parts.settings.window = 0;
	static const unsigned pauses_ms[] = {0, 1, ARRIVAL_DROPPED_LOG_MS - 2, 1, 1, ARRIVAL_DROPPED_LOG_MS};
	for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
		parts.host.now_ms += pauses_ms[i];
		parts_read(0, "u/one", "");
	}
	log_close(10000);
	close(ends[1]);
	char lines[8192];
	const ssize_t size = read(ends[0], lines, sizeof(lines) - 1);
	close(ends[0]);
	assert_in_range(size, 1, sizeof(lines) - 1);
	lines[size] = '\0';
	static const char *const told[] = {"\"dropped\":1,", "\"dropped\":3,", "\"dropped\":2,"};
	const char *at = lines;
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		at = strstr(at, "\"qos0_dropped\"");
		assert_non_null(at);
		assert_ptr_equal(strstr(at, "\"dropped\":"), strstr(at, told[i]));
		at = strchr(at, '\n');
		assert_non_null(at);
	}
	assert_null(strstr(at, "\"qos0_dropped\""));
	assert_int_equal(parts.host.qos0_dropped, 6);
	parts.settings.window = 8;
}

/* ---- Properties of MQTT 5 ---- */

static void read_with(uint16_t mid, const char *topic, const char *response_topic, const char *correlation)
{
	mosquitto_property *properties = NULL;
	if (response_topic != NULL)
		assert_int_equal(
			mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, response_topic),
			MOSQ_ERR_SUCCESS);
	if (correlation != NULL)
		assert_int_equal(mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
					 correlation, (uint16_t)strlen(correlation)),
			MOSQ_ERR_SUCCESS);
	parts_sent(mid, topic, "payload")->properties = properties;
	while (connection_state(parts.connection) == CONNECTION_UP && connection_read(parts.connection))
		continue;
	mosquitto_property_free_all(&properties);
}

static void test_properties(void **state)
{
	(void)state;
	parts.one.steps = "e";
	read_with(1, "u/one", "u/answers/here", "\x01\x02");
	parts_work();
	assert_string_equal(parts.events[0].event->topic, "u/answers/here");
	assert_int_equal(parts.events[0].command->correlation_size, 2);
	assert_memory_equal(parts.events[0].command->correlation, "\x01\x02", 2);
	parts_events_end();
	read_with(2, "u/one", NULL, NULL);
	parts_work();
	assert_string_equal(parts.events[0].event->topic, "u/got");
	assert_null(parts.events[0].command->correlation);
	parts_events_end();
	read_with(3, "u/one", "v/answers", NULL);
	parts_work();
	assert_string_equal(parts.events[0].event->topic, "u/command_rejected");
	parts_events_end();
	turn();
	parts_left("1 2 3");
	ended(2, 1, 0);
}

/* A copy has the same Correlation Data. */
static void test_copy_with_properties(void **state)
{
	(void)state;
	static char long_data[1001];
	memset(long_data, 'x', sizeof(long_data) - 1);
	const struct {
		const char *first, *second;
		bool joins;
	} cases[] = {{"ab", "ab", true}, {long_data, long_data, true}, {long_data, long_data + 1, false},
		{long_data + 872, long_data + 872, true}, {long_data + 871, long_data + 871, true},
		{"ab", "ac", false}, {"ab", "abc", false}, {"ab", NULL, false}, {NULL, "ab", false},
		{NULL, NULL, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t joined = board_read(&parts_board.account.joined);
		read_with(7, "u/one", NULL, cases[i].first);
		parts_work();
		parts_lose(false);
		parts_connect(true);
		read_with(7, "u/one", NULL, cases[i].second);
		assert_int_equal(board_read(&parts_board.account.joined) - joined, cases[i].joins);
		if (!cases[i].joins)
			parts_work();
		turn();
		parts_left("7");
	}
}

/* ---- Memory ---- */

/* What stands in one block does not get into each other's way, and the block is as large as they are
 * together: a sanitizer sees the arena's last byte. */
static void test_one_block(void **state)
{
	(void)state;
	static const char payload[] = "abcdefghijklmnopqrstuvwxyz";
	parts.one.steps = "b";
	for (size_t i = 0; i < sizeof(payload); i++)
		for (parts.one.size = 1; parts.one.size <= 256; parts.one.size++) {
			const struct command *command = parts_read(7, "user/one", payload + i);
			parts_work();
			assert_string_equal(command->input.payload, payload + i);
			assert_string_equal(command->input.topic, "user/one");
			assert_string_equal(command->input.user, "user");
			assert_int_equal(parts.events[0].event->payload_size, parts.one.size);
			parts_events_end();
			turn();
			parts_left("7");
			parts.connection->left_count = 0;
		}
}

/* ---- Out of memory ---- */

/* Whatever fails, nothing is acknowledged that has not come to its end, and all of it comes again. */
static void test_out_of_memory(void **state)
{
	static const struct {
		const char *name, *topic;
		uint16_t mid;
		bool large, crowded, lost;
	} cases[] = {
		{"runs", "u/one", 7},
		{"is light", "u/light", 7},
		{"no handler", "u/unknown", 7},
		{"too large", "u/one", 7, .large = true},
		{"window full", "u/one", 7, .crowded = true},
		{"at QoS 0", "u/one", 0},
		{"too large at QoS 0", "u/one", 0, .large = true},
	};
	static char long_text[600];
	memset(long_text, 'x', sizeof(long_text) - 1);
	memcpy(long_text, "u/", 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool failed = true;
		for (size_t n = 1; failed; n++) {
			assert_int_equal(parts_end(state), 0);
			assert_int_equal(begin(state), 0);
			parts.settings.payload_max = cases[i].large ? 4 : 1024;
			parts.settings.user_window = cases[i].crowded ? 0 : 3;
			parts.one.steps = parts.light.steps = "e";
			failing_malloc_start(n, false);
			read_with(cases[i].mid, cases[i].topic, long_text, "correlation");
			failed = failing_malloc_stop();
			turn();
			const bool dropped = parts.connection->drops > 0;
			/* Some failures are got over: by a worker that runs it again, by a shorter reason. */
			for (; parts.submitted_count > 0; turn())
				parts_work();
			parts_events_end();
			turn();
			const bool acknowledged = parts.connection->left_count > 0;
			const struct board_account *account = &parts_board.account;
			assert_false(dropped && !failed);
			assert_int_equal(acknowledged, !dropped && cases[i].mid != 0);
			assert_int_equal(account->done + account->rejected + account->dead, acknowledged);
			assert_int_equal(parts.host.commands, 0);
			if (!dropped || cases[i].mid == 0)
				continue;
			parts_connect(true);
			read_with(cases[i].mid, cases[i].topic, long_text, "correlation");
			for (; parts.submitted_count > 0; turn())
				parts_work();
			parts_events_end();
			turn();
			parts_left("7");
		}
	}
}

/* The text of a reason may fail: then a shorter one does. */
static void test_reason_out_of_memory(void **state)
{
	(void)state;
	parts.one.steps = "e";
	const struct command *command = parts_read(7, "u/one", "");
	parts_work();
	static char reason[1000];
	memset(reason, 'x', sizeof(reason) - 1);
	failing_malloc_start(1, true);
	parts_event_ends(reason, true);
	assert_true(failing_malloc_stop());
	parts_state(command, COMMAND_BURYING);
	parts_work();
	assert_string_equal(letter(0)->reason, "an event was refused");
	turn();
	parts_left("7");
}

/* ---- What must never happen ---- */

static void forget_running(void)
{
	command_forget(parts_read(7, "u/one", ""));
}

static void retry_running(void)
{
	command_retry(parts_read(7, "u/one", ""));
}

static void take_back_committing(void)
{
	parts.one.steps = "e";
	struct command *command = parts_read(7, "u/one", "");
	parts_work();
	command_take_back(command);
}

static void test_impossible(void **state)
{
	(void)state;
	static void (*const cases[])(void) = {forget_running, retry_running, take_back_committing};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const pid_t child = fork();
		assert_return_code(child, 0);
		if (child == 0) {
			signal(SIGABRT, SIG_DFL);
			cases[i]();
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

static void test_names(void **state)
{
	(void)state;
	static const char *const states[] = {"waiting", "running", "retrying", "committing", "parking",
		"burying", "claiming", "finishing", "settled"};
	static const char *const ends[] = {"done", "rejected", "dead", "parked"};
	for (unsigned i = 0; i < COMMAND_STATES; i++)
		assert_string_equal(command_state_name((enum command_state)i), states[i]);
	for (unsigned i = 0; i < COMMAND_ENDS; i++)
		assert_string_equal(command_end_name((enum command_end)i), ends[i]);
}

#define IN_A_LANE(test) cmocka_unit_test_setup_teardown(test, begin, parts_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_LANE(test_done_without_events),
		IN_A_LANE(test_done_with_events),
		IN_A_LANE(test_retry_then_done),
		IN_A_LANE(test_retries_of_several),
		IN_A_LANE(test_retries_spent),
		IN_A_LANE(test_retry_at_the_limit),
		IN_A_LANE(test_retry_of_a_lost_command),
		IN_A_LANE(test_store_away),
		IN_A_LANE(test_event_refused_for_good),
		IN_A_LANE(test_event_of_two_refused),
		IN_A_LANE(test_event_refused_for_now),
		IN_A_LANE(test_rejection_refused_for_now),
		IN_A_LANE(test_event_refused_until_spent),
		IN_A_LANE(test_event_refused_and_overtaken),
		IN_A_LANE(test_rejected_by_handler),
		IN_A_LANE(test_failed),
		IN_A_LANE(test_dead_letter_fails),
		IN_A_LANE(test_dead_letter_fails_while_stopping),
		IN_A_LANE(test_dead_letter_of_a_lost_command_fails),
		IN_A_LANE(test_no_handler),
		IN_A_LANE(test_too_large),
		IN_A_LANE(test_retained),
		IN_A_LANE(test_two_handlers),
		IN_A_LANE(test_two_handlers_one_fails),
		IN_A_LANE(test_two_handlers_lost),
		IN_A_LANE(test_order),
		IN_A_LANE(test_user_window),
		IN_A_LANE(test_light),
		IN_A_LANE(test_light_behind_queued),
		IN_A_LANE(test_light_retry),
		IN_A_LANE(test_copy_on_the_same_connection),
		IN_A_LANE(test_copy_of_a_running_command),
		IN_A_LANE(test_copy_of_a_settled_command),
		IN_A_LANE(test_copy_of_a_waiting_command),
		IN_A_LANE(test_no_copy),
		IN_A_LANE(test_event_of_a_lost_command_refused),
		IN_A_LANE(test_lost_command_dies),
		IN_A_LANE(test_qos0),
		IN_A_LANE(test_qos0_gives_up),
		IN_A_LANE(test_qos0_dead_letter_fails),
		IN_A_LANE(test_qos0_window),
		IN_A_LANE(test_qos0_dropped_log),
		IN_A_LANE(test_properties),
		IN_A_LANE(test_copy_with_properties),
		IN_A_LANE(test_one_block),
		IN_A_LANE(test_out_of_memory),
		IN_A_LANE(test_reason_out_of_memory),
		IN_A_LANE(test_impossible),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests_name("host_command", tests, NULL, NULL);
}
