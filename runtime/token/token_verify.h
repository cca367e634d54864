/*
 * token_verify.h - who a token speaks for: its form, its signature, its times and claims, in that order.
 *
 * Happy path: token_verify_with() for each token, with the keys and the rules of whoever lets in. Nothing of a token but its header is parsed before a
 * signature vouches for it, and a header is small. Failure modes: a token that is refused, with the reason in words that quote nothing of it; no memory.
 */
#ifndef TOKEN_VERIFY_H
#define TOKEN_VERIFY_H

#include "token.h"
#include "token_keys.h"

enum { TOKEN_TEXTS_MAX = 16 };

/* Texts that a claim is compared with, byte for byte. */
struct token_texts {
	size_t count;
	const char *texts[TOKEN_TEXTS_MAX];
};

/* What is asked of a token beside its signature. All zero: what is asked of each. */
struct token_rules {
	bool allow_unexpiring;	/* a token without exp is accepted */
	int64_t lifetime_max_s; /* from iat, or from now where there is none, to exp; 0: no limit */
	const char *
		handler_names; /* those of handlers' tokens that are accepted, separated by commas; NULL: all */
	/* Of users' tokens. */
	const char *claim_user; /* the claim that holds the user id; NULL: user_id */
	const char *issuer;	/* what iss must be, byte for byte; NULL: anything (RFC 7519 section 4.1.1) */
	/* Whom they are for (section 4.1.3; OpenID Connect Core 1.0, section 3.1.3.7, steps 3 to 5). */
	struct token_texts
		audiences; /* aud must be one of these, or a list with one; none: aud and azp may be anything */
	struct token_texts trusted; /* who else may stand in that list */
	struct token_texts parties; /* what azp may be where there is one, beside the audiences */
};

/*
 * 0 and *ret_identity, cleared by the caller; TOKEN_E_REFUSED and the reason; -ENOMEM. A token with a `handler` claim counts only under a key for handlers, any other only
 * under one for users. now: seconds since 1970. Any thread.
 */
__attribute__((warn_unused_result)) int token_verify_with(const struct token_keys *keys,
	const struct token_rules *rules, const char *token, size_t token_size, int64_t now,
	struct token_identity *ret_identity, char reason[static TOKEN_REASON_SIZE]);

#endif
