/*
 * token_verify.c - see token_verify.h.
 *
 * Which key a token is for has to be known before the claims are parsed, and hangs on whether they have a `handler`. So their bytes are looked through
 * for that name, which costs little and decides nothing else: the parsed claims must then fit the key that was chosen. A token that is written so that
 * the look is mistaken is tried with the wrong key, and refused.
 */
#include "token_verify.h"

#include "token_filters.h"
#include "token_form.h"
#include "topic.h"

#include <stdlib.h>
#include <string.h>

void token_identity_clear(struct token_identity *identity)
{
	free(identity->filters);
	identity->filters = NULL;
}

/* ---- The header ---- */

static int header_read(const json_t *header, struct token_keys_wanted *wanted, char *reason)
{
	const json_t *algorithm = json_object_get(header, "alg"), *type = json_object_get(header, "typ"),
		     *id = json_object_get(header, "kid");
	if (!json_is_string(algorithm))
		return token_form_refuse(reason, "the token's alg is not a text");
	if (type && !token_form_equal(type, "JWT"))
		return token_form_refuse(reason, "the token's typ is not \"JWT\"");
	if (json_object_get(header, "crit"))
		return token_form_refuse(
			reason, "the token's header has a crit: no extension is understood here");
	if (id && (!json_is_string(id) || json_string_length(id) > TOKEN_KEY_ID_MAX))
		return token_form_refuse(
			reason, "the token's kid is not a text of %d bytes at most", TOKEN_KEY_ID_MAX);
	wanted->algorithm = json_string_value(algorithm);
	wanted->id = id ? json_string_value(id) : NULL;
	return 0;
}

/* ---- The signature ---- */

/* The end of the text that begins behind a quote at `at`: where its other quote is, or `size`. */
static size_t text_end(const unsigned char *bytes, size_t size, size_t at)
{
	while (at < size && bytes[at] != '"')
		at += bytes[at] == '\\' ? 2 : 1;
	return at < size ? at : size;
}

/* Whether an object's own name, not that of an object in it, seems to be "handler". Any bytes. */
static bool names_handler(const unsigned char *bytes, size_t size)
{
	static const char name[] = "handler";
	size_t depth = 0;
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '{' || bytes[i] == '[')
			depth++;
		else if ((bytes[i] == '}' || bytes[i] == ']') && depth > 0)
			depth--;
		if (bytes[i] != '"')
			continue;
		const size_t begin = i + 1;
		i = text_end(bytes, size, begin);
		if (depth != 1 || i - begin != sizeof(name) - 1 ||
			memcmp(bytes + begin, name, sizeof(name) - 1) != 0)
			continue;
		size_t next = i + 1;
		while (next < size && memchr(" \t\r\n", bytes[next], 4))
			next++;
		if (next < size && bytes[next] == ':')
			return true;
	}
	return false;
}

static int signature_check(const struct token_key *key, const char *token,
	const struct token_form_segment segments[static TOKEN_FORM_PARTS], char *reason)
{
	static const char *const forms[] = {
		[TOKEN_KEY_HS256] = "a SHA-256 HMAC",
		[TOKEN_KEY_RS256] = "one by an RSA key of the size that its key has,",
		[TOKEN_KEY_ES256] = "two numbers of 32 bytes",
	};
	const struct token_form_segment claims = segments[TOKEN_FORM_CLAIMS];
	unsigned char bytes[TOKEN_FORM_BYTES_MAX];
	size_t size = 0;
	if (token_form_decode(segments[TOKEN_FORM_SIGNATURE], "signature", bytes, &size, reason) != 0 ||
		size != token_key_signature_size(key))
		return token_form_refuse(
			reason, "the token's signature is not %s in base64url", forms[key->algorithm]);
	if (!token_key_signed(key, token, (size_t)(claims.text + claims.size - token), bytes, size))
		return token_form_refuse(reason,
			"the token's signature does not match: it was signed with another %s, or changed",
			key->algorithm == TOKEN_KEY_HS256 ? "secret" : "key");
	return 0;
}

/* ---- The claims ---- */

/* *ret_time stays as it is where the claim is missing. */
static int claim_time(const json_t *claims, const char *name, int64_t *ret_time, char *reason)
{
	const json_t *claim = json_object_get(claims, name);
	if (!claim)
		return 0;
	if (!json_is_integer(claim))
		return token_form_refuse(reason, "the token's %s is not an integer", name);
	*ret_time = json_integer_value(claim);
	return 0;
}

