/*
 * test_store_explain.c - the commands that the store's functions send: few each, acknowledged by the
 * majority's journals, and none that makes the server look through a collection.
 *
 * The commands are those of the store's own pool, heard by the driver's monitoring, so no copy of a filter
 * can grow apart from the real one. Each is explained by the server, over some thousand documents.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "database.h"
#include "explain_parts.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>

enum { COMMANDS_MAX = 16 };

static struct database database;

/* ---- hearing commands ---- */

static struct {
	bson_t *commands[COMMANDS_MAX];
	size_t count;
	bool listening;
} heard;

static void command_started(const mongoc_apm_command_started_t *event)
{
	if (!heard.listening)
		return;
	if (heard.count == COMMANDS_MAX)
		abort();
	heard.commands[heard.count++] = bson_copy(mongoc_apm_command_started_get_command(event));
}

mongoc_client_pool_t *__real_mongoc_client_pool_new_with_error(const mongoc_uri_t *uri, bson_error_t *error);
mongoc_client_pool_t *__wrap_mongoc_client_pool_new_with_error(const mongoc_uri_t *uri, bson_error_t *error);

/* The linker puts this in the place of the driver's function (--wrap). */
mongoc_client_pool_t *__wrap_mongoc_client_pool_new_with_error(const mongoc_uri_t *uri, bson_error_t *error)
{
	mongoc_client_pool_t *pool = __real_mongoc_client_pool_new_with_error(uri, error);
	mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();

	mongoc_apm_set_command_started_cb(callbacks, command_started);
	if (pool && !mongoc_client_pool_set_apm_callbacks(pool, callbacks, NULL))
		abort();
	mongoc_apm_callbacks_destroy(callbacks);
	return pool;
}

static void forget(void)
{
	for (size_t i = 0; i < heard.count; i++)
		bson_destroy(heard.commands[i]);
	heard.count = 0;
}

static int open_store(void **state)
{
	(void)state;
	store = database_open(&database, NULL);
	client = store_acquire(store);
	if (explained_documents_want_indexes(store) != 0 || store_prepare(client) != 0 ||
		apples_add(client) != 0 || explained_documents_fill(client) != 0)
		return -1;
	fill("contacts");
	fill("contact_requests");
	fill("parked_commands");
	fill("dead_letters");
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	forget();
	store_release(client);
	store_close(store);
	return 0;
}

static void listen_to(size_t i)
{
	forget();
	heard.listening = true;
	assert_int_equal(functions[i].call(), 0);
	heard.listening = false;
}

/* ---- one command each ---- */

static void expect_command(const bson_t *sent, const char *name, int statements)
{
	static const char *const arrays[] = {"updates", "deletes", "documents"};
	bson_iter_t iter, concern, statement;
	int count = 0;

	assert_true(bson_iter_init(&iter, sent) && bson_iter_next(&iter));
	assert_string_equal(bson_iter_key(&iter), name);
	for (size_t n = 0; n < 3; n++)
		if (bson_iter_init_find(&iter, sent, arrays[n]) && bson_iter_recurse(&iter, &statement))
			while (bson_iter_next(&statement))
				count++;
	if (statements > 0)
		assert_int_equal(count, statements);
	if (count == 0 && strcmp(name, "findAndModify") != 0)
		return;
	assert_true(bson_iter_init(&iter, sent));
	assert_true(bson_iter_find_descendant(&iter, "writeConcern.w", &concern));
	assert_string_equal(bson_iter_utf8(&concern, NULL), "majority");
	assert_true(bson_iter_init(&iter, sent));
	assert_true(bson_iter_find_descendant(&iter, "writeConcern.j", &concern));
	assert_true(bson_iter_as_bool(&concern));
}

