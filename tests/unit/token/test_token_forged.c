/* test_token_forged.c - token.c, and by it token_verify.c: tokens of any bytes and sizes, and those that another secret or algorithm has signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token.h"
#include "token_maker.h"
#include "token_parts.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* ---- Raw bytes ---- */

/* eyJhbGciOiJIUzI1NiJ9 is {"alg":"HS256"}, e30 is {}; 43 times A is a signature of zeroes. */
static void raw_tokens(void **state)
{
	(void)state;
#define ZEROES "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	static const struct {
		const char *name, *token, *reason;
	} cases[] = {
		{"empty", "", "is empty"},
		{"one segment", "eyJhbGciOiJIUzI1NiJ9", "expected three segments"},
		{"two segments", "eyJhbGciOiJIUzI1NiJ9.e30", "expected three segments"},
		{"four segments", "eyJhbGciOiJIUzI1NiJ9.e30." ZEROES ".", "expected three segments"},
		{"five segments, as encrypted ones have", "a.b.c.d.e", "expected three segments"},
		{"only dots", "..", "header is empty"},
		{"no header", ".e30." ZEROES, "header is empty"},
		{"no claims", "eyJhbGciOiJIUzI1NiJ9.." ZEROES, "claims segment is empty"},
		{"no signature", "eyJhbGciOiJIUzI1NiJ9.e30.", "signature is empty"},
		{"short signature", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "not a SHA-256 HMAC"},
		{"long signature", "eyJhbGciOiJIUzI1NiJ9.e30." ZEROES "AAAA", "not a SHA-256 HMAC"},
		{"padded signature", "eyJhbGciOiJIUzI1NiJ9.e30." ZEROES "=", "not a SHA-256 HMAC"},
		{"signature with spare bits",
			"eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
			"not a SHA-256 HMAC"},
		{"signature of zeroes", "eyJhbGciOiJIUzI1NiJ9.e30." ZEROES, "signature does not match"},
		/* What nobody vouches for is not parsed. */
		{"unsigned claims that are no JSON", "eyJhbGciOiJIUzI1NiJ9.AAAA." ZEROES,
			"signature does not match"},
		{"padding", "eyJhbGciOiJIUzI1NiJ9.e30=." ZEROES, "claims segment is not base64url"},
		{"the other alphabet", "eyJhbGciOiJIUzI1NiJ9.+/+/." ZEROES,
			"claims segment is not base64url"},
		{"impossible length", "eyJhbGciOiJIUzI1NiJ9.e30AA." ZEROES,
			"claims segment is not base64url"},
		{"spare bits", "eyJhbGciOiJIUzI1NiJ9.e31." ZEROES, "claims segment is not base64url"},
		{"a line break", "eyJhbGciOiJIUzI1NiJ9.e3\n0." ZEROES, "claims segment is not base64url"},
		{"a space before", " eyJhbGciOiJIUzI1NiJ9.e30." ZEROES, "header is not base64url"},
		{"bearer", "Bearer eyJhbGciOiJIUzI1NiJ9.e30." ZEROES, "header is not base64url"},
		{"bytes over 127", "\xc3\xa4\xc3\xa4.e30." ZEROES, "header is not base64url"},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_verdict(cases[i].name, cases[i].token, strlen(cases[i].token), cases[i].reason);
}

static void every_changed_byte(void **state)
{
	(void)state;
	char *token = token_of(HEADER, CLAIMS);
	size_t size = strlen(token);
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE];
	static const char replacements[] = "AQgw-_.=\n";
	for (size_t i = 0; i < size; i++) {
		char before = token[i];
		for (const char *replacement = replacements; *replacement != '\0'; replacement++) {
			token[i] = *replacement;
			if (before != *replacement &&
				verify(SECRET, token, size, &identity, reason) != TOKEN_E_REFUSED)
				fail_msg("byte %zu changed from %c to %c: accepted", i, before, *replacement);
		}
		token[i] = before;
	}
	assert_int_equal(verify(SECRET, token, size, &identity, reason), 0);
	free(token);
}

static void every_shorter_token(void **state)
{
	(void)state;
	char *token = token_of(HEADER, CLAIMS);
	struct token_identity identity;
	char reason[TOKEN_REASON_SIZE];
	for (size_t size = 0; size < strlen(token); size++)
		assert_int_equal(verify(SECRET, token, size, &identity, reason), TOKEN_E_REFUSED);
	free(token);
}