static int times_check(const json_t *claims, const struct token_rules *rules, int64_t now,
	struct token_identity *identity, char *reason)
{
	int64_t issued = INT64_MIN, not_before = INT64_MIN, expires = INT64_MAX;
	int error = claim_time(claims, "iat", &issued, reason);
	if (error == 0)
		error = claim_time(claims, "nbf", &not_before, reason);
	if (error == 0)
		error = claim_time(claims, "exp", &expires, reason);
	if (error != 0)
		return error;
	if (!rules->allow_unexpiring && !json_object_get(claims, "exp"))
		return token_form_refuse(reason,
			"the token has no exp: tokens that never expire are refused, unless the broker says plugin_opt_allow_unexpiring_tokens on");
	if (now >= expires)
		return token_form_refuse(reason, "the token has expired");
	if (issued > now + TOKEN_LEEWAY_S)
		return token_form_refuse(
			reason, "the token was issued in the future: see the clocks of both machines");
	if (not_before > now + TOKEN_LEEWAY_S)
		return token_form_refuse(reason, "the token is not valid yet");
	/* iat may be anything, if signed so: the difference may not fit into 64 bits. */
	int64_t lifetime_s;
	if (rules->lifetime_max_s > 0 &&
		(__builtin_sub_overflow(expires, issued == INT64_MIN ? now : issued, &lifetime_s) ||
			lifetime_s > rules->lifetime_max_s))
		return token_form_refuse(
			reason, "the token is valid for more than %lld s", (long long)rules->lifetime_max_s);
	identity->expires = expires;
	identity->issued = issued;
	return 0;
}

static int id_read(const json_t *claims, struct token_identity *identity, char *reason)
{
	const json_t *id = json_object_get(claims, "jti");
	const size_t size = json_is_string(id) ? json_string_length(id) : 0;
	if (!id)
		return 0;
	if (!json_is_string(id) || size > TOKEN_ID_MAX)
		return token_form_refuse(
			reason, "the token's jti is not a text of %d bytes at most", TOKEN_ID_MAX);
	memcpy(identity->id, json_string_value(id), size + 1);
	return 0;
}

static bool is_one_of(const json_t *claim, const struct token_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		if (token_form_equal(claim, texts->texts[i]))
			return true;
	return false;
}

/* Whom a user's token is for, and whom it was made for. */
static int audience_check(const json_t *claims, const struct token_rules *rules, char *reason)
{
	const json_t *audience = json_object_get(claims, "aud"), *party = json_object_get(claims, "azp");
	bool ours = is_one_of(audience, &rules->audiences), strange = false;
	for (size_t i = 0; i < json_array_size(audience); i++) {
		const json_t *one = json_array_get(audience, i);
		const bool is_ours = is_one_of(one, &rules->audiences);
		ours = ours || is_ours;
		strange = strange || (!is_ours && !is_one_of(one, &rules->trusted));
	}
	if (!ours)
		return token_form_refuse(reason, "the token's aud is not the audience that is expected");
	if (strange)
		return token_form_refuse(
			reason, "the token's aud also holds another one, which nobody said to trust");
	if (party && !is_one_of(party, &rules->audiences) && !is_one_of(party, &rules->parties))
		return token_form_refuse(reason,
			"the token's azp is not one that is expected: it was made for another client");
	return 0;
}

/* Where a user's token comes from, and whom it is for. */
static int origin_check(const json_t *claims, const struct token_rules *rules, char *reason)
{
	if (rules->issuer && !token_form_equal(json_object_get(claims, "iss"), rules->issuer))
		return token_form_refuse(reason, "the token's iss is not the issuer that is expected");
	return rules->audiences.count > 0 ? audience_check(claims, rules, reason) : 0;
}

static int name_read(
	const json_t *json, const char *what, char ret_name[static USER_ID_MAX + 1], char *reason)
{
	if (!json_is_string(json))
		return token_form_refuse(reason, "the token's %.64s is not a text", what);
	const size_t size = json_string_length(json);
	if (!topic_user_valid(json_string_value(json), size))
		return token_form_refuse(
			reason, "the token's %.64s is not 1 to %d of A-Z a-z 0-9 . _ | -", what, USER_ID_MAX);
	memcpy(ret_name, json_string_value(json), size + 1);
	return 0;
}

