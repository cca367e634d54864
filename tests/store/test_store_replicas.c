/*
 * test_store_replicas.c - the store on a replica set of two servers that answer as the test says: how often an operation is tried, which member is
 * asked, and who is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "clock.h"
#include "contact_documents.h"
#include "dead_letters.h"
#include "operations.h"
#include "parked_commands.h"
#include "scripted_mongo.h"
#include "store_describe.h"
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct scripted_mongo *primary, *secondary;
static struct store *store;
static struct store_client *client;

/* The name of the command that stalls; NULL: none. */
static const char *_Atomic stalled;
static atomic_bool not_durable; /* what is written */

static enum scripted_mongo_answer hook(void *context, const char *name, const bson_t *command, bson_t *reply)
{
	(void)context;
	if (not_durable && bson_has_field(command, "writeConcern")) {
		BCON_APPEND(reply, "ok", BCON_INT32(1), "n", BCON_INT32(1), "writeConcernError", "{", "code",
			BCON_INT32(64), "errmsg", BCON_UTF8("waiting for replication timed out"), "}");
		return SCRIPTED_MONGO_REPLY;
	}
	const char *silent = stalled;
	return silent && strcmp(name, silent) == 0 ? SCRIPTED_MONGO_SILENCE : SCRIPTED_MONGO_USUAL;
}

static int start(void **state)
{
	(void)state;
	struct scripted_mongo_options options = {.set_name = "rs0", .hook = hook};
	primary = scripted_mongo_start(&options);
	options.secondary = true;
	secondary = scripted_mongo_start(&options);
	struct scripted_mongo *const members[] = {primary, secondary, NULL};
	scripted_mongo_members(primary, members);
	scripted_mongo_members(secondary, members);
	stalled = NULL;
	not_durable = false;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	scripted_mongo_stop(primary);
	scripted_mongo_stop(secondary);
	return 0;
}

/* Those members, or one of them, with these options. */
static void open_store(const char *hosts, const char *options)
{
	char url[256], message[STORE_MESSAGE_SIZE];
	snprintf(url, sizeof(url), "mongodb://%s/?%s", hosts, options);
	if (store_open(
		    &(struct store_options){
			    .url = url, .database = "cashew", .app_name = "test", .pool_size = 1},
		    &store, message) != 0)
		fail_msg("%s: %s", url, message);
	client = store_acquire(store);
}

static const char *both(void)
{
	static char hosts[80];
	snprintf(hosts, sizeof(hosts), "%s,%s", scripted_mongo_address(primary),
		scripted_mongo_address(secondary));
	return hosts;
}

/* ---- How often an operation is tried ---- */

static void test_attempts(void **state)
{
	(void)state;
	static const struct {
		const char *options, *stalled;
		enum operation operation;
		unsigned attempts;
	} cases[] = {
		{"", "update", REQUEST_ADD, 1},
		{"", "find", REQUEST_LIST, 1},
		{"", "findAndModify", LEASE, 1},
		{"&retryWrites=true", "update", REQUEST_ADD, 2},
		{"&retryReads=true", "find", REQUEST_LIST, 2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char options[128];
		snprintf(options, sizeof(options), "replicaSet=rs0&socketTimeoutMS=200%s", cases[i].options);
		stalled = cases[i].stalled;
		const unsigned before = scripted_mongo_count(primary, stalled);
		open_store(both(), options);
		assert_int_equal(operate(client, cases[i].operation), STORE_E_AWAY);
		const unsigned attempts = scripted_mongo_count(primary, stalled) - before;
		if (attempts != cases[i].attempts)
			fail_msg("%s%s was tried %u times", stalled, cases[i].options, attempts);
		if (i + 1 < sizeof(cases) / sizeof(cases[0])) {
			store_release(client);
			store_close(store);
		}
	}
}

/* ---- What is not as durable as was asked for ---- */

static void test_not_durable(void **state)
{
	(void)state;
	static const enum operation writes[] = {
		REQUEST_ADD, CONTACT_ADD, CONTACT_REMOVE, DEAD_LETTER, APPEND, FINISH, LEASE};
	open_store(both(), "replicaSet=rs0");
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		not_durable = false;
		assert_int_equal(operate(client, writes[i]), 0);
		not_durable = true;
		const int error = operate(client, writes[i]);
		if (error != STORE_E_TRANSIENT)
			fail_msg("%s: %d", operation_names[writes[i]], error);
	}
}

