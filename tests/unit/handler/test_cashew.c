/* test_cashew.c - cashew.c: what a handler calls. How its run ends is tested in test_call.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cashew_test.h"
#include "log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEN	     "aaaaaaaaaa"
#define SIXTY_FOUR   TEN TEN TEN TEN TEN TEN "aaaa"

static struct cashew_test *t;

static int set_up(void **state)
{
	(void)state;
	t = cashew_test_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cashew_test_free(t);
	return 0;
}

/* ---- The command ---- */

static cashew_result looks_at_the_command(cashew_command *cmd)
{
	size_t size = 0;
	assert_string_equal(cashew_user(cmd), "68946");
	assert_string_equal(cashew_topic(cmd), "68946/act/now");
	assert_int_equal(cashew_attempt(cmd), 3);
	assert_string_equal(cashew_payload(cmd, &size), "{\"a\":1}");
	assert_int_equal(size, 7);
	assert_int_equal(json_integer_value(json_object_get(cashew_json(cmd), "a")), 1);
	assert_null(cashew_state(cmd));
	return CASHEW_DONE;
}

static cashew_result has_no_json(cashew_command *cmd)
{
	assert_null(cashew_json(cmd));
	return CASHEW_DONE;
}

static cashew_result has_an_empty_object(cashew_command *cmd)
{
	assert_true(json_is_object(cashew_json(cmd)));
	assert_int_equal(json_object_size(cashew_json(cmd)), 0);
	return CASHEW_DONE;
}

