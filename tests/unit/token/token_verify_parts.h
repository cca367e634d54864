/*
 * token_verify_parts.h - keys of every kind, sets of them, and verdicts.
 *
 * Include it in one source file.
 */
#ifndef TOKEN_VERIFY_PARTS_H
#define TOKEN_VERIFY_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token_jwks.h"
#include "token_maker.h"
#include "token_verify.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW	     1795000000
#define USERS	     "users-0123456789abcdef0123456789"
#define HANDLERS     "handlers-0123456789abcdef0123456"

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

/* ---- Both claims ---- */

#define BOTH_CLAIMS "{\"user_id\":\"1\",\"sub\":\"1\",\"handler\":{\"name\":\"apples\"},\"exp\":1795003600}"

#endif
