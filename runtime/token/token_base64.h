/*
 * token_base64.h - base64url as tokens and JWKs have it: RFC 7515 section 2, which is RFC 4648 section 5 without padding.
 *
 * Happy path: token_base64_decode(). Failure: a text that is not in the one canonical form, or that is larger than the caller has room for.
 */
#ifndef TOKEN_BASE64_H
#define TOKEN_BASE64_H

#include <stddef.h>

/*
 * Decodes `size` characters into `bytes`, which has `room` bytes. The number of bytes; -1 where there is another character (also = and white space),
 * where bits that carry nothing are not zero (so that each value has one text alone), or where the room is too small. Any thread.
 */
int token_base64_decode(const char *text, size_t size, unsigned char *bytes, size_t room);

#endif
