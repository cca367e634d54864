/* test_schedule_watch.c - schedule_watch.c: what is begun when, by whom, from when to when, and what is there after every possible failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "cashew.h"
#include "fake_case.h"
#include "fake_store.h"
#include "figures.h"
#include "schedule_watch.h"
#include "schedules.h"
#include "timetable.h"

enum { HOUR_MS = 3600 * 1000, MINUTE_MS = 60 * 1000, TURN_MAX_MS = 1000 };

static cashew_result never_run(cashew_command *cmd)
{
	(void)cmd;
	return CASHEW_FAIL;
}

static const struct cashew_handler command = {.name = "command", .topic = "+/command", .handle = never_run};
static const struct cashew_handler hourly = {
	.name = "hourly", .scheduled = true, .every_s = 3600, .handle = never_run};
static const struct cashew_handler skipping = {
	.name = "skipping", .scheduled = true, .cron = "0 * * * *", .skip_missed = true, .handle = never_run};
static const struct cashew_handler *const only_hourly[] = {&command, &hourly, NULL};
static const struct cashew_handler *const only_skipping[] = {&command, &skipping, NULL};
static const struct cashew_handler *const both[] = {&skipping, &hourly, NULL};
static const struct cashew_handler *const none[] = {&command, NULL};

static struct figures figures;
static int64_t start_ms; /* a full hour */

/* At the database it is a full hour, and a second. */
static int begin(void **state)
{
	const int error = fake_case_begin(state);
	memset(&figures, 0, sizeof(figures));
	const int64_t now_ms = store_now_ms(store);
	start_ms = (now_ms / HOUR_MS + 1) * HOUR_MS;
	fake_store_pass(store, start_ms - now_ms + 1000);
	return error;
}

static struct schedule_watch *watch_on(
	const struct cashew_handler *const *handlers, const char *owner, const char *lane)
{
	const struct schedule_watch_options options = {
		.handlers = handlers, .store = store, .lane = lane, .owner = owner, .figures = &figures};
	struct schedule_watch *watch = NULL;
	assert_int_equal(schedule_watch_new(&options, &watch), 0);
	return watch;
}

static struct schedule_watch *watch_of(const struct cashew_handler *const *handlers, const char *owner)
{
	return watch_on(handlers, owner, "cashewd");
}

static long turn(struct schedule_watch *watch)
{
	return schedule_watch_turn(watch, client, TURN_MAX_MS);
}

static struct schedule_state state_of(const char *name)
{
	struct schedule_state found;
	assert_int_equal(schedules_read(client, &name, 1, "a", &found), 0);
	return found;
}

/* The only parked command is that run of the schedule. */
static void expect_parked(const char *name, int64_t slot_ms, int64_t since_ms)
{
	char topic[TIMETABLE_TOPIC_SIZE], payload[TIMETABLE_PAYLOAD_SIZE];
	assert_int_equal(fake_store_parked(store), 1);
	const struct parked_command *parked = fake_store_parked_command(store, 0);
	timetable_topic(name, topic);
	timetable_payload(slot_ms, since_ms, payload);
	assert_string_equal(parked->topic, topic);
	assert_string_equal(parked->user, topic);
	assert_string_equal(parked->lane, "cashewd");
	assert_string_equal(parked->payload, payload);
	assert_string_equal(parked->end, "done");
	assert_int_equal(parked->attempts, 0);
	const struct schedule_state state = state_of(name);
	assert_true(state.open);
	assert_memory_equal(&state.run, &parked->id, sizeof(parked->id));
	assert_int_equal(state.slot_ms, slot_ms);
	assert_int_equal(state.since_ms, since_ms);
}

/* As storing.c does it. */
static void end_run(const char *name, const char *how)
{
	const struct schedule_state state = state_of(name);
	const struct backlog_lease lease = {.owner = "a", .lease_ms = 1000};
	char topic[TIMETABLE_TOPIC_SIZE];
	timetable_topic(name, topic);
	assert_int_equal(schedule_end(client, name, &state.run, &(struct schedule_outcome){.end = how}), 0);
	assert_int_equal(parked_commands_finish(client,
				 &(struct parked_finish){
					 .user = topic, .done = &state.run, .count = 1, .lease = &lease},
				 1),
		0);
}

