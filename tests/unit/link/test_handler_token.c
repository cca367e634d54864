/* Tests of handler_token.c: where the handler's token comes from. */
#include "handler_token.h"

#include "log_secret.h"
#include "settings.h"
#include "token.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "a secret of the tests, long enough for HS256"

enum { NOW = 1700000000 };

static char file_path[] = "/tmp/cashewd-test-XXXXXX";

static void write_file(const char *text)
{
	FILE *file = fopen(file_path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_signed(void **state)
{
	(void)state;
	const struct settings settings = {.jwt_secret = SECRET,
		.handler_name = "apples",
		.handler_token_file = "",
		.token_lifetime_s = 100};
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE], *token = NULL;
	const char *why = NULL;
	assert_int_equal(handler_token(&settings, NULL, NOW, &token, &why), 0);
	assert_int_equal(token_verify(SECRET, token, strlen(token), NOW + 99, false, &identity, reason), 0);
	assert_true(identity.is_handler);
	assert_string_equal(identity.name, "apples");
	assert_int_equal(identity.expires, NOW + 100);
	/* What a broker repeats of it is hidden. */
	char repeated[1024];
	snprintf(repeated, sizeof(repeated), "%.40s", token + strlen(token) / 2);
	log_secret_hide(repeated);
	assert_string_equal(repeated, "********");
	handler_token_free(token);
	handler_token_free(NULL);
}

static void test_signed_with_the_handlers_secret(void **state)
{
	(void)state;
	const struct settings settings = {.jwt_secret = "one for users, which signs nothing here",
		.jwt_handler_secret = SECRET,
		.handler_name = "apples",
		.handler_token_file = "",
		.token_lifetime_s = 100};
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE], *token = NULL;
	const char *why = NULL;
	assert_int_equal(handler_token(&settings, NULL, NOW, &token, &why), 0);
	assert_int_equal(token_verify(SECRET, token, strlen(token), NOW, false, &identity, reason), 0);
	handler_token_free(token);
}

/* To what this host's handlers subscribe to, and to its sessions. A file's token is what it is. */
static void test_locked(void **state)
{
	(void)state;
	static const char *const filters[] = {"+/get_apples", "+/ping"}, *const odd[] = {"+/ping", "a#"};
	static const struct {
		struct handler_topics topics;
		const char *filters; /* NULL: for all topics, since no token can hold these */
	} cases[] = {
		{{filters, 2}, " subscribe 12:+/get_apples 6:+/ping publish 3:+/# client_ids 8:cashewd2"},
		{{filters, 0}, " subscribe publish 3:+/# client_ids 8:cashewd2"},
		{{odd, 2}, NULL},
	};
	const struct settings settings = {.jwt_secret = SECRET,
		.handler_name = "apples",
		.client_id = "cashewd2",
		.handler_token_file = "",
		.token_lifetime_s = 100};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE], *token = NULL;
		const char *why = NULL;
		assert_int_equal(handler_token(&settings, &cases[i].topics, NOW, &token, &why), 0);
		assert_int_equal(
			token_verify(SECRET, token, strlen(token), NOW, false, &identity, reason), 0);
		assert_string_equal(identity.name, "apples");
		if (cases[i].filters)
			assert_string_equal(identity.filters, cases[i].filters);
		else
			assert_null(identity.filters);
		token_identity_clear(&identity);
		handler_token_free(token);
	}
	const struct settings by_file = {.jwt_secret = SECRET, .handler_token_file = file_path};
	const char *reason = NULL;
	char *token = NULL;
	write_file("a.b.c\n");
	assert_int_equal(handler_token(&by_file, &cases[0].topics, NOW, &token, &reason), 0);
	assert_string_equal(token, "a.b.c");
	handler_token_free(token);
}

/* One line, whatever ends it; read anew each time, and used instead of the secret. */
static void test_from_a_file(void **state)
{
	(void)state;
	static const struct {
		const char *text, *expected;
	} cases[] = {{"a.b.c", "a.b.c"}, {"a.b.c\n", "a.b.c"}, {"d.e.f\r\nmore\n", "d.e.f"},
		{"d.e.f\n\n", "d.e.f"}};
	const struct settings settings = {.jwt_secret = SECRET, .handler_token_file = file_path};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *token = NULL;
		write_file(cases[i].text);
		const char *reason = NULL;
		assert_int_equal(handler_token(&settings, NULL, NOW, &token, &reason), 0);
		assert_string_equal(token, cases[i].expected);
		handler_token_free(token);
	}
}

/* The broker would only say that it is not authorised. */
static void test_odd_files(void **state)
{
	(void)state;
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"", "is empty"},
		{"\na.b.c\n", "is empty"},
		{"\xef\xbb\xbf"
		 "a.b.c\n",
			"begins with a byte order mark"},
		{"\"a.b.c\"\n", "has quotes around the token"},
		{"'a.b.c'", "has quotes around the token"},
		{"a.b.c\"\n", "has quotes around the token"},
		{"Bearer a.b.c\n", "begins with \"Bearer\", which belongs to HTTP"},
		{"bearer: a.b.c\n", "begins with \"Bearer\", which belongs to HTTP"},
		{" a.b.c\n", "has blanks around the token"},
		{"a.b.c \n", "has blanks around the token"},
		{"a.b.c\t", "has blanks around the token"},
		{"a.b. c\n", "has blanks within the token"},
	};
	const struct settings settings = {.jwt_secret = SECRET, .handler_token_file = file_path};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *token = NULL;
		const char *reason = NULL;
		write_file(cases[i].text);
		if (handler_token(&settings, NULL, NOW, &token, &reason) != HANDLER_TOKEN_E_ODD)
			fail_msg("<%s> is taken for a token", cases[i].text);
		assert_null(token);
		assert_string_equal(reason, cases[i].reason);
	}
}

static void test_failures(void **state)
{
	(void)state;
	char untouched[] = "untouched", *token = untouched;
	const char *reason = NULL;
	const struct settings no_file = {.handler_token_file = "/nonexistent/token"};
	assert_int_equal(handler_token(&no_file, NULL, NOW, &token, &reason), -ENOENT);
	assert_string_equal(reason, "No such file or directory");
	const struct settings no_secret = {.jwt_secret = "",
		.handler_name = "apples",
		.handler_token_file = "",
		.token_lifetime_s = 100};
	assert_int_equal(handler_token(&no_secret, NULL, NOW, &token, &reason), -EINVAL);
	assert_string_equal(reason, "Invalid argument");
	assert_ptr_equal(token, untouched);
}

static int setup(void **state)
{
	(void)state;
	const int fd = mkstemp(file_path);
	return fd >= 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(file_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signed),
		cmocka_unit_test(test_signed_with_the_handlers_secret),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_from_a_file),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_failures),
	};
	return cmocka_run_group_tests_name("handler_token", tests, setup, teardown);
}
