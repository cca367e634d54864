/*
 * test_recovery.c - after a fault everything is as before, while the load goes on: what waits, in the database and in the host, returns to
 * nothing, whoever was hurt comes back by himself, and nothing is lost or out of order.
 *
 * Forty phones send commands, over TLS, through the broker with its plugin and its persistence; the ledger knows what must become of each
 * (promise_ledger.h). A case is one fault. How long the way back takes is measured elsewhere (tests/bench/run recovery): here it only has to
 * come to its end while nobody sends less. How much is sent is a part of what the machine carries at the time.
 */
#include "harness.h"
#include "promise_run.h"
#include "relay.h"
#include <signal.h>
#include <sys/random.h>

enum {
	RATE_MAX_PER_S = 200,
	CAPACITY_PARTS = 3, /* one of them is sent: other tests run beside this one, more or fewer of them */
	MEASURE_MS = 2000,
	BACK_MS = 60000,
	LOOK_MS = 100,
	LOOKS = 5, /* in a row */
	AWAY_MS = 5000,
	CUTS = 8,
	FLOOD = 4000,
	FLOOD_STEP = 100,
};

struct recovery {
	struct promise promise;
	unsigned rate_per_s;
	struct relay *relay; /* before the broker; NULL: none */
};

/* ---- The faults ---- */

/* So that a case that fails is one that its fault has made fail. */
static void nothing(struct recovery *recovery)
{
	promise_run_on(&recovery->promise, 500, 500);
}

static void kill_host(struct recovery *recovery)
{
	promise_kill_child(&recovery->promise);
}

static void kill_host_again_and_again(struct recovery *recovery)
{
	for (int i = 0; i < 4; i++) {
		promise_kill_child(&recovery->promise);
		promise_run_on(&recovery->promise, 500, 1500);
	}
}

static void crash(struct recovery *recovery)
{
	load_crash(recovery->promise.load, LEDGER_CRASH_LIMIT);
	host_wait_log_count(recovery->promise.host, LEDGER_CRASH_LIMIT, "host_died");
}

static void hang(struct recovery *recovery)
{
	load_hang(recovery->promise.load, 1);
	host_wait_log_count(recovery->promise.host, 1, "host_died");
}

static void reload(struct recovery *recovery)
{
	const pid_t before = host_child_pid(recovery->promise.host);
	host_signal(recovery->promise.host, SIGHUP);
	while (host_child_pid(recovery->promise.host) == before)
		promise_run_on(&recovery->promise, LOOK_MS, LOOK_MS);
}

static void stop_database(struct recovery *recovery)
{
	database_pause(recovery->promise.database);
	promise_run_on(&recovery->promise, AWAY_MS, AWAY_MS);
	database_resume(recovery->promise.database);
}

static void kill_database(struct recovery *recovery)
{
	database_kill(recovery->promise.database);
	promise_run_on(&recovery->promise, AWAY_MS, AWAY_MS);
	database_start(recovery->promise.database);
}

static void stop_broker(struct recovery *recovery)
{
	broker_pause(recovery->promise.broker);
	promise_run_on(&recovery->promise, AWAY_MS, AWAY_MS);
	broker_resume(recovery->promise.broker);
}

static void kill_broker(struct recovery *recovery)
{
	broker_kill(recovery->promise.broker);
	ledger_broker_killed(recovery->promise.ledger);
	promise_run_on(&recovery->promise, 500, 500);
	broker_start(recovery->promise.broker);
	promise_wait_for_phones(&recovery->promise);
}

/* The last 20 ms of what the host wrote are lost each time, PUBACKs among it. */
static void cut_links(struct recovery *recovery)
{
	relay_set(recovery->relay, RELAY_DELAY_UP, 20);
	for (int i = 0; i < CUTS; i++) {
		promise_run_on(&recovery->promise, 700, 700);
		(void)relay_cut(recovery->relay, true);
	}
	relay_set(recovery->relay, RELAY_PASS, 0);
}

