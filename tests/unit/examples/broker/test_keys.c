/* test_keys.c - keys.c of the broker's plugin: which options and files make which keys, and what the log says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its sources are part of the test. */
#include "keys.c"
#include "secret.c"

#include "token_maker.h"
#include "token_verify.h"
#include <ftw.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define USERS	     "users-0123456789abcdef0123456789"
#define HANDLERS     "handlers-0123456789abcdef0123456"
#define NOW	     1795000000

static char folder[] = "/tmp/cashew-keys-test-XXXXXX";
static EVP_PKEY *rsa, *point;
static char told[8192];

static void keep(enum keys_level level, const char *text)
{
	static const char *const names[] = {"notice", "warning", "error"};
	const size_t size = strlen(told);
	snprintf(told + size, sizeof(told) - size, "%s: %s\n", names[level], text);
}

/* A file in the folder; its path lives until the next but three. */
static const char *file(const char *name, const char *text)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	FILE *out = fopen(path, "we");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *way)
{
	(void)status;
	(void)kind;
	(void)way;
	return remove(path);
}

static int begin(void **state)
{
	(void)state;
	rsa = maker_rsa(2048, 65537);
	point = maker_curve("P-256");
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(point);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int forget(void **state)
{
	(void)state;
	told[0] = '\0';
	unsetenv("JWT_SECRET");
	unsetenv("JWT_HANDLER_SECRET");
	return 0;
}

/* "PREFIX PATH" */
static const char *joined(const char *prefix, const char *path)
{
	static char text[600];
	snprintf(text, sizeof(text), "%s%s", prefix, path);
	return text;
}

static void option(struct keys_options *options, const char *name, const char *value)
{
	assert_int_equal(keys_option(options, name, value, keep), 0);
}

/* Whether a token that this secret has signed is accepted. */
static bool accepted(const struct token_keys *keys, const char *claims, const char *secret)
{
	static const struct token_rules rules;
	const struct maker_signer signer = {.secret = secret, .digest = EVP_sha256()};
	char *token = maker_token("{\"alg\":\"HS256\"}", claims, &signer), reason[TOKEN_REASON_SIZE];
	struct token_identity identity;
	const int error = token_verify_with(keys, &rules, token, strlen(token), NOW, &identity, reason);
	free(token);
	return error == 0;
}

#define USER_CLAIMS    "{\"user_id\":\"1\",\"exp\":1795003600}"
#define HANDLER_CLAIMS "{\"handler\":{\"name\":\"a\"},\"exp\":1795003600}"

/* ---- Whose secret is whose ---- */

static void secrets(void **state)
{
	static const struct {
		const char *name, *users, *handlers;
		bool has_public;
		int error;
		bool user_by_users, user_by_handlers, handler_by_users, handler_by_handlers;
		const char *told;
	} cases[] = {
		{"one for both", USERS, NULL, false, 0, true, false, true, false,
			"warning: one secret is for users' and for handlers' tokens"},
		{"the other one empty", USERS, "\n", false, 0, true, false, true, false,
			"warning: one secret"},
		{"two", USERS, HANDLERS, false, 0, true, false, false, true, ""},
		{"two and public ones", USERS, HANDLERS, true, 0, true, false, false, true, "notice: "},
		{"only handlers' and public ones", NULL, HANDLERS, true, 0, false, false, false, true,
			"notice: "},
		{"one and public ones: the handlers'", USERS, NULL, true, 0, false, false, true, false,
			"notice: "},
		{"none", NULL, NULL, false, KEYS_E_UNUSABLE, false, false, false, false,
			"JWT_SECRET is not set"},
		{"only handlers'", NULL, HANDLERS, false, KEYS_E_UNUSABLE, false, false, false, false,
			"JWT_SECRET is not set"},
		{"only public ones", NULL, NULL, true, KEYS_E_UNUSABLE, false, false, false, false,
			"JWT_SECRET is not set"},
		{"the same twice", USERS, USERS, false, KEYS_E_UNUSABLE, false, false, false, false,
			"error: the secret of JWT_SECRET is the same secret as another one"},
		{"a short one for handlers", USERS, "short", false, KEYS_E_UNUSABLE, false, false, false,
			false, "the secret of JWT_HANDLER_SECRET has 5 bytes"},
		{"a PEM text", "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ", NULL, false, KEYS_E_UNUSABLE,
			false, false, false, false, "is the text of a PEM file"},
	};
	char *pem = maker_pem(rsa);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct keys_options options = {.file_count = 0};
		struct token_keys keys = {.count = 0};
		forget(state);
		if (cases[i].users)
			setenv("JWT_SECRET", cases[i].users, 1);
		if (cases[i].handlers)
			setenv("JWT_HANDLER_SECRET", cases[i].handlers, 1);
		if (cases[i].has_public)
			option(&options, "users_key_file", joined("RS256 ", file("rsa.pem", pem)));
		if (keys_read(&options, &keys, keep) != cases[i].error || !strstr(told, cases[i].told))
			fail_msg("%s: %s", cases[i].name, told);
		if (accepted(&keys, USER_CLAIMS, USERS) != cases[i].user_by_users ||
			accepted(&keys, USER_CLAIMS, HANDLERS) != cases[i].user_by_handlers ||
			accepted(&keys, HANDLER_CLAIMS, USERS) != cases[i].handler_by_users ||
			accepted(&keys, HANDLER_CLAIMS, HANDLERS) != cases[i].handler_by_handlers)
			fail_msg("%s: a token is accepted, or refused, that should not be", cases[i].name);
		assert_null(strstr(told, "0123456789"));
		token_keys_clear(&keys);
		keys_options_free(&options);
	}
	free(pem);
}

