/* test_token_jwks.c - token_jwks.c: which files are taken, which keys of them, and what is wrong with the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "token.h"
#include "token_jwks.h"
#include "token_maker.h"
#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The key of RFC 7515 A.3. */
#define X     "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y     "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define POINT "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""

static int read_set(const char *text, size_t size, struct token_keys *keys, size_t *passed_over, char *reason)
{
	/* A copy of that size, so that a sanitizer sees whoever reads on. */
	char *copy = malloc(size > 0 ? size : 1);
	assert_non_null(copy);
	memcpy(copy, text, size);
	const int error = token_jwks_read(copy, size, keys, passed_over, reason);
	free(copy);
	return error;
}

static void check(const char *name, const char *text, size_t used, size_t passed_over, const char *expected)
{
	struct token_keys keys = {.count = 0};
	size_t over = 77;
	char reason[TOKEN_REASON_SIZE] = "";
	const int error = read_set(text, strlen(text), &keys, &over, reason);
	if (error != (expected ? TOKEN_E_REFUSED : 0) || (expected && !strstr(reason, expected)))
		fail_msg("%s: %d \"%s\", expected \"%s\"", name, error, reason, expected ? expected : "");
	if (error == 0 && (keys.count != used || over != passed_over))
		fail_msg("%s: %zu keys, %zu passed over", name, keys.count, over);
	for (size_t i = 0; i < keys.count; i++)
		assert_true(keys.keys[i].for_users && !keys.keys[i].for_handlers);
	token_keys_clear(&keys);
}

static void sets(void **state)
{
	(void)state;
	static const struct {
		const char *name, *text;
		size_t used, passed_over;
		const char *reason;
	} cases[] = {
		{"one key", "{\"keys\":[{" POINT "}]}", 1, 0, NULL},
		{"one with all that is allowed",
			"{\"keys\":[{" POINT
			",\"kid\":\"1\",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"x5t\":\"a\"}]}",
			1, 0, NULL},
		{"with others that are not for us",
			"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"},{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AA\",\"e\":\"AQAB\"},"
			"{\"kty\":\"RSA\",\"alg\":\"RS512\",\"n\":\"AA\",\"e\":\"AQAB\"},{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"AA\",\"e\":\"AQAB\"},"
			"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"},{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"alg\":\"ES256K\",\"x\":\"AA\"},"
			"{\"kty\":\"EC\",\"crv\":\"P-256\",\"key_ops\":[\"encrypt\"],\"x\":\"AA\"},{\"kty\":\"AKP\"},{" POINT
			"}]}",
			1, 8, NULL},
		{"none of them for us", "{\"keys\":[{\"kty\":\"OKP\"},{\"kty\":\"RSA\",\"use\":\"enc\"}]}", 0,
			0, "no key for RS256 or ES256 signatures among its 2"},
		{"no keys", "{\"keys\":[]}", 0, 0, "no key for RS256 or ES256"},
		{"no list", "{\"keys\":{}}", 0, 0, "no list of keys"},
		{"a key by itself", "{" POINT "}", 0, 0, "no list of keys"},
		{"half written", "{\"keys\":[{" POINT ",\"kid\":\"1", 0, 0, "only a part"},
		{"nothing", "", 0, 0, "no JSON object"},
		{"HTML", "<html><body>502</body></html>", 0, 0, "no JSON object"},
		{"a list", "[{" POINT "}]", 0, 0, "no JSON object"},
		{"a text as a key", "{\"keys\":[\"a\"]}", 0, 0, "number 1 of 1 is no object with a kty"},
		{"no kty", "{\"keys\":[{\"kid\":\"1\"}]}", 0, 0, "no object with a kty"},
		{"kty twice", "{\"keys\":[{\"kty\":\"RSA\"," POINT "}]}", 0, 0, "no JSON object"},
		{"a private point", "{\"keys\":[{" POINT ",\"d\":\"AA\"}]}", 0, 0,
			"member d of a private one"},
		{"a private key that is not for us",
			"{\"keys\":[{" POINT "},{\"kty\":\"RSA\",\"use\":\"enc\",\"dp\":\"AA\"}]}", 0, 0,
			"number 2 of 2 has the member dp"},
		{"a secret", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", 0, 0, "member k"},
		{"two with one kid", "{\"keys\":[{" POINT ",\"kid\":\"1\"},{" POINT ",\"kid\":\"1\"}]}", 0, 0,
			"number 2 of 2 has the kid of another key, 1"},
		{"two without a kid", "{\"keys\":[{" POINT "},{" POINT "}]}", 0, 0, "second one for ES256"},
		{"the kid a number", "{\"keys\":[{" POINT ",\"kid\":1}]}", 0, 0, "kid that is no text"},
		{"the kid with a line end", "{\"keys\":[{" POINT ",\"kid\":\"a\\nb\"}]}", 0, 0,
			"kid that is no text"},
		{"the kid empty", "{\"keys\":[{" POINT ",\"kid\":\"\"}]}", 0, 0, "kid that is no text"},
		{"off the curve",
			"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" X "\"}]}", 0,
			0, "not on its curve"},
		{"a short point",
			"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" Y "\"}]}", 0,
			0, "no x and y of 32 bytes"},
		{"a point without y", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}]}", 0, 0,
			"no x and y of 32 bytes"},
		{"a padded point",
			"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "=\",\"y\":\"" Y "\"}]}", 0,
			0, "no x and y of 32 bytes"},
		{"another curve for ES256",
			"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"alg\":\"ES256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
			0, 0, "not on the curve P-256"},
		{"no n", "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", 0, 0, "no n and e"},
		{"n a number", "{\"keys\":[{\"kty\":\"RSA\",\"n\":1,\"e\":\"AQAB\"}]}", 0, 0, "no n and e"},
		{"a tiny n", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}", 0, 0, "of 1 bits"},
		{"an empty n", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}]}", 0, 0,
			"number 1 of 1"},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		check(cases[i].name, cases[i].text, cases[i].used, cases[i].passed_over, cases[i].reason);
}

