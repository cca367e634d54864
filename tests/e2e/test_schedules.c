/*
 * test_schedules.c - handlers that run by the clock: one run across all hosts, from where the run before it ended, whatever dies in between.
 *
 * The program cashewd-schedules has three of them (tests/e2e/handlers/schedules/), whose runs leave lines in one file.
 */
#include "clock.h"
#include "harness.h"
#include "letter.h"
#include "scrape.h"
#include "ticks.h"
#include "wall_clock.h"
#include <inttypes.h>
#include <signal.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000 };
static const int64_t DAY_MS = INT64_C(24) * HOUR_MS;

/* ---- Hosts ---- */

static struct host *host_of(struct harness *h, const char *handlers)
{
	struct host *host = host_new(h, HOST_PRODUCT);
	host_use_program(host, CASHEWD_SCHEDULES_PATH);
	host_set(host, "TICK_FOLDER", harness_folder(h));
	host_set(host, "HANDLERS", handlers);
	return host;
}

static struct host *start_host(struct harness *h, const char *handlers)
{
	struct host *host = host_of(h, handlers);
	host_start(host);
	host_wait_ready(host);
	return host;
}

/* As a database knows it that another host has used, some time ago: its last run of that slot, ended or not. */
static void add_schedule(struct harness *h, const char *name, int64_t slot_ms, bool open)
{
	database_command(h, harness_database(h),
		harness_format(h,
			"{\"insert\":\"schedules\",\"documents\":[{\"_id\":\"%s\",\"slot\":{\"$date\":{\"$numberLong\":\"%" PRId64
			"\"}},\"since\":{\"$date\":{\"$numberLong\":\"%" PRId64
			"\"}},\"run\":{\"$oid\":\"65b0c0c0c0c0c0c0c0c0c0c0\"},\"open\":%s,\"by\":\"somebody\",\"begun_at\":{\"$date\":{"
			"\"$numberLong\":\"%" PRId64 "\"}},\"end\":\"done\"}]}",
			name, slot_ms, slot_ms - TICKS_EVERY_MS, open ? "true" : "false", slot_ms));
}

static int run_tool(struct harness *h, struct host **ret_tool, const char *const *arguments)
{
	struct host *tool = host_of(h, NULL);
	host_set_arguments(tool, arguments);
	host_start(tool);
	*ret_tool = tool;
	return host_wait_exit(tool);
}

/* ---- Cases ---- */

/* Also that an operator sees them, and that a device gets its events. */
HARNESS_CASE(runs_join)
{
	struct host *host = host_of(h, "test_tick,ping");
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	struct device *phone = device_new(h, "68946");
	device_connect(phone);
	host_start(host);
	host_expect_log(host, "schedule", "handler", "test_tick", "every_s", "1", "missed", "run once");
	host_wait_ready(host);
	ticks_wait(h, "test_tick", 3);
	const int64_t now_ms = wall_clock_now_ms();
	struct tick ticks[TICKS_MAX];
	assert_true(ticks_of(h, "test_tick", ticks) >= 3);
	assert_in_range(now_ms - ticks[2].slot_ms, 0, 10000);
	assert_in_range(ticks[0].slot_ms - ticks[0].since_ms, TICKS_EVERY_MS, 60000);
	char slot[CLOCK_ISO_SIZE];
	clock_iso_ms(ticks[2].slot_ms, slot);
	assert_string_equal(ticks[2].id, harness_format(h, "test_tick/%s", slot));
	device_wait_count(phone, "ticked", 3);
	struct scrape *scrape = scrape_new(h, host);
	scrape_metrics(scrape);
	assert_true(scrape_value(scrape, "cashewd_schedule_runs_begun_total{schedule=\"test_tick\"}") >= 3);
	assert_in_range(
		(int64_t)scrape_value(scrape, "cashewd_schedule_last_slot_seconds{schedule=\"test_tick\"}"),
		now_ms / 1000 - 10, now_ms / 1000 + 60);
	assert_true(scrape_value(scrape, "cashewd_schedule_last_run_dead{schedule=\"test_tick\"}") == 0);
	assert_true(scrape_value(scrape,
			    "cashewd_handler_commands_total{handler=\"test_tick\",end=\"done\"}") >= 2);
	assert_true(scrape_value(scrape, "cashewd_commands_total{end=\"done\"}") == 0);
	scrape_wait_page(scrape, "/status", 200, "\"schedules\":[{\"name\":\"test_tick\"");
	host_stop(host);
	assert_int_equal(ticks_expect_joined(h), 0);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* Two of one client id, of which one stands by, and one of another, which is active too. */
HARNESS_CASE(one_run_across_hosts)
{
	struct host *first = start_host(h, "test_tick,ping"), *standby = host_of(h, "test_tick,ping");
	struct host *other = host_of(h, "test_tick,ping");
	host_start(standby);
	host_expect_log(standby, "standby", "client_id", "cashewd");
	host_set(other, "CLIENT_ID", "other");
	host_start(other);
	host_wait_ready(other);
	ticks_wait(h, "test_tick", 4);
	host_stop(first);
	const size_t so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 3);
	host_stop(standby);
	host_stop(other);
	assert_int_equal(ticks_expect_joined(h), 0);
}

