/* Tests of value_text.c: where a secret ends, and what is worth a warning in a value. */
#include "value_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* On the heap and without a NUL, so that a sanitizer sees whoever reads on. */
static char *exactly(const char *text)
{
	char *copy = malloc(strlen(text) > 0 ? strlen(text) : 1);
	assert_non_null(copy);
	memcpy(copy, text, strlen(text));
	return copy;
}

static void test_secret_size(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t size;
	} cases[] = {{"", 0}, {"a", 1}, {"a\n", 1}, {"a\r\n", 1}, {"a\r", 1}, {"\n", 0}, {"\r\n", 0},
		{"a\n\n", 2}, {"a\n\r", 2}, {"a\r\n\r\n", 3}, {"a ", 2}, {" a", 2}, {"\na", 2}, {"a\nb", 3}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = exactly(cases[i].text);
		assert_int_equal(value_text_secret_size(text, strlen(cases[i].text)), cases[i].size);
		free(text);
	}
}

static void test_oddity(void **state)
{
	(void)state;
	static const struct {
		const char *text, *oddity; /* a part of it; NULL: none */
	} cases[] = {
		{"", NULL},
		{"plain", NULL},
		{"two words", NULL},
		{"it's", NULL},
		{"'", NULL},
		{"'a", NULL},
		{"'a\"", NULL},
		{"a'b'", NULL},
		{"{\"a\":1}", NULL},
		{"pa$$word", NULL},
		{"$NAME", NULL},
		{"${}", NULL},
		{"${a b}", NULL},
		{"${NAME", NULL},
		{"${NAME:-x", NULL},
		{"$(NAME:-x)", NULL},
		{"$(", NULL},
		{"${1}", NULL},
		{"{NAME}", NULL},
		{"''", "quote"},
		{"'a'", "begins and ends with a quote"},
		{"\"a\"", "quote"},
		{"`a`", "quote"},
		{"\xe2\x80\x9c"
		 "a\xe2\x80\x9d",
			"quote"},
		{"\xe2\x80\x9e"
		 "a\xe2\x80\x9c",
			"quote"},
		{"\xef\xbb\xbf"
		 "a",
			"begins with a byte order mark"},
		{" a", "begins with a blank or a line end"},
		{"\na", "begins with a blank"},
		{"\xc2\xa0"
		 "a",
			"begins with a blank"},
		{"a ", "ends with a blank or a line end"},
		{"a\t", "ends with a blank"},
		{"a\n", "ends with a blank"},
		{"a\xc2\xa0", "ends with a blank"},
		{"${NAME}", "${} or $()"},
		{"mongodb://u:${mongo_password2}@h", "${}"},
		{"a${NAME:-b}", "${}"},
		{"${NAME-b}c", "${}"},
		{"$$${a}", "${}"},
		{"$(NAME)", "$()"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = exactly(cases[i].text);
		const char *oddity = value_text_oddity(text, strlen(cases[i].text));
		if ((oddity != NULL) != (cases[i].oddity != NULL) ||
			(oddity && !strstr(oddity, cases[i].oddity)))
			fail_msg("<%s>: %s", cases[i].text, oddity ? oddity : "nothing");
		free(text);
	}
}

static void test_repeats(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool repeats;
	} cases[] = {{"", true}, {"a", true}, {"aaaaaaaa", true}, {"aaaaaaab", false}, {"baaaaaaa", false},
		{"abababab", false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = exactly(cases[i].text);
		if (value_text_repeats(text, strlen(cases[i].text)) != cases[i].repeats)
			fail_msg("<%s>", cases[i].text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret_size),
		cmocka_unit_test(test_oddity),
		cmocka_unit_test(test_repeats),
	};
	return cmocka_run_group_tests_name("value_text", tests, NULL, NULL);
}
