/*
 * token_key.h - a key that tokens are verified with: a secret for HS256, or a public key for RS256 or ES256 (RFC 7518 sections 3.2 to 3.4).
 *
 * The algorithm belongs to the key, from the day on which it is made: nothing that a token says can have it used in another way (RFC 8725 section 3.1).
 * Happy path: token_key_from_...(), then token_key_signed() for each token, token_key_clear(). OpenSSL verifies; what it takes and should not is refused
 * here, when the key is made: RSA of less than 2048 or more than 8192 bits, or with an exponent that is even or below 65537; a curve other than P-256,
 * a point that is not on it; a private key. Failure modes: such a key, with the reason in words that complete "the key ..."; no memory.
 */
#ifndef TOKEN_KEY_H
#define TOKEN_KEY_H

#include <stdbool.h>
#include <stddef.h>

enum token_key_algorithm { TOKEN_KEY_HS256, TOKEN_KEY_RS256, TOKEN_KEY_ES256, TOKEN_KEY_ALGORITHMS };

enum {
	TOKEN_KEY_ID_MAX = 128,	    /* bytes of a kid */
	TOKEN_KEY_FILE_MAX = 65536, /* bytes of a file that holds keys */
	TOKEN_KEY_RSA_BITS_MIN = 2048,
	TOKEN_KEY_RSA_BITS_MAX = 8192,
	TOKEN_KEY_COORDINATE_SIZE = 32, /* bytes, of a point on P-256 */
	TOKEN_KEY_SIGNATURE_MAX = TOKEN_KEY_RSA_BITS_MAX / 8,
};

struct token_key {
	enum token_key_algorithm algorithm;
	bool for_users, for_handlers;	/* whose tokens it verifies */
	char id[TOKEN_KEY_ID_MAX + 1];	/* its kid (RFC 7515 section 4.1.4); "": it has none */
	char *secret;			/* HS256; owned */
	struct evp_pkey_st *public_key; /* of the others; owned */
};

/* "RS256". */
const char *token_key_algorithm_name(enum token_key_algorithm algorithm);

/* Reads exactly that name. False: it is none of the three. */
bool token_key_algorithm_read(const char *name, size_t size, enum token_key_algorithm *ret_algorithm);

/* Each makes a key, without a kid and for nobody yet. 0; TOKEN_E_REFUSED and the reason, of TOKEN_REASON_SIZE bytes; -ENOMEM. Any thread. */
__attribute__((warn_unused_result)) int token_key_from_secret(
	const char *secret, struct token_key *ret_key, char *reason);

/* Of one "PUBLIC KEY" in PEM (RFC 7468 section 13), and nothing else in it; RS256 or ES256. */
__attribute__((warn_unused_result)) int token_key_from_pem(enum token_key_algorithm algorithm,
	const char *pem, size_t size, struct token_key *ret_key, char *reason);

/* Of modulus and exponent, big endian (RFC 7518 section 6.3.1); RS256. */
__attribute__((warn_unused_result)) int token_key_from_rsa(const unsigned char *modulus, size_t modulus_size,
	const unsigned char *exponent, size_t exponent_size, struct token_key *ret_key, char *reason);

/* Of a point on P-256 (RFC 7518 section 6.2.1); ES256. */
__attribute__((warn_unused_result)) int token_key_from_point(
	const unsigned char x[static TOKEN_KEY_COORDINATE_SIZE],
	const unsigned char y[static TOKEN_KEY_COORDINATE_SIZE], struct token_key *ret_key, char *reason);

/* How many bytes a signature by this key has, neither more nor less. */
size_t token_key_signature_size(const struct token_key *key);

/* Whether the signature of these bytes was made with this key. Secrets are compared in constant time. Any thread. */
bool token_key_signed(const struct token_key *key, const void *bytes, size_t size,
	const unsigned char *signature, size_t signature_size);

/* Overwrites and frees what it has. A key that was zeroed is fine. */
void token_key_clear(struct token_key *key);

#endif