static void test_few_commands_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < FUNCTIONS; i++) {
		print_message("  %s\n", functions[i].name);
		listen_to(i);
		assert_int_equal(heard.count, functions[i].third ? 3 : functions[i].second ? 2 : 1);
		expect_command(heard.commands[0], functions[i].command, functions[i].statements);
		if (functions[i].second)
			expect_command(heard.commands[1], functions[i].second, 0);
		if (functions[i].third)
			expect_command(heard.commands[2], functions[i].third, 0);
	}
}

/* ---- explaining ---- */

static const char *const index_stages[] = {"IXSCAN", "IDHACK", "EXPRESS_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN",
	"EXPRESS_UPDATE", "EXPRESS_DELETE", "CLUSTERED_IXSCAN", "COUNT_SCAN", "DISTINCT_SCAN"};

struct plan {
	bool scans_collection;
	bool uses_index;
};

/* Looks at every `stage` in the winning plan, however deep: a shard's plan is one level deeper. */
static void read_plan(bson_iter_t *iter, bool winning, struct plan *plan)
{
	while (bson_iter_next(iter)) {
		const char *key = bson_iter_key(iter);
		bson_iter_t child;

		if (strcmp(key, "rejectedPlans") == 0)
			continue;
		if (winning && strcmp(key, "stage") == 0 && BSON_ITER_HOLDS_UTF8(iter)) {
			const char *stage = bson_iter_utf8(iter, NULL);

			if (strcmp(stage, "COLLSCAN") == 0)
				plan->scans_collection = true;
			for (size_t i = 0; i < sizeof(index_stages) / sizeof(index_stages[0]); i++)
				if (strcmp(stage, index_stages[i]) == 0)
					plan->uses_index = true;
		}
		if ((BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter)) &&
			bson_iter_recurse(iter, &child))
			read_plan(&child, winning || strcmp(key, "winningPlan") == 0, plan);
	}
}

static struct plan explain(const bson_t *command)
{
	bson_t question = BSON_INITIALIZER, reply;
	struct plan plan = {.uses_index = false};
	bson_error_t error;
	bson_iter_t iter;

	BSON_APPEND_DOCUMENT(&question, "explain", command);
	BSON_APPEND_UTF8(&question, "verbosity", "queryPlanner");
	if (!mongoc_database_command_simple(store_database(client), &question, NULL, &reply, &error))
		fail_msg("explain: %s", error.message);
	assert_true(bson_iter_init(&iter, &reply));
	read_plan(&iter, false, &plan);
	bson_destroy(&reply);
	bson_destroy(&question);
	return plan;
}

static void expect_index(const bson_t *command)
{
	const struct plan plan = explain(command);

	if (!plan.scans_collection && plan.uses_index)
		return;
	{
		char *json = bson_as_relaxed_extended_json(command, NULL);

		print_message("%s\n", json);
		bson_free(json);
	}
	assert_false(plan.scans_collection);
	assert_true(plan.uses_index);
}

/* The command as it was sent, without what the driver adds to each and explain takes none of. */
static void strip(const bson_t *sent, bson_t *command)
{
	bson_init(command);
	bson_copy_to_excluding_noinit(sent, command, "lsid", "$db", "$readPreference", "$clusterTime",
		"txnNumber", "writeConcern", "readConcern", "updates", "deletes", (const char *)NULL);
}

static bool plans_more_than_an_index(void)
{
	static int known = -1;
	bson_error_t error;
	bson_t find;

	if (known < 0) {
		assert_true(bson_init_from_json(&find,
			"{\"find\":\"contacts\",\"filter\":{\"user_id\":\"me\",\"contact_id\":\"u7\","
			"\"since\":null}}",
			-1, &error));
		known = !explain(&find).scans_collection;
		bson_destroy(&find);
	}
	return known;
}

/* Of the filter, the conditions on the keys of that index, as far as it has them all. */
static size_t part_of_index(const bson_t *filter, const bson_t *index, bson_t *ret_part)
{
	bson_iter_t keys, key, condition;
	size_t count = 0;

	bson_init(ret_part);
	assert_true(bson_iter_init_find(&keys, index, "key") && bson_iter_recurse(&keys, &key));
	while (bson_iter_next(&key) && bson_iter_init_find(&condition, filter, bson_iter_key(&key))) {
		bson_append_iter(ret_part, NULL, 0, &condition);
		count++;
	}
	return count;
}

