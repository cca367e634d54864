/*
 * fuzz_token.c - tokens (runtime/token/token_verify.c). What is accepted is looked at once more, by code that shares nothing with the verifier but
 * OpenSSL and jansson: form, algorithm, signature, times, claims.
 *
 * Input: a token; or, since no fuzzer guesses a signature, a header and claims for this program to sign, a line each, behind a first line that
 * names the secret: "users" or "handlers".
 */
#include "fuzz.h"
#include "rfc7515_keys.h"
#include "token_maker.h"
#include "token_verify.h"
#include "topic.h"

#include <jansson.h>
#include <limits.h>

#define NOW	 1300000000 /* the tokens of RFC 7515 expire soon after */
#define USERS	 "users-0123456789abcdef0123456789"
#define HANDLERS "handlers-0123456789abcdef0123456"

enum { PARTS = 3, BYTES_MAX = TOKEN_SIZE_MAX };

/* ---- The second look ---- */

struct part {
	unsigned char bytes[BYTES_MAX + 4];
	size_t size;
};

/* OpenSSL's base64, and that it is the one text for these bytes. */
static void decode(const char *text, size_t size, struct part *ret)
{
	static char padded[BYTES_MAX + 8], again[2 * BYTES_MAX];
	FUZZ_NEED(size > 0 && size <= BYTES_MAX);
	for (size_t i = 0; i < size; i++) {
		FUZZ_NEED(text[i] != '+' && text[i] != '/' && text[i] != '=');
		padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	}
	const size_t fill = (4 - size % 4) % 4;
	FUZZ_NEED(fill < 3);
	memcpy(padded + size, "==", fill);
	const int decoded = EVP_DecodeBlock(ret->bytes, (const unsigned char *)padded, (int)(size + fill));
	FUZZ_NEED(decoded >= (int)fill);
	ret->size = (size_t)decoded - fill;
	FUZZ_NEED(maker_base64url(ret->bytes, ret->size, again) == size && memcmp(text, again, size) == 0);
}

static EVP_PKEY *public_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	FUZZ_NEED(key);
	BIO_free_all(bio);
	return key;
}

static bool signed_by(
	const char *pem, const char *text, size_t size, const unsigned char *signature, size_t signature_size)
{
	EVP_PKEY *key = public_key(pem);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	FUZZ_NEED(context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1);
	const bool good =
		EVP_DigestVerify(context, signature, signature_size, (const unsigned char *)text, size) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return good;
}

/* As ASN.1. */
static size_t point_signature(const unsigned char raw[static 64], unsigned char *der)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	FUZZ_NEED(pair && ECDSA_SIG_set0(pair, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL)));
	const int size = i2d_ECDSA_SIG(pair, &der);
	FUZZ_NEED(size > 0);
	ECDSA_SIG_free(pair);
	return (size_t)size;
}

static void check_signature(
	const char *algorithm, bool is_handler, const char *text, size_t size, const struct part *signature)
{
	if (strcmp(algorithm, "HS256") == 0) {
		const char *secret = is_handler ? HANDLERS : USERS;
		unsigned char expected[EVP_MAX_MD_SIZE];
		unsigned expected_size = 0;
		FUZZ_NEED(HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, size,
			expected, &expected_size));
		FUZZ_NEED(signature->size == expected_size &&
			  memcmp(signature->bytes, expected, expected_size) == 0);
		return;
	}
	FUZZ_NEED(!is_handler);
	if (strcmp(algorithm, "RS256") == 0) {
		FUZZ_NEED(signed_by(RFC7515_RS256, text, size, signature->bytes, signature->size));
		return;
	}
	FUZZ_NEED(strcmp(algorithm, "ES256") == 0 && signature->size == 64);
	unsigned char der[128];
	FUZZ_NEED(signed_by(RFC7515_ES256, text, size, der, point_signature(signature->bytes, der)));
}

static json_t *parsed(const struct part *part)
{
	json_error_t error;
	json_t *json = json_loadb((const char *)part->bytes, part->size, JSON_REJECT_DUPLICATES, &error);
	FUZZ_NEED(json_is_object(json));
	return json;
}

static void check_time(const json_t *claims, const char *name, int64_t from, int64_t to)
{
	const json_t *claim = json_object_get(claims, name);
	if (claim)
		FUZZ_NEED(json_is_integer(claim) && json_integer_value(claim) >= from &&
			  json_integer_value(claim) <= to);
}

static void check_claims(
	const json_t *claims, const struct token_rules *rules, const struct token_identity *identity)
{
	const json_t *handler = json_object_get(claims, "handler"), *jti = json_object_get(claims, "jti");
	const json_t *name =
		handler ? json_object_get(handler, "name")
			: json_object_get(claims, rules->claim_user ? rules->claim_user : "user_id");
	const char *told = identity->is_handler ? identity->name : identity->user_id;
	FUZZ_NEED(identity->is_handler == (handler != NULL));
	FUZZ_NEED(json_is_string(name) && strcmp(json_string_value(name), told) == 0 &&
		  topic_user_valid(told, strlen(told)));
	FUZZ_NEED(rules->allow_unexpiring || json_object_get(claims, "exp"));
	check_time(claims, "exp", NOW + 1, INT64_MAX);
	check_time(claims, "iat", INT64_MIN, NOW + TOKEN_LEEWAY_S);
	check_time(claims, "nbf", INT64_MIN, NOW + TOKEN_LEEWAY_S);
	if (rules->lifetime_max_s > 0) {
		const json_t *iat = json_object_get(claims, "iat");
		const __int128 begin = iat ? json_integer_value(iat) : NOW;
		FUZZ_NEED((__int128)identity->expires - begin <= rules->lifetime_max_s);
	}
	FUZZ_NEED(strcmp(identity->id, jti ? json_string_value(jti) : "") == 0);
}

