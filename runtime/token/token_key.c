/*
 * token_key.c - see token_key.h.
 *
 * OpenSSL's queue of errors belongs to whoever has us run: the broker's TLS looks into it. So each function that lets OpenSSL fail leaves the queue as
 * it was.
 */
#include "token_key.h"

#include "token.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HMAC_SIZE = 32, RSA_EXPONENT_BITS_MIN = 17, RSA_EXPONENT_BITS_MAX = 64 };

static const char *const names[TOKEN_KEY_ALGORITHMS] = {
	[TOKEN_KEY_HS256] = "HS256",
	[TOKEN_KEY_RS256] = "RS256",
	[TOKEN_KEY_ES256] = "ES256",
};

#define CLEANUP(type, name, free_function)    \
	static void name##_cleanup(type **it) \
	{                                     \
		free_function(*it);           \
	}

CLEANUP(BIGNUM, number, BN_free)
CLEANUP(BIO, bio, BIO_free_all)
CLEANUP(EVP_PKEY, key, EVP_PKEY_free)
CLEANUP(EVP_PKEY_CTX, key_context, EVP_PKEY_CTX_free)
CLEANUP(EVP_MD_CTX, digest_context, EVP_MD_CTX_free)
CLEANUP(ECDSA_SIG, signature, ECDSA_SIG_free)
CLEANUP(OSSL_PARAM, params, OSSL_PARAM_free)
CLEANUP(OSSL_PARAM_BLD, builder, OSSL_PARAM_BLD_free)

#define AUTO(type, name) __attribute__((cleanup(name##_cleanup))) type

static int refuse(char *reason, const char *words)
{
	(void)snprintf(reason, TOKEN_REASON_SIZE, "%s", words);
	return TOKEN_E_REFUSED;
}

const char *token_key_algorithm_name(enum token_key_algorithm algorithm)
{
	return names[algorithm];
}

bool token_key_algorithm_read(const char *name, size_t size, enum token_key_algorithm *ret_algorithm)
{
	for (enum token_key_algorithm i = 0; i < TOKEN_KEY_ALGORITHMS; i++) {
		if (size == strlen(names[i]) && memcmp(name, names[i], size) == 0) {
			*ret_algorithm = i;
			return true;
		}
	}
	return false;
}

/* ---- What a public key has to be ---- */

/* OpenSSL verifies with RSA keys of 512 bits, and of exponent 1, with which everything is signed. */
static int rsa_check(const EVP_PKEY *key, char *reason)
{
	AUTO(BIGNUM, number) *modulus = NULL;
	AUTO(BIGNUM, number) *exponent = NULL;
	if (!EVP_PKEY_is_a(key, "RSA"))
		return refuse(reason, "is no RSA key, as RS256 needs");
	if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus) ||
		!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent))
		return refuse(reason, "has no modulus or no exponent");
	const int bits = BN_num_bits(modulus);
	if (bits < TOKEN_KEY_RSA_BITS_MIN || bits > TOKEN_KEY_RSA_BITS_MAX) {
		(void)snprintf(reason, TOKEN_REASON_SIZE, "is an RSA key of %d bits: expected %d to %d", bits,
			TOKEN_KEY_RSA_BITS_MIN, TOKEN_KEY_RSA_BITS_MAX);
		return TOKEN_E_REFUSED;
	}
	if (!BN_is_odd(modulus))
		return refuse(reason, "has an even modulus, which no RSA key has");
	const int exponent_bits = BN_num_bits(exponent);
	if (!BN_is_odd(exponent) || exponent_bits < RSA_EXPONENT_BITS_MIN ||
		exponent_bits > RSA_EXPONENT_BITS_MAX)
		return refuse(reason, "has an exponent that is even, below 65537 or longer than 64 bits");
	return 0;
}

/* A curve that is written out instead of named may be any curve. */
static int point_check(EVP_PKEY *key, char *reason)
{
	char group[32] = "";
	int explicit_curve = 0;
	if (!EVP_PKEY_is_a(key, "EC"))
		return refuse(reason, "is no elliptic curve key, as ES256 needs");
	if (!EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) ||
		strcmp(group, SN_X9_62_prime256v1) != 0 ||
		!EVP_PKEY_get_int_param(
			key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) ||
		explicit_curve != 0)
		return refuse(reason, "is not on the curve P-256, by name, as ES256 needs");
	AUTO(EVP_PKEY_CTX, key_context) *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (!context || EVP_PKEY_public_check(context) != 1)
		return refuse(reason, "is a point that is not on its curve");
	return 0;
}

