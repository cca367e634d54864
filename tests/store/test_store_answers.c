/*
 * test_store_answers.c - what store_documents.c makes of a server's answers: duplicate keys with and without a write concern's error beside them, no
 * document, a batch that is not all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "scripted_mongo.h"
#include "store_documents.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char *answer_to, *answer;

static enum scripted_mongo_answer hook(void *context, const char *name, const bson_t *command, bson_t *reply)
{
	bson_error_t error;
	bson_t made;
	(void)context, (void)command;
	if (strcmp(name, answer_to) != 0)
		return SCRIPTED_MONGO_USUAL;
	if (!bson_init_from_json(&made, answer, -1, &error))
		return SCRIPTED_MONGO_CLOSE;
	bson_concat(reply, &made);
	bson_destroy(&made);
	return SCRIPTED_MONGO_REPLY;
}

#define CONCERN "\"writeConcernError\":{\"code\":64,\"errmsg\":\"waiting for replication timed out\"}"

static struct scripted_mongo *server;
static struct store *store;
static struct store_client *client;

static int start(void **state)
{
	char url[128], message[STORE_MESSAGE_SIZE];
	(void)state;
	answer_to = "-";
	server = scripted_mongo_start(&(struct scripted_mongo_options){.hook = hook});
	snprintf(url, sizeof(url), "mongodb://%s/", scripted_mongo_address(server));
	if (store_open(&(struct store_options){.url = url, .database = "d", .pool_size = 1}, &store,
		    message) != 0)
		return -1;
	client = store_acquire(store);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	scripted_mongo_stop(server);
	return 0;
}

static void test_modify(void **state)
{
	static const struct {
		const char *answer;
		int expected;
	} cases[] = {
		{"{\"ok\":1,\"value\":{\"_id\":\"1\"}}", 0},
		{"{\"ok\":1,\"value\":null}", STORE_E_NOT_FOUND},
		{"{\"ok\":1,\"value\":null," CONCERN "}", STORE_E_TRANSIENT},
		{"{\"ok\":1,\"value\":{\"_id\":\"1\"}," CONCERN "}", STORE_E_TRANSIENT},
		{"{\"ok\":0,\"code\":11000,\"errmsg\":\"E11000\"}", STORE_E_DUPLICATE},
		{"{\"ok\":0,\"code\":11000,\"errmsg\":\"E11000\"," CONCERN "}", STORE_E_TRANSIENT},
		{"{\"ok\":0,\"code\":112,\"errmsg\":\"WriteConflict\"}", STORE_E_TRANSIENT},
		{"{\"ok\":0,\"code\":17419,\"errmsg\":\"too large\"}", STORE_E_PERMANENT},
	};
	(void)state;
	answer_to = "findAndModify";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, reply;
		bson_iter_t document;
		answer = cases[i].answer;
		const struct store_modification modification = {
			.collection = "dishes", .filter = &filter, .update = &update, .upsert = true};
		const int error = store_documents_modify(client, &modification, &reply, &document);
		if (error != cases[i].expected)
			fail_msg("%s: %d, %s", cases[i].answer, error, store_last_error(client));
		if (error == 0)
			bson_destroy(&reply);
		bson_destroy(&filter);
		bson_destroy(&update);
	}
}

static void test_write(void **state)
{
	static const struct {
		const char *answer;
		int expected, failed; /* number of the statement */
	} cases[] = {
		{"{\"ok\":1,\"n\":2}", 0, 0},
		{"{\"ok\":1,\"n\":0,\"writeErrors\":[{\"index\":0,\"code\":11000,\"errmsg\":\"E11000\"}]}",
			STORE_E_DUPLICATE, 0},
		{"{\"ok\":1,\"n\":1,\"writeErrors\":[{\"index\":1,\"code\":11000,\"errmsg\":\"E11000\"}]}",
			STORE_E_DUPLICATE, 1},
		{"{\"ok\":1,\"n\":1,\"writeErrors\":[{\"index\":1,\"code\":11000,\"errmsg\":\"E11000\"}]," CONCERN
		 "}",
			STORE_E_TRANSIENT, -1},
		{"{\"ok\":1,\"n\":2," CONCERN "}", STORE_E_TRANSIENT, -1},
	};
	(void)state;
	answer_to = "update";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bson_t *filter = BCON_NEW("_id", "1"),
		       *update = BCON_NEW("$set", "{", "a", BCON_INT32(1), "}");
		struct store_statement second = {.kind = STORE_UPSERT, .filter = filter, .update = update};
		const struct store_statement first = {
			.next = &second, .kind = STORE_UPSERT, .filter = filter, .update = update};
		const struct store_statement *failed = NULL;
		answer = cases[i].answer;
		const int error = store_documents_write(client, "dishes", &first, &failed);
		if (error != cases[i].expected)
			fail_msg("%s: %d, %s", cases[i].answer, error, store_last_error(client));
		if (error == STORE_E_DUPLICATE)
			assert_ptr_equal(failed, cases[i].failed == 0 ? &first : &second);
		bson_destroy(filter);
		bson_destroy(update);
	}
}

static void test_a_batch_that_is_not_all(void **state)
{
	bson_t filter = BSON_INITIALIZER, reply;
	bson_iter_t documents;
	bool more;
	(void)state;
	answer_to = "find";
	answer =
		"{\"ok\":1,\"cursor\":{\"id\":{\"$numberLong\":\"7\"},\"ns\":\"d.dishes\",\"firstBatch\":[{\"_id\":\"1\"}]}}";
	const struct store_query query = {.collection = "dishes", .filter = &filter, .limit = 10};
	assert_int_equal(store_documents_find(client, &query, &reply, &documents, &more), 0);
	assert_true(more);
	assert_true(bson_iter_next(&documents));
	assert_false(bson_iter_next(&documents));
	bson_destroy(&reply);
	assert_int_equal(scripted_mongo_count(server, "killCursors"), 1);
	answer = "{\"ok\":1,\"cursor\":5}";
	assert_int_equal(store_documents_find(client, &query, &reply, &documents, &more), STORE_E_PERMANENT);
	bson_destroy(&filter);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_modify),
		CASE(test_write),
		CASE(test_a_batch_that_is_not_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
