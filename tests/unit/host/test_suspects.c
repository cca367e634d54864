/* test_host_suspects.c - suspects.c: what may have killed a host is kept apart, tried alone, and given
 * up. */
#include "clock.h"
#include "fingerprint.h"
#include "parking_parts.h"

static uint64_t accuse(const char *topic, const char *payload, unsigned crashes)
{
	struct board_run run = {
		.handler = "one", .key = fingerprint(topic, payload, strlen(payload), NULL, 0)};
	board_suspect_add(&parts_board, &run, crashes, "SIGSEGV", clock_unix_ms());
	return run.key;
}

static void test_suspect(void **state)
{
	(void)state;
	for (unsigned crashes = 0; crashes < 3; crashes++) {
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
		const uint64_t key = accuse("u/light", "x", crashes);
		parts_read(6, "v/one", "");
		/* Not even a light one is run here. */
		const struct command *suspect = parts_read(7, "u/light", "x");
		parts_state(suspect, COMMAND_PARKING);
		parts_work_on(1);
		assert_int_equal(parked(0)->crashes, crashes);
		assert_int_equal(parked(0)->attempts, 1);
		assert_true(parked(0)->not_before_ms <= clock_unix_ms());
		assert_string_equal(
			parked(0)->reason, crashes == 0	  ? "it was being run when the host was killed"
					   : crashes == 1 ? "handler one killed the host 1 time: SIGSEGV"
							  : "handler one killed the host 2 times: SIGSEGV");
		turn();
		parts_work_on(1);
		/* It waits for quiet; nothing is read meanwhile. */
		assert_true(suspects_quiet(&parts.host) || parts.host.suspects.waiting != NULL);
		turn();
		assert_true(suspects_quiet(&parts.host));
		parts_sent(8, "w/light", "");
		turn();
		assert_int_equal(parts.light.runs, 0);
		assert_int_equal(parts.submitted_count, 1);
		parts_work();
		turn();
		/* Now nothing else runs. */
		assert_int_equal(parts.submitted_count, 1);
		assert_true(parts.submitted[0]->alone);
		assert_int_equal(parts.light.runs, 0);
		parts_work();
		assert_non_null(board_suspect_find(&parts_board, key));
		work_all();
		assert_null(board_suspect_find(&parts_board, key));
		turn();
		in_store(0, 1);
		/* And what waited is read. */
		assert_int_equal(parts.light.runs, 2);
		ended(3, 0, 0, 1);
	}
}

/* Others do not wait for one that takes its time. */
static void test_slow_suspect(void **state)
{
	(void)state;
	accuse("u/one", "x", 1);
	accuse("v/one", "x", 1);
	parts_read(1, "slow/one", "");
	parts_read(2, "u/one", "x");
	parts_read(3, "v/one", "x");
	struct command *slow = parts_submitted_take(0);
	for (unsigned i = 0; i < 4; i++) {
		parts_work();
		turn();
	}
	assert_true(suspects_quiet(&parts.host));
	assert_int_equal(suspects_due_ms(&parts.host), parts.host.suspects.quiet_until_ms);
	/* It is not quiet, and never will be. */
	parts_turn(SUSPECTS_QUIET_MS);
	parts_turn(0);
	assert_int_equal(parts.submitted_count, 1);
	assert_false(parts.submitted[0]->alone);
	struct command *suspect = parts_submitted_take(0);
	worker_run(&parts.host.light, slow);
	command_returned(slow);
	parts_sent(4, "w/light", "");
	parts_turn(SUSPECTS_QUIET_MS - 1);
	assert_int_equal(parts.light.runs, 0);
	parts_turn(1);
	parts_turn(0);
	assert_int_equal(parts.light.runs, 1);
	/* The next one is tried a while after the first has come back. */
	worker_run(&parts.host.light, suspect);
	command_returned(suspect);
	parts_turn(0);
	parts_work();
	parts_turn(SUSPECTS_QUIET_MS - 1);
	assert_int_equal(parts.submitted_count, 0);
	assert_int_equal(suspects_due_ms(&parts.host), parts.host.now_ms + 1);
	parts_turn(1);
	assert_int_equal(parts.submitted_count, 1);
	assert_true(parts.submitted[0]->alone);
	suspect = parts_submitted_take(0);
	/* Alone for that time only. */
	figures_use_rows(&parts_board.figures, 2);
	parts_board.slots[1].run.alone = true;
	parts_board.slots[1].state = BOARD_SLOT_RUNNING;
	parts_turn(SUSPECTS_QUIET_MS);
	assert_false(suspect->alone);
	assert_false(parts_board.slots[1].run.alone);
	worker_run(&parts.host.light, suspect);
	command_returned(suspect);
	work_all();
	in_store(0, 2);
	assert_int_equal(parts_board.suspect_count, 0);
}

/* All that ran when the host was killed: while nothing comes of it, they are through in no time, and half of
 * the turns are left to others. */
