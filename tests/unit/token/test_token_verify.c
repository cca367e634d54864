/*
 * test_token_verify.c - token_verify.c and token_keys.c: which key a token is for, and wrong tokens of every kind that is known (RFC 8725 section 3). What
 * times and claims have to be is in test_token.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token_jwks.h"
#include "token_maker.h"
#include "token_verify.h"
#include "token_verify_parts.h"

#define USER_CLAIMS    "{\"user_id\":\"68946\",\"iat\":1794999990,\"exp\":1795003600}"
#define HANDLER_CLAIMS "{\"handler\":{\"name\":\"cashewd\"},\"exp\":1795003600}"

/* ---- Sets of keys ---- */

/* Two for RS256, one for ES256, one secret for handlers; and one for users, where there is to be. */
static void add_all(struct token_keys *keys, bool with_users_secret)
{
	add_public(keys, TOKEN_KEY_RS256, r1, "r1");
	add_public(keys, TOKEN_KEY_RS256, r2, "r2");
	add_public(keys, TOKEN_KEY_ES256, e1, "e1");
	add_secret(keys, HANDLERS, FOR_HANDLERS);
	if (with_users_secret)
		add_secret(keys, USERS, FOR_USERS);
}

/* ---- Verdicts ---- */

static void assert_verdict(
	const char *name, const struct token_keys *keys, const char *token, const char *expected)
{
	static const struct token_rules none;
	assert_ruled(name, keys, &none, token, expected);
}

/* ---- Good ones ---- */

static void good_tokens(void **state)
{
	(void)state;
	const struct {
		const char *name, *header, *claims;
		struct maker_signer signer;
	} cases[] = {
		{"RS256", WITH_KID("RS256", "r1"), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()}},
		{"RS256, the other key", WITH_KID("RS256", "r2"), USER_CLAIMS,
			{.key = r2, .digest = EVP_sha256()}},
		{"ES256", WITH_KID("ES256", "e1"), USER_CLAIMS, {.key = e1, .digest = EVP_sha256()}},
		{"ES256, no kid and one key", HEADER("ES256"), USER_CLAIMS,
			{.key = e1, .digest = EVP_sha256()}},
		{"a user's by a secret", HEADER("HS256"), USER_CLAIMS,
			{.secret = USERS, .digest = EVP_sha256()}},
		{"with a kid that no key has, for the key without", WITH_KID("HS256", "7"), USER_CLAIMS,
			{.secret = USERS, .digest = EVP_sha256()}},
		{"with an empty kid", WITH_KID("HS256", ""), USER_CLAIMS,
			{.secret = USERS, .digest = EVP_sha256()}},
		{"a handler's", HEADER("HS256"), HANDLER_CLAIMS,
			{.secret = HANDLERS, .digest = EVP_sha256()}},
		{"a handler's with a user's id", HEADER("HS256"),
			"{\"user_id\":\"1\", \"handler\" :{\"name\":\"a\"},\"exp\":1795003600}",
			{.secret = HANDLERS, .digest = EVP_sha256()}},
		{"a handler's with a quote in a text", HEADER("HS256"),
			"{\"a\":\"\\\"\",\"handler\":{\"name\":\"a\"},\"exp\":1795003600}",
			{.secret = HANDLERS, .digest = EVP_sha256()}},
		{"a user's with the word as a value", HEADER("HS256"),
			"{\"role\":\"handler\",\"user_id\":\"1\",\"exp\":1795003600}",
			{.secret = USERS, .digest = EVP_sha256()}},
		{"a user's with the name within", HEADER("HS256"),
			"{\"a\":[{\"handler\":{\"name\":\"b\"}}],\"user_id\":\"1\",\"exp\":1795003600}",
			{.secret = USERS, .digest = EVP_sha256()}},
		{"a user's with quotes in a text", HEADER("HS256"),
			"{\"a\":\"\\\"handler\\\":{\\\\\",\"user_id\":\"1\",\"exp\":1795003600}",
			{.secret = USERS, .digest = EVP_sha256()}},
	};
	struct token_keys keys = {.count = 0};
	add_all(&keys, true);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = maker_token(cases[i].header, cases[i].claims, &cases[i].signer);
		assert_verdict(cases[i].name, &keys, token, NULL);
		free(token);
	}
	token_keys_clear(&keys);
}

