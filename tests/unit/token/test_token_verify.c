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

#define COUNT(array)	   (sizeof(array) / sizeof((array)[0]))
#define NOW		   1795000000
#define USERS		   "users-0123456789abcdef0123456789"
#define HANDLERS	   "handlers-0123456789abcdef0123456"
#define USER_CLAIMS	   "{\"user_id\":\"68946\",\"iat\":1794999990,\"exp\":1795003600}"
#define HANDLER_CLAIMS	   "{\"handler\":{\"name\":\"cashewd\"},\"exp\":1795003600}"
#define HEADER(alg)	   "{\"alg\":\"" alg "\",\"typ\":\"JWT\"}"
#define WITH_KID(alg, kid) "{\"alg\":\"" alg "\",\"kid\":\"" kid "\"}"

/* Users' keys: RS256 "r1" and "r2", ES256 "e1"; no one else's: the other ones. */
static EVP_PKEY *r1, *r2, *e1, *other_rsa, *other_point, *small_rsa, *p384, *koblitz;

static int make_keys(void **state)
{
	(void)state;
	r1 = maker_rsa(2048, 65537);
	r2 = maker_rsa(2048, 65537);
	other_rsa = maker_rsa(2048, 65537);
	small_rsa = maker_rsa(1024, 65537);
	e1 = maker_curve("P-256");
	other_point = maker_curve("P-256");
	p384 = maker_curve("P-384");
	koblitz = maker_curve("secp256k1");
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY *const keys[] = {r1, r2, e1, other_rsa, other_point, small_rsa, p384, koblitz};
	for (size_t i = 0; i < COUNT(keys); i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

/* ---- Sets of keys ---- */

enum whose { FOR_USERS = 1, FOR_HANDLERS = 2, FOR_BOTH = 3 };

static void add(struct token_keys *keys, struct token_key *key, const char *id, enum whose whose)
{
	char reason[TOKEN_REASON_SIZE] = "";
	snprintf(key->id, sizeof(key->id), "%s", id);
	key->for_users = (whose & FOR_USERS) != 0;
	key->for_handlers = (whose & FOR_HANDLERS) != 0;
	if (token_keys_add(keys, key, reason) != 0)
		fail_msg("key %s: %s", id, reason);
}

static void add_secret(struct token_keys *keys, const char *secret, enum whose whose)
{
	char reason[TOKEN_REASON_SIZE];
	struct token_key key;
	assert_int_equal(token_key_from_secret(secret, &key, reason), 0);
	add(keys, &key, "", whose);
}

static void add_public(
	struct token_keys *keys, enum token_key_algorithm algorithm, EVP_PKEY *pkey, const char *id)
{
	char reason[TOKEN_REASON_SIZE], *pem = maker_pem(pkey);
	struct token_key key;
	if (token_key_from_pem(algorithm, pem, strlen(pem), &key, reason) != 0)
		fail_msg("key %s: %s", id, reason);
	free(pem);
	add(keys, &key, id, FOR_USERS);
}

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

/* Verifies a copy of exactly that size, so that a sanitizer sees whoever reads on. expected NULL: accepted. */
static void assert_ruled(const char *name, const struct token_keys *keys, const struct token_rules *rules,
	const char *token, const char *expected)
{
	const size_t size = strlen(token);
	char *copy = malloc(size > 0 ? size : 1), reason[TOKEN_REASON_SIZE] = "";
	assert_non_null(copy);
	memcpy(copy, token, size);
	struct token_identity identity, untouched;
	memset(&identity, 0x5a, sizeof(identity));
	untouched = identity;
	const int error = token_verify_with(keys, rules, copy, size, NOW, &identity, reason);
	free(copy);
	if (error != (expected ? TOKEN_E_REFUSED : 0) || (expected && !strstr(reason, expected)))
		fail_msg("%s: %d \"%s\", expected \"%s\"", name, error, reason,
			expected ? expected : "accepted");
	if (expected)
		assert_memory_equal(&identity, &untouched, sizeof(identity));
}

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

/* ---- Rules ---- */

#define ISSUER "https://login.example.com/"

static void rules(void **state)
{
	(void)state;
	static const struct token_rules provider = {
		.claim_user = "sub", .issuer = ISSUER, .audience = "cashew", .lifetime_max_s = 3600};
	static const struct token_rules named = {.handler_names = "cashewd,apples"};
	static const struct token_rules brief = {.lifetime_max_s = 60},
					unexpiring = {.allow_unexpiring = true, .lifetime_max_s = 60};
	static const struct {
		const char *name;
		const struct token_rules *rules;
		const char *claims, *reason; /* reason NULL: accepted */
	} cases[] = {
		{"a provider's", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"cashew\",\"sub\":\"auth0|5f\",\"exp\":1795003600}",
			NULL},
		{"a list of audiences", &provider,
			"{\"iss\":\"" ISSUER
			"\",\"aud\":[\"other\",\"cashew\"],\"sub\":\"1\",\"exp\":1795003600}",
			NULL},
		{"no sub", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"cashew\",\"user_id\":\"1\",\"exp\":1795003600}",
			"no sub and no handler"},
		{"a sub that is no user id", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"cashew\",\"sub\":\"a@b\",\"exp\":1795003600}",
			"the token's sub is not 1 to 64"},
		{"a sub that is a number", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"cashew\",\"sub\":1,\"exp\":1795003600}",
			"the token's sub is not a text"},
		{"no iss", &provider, "{\"aud\":\"cashew\",\"sub\":\"1\",\"exp\":1795003600}",
			"iss is not the issuer"},
		{"an issuer without its slash", &provider,
			"{\"iss\":\"https://login.example.com\",\"aud\":\"cashew\",\"sub\":\"1\",\"exp\":1795003600}",
			"iss is not the issuer"},
		{"iss a list", &provider,
			"{\"iss\":[\"" ISSUER "\"],\"aud\":\"cashew\",\"sub\":\"1\",\"exp\":1795003600}",
			"iss is not the issuer"},
		{"no aud", &provider, "{\"iss\":\"" ISSUER "\",\"sub\":\"1\",\"exp\":1795003600}",
			"aud is not the audience"},
		{"another aud", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"cashews\",\"sub\":\"1\",\"exp\":1795003600}",
			"aud is not the audience"},
		{"other auds", &provider,
			"{\"iss\":\"" ISSUER
			"\",\"aud\":[\"a\",1,[\"cashew\"]],\"sub\":\"1\",\"exp\":1795003600}",
			"aud is not the audience"},
		{"aud empty", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":[],\"sub\":\"1\",\"exp\":1795003600}",
			"aud is not the audience"},
		{"valid for too long", &provider,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"cashew\",\"sub\":\"1\",\"exp\":1795003601}",
			"valid for more than 3600 s"},
		{"a handler's needs none of that", &provider,
			"{\"handler\":{\"name\":\"a\"},\"exp\":1795003600}", NULL},
		{"a minute", &brief, "{\"user_id\":\"1\",\"exp\":1795000060}", NULL},
		{"a minute from iat", &brief, "{\"user_id\":\"1\",\"iat\":1794999990,\"exp\":1795000050}",
			NULL},
		{"more from iat", &brief, "{\"user_id\":\"1\",\"iat\":1794999990,\"exp\":1795000051}",
			"more than 60 s"},
		{"long ago", &brief, "{\"user_id\":\"1\",\"iat\":-9223372036854775807,\"exp\":1795000051}",
			"more than 60 s"},
		{"the longest ago", &brief,
			"{\"user_id\":\"1\",\"iat\":-9223372036854775808,\"exp\":1795000051}", NULL},
		{"the year 56000", &brief, "{\"user_id\":\"1\",\"exp\":1705000000000}", "more than 60 s"},
		{"the last second", &brief, "{\"user_id\":\"1\",\"exp\":9223372036854775807}",
			"more than 60 s"},
		{"a handler's for too long", &brief, "{\"handler\":{\"name\":\"a\"},\"exp\":1795000061}",
			"more than 60 s"},
		{"without exp, all the same", &unexpiring, "{\"user_id\":\"1\"}", "more than 60 s"},
		{"a handler that is let in", &named,
			"{\"handler\":{\"name\":\"cashewd\"},\"exp\":1795003600}", NULL},
		{"the other one", &named, "{\"handler\":{\"name\":\"apples\"},\"exp\":1795003600}", NULL},
		{"one that is not", &named, "{\"handler\":{\"name\":\"apple\"},\"exp\":1795003600}",
			"handler apple is not one of those"},
		{"in other letters", &named, "{\"handler\":{\"name\":\"Cashewd\"},\"exp\":1795003600}",
			"is not one of those"},
		{"a user of that name", &named, "{\"user_id\":\"apple\",\"exp\":1795003600}", NULL},
	};
	struct token_keys keys = {.count = 0};
	add_secret(&keys, USERS, FOR_BOTH);
	const struct maker_signer signer = {.secret = USERS, .digest = EVP_sha256()};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = maker_token(HEADER("HS256"), cases[i].claims, &signer);
		assert_ruled(cases[i].name, &keys, cases[i].rules, token, cases[i].reason);
		free(token);
	}
	token_keys_clear(&keys);
}

/* ---- Keys that could be mistaken for each other ---- */

static void clashes(void **state)
{
	(void)state;
	const struct {
		const char *name;
		const char *secrets[2];
		enum whose whose[2];
		const char *ids[2];
		const char *reason;
	} cases[] = {
		{"one for users, one for handlers", {USERS, HANDLERS}, {FOR_USERS, FOR_HANDLERS}, {"", ""},
			NULL},
		{"the same for both", {USERS, USERS}, {FOR_USERS, FOR_HANDLERS}, {"", ""}, "same secret"},
		{"the same, with kids", {USERS, USERS}, {FOR_USERS, FOR_USERS}, {"1", "2"}, "same secret"},
		{"two for users", {USERS, HANDLERS}, {FOR_USERS, FOR_USERS}, {"", ""},
			"second one for HS256"},
		{"one for both and one for users", {USERS, HANDLERS}, {FOR_BOTH, FOR_USERS}, {"", ""},
			"second one for HS256"},
		{"two for users, one with a kid", {USERS, HANDLERS}, {FOR_USERS, FOR_USERS}, {"", "1"}, NULL},
		{"two with one kid", {USERS, HANDLERS}, {FOR_USERS, FOR_HANDLERS}, {"1", "1"},
			"kid of another key, 1"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token_keys keys = {.count = 0};
		struct token_key key;
		char reason[TOKEN_REASON_SIZE] = "";
		assert_int_equal(token_key_from_secret(cases[i].secrets[0], &key, reason), 0);
		add(&keys, &key, cases[i].ids[0], cases[i].whose[0]);
		assert_int_equal(token_key_from_secret(cases[i].secrets[1], &key, reason), 0);
		strcpy(key.id, cases[i].ids[1]);
		key.for_users = (cases[i].whose[1] & FOR_USERS) != 0;
		key.for_handlers = (cases[i].whose[1] & FOR_HANDLERS) != 0;
		const int error = token_keys_add(&keys, &key, reason);
		if (error != (cases[i].reason ? TOKEN_E_REFUSED : 0) ||
			(cases[i].reason && !strstr(reason, cases[i].reason)))
			fail_msg("%s: %d %s", cases[i].name, error, reason);
		assert_null(key.secret);
		assert_int_equal(keys.count, error == 0 ? 2 : 1);
		token_keys_clear(&keys);
	}
}

static void too_many(void **state)
{
	(void)state;
	struct token_keys keys = {.count = 0};
	struct token_key key;
	char reason[TOKEN_REASON_SIZE], text[32];
	for (int i = 0; i <= TOKEN_KEYS_MAX; i++) {
		snprintf(text, sizeof(text), "key-%d", i);
		assert_int_equal(token_key_from_secret(text, &key, reason), 0);
		strcpy(key.id, text);
		assert_int_equal(
			token_keys_add(&keys, &key, reason), i < TOKEN_KEYS_MAX ? 0 : TOKEN_E_REFUSED);
	}
	assert_non_null(strstr(reason, "more than 64"));
	token_keys_clear(&keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tokens),
		cmocka_unit_test(wrong_tokens),
		cmocka_unit_test(two_secrets),
		cmocka_unit_test(changed_tokens),
		cmocka_unit_test(large_headers),
		cmocka_unit_test(rules),
		cmocka_unit_test(clashes),
		cmocka_unit_test(too_many),
	};
	return cmocka_run_group_tests_name("token_verify", tests, make_keys, free_keys);
}
