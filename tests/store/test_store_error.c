/* test_store_error.c - what errors mean: the table of store_error.c, and the answers to writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "store_client.h"
#include <cmocka.h>

static void test_classify(void **state)
{
	static const struct {
		const char *name;
		uint32_t domain;
		uint32_t code;
		int expected;
	} cases[] = {
		{"duplicate key", MONGOC_ERROR_SERVER, 11000, STORE_E_DUPLICATE},
		{"duplicate key of an update, old", MONGOC_ERROR_SERVER, 11001, STORE_E_DUPLICATE},
		{"no server", MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
			STORE_E_AWAY},
		{"connection refused", MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, STORE_E_AWAY},
		{"connection broken", MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, STORE_E_AWAY},
		{"name not found", MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, STORE_E_AWAY},
		{"answer cut short", MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY,
			STORE_E_AWAY},
		{"wrong password", MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, STORE_E_AWAY},
		{"wrong password, the server's word", MONGOC_ERROR_SERVER, 18, STORE_E_AWAY},
		{"SCRAM broken off", MONGOC_ERROR_SCRAM, MONGOC_ERROR_SCRAM_PROTOCOL_ERROR, STORE_E_AWAY},
		{"write conflict", MONGOC_ERROR_SERVER, 112, STORE_E_TRANSIENT},
		{"not writable primary", MONGOC_ERROR_SERVER, 10107, STORE_E_TRANSIENT},
		{"not primary, no secondary ok", MONGOC_ERROR_SERVER, 13435, STORE_E_TRANSIENT},
		{"not primary or secondary", MONGOC_ERROR_SERVER, 13436, STORE_E_TRANSIENT},
		{"primary stepped down", MONGOC_ERROR_SERVER, 189, STORE_E_TRANSIENT},
		{"shutdown in progress", MONGOC_ERROR_SERVER, 91, STORE_E_TRANSIENT},
		{"interrupted at shutdown", MONGOC_ERROR_SERVER, 11600, STORE_E_TRANSIENT},
		{"interrupted by a change of state", MONGOC_ERROR_SERVER, 11602, STORE_E_TRANSIENT},
		{"exceeded time limit", MONGOC_ERROR_SERVER, 262, STORE_E_TRANSIENT},
		{"maxTimeMS", MONGOC_ERROR_SERVER, 50, STORE_E_TRANSIENT},
		{"stale config of a shard", MONGOC_ERROR_SERVER, 13388, STORE_E_TRANSIENT},
		{"disk full", MONGOC_ERROR_SERVER, 14031, STORE_E_TRANSIENT},
		{"internal error", MONGOC_ERROR_SERVER, 1, STORE_E_TRANSIENT},
		{"storage engine's error", MONGOC_ERROR_SERVER, 8, STORE_E_TRANSIENT},
		{"client marked killed", MONGOC_ERROR_SERVER, 46841, STORE_E_TRANSIENT},
		{"Cosmos DB's request rate", MONGOC_ERROR_SERVER, 16500, STORE_E_TRANSIENT},
		{"Atlas's own", MONGOC_ERROR_SERVER, 8000, STORE_E_TRANSIENT},
		{"pooled connections dropped", MONGOC_ERROR_SERVER, 145, STORE_E_TRANSIENT},
		{"a shard's monitor removed", MONGOC_ERROR_SERVER, 199, STORE_E_TRANSIENT},
		{"critical section of resharding", MONGOC_ERROR_SERVER, 342, STORE_E_TRANSIENT},
		{"a set that is being set up", MONGOC_ERROR_SERVER, 94, STORE_E_TRANSIENT},
		{"write concern timed out", MONGOC_ERROR_WRITE_CONCERN, 64, STORE_E_TRANSIENT},
		{"write concern impossible", MONGOC_ERROR_WRITE_CONCERN, 100, STORE_E_TRANSIENT},
		{"not allowed", MONGOC_ERROR_SERVER, 13, STORE_E_TRANSIENT},
		{"document validation", MONGOC_ERROR_SERVER, 121, STORE_E_PERMANENT},
		{"bad value", MONGOC_ERROR_SERVER, 2, STORE_E_PERMANENT},
		{"an unknown code", MONGOC_ERROR_SERVER, 999999, STORE_E_PERMANENT},
		{"11000 that is not the server's", MONGOC_ERROR_BSON, 11000, STORE_E_PERMANENT},
		{"too large for a document", MONGOC_ERROR_BSON, MONGOC_ERROR_BSON_INVALID, STORE_E_PERMANENT},
		{"wrong argument", MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG, STORE_E_PERMANENT},
		{"too large for the client", MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_TOO_BIG,
			STORE_E_PERMANENT},
		{"an unknown domain", 4711, 1, STORE_E_PERMANENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bson_error_t error = {
			.domain = cases[i].domain, .code = cases[i].code, .message = "words"};

		print_message("  %s\n", cases[i].name);
		assert_int_equal(store_classify(NULL, &error), cases[i].expected);
	}
}

static void test_labels(void **state)
{
	static const struct {
		const char *name;
		const char *reply;
		uint32_t domain;
		uint32_t code;
		int expected;
	} cases[] = {
		{"none", "{\"ok\":0}", MONGOC_ERROR_SERVER, 999999, STORE_E_PERMANENT},
		{"an empty list", "{\"ok\":0,\"errorLabels\":[]}", MONGOC_ERROR_SERVER, 999999,
			STORE_E_PERMANENT},
		{"a write that may be repeated", "{\"errorLabels\":[\"RetryableWriteError\"]}",
			MONGOC_ERROR_SERVER, 999999, STORE_E_TRANSIENT},
		{"a transaction that may be", "{\"errorLabels\":[\"TransientTransactionError\"]}",
			MONGOC_ERROR_SERVER, 999999, STORE_E_TRANSIENT},
		{"a commit whose outcome is unknown",
			"{\"errorLabels\":[\"UnknownTransactionCommitResult\"]}", MONGOC_ERROR_SERVER, 999999,
			STORE_E_TRANSIENT},
		{"too much load", "{\"errorLabels\":[\"other\",\"SystemOverloadedError\"]}",
			MONGOC_ERROR_SERVER, 999999, STORE_E_TRANSIENT},
		{"before what the code says", "{\"errorLabels\":[\"TransientTransactionError\"]}",
			MONGOC_ERROR_SERVER, 11000, STORE_E_TRANSIENT},
		{"nothing written, which is no reason to try again",
			"{\"errorLabels\":[\"NoWritesPerformed\"]}", MONGOC_ERROR_SERVER, 2,
			STORE_E_PERMANENT},
		{"nothing written, and a reason",
			"{\"errorLabels\":[\"RetryableWriteError\",\"NoWritesPerformed\"]}",
			MONGOC_ERROR_SERVER, 2, STORE_E_TRANSIENT},
		{"a broken connection stays one", "{\"errorLabels\":[\"RetryableWriteError\"]}",
			MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, STORE_E_AWAY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bson_error_t error = {
			.domain = cases[i].domain, .code = cases[i].code, .message = "words"};
		const char *words = NULL;
		bson_t reply;

		print_message("  %s\n", cases[i].name);
		assert_true(bson_init_from_json(&reply, cases[i].reply, -1, NULL));
		assert_int_equal(store_classify(&reply, &error), cases[i].expected);
		assert_int_equal(store_classify_write(false, &reply, &error, &words), cases[i].expected);
		assert_string_equal(words, "words");
		bson_destroy(&reply);
	}
}

#define SERVER(number) MONGOC_ERROR_SERVER, number

static void test_write_result(void **state)
{
	static const struct {
		const char *name;
		const char *reply;
		uint32_t domain;
		uint32_t code;
		int expected;
		const char *words;
	} cases[] = {
		{"done", "{\"nUpserted\":2}", 0, 0, 0, ""},
		{"one duplicate", "{\"writeErrors\":[{\"index\":0,\"code\":11000,\"errmsg\":\"dup\"}]}",
			SERVER(11000), 0, ""},
		{"two duplicates",
			"{\"writeErrors\":[{\"index\":0,\"code\":11000,\"errmsg\":\"dup\"},"
			"{\"index\":1,\"code\":11000,\"errmsg\":\"dup\"}]}",
			SERVER(11000), 0, ""},
		{"a duplicate before a conflict",
			"{\"writeErrors\":[{\"index\":0,\"code\":11000,\"errmsg\":\"dup\"},"
			"{\"index\":1,\"code\":112,\"errmsg\":\"conflict\"}]}",
			SERVER(11000), STORE_E_TRANSIENT, "write of dead_letters: conflict"},
		{"a conflict before what is permanent",
			"{\"writeErrors\":[{\"index\":0,\"code\":112,\"errmsg\":\"conflict\"},"
			"{\"index\":1,\"code\":121,\"errmsg\":\"invalid\"}]}",
			SERVER(112), STORE_E_PERMANENT, "write of dead_letters: invalid"},
		{"a duplicate that is not durable yet",
			"{\"writeErrors\":[{\"index\":0,\"code\":11000,\"errmsg\":\"dup\"}],"
			"\"writeConcernErrors\":[{\"code\":64,\"errmsg\":\"timed out\"}]}",
			SERVER(11000), STORE_E_TRANSIENT, "write of dead_letters: timed out"},
		{"a conflict before a duplicate",
			"{\"writeErrors\":[{\"index\":0,\"code\":112,\"errmsg\":\"conflict\"},"
			"{\"index\":1,\"code\":11000,\"errmsg\":\"dup\"}]}",
			SERVER(112), STORE_E_TRANSIENT, "write of dead_letters: conflict"},
		{"what has no code that is known, and a label",
			"{\"writeErrors\":[{\"index\":0,\"code\":999999,\"errmsg\":\"odd\"}],"
			"\"errorLabels\":[\"RetryableWriteError\"]}",
			SERVER(999999), STORE_E_TRANSIENT, "write of dead_letters: odd"},
		{"a statement's error without a code", "{\"writeErrors\":[{\"index\":0}]}", SERVER(1),
			STORE_E_PERMANENT, "write of dead_letters: the driver's words"},
		{"written, not durable", "{\"writeErrors\":[],\"writeConcernErrors\":[{\"code\":64}]}",
			MONGOC_ERROR_WRITE_CONCERN, 64, STORE_E_TRANSIENT,
			"write of dead_letters: the driver's words"},
		{"connection broken", "{}", MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, STORE_E_AWAY,
			"write of dead_letters: the driver's words"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bson_error_t error = {
			.domain = cases[i].domain, .code = cases[i].code, .message = "the driver's words"};
		struct store_client client = {.store = NULL};
		bson_t reply;

		print_message("  %s\n", cases[i].name);
		assert_true(bson_init_from_json(&reply, cases[i].reply, -1, NULL));
		assert_int_equal(store_write_result(&client, STORE_DEAD_LETTERS, "write", error.domain == 0,
					 &reply, &error),
			cases[i].expected);
		if (cases[i].words)
			assert_string_equal(store_last_error(&client), cases[i].words);
		else
			assert_string_not_equal(store_last_error(&client), "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classify),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_write_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
