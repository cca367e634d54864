/* test_token_rules.c - token_verify.c: what a broker may ask of a token besides its signature, both claims at once, and keys that clash. */
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

/* ---- Both claims ---- */

/* A handler's token, under each kind of key; where it is let in it is the handler's, and nobody's of a user. */
static void both_claims(void **state)
{
	(void)state;
	static const struct token_rules none,
		by_sub = {.claim_user = "sub", .issuer = "i", .audiences = {1, {"a"}}},
		named = {.handler_names = "apples"}, others = {.handler_names = "cashewd,apple"};
	const struct {
		const char *name, *header;
		struct maker_signer signer;
		enum whose whose; /* the secret that the signer has, if any, is theirs */
		const struct token_rules *rules;
		const char *reason; /* NULL: accepted */
	} cases[] = {
		{"one secret for both", HEADER("HS256"), {.secret = USERS, .digest = EVP_sha256()}, FOR_BOTH,
			&none, NULL},
		{"the handlers' secret", HEADER("HS256"), {.secret = USERS, .digest = EVP_sha256()},
			FOR_HANDLERS, &none, NULL},
		{"the users' secret", HEADER("HS256"), {.secret = USERS, .digest = EVP_sha256()}, FOR_USERS,
			&none, "alg is not one that handlers'"},
		{"a secret of nobody's", HEADER("HS256"), {.secret = HANDLERS, .digest = EVP_sha256()},
			FOR_USERS, &none, "alg is not one that handlers'"},
		{"RS256", WITH_KID("RS256", "r1"), {.key = r1, .digest = EVP_sha256()}, FOR_USERS, &none,
			"alg is not one that handlers'"},
		{"RS256, where a secret is for handlers", WITH_KID("RS256", "r1"),
			{.key = r1, .digest = EVP_sha256()}, FOR_HANDLERS, &none,
			"alg is not one that handlers'"},
		{"ES256", WITH_KID("ES256", "e1"), {.key = e1, .digest = EVP_sha256()}, FOR_USERS, &none,
			"alg is not one that handlers'"},
		{"ES256, where a secret is for handlers", WITH_KID("ES256", "e1"),
			{.key = e1, .digest = EVP_sha256()}, FOR_HANDLERS, &none,
			"alg is not one that handlers'"},
		{"a provider's claims, one secret for both", HEADER("HS256"),
			{.secret = USERS, .digest = EVP_sha256()}, FOR_BOTH, &by_sub, NULL},
		{"a provider's claims and key", WITH_KID("RS256", "r1"), {.key = r1, .digest = EVP_sha256()},
			FOR_USERS, &by_sub, "alg is not one that handlers'"},
		{"a name that is let in", HEADER("HS256"), {.secret = USERS, .digest = EVP_sha256()},
			FOR_BOTH, &named, NULL},
		{"a name that is not", HEADER("HS256"), {.secret = USERS, .digest = EVP_sha256()}, FOR_BOTH,
			&others, "handler apples is not one of those"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct token_keys keys = {.count = 0};
		struct token_identity identity = {.user_id = "untouched"};
		char reason[TOKEN_REASON_SIZE] = "",
		     *token = maker_token(cases[i].header, BOTH_CLAIMS, &cases[i].signer);
		add_public(&keys, TOKEN_KEY_RS256, r1, "r1");
		add_public(&keys, TOKEN_KEY_ES256, e1, "e1");
		add_secret(&keys, USERS, cases[i].whose);
		const int error = token_verify_with(
			&keys, cases[i].rules, token, strlen(token), NOW, &identity, reason);
		free(token);
		token_keys_clear(&keys);
		if (error != (cases[i].reason ? TOKEN_E_REFUSED : 0) ||
			(cases[i].reason && !strstr(reason, cases[i].reason)))
			fail_msg("%s: %d \"%s\"", cases[i].name, error, reason);
		if (error != 0)
			continue;
		assert_true(identity.is_handler);
		assert_string_equal(identity.name, "apples");
		assert_string_equal(identity.user_id, "");
	}
}

/* ---- Rules ---- */

#define ISSUER "https://login.example.com/"

static void rules(void **state)
{
	(void)state;
	static const struct token_rules provider = {.claim_user = "sub",
		.issuer = ISSUER,
		.audiences = {1, {"cashew"}},
		.trusted = {1, {"other"}},
		.lifetime_max_s = 3600};
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
		cmocka_unit_test(both_claims),
		cmocka_unit_test(rules),
		cmocka_unit_test(clashes),
		cmocka_unit_test(too_many),
	};
	return cmocka_run_group_tests_name("token_rules", tests, make_keys, free_keys);
}
