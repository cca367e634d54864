/* test_dispatch.c - dispatch.c, dispatch_store.c, dispatch_time.c: what follows what, from a command's arrival to its durable end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "host_parts.h"
#include "replays.h"

#define ASKED "handler one asked to be run again and gave no reason"

/* ---- One command ---- */

/* What comes of one command; see below for the letters of `events`. */
static const struct end {
	const char *name, *topic, *payload;
	const char *told;
	const char *events; /* each event's answer: '.' PUBACK, 'p' refused for good, 't' refused for now */
	const char *state;
	size_t letters;
} ends[] = {
	{"done", "u/one", "x:.", "x ", "", "done", 0},
	{"an event", "u/one", "x:e", "x ", ".", "done", 0},
	{"two events", "u/one", "x:E", "x ", "..", "done", 0},
	{"rejected", "u/one", "x:x", "x ", ".", "rejected", 0},
	{"failed", "u/one", "x:f", "x ", ".", "dead", 1},
	{"failed, and the event that says so is refused for now", "u/one", "x:f", "x ", "tt.", "dead", 1},
	{"failed, and the event that says so is refused for good", "u/one", "x:f", "x ", "p", "dead", 1},
	{"retried", "u/one", "x:rr.", "x x x ", "", "done", 0},
	{"an event refused for good", "u/one", "x:e", "x ", "p.", "dead", 1},
	{"one of two events refused for good", "u/one", "x:E", "x ", "p..", "dead", 1},
	{"an event refused for now is sent again, and no handler runs for it", "u/one", "x:e", "x ", "ttt.",
		"done", 0},
	{"one of two events refused for now", "u/one", "x:E", "x ", "t..", "done", 0},
	{"refused for now, then for good", "u/one", "x:e", "x ", "tp.", "dead", 1},
	{"light", "u/light", "x:e", "x ", ".", "done", 0},
	{"light, failed", "u/light", "x:f", "x ", ".", "dead", 1},
	{"light, retried", "u/light", "x:r.", "x x ", "", "done", 0},
	{"two handlers", "u/two", "x:e:e", "xA xB ", "..", "done", 0},
	{"two, one of them rejects", "u/two", "x:.:x", "xA xB ", ".", "rejected", 0},
	{"two, one of them fails", "u/two", "x:f:.", "xA xB ", ".", "dead", 1},
	{"two, one of them is tried again", "u/two", "x:.:r.", "xA xB xB ", "", "done", 0},
	{"two, the first's event goes before the second is tried again", "u/two", "x:e:r.", "xA xB xB ", ".",
		"done", 0},
	{"two, the worst end counts", "u/two", "x:x:f", "xA xB ", "..", "dead", 1},
	{"nobody wants it", "u/none", "x", "", ".", "dead", 1},
};

static void test_ends(void **state)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const struct end *end = &ends[i];
		print_message("  %s\n", end->name);
		begin_host(state);
		const struct place *place = send_command(end->topic, end->payload);
		const char *answers = end->events;
		for (unsigned turns = 0; turns < 2000 && !place->settled; turns++) {
			work_all();
			if (published) {
				assert_int_not_equal(*answers, '\0');
				answer(*answers == '.' ? NULL : "no", *answers == 'p');
				answers++;
			}
			store_all();
			if (!place->settled)
				pass(5);
		}
		assert_int_equal(*answers, '\0');
		assert_string_equal(state_of(place), end->state);
		expect(end->told);
		assert_int_equal(fake_store_dead_letters(host.store), end->letters);
		assert_int_equal(fake_store_parked(host.store), 0);
		assert_int_equal(host.commands, 0);
		assert_int_equal(host.bytes, 0);
		assert_int_equal(host.jobs, 0);
		assert_int_equal(release(), 1);
		end_host(state);
	}
}

