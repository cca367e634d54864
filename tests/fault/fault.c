/* fault.c - see fault.h. */
#include "fault.h"

#include "disk.h"
#include "network.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

enum {
	LONG_PAUSE_MS = 16000,
	FEW_DESCRIPTORS = 32,
	SPACE_TEXT = 60000,
	SPACE_INSERTS = 2000,
	UNSTEADY_PERCENT = 4,
	OVERLOAD_DELAY_MS = 40, /* in each direction, for each of some calls of a command */
	OVERLOAD_PHASES = 5,
	OVERLOAD_STEP = 60, /* acknowledgements in a phase */
};

static void keep_on_until(struct round *round, int64_t until_ms)
{
	const int64_t now_ms = harness_now_ms();
	if (now_ms < until_ms)
		harness_watch(round->promise.harness, (int)(until_ms - now_ms));
	promise_check(&round->promise);
}

/* ---- The host ---- */

/* It dies at a place, and again at others while the commands come again, and then is left alone. */
static void die_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	const struct promise_place *place = promise_places;
	while (strcmp(place->name, run->fault->place) != 0)
		place++;
	promise_kill_host(promise);
	run->failpoint = promise_choose_failpoint(promise, place);
	promise_start_host(promise, run->failpoint);
}

static void die_end(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	promise_wait_death(promise, run->failpoint);
	while (dice_roll(&promise->dice, 3) == 0) {
		run->failpoint = promise_choose_failpoint(
			promise, &promise_places[dice_roll(&promise->dice, PROMISE_PLACES)]);
		promise_start_host(promise, run->failpoint);
		promise_wait_death(promise, run->failpoint);
	}
	promise_start_host(promise, NULL);
}

static void kill_host_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	(void)run;
	for (unsigned i = dice_roll(&promise->dice, 3); i > 0; i--) {
		promise_kill_child(promise);
		promise_run_on(promise, 20, 800);
	}
	promise_kill_child(promise);
}

static void kill_supervisor_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	(void)run;
	for (unsigned i = dice_roll(&promise->dice, 3); i > 0; i--) {
		promise_kill_host(promise);
		promise_start_host(promise, NULL);
		promise_run_on(promise, 20, 800);
	}
	promise_kill_host(promise);
	promise_start_host(promise, NULL);
}

static bool is_replaced(void *context)
{
	const struct fault_run *run = context;
	return host_child_pid(run->host) != run->pid;
}

static bool is_up(void *context)
{
	return host_count_log(context, "ready") >= host_count_log(context, "host_started");
}

/* Another fault may want its connections meanwhile, and a host that is stopped makes none. Where that other one has come first, it may never be up. */
static void wait_until_up(struct round *round)
{
	(void)harness_wait_for(round->promise.harness, is_up, round->promise.host, LONG_PAUSE_MS);
}

/* Where handlers were running, the supervisor takes them for hung, and kills it. */
static void stop_host_begin(struct round *round, struct fault_run *run)
{
	wait_until_up(round);
	run->host = round->promise.host;
	host_signal_child(run->host, SIGSTOP);
	run->pid = host_child_pid(run->host);
}

static void stop_host_end(struct round *round, struct fault_run *run)
{
	const int64_t passed_ms = harness_now_ms() - run->began_ms;
	if (passed_ms < LONG_PAUSE_MS)
		(void)harness_wait_for(
			round->promise.harness, is_replaced, run, (int)(LONG_PAUSE_MS - passed_ms));
	if (!is_replaced(run))
		host_signal_child(run->host, SIGCONT);
	promise_check(&round->promise);
}

/* The host goes on without it; what it writes waits, or is dropped and counted. */
/* One that is stopped before it has started its host starts none. */
static void stop_supervisor_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	wait_until_up(round);
	host_signal(round->promise.host, SIGSTOP);
}

static void stop_supervisor_end(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	keep_on_until(round, run->began_ms + (dice_roll(&promise->dice, 2) == 0 ? FAULT_PAUSE_MS : 3000));
	host_signal(promise->host, SIGCONT);
}

