/* test_host_parking.c - parking.c: commands on their way into the store and back, in a real lane with
 * the stand-in store. */
#include "clock.h"
#include "failing_malloc.h"
#include "fingerprint.h"
#include "parking_parts.h"

#include <mqtt_protocol.h>

static bool backlog_of(const char *user)
{
	return parked_find(&parts.host.parked, "cashewd", user) != NULL;
}

/* ---- One command ---- */

static void test_parked_and_done(void **state)
{
	(void)state;
	park(7, "u/one", "payload");
	turn();
	parts_left("7");
	ended(0, 0, 0, 1);
	in_store(1, 0);
	const struct parked_command *document = parked(0);
	assert_string_equal(document->lane, "cashewd");
	assert_string_equal(document->user, "u");
	assert_string_equal(document->topic, "u/one");
	assert_int_equal(document->payload_size, 7);
	assert_memory_equal(document->payload, "payload", 7);
	assert_null(document->correlation);
	assert_null(document->response_topic);
	assert_int_equal(document->mid, 7);
	assert_true(document->key == fingerprint("u/one", "payload", 7, NULL, 0));
	assert_int_equal(document->settled_count, 0);
	assert_string_equal(document->end, "done");
	assert_int_equal(document->attempts, 1);
	assert_int_equal(document->crashes, 0);
	assert_string_equal(document->handler, "one");
	assert_string_equal(document->reason, "handler one asked to be run again and gave no reason");
	assert_in_range(document->not_before_ms - clock_unix_ms(), PARKING_DELAY_MS - 100, PARKING_DELAY_MS);
	assert_in_range(document->position, clock_unix_ms() * 1000 - 1000000, clock_unix_ms() * 1000);
	assert_int_equal(parts.host.commands, 0);

	after(PARKING_DELAY_MS - 100);
	assert_int_equal(parts.one.runs, 4);
	parts.one.steps = "e";
	parts.host.now_ms += 100;
	parts_due(false);
	turn();
	struct command *command = parts.submitted[0];
	parts_state(command, COMMAND_CLAIMING);
	parts_work();
	parts_state(command, COMMAND_RUNNING);
	assert_int_equal(command->origin, COMMAND_FROM_STORE);
	assert_string_equal(command->input.command, "one");
	assert_string_equal(command->input.payload, "payload");
	/* It is claimed once. */
	parts_due(false);
	turn();
	assert_int_equal(parts.submitted_count, 1);
	parts_work();
	assert_int_equal(parts.one.last_attempt, 2);
	parts_state(command, COMMAND_COMMITTING);
	in_store(1, 0);
	parts_events_end();
	parts_state(command, COMMAND_FINISHING);
	assert_false(parking_idle(&parts.host));
	parts_work();
	in_store(0, 1);
	ended(1, 0, 0, 1);
	assert_int_equal(parts.host.commands, 0);
	assert_false(backlog_of("u"));
	assert_int_equal(parts.host.parked.count, 0);
}

/* The pauses double up to five minutes, and the last attempt's failure is the reason of its death. */
static void test_attempts_used_up(void **state)
{
	(void)state;
	park(7, "u/one", "");
	turn();
	parts.one.steps = "r";
	for (unsigned attempt = 2; attempt < 10; attempt++) {
		const int64_t pause_ms = parked(0)->not_before_ms - clock_unix_ms();
		assert_true(pause_ms > 0);
		after((unsigned)pause_ms - 1);
		assert_int_equal(parked(0)->attempts, attempt - 1);
		after(1);
		assert_int_equal(parked(0)->attempts, attempt);
		const int64_t delay_ms = parked(0)->not_before_ms - clock_unix_ms();
		const int64_t full_ms = (int64_t)PARKING_DELAY_MS << (attempt - 1);
		assert_int_equal(delay_ms, full_ms < PARKING_DELAY_MAX_MS ? full_ms : PARKING_DELAY_MAX_MS);
		assert_int_equal(fake_store_dead_letters(store()), 0);
	}
	after(PARKING_DELAY_MAX_MS);
	in_store(0, 1);
	ended(0, 0, 1, 1);
	assert_int_equal(fake_store_dead_letters(store()), 1);
	const struct dead_letter *letter = fake_store_dead_letter(store(), 0);
	assert_string_equal(letter->reason, "handler one asked to be run again and gave no reason");
	assert_string_equal(letter->handler, "one");
	assert_int_equal(letter->attempts, 10);
	assert_false(backlog_of("u"));
}