/* The place is held until the broker has the events. */
static void test_events_first(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:E");
	work();
	assert_string_equal(state_of(place), "committing");
	answer(NULL, false);
	assert_string_equal(state_of(place), "committing");
	assert_int_equal(release(), 0);
	answer(NULL, false);
	assert_string_equal(state_of(place), "done");
}

/* ---- Order within a user ---- */

static void test_turns(void **state)
{
	(void)state;
	send_command("u/one", "a:e");
	send_command("u/one", "b:r.");
	send_command("u/one", "c:.");
	send_command("v/one", "d:.");
	assert_int_equal(workers.count, 2); /* one of each user */
	work_all();
	expect("a d b "); /* b's turn comes with a's effects, not with its PUBACK */
	pass(1000);
	work_all();
	expect("b c ");
}

/* A light one runs at once, but not before what its user has sent earlier. */
static void test_light(void **state)
{
	(void)state;
	send_command("u/one", "a:.");
	send_command("u/light", "b:.");
	send_command("v/light", "c:.");
	expect("c ");
	work_all();
	expect("a b ");
	host.store_up = false;
	send_command("v/light", "d:.");
	expect("");
	assert_int_equal(workers.count, 1);
}

/* The I/O thread, which is everybody's, reads no large JSON: from 4 KB on a worker does. */
static void test_light_with_a_large_payload(void **state)
{
	enum { LIMIT = 4096 };
	(void)state;
	char payload[LIMIT + 2];
	memset(payload, ' ', sizeof(payload));
	memcpy(payload, "a:.:", 4);
	payload[LIMIT] = '\0';
	send_command("u/light", payload);
	expect("a ");
	payload[LIMIT] = ' ';
	payload[LIMIT + 1] = '\0';
	payload[0] = 'b';
	send_command("u/light", payload);
	expect("");
	assert_int_equal(workers.count, 1);
	work_all();
	expect("b ");
}

/* It ends in one loop, however many wait. QoS 0 and to be parked: that is the end of them. */
static void test_thousands_end_at_once(void **state)
{
	enum { COUNT = 50000 };
	(void)state;
	settings.window = settings.user_window = COUNT + 1;
	send_command("u/one", "a:.");
	const struct board_run run = {
		.fingerprint = fingerprint("u/one", "b:.", 3, NULL, 0), .handler = "one", .crashes = 0};
	board_mark_add(host.board, &run, "SIGSEGV", false, host.now_ms);
	for (unsigned i = 0; i < COUNT; i++)
		arrive_as("u/one", "b:.", 0, false, false, 0, false);
	assert_int_equal(host.commands, COUNT + 1);
	assert_int_equal(home.unpromised, COUNT);
	work();
	assert_int_equal(host.commands, 0);
	assert_int_equal(home.unpromised, 0);
	expect("a ");
}

/* ---- Into the store ---- */