static void sizes(void **state)
{
	(void)state;
	/* A claims segment of 3011 bytes makes a token of exactly TOKEN_SIZE_MAX. */
	static const struct {
		const char *name;
		size_t claims_size;
		const char *reason;
	} cases[] = {
		{"largest", 3011, NULL},
		{"one byte more", 3012, "larger than 4096"},
		{"1 MB", 1000000, "larger than 4096"},
		{"20 MB", 20000000, "larger than 4096"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		static const char beginning[] = "{\"user_id\":\"1\",\"exp\":1795003600,\"x\":\"";
		char *text = malloc(cases[i].claims_size + 1);
		assert_non_null(text);
		memset(text, 'x', cases[i].claims_size);
		memcpy(text, beginning, sizeof(beginning) - 1);
		memcpy(text + cases[i].claims_size - 2, "\"}", 3);
		char *token = token_of(HEADER, text);
		if (i == 0)
			assert_int_equal(strlen(token), TOKEN_SIZE_MAX);
		assert_verdict(cases[i].name, token, strlen(token), cases[i].reason);
		free(token);
		free(text);
	}
}

static void deep_nesting(void **state)
{
	(void)state;
	enum { DEPTH = 1400 };
	static char text[2 * DEPTH + 100];
	size_t size = (size_t)sprintf(text, "{\"user_id\":\"1\",\"exp\":1795003600,\"x\":");
	memset(text + size, '[', DEPTH);
	memset(text + size + DEPTH, ']', DEPTH);
	strcpy(text + size + 2 * DEPTH, "}");
	char *token = token_of(HEADER, text);
	assert_verdict("deep", token, strlen(token), NULL);
	memset(text + size, '[', (size_t)2 * DEPTH);
	free(token);
	token = token_of(HEADER, text);
	assert_verdict("deep and never closed", token, strlen(token), "not a JSON object");
	free(token);
}

/* ---- Secrets and other algorithms ---- */

static void secrets(void **state)
{
	(void)state;
	static const struct {
		const char *name, *signed_with, *verified_with, *reason;
	} cases[] = {
		{"the same", SECRET, SECRET, NULL},
		{"the same, short", "s", "s", NULL},
		{"another", SECRET, "1123456789abcdef0123456789abcdef", "signature does not match"},
		{"longer", SECRET, SECRET "0", "signature does not match"},
		{"shorter", SECRET, "0123456789abcdef0123456789abcde", "signature does not match"},
		{"none", SECRET, "", "there is no secret"},
		{"none, signed with none", "", "", "there is no secret"},
		{"signed with none", "", SECRET, "signature does not match"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = token_of_bytes(
			HEADER, strlen(HEADER), CLAIMS, strlen(CLAIMS), EVP_sha256(), cases[i].signed_with);
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE];
		int error = verify(cases[i].verified_with, token, strlen(token), &identity, reason);
		if (error != (cases[i].reason ? TOKEN_E_REFUSED : 0) ||
			(cases[i].reason && !strstr(reason, cases[i].reason)))
			fail_msg("%s: %d %s", cases[i].name, error, reason);
		free(token);
	}
}

static void other_digests(void **state)
{
	(void)state;
	const struct {
		const char *name, *header;
		const EVP_MD *digest;
		const char *reason;
	} cases[] = {
		{"HS512, honest", "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", EVP_sha512(), "alg is not"},
		{"HS384, honest", "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", EVP_sha384(), "alg is not"},
		{"HS512, as HS256", HEADER, EVP_sha512(), "not a SHA-256 HMAC"},
		{"another digest of the same size", HEADER, EVP_sha3_256(), "signature does not match"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = token_of_bytes(cases[i].header, strlen(cases[i].header), CLAIMS, strlen(CLAIMS),
			cases[i].digest, SECRET);
		assert_verdict(cases[i].name, token, strlen(token), cases[i].reason);
		free(token);
	}
}

/* The reason goes into logs. */
static void reasons_hold_no_token(void **state)
{
	(void)state;
	static const char *const claims_texts[] = {"{\"user_id\":\"top secret\",\"exp\":1795003600}",
		"{\"user_id\":\"1\",\"exp\":\"top secret\"}",
		"{\"handler\":\"top secret\",\"exp\":1795003600}"};
	for (size_t i = 0; i < COUNT(claims_texts); i++) {
		char *token = token_of(HEADER, claims_texts[i]), reason[TOKEN_REASON_SIZE];
		struct token_identity identity;
		assert_int_equal(verify(SECRET, token, strlen(token), &identity, reason), TOKEN_E_REFUSED);
		assert_null(strstr(reason, "top secret"));
		assert_null(strstr(reason, SECRET));
		assert_null(strstr(reason, token));
		free(token);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_tokens),
		cmocka_unit_test(every_changed_byte),
		cmocka_unit_test(every_shorter_token),
		cmocka_unit_test(sizes),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(secrets),
		cmocka_unit_test(other_digests),
		cmocka_unit_test(reasons_hold_no_token),
	};
	return cmocka_run_group_tests_name("token_forged", tests, NULL, NULL);
}
