/* test_provider_id_token.c - provider_id_token.c: which of the tokens that a provider signs are ID tokens for us, and when newer keys could help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "provider_id_token.h"
#include "token_maker.h"
#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ISSUER	     "https://example.eu.auth0.com/"
#define HEADER	     "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"rsa\"}"
#define BEGIN	     "{\"iss\":\"" ISSUER "\",\"sub\":\"auth0|5f7\","
#define TIMES	     "\"iat\":1000,\"exp\":2000}"
#define AUD	     "\"aud\":\"app\","

enum { NOW = 1500 };

static EVP_PKEY *rsa, *point, *foreign;
static char *pem; /* the public key of rsa */
static struct token_keys keys;

static void key_add(enum token_key_algorithm algorithm, EVP_PKEY *key, const char *id)
{
	char *text = maker_pem(key), reason[TOKEN_REASON_SIZE];
	struct token_key made;
	assert_int_equal(token_key_from_pem(algorithm, text, strlen(text), &made, reason), 0);
	(void)snprintf(made.id, sizeof(made.id), "%s", id);
	made.for_users = true;
	assert_int_equal(token_keys_add(&keys, &made, reason), 0);
	free(text);
}

static int setup(void **state)
{
	(void)state;
	rsa = maker_rsa(2048, 65537);
	foreign = maker_rsa(2048, 65537);
	point = maker_curve("P-256");
	pem = maker_pem(rsa);
	key_add(TOKEN_KEY_RS256, rsa, "rsa");
	key_add(TOKEN_KEY_ES256, point, "point");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	token_keys_clear(&keys);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(foreign);
	EVP_PKEY_free(point);
	free(pem);
	return 0;
}

enum signer { BY_RSA, BY_POINT, BY_FOREIGN, BY_PEM, BY_CLIENT_SECRET };

static char *sign(const char *header, const char *claims, enum signer by)
{
	const struct maker_signer signers[] = {
		[BY_RSA] = {.key = rsa, .digest = EVP_sha256()},
		[BY_POINT] = {.key = point, .digest = EVP_sha256()},
		[BY_FOREIGN] = {.key = foreign, .digest = EVP_sha256()},
		[BY_PEM] = {.secret = pem, .digest = EVP_sha256()},
		[BY_CLIENT_SECRET] = {.secret = "0123456789abcdef0123456789abcdef", .digest = EVP_sha256()},
	};
	return maker_token(header, claims, &signers[by]);
}

static const struct provider_id_token_rules rules = {.issuer = ISSUER,
	.client_ids = {2, {"app", "app.on.phones"}},
	.trusted = {2, {"https://api.example.com", "other"}},
	.claim_user = "sub"};

/* ---- Which are accepted ---- */

