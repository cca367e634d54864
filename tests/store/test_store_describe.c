/*
 * test_store_describe.c - what the store tells of the server and of its indexes, without leaving anything
 * there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "database.h"
#include "parked_commands.h"
#include "store_describe.h"
#include "store_rights.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct database database;

/* ---- the server ---- */

static void test_description(void **state)
{
	(void)state;
	struct store *store = database_open(&database, NULL);
	struct store_client *client = store_acquire(store);
	struct store_description is;

	assert_int_equal(store_describe(client, &is), 0);
	assert_true(is.version[0] >= '1' && is.version[0] <= '9');
	assert_true(is.writable);
	assert_true(is.majority);
	assert_true(is.journal);
	assert_string_equal(is.w, "majority");
	assert_int_equal(is.wtimeout_ms, 5000);
	store_release(client);
	store_close(store);
}

static void test_write_concern_of_the_url(void **state)
{
	(void)state;
	char *url = database_url_with(&database, "w=1&journal=false&wtimeoutMS=123");
	struct store *store = database_open(&database, &(struct store_options){.url = url, .pool_size = 1});
	struct store_client *client = store_acquire(store);
	struct store_description is;

	assert_int_equal(store_describe(client, &is), 0);
	assert_false(is.majority);
	assert_false(is.journal);
	assert_string_equal(is.w, "1");
	assert_int_equal(is.wtimeout_ms, 123);
	store_release(client);
	store_close(store);
	free(url);
}

/* How many collections there are. */
static size_t count_collections(struct store_client *client)
{
	bson_error_t error;
	size_t count = 0;
	char **names = mongoc_database_get_collection_names_with_opts(store_database(client), NULL, &error);

	assert_non_null(names);
	while (names[count])
		count++;
	bson_strfreev(names);
	return count;
}

