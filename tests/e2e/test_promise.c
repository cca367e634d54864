/*
 * test_promise.c - the promise, end to end: whatever is killed, each command that the broker has taken has
 * its effect once and its event at least once, and no command of a user overtakes another.
 *
 * Forty phones send a few hundred commands a second, over TLS. A round makes each of the faults below, one
 * after the other. After each the phones fall silent, every command must come to its end, the host is stopped
 * gently, so that nothing of one stage comes again in the next, and the store must hold what the commands
 * leave, and nothing else (promise_ledger.h). Where others are killed, the host lives on, and its memory and
 * descriptors must come back to where they were.
 *
 * A seed decides when and where: PROMISE_SEED=N in the environment repeats it, but for the machine's timing.
 * PROMISE_ROUNDS in the environment is stronger than what it was built with.
 */
#include "harness.h"
#include "promise_load.h"
#include <signal.h>
#include <string.h>
#include <sys/random.h>

enum {
	RATE_PER_S = 250, /* mosquitto writes and syncs its whole database after each packet of the host */
	SETTLE_MS = 120000,
	PAUSE_MS = 12000, /* longer than KEEPALIVE */
	KILLED = 128 + SIGKILL,
	DESCRIPTORS_GROWTH = 10, /* connections of workers that were not needed before */
};

/* What the MongoDB driver writes before main() has begun, when a process with the same number was killed
 * once. */
#define DRIVER_AT_LOAD "mongoc: Falling back to malloc for counters"

struct promise {
	struct harness *harness;
	struct database *database;
	struct broker *broker;
	struct host *host;
	struct ledger *ledger;
	struct load *load;
	struct dice dice;
	struct harness_part part;
	uint64_t seed;
	unsigned round, rounds;
	size_t kills;
	long log_end; /* what was read of the log */
};

/* ---- Waiting ---- */

static bool violated(const struct promise *promise)
{
	return promise->ledger->violation[0] != '\0';
}

static void check_violation(const struct promise *promise)
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

static void wait_for_phones(struct promise *promise)
{
	harness_wait(promise->harness, all_ready, promise, "all phones to connect");
	check_violation(promise);
}

/* Lets the load run on for a while of a length that the dice decide. */
static void run_on(struct promise *promise, unsigned least_ms, unsigned most_ms)
{
	harness_watch(promise->harness, (int)(least_ms + dice_roll(&promise->dice, most_ms - least_ms + 1)));
	check_violation(promise);
}

/* Every command comes to its end. What comes again is in front of the ping, so the host has read it as well.
 */
static void settle(struct promise *promise, const char *after)
{
	load_run(promise->load, false);
	harness_wait_at(__FILE__, __LINE__, promise->harness, settled, promise, SETTLE_MS,
		"all commands to come to their end after %s", after);
	check_violation(promise);
	load_ping(promise->load);
	harness_wait(promise->harness, settled, promise, "a ping to be answered after %s", after);
	check_violation(promise);
}

/* ---- The host ---- */

static void start_host(struct promise *promise, const char *failpoint)
{
	host_set_environment(promise->host, "FAILPOINT", failpoint);
	host_start(promise->host);
}

/*
 * Ends what the host has read, so that nothing comes again later, and the ledger must add up. A broker that
 * was too slow to read the last acknowledgements sends their commands again: another host takes them then.
 */
static void stop_host(struct promise *promise)
{
	for (size_t unanswered = SIZE_MAX; unanswered != 0;) {
		if (unanswered != SIZE_MAX) {
			start_host(promise, NULL);
			settle(promise, "a stop that the broker has not confirmed");
		}
		unanswered = host_count_log(promise->host, "farewell_unanswered");
		host_stop(promise->host);
		host_expect_log(promise->host, "stopped", "dead", "0", "left_to_the_broker", "0");
		unanswered = host_count_log(promise->host, "farewell_unanswered") - unanswered;
	}
	ledger_check_store(promise->ledger, promise->database);
}

static void kill_host(struct promise *promise)
{
	host_kill(promise->host);
	promise->kills++;
}

/* ---- The faults ---- */

/* To look at one of them: PROMISE_FAULT, a part of its name, in the environment. */
static bool chosen(const char *fault)
{
	const char *part = getenv("PROMISE_FAULT");
	return part == NULL || strstr(fault, part) != NULL;
}

struct place {
	const char *name;
	unsigned least, most; /* which time to die at */
};

/* Commands pass some hundred times a second, groups a few times. */
static const struct place places[] = {
	{"command_read", 20, 400},
	{"before_handler", 20, 400},
	{"inside_handler", 10, 100},
	{"after_effect", 20, 400},
	{"before_event", 20, 400},
	{"event_acknowledged", 20, 400},
	{"before_acknowledgement", 1, 8},
	{"after_acknowledgement", 1, 10},
};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

