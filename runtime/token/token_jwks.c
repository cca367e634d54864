/*
 * token_jwks.c - see token_jwks.h.
 *
 * A key's algorithm is what its kind allows: RSA is for RS256, a point on P-256 for ES256. Its `alg` can only say that it is for something else.
 */
#include "token_jwks.h"

#include "json_memory.h"
#include "token_base64.h"
#include "token_form.h"

#include <errno.h>
#include <string.h>

enum {
	NUMBER_MAX = 2048
}; /* bytes of a modulus: twice the largest that token_key.h takes, so that it can say what is wrong */

enum verdict { VERDICT_USE, VERDICT_PASS };

static bool is_text(const json_t *json, const char *text)
{
	return json && token_form_equal(json, text);
}

/* RFC 7518 sections 6.2.2, 6.3.2 and 6.4. */
static const char *private_member(const json_t *jwk)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(jwk, names[i]))
			return names[i];
	return NULL;
}

/* Without key_ops all are allowed. */
static bool may_verify(const json_t *jwk)
{
	const json_t *operations = json_object_get(jwk, "key_ops"), *use = json_object_get(jwk, "use");
	if (use && !is_text(use, "sig"))
		return false;
	if (!operations)
		return true;
	for (size_t i = 0; i < json_array_size(operations); i++)
		if (is_text(json_array_get(operations, i), "verify"))
			return true;
	return false;
}

static enum verdict look(const json_t *jwk, enum token_key_algorithm *ret_algorithm)
{
	const json_t *kind = json_object_get(jwk, "kty"), *algorithm = json_object_get(jwk, "alg");
	const bool is_rsa = is_text(kind, "RSA"), is_curve = is_text(kind, "EC");
	if ((!is_rsa && !is_curve) || !may_verify(jwk))
		return VERDICT_PASS;
	/* Whoever says ES256 and has another curve is wrong, and is told so by token_key.h's reading of the point. */
	if (is_curve && !is_text(algorithm, "ES256") && !is_text(json_object_get(jwk, "crv"), "P-256"))
		return VERDICT_PASS;
	*ret_algorithm = is_rsa ? TOKEN_KEY_RS256 : TOKEN_KEY_ES256;
	return !algorithm || is_text(algorithm, token_key_algorithm_name(*ret_algorithm)) ? VERDICT_USE
											  : VERDICT_PASS;
}

/* The size of a member in base64url, or -1. */
static int member(const json_t *jwk, const char *name, unsigned char bytes[static NUMBER_MAX])
{
	const json_t *text = json_object_get(jwk, name);
	if (!json_is_string(text))
		return -1;
	return token_base64_decode(json_string_value(text), json_string_length(text), bytes, NUMBER_MAX);
}

static int rsa_read(const json_t *jwk, struct token_key *ret_key, char *reason)
{
	unsigned char modulus[NUMBER_MAX], exponent[NUMBER_MAX];
	const int modulus_size = member(jwk, "n", modulus), exponent_size = member(jwk, "e", exponent);
	if (modulus_size < 0 || exponent_size < 0)
		return token_form_refuse(reason, "has no n and e in base64url");
	return token_key_from_rsa(
		modulus, (size_t)modulus_size, exponent, (size_t)exponent_size, ret_key, reason);
}

static int point_read(const json_t *jwk, struct token_key *ret_key, char *reason)
{
	unsigned char x[NUMBER_MAX], y[NUMBER_MAX];
	if (!is_text(json_object_get(jwk, "crv"), "P-256"))
		return token_form_refuse(reason, "is for ES256 and not on the curve P-256");
	if (member(jwk, "x", x) != TOKEN_KEY_COORDINATE_SIZE ||
		member(jwk, "y", y) != TOKEN_KEY_COORDINATE_SIZE)
		return token_form_refuse(
			reason, "has no x and y of %d bytes in base64url", TOKEN_KEY_COORDINATE_SIZE);
	return token_key_from_point(x, y, ret_key, reason);
}

/* "": there is none. */
static int id_read(const json_t *jwk, char ret_id[static TOKEN_KEY_ID_MAX + 1], char *reason)
{
	const json_t *id = json_object_get(jwk, "kid");
	ret_id[0] = '\0';
	if (!id)
		return 0;
	const size_t size = json_is_string(id) ? json_string_length(id) : 0;
	bool good = size > 0 && size <= TOKEN_KEY_ID_MAX;
	/* It stands in the log where two keys have the same. */
	for (size_t i = 0; i < size && good; i++)
		good = json_string_value(id)[i] >= ' ' && json_string_value(id)[i] <= '~';
	if (!good)
		return token_form_refuse(reason,
			"has a kid that is no text of 1 to %d printable ASCII characters", TOKEN_KEY_ID_MAX);
	memcpy(ret_id, json_string_value(id), size + 1);
	return 0;
}

static int key_read(const json_t *jwk, struct token_keys *keys, size_t *passed_over, char *reason)
{
	if (!json_is_object(jwk) || !json_is_string(json_object_get(jwk, "kty")))
		return token_form_refuse(reason, "is no object with a kty");
	const char *name = private_member(jwk);
	if (name)
		return token_form_refuse(
			reason, "has the member %s of a private one: only public ones belong here", name);
	enum token_key_algorithm algorithm;
	if (look(jwk, &algorithm) == VERDICT_PASS) {
		(*passed_over)++;
		return 0;
	}
	struct token_key key = {0};
	char id[TOKEN_KEY_ID_MAX + 1];
	int error = id_read(jwk, id, reason);
	if (error == 0)
		error = algorithm == TOKEN_KEY_RS256 ? rsa_read(jwk, &key, reason)
						     : point_read(jwk, &key, reason);
	if (error != 0)
		return error;
	memcpy(key.id, id, sizeof(id));
	key.for_users = true;
	return token_keys_add(keys, &key, reason);
}

static int set_read(const json_t *set, struct token_keys *keys, size_t *ret_passed_over, char *reason)
{
	const json_t *list = json_object_get(set, "keys");
	size_t passed_over = 0;
	if (!json_is_array(list))
		return token_form_refuse(reason, "is no JWK Set: it has no list of keys");
	const size_t count = json_array_size(list);
	for (size_t i = 0; i < count; i++) {
		char words[TOKEN_REASON_SIZE] = "";
		const int error = key_read(json_array_get(list, i), keys, &passed_over, words);
		if (error == TOKEN_E_REFUSED)
			return token_form_refuse(
				reason, "has a bad key: number %zu of %zu %.110s", i + 1, count, words);
		if (error != 0)
			return error;
	}
	if (passed_over == count)
		return token_form_refuse(
			reason, "has no key for RS256 or ES256 signatures among its %zu", count);
	*ret_passed_over = passed_over;
	return 0;
}

int token_jwks_read(
	const char *text, size_t size, struct token_keys *keys, size_t *ret_passed_over, char *reason)
{
	if (size > TOKEN_KEY_FILE_MAX)
		return token_form_refuse(reason, "is larger than %d bytes", TOKEN_KEY_FILE_MAX);
	json_error_t error;
	json_memory_begin();
	json_auto_t *set = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (json_memory_end())
		return -ENOMEM;
	if (!json_is_object(set))
		return token_form_refuse(reason, "is no JSON object, or only a part of one");
	return set_read(set, keys, ret_passed_over, reason);
}
