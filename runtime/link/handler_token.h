/* handler_token.h - the token that this host shows to the broker. */
#ifndef HANDLER_TOKEN_H
#define HANDLER_TOKEN_H

#include <stddef.h>
#include <stdint.h>

struct settings;

/* The filters of the handlers, which a token that is signed here is locked to. */
struct handler_topics {
	const char *const *filters;
	size_t count;
};

enum handler_token_error { HANDLER_TOKEN_E_ODD = 16 /* behind those of small_file.h */ };

/*
 * What the first line of HANDLER_TOKEN_FILE holds, or a token signed with JWT_HANDLER_SECRET, else JWT_SECRET, for TOKEN_LIFETIME from now (seconds since 1970). That one
 * may subscribe to `topics`, NULL: to all, and publish below any user: events' names are not known beforehand, and a Response Topic may have any number of levels. Filters
 * that no token can hold lock nothing, which is logged (token_not_locked). 0 and
 * *ret_token, freed by handler_token_free(); a negative errno, an error of small_file.h, or HANDLER_TOKEN_E_ODD for a line that is no token
 * (token_oddity()), and why in *ret_reason, in words, not to be freed. Any thread.
 */
__attribute__((warn_unused_result)) int handler_token(const struct settings *settings,
	const struct handler_topics *topics, int64_t now, char **ret_token, const char **ret_reason);

/* Overwrites it; NULL is fine. */
void handler_token_free(char *token);

#endif
