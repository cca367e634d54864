/*
 * provider_keys.h - the keys with which an identity provider signs: asked for, and kept in a file.
 *
 * Happy path: provider_keys_ask() asks for the discovery document and then for the JWK Set that it names; provider_keys_renew() also puts it in place of
 * the file, which is written whole or not at all, and only with something that token_jwks.h can use. Failure modes: the provider is away, lies about its
 * issuer, answers with something else; the file cannot be replaced. In each case the file stays as it was.
 */
#ifndef PROVIDER_KEYS_H
#define PROVIDER_KEYS_H

#include "provider.h"
#include "token_keys.h"

#include <stdbool.h>
#include <stddef.h>

/* What came of a renewal. */
struct provider_keys_news {
	bool changed;		       /* the file is another one now */
	size_t key_count, passed_over; /* keys for RS256 and ES256; those for something else */
};

/*
 * Asks for the JWK Set, and reads it once. 0 with *ret_text, which is free()d by the caller; PROVIDER_E_AWAY, PROVIDER_E_ANSWER and the reason, which
 * names the address; -ENOMEM.
 */
__attribute__((warn_unused_result)) int provider_keys_ask(const struct provider_source *source,
	char **ret_text, size_t *ret_size, struct provider_keys_news *ret_news,
	char reason[static PROVIDER_REASON_SIZE]);

/* The same, into the file. Also PROVIDER_E_FILE. */
__attribute__((warn_unused_result)) int provider_keys_renew(const struct provider_source *source,
	const char *path, struct provider_keys_news *ret_news, char reason[static PROVIDER_REASON_SIZE]);

/* The keys of the file. 0, cleared with token_keys_clear(); PROVIDER_E_FILE and the reason, which names the file: *ret_keys is empty then; -ENOMEM. */
__attribute__((warn_unused_result)) int provider_keys_read(
	const char *path, struct token_keys *ret_keys, char reason[static PROVIDER_REASON_SIZE]);

#endif