/* What fails for a second is parked, and goes on from the store with the attempts that it has had. */
static void test_parked(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:r");
	const int64_t since_ms = host.now_ms;
	while (!storers.first) {
		work_all();
		pass(5);
		assert_true(host.now_ms < since_ms + 2000);
	}
	assert_in_range(host.now_ms - since_ms, 500, 1100);
	assert_string_equal(state_of(place), "storing");
	assert_int_equal(release(), 0);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	assert_int_equal(release(), 1);
	assert_int_equal(fake_store_parked(host.store), 1);
	assert_int_equal(fake_store_parked_command(host.store, 0)->attempts, 1);
	assert_string_equal(fake_store_parked_command(host.store, 0)->reason, ASKED);
	assert_int_equal(host.commands, 0);
	/* Until it has been tried as often as may be. */
	live(3600 * 1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(fake_store_dead_letters(host.store), 1);
	assert_string_equal(fake_store_dead_letter(host.store, 0)->reason, ASKED);
	assert_int_equal(host.commands, 0);
}

/* Which handlers are through with it is kept: they do not run again. */
static void test_parked_progress(void **state)
{
	(void)state;
	send_command("u/two", "x:e:rrrrrrrrrrrrrrrrrrrr.");
	for (unsigned i = 0; !storers.first && i < 1000; i++) {
		work_all();
		puback_all();
		pass(5);
	}
	store_all();
	assert_int_equal(fake_store_parked_command(host.store, 0)->settled_count, 1);
	assert_string_equal(fake_store_parked_command(host.store, 0)->settled[0], "first");
	assert_string_equal(fake_store_parked_command(host.store, 0)->handler, "second");
	forget_told();
	live(600 * 1000);
	assert_null(strstr(told, "xA"));
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_int_equal(fake_store_dead_letters(host.store), 0);
}

/* Parked only when what its user has sent before is settled. It waits for its next run when that happens, and that is not due
 * before places are looked at (LOOK_MS): one that runs at that moment steps aside, which is test_step_aside_ends(). */
static void test_parked_after_the_earlier(void **state)
{
	(void)state;
	send_command("u/one", "a:e");
	const struct place *place = send_command("u/one", "b:r");
	for (unsigned i = 0; i < 1000 || place->command->retry_at_ms <= host.now_ms + 100; i++) {
		pass(5);
		work_all();
	}
	assert_int_equal(storers.count, 0);
	assert_string_equal(state_of(place), "retrying");
	answer(NULL, false);
	/* Its last delay may be a long one. */
	for (unsigned i = 0; i < 400 && !storers.first; i++) {
		pass(5);
		work_all();
	}
	assert_string_equal(state_of(place), "storing");
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
}

/* What comes behind a backlog goes behind it, and everything takes effect in the order of sending. */
static void test_behind(void **state)
{
	(void)state;
	const struct place *first = send_command("u/one", "a:rrrrrrrrrrrrrrr.");
	const struct place *second = send_command("u/one", "b:.");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	assert_string_equal(state_of(first), "parked");
	const struct place *third = send_command("u/one", "c:.");
	/* Whether the backlog is claimed by then is chance. Its first command goes on failing, for ever longer. */
	for (unsigned i = 0; i < 500 && strcmp(state_of(third), "parked") != 0; i++) {
		pass(20);
		work_all();
		store_all();
	}
	assert_string_equal(state_of(second), "parked");
	assert_string_equal(state_of(third), "parked");
	assert_int_equal(fake_store_parked(host.store), 3);
	live(300 * 1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_string_equal(told + strlen(told) - 6, "a b c ");
	assert_null(strstr(told, "b a "));
}

/* A backlog of three: while the first is postponed again and again, those behind it wait. */
static void test_postponed(void **state)
{
	(void)state;
	send_command("u/one", "a:rrrrrrrrrrrrrrrrrrrrrrrr.");
	for (unsigned i = 0; !storers.first && i < 1000; i++) {
		work_all();
		pass(5);
	}
	store_all();
	send_command("u/one", "b:.");
	send_command("u/one", "c:.");
	for (unsigned i = 0; i < 500 && fake_store_parked(host.store) < 3; i++) {
		pass(20);
		work_all();
		store_all();
	}
	assert_int_equal(fake_store_parked(host.store), 3);
	forget_told();
	unsigned postponed = 0;
	for (unsigned i = 0; i < 60000 && fake_store_parked(host.store) == 3; i++) {
		pass(10);
		work_all();
		postponed += storers.first && ((struct storing *)storers.first)->kind == STORING_POSTPONE;
		store_all();
		assert_true(
			fake_store_parked(host.store) == 3 ? !strchr(told, 'b') && !strchr(told, 'c') : true);
	}
	assert_int_not_equal(postponed, 0);
	live(1000);
	assert_int_equal(fake_store_parked(host.store), 0);
	assert_string_equal(told + strlen(told) - 6, "a b c ");
}

/* Where the database refuses the document, it is a dead letter. */
static void test_parking_refused(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:r");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	fake_store_fail_next(host.store, STORE_E_PERMANENT, 1);
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "burying");
	store_next(STORING_BURY);
	answer(NULL, false);
	assert_string_equal(state_of(place), "dead");
	assert_string_equal(fake_store_dead_letter(host.store, 0)->reason,
		ASKED "; and the database refuses to keep it for later");
}

/* Where it refuses the letter, the command is kept beside it, and buried when that is put right. */
static void test_letter_refused(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:f");
	work();
	fake_store_fail_next(host.store, STORE_E_PERMANENT, 2);
	store_next(STORING_BURY);
	assert_string_equal(state_of(place), "storing");
	store_next(STORING_APPEND);
	assert_string_equal(state_of(place), "parked");
	live(290 * 1000);
	assert_int_equal(fake_store_dead_letters(host.store), 0);
	live(20 * 1000);
	assert_int_equal(fake_store_dead_letters(host.store), 1);
	assert_int_equal(fake_store_parked(host.store), 0);
	expect("x "); /* it has not run again */
}

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
	store_next(STORING_APPEND);
	assert_string_equal(state_of(behind), "parked");
	assert_int_equal(release(), 3);
	/* What comes while it runs on goes behind it at once; nobody else is concerned. */
	const struct place *later = send_command("u/one", "c:.");
	send_command("v/one", "d:.");
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

/* ---- From the store ---- */

/* New commands wait in memory behind what is going to be over at once, and are written when it takes long. */
static void test_followers(void **state)
{
	(void)state;
	send_command("u/one", "a:rrrrrrrrrrrr.");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	fake_store_pass(host.store, 10000);
	pass(10000);
	store_next(STORING_CLAIM);
	forget_told();
	struct command *a = do_begin();
	const struct place *short_wait = send_command("u/one", "b:.");
	pass(500);
	assert_string_equal(state_of(short_wait), "waiting");
	assert_int_equal(storers.count, 0);
	pass(600);
	assert_string_equal(state_of(short_wait), "storing");
	store_all();
	const struct place *later = send_command("u/one", "c:.");
	store_all();
	assert_string_equal(
		state_of(later), "parked"); /* the store has more: nothing waits in memory behind that */
	do_end(a);
	live(600 * 1000);
	assert_string_equal(told + strlen(told) - 6, "a b c ");
	assert_int_equal(host.commands, 0);
	assert_int_equal(fake_store_parked(host.store), 0);
}

/* QoS 0 behind a backlog: no promise, and no place in the store. */
static void test_unpromised_behind(void **state)
{
	(void)state;
	send_command("u/one", "a:r");
	while (!storers.first) {
		work_all();
		pass(5);
	}
	store_all();
	forget_told();
	arrive_as("u/one", "p:.", 0, false, false, 0, false);
	assert_int_equal(home.unpromised, 1); /* it may be over at once */
	users_find(line, users_key("u", 1), "u", 1)->backlog->due_ms = host.now_ms + 60000;
	arrive_as("u/one", "q:.", 0, false, false, 0, false);
	assert_int_equal(host.commands, 0);
	assert_int_equal(home.unpromised, 0);
	assert_int_equal(host.unpromised.dropped, 2);
}

/* Another host has taken the backlog while its first ran: whatever becomes of it here, its document stays that one's. */
static void test_lease_lost(void **state)
{
	static const char *const payloads[] = {"a:rrrrrrrrrrrr.", "a:rrrrrrrrrrrrf", "a:r"};
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		print_message("  %s\n", payloads[i]);
		begin_host(state);
		send_command("u/one", payloads[i]);
		while (!storers.first) {
			work_all();
			pass(5);
		}
		store_all();
		pass(10000);
		store_next(STORING_CLAIM);
		struct command *command = do_begin();
		struct store_client *client = store_acquire(host.store);
		const struct backlog_lease lease = {.owner = "other", .lease_ms = 1000000};
		struct parked_batch batch;
		fake_store_pass(host.store, PARKING_LEASE_MS + 1);
		assert_int_equal(parked_commands_claim(client, "cashewd", "u", &lease, 0, 0, &batch), 0);
		parked_batch_free(&batch);
		store_release(client);
		pass(PARKING_LEASE_MS);
		store_next(STORING_RENEW);
		assert_int_equal(parking_claimed_count(host.parking), 0);
		do_end(command);
		for (unsigned k = 0; k < 1000; k++) {
			pass(5);
			work_all();
			store_all();
			puback_all();
		}
		assert_int_equal(host.commands, 0);
		assert_int_equal(fake_store_parked(host.store), 1);
		assert_string_equal(fake_store_backlog_owner(host.store, 0), "other");
		end_host(state);
	}
}