static void rsa_keys(void **state)
{
	(void)state;
	static const struct {
		int bits;
		unsigned long exponent;
		const char *reason;
	} cases[] = {
		{2048, 65537, NULL},
		{1024, 65537, "RSA key of 1024 bits"},
		{2048, 3, "exponent"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		EVP_PKEY *key = maker_rsa(cases[i].bits, cases[i].exponent);
		char *jwk = maker_jwk(key, NULL, "\"kid\":\"2026\","), *text = NULL;
		assert_true(asprintf(&text, "{\"keys\":[%s]}", jwk) > 0);
		check("RSA", text, 1, 0, cases[i].reason);
		free(text);
		free(jwk);
		EVP_PKEY_free(key);
	}
}

static void huge(void **state)
{
	(void)state;
	struct token_keys keys = {.count = 0};
	size_t over;
	char reason[TOKEN_REASON_SIZE];
	static char text[TOKEN_KEY_FILE_MAX + 1];
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"keys\":[{" POINT "}]}", strlen("{\"keys\":[{" POINT "}]}"));
	assert_int_equal(read_set(text, sizeof(text), &keys, &over, reason), TOKEN_E_REFUSED);
	assert_non_null(strstr(reason, "larger than 65536"));
	assert_int_equal(read_set(text, sizeof(text) - 1, &keys, &over, reason), 0);
	token_keys_clear(&keys);
}

static void out_of_memory(void **state)
{
	(void)state;
	static const char text[] = "{\"keys\":[{" POINT ",\"kid\":\"1\"},{\"kty\":\"OKP\"}]}";
	bool failed = true;
	size_t n = 1;
	for (; failed && n < 1000; n++) {
		struct token_keys keys = {.count = 0};
		size_t over = 0;
		char reason[TOKEN_REASON_SIZE];
		failing_malloc_start(n, false);
		const int error = token_jwks_read(text, sizeof(text) - 1, &keys, &over, reason);
		failed = failing_malloc_stop();
		token_keys_clear(&keys);
		if (error != (failed ? -ENOMEM : 0))
			fail_msg("allocation %zu: %d", n, error);
	}
	assert_false(failed);
	assert_true(n > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets),
		cmocka_unit_test(rsa_keys),
		cmocka_unit_test(huge),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("token_jwks", tests, NULL, NULL);
}
