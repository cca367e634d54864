/*
 * round.c - one round of tests/fault/run: phones send commands through a host, a seed decides what is done to
 * it, its broker, its database and the network between them, and at the end everything must be accounted for.
 *
 * A round has a broker, a database and a host of its own. First a quiet stage, whose end tells what the host
 * holds when nothing is wrong; then one fault, and often a second one inside of it or after it; then silence:
 * every command must come to its end (promise_ledger.h), the host must hold what it held before, and is
 * stopped. Then the store must hold what the commands leave and nothing else, the broker must have nothing
 * in flight to the host, and the host's log must hold no warning that the faults do not explain.
 *
 * The fault is the table's entry number `seed`, modulo its length: so neighbouring seeds cover all of it. The
 * dice decide the rest. The last line says what was done; a failed round prints the logs, keeps its folder
 * and exits with 1. history.txt in the folder of the case holds everything that was sent, that came and that
 * was done, with times.
 */
#include "disk.h"
#include "fault.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	RATE_PER_S = 250,  /* the broker writes and syncs its whole database after each packet of the host */
	WORKERS = 8,	   /* what cashewd has by default */
	MANY_WORKERS = 24, /* with a connection each they take more than FEW_DESCRIPTORS */
	DISK_MIB = 32,	   /* an empty database takes 11 */
	ROUND_SECONDS = 1200, /* a round that hangs is killed */
	FAULTS_MAX = 64,
	NAMES_SIZE = 200,
};

static uint64_t seed = 1;
static const struct fault *chosen[FAULTS_MAX];
static size_t chosen_count;

/* ---- The round ---- */

/* Neighbouring seeds begin far from each other (splitmix64: Steele, Lea, Flood); xorshift wants no 0. */
static uint64_t scatter(uint64_t number)
{
	number += UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
	number ^= number >> 31;
	return number != 0 ? number : 1;
}

/* Half of the rounds have one, of another target, and one that comes to its end by itself. */
static const struct fault *choose_second(struct dice *dice, const struct fault *first)
{
	if (dice_roll(dice, 2) == 0)
		return NULL;
	for (unsigned tries = 0; tries < FAULTS_MAX; tries++) {
		const struct fault *second = chosen[dice_roll(dice, (unsigned)chosen_count)];
		if (second->target != first->target && !second->outer && !second->slow)
			return second;
	}
	return NULL;
}

struct plan {
	const struct fault *first, *second; /* NULL: none */
};

static struct plan make_plan(struct dice *dice)
{
	struct plan plan = {.first = chosen[seed % chosen_count]};
	plan.second = choose_second(dice, plan.first);
	print_message("fault: seed %llu: %s%s%s\n", (unsigned long long)seed, plan.first->name,
		plan.second ? ", " : "", plan.second ? plan.second->name : "");
	return plan;
}

/* A server that stands in for mongod makes files at a collection's first document; one that meets a full disk
 * then cannot be used afterwards, and nothing that is not acknowledged could ever be. */
static void make_collections(struct promise *promise)
{
	static const char *const names[] = {"apples", "contacts", "contact_requests", "counters",
		"dead_letters", "hosts", "parked_commands", "purses", "space"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		database_command(promise->harness, promise->database,
			harness_format(promise->harness,
				"{\"insert\":\"%s\",\"documents\":[{\"_id\":\"first\"}]}", names[i]));
		database_command(promise->harness, promise->database,
			harness_format(promise->harness,
				"{\"delete\":\"%s\",\"deletes\":[{\"q\":{\"_id\":\"first\"},\"limit\":1}]}",
				names[i]));
	}
}

static void set_up(struct round *round, unsigned needs)
{
	/* What it sends and gets, and when it starts: the example's configuration leaves both out. */
	static const struct broker_options options = {.extra = "log_type debug\nlog_type information\n"};
	struct promise *promise = &round->promise;
	struct harness *h = promise->harness;
	promise->database = harness_own_database_stopped(h);
	if ((needs & FAULT_NEEDS_SMALL_DISK) != 0) {
		round->disk = harness_format(h, "%s/data", database_folder(promise->database));
		const int error = mkdir(round->disk, 0700) == 0 ? disk_mount(round->disk, DISK_MIB) : -errno;
		if (error != 0)
			harness_fail("no small disk at %s: %s", round->disk, strerror(-error));
	}
	database_start(promise->database);
	if (round->disk)
		make_collections(promise);
	promise->broker = harness_broker_with(h, &options);
	if (!broker_log_open(&round->broker_log, broker_log(promise->broker), "cashewd"))
		harness_fail("the broker's log cannot be read");
	promise->host = host_new(h, HOST_PRODUCT);
	host_set_program(promise->host, CASHEWD_FAILPOINTS_PATH);
	if ((needs & FAULT_NEEDS_BROKER_RELAY) != 0) {
		round->broker_relay = relay_new(h, broker_port(promise->broker));
		host_set(promise->host, "BROKER_PORT",
			harness_format(h, "%u", relay_port(round->broker_relay)));
	}
	unsigned port = (unsigned)strtoul(strrchr(database_url(promise->database), ':') + 1, NULL, 10);
	if ((needs & FAULT_NEEDS_DATABASE_RELAY) != 0) {
		round->database_relay = relay_new(h, port);
		port = relay_port(round->database_relay);
	}
	host_set(promise->host, "MONGO_DB_URL",
		harness_format(h, "mongodb://127.0.0.1:%u/?connectTimeoutMS=1000", port));
	if ((needs & FAULT_NEEDS_MANY_WORKERS) != 0)
		promise->workers = MANY_WORKERS;
	promise_set_up(promise, RATE_PER_S);
}

