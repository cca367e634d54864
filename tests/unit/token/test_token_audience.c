/*
 * test_token_audience.c - token_verify.c: for whom a user's token is, by its aud and azp (OpenID Connect Core 1.0, section 3.1.3.7, steps 3 to 5), with one
 * audience or several, with others that are trusted, and with clients for which it may have been made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token_maker.h"
#include "token_verify.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW	     1795000000
#define SECRET	     "users-0123456789abcdef0123456789"
#define AUDIENCE     "aud is not the audience"
#define STRANGER     "nobody said to trust"
#define PARTY	     "azp is not one that is expected"

static struct token_keys keys;

static int add_key(void **state)
{
	(void)state;
	char reason[TOKEN_REASON_SIZE];
	struct token_key key;
	assert_int_equal(token_key_from_secret(SECRET, &key, reason), 0);
	key.for_users = key.for_handlers = true;
	assert_int_equal(token_keys_add(&keys, &key, reason), 0);
	return 0;
}

static int clear_keys(void **state)
{
	(void)state;
	token_keys_clear(&keys);
	return 0;
}

static void audiences(void **state)
{
	(void)state;
	static const struct token_rules anybody, one = {.audiences = {1, {"cashew"}}},
						 apps = {.audiences = {3, {"web", "phone", "tv"}}},
						 api = {.audiences = {1, {"https://broker"}},
							 .trusted = {2, {"https://login/userinfo", "stats"}},
							 .parties = {2, {"web", "phone"}}};
	static const struct {
		const char *name;
		const struct token_rules *rules;
		const char *claims, *reason; /* reason NULL: accepted */
	} cases[] = {
		{"no audience is asked for", &anybody, "\"aud\":[\"shop\",1],\"azp\":[2],", NULL},
		{"a text", &one, "\"aud\":\"cashew\",", NULL},
		{"a list of one", &one, "\"aud\":[\"cashew\"],", NULL},
		{"twice", &one, "\"aud\":[\"cashew\",\"cashew\"],", NULL},
		{"none", &one, "", AUDIENCE},
		{"null", &one, "\"aud\":null,", AUDIENCE},
		{"a number", &one, "\"aud\":1,", AUDIENCE},
		{"an object", &one, "\"aud\":{\"cashew\":\"cashew\"},", AUDIENCE},
		{"an empty list", &one, "\"aud\":[],", AUDIENCE},
		{"other letters", &one, "\"aud\":\"Cashew\",", AUDIENCE},
		{"more letters", &one, "\"aud\":\"cashew2\",", AUDIENCE},
		{"a NUL behind it", &one, "\"aud\":\"cashew\\u0000\",", "not a JSON object"},
		{"a list in a list", &one, "\"aud\":[[\"cashew\"]],", AUDIENCE},
		{"another behind it", &one, "\"aud\":[\"cashew\",\"shop\"],", STRANGER},
		{"another before it", &one, "\"aud\":[\"shop\",\"cashew\"],", STRANGER},
		{"a number beside it", &one, "\"aud\":[\"cashew\",1],", STRANGER},
		{"a list beside it", &one, "\"aud\":[\"cashew\",[\"cashew\"]],", STRANGER},
		{"made for us", &one, "\"aud\":\"cashew\",\"azp\":\"cashew\",", NULL},
		{"made for another", &one, "\"aud\":\"cashew\",\"azp\":\"shop\",", PARTY},
		{"made for nobody", &one, "\"aud\":\"cashew\",\"azp\":null,", PARTY},
		{"made for a list", &one, "\"aud\":\"cashew\",\"azp\":[\"cashew\"],", PARTY},
		{"made for us, for another", &one, "\"aud\":\"shop\",\"azp\":\"cashew\",", AUDIENCE},
		{"the first application", &apps, "\"aud\":\"web\",", NULL},
		{"the last one", &apps, "\"aud\":\"tv\",\"azp\":\"tv\",", NULL},
		{"two of them", &apps, "\"aud\":[\"phone\",\"web\"],\"azp\":\"phone\",", NULL},
		{"for one, made for another", &apps, "\"aud\":\"web\",\"azp\":\"phone\",", NULL},
		{"none of them", &apps, "\"aud\":\"car\",", AUDIENCE},
		{"one, and another", &apps, "\"aud\":[\"tv\",\"car\"],", STRANGER},
		{"all of them in a text", &apps, "\"aud\":\"web,phone,tv\",", AUDIENCE},
		{"an access token", &api,
			"\"aud\":[\"https://broker\",\"https://login/userinfo\"],\"azp\":\"phone\",", NULL},
		{"the last that is trusted", &api, "\"aud\":[\"stats\",\"https://broker\"],", NULL},
		{"who is trusted, alone", &api, "\"aud\":\"stats\",", AUDIENCE},
		{"those who are trusted, alone", &api, "\"aud\":[\"stats\",\"https://login/userinfo\"],",
			AUDIENCE},
		{"somebody else, too", &api, "\"aud\":[\"https://broker\",\"stats\",\"shop\"],", STRANGER},
		{"a client is no audience", &api, "\"aud\":[\"https://broker\",\"web\"],", STRANGER},
		{"who is trusted is no client", &api, "\"aud\":\"https://broker\",\"azp\":\"stats\",", PARTY},
		{"another client", &api, "\"aud\":\"https://broker\",\"azp\":\"car\",", PARTY},
		{"no client", &api, "\"aud\":\"https://broker\",", NULL},
		{"a handler's", &api, "\"handler\":{\"name\":\"a\"},\"aud\":\"shop\",\"azp\":\"car\",", NULL},
	};
	const struct maker_signer signer = {.secret = SECRET, .digest = EVP_sha256()};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char claims[512], reason[TOKEN_REASON_SIZE] = "";
		(void)snprintf(claims, sizeof(claims), "{%s\"user_id\":\"1\",\"exp\":%d}", cases[i].claims,
			NOW + 60);
		char *token = maker_token("{\"alg\":\"HS256\"}", claims, &signer);
		struct token_identity identity = {.filters = NULL};
		const int error = token_verify_with(
			&keys, cases[i].rules, token, strlen(token), NOW, &identity, reason);
		const char *expected = cases[i].reason;
		if (error != (expected ? TOKEN_E_REFUSED : 0) || (expected && !strstr(reason, expected)))
			fail_msg("%s: %d \"%s\"", cases[i].name, error, reason);
		token_identity_clear(&identity);
		free(token);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(audiences)};
	return cmocka_run_group_tests_name("token_audience", tests, add_key, clear_keys);
}