/* Leaves of a filter what the index holds that holds the most of it: what comes beside that is looked at in
 * the documents that the index leads to. SecantusDB up to 0.7 knows no such plan, and scans. */
static void reduce(const char *name, bson_t *filter)
{
	mongoc_collection_t *collection = mongoc_database_get_collection(store_database(client), name);
	mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(collection, NULL);
	const bool has_id = bson_has_field(filter, "_id");
	bson_t best = BSON_INITIALIZER;
	const bson_t *index;
	size_t most = 0;

	print_message("    this server plans no conditions beside an index; the index's are looked at\n");
	while (mongoc_cursor_next(cursor, &index)) {
		bson_t part;
		const size_t count = part_of_index(filter, index, &part);
		bson_iter_t id;

		/* No index leads to fewer documents. */
		if (has_id && (count == 0 || !bson_iter_init_find(&id, &part, "_id"))) {
			bson_destroy(&part);
			continue;
		}
		if (count > most) {
			most = count;
			bson_destroy(&best);
			bson_copy_to(&part, &best);
		}
		bson_destroy(&part);
	}
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	bson_destroy(filter);
	bson_copy_to(&best, filter);
	bson_destroy(&best);
}

static bool scans(const char *name, const bson_t *filter)
{
	bson_t find = BSON_INITIALIZER;
	bool scan;

	BSON_APPEND_UTF8(&find, "find", name);
	BSON_APPEND_DOCUMENT(&find, "filter", filter);
	scan = explain(&find).scans_collection;
	bson_destroy(&find);
	return scan;
}

/* The find that a statement of a write begins with. */
static void explain_filter(const bson_t *command, const bson_iter_t *filter)
{
	bson_t find = BSON_INITIALIZER, given, condition;
	const uint8_t *bytes;
	bson_iter_t iter;
	const char *name;
	uint32_t size;

	assert_true(bson_iter_init(&iter, command) && bson_iter_next(&iter));
	name = bson_iter_utf8(&iter, NULL);
	bson_iter_document(filter, &size, &bytes);
	assert_true(bson_init_static(&given, bytes, size));
	bson_copy_to(&given, &condition);
	if (scans(name, &condition) && !plans_more_than_an_index())
		reduce(name, &condition);
	BSON_APPEND_UTF8(&find, "find", name);
	BSON_APPEND_DOCUMENT(&find, "filter", &condition);
	expect_index(&find);
	bson_destroy(&condition);
	bson_destroy(&find);
}

/* Whether the server explains writes at all: SecantusDB up to 0.7 answers with the plan of an empty filter. */
static bool writes_are_explained(const bson_t *command)
{
	bson_t question = BSON_INITIALIZER, reply;
	bson_iter_t iter, filter;
	bson_error_t error;
	bool explained = false;

	BSON_APPEND_DOCUMENT(&question, "explain", command);
	BSON_APPEND_UTF8(&question, "verbosity", "queryPlanner");
	if (!mongoc_database_command_simple(store_database(client), &question, NULL, &reply, &error))
		fail_msg("explain: %s", error.message);
	if (!bson_iter_init(&iter, &reply) ||
		!bson_iter_find_descendant(&iter, "queryPlanner.parsedQuery", &filter))
		explained = true; /* of a cluster: it is further down */
	else if (bson_iter_recurse(&filter, &iter))
		explained = bson_iter_next(&iter);
	bson_destroy(&reply);
	bson_destroy(&question);
	return explained;
}