static void secrets_from_files(void **state)
{
	(void)state;
	struct keys_options options = {.file_count = 0};
	struct token_keys keys = {.count = 0};
	setenv("JWT_SECRET", "of the environment, which does not count", 1);
	setenv("JWT_HANDLER_SECRET", "nor does this one, since a file is named", 1);
	option(&options, "secret_file", "/nowhere");
	option(&options, "secret_file", file("users", USERS "\n"));
	option(&options, "handler_secret_file", file("handlers", HANDLERS "\n"));
	assert_int_equal(keys_read(&options, &keys, keep), 0);
	assert_true(accepted(&keys, USER_CLAIMS, USERS));
	assert_true(accepted(&keys, HANDLER_CLAIMS, HANDLERS));
	assert_string_equal(told, "");
	token_keys_clear(&keys);
	option(&options, "handler_secret_file", "/nowhere");
	assert_int_equal(keys_read(&options, &keys, keep), KEYS_E_UNUSABLE);
	assert_non_null(strstr(told, "error: handler_secret_file /nowhere cannot be read"));
	keys_options_free(&options);
}

/* Used all the same, and told. */
static void secrets_that_are_warned_of(void **state)
{
	(void)state;
	struct keys_options options = {.file_count = 0};
	struct token_keys keys = {.count = 0};
	const char *path = file("users", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
	option(&options, "secret_file", path);
	option(&options, "handler_secret_file", file("handlers", HANDLERS "\n"));
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(keys_read(&options, &keys, keep), 0);
	assert_non_null(strstr(told, "users: others can write to it (mode 0666): chmod go-w it\n"));
	assert_non_null(strstr(told, "users is one character over and over"));
	assert_null(strstr(told, "handlers"));
	token_keys_clear(&keys);
	keys_options_free(&options);
}

/* ---- Options ---- */

static void options_of_key_files(void **state)
{
	static const struct {
		const char *value;
		const char *path; /* NULL: refused */
		const char *id;
		enum token_key_algorithm algorithm;
	} cases[] = {
		{"RS256 /a/b.pem", "/a/b.pem", "", TOKEN_KEY_RS256},
		{"ES256  /a/b c.pem", "/a/b c.pem", "", TOKEN_KEY_ES256},
		{"ES256 kid=2026-11 /a", "/a", "2026-11", TOKEN_KEY_ES256},
		{"RS256 kid=a=b kid=c", "kid=c", "a=b", TOKEN_KEY_RS256},
		{"/a/b.pem", NULL, "", 0},
		{"HS256 /a", NULL, "", 0},
		{"RS384 /a", NULL, "", 0},
		{"rs256 /a", NULL, "", 0},
		{"RS256", NULL, "", 0},
		{"RS256 ", NULL, "", 0},
		{"RS256 kid= /a", NULL, "", 0},
		{"RS256 kid=1", NULL, "", 0},
		{"RS256 kid=1 ", NULL, "", 0},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct keys_options options = {.file_count = 0};
		forget(state);
		const int error = keys_option(&options, "users_key_file", cases[i].value, keep);
		if (error != (cases[i].path ? 0 : KEYS_E_UNUSABLE))
			fail_msg("%s: %d", cases[i].value, error);
		assert_int_equal(options.file_count, cases[i].path ? 1 : 0);
		if (cases[i].path) {
			assert_string_equal(options.files[0].path, cases[i].path);
			assert_string_equal(options.files[0].id, cases[i].id);
			assert_int_equal(options.files[0].algorithm, cases[i].algorithm);
		} else {
			assert_non_null(strstr(told, "error: plugin_opt_users_key_file"));
		}
		keys_options_free(&options);
	}
	struct keys_options options = {.file_count = 0};
	assert_int_equal(keys_option(&options, "key_file", "x", keep), KEYS_E_UNKNOWN);
	for (int i = 0; i < KEYS_FILES_MAX; i++)
		option(&options, "users_jwks_file", "/a");
	assert_int_equal(keys_option(&options, "users_jwks_file", "/a", keep), KEYS_E_UNUSABLE);
	keys_options_free(&options);
}

/* ---- Files ---- */

static void read_files(
	const char *const names[2], const char *const values[2], int expected, const char *words)
{
	struct keys_options options = {.file_count = 0};
	struct token_keys keys = {.count = 0};
	setenv("JWT_HANDLER_SECRET", HANDLERS, 1);
	for (size_t i = 0; i < 2 && names[i]; i++)
		option(&options, names[i], values[i]);
	const int error = keys_read(&options, &keys, keep);
	if (error != expected || !strstr(told, words))
		fail_msg("%d, expected %d and \"%s\": %s", error, expected, words, told);
	if (error != 0)
		assert_int_equal(keys.count, 0);
	token_keys_clear(&keys);
	keys_options_free(&options);
}

static void files(void **state)
{
	char *pem = maker_pem(rsa), *jwk = maker_jwk(point, "P-256", "\"kid\":\"1\","), *set = NULL,
	     *half = NULL;
	assert_true(asprintf(&set, "{\"keys\":[%s,{\"kty\":\"OKP\"}]}", jwk) > 0);
	half = strndup(set, strlen(set) / 2);
	assert_non_null(half);
	char pem_value[600], pem_value_1[600], jwks[256], broken[256], huge[256];
	snprintf(pem_value, sizeof(pem_value), "RS256 %s", file("rsa.pem", pem));
	snprintf(pem_value_1, sizeof(pem_value_1), "RS256 kid=1 %s/rsa.pem", folder);
	snprintf(jwks, sizeof(jwks), "%s", file("jwks", set));
	snprintf(broken, sizeof(broken), "%s", file("half", half));
	snprintf(huge, sizeof(huge), "%s", file("huge", ""));
	assert_int_equal(truncate(huge, 70000), 0);
	char fifo[256];
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	const struct {
		const char *names[2], *values[2];
		int error;
		const char *told;
	} cases[] = {
		{{"users_key_file"}, {pem_value}, 0, "/rsa.pem: 1 key for users' tokens, 0 passed over"},
		{{"users_jwks_file"}, {jwks}, 0, "/jwks: 1 key for users' tokens, 1 passed over"},
		{{"users_key_file", "users_jwks_file"}, {pem_value, jwks}, 0, "/jwks: 1 key"},
		{{"users_key_file", "users_jwks_file"}, {pem_value_1, jwks}, KEYS_E_UNUSABLE,
			"has the kid of another key, 1"},
		{{"users_jwks_file", "users_jwks_file"}, {jwks, jwks}, KEYS_E_UNUSABLE,
			"has the kid of another key"},
		{{"users_jwks_file"}, {"/nowhere/jwks"}, KEYS_E_UNUSABLE,
			"/nowhere/jwks cannot be read: No such file or directory"},
		{{"users_jwks_file"}, {fifo}, KEYS_E_UNUSABLE, "not a regular file"},
		{{"users_jwks_file"}, {huge}, KEYS_E_UNUSABLE, "cannot be read"},
		{{"users_jwks_file"}, {broken}, KEYS_E_UNUSABLE, "only a part"},
		{{"users_jwks_file"}, {folder}, KEYS_E_UNUSABLE, "not a regular file"},
		{{"users_key_file", "users_jwks_file"}, {pem_value, broken}, KEYS_E_UNUSABLE, "only a part"},
		{{"users_key_file"}, {joined("ES256 ", pem_value + strlen("RS256 "))}, KEYS_E_UNUSABLE,
			"is no elliptic curve key"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		forget(state);
		read_files(cases[i].names, cases[i].values, cases[i].error, cases[i].told);
	}
	assert_int_equal(chmod(jwks, 0666), 0);
	forget(state);
	read_files(cases[1].names, cases[1].values, 0, "warning: others can write");
	free(pem);
	free(jwk);
	free(set);
	free(half);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(secrets, forget),
		cmocka_unit_test_setup(secrets_from_files, forget),
		cmocka_unit_test_setup(secrets_that_are_warned_of, forget),
		cmocka_unit_test_setup(options_of_key_files, forget),
		cmocka_unit_test_setup(files, forget),
	};
	return cmocka_run_group_tests_name("keys", tests, begin, end);
}
