/*
 * test_router.c - the database is a sharded cluster, behind a router: the host works on it, outlives the router's restart, and tells it which users
 * its commands are about, so that it need not ask all shards.
 *
 * The shard keys are those that docs/operations.md names. Whatever is sent on the way of a command has them in its filter, or in its document; to
 * look for what is due, and the host's own collections, are no command's way.
 */
#include "promise_run.h"
#include "replica_set.h"
#include <string.h>
#include <sys/random.h>

enum {
	RATE_PER_S = 200,
	UNSTEADY_PERCENT = 4, /* of the commands, most of which are parked, with those behind them */
	AWAY_MS = 1500,
	BACK_MS = 60000,
};

static struct router_test {
	struct promise promise;
	struct replica_set *router;
	int64_t back_ms;
} test; /* what sends is served, and ended, after a case that has failed */

static void start(struct harness *h)
{
	uint32_t random;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		harness_fail("no random seed");
	struct promise *promise = &test.promise;
	*promise = (struct promise){.harness = h, .dice.state = 1 + (uint64_t)random};
	promise->database = harness_own_database(h);
	promise->broker = harness_broker(h);
	promise->host = host_new(h, HOST_PRODUCT);
	host_set_program(promise->host, CASHEWD_FAILPOINTS_PATH);
	test.router = replica_set_new_router(h, promise->database);
	host_set(promise->host, "MONGO_DB_URL", replica_set_url(test.router));
	promise_set_up(promise, RATE_PER_S);
	promise_start_host(promise, NULL);
	host_wait_log_count(promise->host, 2, "ready"); /* promise_set_up() has seen the first */
	load_run(promise->load, true);
}

static void finish(const char *what)
{
	static const char *const explained[] = {"store_refuses_writes", NULL};
	struct promise *promise = &test.promise;
	promise_settle(promise, what);
	replica_set_listen(test.router, NULL, NULL);
	promise_stop_host(promise);
	promise_check_log(promise, explained);
	assert_int_equal(promise->kills, 0);
}

/* ---- It is started anew ---- */

/* A command that was sent since has its event. */
static bool is_back(void *context)
{
	const struct ledger *ledger = test.promise.ledger;
	(void)context;
	for (size_t u = 0; u < LEDGER_USERS; u++) {
		const struct ledger_user *user = &ledger->users[u];
		for (size_t i = user->count; i > 0 && user->commands[i - 1]->sent_ms >= test.back_ms; i--)
			if (user->commands[i - 1]->seen > 0 && user->commands[i - 1]->kind == LEDGER_ASK)
				return true;
	}
	return ledger->violation[0] != '\0';
}

HARNESS_CASE(router_is_started_anew)
{
	start(h);
	promise_run_on(&test.promise, 1000, 1500);
	replica_set_unplug(test.router, 0);
	harness_watch(h, AWAY_MS);
	replica_set_plug(test.router, 0);
	test.back_ms = harness_now_ms();
	harness_wait_at(
		__FILE__, __LINE__, h, is_back, NULL, BACK_MS, "a command's effect by the new router");
	print_message("replica: a command had its effect %lld ms after the router was there again\n",
		(long long)(harness_now_ms() - test.back_ms));
	promise_run_on(&test.promise, 500, 1000);
	finish("a router that was started anew");
}

/* ---- Shard keys ---- */

static const struct {
	const char *collection, *key;
} shard_keys[] = {
	{"contacts", "user_id"},
	{"contact_requests", "user_id"},
	{"parked_commands", "user_id"},
	{"dead_letters", "user_id"},
	{"purses", "user_id"},
	{"counters", "_id"},
};

/* What has to be seen, so that the test does not pass because nothing was looked at. */
static struct seen {
	const char *command, *collection;
	unsigned count;
} seen[] = {
	{"find", "contacts", 0},
	{"update", "contacts", 0},
	{"delete", "contacts", 0},
	{"find", "contact_requests", 0},
	{"update", "contact_requests", 0},
	{"delete", "contact_requests", 0},
	{"insert", "parked_commands", 0},
	{"find", "parked_commands", 0},
	{"update", "parked_commands", 0},
	{"delete", "parked_commands", 0},
	{"findAndModify", "counters", 0},
	{"findAndModify", "purses", 0},
};

/* By the members' threads, one at a time; read when none listens any more. */
static char keyless[600];