/* A command of another host's lane, which no handler of this one wants, is left as it is. */
static void test_foreign(void **state)
{
	(void)state;
	struct store_client *client = store_acquire(host.store);
	static const char *const topics[] = {"u/none", "v/one"};
	for (size_t i = 0; i < 2; i++) {
		const char user[] = {topics[i][0], '\0'};
		const struct parked_command command = {.id = store_new_id(),
			.lane = "elsewhere",
			.user = user,
			.topic = topics[i],
			.position = 1,
			.payload = "x:.",
			.payload_size = 3,
			.end = "done",
			.handler = "",
			.reason = "",
			.attempts = 2};
		const struct parked_command *const commands[] = {&command};
		size_t failed;
		assert_int_equal(parked_commands_append(client, commands, 1, NULL, &failed), 0);
		dispatch_backlog_found(&host, NULL, "elsewhere", user, 0);
	}
	store_release(client);
	live(1000);
	expect("x ");
	assert_int_equal(fake_store_parked(host.store), 1);
	assert_string_equal(fake_store_parked_command(host.store, 0)->topic, "u/none");
	assert_int_equal(fake_store_parked_command(host.store, 0)->attempts, 2);
	assert_null(fake_store_backlog_owner(host.store, 0));
	assert_int_equal(host.commands, 0);
}

