/* Tests of doctor_print.c: what the doctor found, for people and for programs. */
#include "doctor_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct doctor_line lines[] = {
	{"settings", DOCTOR_OK, "all of them", ""},
	{"files", DOCTOR_SKIP, "there are none", ""},
	{"broker_tls", DOCTOR_WARN, "ends in 3.0 days", "renew it"},
	{"access", DOCTOR_FAIL, "a \"hole\"", "close it"},
};
enum { LINES = sizeof(lines) / sizeof(lines[0]) };

static char *print(size_t index, bool colours)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	doctor_print_line(&lines[index], 10, colours, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_lines(void **state)
{
	(void)state;
	static const struct {
		size_t index;
		bool colours;
		const char *expected;
	} cases[] = {
		{0, false, "ok    settings    all of them\n"},
		{1, false, "skip  files       there are none\n"},
		{2, false, "warn  broker_tls  ends in 3.0 days\n                  -> renew it\n"},
		{3, false, "fail  access      a \"hole\"\n                  -> close it\n"},
		{0, true, "\033[32mok  \033[0m  settings    all of them\n"},
		{3, true, "\033[1;31mfail\033[0m  access      a \"hole\"\n                  -> close it\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = print(cases[i].index, cases[i].colours);
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

/* No line is wider than a terminal; no word is torn but one that is wider itself; nothing but blanks is lost. */
static void test_wrapping(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct doctor_line line;
		const char *expected;
	} cases[] = {
		{"of exactly 80 columns",
			{"session", DOCTOR_OK,
				"the sixty-two columns that are left when the name takes ten of", ""},
			"ok    session     the sixty-two columns that are left when the name takes ten of\n"},
		{"one more",
			{"session", DOCTOR_OK,
				"the sixty-two columns that are left when the name takes ten of.", ""},
			"ok    session     the sixty-two columns that are left when the name takes ten\n"
			"                  of.\n"},
		{"an advice",
			{"session", DOCTOR_FAIL, "none",
				"let the broker verify tokens with JWT_SECRET and refuse all else, then run this again"},
			"fail  session     none\n"
			"                  -> let the broker verify tokens with JWT_SECRET and refuse all\n"
			"                     else, then run this again\n"},
		{"a long word",
			{"session", DOCTOR_OK,
				"a bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c",
				""},
			"ok    session     a\n"
			"                  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
			"                  bbbbbbbbbbbbbbbbbb c\n"},
		{"characters of two bytes",
			{"session", DOCTOR_OK,
				"\xc3\xa4\xc3\xa4\xc3\xa4 sixty-two columns that are left when the name takes ten of",
				""},
			"ok    session     \xc3\xa4\xc3\xa4\xc3\xa4 sixty-two columns that are left when the name takes ten of\n"},
		{"nothing", {"session", DOCTOR_OK, "", ""}, "ok    session     \n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		print_message("%s\n", cases[i].name);
		assert_non_null(out);
		doctor_print_line(&cases[i].line, 10, false, out);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

static void test_totals(void **state)
{
	(void)state;
	const struct doctor_totals totals = doctor_totals(lines, LINES);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	doctor_print_totals(&totals, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "\n1 ok, 1 warning, 1 failed, 1 skipped\n");
	free(text);
}

static void test_json(void **state)
{
	(void)state;
	json_t *json = doctor_json(lines, LINES);
	assert_non_null(json);
	assert_true(json_is_false(json_object_get(json, "ok")));
	assert_int_equal(json_integer_value(json_object_get(json, "failed")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "warnings")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "passed")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "skipped")), 1);
	const json_t *checks = json_object_get(json, "checks");
	assert_int_equal(json_array_size(checks), LINES);
	const json_t *last = json_array_get(checks, LINES - 1), *first = json_array_get(checks, 0);
	assert_string_equal(json_string_value(json_object_get(last, "check")), "access");
	assert_string_equal(json_string_value(json_object_get(last, "outcome")), "fail");
	assert_string_equal(json_string_value(json_object_get(last, "seen")), "a \"hole\"");
	assert_string_equal(json_string_value(json_object_get(last, "advice")), "close it");
	assert_null(json_object_get(first, "advice"));
	json_decref(json);

	/* Warnings alone are no failure. */
	json = doctor_json(lines, LINES - 1);
	assert_true(json_is_true(json_object_get(json, "ok")));
	json_decref(json);
}

/* A server may say anything. */
static void test_bytes_that_are_no_text(void **state)
{
	(void)state;
	const struct doctor_line odd = {"database", DOCTOR_FAIL, "\xff\xfe", "\xc3"};
	json_t *json = doctor_json(&odd, 1);
	assert_non_null(json);
	char *text = json_dumps(json, 0);
	assert_non_null(text);
	json_t *again = json_loads(text, 0, NULL);
	assert_non_null(again);
	assert_int_equal(json_integer_value(json_object_get(again, "failed")), 1);
	json_decref(again);
	json_decref(json);
	free(text);
}

static void test_spans(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {{0, "0 s"}, {119, "119 s"}, {120, "2 minutes"}, {3600, "60 minutes"},
		{7199, "119 minutes"}, {7200, "2 hours"}, {172799, "47 hours"}, {172800, "2.0 days"},
		{1062720, "12.3 days"}, {INT64_MAX, "106751991167300.6 days"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char span[DOCTOR_SPAN_SIZE];
		doctor_span(span, cases[i].seconds);
		assert_string_equal(span, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_bytes_that_are_no_text),
	};
	return cmocka_run_group_tests_name("doctor_print", tests, NULL, NULL);
}