/* A user_id beside it gives no right. One that could be no user's is a sign that something else is wrong with the token. */
static int handler_read(
	const json_t *claims, const json_t *handler, struct token_identity *identity, char *reason)
{
	const json_t *user = json_object_get(claims, "user_id");
	char ignored[USER_ID_MAX + 1];
	identity->is_handler = true;
	if (!json_is_object(handler))
		return token_form_refuse(reason, "the token's handler is not an object");
	if (!json_object_get(handler, "name"))
		return token_form_refuse(reason, "the token has no handler.name");
	const int error = user ? name_read(user, "user_id", ignored, reason) : 0;
	return error ? error
		     : name_read(json_object_get(handler, "name"), "handler.name", identity->name, reason);
}

/* Whether the list, names separated by commas, holds the name. */
static bool list_holds(const char *list, const char *name)
{
	const size_t size = strlen(name);
	for (const char *at = list;; at++) {
		const size_t field = strcspn(at, ",");
		if (field == size && memcmp(at, name, size) == 0)
			return true;
		at += field;
		if (*at == '\0')
			return false;
	}
}

static int identity_read(
	const json_t *claims, const struct token_rules *rules, struct token_identity *identity, char *reason)
{
	const json_t *handler = json_object_get(claims, "handler");
	const char *claim = rules->claim_user ? rules->claim_user : "user_id";
	if (handler) {
		const int error = handler_read(claims, handler, identity, reason);
		if (error == 0 && rules->handler_names && !list_holds(rules->handler_names, identity->name))
			return token_form_refuse(
				reason, "handler %s is not one of those that are let in", identity->name);
		return error ? error : token_filters_read(claims, handler, &identity->filters, reason);
	}
	const json_t *user = json_object_get(claims, claim);
	if (!user)
		return token_form_refuse(reason, "the token has no %.64s and no handler", claim);
	const int error = origin_check(claims, rules, reason);
	return error ? error : name_read(user, claim, identity->user_id, reason);
}

static int claims_check(const struct token_key *key, const struct token_rules *rules, const json_t *claims,
	int64_t now, struct token_identity *ret_identity, char *reason)
{
	struct token_identity identity = {0};
	int error = times_check(claims, rules, now, &identity, reason);
	if (error == 0)
		error = id_read(claims, &identity, reason);
	if (error == 0)
		error = identity_read(claims, rules, &identity, reason);
	if (error != 0)
		return error;
	if (!(identity.is_handler ? key->for_handlers : key->for_users)) {
		token_identity_clear(&identity);
		return token_form_refuse(reason, "a %s token does not count under a key for %s tokens",
			identity.is_handler ? "handler's" : "user's",
			identity.is_handler ? "users'" : "handlers'");
	}
	*ret_identity = identity;
	return 0;
}

int token_verify_with(const struct token_keys *keys, const struct token_rules *rules, const char *token,
	size_t token_size, int64_t now, struct token_identity *ret_identity,
	char reason[static TOKEN_REASON_SIZE])
{
	struct token_form_segment segments[TOKEN_FORM_PARTS];
	unsigned char bytes[TOKEN_FORM_BYTES_MAX];
	size_t size = 0;
	int error = token_form_cut(token, token_size, segments, reason);
	if (error == 0)
		error = token_form_decode(segments[TOKEN_FORM_HEADER], "header", bytes, &size, reason);
	json_auto_t *header = NULL, *claims = NULL;
	struct token_keys_wanted wanted = {.is_handler = false};
	if (error == 0)
		error = token_form_parse(bytes, size, "header", &header, reason);
	if (error == 0)
		error = header_read(header, &wanted, reason);
	if (error == 0)
		error = token_form_decode(
			segments[TOKEN_FORM_CLAIMS], "claims segment", bytes, &size, reason);
	const struct token_key *key = NULL;
	if (error == 0) {
		wanted.is_handler = names_handler(bytes, size);
		error = token_keys_choose(keys, &wanted, &key, reason);
	}
	if (error == 0)
		error = signature_check(key, token, segments, reason);
	if (error == 0)
		error = token_form_parse(bytes, size, "claims segment", &claims, reason);
	if (error == 0)
		error = claims_check(key, rules, claims, now, ret_identity, reason);
	return error;
}