/* What the host holds after some load, when nothing is wrong. */
static struct promise_holdings quiet_stage(struct round *round)
{
	struct promise *promise = &round->promise;
	load_run(promise->load, true);
	promise_start_host(promise, NULL);
	promise_run_on(promise, 700, 1200);
	promise_settle(promise, "a quiet start");
	const struct promise_holdings holdings = promise_hold(promise);
	promise_stop_host(promise);
	return holdings;
}

static void begin(struct round *round, struct fault_run *run)
{
	ledger_note(round->promise.ledger, "begin %s", run->fault->name);
	run->began_ms = harness_now_ms();
	run->fault->begin(round, run);
	promise_check(&round->promise);
}

static void end(struct round *round, struct fault_run *run)
{
	ledger_note(round->promise.ledger, "end %s", run->fault->name);
	run->fault->end(round, run);
	ledger_note(round->promise.ledger, "ended %s", run->fault->name);
	promise_check(&round->promise);
}

static void break_things(struct round *round, const struct fault *first, const struct fault *second)
{
	struct promise *promise = &round->promise;
	struct fault_run outer = {.fault = first}, inner = {.fault = second};
	const bool inside = second && !first->outer && !(first->stills && second->awaits);
	promise_run_on(promise, 200, 1000);
	begin(round, &outer);
	promise_run_on(promise, 50, 800);
	if (inside) {
		begin(round, &inner);
		promise_run_on(promise, 50, 800);
		end(round, &inner);
		promise_run_on(promise, 50, 800);
	}
	end(round, &outer);
	if (second && !inside) {
		promise_run_on(promise, 50, 800);
		begin(round, &inner);
		promise_run_on(promise, 50, 800);
		end(round, &inner);
	}
	promise_run_on(promise, 200, 800);
	ledger_note(promise->ledger, "whole again");
}

/* Commands that a broker which was killed has forgotten, though it had sent them to the host, need not be
 * acknowledged to it. */
static size_t count_forgotten_at_most(const struct ledger *ledger)
{
	size_t count = 0;
	for (size_t user = 0; user < LEDGER_USERS; user++)
		for (size_t i = 0; i < ledger->users[user].count; i++)
			count += ledger->users[user].commands[i]->broker_killed;
	return count;
}

/* After the host has stopped: nothing is on its way to it, and it has acknowledged each command. */
static void check_broker(struct round *round, bool forgets)
{
	struct broker_log *log = &round->broker_log;
	const struct ledger *ledger = round->promise.ledger;
	broker_log_read(log);
	if (log->in_flight != 0)
		harness_fail(
			"the broker has %zu commands in flight to the host that has stopped", log->in_flight);
	if (!forgets && log->acknowledged + count_forgotten_at_most(ledger) < ledger->figures.commands)
		harness_fail("the host has acknowledged %zu commands of %zu", log->acknowledged,
			ledger->figures.commands);
}

static void check_log(struct round *round, const struct fault *first, const struct fault *second)
{
	const char *more[16] = {NULL};
	size_t count = 0;
	const struct fault *const made[] = {first, second};
	for (size_t i = 0; i < 2; i++)
		for (const char *const *event = made[i] ? made[i]->log : NULL; event && *event && count < 15;
			event++)
			more[count++] = *event;
	promise_check_log(&round->promise, more);
}

/* Commands that are finished in the store, and may be in no account: the host could not learn whether they
 * are, or was killed before it counted them. It runs as many from the store at once as half its workers. */
static size_t count_untold_at_most(const struct promise *promise, size_t died)
{
	const size_t runs = host_count_log(promise->host, "parked_command_run");
	const size_t workers = promise->workers != 0 ? promise->workers : WORKERS;
	const size_t killed = died * workers / 2;
	return host_count_log(promise->host, "store_write_failed") + (runs < killed ? runs : killed);
}

/* By the log: each death of the host was ours, and each command came to an end. A supervisor that was killed
 * has not told its account. */
static void check_account(
	struct round *round, const struct fault *first, const struct fault *second, bool forgets)
{
	struct promise *promise = &round->promise;
	const size_t died = host_count_log(promise->host, "host_died");
	if (!first->crashes && (!second || !second->crashes) && died != promise->deaths)
		harness_fail("the host has died %zu times, and was killed %zu times", died, promise->deaths);
	if (!forgets && promise->kills == promise->deaths &&
		promise->ended + count_untold_at_most(promise, died) < promise->ledger->figures.commands)
		harness_fail("the log accounts for %zu commands of %zu", promise->ended,
			promise->ledger->figures.commands);
}