static void check_accepted(const char *token, size_t size, const struct token_rules *rules,
	const struct token_identity *identity)
{
	static struct part parts[PARTS];
	const char *second = memchr(token, '.', size),
		   *third = second ? memchr(second + 1, '.', size - (size_t)(second + 1 - token)) : NULL;
	FUZZ_NEED(second && third && size <= TOKEN_SIZE_MAX);
	decode(token, (size_t)(second - token), &parts[0]);
	decode(second + 1, (size_t)(third - second - 1), &parts[1]);
	decode(third + 1, size - (size_t)(third + 1 - token), &parts[2]);
	json_t *header = parsed(&parts[0]), *claims = parsed(&parts[1]);
	const char *algorithm = json_string_value(json_object_get(header, "alg"));
	FUZZ_NEED(algorithm && !json_object_get(header, "crit"));
	check_signature(algorithm, identity->is_handler, token, (size_t)(third - token), &parts[2]);
	check_claims(claims, rules, identity);
	json_decref(header);
	json_decref(claims);
}

/* ---- The verifier ---- */

static void add(struct token_keys *keys, struct token_key *key, bool for_users)
{
	char reason[TOKEN_REASON_SIZE];
	key->for_users = for_users;
	key->for_handlers = !for_users;
	FUZZ_NEED(token_keys_add(keys, key, reason) == 0);
}

/* They stay until the program ends. */
static const struct token_keys *all_keys(void)
{
	static struct token_keys keys;
	char reason[TOKEN_REASON_SIZE];
	struct token_key key;
	if (keys.count > 0)
		return &keys;
	FUZZ_NEED(token_key_from_secret(USERS, &key, reason) == 0);
	add(&keys, &key, true);
	FUZZ_NEED(token_key_from_secret(HANDLERS, &key, reason) == 0);
	add(&keys, &key, false);
	FUZZ_NEED(
		token_key_from_pem(TOKEN_KEY_RS256, RFC7515_RS256, strlen(RFC7515_RS256), &key, reason) == 0);
	add(&keys, &key, true);
	FUZZ_NEED(
		token_key_from_pem(TOKEN_KEY_ES256, RFC7515_ES256, strlen(RFC7515_ES256), &key, reason) == 0);
	add(&keys, &key, true);
	return &keys;
}

static void check_shown(const char *token, size_t size, bool accepted)
{
	char reason[TOKEN_REASON_SIZE] = "", *header = NULL, *claims = NULL;
	const int error = token_show(token, size, &header, &claims, reason);
	FUZZ_NEED(error == 0 || (error == TOKEN_E_REFUSED && !accepted));
	if (error != 0)
		fuzz_need_reason(reason, sizeof(reason));
	const char *const texts[] = {header, claims};
	for (size_t i = 0; error == 0 && i < 2; i++)
		for (const char *at = texts[i]; *at; at++)
			FUZZ_NEED(*at >= ' ' && *at <= '~');
	free(header);
	free(claims);
}

static void check_token(const char *bytes, size_t size)
{
	static const struct token_rules rules[] = {
		{.lifetime_max_s = 0},
		{.claim_user = "iss", .lifetime_max_s = 1000000},
		{.allow_unexpiring = true, .handler_names = "cashewd,apples"},
		{.claim_user = "sub",
			.issuer = "https://login.example.com/",
			.audiences = {1, {"cashew"}},
			.trusted = {1, {"other"}},
			.parties = {1, {"app"}}},
	};
	char *token = (char *)fuzz_copy(bytes, size);
	bool accepted = false;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct token_identity identity, untouched;
		char reason[TOKEN_REASON_SIZE] = "";
		memset(&identity, 0x5a, sizeof(identity));
		untouched = identity;
		const int error =
			token_verify_with(all_keys(), &rules[i], token, size, NOW, &identity, reason);
		FUZZ_NEED(error == 0 || error == TOKEN_E_REFUSED);
		accepted = accepted || error == 0;
		if (error == 0)
			check_accepted(token, size, &rules[i], &identity);
		else
			fuzz_need_reason(reason, sizeof(reason));
		if (error != 0)
			FUZZ_NEED(memcmp(&identity, &untouched, sizeof(identity)) == 0);
	}
	check_shown(token, size, accepted);
	if (accepted)
		FUZZ_NEED(!token_oddity(token, size));
	else
		(void)token_oddity(token, size);
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *first = fuzz_line(&(const uint8_t *){bytes}, &(size_t){size});
	const char *secret = strcmp(first, "users") == 0      ? USERS
			     : strcmp(first, "handlers") == 0 ? HANDLERS
							      : NULL;
	free(first);
	if (!secret) {
		check_token((const char *)bytes, size);
		return 0;
	}
	free(fuzz_line(&bytes, &size));
	char *header = fuzz_line(&bytes, &size), *claims = fuzz_text(bytes, size);
	const struct maker_signer signer = {.secret = secret, .digest = EVP_sha256()};
	char *token = maker_token(header, claims, &signer);
	check_token(token, strlen(token));
	free(token);
	free(header);
	free(claims);
	return 0;
}
