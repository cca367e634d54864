/*
 * token_keys.h - the keys that tokens are verified with, and which of them a token is for.
 *
 * Happy path: token_keys_add() for each, then token_keys_choose() for each token. Exactly one key is chosen, or none: never are several tried. Whose
 * token it is comes first (a handler's is for the handlers' key alone), then its kid; its alg must be that of the key. Failure modes: keys that could be
 * mistaken for each other are refused when they are added; a token that no key is for is refused with the reason in words.
 */
#ifndef TOKEN_KEYS_H
#define TOKEN_KEYS_H

#include "token_key.h"

enum { TOKEN_KEYS_MAX = 64 };

struct token_keys {
	struct token_key keys[TOKEN_KEYS_MAX];
	size_t count;
};

/* What a token says of the key that it was signed with. */
struct token_keys_wanted {
	bool is_handler;
	const char *algorithm, *id; /* its alg; its kid, NULL: none */
};

/*
 * Takes the key over, also on failure. 0; TOKEN_E_REFUSED and the reason, of TOKEN_REASON_SIZE bytes: there are two keys with that kid, two of an
 * algorithm without kid for the same tokens, the same secret twice, or too many. The first two are since a token could not tell which one it means.
 */
__attribute__((warn_unused_result)) int token_keys_add(
	struct token_keys *keys, struct token_key *owned_key, char *reason);

/*
 * The key for a token, which is the set's. 0, or TOKEN_E_REFUSED and the reason. A token whose kid is none of the keys' is for the key without a kid,
 * and one without a kid is for the only key of its algorithm. Any thread.
 */
__attribute__((warn_unused_result)) int token_keys_choose(const struct token_keys *keys,
	const struct token_keys_wanted *wanted, const struct token_key **ret_key, char *reason);

/* Overwrites and frees what it has. A set that was zeroed is fine. */
void token_keys_clear(struct token_keys *keys);

#endif
