/* test_text_line.c - text_line.c: what of a text of others reaches a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "text_line.h"

static void test_lines(void **state)
{
	static const struct {
		const char *text, *line;
		size_t width;
	} cases[] = {
		{"", "", 0},
		{"1/get_apples", "1/get_apples", 12},
		{"\xc3\xa4pfel", "\xc3\xa4pfel", 5},
		{"a\nb\tc\r", "a\\x0ab\\x09c\\x0d", 15},
		{"\x1b[31m", "\\x1b[31m", 8},
		{"\x1b]0;title\x07", "\\x1b]0;title\\x07", 16},
		{"\x01\x7f", "\\x01\\x7f", 8},
		{"\xc2\x9b"
		 "2J",
			"\\x9b2J", 6},
		{"\xc2\xa0", "\xc2\xa0", 1},
		{"\xff\x61", "\\xffa", 5},
		{"\xc3", "\\xc3", 4},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *line = text_line(cases[i].text);
		assert_string_equal(line, cases[i].line);
		assert_int_equal(text_width(line), cases[i].width);
		free(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
	return cmocka_run_group_tests_name("text_line", tests, NULL, NULL);
}
