/* test_token.c - token.c, and by it token_verify.c with one secret: form, signature, times and claims, and what is signed and shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "token.h"
#include "token_maker.h"
#include "token_parts.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SIXTY_FOUR "0123456789012345678901234567890123456789012345678901234567890123"

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
	char *token = token_of("{\"alg\":\"none\"}", "{\"user_id\":\"\x7f\xc2\x9b\\u0007\\u007f\"}"),
	     reason[TOKEN_REASON_SIZE];
	char *header = NULL, *text = NULL;
	assert_int_equal(token_show(token, strlen(token), &header, &text, reason), 0);
	assert_string_equal(header, "{\"alg\": \"none\"}");
	assert_string_equal(text, "{\"user_id\": \"\\u007F\\u009B\\u0007\\u007F\"}");
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
		cmocka_unit_test(identities),
		cmocka_unit_test(signed_tokens_verify),
		cmocka_unit_test(what_cannot_be_signed),
		cmocka_unit_test(shown_tokens),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
