/* test_dispatch_suspects.c - dispatch*.c with suspects.c: commands that a mark on the board blames, their copies, and those who were only near. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "host_parts.h"
#include "replays.h"
#include "schedules.h"

/* ---- Suspects ---- */

static void mark(const char *topic, const char *payload, unsigned deaths)
{
	const struct board_run run = {
		.fingerprint = fingerprint(topic, payload, strlen(payload), NULL, 0), .handler = "one"};
	for (unsigned i = 0; i < deaths; i++)
		board_mark_add(host.board, &run, "SIGSEGV", false, host.now_ms);
}

/* It has killed a host: parked before it runs again, and not claimed before its PUBACK has left. */
static void test_marked(void **state)
{
	static const char *const topics[] = {"u/one", "u/light"};
	for (size_t i = 0; i < 2; i++) {
		print_message("  %s\n", topics[i]);
		begin_host(state);
		mark(topics[i], "x:.", 1);
		const struct place *place = send_command(topics[i], "x:.");
		expect("");
		store_next(STORING_APPEND);
		assert_string_equal(state_of(place), "parked");
		assert_int_equal(fake_store_parked_command(host.store, 0)->crashes, 1);
		pass(60000);
		assert_int_equal(storers.count, 0);
		assert_int_equal(release(), 1);
		live(100);
		expect("x ");
		assert_int_equal(fake_store_parked(host.store), 0);
		assert_false(board_marks_any(host.board)); /* it has ended well */
		end_host(state);
	}
}

/* Not parked at once, since something earlier is not settled: it does not run meanwhile. */
static void test_marked_behind(void **state)
{
	(void)state;
	mark("u/one", "x:.", 1);
	send_command("u/one", "a:e");
	const struct place *place = send_command("u/one", "x:.");
	work();
	assert_string_equal(state_of(place), "waiting");
	send_command("u/one", "b:.");
	pass(2000);
	work_all();
	assert_string_equal(state_of(place), "waiting");
	expect("a ");
	answer(NULL, false);
	assert_string_equal(state_of(place), "storing");
	store_all();
	while (release() > 0)
		continue;
	live(60000);
	expect("x b ");
}

/* What comes behind it goes into the store at once: places that wait in memory would keep the PUBACKs of others until the next death, and with it all
 * that these are for would run again. */
static void test_marked_followed(void **state)
{
	(void)state;
	mark("u/one", "x:.", 1);
	send_command("u/one", "x:.");
	store_next(STORING_APPEND);
	assert_int_equal(release(), 1);
	const struct place *behind = send_command("u/one", "b:.");
	send_command("v/one", "c:.");
	work_all();
	assert_string_equal(state_of(behind), "storing");
	pass(100);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(behind), "parked");
	assert_int_equal(release(), 2);
	live(60000);
	expect("c x b ");
	assert_int_equal(fake_store_parked(host.store), 0);
}

/* Too often: dead without a run, and a copy of it at once, for ten minutes. */
static void test_guilty(void **state)
{
	(void)state;
	mark("u/one", "x:.", 3);
	const struct place *place = send_command("u/one", "x:.");
	store_next(STORING_BURY);
	answer(NULL, false);
	assert_string_equal(state_of(place), "dead");
	assert_int_equal(fake_store_dead_letter(host.store, 0)->crashes, 3);
	assert_string_equal(fake_store_dead_letter(host.store, 0)->reason,
		"handler one killed the host 3 times: SIGSEGV");
	pass(BOARD_BURIED_MS - 1000);
	board_forget(host.board, INT64_MIN, host.now_ms);
	place = send_command("u/one", "x:.");
	store_next(STORING_BURY);
	answer(NULL, false);
	assert_string_equal(state_of(place), "dead");
	assert_non_null(
		strstr(fake_store_dead_letter(host.store, 1)->reason, "less than 10 minutes after that"));
	pass(BOARD_BURIED_MS + 1000);
	board_forget(host.board, INT64_MIN, host.now_ms);
	place = send_command("u/one", "x:.");
	work();
	assert_string_equal(state_of(place), "done");
	expect("x ");
}

/* Whoever replays its dead letter has it run, and copies of it as well from then on. */
static void test_guilty_and_replayed(void **state)
{
	(void)state;
	mark("u/one", "x:.", 3);
	send_command("u/one", "x:.");
	store_next(STORING_BURY);
	answer(NULL, false);
	while (release() > 0)
		continue;
	expect("");
	struct store_client *client = store_acquire(host.store);
	const struct dead_letter letter = *fake_store_dead_letter(host.store, 0);
	assert_int_equal(replay_dead_letter(client, &letter, "cashewd", store_now_us(host.store)), 0);
	store_release(client);
	dispatch_backlog_found(&host, &home, "cashewd", "u", 0);
	live(1000);
	expect("x ");
	assert_int_equal(fake_store_dead_letters(host.store), 0);
	assert_int_equal(fake_store_parked(host.store), 0);
	const struct place *place = send_command("u/one", "x:.");
	work();
	assert_string_equal(state_of(place), "done");
	expect("x ");
}

/* It was there at deaths of which nobody knows why: it runs when nothing else does, and nothing is begun meanwhile. */
static void test_near(void **state)
{
	(void)state;
	send_command("v/one", "a:.");
	struct command *a = do_begin();
	const uint64_t identity =
		(fingerprint("u/one", "x:r.", 4, NULL, 0) ^ home.key ^ 2) * UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned i = 0; i < 3; i++)
		board_near_add(host.board, identity, host.now_ms);
	const struct place *place = send_command("u/one", "x:r.");
	turn();
	assert_string_equal(state_of(place), "waiting");
	assert_true(suspects_quiet(&host.suspects, host.now_ms));
	send_command("v/light", "b:.");
	expect("");
	do_end(a);
	turn();
	assert_true(workers.now);
	struct command *x = do_begin();
	assert_true(x->alone);
	do_end(x);
	assert_false(suspects_quiet(&host.suspects, host.now_ms));
	assert_false(x->alone); /* its next run is not */
	pass(500);
	work_all();
	assert_string_equal(state_of(place), "done");
	assert_false(board_near_any(host.board));
}

int main(void)
{
	log_set(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marked),
		TEST(test_marked_behind),
		TEST(test_marked_followed),
		TEST(test_guilty),
		TEST(test_guilty_and_replayed),
		TEST(test_near),
	};
	return cmocka_run_group_tests_name("dispatch_suspects", tests, NULL, NULL);
}
