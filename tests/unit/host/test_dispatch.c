/* test_dispatch.c - dispatch.c: what follows what, from a command's arrival to its durable end. With the store: test_dispatch_store.c; others: test_dispatch_*.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "host_parts.h"
#include "replays.h"
#include "schedules.h"

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

/* ---- Schedules ---- */

/* As schedule_watch.c begins it; its slot is in the last minute before now_ms. */
static struct schedule_state begin_schedule(
	struct store_client *client, const char *name, const char *payload)
{
	struct schedule_state state;
	char topic[64];
	snprintf(topic, sizeof(topic), "$schedule/%s", name);
	const struct parked_command document = {.id = store_new_id(),
		.lane = "cashewd",
		.user = topic,
		.topic = topic,
		.position = 1,
		.payload = payload,
		.payload_size = strlen(payload),
		.end = "done",
		.handler = "",
		.reason = ""};
	const struct parked_command *const documents[] = {&document};
	size_t failed;
	assert_int_equal(schedule_found(client, name, 60000, 0), 0);
	assert_int_equal(schedules_read(client, &name, 1, "", &state), 0);
	assert_int_equal(schedule_begin(client, &(struct schedule_run){.name = name,
							.before = &state,
							.slot_ms = 120000,
							.since_ms = 60000,
							.id = document.id,
							.owner = "o"}),
		0);
	assert_int_equal(parked_commands_append(client, documents, 1, NULL, &failed), 0);
	dispatch_backlog_found(&host, &host.lanes[0], "cashewd", topic, 0);
	return state;
}

#define SLOT_PAYLOAD "{\"since\":\"1970-01-01T00:01:00.000Z\",\"slot\":\"1970-01-01T00:02:00.000Z\"}"

static void test_schedule(void **state)
{
	static const struct {
		const char *name, *schedule, *payload, *plan, *told;
		size_t events;
		const char *end;
		const char *reason; /* of its dead letter; NULL: there is none */
	} cases[] = {
		{"done", "clock", SLOT_PAYLOAD, ".", "clock 120000 ", 0, "done", NULL},
		{"events", "clock", SLOT_PAYLOAD, "e", "clock 120000 ", 2, "done", NULL},
		{"tried again", "clock", SLOT_PAYLOAD, "rr.", "clock 120000 clock 120000 clock 120000 ", 0,
			"done", NULL},
		{"failed: nobody is told", "clock", SLOT_PAYLOAD, "f", "clock 120000 ", 0, "dead", "never"},
		{"rejected: that is failed", "clock", SLOT_PAYLOAD, "x", "clock 120000 ", 0, "dead", "bad"},
		{"an event for the sender", "clock", SLOT_PAYLOAD, "n", "clock 120000 ", 0, "dead",
			"event got has nobody to go to: a schedule has no sender: expected cashew_send()"},
		{"a payload that somebody has changed", "clock", "{}", ".", "", 0, "dead",
			"its payload does not say when it was due: expected {\"since\": .., \"slot\": ..}"},
		{"one that is no more", "gone", SLOT_PAYLOAD, ".", "", 0, "dead",
			"there is no such schedule any more"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		begin_host(state);
		struct store_client *client = store_acquire(host.store);
		clock_plan = cases[i].plan;
		(void)begin_schedule(client, cases[i].schedule, cases[i].payload);
		for (unsigned turns = 0; turns < 100 && fake_store_parked(host.store) > 0; turns++) {
			live(100);
			puback_all();
		}
		struct schedule_state found;
		assert_int_equal(schedules_read(client, &cases[i].schedule, 1, "", &found), 0);
		assert_int_equal(fake_store_parked(host.store), 0);
		expect(cases[i].told);
		assert_false(found.open);
		assert_string_equal(found.end, cases[i].end);
		assert_int_equal(found.events, cases[i].events);
		assert_int_equal(published_count, 0);
		assert_int_equal(fake_store_dead_letters(host.store), cases[i].reason != NULL);
		if (cases[i].reason) {
			const struct dead_letter *letter = fake_store_dead_letter(host.store, 0);
			assert_string_equal(letter->reason, cases[i].reason);
			assert_true(strncmp(letter->user, "$schedule/", 10) == 0);
			assert_string_equal(letter->topic, letter->user);
			assert_string_equal(letter->payload, cases[i].payload);
		}
		/* The account is of commands. */
		assert_int_equal(
			board_read(&host.board->account.done) + board_read(&host.board->account.dead), 0);
		assert_int_equal(host.commands, 0);
		store_release(client);
		end_host(state);
	}
}

/* A run of before that was replayed stands before the one that is open: each has its own end. */
static void test_schedule_behind_a_replay(void **state)
{
	(void)state;
	const char *const name = "clock";
	struct store_client *client = store_acquire(host.store);
	const struct parked_command replay = {.id = store_new_id(),
		.lane = "cashewd",
		.user = "$schedule/clock",
		.topic = "$schedule/clock",
		.payload = SLOT_PAYLOAD,
		.payload_size = strlen(SLOT_PAYLOAD),
		.end = "done",
		.replayed = true,
		.handler = "",
		.reason = ""};
	const struct parked_command *const documents[] = {&replay};
	size_t failed;
	assert_int_equal(parked_commands_append(client, documents, 1, NULL, &failed), 0);
	clock_plan = "f.";
	(void)begin_schedule(client, name, SLOT_PAYLOAD);
	live(2000);
	struct schedule_state found;
	assert_int_equal(schedules_read(client, &name, 1, "", &found), 0);
	assert_int_equal(fake_store_parked(host.store), 0);
	expect("clock 120000 clock 120000 ");
	assert_int_equal(fake_store_dead_letters(host.store), 1);
	assert_false(found.open);
	assert_string_equal(found.end, "done");
	store_release(client);
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
		cmocka_unit_test(test_schedule),
		TEST(test_schedule_behind_a_replay),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