/* ---- Which member is asked ---- */

static const char *const reading_commands[] = {
	"find", "aggregate", "count", "listIndexes", "listCollections", "distinct", NULL};

static bool see_letter(const struct dead_letter *letter, void *context)
{
	(void)letter;
	(void)context;
	return true;
}

static void see_index(void *context, const struct store_index *index)
{
	(void)context;
	(void)index;
}

/* What the list of operations does not have. */
static void read_more(void)
{
	const struct dead_letter_query query = {.limit = 1};
	const struct store_id id = store_new_id();
	struct dead_letter *letter;
	uint64_t count;

	assert_int_equal(dead_letter_list(client, &query, see_letter, NULL), 0);
	assert_int_equal(dead_letter_count(client, &query, &count), 0);
	assert_int_equal(dead_letter_get(client, &id, &letter), STORE_E_NOT_FOUND);
	assert_int_equal(parked_command_count(client, &count), 0);
	assert_int_equal(contact_find(client, "1", "2"), STORE_E_NOT_FOUND);
	assert_int_equal(store_indexes(client, see_index, NULL), 0);
}

static void test_reads_go_to_the_primary(void **state)
{
	(void)state;
	static const char *const preferences[] = {"secondary", "secondaryPreferred", "nearest"};
	for (size_t p = 0; p < sizeof(preferences) / sizeof(preferences[0]); p++) {
		char options[128];
		snprintf(options, sizeof(options), "replicaSet=rs0&readPreference=%s", preferences[p]);
		open_store(both(), options);
		for (int i = 0; i < OPERATIONS; i++)
			assert_int_equal(operate(client, (enum operation)i), 0);
		read_more();
		for (size_t i = 0; reading_commands[i]; i++)
			if (scripted_mongo_count(secondary, reading_commands[i]) > 0)
				fail_msg(
					"%s: a secondary was asked: %s", preferences[p], reading_commands[i]);
		assert_true(scripted_mongo_count(primary, "find") > 0 &&
			    scripted_mongo_count(primary, "aggregate") > 0);
		if (p + 1 < sizeof(preferences) / sizeof(preferences[0])) {
			store_release(client);
			store_close(store);
		}
	}
}

/* ---- Whose shards are asked ---- */

/* What was asked last of parked_commands, by the name of the command, as Extended JSON. */
static struct {
	char find[512], update[512], delete[512];
} asked;

static enum scripted_mongo_answer listen_to(
	void *context, const char *name, const bson_t *command, bson_t *reply)
{
	char *text = bson_as_relaxed_extended_json(command, NULL);
	char *kept = strcmp(name, "find") == 0	   ? asked.find
		     : strcmp(name, "update") == 0 ? asked.update
		     : strcmp(name, "delete") == 0 ? asked.delete
						   : NULL;
	(void)context;
	if (kept)
		snprintf(kept, sizeof(asked.find), "%s", text);
	bson_free(text);
	if (strcmp(name, "insert") != 0)
		return SCRIPTED_MONGO_USUAL;
	/* It is there already: so those that are there are asked for. */
	BCON_APPEND(reply, "ok", BCON_INT32(1), "n", BCON_INT32(0), "writeErrors", "[", "{", "index",
		BCON_INT32(0), "code", BCON_INT32(11000), "errmsg", BCON_UTF8("duplicate key"), "}", "]");
	return SCRIPTED_MONGO_REPLY;
}

static void finish_and_append(const struct scripted_mongo_options *options)
{
	struct scripted_mongo *server = scripted_mongo_start(options);
	const struct store_id ids[] = {store_new_id(), store_new_id(), store_new_id()};
	const struct backlog_lease lease = {.owner = "owner", .lease_ms = 1000};
	const struct parked_finish finishes[] = {
		{.user = "alice", .done = &ids[0], .count = 1, .next = &ids[1], .lease = &lease},
		{.user = "bob", .done = &ids[2], .count = 1}};
	memset(&asked, 0, sizeof(asked));
	open_store(scripted_mongo_address(server), "");
	assert_int_equal(parked_commands_finish(client, finishes, 2), 0);
	assert_int_equal(operate(client, APPEND), STORE_E_PERMANENT);
	store_release(client);
	store_close(store);
	client = NULL;
	store = NULL;
	scripted_mongo_stop(server);
}

