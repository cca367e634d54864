/* test_dispatch_time.c - dispatch_time.c: which commands step aside and when, what a small window does, and what ends with that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "host_parts.h"

/* ---- Stepping aside ---- */

static void test_step_aside(void **state)
{
	(void)state;
	send_command("w/one", "w:.");
	const struct place *place = send_command("u/one", "slow:e");
	const struct place *behind = send_command("u/one", "b:.");
	work();
	pass(5000); /* it waits for a worker: nobody's time */
	assert_int_equal(storers.count, 0);
	struct command *slow = do_begin();
	pass(999);
	assert_int_equal(storers.count, 0);
	pass(1);
	pass(50);
	assert_int_equal(lane.stepped_aside, 1);
	assert_string_equal(state_of(place), "running");
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	assert_string_equal(fake_store_backlog_owner(host.store, 0), "me");
	pass(20);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(behind), "parked");
	assert_int_equal(release(), 3);
	/* What comes while it runs on goes behind it at once; nobody else is concerned. */
	const struct place *later = send_command("u/one", "c:.");
	send_command("v/one", "d:.");
	pass(20);
	store_all();
	assert_string_equal(state_of(later), "parked");
	work();
	expect("w d ");
	pass(3600 * 1000);
	store_all();
	do_end(slow);
	puback_all();
	live(1000);
	expect("slow b c ");
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(host.commands, 0);
	/* The user is on the straight way again. */
	const struct place *last = send_command("u/one", "z:.");
	work();
	assert_string_equal(state_of(last), "done");
}

/* The time of those before it is its user's, too: all of his go at once. */
static void test_step_aside_of_many(void **state)
{
	(void)state;
	send_command("u/one", "a:.");
	send_command("u/one", "b:.");
	struct command *a = do_begin();
	pass(900);
	do_end(a);
	struct command *b = do_begin();
	pass(99);
	assert_int_equal(lane.stepped_aside, 0);
	pass(100);
	assert_int_equal(lane.stepped_aside, 1);
	store_all();
	do_end(b);
	live(100);
	expect("a b ");
	assert_int_equal(host.commands, 0);
}

/* What its handler waits for the store is nobody's doing: to write would make the store slower. */
static void test_step_aside_without_waits(void **state)
{
	(void)state;
	send_command("u/one", "a:.");
	struct command *a = do_begin();
	for (unsigned i = 0; i < 10; i++) {
		pass(400);
		atomic_fetch_add(&a->waits.total_us, 400 * 1000);
	}
	atomic_store(&a->waits.since_us, host.now_ms * 1000);
	pass(1900); /* one operation, of which a second counts */
	assert_int_equal(lane.stepped_aside, 0);
	lane.stalls = true;
	atomic_store(&a->waits.total_us, 5000 * 1000);
	pass(100);
	assert_int_equal(lane.stepped_aside, 0);
	lane.stalls = false;
	atomic_store(&a->waits.total_us, 4000 * 1000);
	pass(100);
	assert_int_equal(lane.stepped_aside, 1);
	store_all();
	atomic_store(&a->waits.since_us, 0);
	do_end(a);
	live(100);
	assert_int_equal(host.commands, 0);
}

/* Those who follow a backlog wait as long as what is before them waits for the store. */
static void test_followers_without_waits(void **state)
{
	(void)state;
	send_command("u/one", "a:rrrrrrrrrrrrrrr.");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	while (!workers.first) {
		pass(20);
		store_all();
	}
	struct command *a = do_begin();
	const struct place *follower = send_command("u/one", "b:.");
	for (unsigned i = 0; i < 10; i++) {
		pass(400);
		atomic_fetch_add(&a->waits.total_us, 400 * 1000);
	}
	store_all();
	assert_string_equal(state_of(follower), "waiting");
	pass(1100);
	store_all();
	assert_string_equal(state_of(follower), "parked");
	do_end(a);
	live(300 * 1000);
	assert_int_equal(fake_store_parked(host.store), 0);
}