/* No memory to postpone it: it is not taken for done. */
static void test_foreign_without_memory(void **state)
{
	(void)state;
	struct store_client *client = store_acquire(host.store);
	const struct parked_command document = {.id = store_new_id(),
		.lane = "elsewhere",
		.user = "u",
		.topic = "u/none",
		.position = 1,
		.payload = "x:.",
		.payload_size = 3,
		.end = "done",
		.handler = "",
		.reason = ""};
	const struct parked_command *const documents[] = {&document};
	size_t failed;
	assert_int_equal(parked_commands_append(client, documents, 1, NULL, &failed), 0);
	store_release(client);
	dispatch_backlog_found(&host, NULL, "elsewhere", "u", 0);
	pass(100);
	struct job *job = pool_take(&storers);
	job->run(job, host.store);
	failing_malloc_start(2, true); /* the first one is for the command */
	parking_returned(host.parking, job);
	assert_true(failing_malloc_stop());
	/* It is given back as it was; the lease, when there is memory. */
	assert_int_equal(storers.count, 0);
	assert_int_equal(host.commands, 0);
	live(1000);
	assert_int_equal(fake_store_parked(host.store), 1);
	assert_int_equal(host.commands, 0);
}

/* ---- The store is away ---- */

/* What a handler met is no attempt, and nobody's time. */
static void test_store_away(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:sss.");
	for (unsigned i = 0; i < 3; i++) {
		struct command *command = do_begin();
		do_end(command);
		assert_string_equal(state_of(place), "retrying");
		assert_int_equal(command->attempts, 0);
		assert_false(host.store_up);
		assert_int_equal(suspected, i + 1);
		pass(60000);
		assert_int_equal(workers.count, 0);
		assert_int_equal(storers.count, 0);
		host.store_up = true;
		dispatch_store_back(&host);
		assert_int_equal(workers.count, 1);
	}
	work();
	assert_string_equal(state_of(place), "done");
	expect("x x x x ");
}

