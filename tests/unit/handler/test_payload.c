/* test_payload.c - payload.c: what is JSON, what is refused, and that no reason quotes a payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "payload.h"
#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { SIZE_LIMIT = 131072 };

static void accepted(void **state)
{
	(void)state;
	static const struct {
		const char *text, *type;
	} cases[] = {
		{"{}", "an object"},
		{" {\"a\": 1}\r\n", "an object"},
		{"[]", "a list"},
		{"\"a\"", "a text"},
		{"7", "an integer"},
		{"-9223372036854775808", "an integer"},
		{"7.0", "a number with a fraction"},
		{"1e3", "a number with a fraction"},
		{"true", "a boolean"},
		{"false", "a boolean"},
		{"null", "null"},
		{"{\"$gt\":\"\"}", "an object"},
		{"\"caf\xc3\xa9 \\ud83c\\udf4e\"", "a text"},
		{"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", "a text"},
		{"\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\\"", "a text"},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "a list"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *json = NULL;
		char reason[PAYLOAD_REASON_SIZE] = "";
		if (payload_parse(cases[i].text, strlen(cases[i].text), SIZE_LIMIT, &json, reason) != 0)
			fail_msg("%s: %s", cases[i].text, reason);
		assert_string_equal(payload_type_name(json), cases[i].type);
		json_decref(json);
	}
	assert_string_equal(payload_type_name(NULL), "missing");
}

static void refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *bytes;
		size_t size; /* 0: strlen */
		const char *reason;
	} cases[] = {
		{"not JSON", "SECRET", 0, "the payload is not JSON: line 1, column 6: unexpected characters"},
		{"a word", "{\"a\": SECRET}", 0,
			"the payload is not JSON: line 1, column 12: unexpected characters"},
		{"second line", "{\n\"a\" SECRET}", 0,
			"the payload is not JSON: line 2, column 10: unexpected characters"},
		{"blank", "  ", 0, "the payload is not JSON: line 1, column 2: it ends too early"},
		{"cut", "{\"SECRET\":", 0, "the payload is not JSON: line 1, column 10: it ends too early"},
		{"cut in a text", "[\"SECRET", 0,
			"the payload is not JSON: line 1, column 8: it ends too early"},
		{"something behind", "{} SECRET", 0,
			"the payload is not JSON: line 1, column 9: something follows the value"},
		{"a second value", "{}{}", 0,
			"the payload is not JSON: line 1, column 3: something follows the value"},
		{"a NUL behind", "{}\0", 3,
			"the payload is not JSON: line 1, column 3: a NUL byte behind the value"},
		{"a NUL behind a blank", "{} \n\0", 5,
			"the payload is not JSON: line 2, column 1: a NUL byte behind the value"},
		{"NULs behind", "7\0\0\0", 4,
			"the payload is not JSON: line 1, column 2: a NUL byte behind the value"},
		{"a NUL and a value behind", "{}\0{}", 5,
			"the payload is not JSON: line 1, column 3: something follows the value"},
		{"a value and a NUL behind", "{}{}\0", 5,
			"the payload is not JSON: line 1, column 3: something follows the value"},
		{"NUL alone", "\0", 1, "the payload is not JSON: line 1, column 1: it ends too early"},
		{"a NUL inside a text", "\"a\0b\"", 5,
			"the payload is not JSON: line 1, column 2: unexpected characters"},
		{"an escaped NUL", "\"SECRET\\u0000\"", 0,
			"the payload is not JSON: line 1, column 14: a NUL character"},
		{"an escaped NUL in a key", "{\"\\u0000\":1}", 0,
			"the payload is not JSON: line 1, column 9: a NUL character"},
		{"bad UTF-8", "\"SECRET\xff\"", 0,
			"the payload is not JSON: line 1, column 7: bytes that are not UTF-8"},
		{"overlong UTF-8", "\"\xc0\xaf\"", 0,
			"the payload is not JSON: line 1, column 1: bytes that are not UTF-8"},
		{"half a surrogate pair", "\"\\ud83c\"", 0,
			"the payload is not JSON: line 1, column 8: half a surrogate pair (\\ud800 to \\udfff alone)"},
		{"the second half alone", "[\"\\uDF4E\"]", 0,
			"the payload is not JSON: line 1, column 9: half a surrogate pair (\\ud800 to \\udfff alone)"},
		{"two first halves", "\"\\ud83c\\ud83c\"", 0,
			"the payload is not JSON: line 1, column 14: half a surrogate pair (\\ud800 to \\udfff alone)"},
		{"half a pair in a key", "{\"\\ud83cSECRET\":1}", 0,
			"the payload is not JSON: line 1, column 15: half a surrogate pair (\\ud800 to \\udfff alone)"},
		{"a backslash before what looks like half a pair", "\"\\\\ud83c\" SECRET", 0,
			"the payload is not JSON: line 1, column 16: something follows the value"},
		{"pairs, and then another error", "[\"\\ud83c\\udf4e\\\\udf4e\", SECRET]", 0,
			"the payload is not JSON: line 1, column 30: unexpected characters"},
		{"half a pair behind another error", "[SECRET, \"\\ud83c\"]", 0,
			"the payload is not JSON: line 1, column 7: unexpected characters"},
		{"an escape that is none", "\"\\ud83\"", 0,
			"the payload is not JSON: line 1, column 7: unexpected characters"},
		{"duplicate keys", "{\"SECRET\":1,\"SECRET\":2}", 0,
			"the payload is not JSON: line 1, column 20: a key that was there before"},
		{"an integer over 64 bits", "[9223372036854775808]", 0,
			"the payload is not JSON: line 1, column 20: a number beyond 64 bits, which can only be sent as a text"},
		{"a real too large", "1e999", 0,
			"the payload is not JSON: line 1, column 5: a number beyond 64 bits, which can only be sent as a text"},
		{"a comment", "{} // SECRET", 0,
			"the payload is not JSON: line 1, column 4: something follows the value"},
		{"single quotes", "{'a':1}", 0,
			"the payload is not JSON: line 1, column 2: unexpected characters"},
		{"not a number", "NaN", 0,
			"the payload is not JSON: line 1, column 3: unexpected characters"},
		{"a byte order mark", "\xef\xbb\xbf{}", 0,
			"the payload is not JSON: line 1, column 1: it begins with a byte order mark"},
		{"33 levels", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 0,
			"the payload is nested 33 levels deep: 32 at most"},
		{"33 levels that end nowhere", "{\"\\\"\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0,
			"the payload is nested 33 levels deep: 32 at most"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *json = NULL;
		char reason[PAYLOAD_REASON_SIZE] = "";
		/* an exact copy on the heap: a byte read behind it would be seen */
		const size_t size = cases[i].size ? cases[i].size : strlen(cases[i].bytes);
		char *bytes = malloc(size);
		assert_non_null(bytes);
		memcpy(bytes, cases[i].bytes, size);
		const int error = payload_parse(bytes, size, SIZE_LIMIT, &json, reason);
		free(bytes);
		if (error != PAYLOAD_E_REFUSED || json)
			fail_msg("%s: was not refused: %d", cases[i].name, error);
		if (strcmp(reason, cases[i].reason) != 0)
			fail_msg("%s: '%s', expected '%s'", cases[i].name, reason, cases[i].reason);
		if (strstr(reason, "SECRET"))
			fail_msg("%s: '%s' quotes the payload", cases[i].name, reason);
	}
}