/* With its supervisor, while a run goes on: it is begun again, from the same time to the same time. */
HARNESS_CASE(killed_while_it_runs)
{
	struct host *host = start_host(h, "test_tick,ping");
	ticks_wait(h, "test_tick", 1);
	ticks_hold(h);
	json_t *held = database_find(h, harness_database(h), "schedules", "{\"_id\":\"test_tick\"}");
	host_kill(host);
	ticks_end_hold(h);
	const size_t so_far = ticks_count(h, "test_tick");
	host_start(host);
	host_wait_ready(host);
	/* The lease of the supervisor that died ends after 20 s. */
	ticks_wait(h, "test_tick", so_far + 2);
	(void)ticks_expect_joined(h);
	assert_true(json_is_true(json_object_get(json_array_get(held, 0), "open")));
	json_decref(held);
	host_stop(host);
}

/* The host alone: the next one of its supervisor goes on at once. */
HARNESS_CASE(host_crashes_and_is_killed)
{
	struct host *host = host_of(h, "test_tick,ping");
	host_may_die(host);
	host_start(host);
	host_wait_ready(host);
	ticks_wait(h, "test_tick", 1);
	ticks_set_mode(h, "crash");
	host_expect_log(host, "handler_crashed", "handler", "test_tick");
	host_wait_log_count(host, 2, "ready");
	size_t so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 2);
	assert_in_range(ticks_expect_joined(h), 1, 1);
	ticks_hold(h);
	host_signal_child(host, SIGKILL);
	host_wait_log_count(host, 3, "ready");
	ticks_end_hold(h);
	so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 2);
	(void)ticks_expect_joined(h);
	host_stop(host);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* At each place on a run's way, with what that place leaves in the database: the next host of the supervisor goes on from there. */
HARNESS_CASE(killed_at_each_place)
{
	static const char *const places[] = {"schedule_begun:1", "schedule_parked:1", "before_handler:1",
		"after_effect:1", "schedule_ended:2"};
	struct tick ticks[TICKS_MAX];
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct host *host = host_of(h, "test_tick,ping");
		host_use_program(host, CASHEWD_FAILPOINTS_PATH);
		host_set_environment(host, "FAILPOINT", places[i]);
		host_may_die(host);
		host_start(host);
		host_expect_log(host, "host_died");
		const size_t so_far = ticks_count(h, "test_tick");
		ticks_wait(h, "test_tick", so_far + 2);
		host_stop(host);
		/* Once more at most, for each that had left its line. */
		const size_t repeated = ticks_expect_joined(h);
		if (repeated > (i < 3 ? 0 : i - 2))
			harness_fail("%s: %zu runs were repeated", places[i], repeated);
	}
	const size_t count = ticks_of(h, "test_tick", ticks);
	assert_true(ticks[count - 1].slot_ms > ticks[0].slot_ms);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

/* Who began it died before it was parked. */
HARNESS_CASE(begun_and_not_parked)
{
	const int64_t slot_ms = wall_clock_now_ms() / TICKS_EVERY_MS * TICKS_EVERY_MS - HOUR_MS;
	add_schedule(h, "test_tick", slot_ms, true);
	struct host *host = start_host(h, "test_tick,ping");
	ticks_wait(h, "test_tick", 2);
	struct tick ticks[TICKS_MAX];
	(void)ticks_of(h, "test_tick", ticks);
	assert_true(ticks[0].slot_ms == slot_ms && ticks[0].since_ms == slot_ms - TICKS_EVERY_MS);
	/* Then one for all of the hour. */
	assert_true(ticks[1].since_ms == slot_ms && ticks[1].slot_ms >= slot_ms + HOUR_MS);
	host_stop(host);
	assert_int_equal(ticks_expect_joined(h), 0);
}