/* Not while something earlier of its user is not settled, nor while the store is away. */
static void test_step_aside_waits(void **state)
{
	(void)state;
	send_command("u/one", "a:e");
	work();
	send_command("u/one", "b:.");
	struct command *b = do_begin();
	pass(5000);
	assert_int_equal(lane.stepped_aside, 0);
	dispatch_store_away(&host);
	answer(NULL, false);
	pass(100);
	assert_int_equal(lane.stepped_aside, 0);
	host.store_up = true;
	pass(100);
	assert_int_equal(lane.stepped_aside, 1);
	store_all();
	do_end(b);
	live(100);
	assert_int_equal(host.commands, 0);
}

/* It ends, one way or the other, while its document is being written; or that is refused. */
static void test_step_aside_ends(void **state)
{
	static const struct {
		const char *name, *payload;
		bool refused;
		const char *end;
		size_t letters;
	} cases[] = {
		{"done", "x:e", false, "parked", 0},
		{"dead", "x:f", false, "parked", 1},
		{"done, refused", "x:e", true, "done", 0},
		{"dead, refused", "x:f", true, "dead", 1},
		{"tried again", "x:r.", false, "parked", 0},
		{"tried again, refused", "x:r.", true, "done", 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		begin_host(state);
		const struct place *place = send_command("u/one", cases[i].payload);
		struct command *command = do_begin();
		pass(1001);
		assert_int_equal(storers.count, 1);
		do_end(command);
		puback_all();
		assert_false(place->settled);
		if (cases[i].refused)
			fake_store_fail_next(host.store, STORE_E_PERMANENT, 1);
		store_next(STORING_APPEND);
		live(1000);
		assert_string_equal(state_of(place), cases[i].end);
		assert_int_equal(fake_store_parked(host.store), 0);
		assert_int_equal(fake_store_dead_letters(host.store), cases[i].letters);
		assert_int_equal(host.commands, 0);
		assert_null(users_find(line, users_key("u", 1), "u", 1));
		end_host(state);
	}
}

/* Who comes behind it is not written before it is known to be, and runs where it is refused. */
static void test_behind_refused(void **state)
{
	for (unsigned steps = 0; steps < 2; steps++) {
		begin_host(state);
		const struct place *first = send_command("u/one", steps ? "x:." : "x:r");
		const struct place *second = send_command("u/one", "y:.");
		struct command *command = steps ? do_begin() : NULL;
		while (!storers.first) {
			work_all();
			pass(5);
		}
		assert_int_equal(storers.count, 1);
		assert_string_equal(state_of(second), "waiting");
		fake_store_fail_next(host.store, STORE_E_PERMANENT, 1);
		store_next(STORING_APPEND);
		assert_int_equal(fake_store_parked(host.store), 0);
		if (steps)
			do_end(command);
		live(1000);
		assert_string_equal(state_of(first), steps ? "done" : "dead");
		assert_string_equal(state_of(second), "done");
		assert_int_equal(fake_store_dead_letters(host.store), !steps);
		assert_int_equal(host.commands, 0);
		end_host(state);
	}
}

/* ---- Where all wait alike ---- */

/* To write would help nobody: until half a minute has passed. */
static void test_nobody_waits_for_it(void **state)
{
	(void)state;
	lane.waits_alike = true;
	const struct place *place = send_command("u/one", "a:.");
	struct command *a = do_begin();
	for (unsigned i = 0; i < 29; i++)
		pass(1000);
	assert_int_equal(lane.stepped_aside, 0);
	assert_string_equal(state_of(place), "running");
	pass(1000);
	assert_int_equal(lane.stepped_aside, 1);
	store_all();
	assert_string_equal(state_of(place), "parked");
	do_end(a);
	live(100);
	assert_int_equal(host.commands, 0);
}

/* What all need is away: they are tried again where they are, after longer and longer pauses. Who comes through first calls the others of his handler. */
static void test_all_fail(void **state)
{
	(void)state;
	lane.waits_alike = true;
	const struct place *first = send_command("u/one", "a:rrrrrrrrrr.");
	const struct place *second = send_command("v/one", "b:r");
	const struct place *waits = send_command("w/one", "c:W.");
	const struct place *other = send_command("x/two", "d:r:.");
	unsigned ran_ms = 0;
	for (; strcmp(state_of(first), "done") != 0 && ran_ms < 30000; ran_ms += 5) {
		work_all();
		pass(5);
	}
	/* 25, 50 .. 400 are a second at most; the last three are up to 3200, 6400 and 6400, and half of that at least. */
	assert_in_range(ran_ms, 5000, 20000);
	struct command *again = do_begin();
	assert_string_equal(again->input.user, "v");
	do_end(again);
	assert_null(workers.first);
	assert_string_equal(state_of(second), "retrying");
	assert_string_equal(state_of(waits), "retrying");
	assert_string_equal(state_of(other), "retrying");
	assert_int_equal(storers.count, 0);
	/* And as soon as somebody waits for them they go into the store. */
	lane.waits_alike = false;
	pass(50);
	store_all();
	assert_string_equal(state_of(waits), "parked");
	assert_string_equal(state_of(other), "parked");
}

/* Many have backlogs: what they send waits in memory, so that those come to an end. */
static void test_crowd(void **state)
{
	(void)state;
	const struct place *followers[8];
	char topic[] = "a/one", payload[] = "a:W.", later[] = "A:.";
	for (unsigned i = 0; i < 8; i++, topic[0]++, payload[0]++)
		send_command(topic, payload);
	work_all();
	pass(1000);
	store_all();
	assert_int_equal(parking_backlog_count(host.parking), 8);
	release();
	lane.waits_alike = true;
	/* Not behind one that is tried again only in a minute; but behind those that nobody gets round to. */
	const struct place *early = send_command("a/one", "0:.");
	pass(50);
	store_all();
	assert_string_equal(state_of(early), "parked");
	host.active = false;
	pass(60 * 1000);
	topic[0] = 'a';
	for (unsigned i = 0; i < 8; i++, topic[0]++, later[0]++)
		followers[i] = send_command(topic, later);
	pass(1500);
	assert_int_equal(storers.count, 0);
	/* Half of the window is taken, and others wait for it: no room to wait in. */
	lane.waits_alike = false;
	pass(50);
	store_all();
	for (unsigned i = 0; i < 8; i++)
		assert_string_equal(state_of(followers[i]), "parked");
	host.active = true;
	live(120 * 1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(host.commands, 0);
}

/* ---- Small windows ---- */

/* While the broker waits, the oldest goes at once, if its turn has come. */
static void test_stall(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:.");
	struct command *command = do_begin();
	pass(20);
	assert_int_equal(lane.stepped_aside, 0);
	lane.stalls = true;
	pass(50);
	assert_int_equal(lane.stepped_aside, 1);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	lane.stalls = false;
	do_end(command);
	live(100);
	assert_int_equal(host.commands, 0);
}

/* Events that are not PUBACKed: should the host die now, the handler has to run again for them. */
static void test_stall_with_events(void **state)
{
	(void)state;
	send_command("u/two", "x:e:r.");
	work();
	lane.stalls = true;
	pass(50);
	assert_int_equal(lane.stepped_aside, 1);
	store_next(STORING_APPEND);
	assert_int_equal(fake_store_parked_command(host.store, 0)->settled_count, 0);
	lane.stalls = false;
	live(1000);
	expect("xA xB xB ");
	assert_int_equal(host.commands, 0);
}

/* While an event is refused for now, its command is not parked: its handlers would run again. */
static void test_stall_with_refused(void **state)
{
	(void)state;
	const struct place *place = send_command("u/two", "x:e:r.");
	work();
	answer("quota exceeded", false);
	lane.stalls = true;
	pass(20);
	assert_string_equal(state_of(place), "retrying");
	assert_int_equal(storers.count, 0);
	lane.stalls = false;
	live(2000);
	expect("xA xB xB ");
	assert_string_equal(state_of(place), "done");
}

int main(void)
{
	log_set(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		TEST(test_step_aside),
		TEST(test_step_aside_of_many),
		TEST(test_step_aside_without_waits),
		TEST(test_followers_without_waits),
		TEST(test_step_aside_waits),
		cmocka_unit_test(test_step_aside_ends),
		cmocka_unit_test(test_behind_refused),
		TEST(test_nobody_waits_for_it),
		TEST(test_all_fail),
		TEST(test_crowd),
		TEST(test_stall),
		TEST(test_stall_with_events),
		TEST(test_stall_with_refused),
	};
	return cmocka_run_group_tests_name("dispatch_time", tests, NULL, NULL);
}