static void stop_both_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	wait_until_up(round);
	host_pause(round->promise.host);
}

static void stop_both_end(struct round *round, struct fault_run *run)
{
	keep_on_until(round, run->began_ms + LONG_PAUSE_MS);
	host_resume(round->promise.host);
}

static void limit_descriptors(pid_t pid, rlim_t limit, rlim_t *ret_before)
{
	struct rlimit before, now;
	if (prlimit(pid, RLIMIT_NOFILE, NULL, &before) != 0)
		harness_fail("the limit of descriptors cannot be read: %s", strerror(errno));
	now = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
	if (prlimit(pid, RLIMIT_NOFILE, &now, NULL) != 0)
		harness_fail("the limit of descriptors cannot be set: %s", strerror(errno));
	*ret_before = before.rlim_cur;
}

/* The next host starts with so few, and needs more as soon as its workers do. */
static void few_descriptors_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	limit_descriptors(host_pid(promise->host), FEW_DESCRIPTORS, &run->descriptors);
	promise_kill_child(promise);
	promise_run_on(promise, 2000, 4000);
}

static void few_descriptors_end(struct round *round, struct fault_run *run)
{
	struct host *host = round->promise.host;
	rlim_t few;
	limit_descriptors(host_pid(host), run->descriptors, &few);
	if (host_child_running(host))
		limit_descriptors(host_child_pid(host), run->descriptors, &few);
}

/* ---- The database ---- */

static void kill_database_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	database_kill(round->promise.database);
	promise_run_on(&round->promise, 0, 4000); /* the driver itself waits for 3 s */
}

static void kill_database_end(struct round *round, struct fault_run *run)
{
	(void)run;
	database_start(round->promise.database);
}

static void stop_database_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	database_pause(round->promise.database);
}

static void stop_database_end(struct round *round, struct fault_run *run)
{
	keep_on_until(round, run->began_ms + FAULT_PAUSE_MS);
	database_resume(round->promise.database);
}

/* The server has space set aside, which has to be used up before it has none. */
static void use_up_space(struct round *round)
{
	struct promise *promise = &round->promise;
	char text[SPACE_TEXT + 1];
	for (size_t i = 0; i < SPACE_TEXT; i++)
		text[i] = (char)('a' + dice_roll(&promise->dice, 26)); /* hard to compress */
	text[SPACE_TEXT] = '\0';
	char *command = harness_format(
		promise->harness, "{\"insert\":\"space\",\"documents\":[{\"text\":\"%s\"}]}", text);
	for (unsigned i = 0; database_try_command(promise->harness, promise->database, command); i++)
		if (i == SPACE_INSERTS)
			harness_fail("the database writes on, though its disk is full");
}

/* Where the lease of the host that is active falls due meanwhile. */
static const char *const refused_lease[] = {"store_refuses_writes", NULL};

/* Each server has its own way to say so; some end by themselves. */
static void full_disk_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	(void)run;
	database_may_end(promise->database);
	disk_fill(round->disk);
	use_up_space(round);
	promise_run_on(promise, 1000, 4000);
}

/* None goes on by itself once there is space again: who makes some also starts it anew. */
static void full_disk_end(struct round *round, struct fault_run *run)
{
	(void)run;
	disk_free(round->disk);
	database_kill(round->promise.database);
	database_start(round->promise.database);
	database_command(round->promise.harness, round->promise.database, "{\"drop\":\"space\"}");
}

/* ---- The broker ---- */

static void kill_broker_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	broker_kill(round->promise.broker);
	ledger_broker_killed(round->promise.ledger);
}

static void kill_broker_end(struct round *round, struct fault_run *run)
{
	(void)run;
	broker_start(round->promise.broker);
	promise_wait_for_phones(&round->promise);
}

static void stop_broker_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	broker_pause(round->promise.broker);
}

static void stop_broker_end(struct round *round, struct fault_run *run)
{
	keep_on_until(round, run->began_ms + FAULT_PAUSE_MS);
	broker_resume(round->promise.broker);
}

/* ---- Overload ---- */