HARNESS_CASE(missed_runs)
{
	const int64_t now_ms = wall_clock_now_ms(), midnight_ms = now_ms / DAY_MS * DAY_MS;
	add_schedule(h, "test_daily", midnight_ms - 3 * DAY_MS, false);
	add_schedule(h, "test_skips", midnight_ms - 3 * DAY_MS, false);
	/* Without a command: a lane without a filter. */
	struct host *host = start_host(h, "test_daily,test_skips");
	host_expect_log(host, "schedule_begun", "handler", "test_daily", "level", "info");
	ticks_wait(h, "test_daily", 1);
	database_wait_count(h, harness_database(h), "schedules",
		"{\"_id\":\"test_daily\",\"open\":false,\"end\":\"done\"}", 1);
	struct tick ticks[TICKS_MAX];
	assert_int_equal(ticks_of(h, "test_daily", ticks), 1);
	assert_true(ticks[0].since_ms == midnight_ms - 3 * DAY_MS);
	assert_true(ticks[0].slot_ms >= midnight_ms);
	/* In the first minute after midnight it is not late. */
	if (now_ms - midnight_ms > 2 * 60 * 1000 && wall_clock_now_ms() / DAY_MS * DAY_MS == midnight_ms)
		assert_int_equal(ticks_count(h, "test_skips"), 0);
	host_stop(host);
}

HARNESS_CASE(database_is_away)
{
	struct database *database = harness_own_database(h);
	struct host *host = host_of(h, "test_tick,ping");
	host_use_database(host, database);
	host_start(host);
	host_wait_ready(host);
	ticks_wait(h, "test_tick", 2);
	database_kill(database);
	host_expect_log(host, "store_away");
	database_start(database);
	const size_t so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 2);
	/* The one whose end was not written down. */
	assert_in_range(ticks_expect_joined(h), 0, 1);
	host_stop(host);
}

/* By somebody's own hand. */
HARNESS_CASE(damaged_document)
{
	static const char *const doctor[] = {"doctor", NULL};
	database_command(h, harness_database(h),
		"{\"insert\":\"schedules\",\"documents\":[{\"_id\":\"test_daily\",\"slot\":\"yesterday\",\"open\":true}]}");
	struct host *host = start_host(h, "test_daily,test_tick"), *tool;
	host_expect_log(host, "schedule_damaged", "handler", "test_daily");
	ticks_wait(h, "test_tick", 2);
	assert_int_equal(host_count_log(host, "schedule_damaged"), 1);
	assert_int_equal(ticks_count(h, "test_daily"), 0);
	assert_int_equal(run_tool(h, &tool, doctor), 1);
	host_expect_text(tool, "test_daily: its document in the collection schedules has");
	host_stop(host);
}

/* Time is the database's. */
HARNESS_CASE(clock_of_the_host_is_two_hours_ahead)
{
	(void)harness_broker_with(h, &(struct broker_options){.plain = true});
	struct host *host = host_of(h, "test_tick,ping");
	wall_clock_use_token(h, host);
	wall_clock_set(host, 2 * HOUR_MS);
	host_start(host);
	host_expect_log(host, "clocks_differ", "this_clock", "ahead");
	ticks_wait(h, "test_tick", 2);
	wall_clock_set(host, -2 * HOUR_MS);
	host_expect_log(host, "clocks_differ", "this_clock", "behind");
	const size_t so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 2);
	struct tick ticks[TICKS_MAX];
	const size_t count = ticks_of(h, "test_tick", ticks);
	const int64_t now_ms = wall_clock_now_ms();
	for (size_t i = 0; i < count; i++)
		assert_in_range(ticks[i].slot_ms, now_ms - 60000, now_ms);
	assert_int_equal(ticks_expect_joined(h), 0);
	host_stop(host);
}

/* It is tried again, or given up; what is given up can be replayed. */
HARNESS_CASE(retried_and_given_up)
{
	struct host *host = start_host(h, "test_tick,ping");
	ticks_wait(h, "test_tick", 1);
	ticks_set_mode(h, "retry");
	host_expect_log(host, "command_retry", "handler", "test_tick");
	size_t so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 1);
	assert_int_equal(ticks_expect_joined(h), 1);
	ticks_set_mode(h, "reject");
	host_expect_log(host, "dead_letter", "handler", "test_tick", "reason", "the test wants it");
	so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 1);
	/* The next one begins where it ended. */
	assert_int_equal(ticks_expect_joined(h), 1);
	database_wait_count(h, harness_database(h), "dead_letters",
		"{\"topic\":\"$schedule/test_tick\",\"attempts\":1}", 1);
	static const char *const arguments[] = {"dead-letters", "replay", "--all", NULL};
	struct host *tool = host_of(h, NULL);
	host_set_arguments(tool, arguments);
	host_start(tool);
	assert_int_equal(host_wait_exit(tool), 0);
	host_expect_text(tool, "1 dead letter replayed");
	database_wait_count(h, harness_database(h), "parked_commands", "{\"replayed\":true}", 0);
	host_stop(host);
	assert_int_equal(ticks_count_repeated(h), 2);
}

