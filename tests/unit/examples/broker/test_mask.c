/* test_mask.c - mask.c of the broker's plugin: what looks like a token does not get into the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its sources are part of the test. */
#include "mask.c"

#include "token.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TOKEN	     "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJl"

static void texts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *masked;
	} cases[] = {
		{"", ""},
		{"client 68946/phone of user:68946", "client 68946/phone of user:68946"},
		{"client " TOKEN " from 127.0.0.1", "client ******** from 127.0.0.1"},
		{TOKEN, "********"},
		{"68946/" TOKEN "/x", "68946/********/x"},
		{TOKEN " " TOKEN, "******** ********"},
		/* Cut, or a part of one. */
		{"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "********"},
		{"x/eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJl", "x/********"},
		/* Written with blanks and line ends: { "alg", {\n, {\r\n, {\t. */
		{"eyAiYWxnIjoiSFMyNTYifQ.e30.c2ln", "********"},
		{"ewogImFsZyI6IkhTMjU2In0.e30.c2ln", "********"},
		{"ew0KICJhbGciOiJIUzI1NiJ9.e30.c2ln", "********"},
		{"ewkiYWxnIjoiSFMyNTYifQ.e30.c2ln", "********"},
		/* Too short for one. */
		{"eyJhbGciOiJIUzI1NiI", "eyJhbGciOiJIUzI1NiI"},
		{"eyJ", "eyJ"},
		{"ey", "ey"},
		{"they/are/eyewitnesses-of-something-long", "they/are/eyewitnesses-of-something-long"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256];
		snprintf(text, sizeof(text), "%s", cases[i].text);
		mask_tokens(text);
		assert_string_equal(text, cases[i].masked);
	}
}

static void tokens_of_ours(void **state)
{
	(void)state;
	char *token = NULL;
	assert_int_equal(
		token_sign_user("0123456789abcdef0123456789abcdef", "68946", 1795000000, 60, &token), 0);
	mask_tokens(token);
	assert_string_equal(token, "********");
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(tokens_of_ours)};
	return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