static void test_no_schedules(void **state)
{
	(void)state;
	struct schedule_watch *watch = watch_of(none, "a");
	const unsigned before = fake_store_operations(store);
	assert_null(watch);
	assert_int_equal(turn(watch), TURN_MAX_MS);
	schedule_watch_rest(watch);
	schedule_watch_free(watch);
	assert_int_equal(fake_store_operations(store), before);
	assert_int_equal(figures_schedule_count(&figures), 0);
}

/* Its first run is that of the next slot, and begins with the one before. */
static void test_first_run(void **state)
{
	(void)state;
	struct schedule_watch *watch = watch_of(only_hourly, "a");
	for (int i = 0; i < 3; i++)
		assert_int_equal(turn(watch), TURN_MAX_MS);
	assert_int_equal(fake_store_parked(store), 0);
	assert_int_equal(state_of("hourly").slot_ms, start_ms);
	assert_int_equal(state_of("hourly").since_ms, start_ms - HOUR_MS);
	/* Less than a second before it is due. */
	fake_store_pass(store, HOUR_MS - 1000 - 400);
	assert_in_range(turn(watch), 1, 400);
	assert_int_equal(fake_store_parked(store), 0);
	fake_store_pass(store, 400);
	for (int i = 0; i < 3; i++) {
		turn(watch);
		expect_parked("hourly", start_ms + HOUR_MS, start_ms);
	}
	assert_false(fake_store_parked_command(store, 0)->replayed);
	schedule_watch_free(watch);
}

/* Whatever time passes, and however a run ends, the next one begins where it ended. */
static void test_runs_join(void **state)
{
	(void)state;
	static const struct {
		int64_t after_ms;
		const char *end;
		int hours; /* that the run covers */
	} runs[] = {{HOUR_MS, "done", 1}, {HOUR_MS, "dead", 1}, {5 * HOUR_MS, "done", 5},
		{HOUR_MS + 17 * MINUTE_MS, "done", 1}, {HOUR_MS, "dead", 1}, {24 * HOUR_MS, "done", 24},
		{HOUR_MS, "done", 1}};
	struct schedule_watch *watch = watch_of(only_hourly, "a");
	int64_t slot_ms = start_ms;
	turn(watch);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		fake_store_pass(store, runs[i].after_ms);
		turn(watch);
		expect_parked("hourly", slot_ms + runs[i].hours * (int64_t)HOUR_MS, slot_ms);
		slot_ms += runs[i].hours * (int64_t)HOUR_MS;
		end_run("hourly", runs[i].end);
		turn(watch);
		assert_int_equal(fake_store_parked(store), 0);
		assert_int_equal(FIGURES_GET(figures.schedules[0].end),
			strcmp(runs[i].end, "done") == 0 ? FIGURES_RUN_DONE : FIGURES_RUN_DEAD);
	}
	assert_int_equal(FIGURES_GET(figures.schedules[0].begun), sizeof(runs) / sizeof(runs[0]));
	schedule_watch_free(watch);
}

/* While a run goes on none is begun; then one for all that was missed. */
static void test_long_run(void **state)
{
	(void)state;
	struct schedule_watch *watch = watch_of(only_hourly, "a");
	turn(watch);
	fake_store_pass(store, HOUR_MS);
	turn(watch);
	for (int i = 0; i < 3; i++) {
		fake_store_pass(store, HOUR_MS);
		turn(watch);
		expect_parked("hourly", start_ms + HOUR_MS, start_ms);
	}
	assert_true(FIGURES_GET(figures.schedules[0].overdue_ms) != 0);
	end_run("hourly", "done");
	turn(watch);
	expect_parked("hourly", start_ms + 4 * (int64_t)HOUR_MS, start_ms + HOUR_MS);
	schedule_watch_free(watch);
}