static void test_one_attempt_only(void **state)
{
	(void)state;
	parts.settings.max_attempts = 1;
	parts.one.steps = "r";
	const struct command *command = parts_read(7, "u/one", "");
	const struct command *next = parts_read(8, "u/one", "");
	while (command->state != COMMAND_BURYING) {
		parts_work();
		parts_turn(command->state == COMMAND_RETRYING ? 400 : 0);
	}
	/* Its user's next one need not wait for the letter. */
	parts_state(next, COMMAND_RUNNING);
	parts.one.steps = ".";
	work_all();
	turn();
	parts_left("7 8");
	ended(1, 0, 1, 0);
	in_store(0, 0);
}

static void test_ends_from_the_store(void **state)
{
	(void)state;
	static const struct {
		const char *steps;
		unsigned done, rejected, dead;
	} cases[] = {{".", 1, 0, 0}, {"3", 1, 0, 0}, {"x", 0, 1, 0}, {"f", 0, 0, 1}, {"g", 0, 0, 1}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
		park(7, "u/one", "");
		turn();
		parts.one.steps = cases[i].steps;
		after(PARKING_DELAY_MS);
		ended(cases[i].done, cases[i].rejected, cases[i].dead, 1);
		in_store(0, 1);
		assert_int_equal(fake_store_dead_letters(store()), cases[i].dead);
		assert_int_equal(parts.host.commands, 0);
	}
}

/* An event that is refused for now: postponed; for good: dead. */
static void test_event_refused(void **state)
{
	(void)state;
	park(7, "u/one", "");
	turn();
	parts.one.steps = "e";
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_work();
	parts_event_ends("Quota exceeded", false);
	parts_state(parts.submitted[0], COMMAND_PARKING);
	parts_work();
	in_store(1, 0);
	assert_int_equal(parked(0)->settled_count, 0);
	assert_int_equal(parked(0)->attempts, 2);
	assert_string_equal(parked(0)->reason, "an event was refused for now");
	parts.host.now_ms += 2 * PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_work();
	parts_event_ends("Not authorized", true);
	work_all();
	in_store(0, 1);
	ended(0, 0, 1, 1);
}

/* What MQTT 5 brought comes back with it. */
static void test_properties(void **state)
{
	(void)state;
	mosquitto_property *properties = NULL;
	assert_int_equal(mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, "u/answers"),
		MOSQ_ERR_SUCCESS);
	assert_int_equal(
		mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, "\x01\x02", 2),
		MOSQ_ERR_SUCCESS);
	parts_sent(7, "u/one", "payload")->properties = properties;
	parts.one.steps = "rrrrrre";
	while (connection_read(parts.connection))
		continue;
	mosquitto_property_free_all(&properties);
	for (unsigned i = 0; fake_store_parked(store()) == 0; i++) {
		assert_in_range(i, 0, 20);
		parts_work();
		parts_turn(400);
	}
	parts.one.steps = "e";
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_work();
	assert_string_equal(parts.events[0].event->topic, "u/answers");
	assert_int_equal(parts.events[0].command->correlation_size, 2);
	assert_memory_equal(parts.events[0].command->correlation, "\x01\x02", 2);
	work_all();
	in_store(0, 1);
}

/* ---- Several handlers ---- */

/* Those that are through are not run again, and the worst end is kept. */
static void test_two_handlers(void **state)
{
	(void)state;
	static const struct {
		const char *a, *end;
		unsigned done, rejected, dead;
	} cases[] = {{"e", "done", 1, 0, 0}, {"x", "rejected", 0, 1, 0}, {"f", "dead", 0, 0, 1}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
		parts.two_a.steps = cases[i].a;
		parts.two_b.steps = "r";
		parts_read(7, "u/two", "");
		for (unsigned n = 0; fake_store_parked(store()) == 0; n++) {
			assert_in_range(n, 0, 20);
			parts_work();
			parts_events_end();
			parts_turn(400);
		}
		assert_int_equal(parked(0)->settled_count, 1);
		assert_string_equal(parked(0)->settled[0], "two_a");
		assert_string_equal(parked(0)->end, cases[i].end);
		parts.two_b.steps = "re";
		after(PARKING_DELAY_MS);
		assert_int_equal(parked(0)->settled_count, 1);
		after(2 * PARKING_DELAY_MS);
		ended(cases[i].done, cases[i].rejected, cases[i].dead, 1);
		in_store(0, 1);
		assert_int_equal(parts.two_a.runs, 1);
		if (cases[i].dead > 0)
			assert_string_equal(fake_store_dead_letter(store(), 0)->reason, "never");
	}
}

