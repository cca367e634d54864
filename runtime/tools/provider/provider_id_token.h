/*
 * provider_id_token.h - whether an ID token is one, and for us: OpenID Connect Core 1.0, section 3.1.3.7.
 *
 * Happy path: provider_id_token_verify() with the provider's keys. What holds for every token is token_verify.h's part: form, algorithm by the key,
 * signature, iss byte for byte, exp without leeway, iat and nbf with TOKEN_LEEWAY_S. What makes it an ID token, and nothing else that the provider signs
 * with the same keys, is looked at here. Failure modes: it is refused, with the reason in words that quote nothing of it; no memory.
 */
#ifndef PROVIDER_ID_TOKEN_H
#define PROVIDER_ID_TOKEN_H

#include "provider.h"
#include "token_verify.h"

/* All compared byte for byte. */
struct provider_id_token_rules {
	const char *issuer; /* iss */
	struct token_texts
		client_ids; /* aud, or among a list there, one of them at least; azp, where it is there */
	struct token_texts trusted; /* who else may stand in aud */
	const char *claim_user;	    /* the claim that holds the user id */
	const char *nonce;	    /* what nonce must be; NULL: anything */
};

/*
 * keys: for users alone, as token_jwks.h reads them. now: seconds since 1970. 0 and *ret_identity, a user's; PROVIDER_E_TOKEN and the reason; -ENOMEM.
 * Done are steps 1 to 3, 6, 7, 9 and 10 of that section, and 4 and 5 where azp is there. Step 8 does not come up: no HS256 is accepted here. 11 is done
 * with a nonce in the rules; 12 and 13 are for whoever asked for acr or max_age. Any thread.
 */
__attribute__((warn_unused_result)) int provider_id_token_verify(const struct token_keys *keys,
	const struct provider_id_token_rules *rules, const char *token, size_t size, int64_t now,
	struct token_identity *ret_identity, char reason[static PROVIDER_REASON_SIZE]);

/*
 * Whether newer keys might be of use: it has the form of a token, an algorithm of the provider's, and a kid that none of these keys has; or there are no
 * keys. Nothing vouches for what it says. 0 and *ret_lacks; -ENOMEM. Any thread.
 */
__attribute__((warn_unused_result)) int provider_id_token_lacks_key(
	const struct token_keys *keys, const char *token, size_t size, bool *ret_lacks);

#endif
