/* test_schedule_options.c - schedule_options.c: the command line of `cashewd schedules`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "schedule_options.h"

enum { ARGUMENTS_MAX = 6 };

/* What was said of those arguments; *ret where nothing was. To be freed. */
static char *read_words(const char *const *arguments, struct schedule_options *ret)
{
	char *values[ARGUMENTS_MAX + 2] = {(char *)(uintptr_t) "schedules"};
	int count = 1;
	for (; *arguments; arguments++)
		values[count++] = (char *)(uintptr_t)*arguments;
	char *words;
	size_t size;
	FILE *problems = open_memstream(&words, &size);
	assert_non_null(problems);
	const int error = schedule_options_read(count, values, problems, ret);
	fclose(problems);
	assert_int_equal(error, words[0] != '\0' ? SCHEDULE_OPTIONS_E_WRONG : 0);
	return words;
}

static void test_read(void **state)
{
	(void)state;
	static const struct {
		const char *arguments[ARGUMENTS_MAX];
		enum schedule_action action;
		const char *name, *env_file;
		bool json;
		unsigned wait_s;
	} cases[] = {
		{{"list"}, SCHEDULE_LIST, NULL, ".env", false, 60},
		{{"list", "--json", "--env-file", "x"}, SCHEDULE_LIST, NULL, "x", true, 60},
		{{"run", "hourly"}, SCHEDULE_RUN, "hourly", ".env", false, 60},
		{{"--wait=5", "run", "hourly"}, SCHEDULE_RUN, "hourly", ".env", false, 5},
		{{"run", "hourly", "--wait", "86400"}, SCHEDULE_RUN, "hourly", ".env", false, 86400},
		{{"--help"}, SCHEDULE_HELP, NULL, ".env", false, 60},
		{{"help"}, SCHEDULE_HELP, NULL, ".env", false, 60},
		{{"-h", "nonsense"}, SCHEDULE_HELP, NULL, ".env", false, 60},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct schedule_options options;
		char *words = read_words(cases[i].arguments, &options);
		assert_string_equal(words, "");
		assert_int_equal(options.action, cases[i].action);
		if (cases[i].name)
			assert_string_equal(options.name, cases[i].name);
		else
			assert_null(options.name);
		assert_string_equal(options.env_file, cases[i].env_file);
		assert_int_equal(options.env_file_given, strcmp(cases[i].env_file, ".env") != 0);
		assert_int_equal(options.json, cases[i].json);
		assert_int_equal(options.wait_s, cases[i].wait_s);
		free(words);
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *arguments[ARGUMENTS_MAX];
		const char *words; /* between the program's name and where to read on */
	} cases[] = {
		{{NULL}, "expected list or run NAME"},
		{{"lists"}, "'lists': expected list or run NAME"},
		{{"list", "hourly"}, "list: unexpected argument 'hourly'"},
		{{"list", "--wait", "5"}, "list: --wait is for run"},
		{{"run"}, "run: expected the name of one schedule, as list shows it"},
		{{"run", "a", "b"}, "run: expected the name of one schedule, as list shows it"},
		{{"run", "a", "--json"}, "run: --json is for list"},
		{{"run", "a", "--wait", "0"}, "--wait 0: expected 1 to 86400 seconds"},
		{{"run", "a", "--wait", "86401"}, "--wait 86401: expected 1 to 86400 seconds"},
		{{"run", "a", "--wait", "1s"}, "--wait 1s: expected 1 to 86400 seconds"},
		{{"run", "a", "--wait", "99999999999"}, "--wait 99999999999: expected 1 to 86400 seconds"},
		{{"run", "a", "--wait"}, "--wait: its value is missing"},
		{{"list", "--colour"}, "--colour: no such option"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct schedule_options options = {.wait_s = 77};
		char expected[256];
		char *words = read_words(cases[i].arguments, &options);
		snprintf(expected, sizeof(expected), "cashewd schedules: %s; see cashewd schedules --help\n",
			cases[i].words);
		assert_string_equal(words, expected);
		assert_int_equal(options.wait_s, 77);
		free(words);
	}
}

/* A terminal's: 24 lines of 80 columns. */
static void test_help(void **state)
{
	(void)state;
	char *text;
	size_t size, lines = 0;
	FILE *out = open_memstream(&text, &size);
	schedule_help(out);
	fclose(out);
	for (char *rest = text, *line; (line = strsep(&rest, "\n")) && rest; lines++)
		assert_true(strlen(line) < 80);
	assert_in_range(lines, 10, 24);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read), cmocka_unit_test(test_refused), cmocka_unit_test(test_help)};
	return cmocka_run_group_tests_name("schedule_options", tests, NULL, NULL);
}
