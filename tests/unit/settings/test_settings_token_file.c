/* Tests of settings.c: tokens and secrets that stand in files, and files that are none. */
#include "settings_outcome.h"

static void test_fifos(void **state)
{
	static const char *const names[] = {"BROKER_CA_FILE", "HANDLER_TOKEN_FILE", "LOGGLY_CA_FILE"};
	char fifo[] = "/tmp/cashewd-test-fifo-XXXXXX", file[256], expected[256];
	(void)state;
	assert_non_null(mkdtemp(fifo));
	assert_return_code(rmdir(fifo), errno);
	assert_return_code(mkfifo(fifo, 0600), errno);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(file, sizeof(file), ENOUGH "%s=%s\n", names[i], fifo);
		snprintf(expected, sizeof(expected),
			"%s=%s: it is a FIFO: expected a file, since it is read again and again\n", names[i],
			fifo);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(file, no_environment, plain_handlers);
		assert_string_equal(got.problems, expected);
	}
	assert_return_code(unlink(fifo), errno);
}

static void test_token_file(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome got = read_with(
		"JWT_SECRET=\nHANDLER_TOKEN_FILE=/dev/null\n" BROKER URL, no_environment, plain_handlers);
	assert_string_equal(got.problems, "");
	assert_int_equal(got.result, 0);
}

/* Which secret signs the host's token. */
static void test_handler_secret(void **state)
{
	(void)state;
	static const struct {
		const char *file, *problems, *name, *secret; /* of the two that signs */
	} cases[] = {
		{SECRET BROKER URL, "", "JWT_SECRET", "0123456789abcdef0123456789abcdef"},
		{SECRET BROKER URL "JWT_HANDLER_SECRET=\n", "", "JWT_SECRET",
			"0123456789abcdef0123456789abcdef"},
		{SECRET BROKER URL "JWT_HANDLER_SECRET=fedcba9876543210fedcba9876543210\n", "",
			"JWT_HANDLER_SECRET", "fedcba9876543210fedcba9876543210"},
		{"JWT_HANDLER_SECRET=fedcba9876543210fedcba9876543210\n" BROKER URL, "", "JWT_HANDLER_SECRET",
			"fedcba9876543210fedcba9876543210"},
		{SECRET BROKER URL "JWT_HANDLER_SECRET=0123456789abcdef0123456789abcdef\n",
			"JWT_HANDLER_SECRET: it is the same as JWT_SECRET: expected another one, or none\n",
			NULL, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(cases[i].file, no_environment, plain_handlers);
		assert_string_equal(got.problems, cases[i].problems);
		const char *name = NULL;
		if (!cases[i].name)
			continue;
		assert_string_equal(settings_handler_secret(&got.settings, &name), cases[i].secret);
		assert_string_equal(name, cases[i].name);
	}
}

static void test_odd_token_files(void **state)
{
	static const struct {
		const char *text, *problem, *warning; /* behind the file's name; NULL: none */
	} cases[] = {
		{"a.b.c\n", NULL, NULL},
		{"a.b.c\r\nmore\n", NULL, NULL},
		{"", NULL, "it is empty"},
		{"\n", NULL, "it is empty"},
		{"\"a.b.c\"\n", "it has quotes around the token", NULL},
		{"\xef\xbb\xbf"
		 "a.b.c\n",
			"it begins with a byte order mark", NULL},
		{"Bearer a.b.c\n", "it begins with \"Bearer\", which belongs to HTTP", NULL},
		{"a.b.c \n", "it has blanks around the token", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[] = "/tmp/cashewd-test-XXXXXX", file[256], told[256];
		const int fd = mkstemp(path);
		assert_return_code(fd, errno);
		assert_int_equal(write(fd, cases[i].text, strlen(cases[i].text)), strlen(cases[i].text));
		close(fd);
		snprintf(file, sizeof(file), BROKER URL "HANDLER_TOKEN_FILE=%s\n", path);
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_with(file, no_environment, plain_handlers);
		assert_return_code(unlink(path), errno);
		snprintf(told, sizeof(told),
			"HANDLER_TOKEN_FILE=%s: %s: expected the token alone in its first line\n", path,
			cases[i].problem ? cases[i].problem : "");
		assert_string_equal(got.problems, cases[i].problem ? told : "");
		snprintf(told, sizeof(told),
			"HANDLER_TOKEN_FILE=%s: %s: expected a token in its first line\n", path,
			cases[i].warning ? cases[i].warning : "");
		assert_string_equal(got.warnings, cases[i].warning ? told : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fifos),
		cmocka_unit_test(test_token_file),
		cmocka_unit_test(test_handler_secret),
		cmocka_unit_test(test_odd_token_files),
	};
	return cmocka_run_group_tests_name("settings_token_file", tests, NULL, NULL);
}