/* It fails for now, and does not stop to: a dead letter in the end, which an operator sees, and the next run begins where that one ended. */
HARNESS_CASE(fails_until_its_attempts_are_used_up)
{
	enum { ATTEMPTS = 3 };
	static const char *const doctor[] = {"doctor", NULL};
	struct host *host = host_of(h, "test_tick,ping"), *tool;
	host_set(host, "MAX_ATTEMPTS", "3");
	host_set(host, "METRICS_ADDR", "127.0.0.1:0");
	host_start(host);
	host_wait_ready(host);
	ticks_wait(h, "test_tick", 1);
	ticks_set_mode(h, "away");
	host_expect_log(host, "command_parked", "handler", "test_tick");
	const json_t *record = host_expect_log(host, "dead_letter", "handler", "test_tick");
	const char *run = json_string_value(json_object_get(record, "run")),
		   *reason = json_string_value(json_object_get(record, "reason"));
	assert_int_equal(json_integer_value(json_object_get(record, "attempt")), ATTEMPTS);
	assert_non_null(strstr(reason, "the test has it fail"));
	/* The next one fails as well, so this stays to be seen. */
	database_wait_count(
		h, harness_database(h), "schedules", "{\"_id\":\"test_tick\",\"end\":\"dead\"}", 1);
	database_wait_count(h, harness_database(h), "dead_letters",
		"{\"topic\":\"$schedule/test_tick\",\"attempts\":3,\"handler\":\"test_tick\"}", 1);
	(void)run_tool(h, &tool, doctor);
	host_expect_text(tool, "test_tick: a run was given up");
	struct scrape *scrape = scrape_new(h, host);
	scrape_metrics(scrape);
	assert_true(scrape_value(scrape,
			    "cashewd_handler_commands_total{handler=\"test_tick\",end=\"dead\"}") >= 1);
	ticks_end_hold(h);
	/* Each of its attempts was that run; those behind it join. */
	struct tick ticks[TICKS_MAX];
	size_t count = ticks_of(h, "test_tick", ticks), last = count;
	for (size_t i = 0; i < count; i++)
		if (strcmp(ticks[i].id, run) == 0)
			last = i;
	assert_in_range(last, 1, count - 1);
	assert_true(ticks[last].attempt >= ATTEMPTS);
	const size_t so_far = ticks_count(h, "test_tick");
	ticks_wait(h, "test_tick", so_far + 3);
	database_wait_count(
		h, harness_database(h), "schedules", "{\"_id\":\"test_tick\",\"end\":\"done\"}", 1);
	host_stop(host);
	assert_true(ticks_expect_joined(h) >= ATTEMPTS - 1);
	count = ticks_of(h, "test_tick", ticks);
	for (size_t i = last + 1; i < count; i++)
		assert_string_not_equal(ticks[i].id, run);
	assert_true(last + 1 < count && ticks[last + 1].since_ms == ticks[last].slot_ms);
}

/* All hosts of the client id that began a run are gone for good; as if that were some time ago. */
HARNESS_CASE(client_id_is_gone)
{
	static const char *const ago[][2] = {
		{"parked_commands",
			"\"not_before\":{\"$date\":\"2026-01-01T00:00:00Z\"},\"lease_until\":{\"$date\":\"2026-01-01T00:00:00Z\"}"},
		{"schedules", "\"begun_at\":{\"$date\":\"2026-01-01T00:00:00Z\"}"}};
	struct host *gone = host_of(h, "test_tick,ping"), *host = host_of(h, "test_tick,ping");
	host_set(gone, "CLIENT_ID", "gone");
	host_start(gone);
	host_wait_ready(gone);
	ticks_wait(h, "test_tick", 1);
	ticks_hold(h);
	host_kill(gone);
	ticks_end_hold(h);
	for (size_t i = 0; i < sizeof(ago) / sizeof(ago[0]); i++)
		database_command(h, harness_database(h),
			harness_format(h,
				"{\"update\":\"%s\",\"updates\":[{\"q\":{},\"u\":{\"$set\":{%s}},\"multi\":true}]}",
				ago[i][0], ago[i][1]));
	struct tick ticks[TICKS_MAX];
	const size_t so_far = ticks_of(h, "test_tick", ticks);
	host_start(host);
	host_expect_log(host, "schedule_moved", "handler", "test_tick", "client_id", "cashewd");
	ticks_wait(h, "test_tick", so_far + 2);
	host_stop(host);
	/* The one that was held has left its line now. */
	assert_int_equal(ticks_expect_joined(h), 0);
	assert_int_equal(letter_count(h, harness_database(h)), 0);
}

