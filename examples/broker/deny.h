/*
 * deny.h - the deny list: users, handlers and tokens that are not let in although their tokens are good, since a token cannot be taken back.
 *
 * A text file, read at start and at each SIGHUP. A line is one of these; # at its beginning or behind a blank begins a comment, empty lines mean nothing:
 *   user 68946                     never
 *   user 68946 before 1795000000   not with a token that was issued (iat) before that second since 1970, or that does not say when
 *   handler old-host               the same, also with before
 *   token 5f0c2a                   that token, by its jti (RFC 7519 section 4.1.7)
 * Happy path: deny_read(), deny_holds() for each that connects, and at SIGHUP for each that is connected. Failure modes, told with the line's number: a
 * line that is none of these makes the whole file unusable, so that a mistyped word does not let somebody in unnoticed; a file that cannot be read.
 */
#ifndef DENY_H
#define DENY_H

#include "keys.h"
#include "token.h"

enum { DENY_FILE_MAX = 1024 * 1024 };
enum deny_error { DENY_E_UNUSABLE = 1 };

struct deny;

/* 0 and *ret_deny; DENY_E_UNUSABLE, told; -ENOMEM. The file is read without waiting for anybody. */
__attribute__((warn_unused_result)) int deny_read(const char *path, struct deny **ret_deny, keys_tell tell);

/* Whether it is denied. deny NULL: there is no list. Costs little, however long the list is. */
bool deny_holds(const struct deny *deny, const struct token_identity *identity);

/* NULL is fine. */
void deny_free(struct deny *deny);

#endif
