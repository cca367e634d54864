/*
 * token_parts.h - tokens of any form, well signed or not, and what is said of them.
 *
 * Include it in one source file.
 */
#ifndef TOKEN_PARTS_H
#define TOKEN_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "token.h"
#include "token_maker.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET	     "0123456789abcdef0123456789abcdef"
#define NOW	     1795000000
#define HEADER	     "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS	     "{\"user_id\":\"68946\",\"iat\":1794999990,\"exp\":1795003600}"

/* ---- Making tokens of any form ---- */

/* The token of these segments, signed as it should be; free() it. */
static char *token_of_bytes(const void *header, size_t header_size, const void *claims, size_t claims_size,
	const EVP_MD *digest, const char *secret)
{
	char *token = malloc((header_size + claims_size) * 2 + 200);
	assert_non_null(token);
	size_t size = maker_base64url(header, header_size, token);
	token[size++] = '.';
	size += maker_base64url(claims, claims_size, token + size);
	unsigned char signature[EVP_MAX_MD_SIZE];
	unsigned signature_size;
	assert_non_null(HMAC(digest, secret, (int)strlen(secret), (const unsigned char *)token, size,
		signature, &signature_size));
	token[size++] = '.';
	maker_base64url(signature, signature_size, token + size);
	return token;
}

static char *token_of(const char *header, const char *claims)
{
	return token_of_bytes(header, strlen(header), claims, strlen(claims), EVP_sha256(), SECRET);
}

/* Verifies a copy of exactly that size, so that a sanitizer sees whoever reads on. */
static int verify(
	const char *secret, const char *token, size_t size, struct token_identity *ret_identity, char *reason)
{
	char *copy = malloc(size > 0 ? size : 1);
	assert_non_null(copy);
	memcpy(copy, token, size);
	strcpy(reason, "");
	int error = token_verify(secret, copy, size, NOW, false, ret_identity, reason);
	free(copy);
	return error;
}

static void assert_verdict(const char *name, const char *token, size_t size, const char *expected_reason)
{
	struct token_identity identity, untouched;
	memset(&identity, 0x5a, sizeof(identity));
	untouched = identity;
	char reason[TOKEN_REASON_SIZE];
	int error = verify(SECRET, token, size, &identity, reason);
	if (!expected_reason) {
		if (error != 0)
			fail_msg("%s: refused: %s", name, reason);
		return;
	}
	if (error != TOKEN_E_REFUSED || !strstr(reason, expected_reason))
		fail_msg("%s: %d \"%s\", expected \"%s\"", name, error, reason, expected_reason);
	assert_memory_equal(&identity, &untouched, sizeof(identity));
}

#endif