/* ---- The order within a user ---- */

static void test_followers(void **state)
{
	(void)state;
	parts_read(6, "u/one", "running");
	struct command *running = parts_submitted_take(0);
	const struct command *waiting = parts_read(7, "u/one", "1");
	const struct command *behind = parts_read(8, "u/one", "2");
	parts_state(waiting, COMMAND_WAITING);
	parts.one.steps = "r";
	for (unsigned n = 0; running->state != COMMAND_PARKING; n++) {
		assert_in_range(n, 0, 20);
		worker_run(&parts.host.light, running);
		command_returned(running);
		parts_turn(400);
		if (running->state == COMMAND_RUNNING)
			parts_submitted_take(0);
	}
	/* One at a time, in their order. */
	assert_int_equal(parts.submitted_count, 1);
	parts_work();
	parts_state(waiting, COMMAND_PARKING);
	parts_state(behind, COMMAND_WAITING);
	parts_work();
	parts_state(behind, COMMAND_PARKING);
	parts_work();
	const struct command *light = parts_read(9, "u/light", "3");
	parts_state(light, COMMAND_PARKING);
	parts_work();
	/* Another user's is not concerned. */
	assert_null(parts_read(10, "v/light", ""));
	parts_settled(10);
	turn();
	parts_left("6 7 8 9 10");
	in_store(4, 0);
	for (size_t i = 0; i < 3; i++) {
		assert_true(parked(i)->position < parked(i + 1)->position);
		assert_true(parked(i)->not_before_ms == parked(i + 1)->not_before_ms);
	}
	assert_string_equal(parked(1)->reason, "an earlier command of its user is parked");
	assert_int_equal(parked(1)->attempts, 0);

	/* The first fails once more, and the others with it wait. */
	const unsigned runs = parts.one.runs;
	parts.one.steps = "r.";
	after(PARKING_DELAY_MS);
	assert_int_equal(parts.one.runs, runs + 1);
	assert_int_equal(parts.light.runs, 1);
	after(PARKING_DELAY_MS);
	assert_int_equal(parts.one.runs, runs + 1);
	after(PARKING_DELAY_MS);
	assert_int_equal(parts.one.runs, runs + 4);
	assert_int_equal(parts.light.runs, 2);
	in_store(0, 4);
	assert_false(backlog_of("u"));
	assert_null(parts_read(11, "u/light", ""));
	parts_settled(11);
	turn();
	ended(6, 0, 0, 4);
}

/* One that comes while the last one is being finished goes behind it, and is not forgotten. */
static void test_follower_at_the_last_moment(void **state)
{
	(void)state;
	park(7, "u/one", "");
	turn();
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_work();
	struct command *first = parts_submitted_take(0);
	parts_state(first, COMMAND_FINISHING);
	/* On its way into the store when the store is asked for more. */
	worker_do(&parts.host.light, first);
	assert_false(first->more);
	const struct command *second = parts_read(8, "u/one", "");
	parts_state(second, COMMAND_PARKING);
	command_returned(first);
	assert_true(backlog_of("u"));
	work_all();
	in_store(0, 2);
	assert_false(backlog_of("u"));

	/* In the store before that is told here. */
	park(9, "u/one", "");
	turn();
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_work();
	first = parts_submitted_take(0);
	worker_do(&parts.host.light, first);
	parts_read(10, "u/one", "");
	parts_work();
	in_store(1, 3);
	command_returned(first);
	assert_true(backlog_of("u"));
	work_all();
	in_store(0, 4);
	assert_false(backlog_of("u"));
	turn();
	ended(4, 0, 0, 4);
}