static void sizes(void **state)
{
	(void)state;
	json_t *json = NULL;
	char reason[PAYLOAD_REASON_SIZE] = "";
	assert_int_equal(payload_parse("", 0, SIZE_LIMIT, &json, reason), PAYLOAD_E_REFUSED);
	assert_string_equal(reason, "the payload is empty: expected JSON");
	assert_int_equal(payload_parse(NULL, 0, SIZE_LIMIT, &json, reason), PAYLOAD_E_REFUSED);

	char *large = malloc(1048576);
	assert_non_null(large);
	memset(large, ' ', 1048576);
	large[0] = '7';
	assert_int_equal(payload_parse(large, 1048576, SIZE_LIMIT, &json, reason), PAYLOAD_E_REFUSED);
	assert_string_equal(reason, "the payload is 1048576 bytes: 131072 at most");
	assert_int_equal(payload_parse(large, SIZE_LIMIT + 1, SIZE_LIMIT, &json, reason), PAYLOAD_E_REFUSED);
	assert_int_equal(payload_parse(large, SIZE_LIMIT, SIZE_LIMIT, &json, reason), 0);
	json_decref(json);
	json = NULL;

	memset(large, '[', 1048576);
	assert_int_equal(payload_parse(large, 100, SIZE_LIMIT, &json, reason), PAYLOAD_E_REFUSED);
	assert_string_equal(reason, "the payload is nested 100 levels deep: 32 at most");
	assert_int_equal(payload_parse(large, 1048576, 1048576, &json, reason), PAYLOAD_E_REFUSED);
	assert_string_equal(reason, "the payload is nested 1048576 levels deep: 32 at most");
	assert_null(json);
	free(large);

	assert_false(payload_too_large(5, 5, reason));
	assert_true(payload_too_large(6, 5, reason));
	assert_string_equal(reason, "the payload is 6 bytes: 5 at most");
}

static void out_of_memory(void **state)
{
	(void)state;
	/* texts whose lengths put each of their bytes, the closing quote too, where the lexer's buffer grows */
	static const char *const texts[] = {
		"{\"contact_id\": \"23412 and a longer text than that\", \"list\": [1, 2.5, true, {}]}",
		"[\"12345678901234\"]",
		"[\"123456789012345\"]",
		"[\"1234567890123\"]",
		"[\"123456789012345678901234567890\"]",
		"[\"1234567890123456789012345678901\", 1234567890123456789]",
	};
	for (size_t t = 0; t < 2 * COUNT(texts); t++) {
		const char *text = texts[t / 2];
		bool succeeded = false;
		size_t n = 1;
		for (; !succeeded && n < 1000; n++) {
			json_t *json = NULL;
			char reason[PAYLOAD_REASON_SIZE] = "";
			failing_malloc_start(n, t % 2 == 1);
			const int error = payload_parse(text, strlen(text), SIZE_LIMIT, &json, reason);
			const bool failed = failing_malloc_stop();
			succeeded = error == 0;
			assert_int_equal(failed, !succeeded);
			if (!succeeded && error != -ENOMEM)
				fail_msg("%s, allocation %zu: %d '%s'", text, n, error, reason);
			if (!succeeded && json)
				fail_msg("%s, allocation %zu: gave a value", text, n);
			json_decref(json);
		}
		if (!succeeded || n < 5)
			fail_msg("%s: ended at allocation %zu", text, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(sizes),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("payload", tests, NULL, NULL);
}