/* A storing job that is not answered: the command stays, and goes on when the store is back. */
static void test_storing_away(void **state)
{
	(void)state;
	const struct place *place = send_command("u/one", "x:f");
	work();
	fake_store_lose_answer_at(host.store, 0);
	store_next(STORING_BURY);
	assert_false(host.store_up);
	assert_string_equal(state_of(place), "burying");
	parking_store_back(host.parking);
	store_next(STORING_BURY);
	answer(NULL, false);
	assert_string_equal(state_of(place), "dead");
	assert_int_equal(fake_store_dead_letters(host.store), 1);
}

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

/* ---- No memory ---- */

/* The stand-in store has memory always. */
static void store_all_with_memory(void)
{
	while (storers.first) {
		struct job *job = pool_take(&storers);
		const size_t calls = failing_malloc.calls, fail_at = failing_malloc.fail_at;
		failing_malloc.fail_at = 0;
		job->run(job, host.store);
		failing_malloc.calls = calls;
		failing_malloc.fail_at = fail_at;
		parking_returned(host.parking, job);
	}
}

/* Whichever allocation fails, each command comes to its end; the next one of its user runs, and not before it. */
static void test_no_memory(void **state)
{
	static const char *const payloads[] = {"x:e", "x:f", "x:x", "x:rrrrrrrrrrrr.", "x:r"};
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		print_message("  %s\n", payloads[i]);
		bool failed = true;
		for (size_t n = 1; failed; n++) {
			begin_host(state);
			failing_malloc_start(n, false);
			const struct place *x = send_command("u/one", payloads[i]), *y = NULL;
			if (!lane.given_up)
				y = send_command("u/one", "y:.");
			for (unsigned k = 0; k < 200000 && host.commands + fake_store_parked(host.store) > 0;
				k++) {
				work_all();
				store_all_with_memory();
				puback_all();
				pass(20);
			}
			failed = failing_malloc_stop();
			assert_int_equal(host.commands, 0);
			assert_int_equal(fake_store_parked(host.store), 0);
			assert_true(lane.given_up || (x->settled && y->settled));
			if (!lane.given_up) {
				assert_string_equal(told + strlen(told) - 2, "y ");
				assert_ptr_equal(strchr(told, 'y'), told + strlen(told) - 2);
				assert_int_equal(fake_store_dead_letters(host.store), i == 1 || i == 4);
			}
			end_host(state);
		}
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_host, end_host)

int main(void)
{
	log_set(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		TEST(test_events_first),
		TEST(test_turns),
		TEST(test_light),
		TEST(test_light_with_a_large_payload),
		TEST(test_thousands_end_at_once),
		TEST(test_parked),
		TEST(test_parked_progress),
		TEST(test_parked_after_the_earlier),
		TEST(test_behind),
		TEST(test_postponed),
		TEST(test_parking_refused),
		TEST(test_letter_refused),
		TEST(test_step_aside),
		TEST(test_step_aside_of_many),
		TEST(test_step_aside_without_waits),
		TEST(test_followers_without_waits),
		TEST(test_step_aside_waits),
		cmocka_unit_test(test_step_aside_ends),
		cmocka_unit_test(test_behind_refused),
		TEST(test_stall),
		TEST(test_stall_with_events),
		TEST(test_stall_with_refused),
		TEST(test_followers),
		TEST(test_unpromised_behind),
		cmocka_unit_test(test_lease_lost),
		TEST(test_foreign),
		TEST(test_foreign_without_memory),
		TEST(test_store_away),
		TEST(test_storing_away),
		TEST(test_stand_by),
		cmocka_unit_test(test_stand_by_with_backlogs),
		cmocka_unit_test(test_stand_by_unanswered),
		TEST(test_stand_by_stepped_aside),
		cmocka_unit_test(test_marked),
		TEST(test_marked_behind),
		TEST(test_guilty),
		TEST(test_guilty_and_replayed),
		TEST(test_near),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