/* Takes the key over, also on failure. */
static int take_public(
	enum token_key_algorithm algorithm, EVP_PKEY *owned_key, struct token_key *ret_key, char *reason)
{
	AUTO(EVP_PKEY, key) *key = owned_key;
	const int error = algorithm == TOKEN_KEY_RS256 ? rsa_check(key, reason) : point_check(key, reason);
	if (error != 0)
		return error;
	*ret_key = (struct token_key){.algorithm = algorithm, .public_key = key};
	key = NULL;
	return 0;
}

/* ---- Making keys ---- */

int token_key_from_secret(const char *secret, struct token_key *ret_key, char *reason)
{
	if (secret[0] == '\0')
		return refuse(reason, "is an empty secret");
	if (strncmp(secret, "-----BEGIN ", 11) == 0)
		return refuse(reason, "is the text of a PEM file, which is no secret");
	char *copy = strdup(secret);
	if (!copy)
		return -ENOMEM;
	*ret_key = (struct token_key){.algorithm = TOKEN_KEY_HS256, .secret = copy};
	return 0;
}

static EVP_PKEY *pem_read(const char *pem, size_t size)
{
	AUTO(BIO, bio) *bio = BIO_new_mem_buf(pem, (int)size);
	return bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
}

int token_key_from_pem(enum token_key_algorithm algorithm, const char *pem, size_t size,
	struct token_key *ret_key, char *reason)
{
	static const char begin[] = "-----BEGIN ", public_key[] = "-----BEGIN PUBLIC KEY-----";
	if (algorithm == TOKEN_KEY_HS256)
		return refuse(reason, "is for HS256, whose keys are secrets");
	if (size > TOKEN_KEY_FILE_MAX)
		return refuse(reason, "is larger than 65536 bytes");
	if (memmem(pem, size, "PRIVATE KEY-----", 16))
		return refuse(reason, "is a private one: only the public one belongs here");
	if (memmem(pem, size, "-----BEGIN CERTIFICATE-----", 27))
		return refuse(reason,
			"is in a certificate: openssl x509 -pubkey -noout -in FILE takes it out of there");
	const char *first = memmem(pem, size, begin, sizeof(begin) - 1);
	const size_t left = first ? size - (size_t)(first + 1 - pem) : 0;
	if (!first || left + 1 < sizeof(public_key) - 1 ||
		memcmp(first, public_key, sizeof(public_key) - 1) != 0)
		return refuse(reason, "is no PEM file that begins with -----BEGIN PUBLIC KEY-----");
	if (memmem(first + 1, left, begin, sizeof(begin) - 1))
		return refuse(reason, "is not alone in its file");
	(void)ERR_set_mark();
	EVP_PKEY *key = pem_read(pem, size);
	const int error = key ? take_public(algorithm, key, ret_key, reason)
			      : refuse(reason, "cannot be read: the file is damaged");
	(void)ERR_pop_to_mark();
	return error;
}