static void tell_failure(void *self)
{
	struct round *round = self;
	broker_log_close(&round->broker_log);
	if (harness_passed(round->promise.harness))
		return;
	if (round->promise.ledger)
		ledger_print_open(round->promise.ledger);
}

HARNESS_CASE(a_round)
{
	static struct round round; /* the part is freed after the case */
	static struct harness_part part;
	round = (struct round){.promise = {.harness = h, .dice.state = scatter(seed)}};
	part = (struct harness_part){.self = &round, .free = tell_failure};
	struct promise *promise = &round.promise;
	const int64_t began_ms = harness_now_ms();
	const struct plan made = make_plan(&promise->dice);
	const struct fault *first = made.first, *second = made.second;
	set_up(&round, first->needs | (second ? second->needs : 0));
	/* Before the ledger goes. */
	harness_add(h, &part);
	const struct promise_holdings holdings = quiet_stage(&round);
	load_run(promise->load, true);
	promise_start_host(promise, NULL);
	break_things(&round, first, second);
	promise_settle(promise, "the faults");
	promise_check_growth(promise, "the faults", &holdings);
	promise_stop_host(promise);
	const bool forgets = first->forgets || (second && second->forgets);
	check_broker(&round, forgets);
	check_log(&round, first, second);
	check_account(&round, first, second, forgets);
	const struct ledger_figures *figures = &promise->ledger->figures;
	print_message("fault: held: %zu commands, %zu of them refused, %zu events, %zu of them duplicates, "
		      "%zu kills of cashewd, %zu dead letters, %zu repeated by their sender, %.1f s\n",
		figures->commands, figures->by_kind[LEDGER_REFUSED], figures->events, figures->duplicates,
		promise->kills, figures->dead, figures->repeats,
		(double)(harness_now_ms() - began_ms) / 1000);
}

/* ---- The program ---- */

static void usage(FILE *out)
{
	fputs("Usage: fault [--seed N] [--faults NAME,... | --except NAME,...] [--list | --plan]\n", out);
}

__attribute__((noreturn)) static void wrong(const char *what, const char *value)
{
	fprintf(stderr, "fault: %s: %s\n", value, what);
	usage(stderr);
	exit(64);
}

static void choose(const char *names)
{
	chosen_count = 0;
	for (const char *name = names; *name != '\0' && chosen_count < FAULTS_MAX;) {
		const size_t size = strcspn(name, ",");
		if (!(chosen[chosen_count++] = fault_find(name, size)))
			wrong("there is no such fault among those that --list prints", names);
		name += size + (name[size] == ',');
	}
	if (chosen_count == 0)
		wrong("expected names of faults", names);
}

static bool is_in(const char *names, const char *name)
{
	const size_t size = strlen(name);
	for (const char *place = names; (place = strstr(place, name)); place += size)
		if ((place == names || place[-1] == ',') && (place[size] == ',' || place[size] == '\0'))
			return true;
	return false;
}

/* All, but those excluded, and those that this machine does not allow. */
static void choose_all(const char *except)
{
	for (size_t i = 0; i < fault_count; i++) {
		if (is_in(except, faults[i].name))
			continue;
		if ((faults[i].needs & FAULT_NEEDS_SMALL_DISK) != 0 && disk_allowed() != 0)
			print_message("fault: skipped: %s: no file system can be mounted here: %s\n",
				faults[i].name, strerror(-disk_allowed()));
		else
			chosen[chosen_count++] = &faults[i];
	}
}

static void list(void)
{
	for (size_t i = 0; i < fault_count; i++)
		puts(faults[i].name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"faults", required_argument, NULL, 'f'}, {"except", required_argument, NULL, 'e'},
		{"plan", no_argument, NULL, 'p'}, {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const struct CMUnitTest tests[] = {HARNESS_TEST(a_round)};
	char *rest, *program[] = {argv[0], NULL};
	const char *except = "";
	bool only_plan = false;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			errno = 0;
			seed = strtoull(optarg, &rest, 10);
			if (errno != 0 || *optarg < '0' || *optarg > '9' || *rest != '\0')
				wrong("expected a number", optarg);
			break;
		case 'f': choose(optarg); break;
		case 'e':
			choose(except = optarg); /* for its check */
			chosen_count = 0;
			break;
		case 'p': only_plan = true; break;
		case 'l': list(); return 0;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 64;
		}
	}
	if (optind < argc)
		wrong("not expected", argv[optind]);
	/* Whoever has started it is gone, or it hangs: all that it has started goes with it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	alarm(ROUND_SECONDS);
	harness_program(program);
	if (chosen_count == 0)
		choose_all(except);
	if (only_plan) {
		(void)make_plan(&(struct dice){.state = scatter(seed)});
		return 0;
	}
	return cmocka_run_group_tests_name("fault", tests, harness_group_setup, harness_group_teardown) != 0;
}
