/* test_top_table.c - top_table.c: columns, and lines that are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "top_table.h"

static void test_table(void **state)
{
	static const struct {
		size_t rows;
		const char *expected;
		unsigned width;
	} cases[] = {
		{3, TOP_BOLD "NAME     RATE  WHAT\n" TOP_PLAIN "\xc3\xa4           1  x\n"
			     "longer  " TOP_RED "12345" TOP_PLAIN "  \n"
			     "ab\xe2\x80\xa6         3  z\n"},
		{2, TOP_BOLD "NAME     RATE  WHAT\n" TOP_PLAIN "\xc3\xa4           1  x\n" TOP_DIM
			     "... and 2 more" TOP_PLAIN "\n"},
		{1, TOP_BOLD "NAME     RATE  WHAT\n" TOP_PLAIN TOP_DIM "... and 3 more" TOP_PLAIN "\n"},
		{0, TOP_BOLD "NAME     RATE  WHAT\n" TOP_PLAIN},
		{0, TOP_BOLD "NAME     RATE  WHAT\n" TOP_PLAIN, 19},
		{2,
			TOP_BOLD "NAME     RATE " TOP_ELLIPSIS "\n" TOP_PLAIN "\xc3\xa4           1\n" TOP_DIM
				 "... and 2 more" TOP_PLAIN "\n",
			18},
		{0, TOP_BOLD "NAME     RATE " TOP_ELLIPSIS "\n" TOP_PLAIN, 15},
		{0, TOP_BOLD "NAME " TOP_ELLIPSIS "\n" TOP_PLAIN, 14},
		{0, TOP_BOLD "NAME " TOP_ELLIPSIS "\n" TOP_PLAIN, 1},
	};
	static const char *const headings[] = {"NAME", "RATE", "WHAT", NULL};
	struct top_table table = {.headings = headings, .left = 5};
	(void)state;
	assert_int_equal(top_table_rows(&table), 0);
	top_table_add_cut(&table, "\xc3\xa4", 3);
	top_table_add(&table, "%d", 1);
	top_table_add(&table, "x");
	top_table_add_cut(&table, "longer", 6);
	top_table_add(&table, TOP_RED "%d" TOP_PLAIN, 12345);
	top_table_add(&table, "%s", "");
	top_table_add_cut(&table, "ab\xc3\xa4n", 3);
	top_table_add(&table, "3");
	top_table_add(&table, "z");
	assert_int_equal(top_table_rows(&table), 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		assert_int_equal(top_table_print(&table, cases[i].rows, cases[i].width, out), 0);
		fclose(out);
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
	top_table_free(&table);
}

static void test_many_cells(void **state)
{
	static const char *const headings[] = {"A", NULL};
	struct top_table table = {.headings = headings};
	char *text;
	size_t size;
	(void)state;
	for (int i = 0; i < 1000; i++)
		top_table_add(&table, "%d", i);
	assert_int_equal(top_table_rows(&table), 1000);
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(top_table_print(&table, 1000, 0, out), 0);
	fclose(out);
	assert_non_null(strstr(text, "\n  7\n"));
	assert_non_null(strstr(text, "\n999\n"));
	free(text);
	top_table_free(&table);
}

static void test_cut(void **state)
{
	static const struct {
		const char *text;
		unsigned width, height;
		bool colours;
		const char *expected;
	} cases[] = {
		{"one\ntwo\nthree\n", 0, 0, false, "one\ntwo\nthree\n"},
		{"one\ntwo\nthree\n", 4, 2, false, "one\ntwo\n"},
		{"three\n\nx", 2, 3, false, "th\n\nx\n"},
		{"\xc3\xa4\xc3\xb6\xc3\xbc\n", 2, 0, false, "\xc3\xa4\xc3\xb6\n"},
		{TOP_RED "red" TOP_PLAIN " " TOP_DIM "dim" TOP_PLAIN "\n", 0, 0, false, "red dim\n"},
		{TOP_RED "red" TOP_PLAIN " " TOP_DIM "dim" TOP_PLAIN "\n", 0, 0, true,
			"\033[31mred\033[0m \033[2mdim\033[0m\n"},
		/* a colour ends with its line, also where its end is cut or was never there */
		{TOP_YELLOW "yellow" TOP_PLAIN "\n", 3, 0, true, "\033[33myel\033[0m\n"},
		{TOP_BOLD "bold\n" TOP_PLAIN "green" TOP_GREEN "\n", 0, 0, true,
			"\033[1mbold\033[0m\ngreen\033[32m\033[0m\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		top_table_cut(cases[i].text, cases[i].width, cases[i].height, cases[i].colours, out);
		fclose(out);
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_many_cells),
		cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests_name("top_table", tests, NULL, NULL);
}
