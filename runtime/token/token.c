/*
 * token.c - see token.h. libjwt signs; token_verify.c verifies, with one secret for all.
 *
 * Failure modes: a name or a lifetime that no token can have, a token that has not the form of one, no memory.
 */
#include "token.h"

#include "json_memory.h"
#include "text_line.h"
#include "token_filters.h"
#include "token_form.h"
#include "token_verify.h"
#include "topic.h"

#include <errno.h>
#include <jwt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void text_cleanup(char **text)
{
	free(*text);
}

/* Freed with free(); NULL when out of memory, of which json_dumps() does not always tell. */
static char *json_write(const json_t *json, size_t flags)
{
	json_memory_begin();
	char *text = json_dumps(json, flags);
	if (json_memory_end()) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- Reading ---- */

int token_verify(const char *secret, const char *token, size_t token_size, int64_t now, bool allow_unexpiring,
	struct token_identity *ret_identity, char reason[static TOKEN_REASON_SIZE])
{
	if (secret[0] == '\0')
		return token_form_refuse(reason, "there is no secret to verify the token with");
	struct token_key key;
	int error = token_key_from_secret(secret, &key, reason);
	if (error != 0)
		return error;
	key.for_users = key.for_handlers = true;
	const struct token_rules rules = {.allow_unexpiring = allow_unexpiring};
	struct token_keys keys = {.count = 0};
	error = token_keys_add(&keys, &key, reason);
	if (error == 0)
		error = token_verify_with(&keys, &rules, token, token_size, now, ret_identity, reason);
	token_keys_clear(&keys);
	return error;
}

/* To jansson DEL is as good as any letter; a terminal may rub something out. Takes the text over; NULL when out of memory. */
static char *delete_escaped(char *owned_text)
{
	static const char escape[] = "\\u007F";
	__attribute__((cleanup(text_cleanup))) char *text = owned_text;
	size_t count = 0;
	for (const char *at = text; text && (at = strchr(at, 0x7f)); at++)
		count++;
	if (count == 0) {
		text = NULL;
		return owned_text;
	}
	char *to = malloc(strlen(text) + count * (sizeof(escape) - 2) + 1), *const escaped = to;
	if (!escaped)
		return NULL;
	for (const char *at = text; *at != '\0'; at++) {
		const bool escapes = *at == 0x7f;
		const size_t size = escapes ? sizeof(escape) - 1 : 1;
		memcpy(to, escapes ? escape : at, size);
		to += size;
	}
	*to = '\0';
	return escaped;
}

static int segment_show(struct token_form_segment segment, const char *what, char **ret_text, char *reason)
{
	unsigned char bytes[TOKEN_FORM_BYTES_MAX];
	size_t size = 0;
	json_auto_t *json = NULL;
	int error = token_form_decode(segment, what, bytes, &size, reason);
	if (error == 0)
		error = token_form_parse(bytes, size, what, &json, reason);
	if (error != 0)
		return error;
	char *text = delete_escaped(json_write(json, JSON_ENSURE_ASCII));
	if (text)
		*ret_text = text;
	return text ? 0 : -ENOMEM;
}

int token_show(const char *token, size_t token_size, char **ret_header, char **ret_claims,
	char reason[static TOKEN_REASON_SIZE])
{
	struct token_form_segment segments[TOKEN_FORM_PARTS];
	__attribute__((cleanup(text_cleanup))) char *header = NULL;
	int error = token_form_cut(token, token_size, segments, reason);
	if (error == 0)
		error = segment_show(segments[TOKEN_FORM_HEADER], "header", &header, reason);
	if (error == 0)
		error = segment_show(segments[TOKEN_FORM_CLAIMS], "claims segment", ret_claims, reason);
	if (error != 0)
		return error;
	*ret_header = header;
	header = NULL;
	return 0;
}

const char *token_oddity(const char *text, size_t size)
{
	static const char bearer[] = "Bearer";
	if (size == 0)
		return "is empty";
	if (size >= 3 && memcmp(text, "\ufeff", 3) == 0)
		return "begins with a byte order mark";
	if (strchr("\"'`", text[0]) || strchr("\"'`", text[size - 1]))
		return "has quotes around the token";
	if (size > sizeof(bearer) - 1 && strncasecmp(text, bearer, sizeof(bearer) - 1) == 0 &&
		(text[sizeof(bearer) - 1] == ' ' || text[sizeof(bearer) - 1] == ':'))
		return "begins with \"Bearer\", which belongs to HTTP";
	for (size_t i = 0; i < size; i++)
		if (strchr(" \t\v\f\r\n", text[i]))
			return i == 0 || i == size - 1 ? "has blanks around the token"
						       : "has blanks within the token";
	return NULL;
}

/* ---- Signing ---- */

/* Where libjwt finds no memory in jansson it signs a part of the claims, or crashes: so it gets a reserve. */
static int claims_sign(const char *secret, const char *claims, char **ret_token)
{
	if (!json_memory_begin_reserved())
		return -ENOMEM;
	jwt_t *jwt = NULL;
	char *token = NULL;
	if (jwt_new(&jwt) == 0 && jwt_add_grants_json(jwt, claims) == 0 &&
		jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)strlen(secret)) == 0)
		token = jwt_encode_str(jwt);
	jwt_free(jwt);
	if (json_memory_end() || !token) {
		free(token);
		return -ENOMEM;
	}
	*ret_token = token;
	return 0;
}