static void test_skip_missed(void **state)
{
	(void)state;
	struct schedule_watch *watch = watch_of(only_skipping, "a");
	turn(watch);
	/* A minute late at most, as after a failover. */
	fake_store_pass(store, HOUR_MS + 50 * 1000);
	turn(watch);
	expect_parked("skipping", start_ms + HOUR_MS, start_ms);
	end_run("skipping", "done");
	/* Later: it is left out, and counted once. */
	fake_store_pass(store, 3 * HOUR_MS + 20 * 1000);
	for (int i = 0; i < 3; i++)
		turn(watch);
	assert_int_equal(fake_store_parked(store), 0);
	assert_int_equal(FIGURES_GET(figures.schedules[0].skipped), 1);
	assert_int_equal(FIGURES_GET(figures.schedules[0].overdue_ms), 0);
	assert_int_equal(FIGURES_GET(figures.schedules[0].next_ms), start_ms + 5 * (int64_t)HOUR_MS);
	/* The next one is on time, and begins where the last run ended. */
	fake_store_pass(store, HOUR_MS - 71 * 1000);
	turn(watch);
	expect_parked("skipping", start_ms + 5 * (int64_t)HOUR_MS, start_ms + HOUR_MS);
	schedule_watch_free(watch);
}

/* Each operation of the run's beginning fails, or is done and its answer is lost; then this host goes on, or the next one of this supervisor, or
 * another one's. In the end there is one run, from when to when it should be. */
static void test_every_failure(void **state)
{
	(void)state;
	enum { OPERATIONS = 4 };
	assert_int_equal(fake_case_end(state), 0);
	for (unsigned skip = 0; skip < OPERATIONS; skip++)
		for (int lost = 0; lost < 2; lost++)
			for (int who = 0; who < 3; who++) {
				assert_int_equal(begin(state), 0);
				struct schedule_watch *watch = watch_of(only_hourly, "a");
				turn(watch);
				fake_store_pass(store, HOUR_MS);
				if (lost)
					fake_store_lose_answer_at(store, skip);
				else
					fake_store_fail_at(store, skip, STORE_E_TRANSIENT);
				turn(watch);
				if (who > 0) {
					schedule_watch_free(watch);
					watch = watch_of(only_hourly, who == 1 ? "a" : "b");
				}
				turn(watch);
				if (who == 2) { /* it does not know whether the other one lives */
					fake_store_pass(store, MINUTE_MS);
					turn(watch);
				}
				turn(watch);
				expect_parked("hourly", start_ms + HOUR_MS, start_ms);
				end_run("hourly", "done");
				turn(watch);
				assert_int_equal(fake_store_parked(store), 0);
				schedule_watch_free(watch);
				assert_int_equal(fake_case_end(state), 0);
			}
	assert_int_equal(begin(state), 0);
}

/* Hosts of two client ids are active at once. */
static void test_two_hosts(void **state)
{
	(void)state;
	struct schedule_watch *one = watch_of(only_hourly, "a"), *other = watch_of(only_hourly, "b");
	turn(one);
	turn(other);
	for (int i = 1; i <= 4; i++) {
		fake_store_pass(store, HOUR_MS);
		turn(i % 2 == 0 ? one : other);
		turn(i % 2 == 0 ? other : one);
		turn(one);
		expect_parked(
			"hourly", start_ms + i * (int64_t)HOUR_MS, start_ms + (i - 1) * (int64_t)HOUR_MS);
		end_run("hourly", "done");
	}
	schedule_watch_free(one);
	schedule_watch_free(other);
}

/* A run is parked for a client id whose hosts are gone: that of another supervisor, or the one that this supervisor had before. */
static void test_client_id_is_gone(void **state)
{
	(void)state;
	static const char *const owners[] = {"b", "a"};
	for (size_t i = 0; i < 2; i++) {
		struct schedule_watch *gone = watch_on(only_hourly, "a", "gone");
		turn(gone);
		fake_store_pass(store, HOUR_MS);
		turn(gone);
		schedule_watch_free(gone);
		assert_string_equal(fake_store_parked_command(store, 0)->lane, "gone");
		const struct schedule_state begun = state_of("hourly");
		struct schedule_watch *here = watch_of(only_hourly, owners[i]);
		turn(here);
		/* They may be starting anew. The store's clock goes on by itself, too. */
		fake_store_pass(store, MINUTE_MS / 2);
		turn(here);
		assert_string_equal(fake_store_parked_command(store, 0)->lane, "gone");
		fake_store_pass(store, MINUTE_MS / 2 + 1);
		schedule_watch_free(here);
		here = watch_of(only_hourly, owners[i]);
		turn(here);
		expect_parked("hourly", begun.slot_ms, begun.since_ms);
		end_run("hourly", "done");
		turn(here);
		assert_int_equal(fake_store_parked(store), 0);
		schedule_watch_free(here);
	}
}

