/* test_cashew_store.c - cashew.c: what a handler says of the store's answers, and of those of the driver that it asks itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <mongoc/mongoc.h>

#include "cashew_parts.h"
#include "handler_run.h"
#include "stored.h"

/* ---- The store ---- */

static int store_answer;

static cashew_result hears_an_answer(cashew_command *cmd)
{
	assert_non_null(stored_client(cmd));
	assert_ptr_equal(stored_client(cmd), stored_client(cmd));
	assert_null(cashew_database(cmd));
	return stored_result(cmd, store_answer);
}

static void store_answers(void **state)
{
	(void)state;
	static const struct {
		int answer;
		enum call_end end;
		bool away;
		const char *reason;
	} cases[] = {
		{0, CALL_DONE, false, NULL},
		{STORE_E_AWAY, CALL_RETRY, true, "the store is away"},
		{STORE_E_TRANSIENT, CALL_RETRY, false, "the store could not do it now"},
		{STORE_E_NOT_FOUND, CALL_FAILED, false, "the store has no such document"},
		{STORE_E_PERMANENT, CALL_FAILED, false, "the store refused it"},
		{-ENOMEM, CALL_RETRY, false, "out of memory"},
		{-EIO, CALL_FAILED, false, "the store answered -5"},
		{77, CALL_FAILED, false, "the store answered 77"},
	};
	static const struct cashew_handler hearing = {
		.name = "hearing", .topic = "+/act", .handle = hears_an_answer};
	for (size_t i = 0; i < COUNT(cases); i++) {
		store_answer = cases[i].answer;
		const enum call_end end = cashew_test_deliver(t, &hearing, "68946/act", "{}");
		const char *reason = cashew_test_reason(t);
		if (end != cases[i].end || cashew_test_store_away(t) != cases[i].away)
			fail_msg("%d: ended as %d, away %d", store_answer, end, cashew_test_store_away(t));
		if (cases[i].reason ? !reason || strcmp(reason, cases[i].reason) != 0 : reason != NULL)
			fail_msg("%d: '%s'", store_answer, reason ? reason : "(none)");
	}
}

static bool mongo_succeeded;
static bson_error_t mongo_error;

static cashew_result asks_mongo(cashew_command *cmd)
{
	return cashew_mongo(cmd, mongo_succeeded, &mongo_error);
}

static void mongo_answers(void **state)
{
	(void)state;
	static const struct {
		bool succeeded;
		uint32_t domain, code;
		enum call_end end;
		bool away;
	} cases[] = {
		{true, 0, 0, CALL_DONE, false},
		{true, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE, CALL_DONE,
			false},
		{false, MONGOC_ERROR_SERVER, MONGOC_ERROR_DUPLICATE_KEY, CALL_FAILED, false},
		{false, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE, CALL_RETRY,
			true},
		{false, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, CALL_RETRY, true},
	};
	static const struct cashew_handler asking = {
		.name = "asking", .topic = "+/act", .handle = asks_mongo};
	for (size_t i = 0; i < COUNT(cases); i++) {
		mongo_succeeded = cases[i].succeeded;
		bson_set_error(&mongo_error, cases[i].domain, cases[i].code, "what the driver says");
		const enum call_end end = cashew_test_deliver(t, &asking, "68946/act", "{}");
		if (end != cases[i].end || cashew_test_store_away(t) != cases[i].away)
			fail_msg("case %zu: ended as %d, away %d", i, end, cashew_test_store_away(t));
		if (end == CALL_RETRY)
			assert_string_equal(cashew_test_reason(t), "the store is away: what the driver says");
	}
}

static const char *mongo_reply; /* NULL: none */
static unsigned mongo_flags;

static cashew_result asks_about_a_write(cashew_command *cmd)
{
	if (!mongo_reply)
		return cashew_mongo_write(cmd, mongo_succeeded, NULL, &mongo_error, mongo_flags);
	bson_t reply;
	assert_true(bson_init_from_json(&reply, mongo_reply, -1, NULL));
	const cashew_result result =
		cashew_mongo_write(cmd, mongo_succeeded, &reply, &mongo_error, mongo_flags);
	bson_destroy(&reply);
	return result;
}

static void mongo_writes(void **state)
{
	(void)state;
	static const char duplicate[] = "{\"writeErrors\":[{\"code\":11000,\"errmsg\":\"dup\"}]}";
	static const char not_durable[] = "{\"writeErrors\":[{\"code\":11000,\"errmsg\":\"dup\"}],"
					  "\"writeConcernErrors\":[{\"code\":64,\"errmsg\":\"slow\"}]}";
	static const struct {
		const char *name;
		bool succeeded;
		uint32_t code; /* of the server */
		const char *reply;
		unsigned flags;
		enum call_end end;
		const char *reason;
	} cases[] = {
		{"done", true, 0, "{\"insertedCount\":1}", 0, CALL_DONE, NULL},
		{"done, without a reply", true, 0, NULL, 0, CALL_DONE, NULL},
		{"a duplicate", false, 11000, duplicate, 0, CALL_FAILED,
			"the store has a document with that key: dup"},
		{"a duplicate, without a reply", false, 11000, NULL, 0, CALL_FAILED,
			"the store has a document with that key: what the driver says"},
		{"a duplicate that is wanted", false, 11000, duplicate, CASHEW_DUPLICATE_IS_DONE, CALL_DONE,
			NULL},
		{"the same, without a reply", false, 11000, NULL, CASHEW_DUPLICATE_IS_DONE, CALL_DONE, NULL},
		{"a duplicate that is wanted, and not durable", false, 11000, not_durable,
			CASHEW_DUPLICATE_IS_DONE, CALL_RETRY, "the store could not do it now: slow"},
		{"a command that the driver calls done, not durable", true, 0,
			"{\"ok\":1,\"writeConcernError\":{\"code\":64,\"errmsg\":\"slow\"}}", 0, CALL_RETRY,
			"the store could not do it now: slow"},
		{"what the server labels as passing", false, 999999,
			"{\"errorLabels\":[\"RetryableWriteError\"]}", 0, CALL_RETRY,
			"the store could not do it now: what the driver says"},
		{"refused", false, 121, "{}", CASHEW_DUPLICATE_IS_DONE, CALL_FAILED,
			"the store refused it: what the driver says"},
	};
	static const struct cashew_handler asking = {
		.name = "asking", .topic = "+/act", .handle = asks_about_a_write};
	for (size_t i = 0; i < COUNT(cases); i++) {
		mongo_succeeded = cases[i].succeeded;
		mongo_reply = cases[i].reply;
		mongo_flags = cases[i].flags;
		bson_set_error(&mongo_error, MONGOC_ERROR_SERVER, cases[i].code, "what the driver says");
		const enum call_end end = cashew_test_deliver(t, &asking, "68946/act", "{}");
		const char *reason = cashew_test_reason(t);
		if (end != cases[i].end)
			fail_msg("%s: ended as %d", cases[i].name, end);
		if (cases[i].reason ? !reason || strcmp(reason, cases[i].reason) != 0 : reason != NULL)
			fail_msg("%s: '%s'", cases[i].name, reason ? reason : "(none)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(store_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mongo_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mongo_writes, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("cashew_store", tests, NULL, NULL);
}
