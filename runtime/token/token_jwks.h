/*
 * token_jwks.h - the public keys of a JWK Set (RFC 7517 section 5), as identity providers publish them.
 *
 * Happy path: token_jwks_read() adds the keys that RS256 and ES256 tokens are signed with; a key of another kind, use or algorithm is passed over (RFC
 * 7517 section 5), since providers publish such ones too. Failure modes, each for the file as a whole, so that no half of it counts: no JSON, a key that
 * is damaged, weak or private, two keys with one kid, no key that is left.
 */
#ifndef TOKEN_JWKS_H
#define TOKEN_JWKS_H

#include "token_keys.h"

/*
 * Adds the users' keys of a JWK Set. 0 and how many were passed over; TOKEN_E_REFUSED and the reason, in words that complete "the file ...", of
 * TOKEN_REASON_SIZE bytes; -ENOMEM. On failure some of them may have been added: clear the set. Any thread.
 */
__attribute__((warn_unused_result)) int token_jwks_read(
	const char *text, size_t size, struct token_keys *keys, size_t *ret_passed_over, char *reason);

#endif