/* At QoS 0 there is no promise, and nothing to be kept. */
static void test_qos0(void **state)
{
	(void)state;
	park(7, "u/one", "");
	turn();
	parts_read(0, "u/one", "");
	parts_work();
	assert_int_equal(parts.host.commands, 0);
	in_store(1, 0);
	after(PARKING_DELAY_MS);
	in_store(0, 1);
}

/* More than one of a user may wait; the window is for what waits to be parked as well. */
static void test_user_window(void **state)
{
	(void)state;
	park(1, "u/one", "");
	for (uint16_t mid = 2; mid <= 4; mid++)
		parts_read(mid, "u/one", "");
	parts_read(5, "u/one", "");
	parts_published(
		"{\"command\":\"one\",\"reason\":\"too many of your commands are waiting: send this one "
		"again later\"}");
	work_all();
	in_store(4, 0);
	after(PARKING_DELAY_MS);
	turn();
	ended(4, 1, 0, 4);
}

/* No user keeps the others waiting: they take turns, and half of the workers is left to what arrives. */
static void test_fairness(void **state)
{
	(void)state;
	static const char *const topics[] = {"a/one", "b/one", "c/one"};
	uint16_t mid = 1;
	for (size_t i = 0; i < 3; i++) {
		park(mid++, topics[i], "");
		parts_read(mid++, topics[i], "");
		parts_work();
		turn();
	}
	in_store(6, 0);
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	assert_int_equal(parts.submitted_count, 2);
	assert_string_equal(parts.submitted[0]->input.user, "a");
	assert_string_equal(parts.submitted[1]->input.user, "b");
	/* The first of a is claimed, run, finished; then it is c's turn. */
	struct command *b = parts_submitted_take(1);
	for (unsigned i = 0; i < 3; i++)
		parts_work();
	turn();
	assert_int_equal(parts.submitted_count, 1);
	assert_string_equal(parts.submitted[0]->input.user, "c");
	worker_do(&parts.host.light, b);
	command_returned(b);
	work_all();
	in_store(0, 6);
}

/* ---- Marks ---- */

/* What another host, or an earlier one, has parked stands before what comes. */
static void test_loaded_before_connecting(void **state)
{
	(void)state;
	park(7, "u/one", "1");
	turn();
	parts_lose(false);
	parked_drop_all(&parts.host.parked);
	parts.loads_late = true;
	assert_false(parts.connection->options.callbacks->may_open(parts.lane));
	const unsigned loads = parts.loads;
	assert_false(parts.connection->options.callbacks->may_open(parts.lane));
	assert_int_equal(parts.loads, loads);
	/* A store that does not answer: it is asked again. */
	fake_store_fail_next(store(), STORE_E_AWAY, 1);
	parts_load();
	assert_false(parts.connection->options.callbacks->may_open(parts.lane));
	assert_int_equal(parts.loads, loads + 1);
	parts_load();
	assert_true(parts.connection->options.callbacks->may_open(parts.lane));
	assert_int_equal(parts.loads, loads + 1);
	assert_true(backlog_of("u"));
	parts_connect(true);
	parts_state(parts_read(8, "u/light", ""), COMMAND_PARKING);
	work_all();
	in_store(2, 0);
	/* For each connection anew. */
	parts_lose(false);
	assert_false(parts.connection->options.callbacks->may_open(parts.lane));
	assert_int_equal(parts.loads, loads + 2);
	parts_load();
	after(PARKING_DELAY_MS);
	in_store(0, 2);
}

/* Another host has run it meanwhile. */
static void test_backlog_of_the_past(void **state)
{
	(void)state;
	park(7, "u/one", "");
	park(8, "v/one", "");
	turn();
	struct parked_command *claimed = NULL;
	struct store_client *client = store_acquire(store());
	parts.host.now_ms += PARKING_DELAY_MS;
	bool more = true;
	assert_int_equal(parked_command_claim(client, "cashewd", "u", "other", clock_unix_ms(),
				 clock_unix_ms() + 1000, &claimed),
		0);
	assert_int_equal(parked_command_finish(client, claimed, &more), 0);
	parked_command_free(claimed);
	assert_int_equal(parked_command_claim(client, "cashewd", "v", "other", clock_unix_ms(),
				 clock_unix_ms() + 1000, &claimed),
		0);
	parked_command_free(claimed);
	store_release(client);
	assert_true(backlog_of("u"));
	parts_lose(false);
	parts_connect(true);
	parts_turn(0);
	work_all();
	/* There is nothing of u's; v's is still run there. */
	assert_false(backlog_of("u"));
	after(0);
	assert_true(backlog_of("v"));
	in_store(1, 1);
	after(1000);
	in_store(0, 2);
}

