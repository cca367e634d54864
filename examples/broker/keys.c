/* keys.c - the keys that the plugin verifies tokens with: see keys.h. */
#include "keys.h"

#include "secret.h"
#include "small_file.h"
#include "token.h"
#include "token_jwks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

__attribute__((format(printf, 3, 4))) static void say(
	keys_tell tell, enum keys_level level, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(level, text);
}

/* ---- Options ---- */

static int text_set(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	return *text ? 0 : -ENOMEM;
}

/* "RS256 PATH" or "RS256 kid=KID PATH"; the path may hold blanks. */
static int key_file_parse(const char *value, struct keys_file *file, const char **ret_path)
{
	const size_t size = strcspn(value, " ");
	if (!token_key_algorithm_read(value, size, &file->algorithm) || file->algorithm == TOKEN_KEY_HS256)
		return KEYS_E_UNUSABLE;
	const char *rest = value + size + strspn(value + size, " ");
	if (strncmp(rest, "kid=", 4) == 0) {
		const char *id = rest + 4;
		const size_t id_size = strcspn(id, " ");
		if (id_size == 0 || id_size > TOKEN_KEY_ID_MAX)
			return KEYS_E_UNUSABLE;
		memcpy(file->id, id, id_size);
		rest = id + id_size + strspn(id + id_size, " ");
	}
	*ret_path = rest;
	return rest[0] != '\0' ? 0 : KEYS_E_UNUSABLE;
}

static int file_add(struct keys_options *options, bool is_jwks, const char *value, keys_tell tell)
{
	struct keys_file file = {.is_jwks = is_jwks};
	const char *path = value;
	if (!is_jwks && key_file_parse(value, &file, &path) != 0) {
		say(tell, KEYS_ERROR,
			"plugin_opt_users_key_file %s: expected RS256 or ES256, then kid=KID if the key has one, then the PEM file",
			value);
		return KEYS_E_UNUSABLE;
	}
	if (options->file_count == KEYS_FILES_MAX) {
		say(tell, KEYS_ERROR, "there are more than %d files with users' keys", KEYS_FILES_MAX);
		return KEYS_E_UNUSABLE;
	}
	file.path = strdup(path);
	if (!file.path)
		return -ENOMEM;
	options->files[options->file_count++] = file;
	return 0;
}

int keys_option(struct keys_options *options, const char *name, const char *value, keys_tell tell)
{
	if (strcmp(name, "secret_file") == 0)
		return text_set(&options->secret_file, value);
	if (strcmp(name, "handler_secret_file") == 0)
		return text_set(&options->handler_secret_file, value);
	if (strcmp(name, "users_key_file") == 0)
		return file_add(options, false, value, tell);
	if (strcmp(name, "users_jwks_file") == 0)
		return file_add(options, true, value, tell);
	return KEYS_E_UNKNOWN;
}

void keys_options_free(struct keys_options *options)
{
	free(options->secret_file);
	free(options->handler_secret_file);
	for (size_t i = 0; i < options->file_count; i++)
		free(options->files[i].path);
	*options = (struct keys_options){.file_count = 0};
}

/* ---- Secrets ---- */

static int secret_find(
	enum secret_kind kind, const struct keys_options *options, char **ret_secret, keys_tell tell)
{
	const char *path = kind == SECRET_USERS ? options->secret_file : options->handler_secret_file;
	char reason[SECRET_REASON_SIZE];
	struct secret_notes notes = {.oddity = NULL};
	const int error = secret_read(kind, path, options->allow_short_secret, ret_secret, &notes, reason);
	if (error == SECRET_E_UNUSABLE)
		say(tell, KEYS_ERROR, "%s", reason);
	if (error != 0)
		return error == SECRET_E_UNUSABLE ? KEYS_E_UNUSABLE : error;
	if (notes.readable_by_others)
		say(tell, KEYS_WARNING, "others can read secret_file %s: chmod 600 it", path);
	if (notes.doubt[0] != '\0')
		say(tell, KEYS_WARNING, "secret_file %s: %s", path, notes.doubt);
	if (notes.repeats)
		say(tell, KEYS_WARNING,
			"the secret of %s is one character over and over, which is quickly guessed: make one with openssl rand -base64 48",
			secret_source(kind, path));
	if (notes.oddity)
		say(tell, KEYS_WARNING,
			"the secret of %s %s: it is taken as it stands, so whoever signs tokens needs it so too",
			secret_source(kind, path), notes.oddity);
	return 0;
}

