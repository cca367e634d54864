/* test_dead_letter_options.c - dead_letter_options.c: times, and what a command line means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "dead_letter_options.h"

static const int64_t NOW = INT64_C(1795435200000); /* 2026-11-23T12:00:00Z */

static void test_since(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* 0: refused */
	} cases[] = {
		{"0s", INT64_C(1795435200000)},
		{"90s", INT64_C(1795435110000)},
		{"30m", INT64_C(1795433400000)},
		{"2h", INT64_C(1795428000000)},
		{"1d", INT64_C(1795348800000)},
		{"1w", INT64_C(1794830400000)},
		{"999999999w", 1},
		{"2026-11-23", INT64_C(1795392000000)},
		{"2026-11-23T12:00:00Z", INT64_C(1795435200000)},
		{"2026-11-23T12:00:00.123Z", INT64_C(1795435200123)},
		{"2024-02-29", INT64_C(1709164800000)},
		{"1970-01-01", 1},
		{"2026-02-29", 0},
		{"2026-04-31", 0},
		{"2026-00-01", 0},
		{"2026-11-23T24:00:00Z", 0},
		{"2026-11-23T12:60:00Z", 0},
		{"2026-11-23T12:00:00", 0},
		{"2026-11-23T12:00:00+01:00", 0},
		{"2026-11-23 12:00:00Z", 0},
		{"2026-11-23 ", 0},
		{" 2026-11-23", 0},
		{"26-11-23", 0},
		{"2h30m", 0},
		{"2 h", 0},
		{"-2h", 0},
		{"+2h", 0},
		{"2", 0},
		{"h", 0},
		{"2y", 0},
		{"1000000000s", 0},
		{"", 0},
		{"yesterday", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = -1;
		print_message("  \"%s\"\n", cases[i].text);
		assert_int_equal(dead_letter_since(cases[i].text, NOW, &ms), cases[i].ms != 0);
		assert_int_equal(ms, cases[i].ms != 0 ? cases[i].ms : -1);
	}
}

enum { WORDS_MAX = 8 };

static int read_words(const char *const *words, struct dead_letter_options *ret, char **ret_problems)
{
	char *values[WORDS_MAX + 2] = {(char *)(uintptr_t) "dead-letters"};
	int count = 1;
	size_t size;
	FILE *problems = open_memstream(ret_problems, &size);
	assert_non_null(problems);
	for (; *words; words++)
		values[count++] = (char *)(uintptr_t)*words;
	const int error = dead_letter_options_read(count, values, problems, ret);
	fclose(problems);
	return error;
}

#define ID "0123456789abcdefABCDEF00"

static void test_good(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		struct dead_letter_options expected;
	} cases[] = {
		{{"list"}, {.action = DEAD_LETTER_LIST, .limit = DEAD_LETTER_LIMIT}},
		{{"list", "--json", "--limit", "0"}, {.action = DEAD_LETTER_LIST, .json = true}},
		{{"list", "--limit=1000000", "--handler="},
			{.action = DEAD_LETTER_LIST, .limit = 1000000, .handler = "", .filtered = true}},
		{{"list", "--user", "1", "--since", "2h"}, {.action = DEAD_LETTER_LIST,
								   .limit = DEAD_LETTER_LIMIT,
								   .user = "1",
								   .since = "2h",
								   .filtered = true}},
		{{"show", ID}, {.action = DEAD_LETTER_SHOW, .limit = DEAD_LETTER_LIMIT, .id_count = 1}},
		{{"show", "--json", ID}, {.action = DEAD_LETTER_SHOW,
						 .limit = DEAD_LETTER_LIMIT,
						 .id_count = 1,
						 .json = true}},
		{{"replay", ID, ID},
			{.action = DEAD_LETTER_REPLAY, .limit = DEAD_LETTER_LIMIT, .id_count = 2}},
		{{"replay", "--all"},
			{.action = DEAD_LETTER_REPLAY, .limit = DEAD_LETTER_LIMIT, .all = true}},
		{{"replay", ID, "--payload", "-"}, {.action = DEAD_LETTER_REPLAY,
							   .limit = DEAD_LETTER_LIMIT,
							   .id_count = 1,
							   .payload_file = "-"}},
		{{"drop", "--yes", "--user", "1"}, {.action = DEAD_LETTER_DROP,
							   .limit = DEAD_LETTER_LIMIT,
							   .yes = true,
							   .user = "1",
							   .filtered = true}},
		{{"drop", "--env-file", "x", "--all"}, {.action = DEAD_LETTER_DROP,
							       .limit = DEAD_LETTER_LIMIT,
							       .all = true,
							       .env_file = "x",
							       .env_file_given = true}},
		{{"--help"}, {.action = DEAD_LETTER_HELP, .limit = DEAD_LETTER_LIMIT}},
		{{"replay", "-h"}, {.action = DEAD_LETTER_HELP, .limit = DEAD_LETTER_LIMIT}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dead_letter_options *expected = &cases[i].expected;
		struct dead_letter_options options;
		char *problems;
		assert_int_equal(read_words(cases[i].words, &options, &problems), 0);
		assert_string_equal(problems, "");
		assert_int_equal(options.action, expected->action);
		assert_int_equal(options.limit, expected->limit);
		assert_int_equal(options.id_count, expected->id_count);
		assert_int_equal(!options.since, !expected->since);
		if (expected->since)
			assert_string_equal(options.since, expected->since);
		assert_int_equal(options.filtered, expected->filtered);
		assert_int_equal(options.all, expected->all);
		assert_int_equal(options.json, expected->json);
		assert_int_equal(options.yes, expected->yes);
		assert_int_equal(options.env_file_given, expected->env_file_given);
		assert_string_equal(options.env_file, expected->env_file ? expected->env_file : ".env");
		assert_int_equal(!options.handler, !expected->handler);
		assert_int_equal(!options.user, !expected->user);
		assert_int_equal(!options.payload_file, !expected->payload_file);
		if (options.id_count > 0)
			assert_memory_equal(
				options.ids[0].bytes, "\x01\x23\x45\x67\x89\xab\xcd\xef\xab\xcd\xef\x00", 12);
		dead_letter_options_free(&options);
		free(problems);
	}
}

/* More of these are told by the program itself, in the end-to-end test. */
static void test_wrong(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *problem;
	} cases[] = {
		{{NULL}, "expected list, show, replay or drop"},
		{{"List"}, "'List'"},
		{{"list", "--limit", "1000001"}, "--limit 1000001: expected a number from 0 to 1000000"},
		{{"show", ID, "--limit", "1"}, "show has no option --limit"},
		{{"show", ID "0"}, "is no id"},
		{{"replay", ID, "--yes"}, "replay has no option --yes"},
		{{"replay", ID, "--all"}, "cannot be combined"},
		{{"replay", "--payload", "x", ID, ID}, "expected one id"},
		{{"drop", ID, "--payload", "x"}, "drop has no option --payload"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dead_letter_options options;
		char *problems;
		assert_int_equal(
			read_words(cases[i].words, &options, &problems), DEAD_LETTER_OPTIONS_E_WRONG);
		if (!strstr(problems, cases[i].problem))
			fail_msg("\"%s\" does not say \"%s\"", problems, cases[i].problem);
		assert_ptr_equal(strchr(problems, '\n'), problems + strlen(problems) - 1);
		free(problems);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_wrong),
	};
	return cmocka_run_group_tests_name("dead_letter_options", tests, NULL, NULL);
}
