/* token_keys.c - see token_keys.h. */
#include "token_keys.h"

#include "token_form.h"

#include <string.h>

/* ---- Adding ---- */

static bool same_tokens(const struct token_key *a, const struct token_key *b)
{
	return (a->for_users && b->for_users) || (a->for_handlers && b->for_handlers);
}

static int clash_find(const struct token_key *old, const struct token_key *new, char *reason)
{
	const char *algorithm = token_key_algorithm_name(new->algorithm);
	if (new->id[0] != '\0' && strcmp(old->id, new->id) == 0)
		return token_form_refuse(reason, "has the kid of another key, %.64s", new->id);
	if (old->algorithm != new->algorithm)
		return 0;
	if (old->secret && strcmp(old->secret, new->secret) == 0)
		return token_form_refuse(
			reason, "is the same secret as another one: each secret is for one purpose");
	if (old->id[0] == '\0' && new->id[0] == '\0' && same_tokens(old, new))
		return token_form_refuse(reason,
			"is the second one for %s without a kid: a token could not say which one it means",
			algorithm);
	return 0;
}

int token_keys_add(struct token_keys *keys, struct token_key *owned_key, char *reason)
{
	int error = keys->count < TOKEN_KEYS_MAX
			    ? 0
			    : token_form_refuse(reason, "is one more than %d keys", TOKEN_KEYS_MAX);
	for (size_t i = 0; i < keys->count && error == 0; i++)
		error = clash_find(&keys->keys[i], owned_key, reason);
	if (error != 0) {
		token_key_clear(owned_key);
		return error;
	}
	keys->keys[keys->count++] = *owned_key;
	*owned_key = (struct token_key){0};
	return 0;
}

/* ---- Choosing ---- */

static bool is_for(const struct token_key *key, bool is_handler)
{
	return is_handler ? key->for_handlers : key->for_users;
}

/* By its kid. NULL: no key has it. */
static const struct token_key *named(const struct token_keys *keys, const struct token_keys_wanted *wanted)
{
	for (size_t i = 0; i < keys->count && wanted->id; i++)
		if (is_for(&keys->keys[i], wanted->is_handler) && wanted->id[0] != '\0' &&
			strcmp(keys->keys[i].id, wanted->id) == 0)
			return &keys->keys[i];
	return NULL;
}

/* Those of its algorithm among which it may mean one: all where it has no kid, else those without one. *ret_key: the last of them. */
static size_t candidates(const struct token_keys *keys, const struct token_keys_wanted *wanted,
	const struct token_key **ret_key, bool *ret_has_algorithm)
{
	size_t count = 0;
	for (size_t i = 0; i < keys->count; i++) {
		const struct token_key *key = &keys->keys[i];
		if (!is_for(key, wanted->is_handler) ||
			strcmp(wanted->algorithm, token_key_algorithm_name(key->algorithm)) != 0)
			continue;
		*ret_has_algorithm = true;
		if (!wanted->id || key->id[0] == '\0') {
			*ret_key = key;
			count++;
		}
	}
	return count;
}

int token_keys_choose(const struct token_keys *keys, const struct token_keys_wanted *wanted,
	const struct token_key **ret_key, char *reason)
{
	const struct token_key *key = named(keys, wanted);
	if (key && strcmp(wanted->algorithm, token_key_algorithm_name(key->algorithm)) != 0)
		return token_form_refuse(
			reason, "the token's alg is not that of the key which its kid names");
	bool has_algorithm = key;
	const size_t count = key ? 1 : candidates(keys, wanted, &key, &has_algorithm);
	if (!has_algorithm)
		return token_form_refuse(reason,
			"the token's alg is not one that %s tokens are accepted with",
			wanted->is_handler ? "handlers'" : "users'");
	if (count == 0)
		return token_form_refuse(reason, "the token's kid is that of no key");
	if (count > 1)
		return token_form_refuse(
			reason, "the token has no kid, and there are several keys for its alg");
	*ret_key = key;
	return 0;
}

void token_keys_clear(struct token_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		token_key_clear(&keys->keys[i]);
	keys->count = 0;
}
