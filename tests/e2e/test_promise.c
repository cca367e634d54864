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
#include "promise_run.h"
#include <string.h>
#include <sys/random.h>

enum {
	RATE_PER_S = 250, /* mosquitto writes and syncs its whole database after each packet of the host */
	PAUSE_MS = 12000, /* longer than KEEPALIVE */
};

struct test {
	struct promise promise;
	struct harness_part part;
	uint64_t seed;
	unsigned round, rounds;
};

/* ---- The faults ---- */

/* To look at one of them: PROMISE_FAULT, a part of its name, in the environment. */
static bool chosen(const char *fault)
{
	const char *part = getenv("PROMISE_FAULT");
	return !part || strstr(fault, part);
}

/* Dies there, now and then again while the commands come again, and then is left alone. */
static void die_at(struct promise *promise, const struct promise_place *place)
{
	if (!chosen(place->name))
		return;
	const char *failpoint = promise_choose_failpoint(promise, place);
	load_run(promise->load, true);
	promise_start_host(promise, failpoint);
	promise_wait_death(promise, failpoint);
	while (dice_roll(&promise->dice, 3) == 0) {
		failpoint = promise_choose_failpoint(
			promise, &promise_places[dice_roll(&promise->dice, PROMISE_PLACES)]);
		promise_start_host(promise, failpoint);
		promise_wait_death(promise, failpoint);
	}
	promise_start_host(promise, NULL);
	promise_run_on(promise, 100, 500);
	promise_settle(promise, failpoint);
	promise_stop_host(promise);
}

static void die_from_outside(struct promise *promise)
{
	if (!chosen("kill -9 of cashewd"))
		return;
	load_run(promise->load, true);
	promise_start_host(promise, NULL);
	for (int i = 0; i < 4; i++) {
		promise_run_on(promise, 50, 1200);
		promise_kill_host(promise);
		promise_start_host(promise, NULL);
	}
	promise_run_on(promise, 100, 500);
	promise_settle(promise, "kill -9 of cashewd");
	promise_stop_host(promise);
}

static void kill_database(struct promise *promise)
{
	database_kill(promise->database);
	promise_run_on(promise, 0, 4000); /* the driver itself waits for 3 s */
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
	promise_run_on(promise, 0, 500);
	broker_start(promise->broker);
	promise_wait_for_phones(promise);
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

/* The host lives on, and afterwards holds what it held before. */
static void survive(struct promise *promise, const char *fault, void (*make)(struct promise *promise))
{
	if (!chosen(fault))
		return;
	load_run(promise->load, true);
	promise_start_host(promise, NULL);
	promise_run_on(promise, 1000, 1500);
	promise_settle(promise, "a quiet start");
	const struct promise_holdings before = promise_hold(promise);
	load_run(promise->load, true);
	promise_run_on(promise, 500, 1500);
	make(promise);
	promise_run_on(promise, 500, 1500);
	promise_settle(promise, fault);
	promise_check_growth(promise, fault, &before);
	promise_stop_host(promise);
}

/* ---- The rounds ---- */

static void print_figures(const struct test *test)
{
	const struct ledger_figures *figures = &test->promise.ledger->figures;
	print_message("promise: round %u of %u has passed; so far %zu commands (%zu of them refused input), "
		      "%zu events, %zu of them duplicates, %zu kills of cashewd, %zu commands repeated after "
		      "a kill of the broker\n",
		test->round, test->rounds, figures->commands, figures->by_kind[LEDGER_REFUSED],
		figures->events, figures->duplicates, test->promise.kills, figures->repeats);
}

static void run_round(struct test *test)
{
	static const char *const none[] = {NULL};
	struct promise *promise = &test->promise;
	unsigned order[PROMISE_PLACES], others[FAULTS_OF_OTHERS];
	shuffle(&promise->dice, order, PROMISE_PLACES);
	for (unsigned i = 0; i < PROMISE_PLACES; i++)
		die_at(promise, &promise_places[order[i]]);
	die_from_outside(promise);
	shuffle(&promise->dice, others, FAULTS_OF_OTHERS);
	for (unsigned i = 0; i < FAULTS_OF_OTHERS; i++)
		survive(promise, faults_of_others[others[i]].name, faults_of_others[others[i]].make);
	promise_check_log(promise, none);
	print_figures(test);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	if (!text || text[0] == '\0')
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

static void tell_failure(void *self)
{
	const struct test *test = self;
	if (harness_passed(test->promise.harness))
		return;
	print_error("promise: failed in round %u; PROMISE_SEED=%llu repeats it\n", test->round,
		(unsigned long long)test->seed);
	if (test->promise.ledger)
		ledger_print_open(test->promise.ledger);
}

HARNESS_CASE(the_promise_is_kept)
{
	static struct test test; /* the part is freed after the case */
	test = (struct test){.promise = {.harness = h},
		.seed = choose_seed(),
		.rounds = (unsigned)number_from_environment("PROMISE_ROUNDS", PROMISE_ROUNDS),
		.part = {.self = &test, .free = tell_failure}};
	struct promise *promise = &test.promise;
	promise->dice.state = test.seed;
	print_message("promise: PROMISE_SEED=%llu, %u rounds\n", (unsigned long long)test.seed, test.rounds);
	promise->database = harness_own_database(h);
	promise->broker = harness_broker(h);
	promise->host = host_new(h, HOST_PRODUCT);
	host_set_program(promise->host, CASHEWD_FAILPOINTS_PATH);
	promise_set_up(promise, RATE_PER_S);
	harness_add(h, &test.part);
	for (test.round = 1; test.round <= test.rounds; test.round++)
		run_round(&test);
}

HARNESS_MAIN(HARNESS_TEST(the_promise_is_kept))
