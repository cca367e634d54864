/* promise_run.c - see promise_run.h. */
#include "promise_run.h"

#include "process.h"
#include <signal.h>
#include <string.h>

enum {
	SETTLE_MS = 120000,
	STOPS_MAX = 10,
	WORKERS = 8, /* the default */
	/* A fault leaves some 2 MiB: the largest backlog's memory, which the allocator keeps. */
	RSS_SLACK_KIB = MEMORY_SLACK_KIB / 2,
	DESCRIPTORS_SLACK = 2, /* a connection that is being opened beside the one it replaces */
};

/* What the MongoDB driver writes before main() has begun, when a process with the same number was killed
 * once. */
#define DRIVER_AT_LOAD "mongoc: Falling back to malloc for counters"

/* ---- Waiting ---- */

static bool violated(const struct promise *promise)
{
	return promise->ledger->violation[0] != '\0';
}

void promise_check(const struct promise *promise)
{
	if (violated(promise))
		harness_fail("%s", promise->ledger->violation);
}

static bool settled(void *context)
{
	const struct promise *promise = context;
	return violated(promise) || promise->ledger->open == 0;
}

static bool all_ready(void *context)
{
	const struct promise *promise = context;
	return violated(promise) || load_ready(promise->load);
}

void promise_wait_for_phones(struct promise *promise)
{
	harness_wait(promise->harness, all_ready, promise, "all phones to connect");
	promise_check(promise);
}

void promise_run_on(struct promise *promise, unsigned least_ms, unsigned most_ms)
{
	harness_watch(promise->harness, (int)(least_ms + dice_roll(&promise->dice, most_ms - least_ms + 1)));
	promise_check(promise);
}

static bool all_dead(void *context)
{
	const struct promise *promise = context;
	return ledger_dead_commands(promise->ledger, promise->database) >= promise->ledger->figures.dead;
}

void promise_settle(struct promise *promise, const char *after)
{
	load_run(promise->load, false);
	harness_wait_at(__FILE__, __LINE__, promise->harness, settled, promise, SETTLE_MS,
		"all commands to come to their end after %s", after);
	promise_check(promise);
	load_ping(promise->load);
	harness_wait(promise->harness, settled, promise, "a ping to be answered after %s", after);
	promise_check(promise);
	/* What the store says of a command may come after its event. */
	harness_wait(promise->harness, all_dead, promise, "the dead letters of %zu commands",
		promise->ledger->figures.dead);
	database_wait_count(promise->harness, promise->database, "parked_commands", "{\"done\":null}", 0);
}

/* ---- The host ---- */

void promise_start_host(struct promise *promise, const char *failpoint)
{
	/* After a death at a failpoint the supervisor has started the next host already; a failpoint is only
	 * for the first. */
	if (host_running(promise->host) && !failpoint)
		return;
	if (host_running(promise->host))
		promise_kill_host(promise);
	host_set_environment(promise->host, "FAILPOINT", failpoint);
	host_start(promise->host);
}

/* Whether nothing is left to be done. What waits for its acknowledgement on a lane that has just been dropped is left to the broker; so is what the
 * broker has not confirmed to have read. Copies that waited for their user's turn are left in the store, though all have had their events. */
static bool stop_host(struct promise *promise)
{
	const size_t unanswered = host_count_log(promise->host, "farewell_unanswered");
	const size_t whole = host_count_log(promise->host, "stopped", "left_to_the_broker", "0");
	host_stop(promise->host);
	(void)host_expect_log(promise->host, "stopped");
	return host_count_log(promise->host, "stopped", "left_to_the_broker", "0") > whole &&
	       host_count_log(promise->host, "farewell_unanswered") == unanswered &&
	       database_count(promise->harness, promise->database, "parked_commands", "{\"done\":null}") == 0;
}

void promise_stop_host(struct promise *promise)
{
	int stops = 1;
	for (; !stop_host(promise); stops++) {
		if (stops == STOPS_MAX)
			harness_fail(
				"stopped %d times, the host has always left something to the broker", stops);
		promise_start_host(promise, NULL);
		promise_settle(promise, "a stop that has left something to the broker");
	}
	/* What was stopped has forgotten what it knew, as what was killed has. */
	const size_t killed = promise->kills + host_count_log(promise->host, "host_died");
	const bool without_kill =
		stops == 1 && killed == promise->killed_before && !ledger_was_broker_killed(promise->ledger);
	promise->killed_before = killed;
	ledger_check_order(promise->ledger,
		harness_format(promise->harness, "%s/appended", host_folder(promise->host)), without_kill);
	ledger_check_store(promise->ledger, promise->database);
	broker_save(promise->broker);
}

void promise_kill_host(struct promise *promise)
{
	host_kill(promise->host);
	promise->kills++;
}

struct successor {
	struct host *host;
	pid_t before;
};

static bool has_successor(void *context)
{
	const struct successor *successor = context;
	const pid_t pid = host_child_pid(successor->host);
	return pid != 0 && pid != successor->before;
}

void promise_kill_child(struct promise *promise)
{
	struct successor successor = {.host = promise->host, .before = host_child_pid(promise->host)};
	host_signal_child(promise->host, SIGKILL);
	harness_wait(promise->harness, has_successor, &successor, "the supervisor to start another host");
	promise->kills++;
	promise->deaths++;
}

const struct promise_place promise_places[PROMISE_PLACES] = {
	{"command_read", 20, 400},
	{"before_handler", 20, 400},
	{"inside_handler", 10, 100},
	{"after_effect", 20, 400},
	{"before_event", 20, 400},
	{"event_acknowledged", 20, 400},
	{"before_acknowledgement", 1, 8},
	{"after_acknowledgement", 1, 10},
};