/* A write is explained one statement at a time: servers take no more. */
static void explain_statements(const bson_t *sent, const char *array)
{
	bson_iter_t iter, statements, filter;

	assert_true(bson_iter_init_find(&iter, sent, array) && bson_iter_recurse(&iter, &statements));
	while (bson_iter_next(&statements)) {
		bson_t command, one, statement;
		const uint8_t *bytes;
		uint32_t size;

		assert_true(bson_iter_recurse(&statements, &filter) && bson_iter_find(&filter, "q"));
		explain_filter(sent, &filter);
		strip(sent, &command);
		bson_iter_document(&statements, &size, &bytes);
		assert_true(bson_init_static(&statement, bytes, size));
		BSON_APPEND_ARRAY_BEGIN(&command, array, &one);
		BSON_APPEND_DOCUMENT(&one, "0", &statement);
		bson_append_array_end(&command, &one);
		if (writes_are_explained(&command))
			expect_index(&command);
		else
			print_message(
				"    this server explains no writes; their filters are looked at instead\n");
		bson_destroy(&command);
	}
}

/* An aggregation begins with what its first stage finds. */
static void explain_match(const bson_t *sent)
{
	bson_iter_t iter, match;

	assert_true(bson_iter_init(&iter, sent));
	assert_true(bson_iter_find_descendant(&iter, "pipeline.0.$match", &match));
	explain_filter(sent, &match);
}

static void explain_command(const bson_t *sent)
{
	bson_iter_t iter;
	bson_t command;

	assert_true(bson_iter_init(&iter, sent) && bson_iter_next(&iter));
	if (strcmp(bson_iter_key(&iter), "update") == 0) {
		explain_statements(sent, "updates");
	} else if (strcmp(bson_iter_key(&iter), "delete") == 0) {
		explain_statements(sent, "deletes");
	} else if (strcmp(bson_iter_key(&iter), "aggregate") == 0) {
		explain_match(sent);
	} else if (strcmp(bson_iter_key(&iter), "findAndModify") == 0) {
		assert_true(bson_iter_init_find(&iter, sent, "query"));
		explain_filter(sent, &iter);
	} else if (strcmp(bson_iter_key(&iter), "find") == 0) {
		strip(sent, &command);
		expect_index(&command);
		bson_destroy(&command);
	}
}

static void test_every_filter_has_its_index(void **state)
{
	(void)state;
	for (size_t i = 0; i < FUNCTIONS; i++) {
		print_message("  %s\n", functions[i].name);
		listen_to(i);
		for (size_t n = 0; n < heard.count; n++)
			explain_command(heard.commands[n]);
	}
}

static void test_prepare_has_its_index(void **state)
{
	(void)state;
	forget();
	heard.listening = true;
	assert_int_equal(store_prepare(client), 0);
	heard.listening = false;
	/* the time; indexes are asked for on a connection of their own, which is not listened to */
	assert_int_equal(heard.count, 1);
	for (size_t i = 0; i < heard.count; i++)
		explain_command(heard.commands[i]);
}

/* Without this, the test above could pass on a server that always says IXSCAN. */
static void test_a_scan_is_noticed(void **state)
{
	bson_error_t error;
	struct plan plan;
	bson_t command, filter;

	(void)state;
	assert_true(bson_init_from_json(
		&command, "{\"find\":\"contacts\",\"filter\":{\"contact_id\":\"u7\"}}", -1, &error));
	plan = explain(&command);
	assert_true(plan.scans_collection);
	assert_false(plan.uses_index);
	bson_destroy(&command);
	/* nor is one overlooked where a server makes us reduce the filter */
	assert_true(bson_init_from_json(&filter, "{\"contact_id\":\"u7\",\"since\":null}", -1, &error));
	reduce("contacts", &filter);
	assert_true(scans("contacts", &filter));
	bson_destroy(&filter);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_few_commands_each),
		CASE(test_every_filter_has_its_index),
		CASE(test_prepare_has_its_index),
		CASE(test_a_scan_is_noticed),
	};
	int failed;

	database_start(&database, false);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	database_stop(&database);
	return failed;
}
