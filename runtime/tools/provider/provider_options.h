/*
 * provider_options.h - the command lines of `cashew-token jwks` and `cashew-token exchange`.
 *
 * Happy path: provider_options_parse(). Failure: a line on standard error and EXIT_USAGE. Main thread; texts are those of argv.
 */
#ifndef PROVIDER_OPTIONS_H
#define PROVIDER_OPTIONS_H

#include "provider.h"
#include "token_verify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROVIDER_OPTIONS_GO_ON = -1 };

struct provider_options {
	bool is_exchange;
	struct provider_source source;
	const char *file; /* of the keys */
	/* Of exchange. */
	struct token_texts client_ids, trusted;
	const char *claim_user, *nonce, *env_file;
	bool env_file_given;
	int64_t lifetime_s; /* of the token that is made, at most */
};

/* Whether the command line is for one of the two: its first word is. */
bool provider_options_are_meant(int count, char **values);

/* PROVIDER_OPTIONS_GO_ON, and *ret; else the exit code: help was asked for, or the command line is wrong. Both are told. */
int provider_options_parse(int count, char **values, struct provider_options *ret);

#endif