/* Its PUBACK has not left, and nobody remembers it but the store. */
static void lose_unknown(uint16_t mid)
{
	parts_lose(false);
	parts_settled(mid);
	lane_unlist(parts.lane, lane_in_flight(parts.lane, mid));
	assert_int_equal(parts_known(), 0);
}

static void finish_elsewhere(const char *user)
{
	struct store_client *client = store_acquire(store());
	struct parked_command *command = NULL;
	bool more = false;
	const int64_t now_ms = clock_unix_ms() + PARKING_OVERDUE_MS;
	assert_int_equal(parked_command_claim(client, "cashewd", user, "other", now_ms,
				 now_ms + PARKING_LEASE_MS, &command),
		0);
	assert_int_equal(parked_command_finish(client, command, &more), 0);
	parked_command_free(command);
	store_release(client);
}

static void test_copies(void **state)
{
	(void)state;
	static const struct {
		const char *name, *payload;
		bool session, late, known;
		uint16_t mid;
	} cases[] = {
		{"copy", "payload", true, false, true, 7},
		{"another one", "other", true, false, false, 7},
		{"another identifier", "payload", true, false, false, 8},
		{"new session", "payload", false, false, false, 7},
		{"late", "payload", true, true, false, 7},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
		park(7, "u/one", "payload");
		lose_unknown(7);
		parts_connect(cases[i].session);
		if (cases[i].late) {
			parts.host.now_ms += 30000;
			turn();
		}
		parts_read(cases[i].mid, "u/one", cases[i].payload);
		assert_int_equal(parts_board.account.joined, cases[i].known);
		assert_int_equal(parts.host.commands, cases[i].known ? 0 : 1);
		/* Once. */
		if (cases[i].known)
			assert_non_null(parts_read(7, "u/one", "payload"));
		work_all();
		turn();
		assert_int_equal(parts.connection->left_count, cases[i].known ? 2 : 1);
		/* Late, the first is due. */
		in_store(cases[i].late ? 0 : 2, cases[i].late ? 2 : 0);
	}
}

/* Also of one that is done already; not of one whose PUBACK has left. */
static void test_copies_of_what_is_done(void **state)
{
	(void)state;
	park(7, "u/one", "payload");
	lose_unknown(7);
	/* Nothing is claimed while the lane does not know what it has parked; another host may have run it. */
	after(PARKING_DELAY_MS);
	in_store(1, 0);
	finish_elsewhere("u");
	in_store(0, 1);
	parts_connect(true);
	assert_null(parts_read(7, "u/one", "payload"));
	assert_int_equal(parts_board.account.joined, 1);
	turn();
	parts_left("7");

	/* The store is asked what the user has, and answers that it is nothing. */
	work_all();
	park(8, "u/one", "payload");
	turn();
	parts_left("7 8");
	parts_lose(false);
	parts_connect(true);
	assert_non_null(parts_read(8, "u/one", "payload"));
	work_all();
	in_store(2, 1);
	turn();
}

/* ---- The store fails ---- */

static void test_not_parked(void **state)
{
	(void)state;
	static const bool written[] = {false, true};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
		parts.one.steps = "r";
		const struct command *command = parts_read(7, "u/one", "payload");
		const struct command *next = parts_read(8, "u/one", "payload");
		while (command->state != COMMAND_PARKING) {
			parts_work();
			parts_turn(command->state == COMMAND_RETRYING ? 400 : 0);
		}
		if (written[i])
			fake_store_lose_answer_at(store(), 0);
		else
			fake_store_fail_next(store(), STORE_E_AWAY, 1);
		parts_work();
		parts_state(next, COMMAND_WAITING);
		assert_int_equal(parts.store_away, 1);
		turn();
		assert_int_equal(connection_state(parts.connection), CONNECTION_IDLE);
		parts_left("");
		assert_int_equal(parts.host.commands, 0);
		parts.one.steps = ".";
		parts.host.store_up = true;
		parts_connect(true);
		parts_read(7, "u/one", "payload");
		parts_read(8, "u/one", "payload");
		/* If it was written after all it is known, and what follows is parked. */
		assert_int_equal(parts_board.account.joined, written[i]);
		work_all();
		turn();
		parts_left("7 8");
		after(PARKING_DELAY_MS);
		in_store(0, written[i] ? 2 : fake_store_tombstones(store()));
		assert_int_equal(parts.host.parked.count, 0);
		ended(2, 0, 0, written[i] ? 1 : parts_board.account.parked);
	}
}