struct progress {
	struct round *round;
	size_t acknowledged;
};

static bool has_progressed(void *context)
{
	struct progress *progress = context;
	broker_log_read(&progress->round->broker_log);
	return progress->round->broker_log.acknowledged >= progress->acknowledged;
}

/* The database takes less than what comes, and acknowledgements flow all the same. */
static void overload_begin(struct round *round, struct fault_run *run)
{
	relay_set(network_linked_relay(round, run), RELAY_DELAY, OVERLOAD_DELAY_MS);
	broker_log_read(&round->broker_log);
	for (unsigned phase = 1; phase <= OVERLOAD_PHASES; phase++) {
		struct progress progress = {
			.round = round, .acknowledged = round->broker_log.acknowledged + OVERLOAD_STEP};
		harness_wait(round->promise.harness, has_progressed, &progress,
			"%d acknowledgements of the overloaded host, in phase %u", OVERLOAD_STEP, phase);
		promise_check(&round->promise);
	}
}

/* ---- Handlers ---- */

/* For a while some commands fail, most of them for so long that they are parked, with what follows them. */
static void failing_begin(struct round *round, struct fault_run *run)
{
	(void)run;
	load_unsteady(round->promise.load, UNSTEADY_PERCENT);
	promise_run_on(&round->promise, 500, 2000);
}

static void failing_end(struct round *round, struct fault_run *run)
{
	(void)run;
	load_unsteady(round->promise.load, 0);
}

/* Most crash once or twice and are done; one in four never stops. */
static void crashing_begin(struct round *round, struct fault_run *run)
{
	struct promise *promise = &round->promise;
	(void)run;
	promise_wait_for_phones(promise);
	for (unsigned i = 1 + dice_roll(&promise->dice, 3); i > 0; i--) {
		const unsigned kind = dice_roll(&promise->dice, 4);
		load_crash(promise->load, kind == 0 ? LEDGER_CRASH_LIMIT : 1 + kind % 2);
		promise_run_on(promise, 20, 1500);
	}
}

/* ---- The table ---- */

static void nothing(struct round *round, struct fault_run *run)
{
	(void)round;
	(void)run;
}

#define DIE(name_, place_)                                                                               \
	{                                                                                                \
		.name = name_, .target = FAULT_HOST, .outer = true, .place = place_, .begin = die_begin, \
		.end = die_end                                                                           \
	}
/* The driver cannot open what it wants to. */
static const char *const few_descriptors[] = {"mongodb_driver", NULL};

/* By themselves, or the supervisor ends what has stood still for too long. */
static const char *const crashed_handlers[] = {
	"handler_crashed", "handler_hung", "host_killed", "dead_letter", NULL};

static const char *const stopped_supervisor[] = {"log_dropped", NULL};

/* A broker that is slow or gone, but whose connection stays; or whose connections end, two in a row before their SUBACK. */
static const char *const silent_broker[] = {"egress_silent", "subscribe_split", NULL};

#define ON_BROKER   .target = FAULT_BROKER, .needs = FAULT_NEEDS_BROKER_RELAY, .log = silent_broker
#define ON_DATABASE .target = FAULT_DATABASE, .needs = FAULT_NEEDS_DATABASE_RELAY

