/*
 * keys.h - the keys that the plugin verifies tokens with: which options name them, and whose tokens each is for.
 *
 * Happy path: keys_option() for each option of mosquitto.conf, keys_read() at start and at each SIGHUP. Handlers' tokens are verified with one secret,
 * users' with another one, and with public keys from PEM files and JWK Sets. Without a secret for handlers the only secret serves both; where there are
 * public keys for users, it serves handlers alone. Failure modes, told in words that hold no secret: an option that cannot be right, a file that is not
 * there or holds no usable key, keys that could be mistaken for each other: then none of the new keys counts.
 */
#ifndef KEYS_H
#define KEYS_H

#include "token_keys.h"

enum { KEYS_FILES_MAX = 16 };
enum keys_error { KEYS_E_UNKNOWN = 1, KEYS_E_UNUSABLE };
enum keys_level { KEYS_NOTICE, KEYS_WARNING, KEYS_ERROR };

/* How it tells: one line, without an end. */
typedef void (*keys_tell)(enum keys_level level, const char *text);

/* A file with public keys. */
struct keys_file {
	char *path;
	bool is_jwks;
	enum token_key_algorithm algorithm; /* of a PEM file */
	char id[TOKEN_KEY_ID_MAX + 1];	    /* its kid; "": none */
};

/* Zeroed at first. */
struct keys_options {
	char *secret_file, *handler_secret_file; /* NULL: from the environment */
	struct keys_file files[KEYS_FILES_MAX];
	size_t file_count;
	bool allow_short_secret;
};

/*
 * Takes an option by its name behind plugin_opt_: secret_file, handler_secret_file, users_key_file, users_jwks_file; the last two may stand there several
 * times. 0; KEYS_E_UNKNOWN: it is none of these; KEYS_E_UNUSABLE, told; -ENOMEM.
 */
__attribute__((warn_unused_result)) int keys_option(
	struct keys_options *options, const char *name, const char *value, keys_tell tell);

/* Reads all of them. 0 and *ret_keys, released with token_keys_clear(); KEYS_E_UNUSABLE, told; -ENOMEM. Files are read without waiting for anybody. */
__attribute__((warn_unused_result)) int keys_read(
	const struct keys_options *options, struct token_keys *ret_keys, keys_tell tell);

void keys_options_free(struct keys_options *options);

#endif
