/* test_token.c - token.c, and by it token_verify.c with one secret: form, signature, times and claims, and what is signed and shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "token.h"
#include "token_maker.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET	     "0123456789abcdef0123456789abcdef"
#define NOW	     1795000000
#define HEADER	     "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS	     "{\"user_id\":\"68946\",\"iat\":1794999990,\"exp\":1795003600}"
#define SIXTY_FOUR   "0123456789012345678901234567890123456789012345678901234567890123"

/* ---- Making tokens of any form ---- */

/* The token of these segments, signed as it should be; free() it. */
static char *token_of_bytes(const void *header, size_t header_size, const void *claims, size_t claims_size,
	const EVP_MD *digest, const char *secret)
{
	char *token = malloc((header_size + claims_size) * 2 + 200);
	assert_non_null(token);
	size_t size = maker_base64url(header, header_size, token);
	token[size++] = '.';
	size += maker_base64url(claims, claims_size, token + size);
	unsigned char signature[EVP_MAX_MD_SIZE];
	unsigned signature_size;
	assert_non_null(HMAC(digest, secret, (int)strlen(secret), (const unsigned char *)token, size,
		signature, &signature_size));
	token[size++] = '.';
	maker_base64url(signature, signature_size, token + size);
	return token;
}

static char *token_of(const char *header, const char *claims)
{
	return token_of_bytes(header, strlen(header), claims, strlen(claims), EVP_sha256(), SECRET);
}

/* Verifies a copy of exactly that size, so that a sanitizer sees whoever reads on. */
static int verify(
	const char *secret, const char *token, size_t size, struct token_identity *ret_identity, char *reason)
{
	char *copy = malloc(size > 0 ? size : 1);
	assert_non_null(copy);
	memcpy(copy, token, size);
	strcpy(reason, "");
	int error = token_verify(secret, copy, size, NOW, false, ret_identity, reason);
	free(copy);
	return error;
}

static void assert_verdict(const char *name, const char *token, size_t size, const char *expected_reason)
{
	struct token_identity identity, untouched;
	memset(&identity, 0x5a, sizeof(identity));
	untouched = identity;
	char reason[TOKEN_REASON_SIZE];
	int error = verify(SECRET, token, size, &identity, reason);
	if (!expected_reason) {
		if (error != 0)
			fail_msg("%s: refused: %s", name, reason);
		return;
	}
	if (error != TOKEN_E_REFUSED || !strstr(reason, expected_reason))
		fail_msg("%s: %d \"%s\", expected \"%s\"", name, error, reason, expected_reason);
	assert_memory_equal(&identity, &untouched, sizeof(identity));
}

/* ---- Headers and claims, each well signed ---- */