/* ---- Wrong ones, each signed as its row says ---- */

static void wrong_tokens(void **state)
{
	(void)state;
	char *pem_r1 = maker_pem(r1), *pem_e1 = maker_pem(e1), *jwk_r1 = maker_jwk(r1, NULL, "");
	char *own_key = NULL;
	char *other_jwk = maker_jwk(other_rsa, NULL, "");
	assert_true(asprintf(&own_key, "{\"alg\":\"RS256\",\"jwk\":%s}", other_jwk) > 0);
	char *own_key_and_kid = NULL;
	assert_true(
		asprintf(&own_key_and_kid, "{\"alg\":\"RS256\",\"kid\":\"r1\",\"jwk\":%s}", other_jwk) > 0);
	const struct {
		const char *name, *header, *claims;
		struct maker_signer signer;
		const char *reason;
	} cases[] = {
		/* RFC 8725 section 2.1 and 3.1: the algorithm is the key's */
		{"HS256 with the PEM as the secret", HEADER("HS256"), USER_CLAIMS,
			{.secret = pem_r1, .digest = EVP_sha256()}, "alg is not one that users'"},
		{"the same for ES256's key", HEADER("HS256"), USER_CLAIMS,
			{.secret = pem_e1, .digest = EVP_sha256()}, "alg is not one"},
		{"HS256 with the JWK as the secret", HEADER("HS256"), USER_CLAIMS,
			{.secret = jwk_r1, .digest = EVP_sha256()}, "alg is not one"},
		{"HS256 with the PEM, and the kid of its key", WITH_KID("HS256", "r1"), USER_CLAIMS,
			{.secret = pem_r1, .digest = EVP_sha256()}, "alg is not that of the key"},
		{"RS384 for an RS256 key", WITH_KID("RS384", "r1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha384()}, "alg is not that of the key"},
		{"RS512 for an RS256 key", WITH_KID("RS512", "r1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha512()}, "alg is not that of the key"},
		{"RS384, and no kid", HEADER("RS384"), USER_CLAIMS, {.key = r1, .digest = EVP_sha384()},
			"alg is not one"},
		{"RS384 that says RS256", WITH_KID("RS256", "r1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha384()}, "signature does not match"},
		{"SHA-1 that says RS256", WITH_KID("RS256", "r1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha1()}, "signature does not match"},
		{"PS256 for an RS256 key", WITH_KID("PS256", "r1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "alg is not that of the key"},
		{"rs256", WITH_KID("rs256", "r1"), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()},
			"alg is not that of the key"},
		{"RS256 for the key of ES256", WITH_KID("RS256", "e1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "alg is not that of the key"},
		{"ES256 for a key of RS256", WITH_KID("ES256", "r1"), USER_CLAIMS,
			{.key = e1, .digest = EVP_sha256()}, "alg is not that of the key"},
		{"ES256 by P-384", WITH_KID("ES256", "e1"), USER_CLAIMS,
			{.key = p384, .digest = EVP_sha256()}, "two numbers of 32 bytes"},
		{"ES384 by P-384", WITH_KID("ES384", "e1"), USER_CLAIMS,
			{.key = p384, .digest = EVP_sha384()}, "alg is not that of the key"},
		{"ES256 by secp256k1", WITH_KID("ES256", "e1"), USER_CLAIMS,
			{.key = koblitz, .digest = EVP_sha256()}, "signature does not match"},
		{"ES256K", WITH_KID("ES256K", "e1"), USER_CLAIMS, {.key = koblitz, .digest = EVP_sha256()},
			"alg is not that of the key"},
		{"ES384's digest that says ES256", WITH_KID("ES256", "e1"), USER_CLAIMS,
			{.key = e1, .digest = EVP_sha384()}, "signature does not match"},
		{"none", HEADER("none"), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()}, "alg is not one"},
		{"None", HEADER("None"), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()}, "alg is not one"},
		/* Section 3.5: keys */
		{"RS256 by another key", WITH_KID("RS256", "r1"), USER_CLAIMS,
			{.key = other_rsa, .digest = EVP_sha256()}, "signed with another key"},
		{"RS256 by the other of ours", WITH_KID("RS256", "r1"), USER_CLAIMS,
			{.key = r2, .digest = EVP_sha256()}, "signed with another key"},
		{"RS256 by a small key", WITH_KID("RS256", "r1"), USER_CLAIMS,
			{.key = small_rsa, .digest = EVP_sha256()}, "of the size that its key has"},
		{"ES256 by another key", WITH_KID("ES256", "e1"), USER_CLAIMS,
			{.key = other_point, .digest = EVP_sha256()}, "signed with another key"},
		{"no kid, and two keys", HEADER("RS256"), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()},
			"several keys for its alg"},
		{"a kid of no key", WITH_KID("RS256", "r3"), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()},
			"kid is that of no key"},
		{"a kid in other letters", WITH_KID("RS256", "R1"), USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "kid is that of no key"},
		{"an empty kid", WITH_KID("RS256", ""), USER_CLAIMS, {.key = r1, .digest = EVP_sha256()},
			"kid is that of no key"},
		{"kid a number", "{\"alg\":\"RS256\",\"kid\":1}", USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "kid is not a text"},
		{"kid null", "{\"alg\":\"RS256\",\"kid\":null}", USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "kid is not a text"},
		/* Section 3.10: claims that name a key */
		{"its own key in the header", own_key, USER_CLAIMS,
			{.key = other_rsa, .digest = EVP_sha256()}, "several keys for its alg"},
		{"its own key and a kid", own_key_and_kid, USER_CLAIMS,
			{.key = other_rsa, .digest = EVP_sha256()}, "signed with another key"},
		{"a key of its own at an address",
			"{\"alg\":\"RS256\",\"kid\":\"r1\",\"jku\":\"https://a/b\"}", USER_CLAIMS,
			{.key = other_rsa, .digest = EVP_sha256()}, "signed with another key"},
		/* Section 3.11 and 3.12: tokens of another kind */
		{"an access token", "{\"alg\":\"RS256\",\"kid\":\"r1\",\"typ\":\"at+jwt\"}", USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "typ is not"},
		{"crit", "{\"alg\":\"RS256\",\"kid\":\"r1\",\"crit\":[\"exp\"],\"exp\":1}", USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "crit"},
		{"kid twice", "{\"alg\":\"RS256\",\"kid\":\"r1\",\"kid\":\"r2\"}", USER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "duplicate key"},
		{"a handler's by a users' key", WITH_KID("RS256", "r1"), HANDLER_CLAIMS,
			{.key = r1, .digest = EVP_sha256()}, "alg is not one that handlers'"},
		{"a handler's by the users' point", WITH_KID("ES256", "e1"), HANDLER_CLAIMS,
			{.key = e1, .digest = EVP_sha256()}, "alg is not one that handlers'"},
		{"a handler's whose name is escaped, by a users' key", WITH_KID("RS256", "r1"),
			"{\"\\u0068andler\":{\"name\":\"a\"},\"exp\":1795003600}",
			{.key = r1, .digest = EVP_sha256()},
			"handler's token does not count under a key for users'"},
		{"both claims, by a users' key", WITH_KID("RS256", "r1"),
			"{\"user_id\":\"1\",\"handler\":{\"name\":\"a\"},\"exp\":1795003600}",
			{.key = r1, .digest = EVP_sha256()}, "alg is not one that handlers'"},
		{"a user's by the handlers' secret", HEADER("HS256"), USER_CLAIMS,
			{.secret = HANDLERS, .digest = EVP_sha256()}, "alg is not one that users'"},
		{"claims that are no JSON", WITH_KID("RS256", "r1"), "user",
			{.key = r1, .digest = EVP_sha256()}, "claims segment is not a JSON object"},
	};
	_Static_assert(COUNT(cases) >= 32, "wrong tokens");
	struct token_keys keys = {.count = 0};
	add_all(&keys, false);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = maker_token(cases[i].header, cases[i].claims, &cases[i].signer);
		assert_verdict(cases[i].name, &keys, token, cases[i].reason);
		free(token);
	}
	token_keys_clear(&keys);
	char *const texts[] = {pem_r1, pem_e1, jwk_r1, own_key, own_key_and_kid, other_jwk};
	for (size_t i = 0; i < COUNT(texts); i++)
		free(texts[i]);
}

/* With a secret for users and one for handlers: never is one tried for the other's. */
static void two_secrets(void **state)
{
	(void)state;
	static const struct {
		const char *name, *claims, *secret, *reason;
	} cases[] = {
		{"a user's", USER_CLAIMS, USERS, NULL},
		{"a handler's", HANDLER_CLAIMS, HANDLERS, NULL},
		{"a user's by the handlers'", USER_CLAIMS, HANDLERS, "signature does not match"},
		{"a handler's by the users'", HANDLER_CLAIMS, USERS, "signature does not match"},
		{"both claims, by the users'",
			"{\"user_id\":\"1\",\"handler\":{\"name\":\"a\"},\"exp\":1795003600}", USERS,
			"signature does not match"},
		{"both claims, the name escaped, by the users'",
			"{\"user_id\":\"1\",\"\\u0068andler\":{\"name\":\"a\"},\"exp\":1795003600}", USERS,
			"handler's token does not count under a key for users'"},
		{"both claims, by the handlers'",
			"{\"user_id\":\"1\",\"handler\":{\"name\":\"a\"},\"exp\":1795003600}", HANDLERS,
			NULL},
		{"both claims, a user_id that is none, by the handlers'",
			"{\"user_id\":\"+\",\"handler\":{\"name\":\"a\"},\"exp\":1795003600}", HANDLERS,
			"user_id is not 1 to 64"},
		{"a name within, by the handlers'",
			"{\"user_id\":\"1\",\"a\":{\"handler\":{\"name\":\"a\"}},\"exp\":1795003600}",
			HANDLERS, "signature does not match"},
		{"the name outside of the object", "{\"user_id\":\"1\",\"exp\":1795003600}{\"handler\":1}",
			HANDLERS, "claims segment is not a JSON object"},
		{"the name in a list", "[{\"handler\":{\"name\":\"a\"}}]", HANDLERS,
			"signature does not match"},
		{"a quote that does not end", "{\"user_id\":\"1\\", USERS,
			"claims segment is not a JSON object"},
	};
	struct token_keys keys = {.count = 0};
	add_secret(&keys, USERS, FOR_USERS);
	add_secret(&keys, HANDLERS, FOR_HANDLERS);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct maker_signer signer = {.secret = cases[i].secret, .digest = EVP_sha256()};
		char *token = maker_token(HEADER("HS256"), cases[i].claims, &signer);
		assert_verdict(cases[i].name, &keys, token, cases[i].reason);
		free(token);
	}
	token_keys_clear(&keys);
}

/* ---- Both claims ---- */

/* What everybody knows of a public key is no secret, in whatever form, whoever else has a secret, and whoever the token is for. */
static void public_keys_are_no_secrets(void **state)
{
	(void)state;
	char *pem = maker_pem(r1), *point_pem = maker_pem(e1), *jwk = maker_jwk(r1, NULL, "");
	char *stripped = NULL, *unended = strdup(pem);
	assert_true(asprintf(&stripped, "%.*s", (int)(strstr(pem, "\n-----END") - strchr(pem, '\n') - 1),
			    strchr(pem, '\n') + 1) > 0);
	assert_non_null(unended);
	unended[strlen(unended) - 1] = '\0'; /* the PEM without the line's end behind it */
	const char *const secrets[] = {pem, unended, stripped, point_pem, jwk, ""};
	static const char *const headers[] = {HEADER("HS256"), WITH_KID("HS256", "r1"),
		WITH_KID("HS256", "e1"), WITH_KID("RS256", "r1"), WITH_KID("ES256", "e1"), HEADER("ES256")};
	static const char *const claims[] = {USER_CLAIMS, HANDLER_CLAIMS, BOTH_CLAIMS};
	static const struct token_rules none;
	for (size_t i = 0; i < COUNT(secrets) * COUNT(headers) * COUNT(claims) * 2; i++) {
		const char *secret = secrets[i / 2 % COUNT(secrets)],
			   *header = headers[i / 2 / COUNT(secrets) % COUNT(headers)];
		const struct maker_signer signer = {.secret = secret, .digest = EVP_sha256()};
		struct token_keys keys = {.count = 0};
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE] = "";
		char *token = maker_token(header, claims[i / 2 / COUNT(secrets) / COUNT(headers)], &signer);
		add_all(&keys, i % 2 == 1);
		if (token_verify_with(&keys, &none, token, strlen(token), NOW, &identity, reason) !=
			TOKEN_E_REFUSED)
			fail_msg("%s, signed with the secret \"%s\": accepted", header, secret);
		free(token);
		token_keys_clear(&keys);
	}
	char *const texts[] = {pem, unended, stripped, point_pem, jwk};
	for (size_t i = 0; i < COUNT(texts); i++)
		free(texts[i]);
}

/* One byte of a token of each algorithm is another one. */
static void changed_tokens(void **state)
{
	(void)state;
	const struct {
		const char *header;
		struct maker_signer signer;
	} cases[] = {
		{WITH_KID("RS256", "r1"), {.key = r1, .digest = EVP_sha256()}},
		{WITH_KID("ES256", "e1"), {.key = e1, .digest = EVP_sha256()}},
	};
	static const struct token_rules none;
	struct token_keys keys = {.count = 0};
	add_all(&keys, true);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = maker_token(cases[i].header, USER_CLAIMS, &cases[i].signer);
		const size_t size = strlen(token);
		struct token_identity identity;
		char reason[TOKEN_REASON_SIZE];
		for (size_t at = 0; at < size; at++) {
			const char before = token[at];
			for (const char *other = "AQgw-_.="; *other != '\0'; other++) {
				token[at] = *other;
				if (before != *other && token_verify_with(&keys, &none, token, size, NOW,
								&identity, reason) != TOKEN_E_REFUSED)
					fail_msg("%s: byte %zu changed from %c to %c: accepted",
						cases[i].header, at, before, *other);
			}
			token[at] = before;
		}
		/* The padding that base64 has elsewhere. */
		char *padded = NULL;
		assert_true(asprintf(&padded, "%s==", token) > 0);
		assert_verdict("padded", &keys, padded, "in base64url");
		free(padded);
		assert_verdict("unchanged", &keys, token, NULL);
		free(token);
	}
	token_keys_clear(&keys);
}

/* A header is parsed before anything vouches for it. */
static void large_headers(void **state)
{
	(void)state;
	static char header[2000];
	struct token_keys keys = {.count = 0};
	add_secret(&keys, USERS, FOR_BOTH);
	const struct maker_signer signer = {.secret = USERS, .digest = EVP_sha256()};
	for (size_t size = 767; size <= 769; size++) {
		const int begin = snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"x\":\"");
		memset(header + begin, 'x', size - (size_t)begin);
		strcpy(header + size - 2, "\"}");
		char *token = maker_token(header, USER_CLAIMS, &signer);
		assert_verdict(
			"large header", &keys, token, size <= 768 ? NULL : "header is larger than 1024");
		free(token);
	}
	token_keys_clear(&keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tokens),
		cmocka_unit_test(wrong_tokens),
		cmocka_unit_test(two_secrets),
		cmocka_unit_test(public_keys_are_no_secrets),
		cmocka_unit_test(changed_tokens),
		cmocka_unit_test(large_headers),
	};
	return cmocka_run_group_tests_name("token_verify", tests, make_keys, free_keys);
}
