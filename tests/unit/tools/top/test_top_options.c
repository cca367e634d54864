/* test_top_options.c - top_options.c: the command line of `cashewd top`, and what is an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "top_options.h"

enum { ARGUMENTS_MAX = 8 };

/* What was said of those arguments; *ret where nothing was. To be freed. */
static char *read_words(const char *const *arguments, struct top_options *ret)
{
	char *values[ARGUMENTS_MAX + 2] = {(char *)(uintptr_t) "top"};
	int count = 1;
	for (; *arguments; arguments++)
		values[count++] = (char *)(uintptr_t)*arguments;
	char *words;
	size_t size;
	FILE *problems = open_memstream(&words, &size);
	assert_non_null(problems);
	const int r = top_options_read(count, values, problems, ret);
	fclose(problems);
	assert_int_equal(r, words[0] != '\0' ? TOP_OPTIONS_E_WRONG : 0);
	return words;
}

static void test_defaults(void **state)
{
	struct top_options options;
	(void)state;
	char *words = read_words((const char *const[]){NULL}, &options);
	assert_string_equal(words, "");
	assert_false(options.help || options.once || options.json || options.env_file_given);
	assert_null(options.address);
	assert_string_equal(options.env_file, ".env");
	assert_int_equal(options.interval_ms, 1000);
	free(words);
}

static void test_all(void **state)
{
	struct top_options options;
	(void)state;
	char *words = read_words((const char *const[]){"--once", "--json", "--addr", "localhost:9883",
					 "--interval=2.5", "--env-file=x", NULL},
		&options);
	assert_string_equal(words, "");
	assert_true(options.once && options.json && options.env_file_given);
	assert_string_equal(options.address, "localhost:9883");
	assert_string_equal(options.env_file, "x");
	assert_int_equal(options.interval_ms, 2500);
	free(words);
	words = read_words((const char *const[]){"--help", "nonsense", NULL}, &options);
	assert_string_equal(words, "");
	assert_true(options.help);
	free(words);
}

static void test_wrong(void **state)
{
	static const struct {
		const char *arguments[3], *told;
	} cases[] = {
		{{"now"}, "unexpected argument 'now'"},
		{{"--all"}, "unknown option --all"},
		{{"--addr"}, "--addr needs a value"},
		{{"--addr", "9883"}, "--addr 9883: expected HOST:PORT"},
		{{"--interval", "0"}, "--interval 0: expected seconds"},
		{{"--interval", "0.09"}, "--interval 0.09: expected"},
		{{"--interval", "3601"}, "--interval 3601: expected"},
		{{"--interval", "-1"}, "--interval -1: expected"},
		{{"--interval", "inf"}, "--interval inf: expected"},
		{{"--interval", "1e3"}, "--interval 1e3: expected"},
		{{"--interval", "1.2.3"}, "--interval 1.2.3: expected"},
		{{"--interval", "."}, "--interval .: expected"},
		{{"--interval", ""}, "--interval : expected"},
	};
	struct top_options options;
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *words = read_words(cases[i].arguments, &options);
		assert_non_null(strstr(words, cases[i].told));
		assert_non_null(strstr(words, "cashewd top --help"));
		free(words);
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *address; /* NULL: it is none */
	} cases[] = {
		{"127.0.0.1:9883", "127.0.0.1:9883"},
		{"localhost:1", "localhost:1"},
		{"[::1]:65535", "[::1]:65535"},
		{":9883", "127.0.0.1:9883"},
		{"0.0.0.0:9883", "127.0.0.1:9883"},
		{"[::]:9883", "[::1]:9883"},
		{"", NULL},
		{"9883", NULL},
		{"localhost", NULL},
		{"localhost:", NULL},
		{"localhost:0", NULL},
		{"localhost:65536", NULL},
		{"localhost:123456", NULL},
		{"localhost:+1", NULL},
		{"user@localhost:1", NULL},
		{"localhost/x:1", NULL},
		{"local host:1", NULL},
		{"::1:9883", NULL},
		{"[::1]]:1", NULL},
		{"[]:1", NULL},
		{"[::1", NULL},
	};
	char address[TOP_ADDRESS_SIZE];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(top_address(cases[i].text, address), cases[i].address != NULL);
		if (cases[i].address)
			assert_string_equal(address, cases[i].address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_addresses),
	};
	return cmocka_run_group_tests_name("top_options", tests, NULL, NULL);
}