static int secret_add(enum secret_kind kind, const struct keys_options *options, bool for_users,
	bool for_handlers, struct token_keys *keys, keys_tell tell)
{
	char *secret = NULL, reason[TOKEN_REASON_SIZE];
	int error = secret_find(kind, options, &secret, tell);
	if (error != 0)
		return error;
	struct token_key key;
	error = token_key_from_secret(secret, &key, reason);
	secret_free(secret);
	if (error == 0) {
		key.for_users = for_users;
		key.for_handlers = for_handlers;
		error = token_keys_add(keys, &key, reason);
	}
	if (error != TOKEN_E_REFUSED)
		return error;
	say(tell, KEYS_ERROR, "the secret of %s %s",
		secret_source(
			kind, kind == SECRET_USERS ? options->secret_file : options->handler_secret_file),
		reason);
	return KEYS_E_UNUSABLE;
}

static int secrets_add(const struct keys_options *options, struct token_keys *keys, keys_tell tell)
{
	const bool has_public = options->file_count > 0;
	if (secret_given(SECRET_HANDLERS, options->handler_secret_file)) {
		const int error = secret_add(SECRET_HANDLERS, options, false, true, keys, tell);
		if (error != 0 || (has_public && !secret_given(SECRET_USERS, options->secret_file)))
			return error;
		return secret_add(SECRET_USERS, options, true, false, keys, tell);
	}
	const int error = secret_add(SECRET_USERS, options, !has_public, true, keys, tell);
	if (error == 0 && !has_public)
		say(tell, KEYS_WARNING,
			"one secret is for users' and for handlers' tokens: whoever gets a handler claim into a user's token acts for all users; "
			"give handlers a secret of their own by plugin_opt_handler_secret_file");
	return error;
}

/* ---- Public keys ---- */

static int pem_add(
	const struct keys_file *file, const char *text, size_t size, struct token_keys *keys, char *reason)
{
	struct token_key key;
	int error = token_key_from_pem(file->algorithm, text, size, &key, reason);
	if (error != 0)
		return error;
	memcpy(key.id, file->id, sizeof(key.id));
	key.for_users = true;
	return token_keys_add(keys, &key, reason);
}

/* Whoever may write it can add keys of his own. */
static void writers_tell(const char *path, keys_tell tell)
{
	struct stat status;
	if (stat(path, &status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		say(tell, KEYS_WARNING, "others can write %s, and so let in whom they like: chmod go-w it",
			path);
}

static int file_read_into(const struct keys_file *file, struct token_keys *keys, keys_tell tell)
{
	char *text = NULL, reason[TOKEN_REASON_SIZE];
	size_t size = 0, passed_over = 0;
	const size_t before = keys->count;
	int error = small_file_read(file->path, TOKEN_KEY_FILE_MAX, &text, &size);
	if (error != 0) {
		say(tell, KEYS_ERROR, "%s cannot be read: %s", file->path, small_file_explain(error));
		return error == -ENOMEM ? error : KEYS_E_UNUSABLE;
	}
	error = file->is_jwks ? token_jwks_read(text, size, keys, &passed_over, reason)
			      : pem_add(file, text, size, keys, reason);
	small_file_free(text, size);
	if (error == TOKEN_E_REFUSED)
		say(tell, KEYS_ERROR, "%s: %s %s", file->path, file->is_jwks ? "it" : "the key", reason);
	if (error != 0)
		return error == TOKEN_E_REFUSED ? KEYS_E_UNUSABLE : error;
	writers_tell(file->path, tell);
	say(tell, KEYS_NOTICE, "%s: %zu key%s for users' tokens, %zu passed over", file->path,
		keys->count - before, keys->count - before == 1 ? "" : "s", passed_over);
	return 0;
}

int keys_read(const struct keys_options *options, struct token_keys *ret_keys, keys_tell tell)
{
	struct token_keys keys = {.count = 0};
	int error = secrets_add(options, &keys, tell);
	for (size_t i = 0; i < options->file_count && error == 0; i++)
		error = file_read_into(&options->files[i], &keys, tell);
	if (error == 0)
		*ret_keys = keys;
	else
		token_keys_clear(&keys);
	return error;
}
