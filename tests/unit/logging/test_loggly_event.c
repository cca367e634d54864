/* Tests of loggly_event.c: ids, host names, cutting in any place, parts of a batch. */
#include "loggly_event.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char event[LOGGLY_EVENT_MAX + 1];

static struct loggly_source source_of(const char *host_name)
{
	struct loggly_source source;
	loggly_source_init(&source, 0x1234, host_name);
	return source;
}

static size_t make(const char *line, size_t size)
{
	const struct loggly_source source = source_of("host-1");
	const size_t made = loggly_event_make(&source, 7, line, size, event);
	assert_in_range(made, 1, LOGGLY_EVENT_MAX);
	event[made] = '\0';
	return made;
}

static void test_events(void **state)
{
	(void)state;
	static const struct {
		const char *name, *line, *expected;
	} cases[] = {
		{"fields", "{\"level\":\"info\",\"n\":1}",
			"{\"event_id\":\"0000000000001234-7\",\"host\":\"host-1\",\"level\":\"info\",\"n\":1}\n"},
		{"no fields", "{}", "{\"event_id\":\"0000000000001234-7\",\"host\":\"host-1\"}\n"},
		{"no fields but a blank", "{ }",
			"{\"event_id\":\"0000000000001234-7\",\"host\":\"host-1\" }\n"},
		{"a line end inside", "{\"a\":\n1}",
			"{\"event_id\":\"0000000000001234-7\",\"host\":\"host-1\",\"a\": 1}\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		(void)make(cases[i].line, strlen(cases[i].line));
		assert_string_equal(event, cases[i].expected);
	}
}

static void test_lines_that_are_no_objects(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"Segmentation fault", "{\"event\":\"torn", "\"}", "}", "[1]", "\xff\x01"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const size_t size = make(lines[i], strlen(lines[i]));
		json_t *json = json_loadb(event, size, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		assert_string_equal(json_string_value(json_object_get(json, "event")), "unstructured_line");
		assert_int_equal(strlen(json_string_value(json_object_get(json, "timestamp"))), 24);
		if (i < 5)
			assert_string_equal(json_string_value(json_object_get(json, "message")), lines[i]);
		json_decref(json);
	}
}

static void test_host_names(void **state)
{
	(void)state;
	char longest[2 * LOGGLY_HOST_MAX];
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_string_equal(source_of("a\"b\\c d\n.e-f_g").host, "a_b_c_d_.e-f_g");
	assert_string_equal(source_of("").host, "");
	assert_int_equal(strlen(source_of(longest).host), LOGGLY_HOST_MAX - 1);
}

/* Builds lines in which the place to cut falls on every byte of the pattern, and checks that what comes out
 * is whole JSON, marked, near the limit, and begins like the line. */
static void check_cuts(const char *before, const char *pattern, const char *after, size_t slack)
{
	enum { LINE_SIZE = 1000 * 1000 };
	const size_t pattern_size = strlen(pattern);
	char *line = malloc(LINE_SIZE + 256);
	assert_non_null(line);
	for (size_t shift = 0; shift < pattern_size + 1; shift++) {
		size_t size = (size_t)sprintf(line, "{\"pad\":\"%.*s\",%s", (int)shift,
			"................................................................", before);
		while (size < LINE_SIZE) {
			memcpy(line + size, pattern, pattern_size);
			size += pattern_size;
		}
		size += (size_t)sprintf(line + size, "%s", after);
		const size_t made = make(line, size);
		assert_true(made <= LOGGLY_EVENT_MAX && made + 100 + slack >= LOGGLY_EVENT_MAX);
		json_error_t error;
		json_t *json = json_loadb(event, made, JSON_REJECT_DUPLICATES, &error);
		if (!json)
			fail_msg("shift %zu: %s: %.60s", shift, error.text, event + made - 61);
		assert_true(json_is_true(json_object_get(json, "cut")));
		assert_int_equal(json_integer_value(json_object_get(json, "cut_from")), size);
		assert_string_equal(json_string_value(json_object_get(json, "host")), "host-1");
		assert_int_equal(json_string_length(json_object_get(json, "pad")), shift);
		json_decref(json);
	}
	free(line);
}

static void test_cuts(void **state)
{
	(void)state;
	check_cuts("\"message\":\"", "plain ", "\"}", 0);
	check_cuts("\"message\":\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8d\x8f", "\"}", 8);
	check_cuts("\"message\":\"", "\\n\\\"\\\\\\u00e4", "\"}", 16);
	check_cuts("\"message\":\"", "\\ud83c\\udf4f", "\"}", 24);
	check_cuts("\"message\":\"", "{}[],:", "\",\"n\":1}", 8);
	/* Nothing inside a value that is no text at the top: the whole field goes. */
	check_cuts("\"kept\":[1,\"]\",{\"a\":\"}\"}],\"list\":[0", ",1", "]}", LOGGLY_EVENT_MAX);
	json_t *json = json_loads(event, 0, NULL);
	assert_non_null(json_object_get(json, "kept"));
	assert_null(json_object_get(json, "list"));
	json_decref(json);
}

static void test_many_fields(void **state)
{
	(void)state;
	char *line = malloc(2 * LOGGLY_EVENT_MAX);
	assert_non_null(line);
	size_t size = (size_t)sprintf(line, "{\"n0\":0");
	for (unsigned i = 1; size < 1000 * 1000; i++)
		size += (size_t)sprintf(line + size, ",\"n%u\":%u", i, i);
	size += (size_t)sprintf(line + size, "}");
	const size_t made = make(line, size);
	json_t *json = json_loadb(event, made, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	/* Those that are there are whole: the last one too. */
	for (size_t i = 0; i < json_object_size(json) - 4; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%zu", i);
		assert_int_equal(json_integer_value(json_object_get(json, name)), i);
	}
	assert_in_range(made, LOGGLY_EVENT_MAX - 120, LOGGLY_EVENT_MAX);
	json_decref(json);
	free(line);
}

static void test_the_largest_that_is_whole(void **state)
{
	(void)state;
	char *line = malloc(LOGGLY_EVENT_MAX + 256);
	assert_non_null(line);
	for (size_t size = LOGGLY_EVENT_MAX - 200; size < LOGGLY_EVENT_MAX + 10; size++) {
		memset(line, 'x', size);
		memcpy(line, "{\"a\":\"", 6);
		memcpy(line + size - 2, "\"}", 2);
		const size_t made = make(line, size);
		json_t *json = json_loadb(event, made, 0, NULL);
		assert_non_null(json);
		const size_t text = json_string_length(json_object_get(json, "a"));
		assert_true(json_object_get(json, "cut") ? text <= size - 8 + 3 : text == size - 8);
		json_decref(json);
	}
	free(line);
}

static void test_parts(void **state)
{
	(void)state;
	static const struct {
		const char *lines;
		size_t limit, expected;
	} cases[] = {
		{"aa\nbb\ncc\n", 9, 9},
		{"aa\nbb\ncc\n", 8, 6},
		{"aa\nbb\ncc\n", 6, 6},
		{"aa\nbb\ncc\n", 5, 3},
		{"aa\nbb\ncc\n", 1, 3},
		{"aaaaaaaaa\nb\n", 4, 10},
		{"a\n", 1, 2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(loggly_part(cases[i].lines, strlen(cases[i].lines), cases[i].limit),
			cases[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_lines_that_are_no_objects),
		cmocka_unit_test(test_host_names),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_many_fields),
		cmocka_unit_test(test_the_largest_that_is_whole),
		cmocka_unit_test(test_parts),
	};
	return cmocka_run_group_tests_name("loggly_event", tests, NULL, NULL);
}