/* Neighbours are run by neighbouring seeds: slow ones are apart. */
const struct fault faults[] = {
	DIE("die-at-read", "command_read"),
	{.name = "stop-database",
		.slow = true,
		.target = FAULT_DATABASE,
		.begin = stop_database_begin,
		.end = stop_database_end},
	DIE("die-before-handler", "before_handler"),
	{.name = "broker-cut", ON_BROKER, .begin = network_cut_begin, .end = nothing},
	{.name = "kill-host", .target = FAULT_HOST, .begin = kill_host_begin, .end = nothing},
	{.name = "database-lost-replies",
		ON_DATABASE,
		.awaits = true,
		.begin = network_lost_replies_begin,
		.end = network_pass_again},
	{.name = "overload", ON_DATABASE, .outer = true, .begin = overload_begin, .end = network_pass_again},
	{.name = "failing-handlers", .target = FAULT_HANDLERS, .begin = failing_begin, .end = failing_end},
	DIE("die-in-handler", "inside_handler"),
	{.name = "stop-host",
		.slow = true,
		.stills = true,
		.target = FAULT_HOST,
		.crashes = true,
		.begin = stop_host_begin,
		.end = stop_host_end,
		.log = crashed_handlers},
	DIE("die-after-effect", "after_effect"),
	{.name = "broker-bytes", ON_BROKER, .begin = network_bytes_begin, .end = network_pass_again},
	{.name = "database-half-open",
		ON_DATABASE,
		.begin = network_half_open_begin,
		.end = network_half_open_end},
	{.name = "kill-broker",
		.target = FAULT_BROKER,
		.stills = true,
		.forgets = true,
		.begin = kill_broker_begin,
		.end = kill_broker_end},
	{.name = "kill-supervisor", .target = FAULT_HOST, .begin = kill_supervisor_begin, .end = nothing},
	DIE("die-before-event", "before_event"),
	{.name = "broker-half-open",
		ON_BROKER,
		.awaits = true,
		.begin = network_half_open_begin,
		.end = network_half_open_end},
	{.name = "database-cut", ON_DATABASE, .begin = network_cut_begin, .end = nothing},
	DIE("die-at-event-acknowledged", "event_acknowledged"),
	{.name = "stop-broker",
		.slow = true,
		.stills = true,
		.target = FAULT_BROKER,
		.begin = stop_broker_begin,
		.end = stop_broker_end,
		.log = silent_broker},
	{.name = "kill-database",
		.target = FAULT_DATABASE,
		.begin = kill_database_begin,
		.end = kill_database_end},
	DIE("die-before-acknowledgement", "before_acknowledgement"),
	{.name = "stop-supervisor",
		.slow = true,
		.target = FAULT_HOST,
		.begin = stop_supervisor_begin,
		.end = stop_supervisor_end,
		.log = stopped_supervisor},
	{.name = "crashing-handlers",
		.target = FAULT_HANDLERS,
		.awaits = true,
		.crashes = true,
		.begin = crashing_begin,
		.end = nothing,
		.log = crashed_handlers},
	{.name = "broker-black-hole",
		ON_BROKER,
		.begin = network_black_hole_begin,
		.end = network_pass_again},
	{.name = "few-descriptors",
		.target = FAULT_HOST,
		.needs = FAULT_NEEDS_MANY_WORKERS,
		.outer = true,
		.begin = few_descriptors_begin,
		.end = few_descriptors_end,
		.log = few_descriptors},
	{.name = "database-delay", ON_DATABASE, .begin = network_delay_begin, .end = network_pass_again},
	DIE("die-after-acknowledgement", "after_acknowledgement"),
	{.name = "stop-both",
		.slow = true,
		.stills = true,
		.target = FAULT_HOST,
		.crashes = true,
		.begin = stop_both_begin,
		.end = stop_both_end,
		.log = crashed_handlers},
	{.name = "full-disk",
		.target = FAULT_DATABASE,
		.needs = FAULT_NEEDS_SMALL_DISK,
		.outer = true,
		.begin = full_disk_begin,
		.end = full_disk_end,
		.log = refused_lease},
	{.name = "broker-lost-pubacks",
		ON_BROKER,
		.begin = network_lost_pubacks_begin,
		.end = network_pass_again},
	{.name = "broker-delay", ON_BROKER, .begin = network_delay_begin, .end = network_pass_again},
	{.name = "database-black-hole",
		ON_DATABASE,
		.begin = network_black_hole_begin,
		.end = network_pass_again},
	{.name = "database-bytes", ON_DATABASE, .begin = network_bytes_begin, .end = network_pass_again},
};

const size_t fault_count = sizeof(faults) / sizeof(faults[0]);

const struct fault *fault_find(const char *name, size_t size)
{
	for (size_t i = 0; i < fault_count; i++)
		if (strlen(faults[i].name) == size && memcmp(faults[i].name, name, size) == 0)
			return &faults[i];
	return NULL;
}
