/* test_token_key.c - token_key.c: which keys are taken, and what they verify; RFC 7515 A.2 and A.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token.h"
#include "token_base64.h"
#include "token_key.h"
#include "token_maker.h"
#include <openssl/err.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What both examples sign. */
#define CLAIMS \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static size_t decode(const char *text, unsigned char bytes[static 512])
{
	const int size = token_base64_decode(text, strlen(text), bytes, 512);
	assert_true(size >= 0);
	return (size_t)size;
}

/* The signature of the text, and of nothing like it. */
static void check_vector(const struct token_key *key, const char *text, const char *signature)
{
	unsigned char bytes[513];
	const size_t size = decode(signature, bytes);
	assert_int_equal(size, token_key_signature_size(key));
	assert_true(token_key_signed(key, text, strlen(text), bytes, size));
	assert_false(token_key_signed(key, text, strlen(text) - 1, bytes, size));
	assert_false(token_key_signed(key, text, strlen(text), bytes, size - 1));
	bytes[size] = 0;
	assert_false(token_key_signed(key, text, strlen(text), bytes, size + 1));
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 1;
		if (token_key_signed(key, text, strlen(text), bytes, size))
			fail_msg("byte %zu of the signature was changed", i);
		bytes[i] ^= 1;
	}
	memset(bytes, 0, size);
	assert_false(token_key_signed(key, text, strlen(text), bytes, size));
	memset(bytes, 0xff, size);
	assert_false(token_key_signed(key, text, strlen(text), bytes, size));
	assert_int_equal(ERR_peek_error(), 0);
}

static void rfc_7515_a_2(void **state)
{
	(void)state;
	static const char modulus[] =
		"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
		"S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"
		"R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD"
		"TW9gb54h4FRWyuXpoQ";
	static const char signature[] =
		"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
		"Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
		"O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
		"cN_IoypGlUPQGe77Rw";
	unsigned char n[512], e[512];
	char reason[TOKEN_REASON_SIZE];
	struct token_key key;
	const size_t n_size = decode(modulus, n), e_size = decode("AQAB", e);
	assert_int_equal(token_key_from_rsa(n, n_size, e, e_size, &key, reason), 0);
	assert_int_equal(key.algorithm, TOKEN_KEY_RS256);
	check_vector(&key, "eyJhbGciOiJSUzI1NiJ9." CLAIMS, signature);
	token_key_clear(&key);
}