/* One user, or a list of them. */
static bool names_users(const bson_iter_t *value)
{
	bson_iter_t in, items;
	if (BSON_ITER_HOLDS_UTF8(value))
		return true;
	if (!BSON_ITER_HOLDS_DOCUMENT(value) || !bson_iter_recurse(value, &in) ||
		!bson_iter_find(&in, "$in") || !BSON_ITER_HOLDS_ARRAY(&in) || !bson_iter_recurse(&in, &items))
		return false;
	bool any = false;
	while (bson_iter_next(&items)) {
		if (!BSON_ITER_HOLDS_UTF8(&items))
			return false;
		any = true;
	}
	return any;
}

static bool has_key(const bson_iter_t *filter, const char *key)
{
	bson_iter_t fields;
	return BSON_ITER_HOLDS_DOCUMENT(filter) && bson_iter_recurse(filter, &fields) &&
	       bson_iter_find(&fields, key) && names_users(&fields);
}

/* Of each statement: its document, or its filter `part`. */
static bool all_have_key(const bson_iter_t *statements, const char *part, const char *key)
{
	bson_iter_t items, fields;
	if (!BSON_ITER_HOLDS_ARRAY(statements) || !bson_iter_recurse(statements, &items))
		return false;
	bool all = true;
	while (all && bson_iter_next(&items)) {
		fields = items;
		if (part)
			all = bson_iter_recurse(&items, &fields) && bson_iter_find(&fields, part);
		all = all && has_key(&fields, key);
	}
	return all;
}

static bool carries_key(const char *name, const bson_t *command, const char *key)
{
	bson_iter_t iter;
	if (strcmp(name, "find") == 0)
		return bson_iter_init_find(&iter, command, "filter") && has_key(&iter, key);
	if (strcmp(name, "findAndModify") == 0)
		return bson_iter_init_find(&iter, command, "query") && has_key(&iter, key);
	if (strcmp(name, "update") == 0)
		return bson_iter_init_find(&iter, command, "updates") && all_have_key(&iter, "q", key);
	if (strcmp(name, "delete") == 0)
		return bson_iter_init_find(&iter, command, "deletes") && all_have_key(&iter, "q", key);
	if (strcmp(name, "insert") == 0)
		return bson_iter_init_find(&iter, command, "documents") && all_have_key(&iter, NULL, key);
	/* What is due is looked for each second, on all shards; nothing else has an aggregation. */
	return strcmp(name, "aggregate") == 0;
}

static void look(void *context, const char *name, const bson_t *command)
{
	bson_iter_t iter;
	(void)context;
	if (!bson_iter_init(&iter, command) || !bson_iter_next(&iter) || !BSON_ITER_HOLDS_UTF8(&iter))
		return;
	const char *collection = bson_iter_utf8(&iter, NULL);
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		seen[i].count +=
			strcmp(seen[i].command, name) == 0 && strcmp(seen[i].collection, collection) == 0;
	for (size_t i = 0; i < sizeof(shard_keys) / sizeof(shard_keys[0]); i++) {
		if (strcmp(shard_keys[i].collection, collection) != 0 ||
			carries_key(name, command, shard_keys[i].key) || keyless[0] != '\0')
			continue;
		char *text = bson_as_relaxed_extended_json(command, NULL);
		snprintf(keyless, sizeof(keyless), "%s", text);
		bson_free(text);
	}
}

HARNESS_CASE(commands_carry_the_shard_key)
{
	start(h);
	struct promise *promise = &test.promise;
	/* What a host reads as it starts is no command's way. */
	replica_set_listen(test.router, look, NULL);
	load_unsteady(promise->load, UNSTEADY_PERCENT);
	/* Contacts are removed in a later stage of the ledger than they are made in. */
	for (unsigned stage = 1; stage <= 3; stage++) {
		promise_run_on(promise, 2500, 3000);
		promise_settle(promise, "a stage");
		replica_set_listen(test.router, NULL, NULL);
		promise_stop_host(promise);
		promise_start_host(promise, NULL);
		host_wait_log_count(promise->host, stage + 2, "ready");
		replica_set_listen(test.router, look, NULL);
		load_run(promise->load, true);
	}
	finish("commands beside a router");
	if (keyless[0] != '\0')
		harness_fail("no shard key in: %s", keyless);
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		if (seen[i].count == 0)
			harness_fail("no %s of %s was seen", seen[i].command, seen[i].collection);
}

HARNESS_MAIN(HARNESS_TEST(router_is_started_anew), HARNESS_TEST(commands_carry_the_shard_key))
