/* handler_token.h - the token that this host shows to the broker. */
#ifndef HANDLER_TOKEN_H
#define HANDLER_TOKEN_H

#include <stdint.h>

struct settings;

/*
 * What the first line of HANDLER_TOKEN_FILE holds, or a token signed with JWT_SECRET for TOKEN_LIFETIME from now (seconds since 1970). 0 and
 * *ret_token, freed by handler_token_free(), or what small_file_explain() has words for: a negative errno, or an error of small_file.h. Any thread.
 */
__attribute__((warn_unused_result)) int handler_token(
	const struct settings *settings, int64_t now, char **ret_token);

/* Overwrites it; NULL is fine. */
void handler_token_free(char *token);

#endif