/* A document that the database will never take, as when it has a rule for the collection that a host does not
 * know: then it would come again for ever. */
static void test_refused_by_the_store(void **state)
{
	(void)state;
	parts.one.steps = "r";
	const struct command *command = parts_read(7, "u/one", "payload");
	const struct command *next = parts_read(8, "u/light", "");
	while (command->state != COMMAND_PARKING) {
		parts_work();
		parts_turn(command->state == COMMAND_RETRYING ? 400 : 0);
	}
	fake_store_fail_next(store(), STORE_E_PERMANENT, 1);
	parts_work();
	parts_state(command, COMMAND_BURYING);
	assert_int_not_equal(next->state, COMMAND_WAITING);
	work_all();
	turn();
	parts_left("7 8");
	assert_string_equal(fake_store_dead_letter(store(), 0)->reason,
		"handler one asked to be run again and gave no reason; and the database refuses to keep it "
		"for later");
	/* That it was not written was not known when the next one's turn came. */
	after(PARKING_DELAY_MS);
	assert_int_equal(parts.host.parked.count, 0);
	assert_int_equal(parts.store_away, 0);

	park(9, "u/one", "");
	parts.one.steps = "r";
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_work();
	fake_store_fail_next(store(), STORE_E_PERMANENT, 1);
	work_all();
	assert_int_equal(fake_store_dead_letters(store()), 2);
	assert_int_equal(fake_store_parked(store()), 0);
	assert_int_equal(parts.host.parked.count, 0);
}

/* The database has a rule for dead letters that they do not meet, until somebody takes it away: the command
 * waits in the store meanwhile, is not run again, and the lane goes on. */
static void test_letter_refused_by_the_store(void **state)
{
	(void)state;
	parts.one.steps = "f";
	const struct command *command = parts_read(7, "u/one", "payload");
	parts_work();
	parts_state(command, COMMAND_BURYING);
	fake_store_fail_next(store(), STORE_E_PERMANENT, 2); /* also without its payload */
	parts_work();
	parts_state(command, COMMAND_PARKING);
	work_all();
	turn();
	parts_left("7");
	assert_int_equal(parts.store_away, 0);
	assert_int_equal(fake_store_dead_letters(store()), 0);
	in_store(1, 0);
	assert_string_equal(fake_store_parked_command(store(), 0)->end, "dead");
	assert_int_equal(parts.one.runs, 1);
	/* and once more, from there */
	parts.host.now_ms += PARKING_DELAY_MAX_MS;
	parts_due(false);
	turn();
	parts_work();
	fake_store_fail_next(store(), STORE_E_PERMANENT, 2);
	work_all();
	in_store(1, 0);
	assert_int_equal(fake_store_dead_letters(store()), 0);
	/* the rule is gone */
	parts.host.now_ms += PARKING_DELAY_MAX_MS;
	parts_due(false);
	turn();
	work_all();
	in_store(0, 1);
	assert_int_equal(fake_store_dead_letters(store()), 1);
	assert_int_equal(fake_store_dead_letter(store(), 0)->attempts, 1);
	assert_string_equal(fake_store_dead_letter(store(), 0)->payload, "payload");
	assert_int_equal(parts.one.runs, 1);
	assert_int_equal(parts.store_away, 0);
	assert_int_equal(parts.host.parked.count, 0);
}

/* It can be written nowhere: then the store is as good as away. */
static void test_everything_refused_by_the_store(void **state)
{
	(void)state;
	parts.one.steps = "f";
	parts_read(7, "u/one", "payload");
	parts_work();
	fake_store_fail_next(store(), STORE_E_PERMANENT, 5);
	work_all();
	turn();
	parts_left("");
	assert_int_equal(parts.store_away, 1);
	in_store(0, 0);
}