static void the_command(void **state)
{
	(void)state;
	static const struct cashew_handler
		looking = {.name = "looking", .topic = "+/#", .handle = looks_at_the_command},
		bytes = {.name = "bytes", .topic = "+/#", .handle = has_no_json, .payload = CASHEW_BYTES},
		empty = {.name = "empty", .topic = "+/#", .handle = has_an_empty_object};
	assert_int_equal(cashew_test_deliver(t, &bytes, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(t, &empty, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(t, &empty, "68946/act", "{ }"), CALL_DONE);
	cashew_test_set_attempt(t, 3);
	assert_int_equal(cashew_test_deliver(t, &looking, "68946/act/now", "{\"a\":1}"), CALL_DONE);
}

/* ---- Fields ---- */

static enum accessor {
	TEXT,
	TEXT_OPTIONAL,
	INTEGER,
	INTEGER_OPTIONAL,
	BOOLEAN,
	BOOLEAN_OPTIONAL,
	USER_ID,
	USER_ID_OPTIONAL,
} accessor;
static char seen[200];

/* Reads the field "f" and writes down what it got; what was there before shows where it got nothing. */
static cashew_result reads_a_field(cashew_command *cmd)
{
	const char *text = "before";
	int64_t integer = -77;
	bool boolean = true;
	cashew_result result = CASHEW_FAIL;
	switch (accessor) {
	case TEXT: result = cashew_text(cmd, "f", &text); break;
	case TEXT_OPTIONAL: result = cashew_text_optional(cmd, "f", &text); break;
	case INTEGER: result = cashew_integer(cmd, "f", -5, 10, &integer); break;
	case INTEGER_OPTIONAL: result = cashew_integer_optional(cmd, "f", -5, 10, &integer); break;
	case BOOLEAN: result = cashew_boolean(cmd, "f", &boolean); break;
	case BOOLEAN_OPTIONAL: result = cashew_boolean_optional(cmd, "f", &boolean); break;
	case USER_ID: result = cashew_user_id(cmd, "f", &text); break;
	case USER_ID_OPTIONAL: result = cashew_user_id_optional(cmd, "f", &text); break;
	}
	snprintf(seen, sizeof(seen), "%s %d %d", text, (int)integer, boolean);
	return result;
}

#define UNTOUCHED "before -77 1"
#define A_USER_ID "a user id, 1 to 64 of A-Z a-z 0-9 . _ | -"

static void fields(void **state)
{
	(void)state;
	static const struct {
		enum accessor accessor;
		const char *payload;
		const char *reason; /* NULL: done */
		const char *seen;
	} cases[] = {
		{TEXT, "{\"f\":\"red\"}", NULL, "red -77 1"},
		{TEXT, "{\"f\":\"\"}", NULL, " -77 1"},
		{TEXT, "{}", "f is missing: expected a text", UNTOUCHED},
		{TEXT, "{\"g\":1}", "f is missing: expected a text", UNTOUCHED},
		{TEXT, "{\"f\":null}", "f is null: expected a text", UNTOUCHED},
		{TEXT, "{\"f\":1}", "f is an integer: expected a text", UNTOUCHED},
		{TEXT, "{\"f\":1.5}", "f is a number with a fraction: expected a text", UNTOUCHED},
		{TEXT, "{\"f\":true}", "f is a boolean: expected a text", UNTOUCHED},
		{TEXT, "{\"f\":{\"$gt\":\"\"}}", "f is an object: expected a text", UNTOUCHED},
		{TEXT, "{\"f\":[\"a\"]}", "f is a list: expected a text", UNTOUCHED},
		{TEXT, "[\"f\"]", "the payload is a list: expected a JSON object", UNTOUCHED},
		{TEXT_OPTIONAL, "{\"f\":\"red\"}", NULL, "red -77 1"},
		{TEXT_OPTIONAL, "{}", NULL, UNTOUCHED},
		{TEXT_OPTIONAL, "{\"f\":null}", NULL, UNTOUCHED},
		{TEXT_OPTIONAL, "{\"f\":1}", "f is an integer: expected a text", UNTOUCHED},
		{TEXT_OPTIONAL, "7", "the payload is an integer: expected a JSON object", UNTOUCHED},
		{INTEGER, "{\"f\":7}", NULL, "before 7 1"},
		{INTEGER, "{\"f\":-5}", NULL, "before -5 1"},
		{INTEGER, "{\"f\":10}", NULL, "before 10 1"},
		{INTEGER, "{\"f\":11}", "f is 11: expected an integer from -5 to 10", UNTOUCHED},
		{INTEGER, "{\"f\":-6}", "f is -6: expected an integer from -5 to 10", UNTOUCHED},
		{INTEGER, "{\"f\":9223372036854775807}",
			"f is 9223372036854775807: expected an integer from -5 to 10", UNTOUCHED},
		{INTEGER, "{\"f\":7.0}", "f is a number with a fraction: expected an integer", UNTOUCHED},
		{INTEGER, "{\"f\":\"7\"}", "f is a text: expected an integer", UNTOUCHED},
		{INTEGER, "{}", "f is missing: expected an integer", UNTOUCHED},
		{INTEGER, "{\"f\":null}", "f is null: expected an integer", UNTOUCHED},
		{INTEGER_OPTIONAL, "{\"f\":7}", NULL, "before 7 1"},
		{INTEGER_OPTIONAL, "{}", NULL, UNTOUCHED},
		{INTEGER_OPTIONAL, "{\"f\":null}", NULL, UNTOUCHED},
		{INTEGER_OPTIONAL, "{\"f\":11}", "f is 11: expected an integer from -5 to 10", UNTOUCHED},
		{BOOLEAN, "{\"f\":true}", NULL, "before -77 1"},
		{BOOLEAN, "{\"f\":false}", NULL, "before -77 0"},
		{BOOLEAN, "{\"f\":0}", "f is an integer: expected a boolean", UNTOUCHED},
		{BOOLEAN, "{}", "f is missing: expected a boolean", UNTOUCHED},
		{BOOLEAN_OPTIONAL, "{\"f\":false}", NULL, "before -77 0"},
		{BOOLEAN_OPTIONAL, "{}", NULL, UNTOUCHED},
		{BOOLEAN_OPTIONAL, "{\"f\":\"true\"}", "f is a text: expected a boolean", UNTOUCHED},
		{USER_ID, "{\"f\":\"auth0|5f-7.A_z\"}", NULL, "auth0|5f-7.A_z -77 1"},
		{USER_ID, "{\"f\":\"" SIXTY_FOUR "\"}", NULL, SIXTY_FOUR " -77 1"},
		{USER_ID, "{\"f\":\"" SIXTY_FOUR "a\"}", "f is 65 bytes long: expected " A_USER_ID,
			UNTOUCHED},
		{USER_ID, "{\"f\":\"\"}", "f is empty: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":\"a/b\"}", "f has other characters in it: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":\"+\"}", "f has other characters in it: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":\"#\"}", "f has other characters in it: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":\"$SYS\"}", "f has other characters in it: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":68946}", "f is an integer: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":{\"$gt\":\"\"}}", "f is an object: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{}", "f is missing: expected " A_USER_ID, UNTOUCHED},
		{USER_ID, "{\"f\":null}", "f is null: expected " A_USER_ID, UNTOUCHED},
		{USER_ID_OPTIONAL, "{\"f\":\"68946\"}", NULL, "68946 -77 1"},
		{USER_ID_OPTIONAL, "{}", NULL, UNTOUCHED},
		{USER_ID_OPTIONAL, "{\"f\":null}", NULL, UNTOUCHED},
		{USER_ID_OPTIONAL, "{\"f\":\"a b\"}", "f has other characters in it: expected " A_USER_ID,
			UNTOUCHED},
	};
	static const struct cashew_handler reading = {
		.name = "reading", .topic = "+/act", .handle = reads_a_field, .payload = CASHEW_ANY_JSON};
	for (size_t i = 0; i < COUNT(cases); i++) {
		accessor = cases[i].accessor;
		const enum call_end end = cashew_test_deliver(t, &reading, "68946/act", cases[i].payload);
		if (end != (cases[i].reason ? CALL_REJECTED : CALL_DONE))
			fail_msg("%d %s: ended as %d", accessor, cases[i].payload, end);
		if (cases[i].reason && strcmp(cashew_test_reason(t), cases[i].reason) != 0)
			fail_msg("%d %s: '%s'", accessor, cases[i].payload, cashew_test_reason(t));
		if (strcmp(seen, cases[i].seen) != 0)
			fail_msg("%d %s: read '%s'", accessor, cases[i].payload, seen);
	}
	static const struct cashew_handler of_bytes = {
		.name = "of_bytes", .topic = "+/act", .handle = reads_a_field, .payload = CASHEW_BYTES};
	assert_int_equal(cashew_test_deliver(t, &of_bytes, "68946/act", "{\"f\":\"68946\"}"), CALL_FAILED);
	assert_string_equal(
		cashew_test_reason(t), "handler of_bytes looks for f in a payload that it takes as bytes");
}

/* ---- Events ---- */

static cashew_result sends_all_kinds(cashew_command *cmd)
{
	char volatile_text[] = "[1]", volatile_bytes[] = "a\0b";
	CASHEW_TRY(cashew_reply(cmd, "one", volatile_text));
	CASHEW_TRY(cashew_reply_json(cmd, "two", json_pack("{s:s, s:[i]}", "a", "\xc3\xa9\"", "b", 7)));
	CASHEW_TRY(cashew_reply_bytes(cmd, "three", volatile_bytes, 3));
	CASHEW_TRY(cashew_send(cmd, "23412", "four", volatile_text));
	CASHEW_TRY(cashew_send_json(cmd, "23412", "five", json_string("x")));
	CASHEW_TRY(cashew_send_bytes(cmd, "23412", "six", NULL, 0));
	memset(volatile_text, 'x', sizeof(volatile_text));
	memset(volatile_bytes, 'x', sizeof(volatile_bytes));
	return CASHEW_DONE;
}

static void events(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *payload;
		size_t size;
	} expected[] = {
		{"68946/one", "[1]", 3},
		{"68946/two", "{\"a\":\"\xc3\xa9\\\"\",\"b\":[7]}", 20},
		{"68946/three", "a\0b", 3},
		{"23412/four", "[1]", 3},
		{"23412/five", "\"x\"", 3},
		{"23412/six", "", 0},
	};
	static const struct cashew_handler sending = {
		.name = "sending", .topic = "+/act", .handle = sends_all_kinds};
	assert_int_equal(cashew_test_deliver(t, &sending, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_event_count(t), COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_string_equal(cashew_test_event_topic(t, i), expected[i].topic);
		assert_int_equal(cashew_test_event_size(t, i), expected[i].size);
		assert_memory_equal(
			cashew_test_event_payload(t, i), expected[i].payload, expected[i].size + 1);
	}
	assert_null(cashew_test_event_topic(t, COUNT(expected)));
}

static const char *event_user, *event_name;
static size_t event_size;
static enum { AS_TEXT, AS_JSON, AS_BYTES } event_kind;

/* user NULL: a reply */
static cashew_result sends_one(cashew_command *cmd)
{
	static char text[3000];
	memset(text, '1', event_size);
	text[event_size] = '\0';
	if (event_kind == AS_JSON) {
		/* event_size bytes with its quotes */
		json_t *json = json_stringn(text, event_size - 2);
		return event_user ? cashew_send_json(cmd, event_user, event_name, json)
				  : cashew_reply_json(cmd, event_name, json);
	}
	if (event_kind == AS_BYTES)
		return event_user ? cashew_send_bytes(cmd, event_user, event_name, text, event_size)
				  : cashew_reply_bytes(cmd, event_name, text, event_size);
	return event_user ? cashew_send(cmd, event_user, event_name, text)
			  : cashew_reply(cmd, event_name, text);
}

static void events_refused(void **state)
{
	(void)state;
	static const struct {
		const char *user, *event;
		size_t size;
		const char *reason; /* NULL: done */
	} cases[] = {
		{NULL, "happened", 1000, NULL},
		{"23412", "happened", 1000, NULL},
		{NULL, "happened", 1001, "event happened is 1001 bytes: 1000 at most"},
		{"23412", "happened", 2000, "event happened is 2000 bytes: 1000 at most"},
		{NULL, "", 2, "\"\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{NULL, "Happened", 2, "\"Happened\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{"23412", "a/b", 2, "\"a/b\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{"23412", "#", 2, "\"#\" is no name of an event: expected 1 to 64 of a-z 0-9 _"},
		{"", "happened", 2, "event happened has no valid user id to go to"},
		{"+", "happened", 2, "event happened has no valid user id to go to"},
		{"a/b", "happened", 2, "event happened has no valid user id to go to"},
		{SIXTY_FOUR "a", "happened", 2, "event happened has no valid user id to go to"},
		{SIXTY_FOUR, SIXTY_FOUR, 2, NULL},
	};
	static const struct cashew_handler sending = {
		.name = "sending", .topic = "+/act", .handle = sends_one};
	cashew_test_set_event_max(t, 1000);
	for (size_t i = 0; i < 3 * COUNT(cases); i++) {
		event_kind = (int)(i % 3);
		event_user = cases[i / 3].user;
		event_name = cases[i / 3].event;
		event_size = cases[i / 3].size;
		const char *reason = cases[i / 3].reason;
		const enum call_end end = cashew_test_deliver(t, &sending, "68946/act", "{}");
		if (end != (reason ? CALL_FAILED : CALL_DONE))
			fail_msg("%s, %s, %zu: ended as %d", event_user, event_name, event_size, end);
		if (reason && strcmp(cashew_test_reason(t), reason) != 0)
			fail_msg("%s, %s, %zu: '%s'", event_user, event_name, event_size,
				cashew_test_reason(t));
		assert_int_equal(cashew_test_event_count(t), reason ? 0 : 1);
		assert_int_equal(cashew_test_event_size(t, 0), reason ? 0 : event_size);
	}
}

/* ---- Reasons ---- */

static const char *long_reason;
static bool as_failure;

static cashew_result gives_a_long_reason(cashew_command *cmd)
{
	return as_failure ? cashew_fail(cmd, "%s", long_reason) : cashew_reject(cmd, "%s", long_reason);
}

static void reasons_are_cut(void **state)
{
	(void)state;
	static const struct {
		const char *name, *tail; /* after 497 bytes */
		size_t size;
	} cases[] = {
		{"shorter", "", 497},
		{"500 bytes", "abc", 500},
		{"501 bytes", "abcd", 500},
		{"a character of two bytes at the end",
			"a\xc3\xa9"
			"b",
			500},
		{"a character of two bytes cut", "ab\xc3\xa9", 499},
		{"a character of three bytes at the end",
			"\xe2\x82\xac"
			"b",
			500},
		{"a character of three bytes cut", "ab\xe2\x82\xac", 499},
		{"a character of three bytes cut later", "a\xe2\x82\xac", 498},
		{"a character of four bytes cut", "\xf0\x9f\x8d\x8e", 497},
		{"a character of four bytes cut early", "ab\xf0\x9f\x8d\x8e", 499},
		{"no UTF-8 at all", "\x80\x80\x80\x80\x80", 500},
	};
	static const struct cashew_handler wordy = {
		.name = "wordy", .topic = "+/act", .handle = gives_a_long_reason};
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		char text[600];
		memset(text, 'x', 497);
		strcpy(text + 497, cases[i / 2].tail);
		long_reason = text;
		as_failure = i % 2 == 1;
		assert_int_equal(cashew_test_deliver(t, &wordy, "68946/act", "{}"),
			as_failure ? CALL_FAILED : CALL_REJECTED);
		if (strlen(cashew_test_reason(t)) != cases[i / 2].size)
			fail_msg("%s: %zu bytes", cases[i / 2].name, strlen(cashew_test_reason(t)));
		assert_memory_equal(cashew_test_reason(t), text, cases[i / 2].size);
		if (!as_failure) {
			json_t *event = json_loads(cashew_test_event_payload(t, 0), 0, NULL);
			assert_non_null(event);
			json_decref(event);
		}
	}
}

/* ---- The store ---- */

static int store_answer;

static cashew_result hears_an_answer(cashew_command *cmd)
{
	assert_non_null(cashew_store(cmd));
	assert_ptr_equal(cashew_store(cmd), cashew_store(cmd));
	assert_null(cashew_database(cmd));
	return cashew_stored(cmd, store_answer);
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

/* ---- Memory, settings, state ---- */

static cashew_result takes_memory(cashew_command *cmd)
{
	char *text = cashew_format(cmd, "%s has %d apples", cashew_user(cmd), 7);
	unsigned char *zeroed = cashew_alloc(cmd, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(zeroed[i], 0);
	assert_string_equal(text, "68946 has 7 apples");
	/* a NULL in the place of a payload counts as out of memory, and that is sticky */
	const char *field = NULL;
	assert_int_equal(cashew_reply(cmd, "happened", NULL), CASHEW_RETRY);
	assert_int_equal(cashew_reply(cmd, "happened", "1"), CASHEW_RETRY);
	assert_int_equal(cashew_reply_json(cmd, "happened", json_integer(1)), CASHEW_RETRY);
	assert_int_equal(cashew_send_json(cmd, "23412", "happened", NULL), CASHEW_RETRY);
	assert_int_equal(cashew_send(cmd, NULL, "happened", "1"), CASHEW_RETRY);
	assert_int_equal(cashew_send_bytes(cmd, NULL, "happened", "1", 1), CASHEW_RETRY);
	assert_int_equal(cashew_send_json(cmd, NULL, "happened", json_integer(1)), CASHEW_RETRY);
	assert_int_equal(cashew_text(cmd, "f", &field), CASHEW_RETRY);
	assert_int_equal(cashew_text_optional(cmd, "f", &field), CASHEW_RETRY);
	assert_int_equal(cashew_reject(cmd, "no"), CASHEW_RETRY);
	assert_int_equal(cashew_fail(cmd, "no"), CASHEW_RETRY);
	assert_int_equal(cashew_stored(cmd, 0), CASHEW_RETRY);
	assert_null(cashew_alloc(cmd, 1));
	assert_null(cashew_format(cmd, "x"));
	return CASHEW_DONE;
}

static void memory(void **state)
{
	(void)state;
	static const struct cashew_handler taking = {
		.name = "taking", .topic = "+/act", .handle = takes_memory};
	assert_int_equal(cashew_test_deliver(t, &taking, "68946/act", "{}"), CALL_RETRY);
	assert_string_equal(cashew_test_reason(t), "out of memory");
}

static cashew_result tells_its_settings(cashew_command *cmd)
{
	return cashew_reply(cmd, "told",
		cashew_format(cmd, "%s %s", cashew_setting(cmd, "APPLES_LIMIT"),
			cashew_setting(cmd, "APPLES_KEY")));
}

static void settings_of_its_own(void **state)
{
	(void)state;
	static const struct cashew_setting own[] = {
		{.name = "APPLES_LIMIT", .default_value = "12", .help = "How many."},
		{.name = "APPLES_KEY", .secret = true, .help = "A key."},
		{0},
	};
	static const struct cashew_handler telling = {
		.name = "telling", .topic = "+/act", .handle = tells_its_settings, .settings = own};
	cashew_test_set(t, "APPLES_KEY", "k");
	assert_int_equal(cashew_test_deliver(t, &telling, "68946/act", "{}"), CALL_DONE);
	assert_string_equal(cashew_test_event_payload(t, 0), "12 k");
	cashew_test_set(t, "APPLES_LIMIT", "3");
	assert_int_equal(cashew_test_deliver(t, &telling, "68946/act", "{}"), CALL_DONE);
	assert_string_equal(cashew_test_event_payload(t, 0), "3 k");
}

static unsigned states_alive;

static int state_init(void **ret_state)
{
	*ret_state = calloc(1, sizeof(int));
	states_alive++;
	return *ret_state ? 0 : -1;
}

static void state_fini(void *state)
{
	free(state);
	states_alive--;
}

static cashew_result counts(cashew_command *cmd)
{
	int *count = cashew_state(cmd);
	return cashew_reply(cmd, "counted", cashew_format(cmd, "%d", ++*count));
}

static void state_of_a_thread(void **state)
{
	(void)state;
	static const struct cashew_handler counting = {.name = "counting",
		.topic = "+/act",
		.handle = counts,
		.init = state_init,
		.fini = state_fini};
	struct cashew_test *own = cashew_test_new();
	assert_int_equal(cashew_test_deliver(own, &counting, "68946/act", "{}"), CALL_DONE);
	assert_int_equal(cashew_test_deliver(own, &counting, "68946/act", "{}"), CALL_DONE);
	assert_string_equal(cashew_test_event_payload(own, 0), "2");
	assert_int_equal(states_alive, 1);
	cashew_test_free(own);
	assert_int_equal(states_alive, 0);
}

/* ---- Log ---- */

static cashew_result logs(cashew_command *cmd)
{
	cashew_log(cmd, "looked at %d trees", 7);
	cashew_warn(cmd, "%2000d", 1);
	return CASHEW_DONE;
}

static void check_log_line(const char *line, const char *level)
{
	json_t *json = json_loads(line, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "level")), level);
	assert_string_equal(json_string_value(json_object_get(json, "event")), "handler_message");
	assert_string_equal(json_string_value(json_object_get(json, "user")), "68946");
	assert_string_equal(json_string_value(json_object_get(json, "topic")), "68946/act");
	assert_string_equal(json_string_value(json_object_get(json, "handler")), "logging");
	assert_int_equal(json_integer_value(json_object_get(json, "attempt")), 2);
	json_decref(json);
}

static void log_lines(void **state)
{
	(void)state;
	static const struct cashew_handler logging = {.name = "logging", .topic = "+/act", .handle = logs};
	int out[2];
	assert_int_equal(pipe(out), 0);
	const struct log_options options = {.fd = out[1], .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO};
	assert_int_equal(log_open(&options), 0);
	cashew_test_set_attempt(t, 2);
	assert_int_equal(cashew_test_deliver(t, &logging, "68946/act", "{}"), CALL_DONE);
	log_close(10000);
	close(out[1]);
	FILE *lines = fdopen(out[0], "r");
	char line[8192];
	assert_non_null(fgets(line, sizeof(line), lines));
	check_log_line(line, "info");
	assert_non_null(strstr(line, "looked at 7 trees"));
	assert_non_null(fgets(line, sizeof(line), lines));
	check_log_line(line, "warn");
	assert_null(fgets(line, sizeof(line), lines));
	fclose(lines);
}

/* ---- What a handler must not do ---- */

static cashew_result wants_the_store(cashew_command *cmd)
{
	return cashew_stored(cmd, contact_add(cashew_store(cmd), "a", "b"));
}

static void a_light_handler_may_not_wait(void **state)
{
	(void)state;
	static const struct cashew_handler light = {
		.name = "hasty", .topic = "+/act", .handle = wants_the_store, .light = true};
	int out[2];
	assert_int_equal(pipe(out), 0);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(out[1], STDERR_FILENO);
		_exit(cashew_test_deliver(t, &light, "68946/act", "{}"));
	}
	close(out[1]);
	char said[2000] = "";
	size_t size = 0;
	ssize_t more;
	while (size < sizeof(said) - 1 && (more = read(out[0], said + size, sizeof(said) - 1 - size)) > 0)
		size += (size_t)more;
	close(out[0]);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "a handler that is .light asked for the store"));
	assert_non_null(strstr(said, "hasty"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reasons_are_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(store_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mongo_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mongo_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(settings_of_its_own, set_up, tear_down),
		cmocka_unit_test(state_of_a_thread),
		cmocka_unit_test_setup_teardown(log_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_light_handler_may_not_wait, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("cashew", tests, NULL, NULL);
}
