/*
 * test_replica_failover.c - the primary of a replica set goes while commands come, and another is elected: nothing is lost or doubled, and each
 * user's commands keep their order, as the ledger has it (promise_ledger.h).
 *
 * Forty phones send 200 commands a second. The primary steps down, or its machine is gone; for a time there is none; then another is elected. How
 * soon after that commands have effects again is printed: two seconds is what is wanted of an idle machine, and what a busy one takes is no matter
 * for a test, so only BACK_MS is asserted.
 */
#include "promise_run.h"
#include "replica_set.h"
#include <string.h>
#include <sys/random.h>

enum {
	RATE_PER_S = 200,
	WITHOUT_PRIMARY_MS = 2000,
	LONG_MS = 8000, /* the store counts as away by then, and the lane has left the broker */
	BACK_MS = 60000,
};

/* A host that is ready on a replica set, and what sends commands to it. */
struct fail_over {
	struct promise promise;
	struct replica_set *set;
	int64_t elected_ms;
	size_t effects; /* by then */
};

static void start(struct harness *h, struct fail_over *test)
{
	uint32_t random;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		harness_fail("no random seed");
	struct promise *promise = &test->promise;
	*promise = (struct promise){.harness = h, .dice.state = 1 + (uint64_t)random};
	promise->database = harness_own_database(h);
	promise->broker = harness_broker(h);
	promise->host = host_new(h, HOST_PRODUCT);
	host_set_program(promise->host, CASHEWD_FAILPOINTS_PATH);
	test->set = replica_set_new(h, promise->database);
	host_set(promise->host, "MONGO_DB_URL", replica_set_url(test->set));
	promise_set_up(promise, RATE_PER_S);
	load_run(promise->load, true);
	promise_start_host(promise, NULL);
	promise_run_on(promise, 1500, 2000);
}

/* ---- How soon it is back ---- */

static bool writes(enum ledger_kind kind)
{
	return kind == LEDGER_ASK || kind == LEDGER_REQUEST || kind == LEDGER_ACCEPT || kind == LEDGER_APPEND;
}

/* How many commands that write had their effect, as their events tell, of all or of those sent since the election. */
static size_t count_effects(const struct fail_over *test, bool since)
{
	size_t count = 0;
	for (size_t u = 0; u < LEDGER_USERS; u++) {
		const struct ledger_user *user = &test->promise.ledger->users[u];
		for (size_t i = 0; i < user->count; i++)
			count += user->commands[i]->seen > 0 && writes(user->commands[i]->kind) &&
				 (!since || user->commands[i]->sent_ms >= test->elected_ms);
	}
	return count;
}

static bool has_more_effects(void *context)
{
	const struct fail_over *test = context;
	return test->promise.ledger->violation[0] != '\0' || count_effects(test, false) > test->effects;
}

static bool has_new_effect(void *context)
{
	const struct fail_over *test = context;
	return test->promise.ledger->violation[0] != '\0' || count_effects(test, true) > 0;
}

static void elect(struct fail_over *test, unsigned member)
{
	test->effects = count_effects(test, false);
	replica_set_elect(test->set, member);
	test->elected_ms = harness_now_ms();
	ledger_note(test->promise.ledger, "member %u is elected", member);
}

/* What has waited meanwhile goes first. */
static void wait_until_back(struct fail_over *test, const char *what)
{
	struct harness *h = test->promise.harness;
	harness_wait_at(__FILE__, __LINE__, h, has_more_effects, test, BACK_MS, "an effect after %s", what);
	const long long effect_ms = harness_now_ms() - test->elected_ms;
	harness_wait_at(__FILE__, __LINE__, h, has_new_effect, test, BACK_MS,
		"the effect of what was sent after %s", what);
	print_message(
		"replica: after %s there are effects %lld ms after the election, and of what was sent since after %lld ms\n",
		what, effect_ms, (long long)(harness_now_ms() - test->elected_ms));
	promise_check(&test->promise);
}

/* Everything comes to its end, and is accounted for; the log holds nothing that this does not explain. */
static void finish(struct fail_over *test, const char *what)
{
	static const char *const explained[] = {"store_refuses_writes", NULL};
	struct promise *promise = &test->promise;
	promise_run_on(promise, 500, 1000);
	promise_settle(promise, what);
	promise_stop_host(promise);
	promise_check_log(promise, explained);
	assert_int_equal(promise->kills, 0);
	print_message("replica: %zu commands, %zu events, %zu of them duplicates\n",
		promise->ledger->figures.commands, promise->ledger->figures.events,
		promise->ledger->figures.duplicates);
}

/* ---- The cases ---- */

static struct fail_over test; /* what sends is served, and ended, after a case that has failed */

HARNESS_CASE(primary_steps_down)
{
	start(h, &test);
	replica_set_step_down(test.set);
	harness_watch(h, WITHOUT_PRIMARY_MS);
	const unsigned before = replica_set_writes(test.set, 1);
	elect(&test, 1);
	wait_until_back(&test, "a primary that has stepped down");
	finish(&test, "a primary that has stepped down");
	assert_true(replica_set_writes(test.set, 1) > before);
}

HARNESS_CASE(primary_is_gone)
{
	start(h, &test);
	replica_set_unplug(test.set, 0);
	harness_watch(h, WITHOUT_PRIMARY_MS);
	elect(&test, 2);
	wait_until_back(&test, "a primary that is gone");
	/* It comes back, and is none any more. */
	promise_run_on(&test.promise, 500, 1000);
	const unsigned before = replica_set_writes(test.set, 0);
	replica_set_plug(test.set, 0);
	promise_run_on(&test.promise, 500, 1000);
	finish(&test, "a primary that is gone");
	assert_int_equal(replica_set_writes(test.set, 0), before);
}

/* What it was asked waits for socketTimeoutMS. */
HARNESS_CASE(primary_is_frozen)
{
	start(h, &test);
	replica_set_freeze(test.set, 0);
	harness_watch(h, WITHOUT_PRIMARY_MS);
	elect(&test, 1);
	wait_until_back(&test, "a primary that is frozen");
	/* Its connections end by then; were they answered at last, it would be as a member that is none. */
	replica_set_plug(test.set, 0);
	finish(&test, "a primary that is frozen");
}

HARNESS_CASE(no_primary_for_long)
{
	start(h, &test);
	replica_set_step_down(test.set);
	host_expect_log(test.promise.host, "store_away");
	harness_watch(h, LONG_MS);
	elect(&test, 2);
	wait_until_back(&test, "a long time without a primary");
	finish(&test, "a long time without a primary");
}

/* One election after the other, without a pause; and back. */
HARNESS_CASE(primary_changes_at_once)
{
	start(h, &test);
	for (unsigned i = 1; i <= REPLICA_SET_MEMBERS; i++) {
		elect(&test, i % REPLICA_SET_MEMBERS);
		wait_until_back(&test, "an election at once");
		promise_run_on(&test.promise, 200, 500);
	}
	finish(&test, "three elections");
}

HARNESS_MAIN(HARNESS_TEST(primary_steps_down), HARNESS_TEST(primary_is_gone), HARNESS_TEST(primary_is_frozen),
	HARNESS_TEST(no_primary_for_long), HARNESS_TEST(primary_changes_at_once))
