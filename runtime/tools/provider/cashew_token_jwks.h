/*
 * cashew_token_jwks.h - the command `cashew-token jwks`: fetches the keys of an identity provider into a file.
 *
 * Happy path: the file is another one now, and a line on standard output says so; nothing is said where the keys are the same. Failure modes, each with a
 * line on standard error: those of provider_keys.h. Main thread.
 */
#ifndef CASHEW_TOKEN_JWKS_H
#define CASHEW_TOKEN_JWKS_H

#include "provider_options.h"

/* Returns the exit code. */
int cashew_token_jwks(const struct provider_options *options);

/* The exit code of what has failed, after its reason was written to standard error; of exchange too. */
int cashew_token_jwks_failed(const char *command, int error, const char *reason);

#endif
