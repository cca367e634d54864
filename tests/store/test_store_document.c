/* Tests of store_document.c: what is written of a text that may hold anything. */
#include "store_document.h"

#include "log_secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECRET "k4n4ry:Pa55word"

static const char *text_of(const bson_t *document, const char *field)
{
	bson_iter_t at;
	assert_true(bson_iter_init_find(&at, document, field));
	assert_true(BSON_ITER_HOLDS_UTF8(&at));
	return bson_iter_utf8(&at, NULL);
}

static void test_reason(void **state)
{
	(void)state;
	static const struct {
		const char *reason, *expected;
	} cases[] = {
		{NULL, ""},
		{"the handler said so", "the handler said so"},
		{"cannot log in as " SECRET, "cannot log in as ********"},
		{"GET /k4n4ry%3aPa55word", "GET /********"},
		{"\xff " SECRET, "? ********"},
	};
	assert_int_equal(log_secret_add(SECRET), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bson_t document = BSON_INITIALIZER;
		store_append_reason(&document, cases[i].reason);
		assert_string_equal(text_of(&document, "reason"), cases[i].expected);
		bson_destroy(&document);
	}
	log_secret_forget();
}

static void test_text(void **state)
{
	(void)state;
	bson_t document = BSON_INITIALIZER;
	store_append_text(&document, "a", NULL);
	store_append_text(&document, "b", "\xc3\xa4");
	store_append_text(&document, "c", "x\xc3");
	assert_string_equal(text_of(&document, "a"), "");
	assert_string_equal(text_of(&document, "b"), "\xc3\xa4");
	assert_string_equal(text_of(&document, "c"), "x?");
	bson_destroy(&document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_reason), cmocka_unit_test(test_text)};
	return cmocka_run_group_tests_name("store_document", tests, NULL, NULL);
}