static void rfc_7515_a_3(void **state)
{
	(void)state;
	unsigned char x[512], y[512];
	char reason[TOKEN_REASON_SIZE];
	struct token_key key;
	assert_int_equal(decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", x), TOKEN_KEY_COORDINATE_SIZE);
	assert_int_equal(decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", y), TOKEN_KEY_COORDINATE_SIZE);
	assert_int_equal(token_key_from_point(x, y, &key, reason), 0);
	assert_int_equal(key.algorithm, TOKEN_KEY_ES256);
	check_vector(&key, "eyJhbGciOiJFUzI1NiJ9." CLAIMS,
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
	token_key_clear(&key);
	y[31] ^= 1;
	assert_int_equal(token_key_from_point(x, y, &key, reason), TOKEN_E_REFUSED);
	assert_non_null(strstr(reason, "not on its curve"));
	memset(x, 0, sizeof(x));
	memset(y, 0, sizeof(y));
	assert_int_equal(token_key_from_point(x, y, &key, reason), TOKEN_E_REFUSED);
	assert_int_equal(ERR_peek_error(), 0);
}

/* RFC 7515 A.1, whose secret is no text: so one of ours. */
static void secrets(void **state)
{
	(void)state;
	static const char secret[] = "0123456789abcdef0123456789abcdef", text[] = "a.b";
	const struct maker_signer signer = {.secret = secret, .digest = EVP_sha256()};
	unsigned char signature[2048];
	char reason[TOKEN_REASON_SIZE], encoded[100];
	struct token_key key;
	const size_t size = maker_sign(&signer, text, strlen(text), signature);
	maker_base64url(signature, size, encoded);
	assert_int_equal(token_key_from_secret(secret, &key, reason), 0);
	check_vector(&key, text, encoded);
	token_key_clear(&key);
	token_key_clear(&key);
	assert_int_equal(token_key_from_secret("", &key, reason), TOKEN_E_REFUSED);
	assert_int_equal(
		token_key_from_secret("-----BEGIN PUBLIC KEY-----\nMFkw", &key, reason), TOKEN_E_REFUSED);
	assert_non_null(strstr(reason, "PEM"));
}

/* ---- Which public keys are taken ---- */

static char *joined(const char *a, const char *b)
{
	char *text = NULL;
	assert_true(asprintf(&text, "%s%s", a, b) > 0);
	return text;
}

static void check_pem(
	const char *name, enum token_key_algorithm algorithm, const char *pem, const char *expected)
{
	char reason[TOKEN_REASON_SIZE] = "";
	struct token_key key;
	/* A copy of that size, so that a sanitizer sees whoever reads on. */
	const size_t size = strlen(pem);
	char *copy = malloc(size + 1);
	assert_non_null(copy);
	memcpy(copy, pem, size);
	char *exact = realloc(copy, size > 0 ? size : 1);
	assert_non_null(exact);
	const int error = token_key_from_pem(algorithm, exact, size, &key, reason);
	free(exact);
	if (error != (expected ? TOKEN_E_REFUSED : 0) || (expected && !strstr(reason, expected)))
		fail_msg("%s: %d \"%s\", expected \"%s\"", name, error, reason, expected ? expected : "");
	if (error == 0)
		token_key_clear(&key);
	assert_int_equal(ERR_peek_error(), 0);
}

static void kinds_of_keys(void **state)
{
	(void)state;
	const struct {
		const char *name;
		enum token_key_algorithm algorithm;
		EVP_PKEY *key;
		const char *reason; /* NULL: taken */
	} cases[] = {
		{"RSA of 2048", TOKEN_KEY_RS256, maker_rsa(2048, 65537), NULL},
		{"RSA of 2049", TOKEN_KEY_RS256, maker_rsa(2049, 65537), NULL},
		{"RSA with another exponent", TOKEN_KEY_RS256, maker_rsa(2048, 0x10003), NULL},
		{"RSA of 512", TOKEN_KEY_RS256, maker_rsa(512, 65537), "of 512 bits"},
		{"RSA of 1024", TOKEN_KEY_RS256, maker_rsa(1024, 65537), "of 1024 bits"},
		{"RSA of 2047", TOKEN_KEY_RS256, maker_rsa(2047, 65537), "of 2047 bits"},
		{"RSA with exponent 3", TOKEN_KEY_RS256, maker_rsa(2048, 3), "exponent"},
		{"RSA with exponent 65535", TOKEN_KEY_RS256, maker_rsa(2048, 65535), "exponent"},
		{"P-256", TOKEN_KEY_ES256, maker_curve("P-256"), NULL},
		{"P-384", TOKEN_KEY_ES256, maker_curve("P-384"), "not on the curve P-256"},
		{"P-521", TOKEN_KEY_ES256, maker_curve("P-521"), "not on the curve P-256"},
		{"secp256k1", TOKEN_KEY_ES256, maker_curve("secp256k1"), "not on the curve P-256"},
		{"brainpool", TOKEN_KEY_ES256, maker_curve("brainpoolP256r1"), "not on the curve P-256"},
		{"P-256 for RS256", TOKEN_KEY_RS256, maker_curve("P-256"), "no RSA key"},
		{"RSA for ES256", TOKEN_KEY_ES256, maker_rsa(2048, 65537), "no elliptic curve key"},
		{"RSA for HS256", TOKEN_KEY_HS256, maker_rsa(2048, 65537), "whose keys are secrets"},
		{"Ed25519 for ES256", TOKEN_KEY_ES256, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
			"no elliptic curve key"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *pem = maker_pem(cases[i].key);
		check_pem(cases[i].name, cases[i].algorithm, pem, cases[i].reason);
		free(pem);
		EVP_PKEY_free(cases[i].key);
	}
}

/* Numbers that no key generator makes. */
static void numbers(void **state)
{
	(void)state;
	static unsigned char n[2048], e[16];
	static const struct {
		const char *name;
		size_t n_size, e_size;
		unsigned char n_first, n_last, e_first, e_last;
		const char *reason;
	} cases[] = {
		{"good", 256, 3, 0x80, 1, 1, 1, NULL},
		{"zeros in front, and nothing behind", 257, 3, 0, 1, 1, 1, "of 1 bits"},
		{"8192 bits", 1024, 3, 0x80, 1, 1, 1, NULL},
		{"8193 bits", 1025, 3, 0x01, 1, 1, 1, "of 8193 bits"},
		{"16384 bits", 2048, 3, 0x80, 1, 1, 1, "of 16384 bits"},
		{"an even modulus", 256, 3, 0x80, 2, 1, 1, "even modulus"},
		{"exponent 1", 256, 1, 0x80, 1, 1, 1, "exponent"},
		{"exponent 0", 256, 1, 0x80, 1, 0, 0, "exponent"},
		{"an even exponent", 256, 3, 0x80, 1, 1, 2, "exponent"},
		{"an exponent of 65 bits", 256, 9, 0x80, 1, 1, 1, "exponent"},
		{"an exponent of 64 bits", 256, 8, 0x80, 1, 0x80, 1, NULL},
		{"no modulus", 0, 3, 0, 0, 1, 1, "bits"},
		{"no exponent", 256, 0, 0x80, 1, 0, 0, "exponent"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		memset(n, 0, sizeof(n));
		memset(e, 0, sizeof(e));
		n[0] = cases[i].n_first;
		e[0] = cases[i].e_first;
		if (cases[i].n_size > 0)
			n[cases[i].n_size - 1] = cases[i].n_last;
		if (cases[i].e_size > 0)
			e[cases[i].e_size - 1] = cases[i].e_last;
		struct token_key key;
		char reason[TOKEN_REASON_SIZE] = "";
		const int error = token_key_from_rsa(n, cases[i].n_size, e, cases[i].e_size, &key, reason);
		if (error == 0)
			token_key_clear(&key);
		if (error != (cases[i].reason ? TOKEN_E_REFUSED : 0) ||
			(cases[i].reason && !strstr(reason, cases[i].reason)))
			fail_msg("%s: %d %s", cases[i].name, error, reason);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

static void files(void **state)
{
	(void)state;
	EVP_PKEY *curve = maker_curve("P-256");
	char *good = maker_pem(curve), *twice = joined(good, good), *cut = strndup(good, strlen(good) / 2);
	char *with_words = joined("The key of our provider\n", good);
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PrivateKey(bio, curve, NULL, NULL, 0, NULL, NULL), 1);
	char *private_key = maker_written(bio), *both = joined(good, private_key);
	char *huge = malloc(70001);
	assert_true(good && twice && cut && with_words && private_key && both && huge);
	memset(huge, 'x', 70000);
	huge[70000] = '\0';
	const struct {
		const char *name, *pem, *reason;
	} cases[] = {
		{"a public key", good, NULL},
		{"words in front of it", with_words, NULL},
		{"nothing", "", "no PEM file"},
		{"no PEM", "0123456789abcdef0123456789abcdef", "no PEM file"},
		{"cut", cut, "damaged"},
		{"two keys", twice, "not alone"},
		{"a private key", private_key, "private"},
		{"a private key behind it", both, "private"},
		{"a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
			"certificate"},
		{"only the begin line", "-----BEGIN PUBLIC KEY-----", "damaged"},
		{"less than the begin line", "-----BEGIN PUBLIC", "no PEM file"},
		{"70000 bytes", huge, "larger than"},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		check_pem(cases[i].name, TOKEN_KEY_ES256, cases[i].pem, cases[i].reason);
	BIO_free_all(bio);
	EVP_PKEY_free(curve);
	char *const texts[] = {good, twice, cut, with_words, private_key, both, huge};
	for (size_t i = 0; i < COUNT(texts); i++)
		free(texts[i]);
}

/* A curve that is written out, with P-256's numbers: it might have been another generator. */
static void explicit_curve(void **state)
{
	(void)state;
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	assert_true(context && EVP_PKEY_keygen_init(context) > 0 &&
		    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) > 0 &&
		    EVP_PKEY_CTX_set_ec_param_enc(context, OPENSSL_EC_EXPLICIT_CURVE) > 0 &&
		    EVP_PKEY_keygen(context, &key) > 0);
	char *pem = maker_pem(key);
	check_pem("explicit", TOKEN_KEY_ES256, pem, "not on the curve P-256, by name");
	free(pem);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(context);
}

static void algorithm_names(void **state)
{
	(void)state;
	enum token_key_algorithm algorithm;
	static const char *const wrong[] = {"", "none", "rs256", "RS384", "RS2567", "RS25", "PS256", "ES384"};
	for (enum token_key_algorithm i = 0; i < TOKEN_KEY_ALGORITHMS; i++) {
		const char *name = token_key_algorithm_name(i);
		assert_true(token_key_algorithm_read(name, strlen(name), &algorithm));
		assert_int_equal(algorithm, i);
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_false(token_key_algorithm_read(wrong[i], strlen(wrong[i]), &algorithm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_7515_a_2),
		cmocka_unit_test(rfc_7515_a_3),
		cmocka_unit_test(secrets),
		cmocka_unit_test(kinds_of_keys),
		cmocka_unit_test(numbers),
		cmocka_unit_test(files),
		cmocka_unit_test(explicit_curve),
		cmocka_unit_test(algorithm_names),
	};
	return cmocka_run_group_tests_name("token_key", tests, NULL, NULL);
}
