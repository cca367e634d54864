/*
 * token.h - JSON Web Tokens (RFC 7519): made for handlers and users (HS256), shown to people, and verified with one secret for both.
 *
 * Happy path: token_sign_...(), token_verify(). Whoever has several keys or public ones takes token_verify.h, which this rests on. libjwt signs and does
 * not verify: it accepts more than it should (any token when the key is empty, other algorithms than the key is for, weak keys, padding, "crit", expired
 * tokens, duplicate claims) and crashes on huge ones. Failure modes: a token that is refused, with the reason in words; no memory.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TOKEN_SIZE_MAX = 4096, /* longer ones are refused unread */
	TOKEN_SECRET_MIN = 32, /* bytes (RFC 7518 section 3.2: a key of the hash's size or larger) */
	TOKEN_LEEWAY_S =
		60, /* iat and nbf may lie that far in the future: clocks differ; exp has no leeway */
	TOKEN_REASON_SIZE = 160,
	TOKEN_ID_MAX = 128, /* bytes of a jti */
};

enum token_error { TOKEN_E_REFUSED = 1 };

/* Who a verified token speaks for. */
struct token_identity {
	bool is_handler;  /* it has a `handler` object: may act for all users; user_id is empty then */
	char user_id[65]; /* of a user's token */
	char name[65];	  /* handler.name of a handler's token */
	int64_t expires;  /* exp: seconds since 1970; INT64_MAX: never */
	int64_t issued;	  /* iat; INT64_MIN: it does not say */
	char id[TOKEN_ID_MAX + 1]; /* jti (RFC 7519 section 4.1.7); "": it has none */
	char *filters; /* of a handler's token that is locked to topics: token_filters.h; NULL: it is not. Owned */
};

/* Frees what it has. */
void token_identity_clear(struct token_identity *identity);

/* What a handler's token is locked to: topic filters (MQTT 5.0 section 4.7), and sessions. A list that is NULL locks nothing, one of 0 allows nothing. */
struct token_topics {
	const char *const *subscribe;
	size_t subscribe_count;
	const char *const *publish;
	size_t publish_count;
	/* Client ids that its connections have, or begin with and a "-". */
	const char *const *client_ids;
	size_t client_ids_count;
};

/* Makes a token {user_id, iat, exp}; lifetime_s, more than 0, from now. 0 and *ret_token, freed with free();
 * -EINVAL for a bad user id or name (both: topic_user_valid()), an empty secret, a bad lifetime; -ENOMEM.
 * now: seconds since 1970. Any thread. */
__attribute__((warn_unused_result)) int token_sign_user(
	const char *secret, const char *user_id, int64_t now, int64_t lifetime_s, char **ret_token);

/* The same with {handler: {name}, iat, exp}. */
__attribute__((warn_unused_result)) int token_sign_handler(
	const char *secret, const char *name, int64_t now, int64_t lifetime_s, char **ret_token);

/*
 * The same, locked to topics: {handler: {name, subscribe, publish, client_ids}, iat, exp}. TOKEN_E_REFUSED and the reason where no broker would take it: a list is one
 * that token_filters_read() refuses, or the token would be longer than TOKEN_SIZE_MAX.
 */
__attribute__((warn_unused_result)) int token_sign_locked_handler(const char *secret, const char *name,
	const struct token_topics *topics, int64_t now, int64_t lifetime_s, char **ret_token,
	char reason[static TOKEN_REASON_SIZE]);

/*
 * Checks signature, times and claims, with one secret for users' and handlers' tokens. 0 and *ret_identity, cleared by the caller; TOKEN_E_REFUSED with the reason in words in
 * `reason` (never the token); -ENOMEM. An empty secret refuses everything. exp is required, unless allow_unexpiring; iat and nbf are checked where they
 * are there. Where the token has a handler claim, a user_id beside it must be a valid one, and gives no right. Any thread.
 */
__attribute__((warn_unused_result)) int token_verify(const char *secret, const char *token, size_t token_size,
	int64_t now, bool allow_unexpiring, struct token_identity *ret_identity,
	char reason[static TOKEN_REASON_SIZE]);

/*
 * What the text has around a token that makes it none, in words that complete "it ...": a byte order mark, quotes, "Bearer ", blanks; or that it is
 * empty. NULL where there is nothing of that kind, which does not make it a token yet. Quotes nothing of the text. Any thread.
 */
const char *token_oddity(const char *text, size_t size);

/*
 * What a token says, as two lines of JSON (printable ASCII), for people to look at: nothing is verified but
 * that it has the form of a token. 0 and texts freed with free(); TOKEN_E_REFUSED and the reason; -ENOMEM.
 * Any thread.
 */
__attribute__((warn_unused_result)) int token_show(const char *token, size_t token_size, char **ret_header,
	char **ret_claims, char reason[static TOKEN_REASON_SIZE]);

#endif