const char *promise_choose_failpoint(struct promise *promise, const struct promise_place *place)
{
	return harness_format(promise->harness, "%s:%u", place->name,
		place->least + dice_roll(&promise->dice, place->most - place->least + 1));
}

void promise_wait_death(struct promise *promise, const char *failpoint)
{
	const char *how =
		json_string_value(json_object_get(host_expect_log(promise->host, "host_died"), "how"));
	if (!how || strcmp(how, "SIGKILL") != 0)
		harness_fail("at the failpoint %s the host ended with %s", failpoint, how ? how : "");
	promise->kills++;
	promise->deaths++;
	promise_check(promise);
}

struct promise_holdings promise_hold(struct promise *promise)
{
	const pid_t supervisor = host_pid(promise->host);
	return (struct promise_holdings){.host = {.rss_kib = host_rss_kib(promise->host),
						 .descriptors = host_descriptors(promise->host)},
		.supervisor = {.rss_kib = process_rss_kib(supervisor),
			.descriptors = process_descriptors(supervisor)}};
}

static void check_process(
	const char *who, const char *what, size_t before, size_t after, size_t allowed, const char *fault)
{
	print_message(
		"promise: before %s %s held %zu %s, and %zu after it\n", fault, who, before, what, after);
	if (after > before + allowed)
		harness_fail("%s holds %zu %s, where before %s it held %zu", who, after, what, fault, before);
}

void promise_check_growth(struct promise *promise, const char *fault, const struct promise_holdings *before)
{
	const struct promise_holdings after = promise_hold(promise);
	const size_t workers = promise->workers ? promise->workers : WORKERS;
	check_process("the host", "KiB", before->host.rss_kib, after.host.rss_kib, RSS_SLACK_KIB, fault);
	check_process("the host", "descriptors", before->host.descriptors, after.host.descriptors,
		workers + DESCRIPTORS_SLACK, fault);
	check_process("the supervisor", "KiB", before->supervisor.rss_kib, after.supervisor.rss_kib,
		RSS_SLACK_KIB, fault);
	check_process("the supervisor", "descriptors", before->supervisor.descriptors,
		after.supervisor.descriptors, DESCRIPTORS_SLACK, fault);
}

/* ---- The log ---- */

/* What faults make the host say; nothing else may be a warning or an error. */
static bool expected_record(const char *event, bool supervisor_killed, const char *const *more)
{
	static const char *const expected[] = {"store_away", "not_ready", "broker_lost", "broker_unreachable",
		"lane_dropped", "command_parked", "store_write_failed", "command_retry", "deadline_missed",
		"farewell_unanswered", "host_died", "host_delayed", "parked_unknown", "index_not_made"};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (strcmp(event, expected[i]) == 0)
			return true;
	/* Who is active stands in the store, in the supervisor's name: the next supervisor waits for the end of that lease. */
	if (supervisor_killed && strcmp(event, "standby") == 0)
		return true;
	while (*more)
		if (strcmp(event, *more++) == 0)
			return true;
	return false;
}

static json_int_t number(const json_t *record, const char *field)
{
	return json_integer_value(json_object_get(record, field));
}

void promise_check_log(struct promise *promise, const char *const *more)
{
	FILE *file =
		fopen(harness_format(promise->harness, "%s/cashewd.log", host_folder(promise->host)), "re");
	json_t *counts = json_object();
	char line[4096], unexpected[500] = "";
	if (!file || fseek(file, promise->log_end, SEEK_SET) != 0)
		harness_fail("cashewd's log cannot be read");
	while (fgets(line, sizeof(line), file)) {
		json_t *record = json_loads(line, 0, NULL);
		const char *level = json_string_value(json_object_get(record, "level")),
			   *event = json_string_value(json_object_get(record, "event"));
		if ((!level || !event) && !strstr(line, DRIVER_AT_LOAD))
			snprintf(unexpected, sizeof(unexpected), "%.400s", line);
		else if (level && event && strcmp(level, "info") != 0) {
			const json_t *count = json_object_get(counts, event);
			json_object_set_new(counts, event, json_integer(json_integer_value(count) + 1));
			if (!expected_record(event, promise->kills > promise->deaths, more))
				snprintf(unexpected, sizeof(unexpected), "%.400s", line);
		}
		if (event && strcmp(event, "stopped") == 0)
			promise->ended += (size_t)(number(record, "done") + number(record, "rejected") +
						   number(record, "dead"));
		json_decref(record);
	}
	promise->log_end = ftell(file);
	fclose(file);
	char *text = json_dumps(counts, 0);
	print_message("promise: warnings and errors of cashewd: %s\n", text ? text : "");
	free(text);
	json_decref(counts);
	if (unexpected[0] != '\0')
		harness_fail("cashewd was not to write: %s", unexpected);
}

/* ---- Setting up ---- */

void promise_set_up(struct promise *promise, unsigned rate_per_s)
{
	/* The shortest keepalive, so that a stopped database outlasts it. */
	host_set(promise->host, "KEEPALIVE", "10");
	host_set(promise->host, "HANDLER_TIMEOUT", "2");
	host_set(promise->host, "LOG_LEVEL", "info");
	if (promise->workers != 0)
		host_set(promise->host, "WORKERS", harness_format(promise->harness, "%u", promise->workers));
	promise->load_dice.state = 1 + dice_roll(&promise->dice, 1u << 30);
	host_may_die(promise->host);
	promise->ledger = ledger_new(promise->harness);
	promise->load = load_new(promise->harness, promise->ledger, &promise->load_dice, rate_per_s);
	promise_wait_for_phones(promise);
	promise_start_host(promise, NULL);
	host_wait_ready(promise->host);
	promise_stop_host(promise);
}