static void headers(void **state)
{
	(void)state;
	static const struct {
		const char *name, *header, *reason; /* reason NULL: accepted */
	} cases[] = {
		{"as libjwt writes it", HEADER, NULL},
		{"without typ", "{\"alg\":\"HS256\"}", NULL},
		{"white space", " { \"alg\" : \"HS256\" } ", NULL},
		{"kid means nothing", "{\"alg\":\"HS256\",\"kid\":\"1\"}", NULL},
		{"alg none", "{\"alg\":\"none\",\"typ\":\"JWT\"}", "alg is not"},
		{"alg None", "{\"alg\":\"None\"}", "alg is not"},
		{"alg hs256", "{\"alg\":\"hs256\",\"typ\":\"JWT\"}", "alg is not"},
		{"alg HS384", "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", "alg is not"},
		{"alg HS512", "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", "alg is not"},
		{"alg RS256", "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", "alg is not"},
		{"alg ES256", "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", "alg is not"},
		{"alg with a space", "{\"alg\":\"HS256 \"}", "alg is not"},
		{"alg empty", "{\"alg\":\"\"}", "alg is not"},
		{"alg a number", "{\"alg\":256}", "alg is not"},
		{"alg null", "{\"alg\":null}", "alg is not"},
		{"alg a list", "{\"alg\":[\"HS256\"]}", "alg is not"},
		{"alg missing", "{\"typ\":\"JWT\"}", "alg is not"},
		{"Alg", "{\"Alg\":\"HS256\"}", "alg is not"},
		{"alg twice", "{\"alg\":\"none\",\"alg\":\"HS256\"}", "header has a duplicate key"},
		{"alg twice, escaped", "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
			"header has a duplicate key"},
		{"typ twice", "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"JWT\"}",
			"header has a duplicate key"},
		{"typ jwt", "{\"alg\":\"HS256\",\"typ\":\"jwt\"}", "typ is not"},
		{"typ JWE", "{\"alg\":\"HS256\",\"typ\":\"JWE\"}", "typ is not"},
		{"typ null", "{\"alg\":\"HS256\",\"typ\":null}", "typ is not"},
		{"crit", "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "crit"},
		{"crit empty", "{\"alg\":\"HS256\",\"crit\":[]}", "crit"},
		{"crit null", "{\"alg\":\"HS256\",\"crit\":null}", "crit"},
		{"a list", "[]", "header is not a JSON object"},
		{"a text", "\"HS256\"", "header is not a JSON object"},
		{"cut off", "{\"alg\":\"HS256\"", "header is not a JSON object"},
		{"two objects", "{\"alg\":\"HS256\"}{}", "header is not a JSON object"},
		{"no JSON", "alg: HS256", "header is not a JSON object"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = token_of(cases[i].header, CLAIMS);
		assert_verdict(cases[i].name, token, strlen(token), cases[i].reason);
		free(token);
	}
}

static void claims(void **state)
{
	(void)state;
	static const struct {
		const char *name, *claims, *reason; /* reason NULL: accepted */
	} cases[] = {
		{"a user's", CLAIMS, NULL},
		{"no iat", "{\"user_id\":\"1\",\"exp\":1795003600}", NULL},
		{"others mean nothing", "{\"user_id\":\"1\",\"exp\":1795003600,\"aud\":[1,{\"a\":2.5}]}",
			NULL},
		{"one second left", "{\"user_id\":\"1\",\"exp\":1795000001}", NULL},
		{"expires now", "{\"user_id\":\"1\",\"exp\":1795000000}", "expired"},
		{"expired", "{\"user_id\":\"1\",\"exp\":1794999999}", "expired"},
		{"expired long ago", "{\"user_id\":\"1\",\"exp\":-9223372036854775808}", "expired"},
		{"expires in the last second", "{\"user_id\":\"1\",\"exp\":9223372036854775807}", NULL},
		{"beyond 64 bits", "{\"user_id\":\"1\",\"exp\":9223372036854775808}", "not a JSON object"},
		{"no exp", "{\"user_id\":\"1\"}", "no exp"},
		{"exp null", "{\"user_id\":\"1\",\"exp\":null}", "exp is not an integer"},
		{"exp a text", "{\"user_id\":\"1\",\"exp\":\"1795003600\"}", "exp is not an integer"},
		{"exp with a fraction", "{\"user_id\":\"1\",\"exp\":1795003600.5}", "exp is not an integer"},
		{"exp with .0", "{\"user_id\":\"1\",\"exp\":1795003600.0}", "exp is not an integer"},
		{"exp with an exponent", "{\"user_id\":\"1\",\"exp\":2e9}", "exp is not an integer"},
		{"exp true", "{\"user_id\":\"1\",\"exp\":true}", "exp is not an integer"},
		{"exp twice", "{\"user_id\":\"1\",\"exp\":1,\"exp\":1795003600}",
			"claims segment has a duplicate key"},
		{"iat a minute ahead", "{\"user_id\":\"1\",\"iat\":1795000060,\"exp\":1795003600}", NULL},
		{"iat more ahead", "{\"user_id\":\"1\",\"iat\":1795000061,\"exp\":1795003600}",
			"issued in the future"},
		{"iat with a fraction", "{\"user_id\":\"1\",\"iat\":1.5,\"exp\":1795003600}",
			"iat is not an integer"},
		{"iat null", "{\"user_id\":\"1\",\"iat\":null,\"exp\":1795003600}", "iat is not an integer"},
		{"nbf past", "{\"user_id\":\"1\",\"nbf\":1794000000,\"exp\":1795003600}", NULL},
		{"nbf a minute ahead", "{\"user_id\":\"1\",\"nbf\":1795000060,\"exp\":1795003600}", NULL},
		{"nbf more ahead", "{\"user_id\":\"1\",\"nbf\":1795000061,\"exp\":1795003600}",
			"not valid yet"},
		{"nbf a text", "{\"user_id\":\"1\",\"nbf\":\"x\",\"exp\":1795003600}",
			"nbf is not an integer"},
		{"user id of all kinds", "{\"user_id\":\"auth0|5f-7.A_z\",\"exp\":1795003600}", NULL},
		{"user id of 64", "{\"user_id\":\"" SIXTY_FOUR "\",\"exp\":1795003600}", NULL},
		{"user id of 65", "{\"user_id\":\"" SIXTY_FOUR "4\",\"exp\":1795003600}",
			"user_id is not 1 to 64"},
		{"user id empty", "{\"user_id\":\"\",\"exp\":1795003600}", "user_id is not 1 to 64"},
		{"user id with /", "{\"user_id\":\"1/2\",\"exp\":1795003600}", "user_id is not 1 to 64"},
		{"user id with escaped /", "{\"user_id\":\"1\\/2\",\"exp\":1795003600}",
			"user_id is not 1 to 64"},
		{"user id +", "{\"user_id\":\"+\",\"exp\":1795003600}", "user_id is not 1 to 64"},
		{"user id #", "{\"user_id\":\"#\",\"exp\":1795003600}", "user_id is not 1 to 64"},
		{"user id with $", "{\"user_id\":\"$SYS\",\"exp\":1795003600}", "user_id is not 1 to 64"},
		{"user id with :", "{\"user_id\":\"a:b\",\"exp\":1795003600}", "user_id is not 1 to 64"},
		{"user id with a line break", "{\"user_id\":\"1\\n\",\"exp\":1795003600}",
			"user_id is not 1 to 64"},
		{"user id with NUL", "{\"user_id\":\"1\\u0000\",\"exp\":1795003600}", "not a JSON object"},
		{"user id of umlauts", "{\"user_id\":\"\xc3\xa4\",\"exp\":1795003600}",
			"user_id is not 1 to 64"},
		{"user id in bad UTF-8", "{\"user_id\":\"\xff\",\"exp\":1795003600}", "not a JSON object"},
		{"user id a number", "{\"user_id\":68946,\"exp\":1795003600}", "user_id is not a text"},
		{"user id null", "{\"user_id\":null,\"exp\":1795003600}", "user_id is not a text"},
		{"user id an object", "{\"user_id\":{\"$gt\":\"\"},\"exp\":1795003600}",
			"user_id is not a text"},
		{"user id twice", "{\"user_id\":\"1\",\"user_id\":\"2\",\"exp\":1795003600}",
			"duplicate key"},
		{"jti", "{\"user_id\":\"1\",\"jti\":\"5f\",\"exp\":1795003600}", NULL},
		{"jti of 128", "{\"user_id\":\"1\",\"jti\":\"" SIXTY_FOUR SIXTY_FOUR "\",\"exp\":1795003600}",
			NULL},
		{"jti of 129",
			"{\"user_id\":\"1\",\"jti\":\"" SIXTY_FOUR SIXTY_FOUR "4\",\"exp\":1795003600}",
			"jti is not a text"},
		{"jti a number", "{\"user_id\":\"1\",\"jti\":1,\"exp\":1795003600}", "jti is not a text"},
		{"jti null", "{\"user_id\":\"1\",\"jti\":null,\"exp\":1795003600}", "jti is not a text"},
		{"nobody", "{\"exp\":1795003600}", "no user_id and no handler"},
		{"User_id", "{\"User_id\":\"1\",\"exp\":1795003600}", "no user_id and no handler"},
		{"a handler's", "{\"handler\":{\"name\":\"cashewd\"},\"exp\":1795003600}", NULL},
		{"a handler's with more",
			"{\"handler\":{\"name\":\"a\",\"at\":[1]},\"user_id\":\"1\",\"exp\":1795003600}",
			NULL},
		{"a handler's with a user_id that is none",
			"{\"handler\":{\"name\":\"a\"},\"user_id\":\"+\",\"exp\":1795003600}",
			"user_id is not 1 to 64"},
		{"handler of a minute ago", "{\"handler\":{\"name\":\"a\"},\"exp\":1794999940}", "expired"},
		{"handler that never expires", "{\"handler\":{\"name\":\"a\"}}", "no exp"},
		{"handler without name", "{\"handler\":{},\"user_id\":\"1\",\"exp\":1795003600}",
			"no handler.name"},
		{"handler name a number", "{\"handler\":{\"name\":1},\"exp\":1795003600}",
			"handler.name is not a text"},
		{"handler name empty", "{\"handler\":{\"name\":\"\"},\"exp\":1795003600}",
			"handler.name is not 1 to 64"},
		{"handler name of 65", "{\"handler\":{\"name\":\"" SIXTY_FOUR "4\"},\"exp\":1795003600}",
			"handler.name is not 1 to 64"},
		{"handler true", "{\"handler\":true,\"user_id\":\"1\",\"exp\":1795003600}",
			"handler is not an object"},
		{"handler null", "{\"handler\":null,\"user_id\":\"1\",\"exp\":1795003600}",
			"handler is not an object"},
		{"handler a text", "{\"handler\":\"cashewd\",\"exp\":1795003600}",
			"handler is not an object"},
		{"handler twice",
			"{\"handler\":{\"name\":\"a\"},\"handler\":{\"name\":\"b\"},\"exp\":1795003600}",
			"duplicate key"},
		{"a list", "[1795003600]", "claims segment is not a JSON object"},
		{"null", "null", "claims segment is not a JSON object"},
		{"no JSON", "user_id=1", "claims segment is not a JSON object"},
		{"JSON and more", CLAIMS " x", "claims segment is not a JSON object"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = token_of(HEADER, cases[i].claims);
		assert_verdict(cases[i].name, token, strlen(token), cases[i].reason);
		free(token);
	}
}

/* Only where the caller says so, and all else is looked at as ever. */
static void unexpiring(void **state)
{
	(void)state;
	static const struct {
		const char *claims, *reason; /* reason NULL: accepted */
		int64_t expires;
	} cases[] = {
		{"{\"user_id\":\"1\"}", NULL, INT64_MAX},
		{"{\"handler\":{\"name\":\"a\"},\"iat\":1795000000}", NULL, INT64_MAX},
		{CLAIMS, NULL, 1795003600},
		{"{\"user_id\":\"1\",\"exp\":1795000000}", "expired", 0},
		{"{\"user_id\":\"1\",\"exp\":null}", "exp is not an integer", 0},
		{"{\"user_id\":\"1\",\"iat\":1795000061}", "issued in the future", 0},
		{"{\"user_id\":\"1\",\"nbf\":1795000061}", "not valid yet", 0},
		{"{\"user_id\":\"1/2\"}", "user_id is not 1 to 64", 0},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE] = "", *token = token_of(HEADER, cases[i].claims);
		const int error = token_verify(SECRET, token, strlen(token), NOW, true, &identity, reason);
		free(token);
		if (error != (cases[i].reason ? TOKEN_E_REFUSED : 0))
			fail_msg("%s: %d %s", cases[i].claims, error, reason);
		if (cases[i].reason)
			assert_non_null(strstr(reason, cases[i].reason));
		else
			assert_int_equal(identity.expires, cases[i].expires);
	}
	/* What the refusal says is what an operator has to set. */
	char *token = token_of(HEADER, "{\"user_id\":\"1\"}");
	assert_verdict("by default", token, strlen(token), "plugin_opt_allow_unexpiring_tokens on");
	free(token);
}

static void nul_bytes(void **state)
{
	(void)state;
	static const char in_header[] = "{\"alg\":\"HS256\0none\"}";
	static const char behind_claims[] = CLAIMS "\0";
	static const char in_claims[] = "{\"user_id\":\"1\0002\",\"exp\":1795003600}";
	const struct {
		const char *name;
		const void *header;
		size_t header_size;
		const void *claims;
		size_t claims_size;
		const char *reason;
	} cases[] = {
		{"in the header", in_header, sizeof(in_header) - 1, CLAIMS, strlen(CLAIMS), "header is not"},
		{"in a claim", HEADER, strlen(HEADER), in_claims, sizeof(in_claims) - 1,
			"claims segment is not"},
		{"behind the claims", HEADER, strlen(HEADER), behind_claims, sizeof(behind_claims) - 1,
			"claims segment is not"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = token_of_bytes(cases[i].header, cases[i].header_size, cases[i].claims,
			cases[i].claims_size, EVP_sha256(), SECRET);
		assert_verdict(cases[i].name, token, strlen(token), cases[i].reason);
		free(token);
	}
	char *token = token_of(HEADER, CLAIMS);
	size_t size = strlen(token);
	assert_verdict("behind the token", token, size + 1, "not a SHA-256 HMAC");
	token[3] = '\0';
	assert_verdict("in the header's segment", token, size, "header is not base64url");
	free(token);
}

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

/* ---- Identities ---- */

static void identities(void **state)
{
	(void)state;
	static const struct {
		const char *claims;
		struct token_identity identity;
	} cases[] = {
		{CLAIMS, {.user_id = "68946", .expires = 1795003600}},
		{"{\"handler\":{\"name\":\"cashewd\"},\"exp\":1795000001}",
			{.is_handler = true, .name = "cashewd", .expires = 1795000001}},
		{"{\"user_id\":\"68946\",\"handler\":{\"name\":\"" SIXTY_FOUR "\"},\"exp\":1795000002}",
			{.is_handler = true, .name = SIXTY_FOUR, .expires = 1795000002}},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = token_of(HEADER, cases[i].claims), reason[TOKEN_REASON_SIZE];
		struct token_identity identity;
		assert_int_equal(verify(SECRET, token, strlen(token), &identity, reason), 0);
		assert_int_equal(identity.is_handler, cases[i].identity.is_handler);
		assert_string_equal(identity.user_id, cases[i].identity.user_id);
		assert_string_equal(identity.name, cases[i].identity.name);
		assert_int_equal(identity.expires, cases[i].identity.expires);
		free(token);
	}
}

/* ---- Signing ---- */

static void signed_tokens_verify(void **state)
{
	(void)state;
	static const char *const names[] = {"68946", "a", "auth0|5f-7.A_z", SIXTY_FOUR};
	for (size_t i = 0; i < 2 * COUNT(names); i++) {
		bool handler = i % 2 == 1;
		const char *name = names[i / 2];
		char *token = NULL, *again = NULL, reason[TOKEN_REASON_SIZE];
		struct token_identity identity;
		assert_int_equal(handler ? token_sign_handler(SECRET, name, NOW, 3600, &token)
					 : token_sign_user(SECRET, name, NOW, 3600, &token),
			0);
		assert_int_equal(verify(SECRET, token, strlen(token), &identity, reason), 0);
		assert_int_equal(identity.is_handler, handler);
		assert_string_equal(handler ? identity.name : identity.user_id, name);
		assert_string_equal(handler ? identity.user_id : identity.name, "");
		assert_int_equal(identity.expires, NOW + 3600);
		assert_int_equal(token_sign_user(SECRET, name, NOW - 3600, 3600, &again), 0);
		assert_int_equal(verify(SECRET, again, strlen(again), &identity, reason), TOKEN_E_REFUSED);
		free(token);
		free(again);
	}
}

static void what_cannot_be_signed(void **state)
{
	(void)state;
	static const struct {
		const char *secret, *name;
		int64_t now, lifetime_s;
	} cases[] = {
		{"", "1", NOW, 60},
		{SECRET, "", NOW, 60},
		{SECRET, "1/2", NOW, 60},
		{SECRET, "+", NOW, 60},
		{SECRET, "#", NOW, 60},
		{SECRET, "a b", NOW, 60},
		{SECRET, SIXTY_FOUR "4", NOW, 60},
		{SECRET, "1", NOW, 0},
		{SECRET, "1", NOW, -1},
		{SECRET, "1", NOW, INT64_MAX},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char untouched, *token = &untouched;
		assert_int_equal(token_sign_user(cases[i].secret, cases[i].name, cases[i].now,
					 cases[i].lifetime_s, &token),
			-EINVAL);
		assert_int_equal(token_sign_handler(cases[i].secret, cases[i].name, cases[i].now,
					 cases[i].lifetime_s, &token),
			-EINVAL);
		assert_ptr_equal(token, &untouched);
	}
}

static void shown_tokens(void **state)
{
	(void)state;
	char *token = token_of("{\"alg\":\"none\"}", "{\"user_id\":\"\xc2\x9b\\u0007\"}"),
	     reason[TOKEN_REASON_SIZE];
	char *header = NULL, *text = NULL;
	assert_int_equal(token_show(token, strlen(token), &header, &text, reason), 0);
	assert_string_equal(header, "{\"alg\": \"none\"}");
	assert_string_equal(text, "{\"user_id\": \"\\u009B\\u0007\"}");
	free(token);
	free(header);
	free(text);
	header = text = NULL;
	assert_int_equal(token_show("a.b", 3, &header, &text, reason), TOKEN_E_REFUSED);
	assert_int_equal(token_show("e30.AAAA.x", 10, &header, &text, reason), TOKEN_E_REFUSED);
	assert_null(header);
	assert_null(text);
}

/* ---- Out of memory ---- */

/* One call of what is tested. ret_made: texts that it made, to be freed. */
static int sign_user(char *ret_made[static 2])
{
	return token_sign_user(SECRET, SIXTY_FOUR, NOW, 3600, &ret_made[0]);
}

static int sign_handler(char *ret_made[static 2])
{
	return token_sign_handler(SECRET, SIXTY_FOUR, NOW, 3600, &ret_made[0]);
}

/* The token that is verified and shown: its texts have the sizes at which the lexer's buffer grows. */
static char *long_token;

static int verify_long(char *ret_made[static 2])
{
	(void)ret_made;
	struct token_identity identity, untouched;
	memset(&identity, 0x5a, sizeof(identity));
	untouched = identity;
	char reason[TOKEN_REASON_SIZE] = "";
	const int error = token_verify(SECRET, long_token, strlen(long_token), NOW, false, &identity, reason);
	if (error == 0)
		assert_string_equal(identity.user_id, SIXTY_FOUR);
	else
		assert_memory_equal(&identity, &untouched, sizeof(identity));
	return error;
}

static int show_long(char *ret_made[static 2])
{
	char reason[TOKEN_REASON_SIZE] = "";
	return token_show(long_token, strlen(long_token), &ret_made[0], &ret_made[1], reason);
}

/* Each allocation of ours and of jansson's fails, alone and with all later ones; what leaks, a sanitizer
 * tells. */
static void out_of_memory(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int (*call)(char *ret_made[static 2]);
		bool makes[2];
	} cases[] = {
		{"sign a user's", sign_user, {true}},
		{"sign a handler's", sign_handler, {true}},
		{"verify", verify_long, {false}},
		{"show", show_long, {true, true}},
	};
	static const char *const claims[] = {
		"{\"user_id\":\"" SIXTY_FOUR "\",\"iat\":1794999990,\"exp\":1795003600}",
		"{\"user_id\":\"" SIXTY_FOUR "\",\"a\":\"12345678901234\",\"exp\":1795003600}",
		"{\"user_id\":\"" SIXTY_FOUR "\",\"a\":\"123456789012345\",\"exp\":1795003600}",
		"{\"user_id\":\"" SIXTY_FOUR
		"\",\"a\":\"1234567890123456789012345678901\",\"exp\":1795003600}",
	};
	for (size_t i = 0; i < COUNT(claims) * COUNT(cases) * 2; i++) {
		const size_t c = i / 2 % COUNT(cases);
		long_token = token_of(HEADER, claims[i / 2 / COUNT(cases)]);
		bool failed = true;
		size_t n = 1;
		for (; failed && n < 1000; n++) {
			char *made[2] = {NULL, NULL};
			failing_malloc_start(n, i % 2 == 1);
			const int error = cases[c].call(made);
			failed = failing_malloc_stop();
			if (error != (failed ? -ENOMEM : 0))
				fail_msg("%s, allocation %zu: %d", cases[c].name, n, error);
			for (size_t m = 0; m < 2; m++) {
				if ((made[m] != NULL) != (!failed && cases[c].makes[m]))
					fail_msg("%s, allocation %zu: text %zu", cases[c].name, n, m);
				free(made[m]);
			}
		}
		assert_false(failed);
		assert_true(n > 5);
		free(long_token);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(claims),
		cmocka_unit_test(unexpiring),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(raw_tokens),
		cmocka_unit_test(every_changed_byte),
		cmocka_unit_test(every_shorter_token),
		cmocka_unit_test(sizes),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(secrets),
		cmocka_unit_test(other_digests),
		cmocka_unit_test(reasons_hold_no_token),
		cmocka_unit_test(identities),
		cmocka_unit_test(signed_tokens_verify),
		cmocka_unit_test(what_cannot_be_signed),
		cmocka_unit_test(shown_tokens),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