static void test_looking_leaves_nothing(void **state)
{
	(void)state;
	struct store *store = database_open(&database, NULL);
	struct store_client *client = store_acquire(store);
	uint64_t count = 1;

	assert_int_equal(store_write_nothing(client), 0);
	assert_int_equal(parked_command_count(client, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(store_rights_try(client, "contacts", STORE_RIGHTS_DELETE), 0);
	assert_int_equal(count_collections(client), 0);
	/* Nor where the collection is there. */
	assert_int_equal(store_prepare(client), 0);
	assert_int_equal(store_rights_try(client, "parked_commands", STORE_RIGHTS_WRITE), 0);
	assert_int_equal(parked_command_count(client, &count), 0);
	assert_int_equal(count, 0);
	store_release(client);
	store_close(store);
}

/* ---- indexes ---- */

struct seen {
	unsigned there, missing, other;
	char last_other[64], found[512];
};

static void note(void *context, const struct store_index *index)
{
	struct seen *seen = context;

	assert_int_equal(index->found != NULL, index->state == STORE_INDEX_OTHER);
	switch (index->state) {
	case STORE_INDEX_THERE: seen->there++; break;
	case STORE_INDEX_MISSING: seen->missing++; break;
	case STORE_INDEX_OTHER:
		seen->other++;
		snprintf(seen->last_other, sizeof(seen->last_other), "%s.%s", index->collection, index->name);
		snprintf(seen->found, sizeof(seen->found), "%s", index->found);
	}
}

static struct seen look(struct store_client *client)
{
	struct seen seen = {.there = 0};

	assert_int_equal(store_indexes(client, note, &seen), 0);
	return seen;
}

static void make_index(struct store_client *client, const char *collection, const char *index)
{
	bson_error_t error;
	char *json = bson_strdup_printf("{\"createIndexes\": \"%s\", \"indexes\": [%s]}", collection, index);
	bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &error);

	assert_non_null(command);
	assert_true(mongoc_database_command_simple(store_database(client), command, NULL, NULL, &error));
	bson_destroy(command);
	bson_free(json);
}

static void test_indexes(void **state)
{
	(void)state;
	struct store *store = database_open(&database, NULL);
	assert_int_equal(contact_documents_want_indexes(store), 0);
	struct store_client *client = store_acquire(store);
	struct seen before = look(client), after;

	assert_int_equal(before.there, 0);
	assert_int_equal(before.other, 0);
	assert_int_equal(store_prepare(client), 0);
	after = look(client);
	assert_int_equal(after.there, before.missing);
	assert_int_equal(after.missing, 0);
	assert_int_equal(after.other, 0);
	store_release(client);
	store_close(store);
}

/* What is in the way of an index is told and stays, and store_prepare() makes the others. */
static void test_indexes_in_the_way(void **state)
{
	(void)state;
	static const struct {
		const char *name, *collection, *index, *other, *found;
	} cases[] = {
		{"an expiry of its own", "dead_letters",
			"{\"key\": {\"expires\": 1}, \"name\": \"expires_1\", \"expireAfterSeconds\": 60}",
			"dead_letters.expires_1", "\"expireAfterSeconds\" : 60"},
		{"no expiry", "dead_letters", "{\"key\": {\"expires\": 1}, \"name\": \"expires_1\"}",
			"dead_letters.expires_1", "\"expires\" : 1"},
		{"a unique one", "contacts",
			"{\"key\": {\"user_id\": 1, \"contact_id\": 1}, \"name\": \"user_id_1_contact_id_1\", "
			"\"unique\": true}",
			"contacts.user_id_1_contact_id_1", "\"unique\" : true"},
		{"its keys in another order", "contacts",
			"{\"key\": {\"contact_id\": 1, \"user_id\": 1}, \"name\": "
			"\"contact_id_1_user_id_1\"}",
			NULL, NULL},
		{"the same, its numbers of another type", "apples",
			"{\"key\": {\"position\": 1.0, \"_id\": 1}, \"name\": \"position_1__id_1\"}", NULL,
			NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *store = database_open(&database, NULL);
		assert_int_equal(contact_documents_want_indexes(store), 0);
		struct store_client *client = store_acquire(store);
		struct seen seen;

		make_index(client, cases[i].collection, cases[i].index);
		for (int prepared = 0; prepared < 2; prepared++) {
			seen = look(client);
			if (seen.other != (cases[i].other != NULL) ||
				(cases[i].other && strcmp(seen.last_other, cases[i].other) != 0))
				fail_msg("%s: %u are in the way, the last %s", cases[i].name, seen.other,
					seen.last_other);
			if (cases[i].found && !strstr(seen.found, cases[i].found))
				fail_msg("%s: %s", cases[i].name, seen.found);
			if (prepared == 0)
				assert_int_equal(store_prepare(client), 0);
		}
		assert_int_equal(seen.missing, 0);
		store_release(client);
		store_close(store);
	}
}

/* ---- without a server ---- */

static void test_server_away(void **state)
{
	(void)state;
	static const char url[] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200";
	char message[STORE_MESSAGE_SIZE];
	struct store *store;
	struct store_description is;
	struct seen seen = {.there = 0};
	uint64_t count;

	assert_int_equal(
		store_open(
			&(struct store_options){.url = url, .database = "d", .app_name = "t", .pool_size = 1},
			&store, message),
		0);
	struct store_client *client = store_acquire(store);
	assert_int_equal(store_describe(client, &is), STORE_E_AWAY);
	assert_string_not_equal(store_last_error(client), "");
	assert_int_equal(store_write_nothing(client), STORE_E_AWAY);
	assert_int_equal(store_indexes(client, note, &seen), STORE_E_AWAY);
	assert_int_equal(parked_command_count(client, &count), STORE_E_AWAY);
	store_release(client);
	store_close(store);
}

static int start(void **state)
{
	(void)state;
	database_start(&database, false);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	database_stop(&database);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_write_concern_of_the_url),
		cmocka_unit_test(test_looking_leaves_nothing),
		cmocka_unit_test(test_indexes),
		cmocka_unit_test(test_indexes_in_the_way),
		cmocka_unit_test(test_server_away),
	};
	return cmocka_run_group_tests_name("store_describe", tests, start, stop);
}