static void fail_for_a_while(struct recovery *recovery)
{
	load_unsteady(recovery->promise.load, 2);
	promise_run_on(&recovery->promise, AWAY_MS, AWAY_MS);
	load_unsteady(recovery->promise.load, 0);
}

struct answers {
	const struct device *flooder;
	size_t awaited;
};

static bool are_answered(void *context)
{
	const struct answers *answers = context;
	return device_count(answers->flooder, "got_apples") +
		       device_count(answers->flooder, "got_more_apples") +
		       device_count(answers->flooder, "command_rejected") >=
	       answers->awaited;
}

/* By a user who is in no ledger. What is over his share is rejected. */
static void flood(struct recovery *recovery)
{
	struct harness *h = recovery->promise.harness;
	struct device *flooder = device_new(h, "flooder");
	recovery->promise.ledger->stranger = flooder->user;
	device_connect(flooder);
	for (int i = 0; i < FLOOD; i++)
		device_publish(flooder, i % 2 == 0 ? "get_apples" : "get_more_apples", "{}");
	/* What the broker has taken the host may still have to read. However long that takes, as long as it goes on. */
	struct answers answers = {.flooder = flooder};
	while (answers.awaited < FLOOD) {
		answers.awaited += FLOOD_STEP;
		harness_wait(
			h, are_answered, &answers, "answers to %zu of %d commands", answers.awaited, FLOOD);
	}
	device_disconnect(flooder);
}

/* ---- A case ---- */

struct fault {
	void (*make)(struct recovery *recovery);
	bool relayed;
	bool healthy; /* broker and database are well all the time: no lane may be given up */
};

/* Half a second's commands, and some: on their way, and nothing that piles up. */
static size_t few_open(const struct recovery *recovery)
{
	return recovery->rate_per_s / 2 + 20;
}

/* A part of what machine, sanitizer and neighbours let through. What was sent to find out has gone through when the fault comes. */
static void settle_on_rate(struct recovery *recovery)
{
	struct promise *promise = &recovery->promise;
	const struct ledger *ledger = promise->ledger;
	load_rate(promise->load, 3 * RATE_MAX_PER_S);
	promise_run_on(promise, MEASURE_MS / 2, MEASURE_MS / 2);
	const size_t before = ledger->figures.commands - ledger->open;
	const int64_t start_ms = harness_now_ms();
	promise_run_on(promise, MEASURE_MS, MEASURE_MS);
	const int64_t took_ms = harness_now_ms() - start_ms;
	const size_t done = ledger->figures.commands - ledger->open - before;
	const unsigned part = (unsigned)(done * 1000 / (size_t)took_ms / CAPACITY_PARTS) + 1;
	recovery->rate_per_s = part < RATE_MAX_PER_S ? part : RATE_MAX_PER_S;
	print_message(
		"%zu commands in %d ms: %u a second are sent\n", done, (int)took_ms, recovery->rate_per_s);
	load_rate(promise->load, recovery->rate_per_s);
	/* However long it takes, as long as it gets less. */
	int64_t end_ms = harness_now_ms() + BACK_MS;
	for (size_t least = ledger->open; ledger->open > few_open(recovery);) {
		if (harness_now_ms() > end_ms)
			harness_fail("%d s later %zu commands are open, without any fault", BACK_MS / 1000,
				ledger->open);
		promise_run_on(promise, LOOK_MS, LOOK_MS);
		if (ledger->open >= least)
			continue;
		least = ledger->open;
		end_ms = harness_now_ms() + BACK_MS;
	}
}

/* Both are nothing, or next to it, several times in a row, while phones go on sending. */
static void wait_until_back(struct recovery *recovery)
{
	struct promise *promise = &recovery->promise;
	const int64_t end_ms = harness_now_ms() + BACK_MS;
	const char *parked = "{\"done\":null}";
	for (int looks = 0; looks < LOOKS;) {
		if (harness_now_ms() > end_ms)
			harness_fail(
				"%d s after the fault %zu commands are parked, and %zu are open, while the load goes on",
				BACK_MS / 1000,
				database_count(
					promise->harness, promise->database, "parked_commands", parked),
				promise->ledger->open);
		promise_run_on(promise, LOOK_MS, LOOK_MS);
		/* Asked for as little as may be: what is measured should not be the question's own price. */
		const bool back =
			promise->ledger->open <= few_open(recovery) &&
			!database_has(promise->harness, promise->database, "parked_commands", parked);
		looks = back ? looks + 1 : 0;
	}
}