HARNESS_CASE(operators_tools)
{
	static const char *const list[] = {"schedules", "list", NULL}, *const json[] = {"schedules", "list",
									       "--json", NULL};
	static const char *const run[] = {"schedules", "run", "test_daily", NULL};
	static const char *const soon[] = {"schedules", "run", "test_daily", "--wait", "1", NULL};
	static const char *const near[] = {"schedules", "run", "test_dialy", NULL};
	static const char *const doctor[] = {"doctor", NULL}, *const handlers[] = {"--list-handlers", NULL};
	struct host *tool;
	assert_int_equal(run_tool(h, &tool, list), 0);
	host_expect_text(tool, "unknown to the database");
	assert_int_equal(run_tool(h, &tool, run), 69);
	host_expect_text(tool, "start cashewd first");
	assert_int_equal(run_tool(h, &tool, near), 64);
	host_expect_text(tool, "there is no schedule test_dialy. Did you mean test_daily?");
	assert_int_equal(run_tool(h, &tool, handlers), 0);
	host_expect_text(tool, "cron 0 0 * * *");
	struct host *host = start_host(h, "test_daily,ping");
	database_wait_count(h, harness_database(h), "schedules", "{\"_id\":\"test_daily\"}", 1);
	assert_int_equal(run_tool(h, &tool, run), 0);
	host_expect_text(tool, "T00:00:00.000Z: done, 0 events, ");
	assert_int_equal(run_tool(h, &tool, run), 0);
	struct tick ticks[TICKS_MAX];
	assert_int_equal(ticks_of(h, "test_daily", ticks), 2);
	assert_true(ticks[0].slot_ms == ticks[1].slot_ms && ticks[0].since_ms == ticks[1].since_ms);
	assert_true(ticks[0].slot_ms - ticks[0].since_ms == DAY_MS);
	assert_int_equal(run_tool(h, &tool, json), 0);
	host_expect_text(tool, "\"cron\": \"0 0 * * *\"");
	(void)run_tool(h, &tool, doctor);
	host_expect_text(tool, "test_daily: last run ");
	host_stop(host);
	/* Nobody is there: the question is taken back. */
	assert_int_equal(run_tool(h, &tool, soon), 69);
	host_expect_text(tool, "no host has begun it in 1 s");
	database_wait_count(h, harness_database(h), "schedules", "{\"asked\":{\"$ne\":null}}", 0);
	/* Nobody has been there for days, and the last run was given up. */
	database_command(h, harness_database(h),
		"{\"update\":\"schedules\",\"updates\":[{\"q\":{\"_id\":\"test_daily\"},\"u\":{\"$set\":{\"end\":\"dead\",\"slot\":{\"$date\":"
		"\"2026-01-31T00:00:00Z\"}}}}]}");
	(void)run_tool(h, &tool, doctor);
	host_expect_text(tool, "test_daily is overdue: it was due at");
	host_expect_text(tool, "test_daily: a run was given up, the last one, of");
}

HARNESS_MAIN(HARNESS_TEST(runs_join), HARNESS_TEST(one_run_across_hosts), HARNESS_TEST(killed_while_it_runs),
	HARNESS_TEST(host_crashes_and_is_killed), HARNESS_TEST(killed_at_each_place),
	HARNESS_TEST(begun_and_not_parked), HARNESS_TEST(missed_runs), HARNESS_TEST(database_is_away),
	HARNESS_TEST(damaged_document), HARNESS_TEST(clock_of_the_host_is_two_hours_ahead),
	HARNESS_TEST(retried_and_given_up), HARNESS_TEST(fails_until_its_attempts_are_used_up),
	HARNESS_TEST(client_id_is_gone), HARNESS_TEST(operators_tools))