static const char *choose_failpoint(struct promise *promise, const struct place *place)
{
	return harness_format(promise->harness, "%s:%u", place->name,
		place->least + dice_roll(&promise->dice, place->most - place->least + 1));
}

static void wait_death(struct promise *promise, const char *failpoint)
{
	const int code = host_wait_exit(promise->host);
	if (code != KILLED)
		harness_fail("at the failpoint %s cashewd exited with %d", failpoint, code);
	promise->kills++;
	check_violation(promise);
}

/* Dies there, now and then again while the commands come again, and then is left alone. */
static void die_at(struct promise *promise, const struct place *place)
{
	if (!chosen(place->name))
		return;
	const char *failpoint = choose_failpoint(promise, place);
	load_run(promise->load, true);
	start_host(promise, failpoint);
	wait_death(promise, failpoint);
	while (dice_roll(&promise->dice, 3) == 0) {
		failpoint = choose_failpoint(promise, &places[dice_roll(&promise->dice, PLACES)]);
		start_host(promise, failpoint);
		wait_death(promise, failpoint);
	}
	start_host(promise, NULL);
	run_on(promise, 100, 500);
	settle(promise, failpoint);
	stop_host(promise);
}

static void die_from_outside(struct promise *promise)
{
	if (!chosen("kill -9 of cashewd"))
		return;
	load_run(promise->load, true);
	start_host(promise, NULL);
	for (int i = 0; i < 4; i++) {
		run_on(promise, 50, 1200);
		kill_host(promise);
		start_host(promise, NULL);
	}
	run_on(promise, 100, 500);
	settle(promise, "kill -9 of cashewd");
	stop_host(promise);
}

static void kill_database(struct promise *promise)
{
	database_kill(promise->database);
	run_on(promise, 0, 4000); /* the driver itself waits for 3 s */
	database_start(promise->database);
}

static void pause_database(struct promise *promise)
{
	database_pause(promise->database);
	harness_watch(promise->harness, PAUSE_MS);
	database_resume(promise->database);
}

static void kill_broker(struct promise *promise)
{
	broker_kill(promise->broker);
	ledger_broker_killed(promise->ledger);
	run_on(promise, 0, 500);
	broker_start(promise->broker);
	wait_for_phones(promise);
}

static const struct {
	const char *name;
	void (*make)(struct promise *promise);
} faults_of_others[] = {
	{"kill -9 of the database", kill_database},
	{"a stopped database", pause_database},
	{"kill -9 of the broker", kill_broker},
};

enum { FAULTS_OF_OTHERS = sizeof(faults_of_others) / sizeof(faults_of_others[0]) };

static void shuffle(struct dice *dice, unsigned *order, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		order[i] = i;
	for (unsigned i = count; i > 1; i--) {
		const unsigned other = dice_roll(dice, i), last = order[i - 1];
		order[i - 1] = order[other];
		order[other] = last;
	}
}

static void check_growth(const struct promise *promise, const char *fault, size_t rss, size_t descriptors)
{
	const size_t rss_after = host_rss_kib(promise->host),
		     descriptors_after = host_descriptors(promise->host);
	print_message(
		"promise: before %s cashewd held %zu KiB and %zu descriptors, and %zu and %zu after it\n",
		fault, rss, descriptors, rss_after, descriptors_after);
	if (rss_after > rss + MEMORY_SLACK_KIB)
		harness_fail("cashewd's memory has grown from %zu KiB to %zu", rss, rss_after);
	if (descriptors_after > descriptors + DESCRIPTORS_GROWTH)
		harness_fail(
			"cashewd's descriptors have grown from %zu to %zu", descriptors, descriptors_after);
}

/* The host lives on, and afterwards holds what it held before. */
static void survive(struct promise *promise, const char *fault, void (*make)(struct promise *promise))
{
	if (!chosen(fault))
		return;
	load_run(promise->load, true);
	start_host(promise, NULL);
	run_on(promise, 1000, 1500);
	settle(promise, "a quiet start");
	const size_t rss = host_rss_kib(promise->host), descriptors = host_descriptors(promise->host);
	load_run(promise->load, true);
	run_on(promise, 500, 1500);
	make(promise);
	run_on(promise, 500, 1500);
	settle(promise, fault);
	check_growth(promise, fault, rss, descriptors);
	stop_host(promise);
}

/* ---- The log ---- */

/* What faults make the host say; nothing else may be a warning or an error. */
static bool expected_record(const char *event)
{
	static const char *const expected[] = {"store_away", "not_ready", "broker_lost", "broker_unreachable",
		"lane_dropped", "retries_spent", "command_retry", "deadline_missed", "farewell_unanswered"};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (strcmp(event, expected[i]) == 0)
			return true;
	return false;
}

