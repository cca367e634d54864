/* test_token_base64.c - token_base64.c: the one form of each value, and no byte beyond the room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token_base64.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void texts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int size; /* -1: refused */
		const char *bytes;
	} cases[] = {
		{"", 0, ""},
		{"Zg", 1, "f"},
		{"Zm8", 2, "fo"},
		{"Zm9v", 3, "foo"},
		{"Zm9vYg", 4, "foob"},
		{"Zm9vYmE", 5, "fooba"},
		{"Zm9vYmFy", 6, "foobar"},
		{"-_-_", 3, "\xfb\xff\xbf"},
		{"+/+/", -1, NULL},
		{"Z", -1, NULL},
		{"Zm9vY", -1, NULL},
		{"Zh", -1, NULL},
		{"Zm9", -1, NULL},
		{"Zg==", -1, NULL},
		{"Zm8=", -1, NULL},
		{"Zm9v\n", -1, NULL},
		{"Zm 9v", -1, NULL},
		{"Zm9v.", -1, NULL},
		{"\xc3\xa4", -1, NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned char bytes[16];
		const int size =
			token_base64_decode(cases[i].text, strlen(cases[i].text), bytes, sizeof(bytes));
		if (size != cases[i].size)
			fail_msg("\"%s\": %d", cases[i].text, size);
		if (size > 0)
			assert_memory_equal(bytes, cases[i].bytes, (size_t)size);
	}
}

/* The room is exactly as large as it is said to be, so that a sanitizer sees whoever writes on. */
static void rooms(void **state)
{
	(void)state;
	for (size_t room = 0; room <= 8; room++) {
		unsigned char *bytes = malloc(room > 0 ? room : 1);
		assert_non_null(bytes);
		assert_int_equal(token_base64_decode("Zm9vYmFy", 8, bytes, room), room < 6 ? -1 : 6);
		free(bytes);
	}
	unsigned char bytes[2];
	assert_int_equal(token_base64_decode("Zg\0", 3, bytes, sizeof(bytes)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(rooms)};
	return cmocka_run_group_tests_name("token_base64", tests, NULL, NULL);
}
