/* Tests of certificate.c: files of all kinds, and what is told when. */
#include "certificate.h"

#include "small_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "e2e/own_certificate.h"

enum { DAY_S = OWN_CERTIFICATE_DAY_S };

static char folder[] = "/tmp/cashewd-test-XXXXXX", path[64];

static void write_text(const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static void test_ends(void **state)
{
	(void)state;
	int64_t ends_s = 0;
	const int64_t now_s = time(NULL);
	own_certificate_write(path, NULL, "one", 3 * DAY_S, "w");
	assert_int_equal(certificate_ends(path, &ends_s), 0);
	assert_in_range(ends_s, now_s + 3 * DAY_S, now_s + 3 * DAY_S + 60);
	/* Of a chain the one that ends first. */
	own_certificate_write(path, NULL, "next", -2 * DAY_S, "a");
	own_certificate_write(path, NULL, "last", 30 * DAY_S, "a");
	assert_int_equal(certificate_ends(path, &ends_s), 0);
	assert_in_range(ends_s, now_s - 2 * DAY_S, now_s - 2 * DAY_S + 60);
	/* With its key before it. */
	own_certificate_write(path, path, "both", DAY_S, "w");
	assert_int_equal(certificate_ends(path, &ends_s), 0);
	assert_in_range(ends_s, now_s + DAY_S, now_s + DAY_S + 60);
}

static void test_none(void **state)
{
	(void)state;
	int64_t ends_s = 7;
	write_text("");
	assert_int_equal(certificate_ends(path, &ends_s), CERTIFICATE_E_NONE);
	write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n");
	assert_int_equal(certificate_ends(path, &ends_s), CERTIFICATE_E_NONE);
	assert_int_equal(certificate_ends(folder, &ends_s), SMALL_FILE_E_KIND);
	assert_int_equal(certificate_ends("/nowhere/client.pem", &ends_s), -ENOENT);
	assert_int_equal(ends_s, 7);
}

static void test_told(void **state)
{
	(void)state;
	static const struct {
		int64_t ends_s, now_s;
		enum certificate_state state;
		const char *words;
	} cases[] = {
		{1000 * DAY_S, 1000 * DAY_S - 14 * DAY_S, CERTIFICATE_GOOD, ""},
		{1000 * DAY_S, 1000 * DAY_S - 14 * DAY_S + 1, CERTIFICATE_ENDS_SOON,
			"ends on 1972-09-27T00:00:00Z, in 13 days"},
		{1000 * DAY_S, 1000 * DAY_S - DAY_S, CERTIFICATE_ENDS_SOON,
			"ends on 1972-09-27T00:00:00Z, in 1 day"},
		{1000 * DAY_S, 1000 * DAY_S - 1, CERTIFICATE_ENDS_SOON,
			"ends on 1972-09-27T00:00:00Z, in less than a day"},
		{1000 * DAY_S, 1000 * DAY_S, CERTIFICATE_ENDED, "ended on 1972-09-27T00:00:00Z"},
		{1000 * DAY_S, 2000 * (int64_t)DAY_S, CERTIFICATE_ENDED, "ended on 1972-09-27T00:00:00Z"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char words[CERTIFICATE_WORDS_SIZE];
		assert_int_equal(certificate_tell(cases[i].ends_s, cases[i].now_s, words), cases[i].state);
		assert_string_equal(words, cases[i].words);
	}
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/client.pem", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_told),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