/* Reads what the host has written since, and counts warnings and errors by their names. */
static void check_log(struct promise *promise)
{
	FILE *file =
		fopen(harness_format(promise->harness, "%s/cashewd.log", host_folder(promise->host)), "re");
	json_t *counts = json_object();
	char line[4096], unexpected[500] = "";
	if (file == NULL || fseek(file, promise->log_end, SEEK_SET) != 0)
		harness_fail("cashewd's log cannot be read");
	while (fgets(line, sizeof(line), file) != NULL) {
		json_t *record = json_loads(line, 0, NULL);
		const char *level = json_string_value(json_object_get(record, "level")),
			   *event = json_string_value(json_object_get(record, "event"));
		if ((level == NULL || event == NULL) && strstr(line, DRIVER_AT_LOAD) == NULL)
			snprintf(unexpected, sizeof(unexpected), "%.400s", line);
		else if (level != NULL && event != NULL && strcmp(level, "info") != 0) {
			const json_t *count = json_object_get(counts, event);
			json_object_set_new(counts, event, json_integer(json_integer_value(count) + 1));
			if (!expected_record(event))
				snprintf(unexpected, sizeof(unexpected), "%.400s", line);
		}
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

/* ---- The rounds ---- */

static void print_figures(const struct promise *promise)
{
	const struct ledger_figures *figures = &promise->ledger->figures;
	print_message("promise: round %u of %u has passed; so far %zu commands (%zu of them refused input), "
		      "%zu events, %zu of them duplicates, %zu kills of cashewd, %zu commands repeated after "
		      "a kill of the broker\n",
		promise->round, promise->rounds, figures->commands, figures->by_kind[LEDGER_REFUSED],
		figures->events, figures->duplicates, promise->kills, figures->repeats);
}

static void run_round(struct promise *promise)
{
	unsigned order[PLACES], others[FAULTS_OF_OTHERS];
	shuffle(&promise->dice, order, PLACES);
	for (unsigned i = 0; i < PLACES; i++)
		die_at(promise, &places[order[i]]);
	die_from_outside(promise);
	shuffle(&promise->dice, others, FAULTS_OF_OTHERS);
	for (unsigned i = 0; i < FAULTS_OF_OTHERS; i++)
		survive(promise, faults_of_others[others[i]].name, faults_of_others[others[i]].make);
	check_log(promise);
	print_figures(promise);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	if (text == NULL || text[0] == '\0')
		return otherwise;
	char *end;
	const uint64_t number = strtoull(text, &end, 10);
	if (*end != '\0' || number == 0)
		harness_fail("%s=%s: expected a number from 1", name, text);
	return number;
}

static uint64_t choose_seed(void)
{
	uint32_t random;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		harness_fail("no random seed");
	return number_from_environment("PROMISE_SEED", random % 1000000 + 1);
}

static size_t no_polls(void *self, struct pollfd *polls, size_t room)
{
	(void)self;
	(void)polls;
	(void)room;
	return 0;
}

static void no_serving(void *self, const struct pollfd *polls, size_t count)
{
	(void)self;
	(void)polls;
	(void)count;
}

static void tell_failure(void *self)
{
	const struct promise *promise = self;
	if (harness_passed(promise->harness))
		return;
	print_error("promise: failed in round %u; PROMISE_SEED=%llu repeats it\n", promise->round,
		(unsigned long long)promise->seed);
	if (promise->ledger != NULL)
		ledger_print_open(promise->ledger);
}

HARNESS_CASE(the_promise_is_kept)
{
	static struct promise promise; /* the part is freed after the case */
	promise = (struct promise){.harness = h,
		.seed = choose_seed(),
		.rounds = (unsigned)number_from_environment("PROMISE_ROUNDS", PROMISE_ROUNDS),
		.part = {.self = &promise, .prepare = no_polls, .serve = no_serving, .free = tell_failure}};
	promise.dice.state = promise.seed;
	print_message(
		"promise: PROMISE_SEED=%llu, %u rounds\n", (unsigned long long)promise.seed, promise.rounds);
	promise.database = harness_own_database(h);
	promise.broker = harness_broker(h);
	promise.host = host_new(h, HOST_PRODUCT);
	host_set_program(promise.host, CASHEWD_FAILPOINTS_PATH);
	/* The shortest keepalive, so that a stopped database outlasts it. */
	host_set(promise.host, "KEEPALIVE", "10");
	host_set(promise.host, "HANDLER_TIMEOUT", "2");
	host_set(promise.host, "LOG_LEVEL", "info");
	promise.ledger = ledger_new(h);
	promise.load = load_new(h, promise.ledger, &promise.dice, RATE_PER_S);
	harness_add(h, &promise.part);
	wait_for_phones(&promise);
	/* Its session is there before the first command: the broker would keep none for it. */
	start_host(&promise, NULL);
	host_wait_ready(promise.host);
	stop_host(&promise);
	for (promise.round = 1; promise.round <= promise.rounds; promise.round++)
		run_round(&promise);
}

HARNESS_MAIN(HARNESS_TEST(the_promise_is_kept))