static void set_up(struct harness *h, struct recovery *recovery, bool relayed)
{
	struct promise *promise = &recovery->promise;
	uint32_t random;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		harness_fail("no random seed");
	*promise = (struct promise){.harness = h, .dice.state = 1 + (uint64_t)random};
	promise->database = harness_own_database(h);
	promise->broker = harness_broker(h);
	promise->host = host_new(h, HOST_PRODUCT);
	host_set_program(promise->host, CASHEWD_FAILPOINTS_PATH);
	if (relayed) {
		recovery->relay = relay_new(h, broker_port(promise->broker));
		host_set(promise->host, "BROKER_PORT", harness_format(h, "%u", relay_port(recovery->relay)));
	}
	promise_set_up(promise, RATE_MAX_PER_S);
}

static void recover(struct harness *h, struct fault fault)
{
	static struct recovery recovery; /* what sends is served, and ended, after a case that has failed */
	recovery.relay = NULL;
	struct promise *promise = &recovery.promise;
	set_up(h, &recovery, fault.relayed);
	load_run(promise->load, true);
	promise_start_host(promise, NULL);
	settle_on_rate(&recovery);
	fault.make(&recovery);
	ledger_note(promise->ledger, "the fault is over");
	const size_t sent = promise->ledger->figures.commands;
	wait_until_back(&recovery);
	/* It has not come back because nobody sends any more. */
	assert_true(promise->ledger->figures.commands > sent);
	promise_settle(promise, "the fault");
	promise_stop_host(promise);
	if (fault.healthy)
		assert_int_equal(host_count_log(promise->host, "lane_dropped"), 0);
}

#define RECOVERY_CASE(name, ...)                         \
	HARNESS_CASE(name)                               \
	{                                                \
		recover(h, (struct fault){__VA_ARGS__}); \
	}

RECOVERY_CASE(no_fault, .make = nothing, .healthy = true)
RECOVERY_CASE(host_killed, .make = kill_host, .healthy = true)
RECOVERY_CASE(host_killed_again_and_again, .make = kill_host_again_and_again, .healthy = true)
RECOVERY_CASE(handler_crashes, .make = crash, .healthy = true)
RECOVERY_CASE(handler_hangs, .make = hang, .healthy = true)
RECOVERY_CASE(settings_read_again, .make = reload, .healthy = true)
RECOVERY_CASE(database_stopped, .make = stop_database)
RECOVERY_CASE(database_killed, .make = kill_database)
RECOVERY_CASE(broker_stopped, .make = stop_broker)
RECOVERY_CASE(broker_killed, .make = kill_broker)
RECOVERY_CASE(links_cut_and_pubacks_lost, .make = cut_links, .relayed = true)
RECOVERY_CASE(handlers_fail_for_a_while, .make = fail_for_a_while, .healthy = true)
RECOVERY_CASE(a_user_floods, .make = flood, .healthy = true)

HARNESS_MAIN(HARNESS_TEST(no_fault), HARNESS_TEST(host_killed), HARNESS_TEST(host_killed_again_and_again),
	HARNESS_TEST(handler_crashes), HARNESS_TEST(handler_hangs), HARNESS_TEST(settings_read_again),
	HARNESS_TEST(database_stopped), HARNESS_TEST(database_killed), HARNESS_TEST(broker_stopped),
	HARNESS_TEST(broker_killed), HARNESS_TEST(links_cut_and_pubacks_lost),
	HARNESS_TEST(handlers_fail_for_a_while), HARNESS_TEST(a_user_floods))
