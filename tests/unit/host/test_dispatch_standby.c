/* test_dispatch_standby.c - dispatch*.c: what a host that loses its place as the active one forgets, and what goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "host_parts.h"

/* ---- Standby ---- */

static void test_stand_by(void **state)
{
	(void)state;
	send_command("u/one", "a:e"); /* has begun */
	const struct place *waits = send_command("u/one", "b:.");
	const struct place *retries = send_command("v/one", "c:r");
	const struct place *commits = send_command("w/one", "d:e");
	struct command *a = do_begin();
	work();
	work();
	forget_told();
	dispatch_stand_by(&host);
	assert_true(lane.copies_forgotten);
	assert_string_equal(state_of(waits), "forgotten");
	assert_string_equal(state_of(retries), "forgotten");
	assert_string_equal(state_of(commits), "committing");
	assert_null(users_find(line, users_key("v", 1), "v", 1));
	do_end(a);
	puback_all();
	expect("a ");
	assert_int_equal(host.commands, 0);
	assert_int_equal(workers.count, 0);
	turn();
	assert_int_equal(workers.count, 0);
}

/* With a backlog in whatever job. */
static void test_stand_by_with_backlogs(void **state)
{
	static const char *const when[] = {"resting", "claiming", "claimed", "running", "stepping"};
	for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
		print_message("  %s\n", when[i]);
		begin_host(state);
		struct command *running = NULL;
		send_command("u/one", "a:rrrrrrrrrrrr.");
		for (unsigned k = 0; !storers.first && i < 4; k++) {
			work_all();
			pass(5);
		}
		store_all();
		if (i > 0 && i < 4)
			pass(10000);
		if (i > 1 && i < 4)
			store_next(STORING_CLAIM);
		if (i > 2)
			running = do_begin();
		if (i == 4)
			pass(1001);
		send_command("u/one", "b:.");
		host.active = false;
		dispatch_stand_by(&host);
		store_all();
		if (running)
			do_end(running);
		else if (workers.first)
			work();
		turn();
		store_all();
		assert_int_equal(workers.count, 0);
		assert_null(strchr(told, 'b'));
		for (unsigned k = 0; k < 1000; k++) {
			pass(5);
			work_all();
			store_all();
		}
		assert_int_equal(host.commands, 0);
		assert_int_equal(parking_claimed_count(host.parking), 0);
		end_host(state);
	}
}

/* An append that was not answered when another host has taken over is not repeated: that one gets the command from the broker. */
static void test_stand_by_unanswered(void **state)
{
	static const int errors[] = {STORE_E_AWAY, STORE_E_TRANSIENT};
	for (size_t i = 0; i < 4; i++) {
		const bool steps = i >= 2;
		print_message("  %s\n", steps ? "stepping aside" : "parked");
		begin_host(state);
		const struct place *place = send_command("u/one", steps ? "a:." : "a:rrrrrrrrrrrr.");
		struct command *running = steps ? do_begin() : NULL;
		for (unsigned k = 0; !storers.first && k < 1000; k++) {
			work_all();
			pass(5);
		}
		send_command("u/one", "b:.");
		fake_store_fail_next(host.store, errors[i % 2], 1);
		store_next(STORING_APPEND);
		assert_int_equal(storers.count, 0);
		host.active = false;
		dispatch_stand_by(&host);
		host.store_up = true;
		dispatch_store_back(&host);
		pass(2000);
		assert_int_equal(storers.count, 0);
		if (running)
			do_end(running);
		else
			assert_string_equal(state_of(place), "forgotten");
		turn();
		assert_int_equal(workers.count, 0);
		assert_int_equal(storers.count, 0);
		assert_int_equal(fake_store_parked(host.store), 0);
		assert_null(strchr(told, 'b'));
		assert_int_equal(host.commands, 0);
		end_host(state);
	}
}

/* The answer to its stepping aside was lost, and this host is active again: it runs on without its document, which is found, and waits for its
 * end. */
static void test_stand_by_stepped_aside(void **state)
{
	(void)state;
	send_command("u/one", "a:.");
	struct command *running = do_begin();
	while (!storers.first)
		pass(5);
	fake_store_lose_answer_at(host.store, 0);
	store_next(STORING_APPEND);
	dispatch_stand_by(&host);
	host.store_up = true;
	dispatch_store_back(&host);
	pass(100);
	store_next(STORING_CLAIM);
	send_command("u/one", "b:.");
	pass(100);
	assert_int_equal(workers.count, 0);
	do_end(running);
	live(1000);
	expect("a a b ");
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(host.commands, 0);
}

int main(void)
{
	log_set(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		TEST(test_stand_by),
		cmocka_unit_test(test_stand_by_with_backlogs),
		cmocka_unit_test(test_stand_by_unanswered),
		TEST(test_stand_by_stepped_aside),
	};
	return cmocka_run_group_tests_name("dispatch_standby", tests, NULL, NULL);
}
