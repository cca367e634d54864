/* test_store_indexes.c - which indexes the real store makes, and what it does where another one is in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "database.h"
#include "real_store.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>
#include <string.h>

/* ---- indexes ---- */

/* expires_s: its expireAfterSeconds; -1: none. */
static bool has_index_that_expires(const char *collection_name, const char *index, int64_t expires_s)
{
	mongoc_collection_t *collection = collection_of(collection_name);
	mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(collection, NULL);
	const bson_t *found;
	bson_iter_t iter;
	bool has = false;

	while (mongoc_cursor_next(cursor, &found))
		if (strcmp(text_of(found, "name"), index) == 0)
			has = expires_s == (bson_iter_init_find(&iter, found, "expireAfterSeconds")
							   ? bson_iter_as_int64(&iter)
							   : -1);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	return has;
}

static bool has_index(const char *collection_name, const char *index)
{
	return has_index_that_expires(collection_name, index, -1);
}

static void test_indexes(void **state)
{
	static const struct {
		const char *collection;
		const char *index;
		int64_t expires_s;
	} cases[] = {
		{"contacts", "user_id_1_contact_id_1", -1},
		{"contact_requests", "user_id_1_from_1", -1},
		{"apples", "position_1__id_1", -1},
		{"dead_letters", "when_1__id_1", -1},
		{"dead_letters", "user_id_1_when_1__id_1", -1},
		{"dead_letters", "handler_1_when_1__id_1", -1},
		{"dead_letters", "expires_1", 0},
		{"parked_commands", "lane_1_done_1_user_id_1_position_1", -1},
		{"parked_commands", "not_before_1_lane_1_user_id_1", -1},
		{"parked_commands", "lane_1_position_1", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s of %s\n", cases[i].index, cases[i].collection);
		assert_true(has_index_that_expires(cases[i].collection, cases[i].index, cases[i].expires_s));
	}
}

/* Makes or drops an index of contacts by hand. */
static void command(const char *json)
{
	bson_error_t error;
	bson_t document_of;

	assert_true(bson_init_from_json(&document_of, json, -1, &error));
	if (!mongoc_database_write_command_with_opts(
		    store_database(client), &document_of, NULL, NULL, &error))
		fail_msg("%s: %s", json, error.message);
	bson_destroy(&document_of);
}

static void test_index_in_the_way(void **state)
{
	(void)state;
	command("{\"dropIndexes\":\"contacts\",\"index\":\"user_id_1_contact_id_1\"}");
	command("{\"createIndexes\":\"contacts\",\"indexes\":[{\"key\":{\"user_id\":1,\"contact_id\":1},"
		"\"name\":\"user_id_1_contact_id_1\",\"unique\":true}]}");
	assert_int_equal(store_prepare(client), 0);
	command("{\"dropIndexes\":\"contacts\",\"index\":\"user_id_1_contact_id_1\"}");
	assert_int_equal(store_prepare(client), 0);
	assert_true(has_index("contacts", "user_id_1_contact_id_1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_indexes),
		CASE(test_index_in_the_way),
	};
	int failed;

	database_start(&database, false);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	database_stop(&database);
	return failed;
}
