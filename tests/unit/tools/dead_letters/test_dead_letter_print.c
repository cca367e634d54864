/* test_dead_letter_print.c - dead_letter_print.c: what people and programs get to see of a letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "dead_letter_print.h"
#include "dead_letters.h"

static struct dead_letter sample(void)
{
	return (struct dead_letter){.id = {{0x65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff}},
		.topic = "1/get_apples",
		.payload = "{}",
		.payload_size = 2,
		.user = "1",
		.handler = "get_apples",
		.reason = "it said so",
		.attempts = 3,
		.crashes = 1,
		.host = "cashewd",
		.when_ms = INT64_C(1795435200123)};
}

static void test_is_text(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		bool text;
	} cases[] = {
		{"", 0, true},
		{NULL, 0, true},
		{"{\"a\":1}\r\n\t", 10, true},
		{"\xc3\xa4pfel", 6, true},
		{"a\0b", 3, false},
		{"\x1b[31m", 5, false},
		{"\x7f", 1, false},
		{"\xc2\x9b", 2, false}, /* CSI */
		{"\xc2\xa0", 2, true},
		{"\xc3", 1, false},
		{"\xff\xfe", 2, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(dead_letter_is_text(cases[i].bytes, cases[i].size), cases[i].text);
}

static char *shown(const struct dead_letter *letter)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	dead_letter_show(letter, out);
	fclose(out);
	return text;
}

static void test_show(void **state)
{
	struct dead_letter letter = sample();
	(void)state;
	char *text = shown(&letter);
	assert_string_equal(text, "id              6500000000000000000000ff\n"
				  "when            2026-11-23T12:00:00.123Z\n"
				  "topic           1/get_apples\n"
				  "user            1\n"
				  "handler         get_apples\n"
				  "reason          it said so\n"
				  "attempts        3\n"
				  "crashes         1\n"
				  "host            cashewd\n"
				  "payload         2 bytes\n"
				  "{}\n");
	free(text);
	letter.payload = "0123456789abcde\xff\x1bz";
	letter.payload_size = 18;
	letter.payload_cut_from = 5000;
	letter.expires_ms = INT64_C(1795435200000);
	letter.reason = "a\nb\x1b[1m\xc2\x9b";
	text = shown(&letter);
	assert_non_null(strstr(text, "expires         2026-11-23T12:00:00.000Z\n"));
	assert_non_null(strstr(text, "reason          a\\x0ab\\x1b[1m\\x9b\n"));
	assert_non_null(strstr(text, "5000 bytes"));
	assert_non_null(
		strstr(text, "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 ff  |0123456789abcde.|\n"
			     "00000010  1b 7a                                            |.z|\n"));
	free(text);
}

static void test_table(void **state)
{
	static const struct {
		const char *name;
		unsigned width;
		bool colours;
		const char *expected;
	} cases[] = {
		{"not cut", 0, false,
			"ID                        WHEN                  TOPIC         HANDLER     ATTEMPTS  REASON\n"
			"6500000000000000000000ff  2026-11-23T12:00:00Z  1/get_apples  get_apples  3         it said so\n"
			"6500000000000000000000ff  2026-11-23T12:00:00Z  2/\xc3\xa4           -           3         "
			"a reason that is too long for this\n"},
		{"cut", 100, true,
			"\033[1mID                        WHEN                  TOPIC         HANDLER     ATTEMPTS  REASON\n\033[0m"
			"6500000000000000000000ff  2026-11-23T12:00:00Z  1/get_apples  get_apples  3         it said so\n"
			"6500000000000000000000ff  2026-11-23T12:00:00Z  2/\xc3\xa4           -           3         "
			"a reason that is to\xe2\x80\xa6\n"},
	};
	struct dead_letter_table table = {.rows = NULL};
	struct dead_letter letter = sample();
	(void)state;
	assert_int_equal(dead_letter_table_add(&table, &letter), 0);
	letter.topic = "2/\xc3\xa4";
	letter.handler = "";
	letter.reason = "a reason that is too long for this";
	assert_int_equal(dead_letter_table_add(&table, &letter), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		assert_non_null(out);
		print_message("  %s\n", cases[i].name);
		dead_letter_table_print(&table, cases[i].width, cases[i].colours, out);
		fclose(out);
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
	dead_letter_table_free(&table);
}

static void test_json(void **state)
{
	struct dead_letter letter = sample();
	(void)state;
	json_t *json = dead_letter_json(&letter);
	json_t *expected = json_loads(
		"{\"id\":\"6500000000000000000000ff\",\"when\":\"2026-11-23T12:00:00.123Z\","
		"\"topic\":\"1/get_apples\",\"user_id\":\"1\",\"handler\":\"get_apples\","
		"\"reason\":\"it said so\",\"attempts\":3,\"crashes\":1,\"host\":\"cashewd\",\"payload_bytes\":2,\"payload\":\"{}\"}",
		0, NULL);
	assert_true(json_equal(json, expected));
	json_decref(json);
	json_decref(expected);
	letter.payload = "\xff\0";
	letter.correlation = "";
	letter.response_topic = "1/answers";
	letter.payload_cut_from = 9;
	letter.reason = "\xff";
	json = dead_letter_json(&letter);
	assert_null(json_object_get(json, "payload"));
	assert_string_equal(json_string_value(json_object_get(json, "payload_base64")), "/wA=");
	assert_string_equal(json_string_value(json_object_get(json, "correlation_base64")), "");
	assert_string_equal(json_string_value(json_object_get(json, "response_topic")), "1/answers");
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "\\xff");
	assert_int_equal(json_integer_value(json_object_get(json, "payload_cut_from")), 9);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_text),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests_name("dead_letter_print", tests, NULL, NULL);
}
