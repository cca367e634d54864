/* test_log_spool_lines.c - log_spool_lines.c: lines that are as they were written, and those that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "log_spool_lines.h"
#include <stdlib.h>
#include <string.h>

/* CRC-32 as zlib has it, of the check value of its standard (ITU-T V.42) and of what else stands here. */
#define NINE "cbf43926 123456789\n"
#define A    "e8b7be43 a\n"

static void marks(void **state)
{
	(void)state;
	static const struct {
		const char *name, *lines, *expected;
	} cases[] = {
		{"none", "", ""},
		{"one", "123456789\n", NINE},
		{"two", "123456789\na\n", NINE A},
		{"one that has no end", "a\n1234", A},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char marked[128] = "";
		const size_t size = log_spool_lines_mark(cases[i].lines, strlen(cases[i].lines), marked);
		print_message("  %s\n", cases[i].name);
		assert_int_equal(size, strlen(cases[i].expected));
		assert_memory_equal(marked, cases[i].expected, size);
	}
}

static void checks(void **state)
{
	(void)state;
	static const struct {
		const char *name, *bytes, *expected;
		uint64_t events;
	} cases[] = {
		{"nothing", "", "", 0},
		{"whole lines", NINE A, "123456789\na\n", 2},
		{"torn at the end", NINE "e8b7be43 a", "123456789\n", 1},
		{"torn in its mark", NINE "e8b7", "123456789\n", 1},
		{"torn, and written on", "cbf43926 1234" NINE A, "a\n", 1},
		{"a changed event", "cbf43926 123456780\n" A, "a\n", 1},
		{"a changed mark", "cbf43927 123456789\n" A, "a\n", 1},
		{"capitals, which nobody writes", "CBF43926 123456789\n" A, "a\n", 1},
		{"a sign in the mark", "+bf43926 123456789\n" A, "a\n", 1},
		{"no blank behind the mark", "cbf43926_123456789\n" A, "a\n", 1},
		{"an empty event", "00000000 \n" A, "a\n", 1},
		{"empty lines", "\n\n" A "\n", "a\n", 1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t size = strlen(cases[i].bytes);
		/* Of that size, so that a sanitizer sees whoever reads on. */
		char *bytes = malloc(size > 0 ? size : 1);
		uint64_t events = 99;
		assert_non_null(bytes);
		memcpy(bytes, cases[i].bytes, size);
		print_message("  %s\n", cases[i].name);
		assert_int_equal(log_spool_lines_check(bytes, size, &events), strlen(cases[i].expected));
		assert_memory_equal(bytes, cases[i].expected, strlen(cases[i].expected));
		assert_int_equal(events, cases[i].events);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(marks), cmocka_unit_test(checks)};
	return cmocka_run_group_tests_name("log_spool_lines", tests, NULL, NULL);
}