static void tokens(void **state)
{
	(void)state;
	static const struct {
		const char *name, *header, *claims;
		enum signer by;
		const char *refused; /* NULL: it is accepted */
	} cases[] = {
		{"RS256", HEADER, BEGIN AUD TIMES, BY_RSA, NULL},
		{"ES256", "{\"alg\":\"ES256\",\"kid\":\"point\"}", BEGIN AUD TIMES, BY_POINT, NULL},
		{"no typ", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", BEGIN AUD TIMES, BY_RSA, NULL},
		{"no kid", "{\"alg\":\"RS256\"}", BEGIN AUD TIMES, BY_RSA, NULL},
		{"more claims", HEADER, BEGIN AUD "\"email\":\"a@b\",\"user_id\":7," TIMES, BY_RSA, NULL},
		/* The algorithm belongs to the key. */
		{"alg none", "{\"alg\":\"none\"}", BEGIN AUD TIMES, BY_RSA, "alg"},
		{"HS256 with the PEM of the public key", "{\"alg\":\"HS256\",\"kid\":\"rsa\"}",
			BEGIN AUD TIMES, BY_PEM, "alg"},
		{"HS256 with the PEM, without a kid", "{\"alg\":\"HS256\"}", BEGIN AUD TIMES, BY_PEM, "alg"},
		{"HS256 with the client secret", "{\"alg\":\"HS256\"}", BEGIN AUD TIMES, BY_CLIENT_SECRET,
			"alg"},
		{"ES256 by the RSA key's kid", "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", BEGIN AUD TIMES,
			BY_POINT, "alg is not that of the key"},
		{"somebody else's signature", HEADER, BEGIN AUD TIMES, BY_FOREIGN, "signature"},
		{"unknown kid", "{\"alg\":\"RS256\",\"kid\":\"next\"}", BEGIN AUD TIMES, BY_FOREIGN,
			"kid is that of no key"},
		{"crit", "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"b64\"]}", BEGIN AUD TIMES, BY_RSA,
			"crit"},
		/* What is no ID token. */
		{"an access token", "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"rsa\"}", BEGIN AUD TIMES,
			BY_RSA, "typ"},
		{"an access token, its typ in full",
			"{\"alg\":\"RS256\",\"typ\":\"application/at+jwt\",\"kid\":\"rsa\"}", BEGIN AUD TIMES,
			BY_RSA, "typ"},
		{"a logout token by its header", "{\"alg\":\"RS256\",\"typ\":\"logout+jwt\",\"kid\":\"rsa\"}",
			BEGIN AUD TIMES, BY_RSA, "typ"},
		{"a logout token by its claims", HEADER, BEGIN AUD "\"events\":{}," TIMES, BY_RSA, "events"},
		{"Keycloak's ID token", HEADER, BEGIN AUD "\"typ\":\"ID\"," TIMES, BY_RSA, NULL},
		{"Keycloak's access token", HEADER, BEGIN AUD "\"typ\":\"Bearer\"," TIMES, BY_RSA,
			"another typ"},
		{"a handler's", HEADER, BEGIN AUD "\"handler\":{\"name\":\"cashewd\"}," TIMES, BY_RSA,
			"handler"},
		/* iss, byte for byte. */
		{"no iss", HEADER, "{\"sub\":\"1\"," AUD TIMES, BY_RSA, "iss"},
		{"iss without its /", HEADER,
			"{\"iss\":\"https://example.eu.auth0.com\",\"sub\":\"1\"," AUD TIMES, BY_RSA, "iss"},
		{"iss in capitals", HEADER,
			"{\"iss\":\"https://Example.eu.auth0.com/\",\"sub\":\"1\"," AUD TIMES, BY_RSA, "iss"},
		{"iss a list", HEADER, "{\"iss\":[\"" ISSUER "\"],\"sub\":\"1\"," AUD TIMES, BY_RSA, "iss"},
		/* aud */
		{"aud a list", HEADER, BEGIN "\"aud\":[\"app\"]," TIMES, BY_RSA, NULL},
		{"aud with trusted others", HEADER,
			BEGIN "\"aud\":[\"other\",\"app\",\"https://api.example.com\"]," TIMES, BY_RSA, NULL},
		{"no aud", HEADER, BEGIN TIMES, BY_RSA, "aud"},
		{"aud another", HEADER, BEGIN "\"aud\":\"application\"," TIMES, BY_RSA, "aud"},
		{"aud a trusted other alone", HEADER, BEGIN "\"aud\":\"other\"," TIMES, BY_RSA, "aud"},
		{"aud a list without us", HEADER, BEGIN "\"aud\":[\"other\"]," TIMES, BY_RSA, "aud"},
		{"aud empty", HEADER, BEGIN "\"aud\":[]," TIMES, BY_RSA, "aud"},
		{"aud with an untrusted other", HEADER, BEGIN "\"aud\":[\"app\",\"stranger\"]," TIMES, BY_RSA,
			"nobody said to trust"},
		{"aud with a number", HEADER, BEGIN "\"aud\":[\"app\",1]," TIMES, BY_RSA,
			"nobody said to trust"},
		{"aud an object", HEADER, BEGIN "\"aud\":{\"app\":1}," TIMES, BY_RSA, "aud"},
		{"aud another of our applications", HEADER, BEGIN "\"aud\":\"app.on.phones\"," TIMES, BY_RSA,
			NULL},
		{"aud two of them", HEADER, BEGIN "\"aud\":[\"app\",\"app.on.phones\"]," TIMES, BY_RSA, NULL},
		{"aud a part of one", HEADER, BEGIN "\"aud\":\"app.on\"," TIMES, BY_RSA, "aud"},
		/* azp */
		{"azp another of our applications", HEADER, BEGIN AUD "\"azp\":\"app.on.phones\"," TIMES,
			BY_RSA, NULL},
		{"azp ours", HEADER, BEGIN AUD "\"azp\":\"app\"," TIMES, BY_RSA, NULL},
		{"azp another's", HEADER, BEGIN AUD "\"azp\":\"other\"," TIMES, BY_RSA, "azp"},
		{"azp a list", HEADER, BEGIN AUD "\"azp\":[\"app\"]," TIMES, BY_RSA, "azp"},
		/* Times: exp has no leeway, iat and nbf a minute. */
		{"ended", HEADER, BEGIN AUD "\"iat\":1000,\"exp\":1500}", BY_RSA, "expired"},
		{"ends next", HEADER, BEGIN AUD "\"iat\":1000,\"exp\":1501}", BY_RSA, NULL},
		{"no exp", HEADER, BEGIN AUD "\"iat\":1000}", BY_RSA, "exp"},
		{"exp a text", HEADER, BEGIN AUD "\"iat\":1000,\"exp\":\"2000\"}", BY_RSA, "exp"},
		{"no iat", HEADER, BEGIN AUD "\"exp\":2000}", BY_RSA, "iat"},
		{"iat within the leeway", HEADER, BEGIN AUD "\"iat\":1560,\"exp\":2000}", BY_RSA, NULL},
		{"iat beyond it", HEADER, BEGIN AUD "\"iat\":1561,\"exp\":2000}", BY_RSA, "future"},
		{"nbf beyond it", HEADER, BEGIN AUD "\"nbf\":1561," TIMES, BY_RSA, "not valid yet"},
		/* sub */
		{"no sub", HEADER, "{\"iss\":\"" ISSUER "\"," AUD TIMES, BY_RSA, "sub"},
		{"sub a number", HEADER, "{\"iss\":\"" ISSUER "\",\"sub\":7," AUD TIMES, BY_RSA, "sub"},
		{"sub that is no user id", HEADER, "{\"iss\":\"" ISSUER "\",\"sub\":\"a/b\"," AUD TIMES,
			BY_RSA, "A-Z a-z 0-9"},
		{"a claim twice", HEADER, BEGIN AUD "\"sub\":\"2\"," TIMES, BY_RSA, "duplicate"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = sign(cases[i].header, cases[i].claims, cases[i].by);
		struct token_identity identity;
		char reason[PROVIDER_REASON_SIZE] = "";
		const int error =
			provider_id_token_verify(&keys, &rules, token, strlen(token), NOW, &identity, reason);
		if (error != (cases[i].refused ? PROVIDER_E_TOKEN : 0) ||
			(cases[i].refused && !strstr(reason, cases[i].refused)))
			fail_msg("%s: %d \"%s\"", cases[i].name, error, reason);
		if (error == 0) {
			assert_string_equal(identity.user_id, "auth0|5f7");
			assert_false(identity.is_handler);
		}
		free(token);
	}
}

/* Another claim, and a nonce. */
static void other_rules(void **state)
{
	(void)state;
	static const struct {
		const char *claims, *claim_user, *nonce, *user, *refused;
	} cases[] = {
		{BEGIN AUD "\"uid\":\"68946\"," TIMES, "uid", NULL, "68946", NULL},
		{BEGIN AUD TIMES, "uid", NULL, NULL, "no uid"},
		{"{\"iss\":\"" ISSUER "\"," AUD "\"uid\":\"68946\"," TIMES, "uid", NULL, NULL, "no sub"},
		{"{\"iss\":\"" ISSUER "\",\"sub\":\"\"," AUD "\"uid\":\"68946\"," TIMES, "uid", NULL, NULL,
			"no sub"},
		{"{\"iss\":\"" ISSUER "\",\"sub\":\"a b/c\"," AUD "\"uid\":\"68946\"," TIMES, "uid", NULL,
			"68946", NULL},
		{BEGIN AUD "\"nonce\":\"n-0S6\"," TIMES, "sub", "n-0S6", "auth0|5f7", NULL},
		{BEGIN AUD "\"nonce\":\"n-0S6\"," TIMES, "sub", "n-0S7", NULL, "nonce"},
		{BEGIN AUD "\"nonce\":1," TIMES, "sub", "1", NULL, "nonce"},
		{BEGIN AUD TIMES, "sub", "n-0S6", NULL, "nonce"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct provider_id_token_rules others = rules;
		others.claim_user = cases[i].claim_user;
		others.nonce = cases[i].nonce;
		char *token = sign(HEADER, cases[i].claims, BY_RSA), reason[PROVIDER_REASON_SIZE] = "";
		struct token_identity identity;
		const int error = provider_id_token_verify(
			&keys, &others, token, strlen(token), NOW, &identity, reason);
		if (error != (cases[i].refused ? PROVIDER_E_TOKEN : 0) ||
			(cases[i].refused && !strstr(reason, cases[i].refused)))
			fail_msg("case %zu: %d \"%s\"", i, error, reason);
		if (error == 0)
			assert_string_equal(identity.user_id, cases[i].user);
		free(token);
	}
}

/* Not one character of it may be another one. */
static void changed_tokens(void **state)
{
	(void)state;
	char *token = sign(HEADER, BEGIN AUD TIMES, BY_RSA);
	const size_t size = strlen(token);
	struct token_identity identity;
	char reason[PROVIDER_REASON_SIZE];
	for (size_t i = 0; i < size; i += 7) {
		const char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(provider_id_token_verify(&keys, &rules, token, size, NOW, &identity, reason),
			PROVIDER_E_TOKEN);
		token[i] = was;
		assert_int_equal(provider_id_token_verify(&keys, &rules, token, i, NOW, &identity, reason),
			PROVIDER_E_TOKEN);
	}
	free(token);
}

/* ---- Which could be helped by newer keys ---- */

static void lacking(void **state)
{
	(void)state;
	static const struct {
		const char *token; /* NULL: made of the header */
		const char *header;
		bool with_keys, without_keys; /* what is lacking */
	} cases[] = {
		{NULL, HEADER, false, true},
		{NULL, "{\"alg\":\"ES256\",\"kid\":\"point\"}", false, true},
		{NULL, "{\"alg\":\"RS256\"}", false, true},
		{NULL, "{\"alg\":\"RS256\",\"kid\":\"next\"}", true, true},
		{NULL, "{\"alg\":\"ES256\",\"kid\":\"next\"}", true, true},
		/* No key of the provider's can be for these. */
		{NULL, "{\"alg\":\"HS256\",\"kid\":\"next\"}", false, false},
		{NULL, "{\"alg\":\"none\",\"kid\":\"next\"}", false, false},
		{NULL, "{\"kid\":\"next\"}", false, false},
		{NULL, "{\"alg\":\"RS256\",\"kid\":7}", false, true},
		{NULL, "{\"alg\":\"RS256\",\"kid\":\"\"}", false, true},
		{"", NULL, false, false},
		{"a.b", NULL, false, false},
		{"a.b.c", NULL, false, false},
		{"e30.e30.AA", NULL, false, false},
	};
	static const struct token_keys none;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = cases[i].header ? sign(cases[i].header, "{}", BY_RSA) : strdup(cases[i].token);
		bool lacks = !cases[i].with_keys;
		assert_int_equal(provider_id_token_lacks_key(&keys, token, strlen(token), &lacks), 0);
		if (lacks != cases[i].with_keys)
			fail_msg("case %zu, with keys: %d", i, lacks);
		assert_int_equal(provider_id_token_lacks_key(&none, token, strlen(token), &lacks), 0);
		if (lacks != cases[i].without_keys)
			fail_msg("case %zu, without keys: %d", i, lacks);
		free(token);
	}
}

static void out_of_memory(void **state)
{
	(void)state;
	char *token = sign(HEADER, BEGIN "\"aud\":[\"app\",\"other\"]," TIMES, BY_RSA);
	bool failed = true;
	size_t n = 1;
	for (; failed && n < 1000; n++) {
		struct token_identity identity;
		char reason[PROVIDER_REASON_SIZE];
		bool lacks;
		failing_malloc_start(n, false);
		int error = provider_id_token_lacks_key(&keys, token, strlen(token), &lacks);
		if (error == 0)
			error = provider_id_token_verify(
				&keys, &rules, token, strlen(token), NOW, &identity, reason);
		failed = failing_malloc_stop();
		if (error != (failed ? -ENOMEM : 0))
			fail_msg("allocation %zu: %d", n, error);
	}
	assert_false(failed);
	assert_true(n > 10);
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens),
		cmocka_unit_test(other_rules),
		cmocka_unit_test(changed_tokens),
		cmocka_unit_test(lacking),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests_name("provider_id_token", tests, setup, teardown);
}