/* Each step of a run from the store fails, in both ways: it is forgotten, and done when the store is back. */
static void test_run_fails(void **state)
{
	static const char *const steps[] = {".", "e", "r", "f"};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		for (unsigned skip = 0; skip < 4; skip++)
			for (unsigned lost = 0; lost < 2; lost++) {
				assert_int_equal(parts_end(state), 0);
				assert_int_equal(begin(state), 0);
				park(7, "u/one", "");
				park(8, "u/one", "");
				turn();
				parts.one.steps = steps[i];
				parts.host.now_ms += PARKING_DELAY_MS;
				parts_due(false);
				if (lost > 0)
					fake_store_lose_answer_at(store(), skip);
				else
					fake_store_fail_at(store(), skip, STORE_E_AWAY);
				turn();
				work_all();
				fake_store_fail_next(store(), 0, 0);
				assert_int_equal(parts.submitted_count, 0);
				assert_int_equal(parts.host.commands, 0);
				assert_true(parking_idle(&parts.host));
				parts.host.store_up = true;
				if (connection_state(parts.connection) == CONNECTION_IDLE)
					parts_connect(true);
				parts.one.steps = ".";
				after(0);
				after(10 * PARKING_DELAY_MS);
				in_store(0, 2);
				assert_int_equal(parts.host.parked.count, 0);
			}
}

/* The store goes away in the middle of the handler. */
static void test_store_away_in_a_run(void **state)
{
	(void)state;
	park(7, "u/one", "");
	turn();
	parts.one.steps = "s.";
	after(PARKING_DELAY_MS);
	assert_int_equal(parts.store_away, 1);
	in_store(1, 0);
	assert_true(parking_idle(&parts.host));
	/* It does not count as an attempt that failed: it may be run again at once. */
	parts.host.store_up = true;
	parts_connect(true);
	after(0);
	in_store(0, 1);
	ended(1, 0, 0, 1);
}

/* ---- The broker is lost ---- */

static void test_lane_lost(void **state)
{
	(void)state;
	/* While it is being written: its copy joins it. */
	parts.one.steps = "r";
	const struct command *command = parts_read(7, "u/one", "payload");
	while (command->state != COMMAND_PARKING) {
		parts_work();
		parts_turn(command->state == COMMAND_RETRYING ? 400 : 0);
	}
	parts_lose(false);
	parts_connect(true);
	assert_ptr_equal(parts_read(7, "u/one", "payload"), command);
	parts_work();
	turn();
	parts_left("7");
	in_store(1, 0);
	ended(0, 0, 0, 1);

	/* While one from the store waits for a worker: that one is not the broker's. */
	parts.one.steps = "e";
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	turn();
	parts_work();
	parts_state(parts.submitted[0], COMMAND_RUNNING);
	parts_lose(false);
	assert_int_equal(parts.submitted_count, 1);
	parts_work();
	parts_events_end();
	parts_work();
	in_store(0, 1);
	ended(1, 0, 0, 1);
}

static void test_stopping(void **state)
{
	(void)state;
	park(7, "u/one", "");
	parts_read(8, "u/one", "");
	parts_work();
	park(9, "v/one", "");
	turn();
	parts.host.now_ms += PARKING_DELAY_MS;
	parts_due(false);
	parts.settings.workers = 1;
	turn();
	/* One is under way, and is finished; nothing more is begun. */
	parts.host.stopping = true;
	work_all();
	in_store(2, 1);
	assert_true(parking_idle(&parts.host));
	parts.host.stopping = false;
	work_all();
	in_store(0, 3);
}

/* ---- No handler here ---- */

static void store_has(const char *lane, const char *topic, const char *user)
{
	struct parked_command document = {.lane = lane,
		.user = user,
		.topic = topic,
		.position = clock_unix_ms() * 1000,
		.payload = "payload",
		.payload_size = 7,
		.end = "done",
		.attempts = 3,
		.handler = "h",
		.reason = "r",
		.not_before_ms = clock_unix_ms()};
	parked_command_new_id(document.id);
	struct store_client *client = store_acquire(store());
	assert_int_equal(parked_command_add(client, &document), 0);
	store_release(client);
}