/* Adds the times to the claims, signs them, and takes over the reference, also on failure. */
static int token_sign(
	const char *secret, json_t *owned_claims, int64_t now, int64_t lifetime_s, char **ret_token)
{
	json_auto_t *claims = owned_claims;
	int64_t expires;
	if (!claims)
		return -ENOMEM;
	if (secret[0] == '\0' || strlen(secret) > INT_MAX || lifetime_s <= 0 ||
		__builtin_add_overflow(now, lifetime_s, &expires))
		return -EINVAL;
	if (json_object_set_new(claims, "iat", json_integer(now)) != 0 ||
		json_object_set_new(claims, "exp", json_integer(expires)) != 0)
		return -ENOMEM;
	__attribute__((cleanup(text_cleanup))) char *text = json_write(claims, JSON_COMPACT);
	return text ? claims_sign(secret, text, ret_token) : -ENOMEM;
}

int token_sign_user(
	const char *secret, const char *user_id, int64_t now, int64_t lifetime_s, char **ret_token)
{
	if (!topic_user_valid(user_id, strlen(user_id)))
		return -EINVAL;
	return token_sign(secret, json_pack("{s:s}", "user_id", user_id), now, lifetime_s, ret_token);
}

int token_sign_handler(
	const char *secret, const char *name, int64_t now, int64_t lifetime_s, char **ret_token)
{
	if (!topic_user_valid(name, strlen(name)))
		return -EINVAL;
	return token_sign(
		secret, json_pack("{s:{s:s}}", "handler", "name", name), now, lifetime_s, ret_token);
}

/* json_pack() has no list of texts. A list that is NULL is none. */
static int list_set(
	json_t *handler, enum token_filters_kind kind, const char *const *filters, size_t count, char *reason)
{
	const char *name = token_filters_name(kind);
	if (!filters)
		return 0;
	json_auto_t *list = json_array();
	for (size_t i = 0; list && i < count; i++) {
		if (!text_is_utf8(filters[i], strlen(filters[i])))
			return token_form_refuse(reason, "the token's handler.%s[%zu] is not UTF-8", name, i);
		if (json_array_append_new(list, json_string(filters[i])) != 0)
			return -ENOMEM;
	}
	return json_object_set(handler, name, list) == 0 ? 0 : -ENOMEM;
}

int token_sign_locked_handler(const char *secret, const char *name, const struct token_topics *topics,
	int64_t now, int64_t lifetime_s, char **ret_token, char reason[static TOKEN_REASON_SIZE])
{
	__attribute__((cleanup(text_cleanup))) char *filters = NULL, *token = NULL;
	if (!topic_user_valid(name, strlen(name)))
		return -EINVAL;
	json_auto_t *claims = json_pack("{s:{s:s}}", "handler", "name", name);
	json_t *handler = json_object_get(claims, "handler");
	int error = handler ? 0 : -ENOMEM;
	if (error == 0)
		error = list_set(
			handler, TOKEN_FILTERS_SUBSCRIBE, topics->subscribe, topics->subscribe_count, reason);
	if (error == 0)
		error = list_set(
			handler, TOKEN_FILTERS_PUBLISH, topics->publish, topics->publish_count, reason);
	if (error == 0)
		error = list_set(handler, TOKEN_FILTERS_CLIENT_IDS, topics->client_ids,
			topics->client_ids_count, reason);
	if (error == 0)
		error = token_filters_read(claims, handler, &filters, reason);
	if (error == 0)
		error = token_sign(secret, json_incref(claims), now, lifetime_s, &token);
	if (error == 0 && strlen(token) > TOKEN_SIZE_MAX)
		return token_form_refuse(reason,
			"the token would have more than %d bytes: its lists are long", TOKEN_SIZE_MAX);
	if (error != 0)
		return error;
	*ret_token = token;
	token = NULL;
	return 0;
}
