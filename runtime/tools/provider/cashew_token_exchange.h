/*
 * cashew_token_exchange.h - the command `cashew-token exchange`: an identity provider's ID token becomes a user's token, signed with a secret.
 *
 * Happy path: the token on standard output, with user_id, iat and exp and nothing else, since what is copied from a foreign token could be a right here.
 * Where the file has not the key that the ID token names, it is fetched anew, once a minute at most. Failure modes, each with a line on standard error:
 * the ID token is refused, its key is nowhere, the provider is away. Main thread.
 */
#ifndef CASHEW_TOKEN_EXCHANGE_H
#define CASHEW_TOKEN_EXCHANGE_H

#include "provider_options.h"

/* Returns the exit code. token: what came on standard input, without white space around it. */
int cashew_token_exchange(
	const struct provider_options *options, const char *secret, const char *token, size_t size);

#endif