static void test_no_handler_any_more(void **state)
{
	(void)state;
	store_has("cashewd", "u/gone", "u");
	after(0);
	in_store(0, 1);
	ended(0, 0, 1, 0);
	const struct dead_letter *letter = fake_store_dead_letter(store(), 0);
	assert_string_equal(letter->reason, "no handler wants the topic any more");
	assert_string_equal(letter->topic, "u/gone");
	assert_memory_equal(letter->payload, "payload", 7);
	assert_int_equal(letter->attempts, 3);
}

static void test_lanes_of_other_hosts(void **state)
{
	(void)state;
	store_has("other", "u/one", "u");
	store_has("other", "v/gone", "v");
	after(0);
	in_store(2, 0);
	parts_due(true);
	turn();
	work_all();
	/* What it has a handler for is done; the other is given back as it was. */
	in_store(1, 1);
	assert_int_equal(parts.one.runs, 1);
	assert_int_equal(parts.one.last_attempt, 4);
	for (size_t i = 0; i < 2; i++)
		if (strcmp(parked(i)->user, "v") == 0) {
			assert_int_equal(parked(i)->attempts, 3);
			assert_string_equal(parked(i)->reason, "r");
			assert_true(parked(i)->not_before_ms <= clock_unix_ms());
		}
	ended(1, 0, 0, 0);
	assert_int_equal(fake_store_dead_letters(store()), 0);
	/* It is not asked for again so soon; its own users of that name are not concerned. */
	parts_due(true);
	turn();
	assert_int_equal(parts.submitted_count, 0);
	assert_null(parts_read(9, "v/light", ""));
	parts_settled(9);
	turn();
	parts.host.now_ms += 60000;
	parts_due(true);
	turn();
	assert_int_equal(parts.submitted_count, 1);
	work_all();
	in_store(1, 1);
}

/* ---- Out of memory ---- */

static void test_out_of_memory(void **state)
{
	static char long_payload[300];
	memset(long_payload, 'x', sizeof(long_payload) - 1);
	bool failed = true;
	for (size_t n = 1; failed; n++) {
		assert_int_equal(parts_end(state), 0);
		assert_int_equal(begin(state), 0);
		parts.one.steps = "r";
		const struct command *command = parts_read(7, "u/one", long_payload);
		for (unsigned i = 0; i < 5; i++) {
			parts_work();
			parts_turn(400);
			if (command->retry_at_ms - command->failing_since_ms > COMMAND_RETRY_MS - 400)
				break;
		}
		failing_malloc_start(n, false);
		parts_work();
		failed = failing_malloc_stop();
		turn();
		work_all();
		turn();
		const bool dropped = parts.connection->drops > 0;
		assert_int_equal(parts.connection->left_count, dropped ? 0 : 1);
		in_store(dropped ? 0 : 1, 0);
		assert_int_equal(parts.host.commands, 0);
	}
}

#define IN_A_LANE(test) cmocka_unit_test_setup_teardown(test, begin, parts_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_LANE(test_parked_and_done),
		IN_A_LANE(test_attempts_used_up),
		IN_A_LANE(test_one_attempt_only),
		IN_A_LANE(test_ends_from_the_store),
		IN_A_LANE(test_event_refused),
		IN_A_LANE(test_properties),
		IN_A_LANE(test_two_handlers),
		IN_A_LANE(test_followers),
		IN_A_LANE(test_follower_at_the_last_moment),
		IN_A_LANE(test_qos0),
		IN_A_LANE(test_user_window),
		IN_A_LANE(test_fairness),
		IN_A_LANE(test_loaded_before_connecting),
		IN_A_LANE(test_backlog_of_the_past),
		IN_A_LANE(test_copies),
		IN_A_LANE(test_copies_of_what_is_done),
		IN_A_LANE(test_not_parked),
		IN_A_LANE(test_refused_by_the_store),
		IN_A_LANE(test_letter_refused_by_the_store),
		IN_A_LANE(test_everything_refused_by_the_store),
		IN_A_LANE(test_run_fails),
		IN_A_LANE(test_store_away_in_a_run),
		IN_A_LANE(test_lane_lost),
		IN_A_LANE(test_stopping),
		IN_A_LANE(test_no_handler_any_more),
		IN_A_LANE(test_lanes_of_other_hosts),
		IN_A_LANE(test_out_of_memory),
	};
	return cmocka_run_group_tests_name("host_parking", tests, NULL, NULL);
}