static void test_asked(void **state)
{
	(void)state;
	const struct store_id question = store_new_id();
	struct schedule_watch *watch = watch_of(both, "a");
	turn(watch);
	fake_store_pass(store, HOUR_MS);
	turn(watch);
	end_run("skipping", "done");
	end_run("hourly", "done");
	/* Nothing is due: the last run again. */
	assert_int_equal(schedule_ask(client, "hourly", &question), 0);
	turn(watch);
	expect_parked("hourly", start_ms + HOUR_MS, start_ms);
	assert_true(fake_store_parked_command(store, 0)->replayed);
	const struct schedule_state asked = state_of("hourly");
	assert_memory_equal(&asked.question, &question, sizeof(question));
	end_run("hourly", "done");
	turn(watch);
	assert_int_equal(fake_store_parked(store), 0);
	/* What would be skipped is run, for it is asked for. */
	fake_store_pass(store, 2 * HOUR_MS + 2 * MINUTE_MS);
	turn(watch);
	end_run("hourly", "done");
	turn(watch);
	assert_int_equal(fake_store_parked(store), 0);
	assert_int_equal(schedule_ask(client, "skipping", &question), 0);
	turn(watch);
	expect_parked("skipping", start_ms + 3 * (int64_t)HOUR_MS, start_ms + HOUR_MS);
	schedule_watch_free(watch);
}

/* The clock of the database goes back: nothing is run twice. */
static void test_clock_goes_back(void **state)
{
	(void)state;
	struct schedule_watch *watch = watch_of(only_hourly, "a");
	turn(watch);
	fake_store_pass(store, HOUR_MS);
	turn(watch);
	end_run("hourly", "done");
	fake_store_pass(store, -2 * (int64_t)HOUR_MS);
	turn(watch);
	fake_store_pass(store, HOUR_MS);
	turn(watch);
	assert_int_equal(fake_store_parked(store), 0);
	fake_store_pass(store, 2 * HOUR_MS);
	turn(watch);
	expect_parked("hourly", start_ms + 2 * (int64_t)HOUR_MS, start_ms + HOUR_MS);
	schedule_watch_free(watch);
}

static void test_figures(void **state)
{
	(void)state;
	struct schedule_watch *watch = watch_of(both, "a");
	assert_int_equal(figures_schedule_count(&figures), 2);
	assert_string_equal(figures.schedules[0].name, "skipping");
	assert_string_equal(figures.schedules[1].name, "hourly");
	const struct figures_schedule *of = &figures.schedules[1];
	assert_false(FIGURES_GET(of->here));
	turn(watch);
	turn(watch);
	assert_true(FIGURES_GET(of->here));
	assert_int_equal(FIGURES_GET(of->slot_ms), start_ms);
	assert_int_equal(FIGURES_GET(of->next_ms), start_ms + HOUR_MS);
	assert_int_equal(FIGURES_GET(of->end), FIGURES_NO_RUN);
	assert_false(FIGURES_GET(of->open));
	fake_store_pass(store, HOUR_MS);
	turn(watch);
	assert_true(FIGURES_GET(of->open));
	assert_int_equal(FIGURES_GET(of->next_ms), start_ms + 2 * (int64_t)HOUR_MS);
	schedule_watch_rest(watch);
	assert_false(FIGURES_GET(of->here));
	assert_int_equal(FIGURES_GET(of->begun), 1);
	schedule_watch_free(watch);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, fake_case_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_no_schedules),
		CASE(test_first_run),
		CASE(test_runs_join),
		CASE(test_long_run),
		CASE(test_skip_missed),
		CASE(test_every_failure),
		CASE(test_two_hosts),
		CASE(test_client_id_is_gone),
		CASE(test_asked),
		CASE(test_clock_goes_back),
		CASE(test_figures),
	};
	return cmocka_run_group_tests_name("schedule_watch", tests, NULL, NULL);
}
