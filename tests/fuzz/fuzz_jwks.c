/*
 * fuzz_jwks.c - files with public keys: JWK Sets (runtime/token/token_jwks.c), and PEM (token_key.c) where the first byte is not a brace. What is
 * taken is a public key that is as strong as token_key.h says, by OpenSSL's word; what is refused has a reason.
 */
#include "fuzz.h"
#include "token.h"
#include "token_jwks.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static void check_rsa(const EVP_PKEY *key)
{
	BIGNUM *exponent = NULL, *secret = NULL;
	FUZZ_NEED(EVP_PKEY_is_a(key, "RSA"));
	FUZZ_NEED(EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192);
	FUZZ_NEED(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent));
	FUZZ_NEED(BN_is_odd(exponent) && BN_num_bits(exponent) >= 17);
	FUZZ_NEED(!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &secret));
	BN_free(exponent);
}

static void check_point(const EVP_PKEY *key)
{
	char group[32] = "";
	BIGNUM *secret = NULL;
	FUZZ_NEED(EVP_PKEY_is_a(key, "EC"));
	FUZZ_NEED(
		EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL));
	FUZZ_NEED(strcmp(group, "prime256v1") == 0);
	FUZZ_NEED(!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret));
}

static void check_key(const struct token_key *key)
{
	static const unsigned char nothing[TOKEN_KEY_SIGNATURE_MAX];
	FUZZ_NEED(!key->secret && key->public_key);
	if (key->algorithm == TOKEN_KEY_RS256)
		check_rsa(key->public_key);
	else
		check_point(key->public_key);
	for (const char *at = key->id; *at; at++)
		FUZZ_NEED(*at >= ' ' && *at <= '~');
	/* No key has signed zeros. */
	FUZZ_NEED(token_key_signature_size(key) <= sizeof(nothing));
	FUZZ_NEED(!token_key_signed(key, "a.b", 3, nothing, token_key_signature_size(key)));
}

static void check_refused(int error, const char *reason)
{
	FUZZ_NEED(error == TOKEN_E_REFUSED);
	fuzz_need_reason(reason, TOKEN_REASON_SIZE);
}

static void check_set(const char *text, size_t size)
{
	struct token_keys keys = {.count = 0};
	char reason[TOKEN_REASON_SIZE] = "";
	size_t passed_over = 0;
	const int error = token_jwks_read(text, size, &keys, &passed_over, reason);
	if (error != 0)
		check_refused(error, reason);
	/* Each of the list was looked at, and none counts twice. */
	json_t *set = json_loadb(text, size, 0, NULL);
	if (error == 0)
		FUZZ_NEED(keys.count > 0 &&
			  keys.count + passed_over == json_array_size(json_object_get(set, "keys")));
	json_decref(set);
	for (size_t i = 0; i < keys.count; i++) {
		check_key(&keys.keys[i]);
		FUZZ_NEED(keys.keys[i].for_users && !keys.keys[i].for_handlers);
		for (size_t j = 0; j < i; j++)
			FUZZ_NEED(
				keys.keys[i].id[0] == '\0' || strcmp(keys.keys[i].id, keys.keys[j].id) != 0);
	}
	token_keys_clear(&keys);
}

static void check_pem(enum token_key_algorithm algorithm, const char *text, size_t size)
{
	char reason[TOKEN_REASON_SIZE] = "";
	struct token_key key = {0};
	const int error = token_key_from_pem(algorithm, text, size, &key, reason);
	if (error != 0)
		check_refused(error, reason);
	else
		check_key(&key);
	FUZZ_NEED(error != 0 || key.algorithm == algorithm);
	token_key_clear(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = (char *)fuzz_copy(bytes, size);
	if (size > 0 && text[0] == '{') {
		check_set(text, size);
	} else {
		check_pem(TOKEN_KEY_RS256, text, size);
		check_pem(TOKEN_KEY_ES256, text, size);
	}
	/* The queue of errors is the broker's. */
	FUZZ_NEED(ERR_peek_error() == 0);
	free(text);
	return 0;
}