/* NULL: OpenSSL refuses it. */
static EVP_PKEY *public_key_make(const char *type, OSSL_PARAM_BLD *builder)
{
	AUTO(EVP_PKEY_CTX, key_context) *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	AUTO(OSSL_PARAM, params) *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY *key = NULL;
	if (!context || !params || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

static EVP_PKEY *rsa_make(const unsigned char *modulus, size_t modulus_size, const unsigned char *exponent,
	size_t exponent_size)
{
	AUTO(OSSL_PARAM_BLD, builder) *builder = OSSL_PARAM_BLD_new();
	AUTO(BIGNUM, number) *n = BN_bin2bn(modulus, (int)modulus_size, NULL);
	AUTO(BIGNUM, number) *e = BN_bin2bn(exponent, (int)exponent_size, NULL);
	if (!builder || !n || !e || !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) ||
		!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
		return NULL;
	return public_key_make("RSA", builder);
}

int token_key_from_rsa(const unsigned char *modulus, size_t modulus_size, const unsigned char *exponent,
	size_t exponent_size, struct token_key *ret_key, char *reason)
{
	if (modulus_size > TOKEN_KEY_FILE_MAX || exponent_size > TOKEN_KEY_FILE_MAX)
		return refuse(reason, "is too large");
	(void)ERR_set_mark();
	EVP_PKEY *key = rsa_make(modulus, modulus_size, exponent, exponent_size);
	const int error =
		key ? take_public(TOKEN_KEY_RS256, key, ret_key, reason) : refuse(reason, "is no RSA key");
	(void)ERR_pop_to_mark();
	return error;
}

static EVP_PKEY *point_make(const unsigned char *x, const unsigned char *y)
{
	/* SEC 1 section 2.3.3, not compressed. */
	unsigned char point[1 + 2 * TOKEN_KEY_COORDINATE_SIZE] = {0x04};
	memcpy(point + 1, x, TOKEN_KEY_COORDINATE_SIZE);
	memcpy(point + 1 + TOKEN_KEY_COORDINATE_SIZE, y, TOKEN_KEY_COORDINATE_SIZE);
	AUTO(OSSL_PARAM_BLD, builder) *builder = OSSL_PARAM_BLD_new();
	if (!builder ||
		!OSSL_PARAM_BLD_push_utf8_string(
			builder, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0) ||
		!OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
		return NULL;
	return public_key_make("EC", builder);
}

int token_key_from_point(const unsigned char x[static TOKEN_KEY_COORDINATE_SIZE],
	const unsigned char y[static TOKEN_KEY_COORDINATE_SIZE], struct token_key *ret_key, char *reason)
{
	(void)ERR_set_mark();
	EVP_PKEY *key = point_make(x, y);
	const int error = key ? take_public(TOKEN_KEY_ES256, key, ret_key, reason)
			      : refuse(reason, "is a point that is not on its curve");
	(void)ERR_pop_to_mark();
	return error;
}

/* ---- Verifying ---- */

size_t token_key_signature_size(const struct token_key *key)
{
	if (key->algorithm == TOKEN_KEY_HS256)
		return HMAC_SIZE;
	return key->algorithm == TOKEN_KEY_ES256 ? 2 * TOKEN_KEY_COORDINATE_SIZE
						 : (size_t)EVP_PKEY_get_size(key->public_key);
}

static bool hmac_matches(const char *secret, const void *bytes, size_t size, const unsigned char *signature)
{
	unsigned char expected[EVP_MAX_MD_SIZE];
	unsigned expected_size = 0;
	return HMAC(EVP_sha256(), secret, (int)strlen(secret), bytes, size, expected, &expected_size) &&
	       expected_size == HMAC_SIZE && CRYPTO_memcmp(expected, signature, HMAC_SIZE) == 0;
}

static bool public_key_matches(
	EVP_PKEY *key, const void *bytes, size_t size, const unsigned char *signature, size_t signature_size)
{
	AUTO(EVP_MD_CTX, digest_context) *context = EVP_MD_CTX_new();
	return context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
	       EVP_DigestVerify(context, signature, signature_size, bytes, size) == 1;
}

/* R and S of 32 bytes each (RFC 7518 section 3.4) become the ASN.1 that OpenSSL reads; it looks whether they are within the curve's order. */
static bool point_matches(EVP_PKEY *key, const void *bytes, size_t size, const unsigned char *signature)
{
	BIGNUM *r = BN_bin2bn(signature, TOKEN_KEY_COORDINATE_SIZE, NULL);
	BIGNUM *s = BN_bin2bn(signature + TOKEN_KEY_COORDINATE_SIZE, TOKEN_KEY_COORDINATE_SIZE, NULL);
	AUTO(ECDSA_SIG, signature) *pair = ECDSA_SIG_new();
	if (!r || !s || !pair || !ECDSA_SIG_set0(pair, r, s)) {
		BN_free(r);
		BN_free(s);
		return false;
	}
	unsigned char *text = NULL;
	const int text_size = i2d_ECDSA_SIG(pair, &text);
	const bool matches = text_size > 0 && public_key_matches(key, bytes, size, text, (size_t)text_size);
	OPENSSL_free(text);
	return matches;
}

bool token_key_signed(const struct token_key *key, const void *bytes, size_t size,
	const unsigned char *signature, size_t signature_size)
{
	if (signature_size != token_key_signature_size(key))
		return false;
	(void)ERR_set_mark();
	bool matches = false;
	switch (key->algorithm) {
	case TOKEN_KEY_HS256: matches = hmac_matches(key->secret, bytes, size, signature); break;
	case TOKEN_KEY_RS256:
		matches = public_key_matches(key->public_key, bytes, size, signature, signature_size);
		break;
	case TOKEN_KEY_ES256: matches = point_matches(key->public_key, bytes, size, signature); break;
	case TOKEN_KEY_ALGORITHMS: break;
	}
	(void)ERR_pop_to_mark();
	return matches;
}

void token_key_clear(struct token_key *key)
{
	if (key->secret)
		explicit_bzero(key->secret, strlen(key->secret));
	free(key->secret);
	EVP_PKEY_free(key->public_key);
	*key = (struct token_key){0};
}
