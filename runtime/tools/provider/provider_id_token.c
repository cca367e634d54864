/* provider_id_token.c - see provider_id_token.h. */
#include "provider_id_token.h"

#include "token_form.h"

#include <stdio.h>
#include <stdlib.h>

enum { SUBJECT_MAX = 255 }; /* bytes of a sub (OpenID Connect Core 1.0, section 2) */

/* One of the token's first two parts; a new reference. 0, TOKEN_E_REFUSED, -ENOMEM. */
static int part_read(
	const char *token, size_t size, enum token_form_part part, json_t **ret_json, char *reason)
{
	static const char *const names[] = {"header", "claims segment"};
	struct token_form_segment segments[TOKEN_FORM_PARTS];
	unsigned char bytes[TOKEN_FORM_BYTES_MAX];
	size_t bytes_size = 0;
	int error = token_form_cut(token, size, segments, reason);
	if (error == 0)
		error = token_form_decode(segments[part], names[part], bytes, &bytes_size, reason);
	return error != 0 ? error : token_form_parse(bytes, bytes_size, names[part], ret_json, reason);
}

/* ---- The claims, for which a signature vouches already ---- */

/*
 * A provider signs more with its keys than ID tokens. RFC 9068's access tokens have a typ in their header (at+jwt), which token_verify.h refuses; these
 * have not: Keycloak's say in their claims what they are, and a logout token has events (OpenID Connect Back-Channel Logout 1.0, section 2.4).
 */
static int kind_check(const json_t *claims, char *reason)
{
	const json_t *type = json_object_get(claims, "typ");
	if (type && !token_form_equal(type, "ID"))
		return token_form_refuse(
			reason, "the token is no ID token: its claims say that it is of another typ");
	if (json_object_get(claims, "events"))
		return token_form_refuse(
			reason, "the token is no ID token: it has events, as a logout token has");
	return 0;
}

static int claims_check(const json_t *claims, const struct provider_id_token_rules *rules, char *reason)
{
	const json_t *subject = json_object_get(claims, "sub");
	const size_t subject_size = json_is_string(subject) ? json_string_length(subject) : 0;
	const int error = kind_check(claims, reason);
	if (error != 0)
		return error;
	if (subject_size == 0 || subject_size > SUBJECT_MAX)
		return token_form_refuse(
			reason, "the token has no sub of 1 to %d bytes, as every ID token has", SUBJECT_MAX);
	if (!json_object_get(claims, "iat"))
		return token_form_refuse(reason, "the token has no iat, as every ID token has");
	if (rules->nonce && !token_form_equal(json_object_get(claims, "nonce"), rules->nonce))
		return token_form_refuse(reason, "the token's nonce is not the one that is expected");
	return 0;
}

int provider_id_token_verify(const struct token_keys *keys, const struct provider_id_token_rules *rules,
	const char *token, size_t size, int64_t now, struct token_identity *ret_identity,
	char reason[static PROVIDER_REASON_SIZE])
{
	const struct token_rules common = {.claim_user = rules->claim_user,
		.issuer = rules->issuer,
		.audiences = rules->client_ids,
		.trusted = rules->trusted};
	struct token_identity identity;
	json_auto_t *claims = NULL;
	char words[TOKEN_REASON_SIZE] = "";
	int error = token_verify_with(keys, &common, token, size, now, &identity, words);
	if (error == 0)
		error = part_read(token, size, TOKEN_FORM_CLAIMS, &claims, words);
	/* A provider's keys are keys for users. */
	if (error == 0 && identity.is_handler)
		abort();
	if (error == 0)
		error = claims_check(claims, rules, words);
	if (error == TOKEN_E_REFUSED) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "%s", words);
		return PROVIDER_E_TOKEN;
	}
	if (error == 0)
		*ret_identity = identity;
	return error;
}

/* ---- Its key ---- */

static bool has_key(const struct token_keys *keys, const json_t *id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (keys->keys[i].id[0] != '\0' && token_form_equal(id, keys->keys[i].id))
			return true;
	return false;
}

int provider_id_token_lacks_key(
	const struct token_keys *keys, const char *token, size_t size, bool *ret_lacks)
{
	char words[TOKEN_REASON_SIZE];
	json_auto_t *header = NULL;
	const int error = part_read(token, size, TOKEN_FORM_HEADER, &header, words);
	if (error != 0 && error != TOKEN_E_REFUSED)
		return error;
	const json_t *algorithm = json_object_get(header, "alg"), *id = json_object_get(header, "kid");
	const bool is_theirs = token_form_equal(algorithm, "RS256") || token_form_equal(algorithm, "ES256");
	const bool has_id = json_is_string(id) && json_string_length(id) > 0 &&
			    json_string_length(id) <= TOKEN_KEY_ID_MAX;
	*ret_lacks = is_theirs && (keys->count == 0 || (has_id && !has_key(keys, id)));
	return 0;
}