static void test_many_suspects(void **state)
{
	(void)state;
	enum { MANY = 8 };
	static char topics[MANY][8];
	parts.settings.window = 100;
	parts.settings.group_max = 50;
	for (uint16_t i = 0; i < MANY; i++) {
		snprintf(topics[i], sizeof(topics[i]), "%u/one", i);
		accuse(topics[i], "x", 0);
		parts_read((uint16_t)(i + 1), topics[i], "x");
	}
	unsigned quiet = 0, turns = 0;
	for (; parts_board.suspect_count > 0 || fake_store_parked(store()) > 0; turns++) {
		assert_in_range(turns, 0, 200);
		while (parts.submitted_count > 0)
			parts_work();
		parts_turn(0);
		quiet += suspects_quiet(&parts.host);
		parts_turn(3);
		quiet += suspects_quiet(&parts.host);
	}
	assert_int_equal(parts.one.runs, MANY);
	assert_true(quiet <= turns);
	assert_true(turns <= 10 * MANY);
}

static void test_crash_limit(void **state)
{
	(void)state;
	const uint64_t key = accuse("u/one", "x", 3);
	const struct command *command = parts_read(7, "u/one", "x");
	parts_state(command, COMMAND_BURYING);
	work_all();
	turn();
	parts_left("7");
	ended(0, 0, 1, 0);
	assert_int_equal(parts.one.runs, 0);
	assert_null(board_suspect_find(&parts_board, key));
	const struct dead_letter *letter = fake_store_dead_letter(store(), 0);
	assert_string_equal(letter->reason, "handler one killed the host 3 times: SIGSEGV");
	assert_string_equal(letter->handler, "one");
	assert_int_equal(letter->crashes, 3);

	/* From the store as well: that is where it was run when it killed the host for the last time. */
	accuse("u/one", "y", 2);
	parts_read(8, "u/one", "y");
	parts_work();
	accuse("u/one", "y", 1);
	work_all();
	in_store(0, 1);
	assert_int_equal(parts.one.runs, 0);
	assert_int_equal(fake_store_dead_letters(store()), 2);
	assert_int_equal(parts_board.suspect_count, 0);
	turn();
	ended(0, 0, 2, 1);
}

/* What was blamed before counts also when the board has forgotten it. */
static void test_crashes_in_the_store(void **state)
{
	(void)state;
	accuse("u/one", "x", 2);
	parts_read(7, "u/one", "x");
	parts_work();
	board_suspect_clear(&parts_board, fingerprint("u/one", "x", 1, NULL, 0));
	parts.one.steps = "r";
	work_all();
	assert_int_equal(parked(0)->crashes, 2);
	assert_int_equal(parked(0)->attempts, 2);
	accuse("u/one", "x", 1);
	parts.host.now_ms += 2 * PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	assert_true(parts.host.suspects.waiting != NULL || parts.host.suspects.alone != NULL);
	parts.one.steps = ".";
	parts_turn(SUSPECTS_QUIET_MS);
	work_all();
	in_store(0, 1);
}

/* Behind what is parked, like any other; and what was before it in its user's queue is run first. */
static void test_suspect_in_order(void **state)
{
	(void)state;
	accuse("u/one", "x", 1);
	const struct command *first = parts_read(1, "u/one", "first");
	const struct command *suspect = parts_read(2, "u/one", "x");
	parts_state(first, COMMAND_RUNNING);
	parts_state(suspect, COMMAND_WAITING);
	parts_work();
	parts_state(suspect, COMMAND_PARKING);
	const struct command *third = parts_read(3, "u/one", "third");
	parts_work();
	parts_state(third, COMMAND_PARKING);
	/* Were it run now and killed the host, the first one would come again, behind it. */
	parts_work();
	assert_int_equal(parts.submitted_count, 0);
	turn();
	turn();
	work_all();
	in_store(0, 2);
	assert_int_equal(parts.one.runs, 3);
	turn();
	ended(3, 0, 0, 2);
}

static void test_qos0_suspect(void **state)
{
	(void)state;
	accuse("u/one", "x", 0);
	parts_read(0, "u/one", "x");
	assert_int_equal(parts.host.commands, 0);
	assert_int_equal(parts.one.runs, 0);
	parts_read(0, "u/one", "y");
	parts_work();
	assert_int_equal(parts.one.runs, 1);
}

#define IN_A_LANE(test) cmocka_unit_test_setup_teardown(test, begin, parts_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_LANE(test_suspect),
		IN_A_LANE(test_slow_suspect),
		IN_A_LANE(test_many_suspects),
		IN_A_LANE(test_crash_limit),
		IN_A_LANE(test_crashes_in_the_store),
		IN_A_LANE(test_suspect_in_order),
		IN_A_LANE(test_qos0_suspect),
	};
	return cmocka_run_group_tests_name("host_suspects", tests, NULL, NULL);
}