static void test_router_is_told_the_users(void **state)
{
	(void)state;
	finish_and_append(&(struct scripted_mongo_options){.router = true, .hook = listen_to});
	assert_non_null(strstr(asked.update, "\"user_id\" : { \"$in\" : [ \"alice\", \"bob\" ] }"));
	assert_non_null(strstr(asked.delete, "\"user_id\" : { \"$in\" : [ \"alice\", \"bob\" ] }"));
	/* So that they are removed in the order of their ids, as without the users. */
	assert_non_null(strstr(asked.delete, "\"hint\" : { \"_id\" : 1 }"));
	assert_non_null(strstr(asked.find, "\"user_id\" : { \"$in\" : [ \"1\" ] }"));
	finish_and_append(&(struct scripted_mongo_options){.hook = listen_to});
	assert_non_null(strstr(asked.update, "\"_id\" : { \"$in\" : "));
	assert_null(strstr(asked.update, "user_id"));
	assert_non_null(strstr(asked.delete, "\"_id\" : { \"$in\" : "));
	assert_null(strstr(asked.delete, "user_id"));
	assert_null(strstr(asked.delete, "hint"));
	assert_null(strstr(asked.find, "user_id"));
}

/* ---- Who is found ---- */

enum { FOUND_MS = 20000 };

static void test_one_member_is_named(void **state)
{
	(void)state;
	struct store_description is;
	open_store(scripted_mongo_address(secondary), "heartbeatFrequencyMS=500");
	assert_int_equal(operate(client, REQUEST_ADD), 0);
	assert_int_equal(scripted_mongo_count(primary, "update"), 1);
	assert_int_equal(store_describe(client, &is), 0);
	assert_int_equal(is.kind, STORE_REPLICA_SET);
	assert_string_equal(is.set_name, "rs0");
	assert_int_equal(is.members, 2);
	assert_false(is.direct);
	char hosts[80];
	snprintf(hosts, sizeof(hosts), "%s, %s", scripted_mongo_address(primary),
		scripted_mongo_address(secondary));
	assert_string_equal(is.hosts, hosts);
}

static void test_another_primary(void **state)
{
	(void)state;
	open_store(scripted_mongo_address(primary), "heartbeatFrequencyMS=500");
	assert_int_equal(operate(client, REQUEST_ADD), 0);
	scripted_mongo_elect(primary, false);
	scripted_mongo_elect(secondary, true);
	const int64_t until_ms = clock_ms() + FOUND_MS;
	int error;
	while ((error = operate(client, REQUEST_ADD)) != 0 && clock_ms() < until_ms)
		assert_true(error == STORE_E_AWAY || error == STORE_E_TRANSIENT);
	assert_int_equal(error, 0);
	assert_int_equal(scripted_mongo_count(secondary, "update"), 1);
}

static void test_one_member_is_wanted(void **state)
{
	(void)state;
	struct store_description is;
	open_store(scripted_mongo_address(primary), "directConnection=true");
	assert_int_equal(operate(client, REQUEST_ADD), 0);
	assert_int_equal(store_describe(client, &is), 0);
	assert_true(is.direct);
	store_release(client);
	store_close(store);
	open_store(scripted_mongo_address(secondary), "directConnection=true");
	assert_int_equal(operate(client, REQUEST_ADD), STORE_E_TRANSIENT);
}

/* A server that is there, and not of the set that the URL names. */
static void test_another_set(void **state)
{
	(void)state;
	struct scripted_mongo *standalone =
		scripted_mongo_start(&(struct scripted_mongo_options){.set_name = NULL});
	const char *const hosts[] = {scripted_mongo_address(standalone), scripted_mongo_address(primary)};
	for (size_t i = 0; i < 2; i++) {
		open_store(hosts[i], "replicaSet=rs1&serverSelectionTimeoutMS=300");
		assert_int_equal(store_ping(client), STORE_E_AWAY);
		if (!strstr(store_last_error(client), "only members of the replica set rs1 count"))
			fail_msg("%s", store_last_error(client));
		if (i == 0) {
			store_release(client);
			store_close(store);
		}
	}
	scripted_mongo_stop(standalone);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_attempts),
		CASE(test_not_durable),
		CASE(test_reads_go_to_the_primary),
		cmocka_unit_test(test_router_is_told_the_users),
		CASE(test_one_member_is_named),
		CASE(test_another_primary),
		CASE(test_one_member_is_wanted),
		CASE(test_another_set),
	};
	return cmocka_run_group_tests_name("store_replicas", tests, NULL, NULL);
}
