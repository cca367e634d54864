/*
 * token_maker.h - keys and tokens of any kind, right and wrong ones, which neither libjwt nor cashew-token would make.
 *
 * Happy path: maker_rsa() or maker_curve() for a key, maker_token() for a token that it signs, maker_pem() and maker_jwk() for what a verifier is given of
 * it. All that is returned is free()d by the caller, keys by EVP_PKEY_free(). Failure modes: OpenSSL has no memory or refuses: the program ends.
 */
#ifndef TOKEN_MAKER_H
#define TOKEN_MAKER_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAKER static __attribute__((unused))

MAKER void maker_need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "token_maker: no %s\n", what);
	abort();
}

/* Without padding; the size. `text` has room for 4/3 of it and 4 bytes more. */
MAKER size_t maker_base64url(const void *bytes, size_t size, char *text)
{
	size_t length = (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
	while (length > 0 && text[length - 1] == '=')
		length--;
	for (size_t i = 0; i < length; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	text[length] = '\0';
	return length;
}

/* ---- Keys ---- */

MAKER EVP_PKEY *maker_rsa(int bits, unsigned long exponent)
{
	EVP_PKEY *key = NULL;
	BIGNUM *e = BN_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	maker_need(e && context && BN_set_word(e, exponent) && EVP_PKEY_keygen_init(context) > 0 &&
			   EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) > 0 &&
			   EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e) > 0 &&
			   EVP_PKEY_keygen(context, &key) > 0,
		"RSA key");
	EVP_PKEY_CTX_free(context);
	BN_free(e);
	return key;
}

/* "P-256", "P-384", "secp256k1" ... */
MAKER EVP_PKEY *maker_curve(const char *name)
{
	EVP_PKEY *key = EVP_EC_gen(name);
	maker_need(key, "key on the curve");
	return key;
}

/* What has been written to it, with an end. */
MAKER char *maker_written(BIO *bio)
{
	char *bytes = NULL;
	const size_t size = (size_t)BIO_get_mem_data(bio, &bytes);
	char *text = malloc(size + 1);
	maker_need(text, "memory");
	memcpy(text, bytes, size);
	text[size] = '\0';
	return text;
}

/* The public key in PEM. */
MAKER char *maker_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	maker_need(bio && PEM_write_bio_PUBKEY(bio, key) == 1, "PEM");
	char *pem = maker_written(bio);
	BIO_free_all(bio);
	return pem;
}

MAKER void maker_number(EVP_PKEY *key, const char *name, int size, char *ret_text)
{
	BIGNUM *number = NULL;
	unsigned char bytes[2048];
	maker_need(EVP_PKEY_get_bn_param(key, name, &number) == 1, name);
	if (size == 0)
		size = BN_num_bytes(number);
	maker_need(BN_bn2binpad(number, bytes, size) == size, name);
	maker_base64url(bytes, (size_t)size, ret_text);
	BN_free(number);
}

/* The public key as a JWK, with these members in front: "\"kid\":\"1\",", or "". `curve` is its crv; NULL: P-256. */
MAKER char *maker_jwk(EVP_PKEY *key, const char *curve, const char *members)
{
	char first[3000], second[3000], *text = NULL;
	int size;
	if (EVP_PKEY_is_a(key, "RSA")) {
		maker_number(key, OSSL_PKEY_PARAM_RSA_N, 0, first);
		maker_number(key, OSSL_PKEY_PARAM_RSA_E, 0, second);
		size = asprintf(
			&text, "{%s\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", members, first, second);
	} else {
		const int coordinate = (EVP_PKEY_get_bits(key) + 7) / 8;
		maker_number(key, OSSL_PKEY_PARAM_EC_PUB_X, coordinate, first);
		maker_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, coordinate, second);
		size = asprintf(&text, "{%s\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", members,
			curve ? curve : "P-256", first, second);
	}
	maker_need(size > 0, "memory");
	return text;
}

/* ---- Tokens ---- */

/* What signs: a secret, or a key, with a digest. */
struct maker_signer {
	const char *secret; /* NULL: the key */
	EVP_PKEY *key;
	const EVP_MD *digest;
};

/* Of an elliptic curve: R and S, one behind the other. */
MAKER size_t maker_raw(EVP_PKEY *key, const unsigned char *der, size_t der_size, unsigned char *raw)
{
	const int size = (EVP_PKEY_get_bits(key) + 7) / 8;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)der_size);
	maker_need(pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, size) == size &&
			   BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + size, size) == size,
		"signature");
	ECDSA_SIG_free(pair);
	return 2 * (size_t)size;
}

MAKER size_t maker_sign(
	const struct maker_signer *signer, const char *text, size_t text_size, unsigned char signature[2048])
{
	if (signer->secret) {
		unsigned size = 0;
		maker_need(HMAC(signer->digest, signer->secret, (int)strlen(signer->secret),
				   (const unsigned char *)text, text_size, signature, &size),
			"HMAC");
		return size;
	}
	unsigned char der[2048];
	size_t size = sizeof(der);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	maker_need(context && EVP_DigestSignInit(context, NULL, signer->digest, NULL, signer->key) == 1 &&
			   EVP_DigestSign(context, der, &size, (const unsigned char *)text, text_size) == 1,
		"signature");
	EVP_MD_CTX_free(context);
	if (!EVP_PKEY_is_a(signer->key, "RSA"))
		return maker_raw(signer->key, der, size, signature);
	memcpy(signature, der, size);
	return size;
}

MAKER char *maker_token(const char *header, const char *claims, const struct maker_signer *signer)
{
	unsigned char signature[2048];
	char *token = malloc((strlen(header) + strlen(claims)) * 2 + 4096);
	maker_need(token, "memory");
	size_t size = maker_base64url(header, strlen(header), token);
	token[size++] = '.';
	size += maker_base64url(claims, strlen(claims), token + size);
	const size_t signature_size = maker_sign(signer, token, size, signature);
	token[size++] = '.';
	maker_base64url(signature, signature_size, token + size);
	return token;
}

#endif
