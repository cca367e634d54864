/*
 * token_filters.h - what a handler's token is locked to: `handler.subscribe` and `handler.publish`, lists of topic filters, and `handler.client_ids`.
 *
 * Happy path: token_filters_read() when the token is verified, token_filters_of() and token_filters_hold() for each topic. What is read is kept as a text
 * that can be a part of another one, " subscribe 12:+/get_apples 6:+/ping publish 3:+/#": a blank, a list's name, and behind each further blank the size
 * of a filter, a colon and the filter. A list that is not there locks nothing; one that is empty allows nothing. Failure modes: a list that is odd in
 * any way makes the whole token unusable, with the reason in words; no memory. Any thread.
 */
#ifndef TOKEN_FILTERS_H
#define TOKEN_FILTERS_H

#include "token.h"

#include <jansson.h>

enum {
	TOKEN_FILTERS_MAX = 256,      /* of a list */
	TOKEN_FILTER_SIZE_MAX = 1024, /* bytes of one */
	TOKEN_FILTERS_TEXT_MAX =
		TOKEN_SIZE_MAX * 2, /* a text is shorter than that, since the token is short */
};

enum token_filters_kind {
	TOKEN_FILTERS_SUBSCRIBE,
	TOKEN_FILTERS_PUBLISH,
	TOKEN_FILTERS_CLIENT_IDS,
	TOKEN_FILTERS_KINDS
};

/* "subscribe", "publish", "client_ids". */
const char *token_filters_name(enum token_filters_kind kind);

/*
 * Reads the lists of a token with the claim `handler`, an object. 0 and *ret_text, freed with free(), NULL where there is no list; TOKEN_E_REFUSED and the
 * reason, of TOKEN_REASON_SIZE bytes, which names list and place and quotes nothing: no list, too long, an entry that is no text or no filter (MQTT 5.0
 * section 4.7), or one that begins with $, under which no handler has anything; lists that stand beside `handler`, where nobody would look; -ENOMEM.
 */
__attribute__((warn_unused_result)) int token_filters_read(
	const json_t *claims, const json_t *handler, char **ret_text, char *reason);

/* The list of that kind in a text, or in what follows it; NULL: there is none. text NULL: there are no lists. */
const char *token_filters_of(const char *text, enum token_filters_kind kind);

/* Whether a filter of the list matches everything that this filter does. A topic is a filter without wildcards. Costs no memory. */
bool token_filters_hold(const char *list, const char *filter);

/* Whether the client id is one of the list, or begins with one and a "-", as those of a host's lanes do. Costs no memory. */
bool token_filters_hold_client_id(const char *list, const char *client_id);

#endif
