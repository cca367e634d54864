/*
 * token.c - JSON Web Tokens behind a strict gate: see token.h.
 *
 * Happy path of a check: the raw bytes are cut into three segments; header and claims are decoded and parsed,
 * strictly; libjwt verifies the signature over the same bytes; then the claims are read from what the gate
 * parsed. The gate comes first, so libjwt sees only small tokens of the one form that we make ourselves.
 * Failure modes: a token that is refused (TOKEN_E_REFUSED and the reason, which quotes nothing of the token),
 * and no memory.
 */
#include "token.h"

#include "json_memory.h"
#include "topic.h"

#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	SIGNATURE_SIZE = 43,			  /* 32 bytes in base64url without padding */
	DECODED_MAX = TOKEN_SIZE_MAX / 4 * 3 + 3, /* what the longest segment decodes to, at most */
};

struct segment {
	const char *text;
	size_t size;
};

static void jwt_cleanup(jwt_t **jwt)
{
	jwt_free(*jwt);
}

static void text_cleanup(char **text)
{
	free(*text);
}

#define jwt_auto_t __attribute__((cleanup(jwt_cleanup))) jwt_t

__attribute__((format(printf, 2, 3), warn_unused_result)) static int refuse(
	char *reason, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(reason, TOKEN_REASON_SIZE, format, arguments);
	va_end(arguments);
	return TOKEN_E_REFUSED;
}

/* ---- base64url ---- */

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* RFC 4648 section 5 without padding, in its one canonical form: bits that carry nothing are zero. The size, or -1. */
static int base64url_decode(struct segment segment, unsigned char bytes[static DECODED_MAX])
{
	unsigned bits = 0, bit_count = 0;
	int size = 0;
	for (size_t i = 0; i < segment.size; i++) {
		int value = base64url_value(segment.text[i]);
		if (value < 0)
			return -1;
		bits = bits << 6 | (unsigned)value;
		bit_count += 6;
		if (bit_count >= 8) {
			bit_count -= 8;
			bytes[size++] = (unsigned char)(bits >> bit_count);
			bits &= (1U << bit_count) - 1;
		}
	}
	return bit_count == 6 || bits != 0 ? -1 : size;
}

/* ---- The gate ---- */

static int segments_cut(const char *token, size_t token_size, struct segment segments[static 3], char *reason)
{
	if (token_size == 0)
		return refuse(reason, "the token is empty");
	if (token_size > TOKEN_SIZE_MAX)
		return refuse(reason, "the token is larger than %d bytes", TOKEN_SIZE_MAX);
	const char *next = token, *end = token + token_size;
	for (size_t i = 0; i < 3; i++) {
		const char *dot = i < 2 ? memchr(next, '.', (size_t)(end - next)) : end;
		if (!dot || memchr(next, '.', (size_t)(dot - next)) != NULL) {
			return refuse(reason,
				"the token is no JSON Web Token: expected three segments joined by dots");
		}
		if (dot == next) {
			return refuse(reason, "the token's %s is empty",
				i == 0	 ? "header"
				: i == 1 ? "claims segment"
					 : "signature");
		}
		segments[i] = (struct segment){next, (size_t)(dot - next)};
		next = dot + 1;
	}
	return 0;
}

static int segment_parse(struct segment segment, const char *what, json_t **ret_json, char *reason)
{
	unsigned char bytes[DECODED_MAX];
	int size = base64url_decode(segment, bytes);
	if (size < 0)
		return refuse(reason, "the token's %s is not base64url", what);
	json_error_t error;
	json_memory_begin();
	json_auto_t *json = json_loadb((const char *)bytes, (size_t)size, JSON_REJECT_DUPLICATES, &error);
	if (json_memory_end())
		return -ENOMEM;
	if (!json) {
		const enum json_error_code code = json_error_code(&error);
		if (code == json_error_duplicate_key)
			return refuse(reason, "the token's %s has a duplicate key", what);
		return refuse(reason, "the token's %s is not a JSON object", what);
	}
	if (!json_is_object(json))
		return refuse(reason, "the token's %s is not a JSON object", what);
	*ret_json = json_incref(json);
	return 0;
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

static bool text_equal(const json_t *json, const char *expected)
{
	return json_is_string(json) && json_string_length(json) == strlen(expected) &&
	       memcmp(json_string_value(json), expected, strlen(expected)) == 0;
}

static int header_check(const json_t *header, char *reason)
{
	if (!text_equal(json_object_get(header, "alg"), "HS256"))
		return refuse(reason, "the token's alg is not \"HS256\"");
	const json_t *type = json_object_get(header, "typ");
	if (type && !text_equal(type, "JWT"))
		return refuse(reason, "the token's typ is not \"JWT\"");
	if (json_object_get(header, "crit"))
		return refuse(reason, "the token's header has a crit: no extension is understood here");
	return 0;
}

/* ---- Signature and claims ---- */

static int signature_check(
	const char *secret, const char *token, size_t token_size, struct segment signature, char *reason)
{
	unsigned char bytes[DECODED_MAX];
	if (signature.size != SIGNATURE_SIZE || base64url_decode(signature, bytes) < 0)
		return refuse(reason, "the token's signature is not a SHA-256 HMAC in base64url");
	char text[TOKEN_SIZE_MAX + 1];
	memcpy(text, token, token_size);
	text[token_size] = '\0';
	jwt_auto_t *jwt = NULL;
	json_memory_begin();
	int error = jwt_decode(&jwt, text, (const unsigned char *)secret, (int)strlen(secret));
	if (json_memory_end() || error == ENOMEM)
		return -ENOMEM;
	if (error != 0 || jwt_get_alg(jwt) != JWT_ALG_HS256) {
		return refuse(reason,
			"the token's signature does not match: it was signed with another secret, or changed");
	}
	return 0;
}

/* *ret_time stays as it is where the claim is missing. */
static int claim_time(const json_t *claims, const char *name, int64_t *ret_time, char *reason)
{
	const json_t *claim = json_object_get(claims, name);
	if (!claim)
		return 0;
	if (!json_is_integer(claim))
		return refuse(reason, "the token's %s is not an integer", name);
	*ret_time = json_integer_value(claim);
	return 0;
}

static int times_check(
	const json_t *claims, int64_t now, bool allow_unexpiring, int64_t *ret_expires, char *reason)
{
	int64_t issued = INT64_MIN, not_before = INT64_MIN, expires = INT64_MAX;
	int error = claim_time(claims, "iat", &issued, reason);
	if (error == 0)
		error = claim_time(claims, "nbf", &not_before, reason);
	if (error == 0)
		error = claim_time(claims, "exp", &expires, reason);
	if (error != 0)
		return error;
	if (!allow_unexpiring && !json_object_get(claims, "exp"))
		return refuse(reason,
			"the token has no exp: tokens that never expire are refused, unless the broker says plugin_opt_allow_unexpiring_tokens on");
	if (now >= expires)
		return refuse(reason, "the token has expired");
	if (issued > now + TOKEN_LEEWAY_S)
		return refuse(reason, "the token was issued in the future: see the clocks of both machines");
	if (not_before > now + TOKEN_LEEWAY_S)
		return refuse(reason, "the token is not valid yet");
	*ret_expires = expires;
	return 0;
}

static int identity_read(const json_t *claims, struct token_identity *identity, char *reason)
{
	const json_t *handler = json_object_get(claims, "handler");
	identity->is_handler = handler;
	if (handler && !json_is_object(handler))
		return refuse(reason, "the token's handler is not an object");
	const char *what = handler ? "handler.name" : "user_id";
	const json_t *text = handler ? json_object_get(handler, "name") : json_object_get(claims, "user_id");
	if (!text) {
		return refuse(
			reason, "the token has no %s", handler ? "handler.name" : "user_id and no handler");
	}
	if (!json_is_string(text))
		return refuse(reason, "the token's %s is not a text", what);
	size_t size = json_string_length(text);
	if (!topic_user_valid(json_string_value(text), size)) {
		return refuse(
			reason, "the token's %s is not 1 to %d of A-Z a-z 0-9 . _ | -", what, USER_ID_MAX);
	}
	memcpy(handler ? identity->name : identity->user_id, json_string_value(text), size + 1);
	return 0;
}

int token_verify(const char *secret, const char *token, size_t token_size, int64_t now, bool allow_unexpiring,
	struct token_identity *ret_identity, char reason[static TOKEN_REASON_SIZE])
{
	if (secret[0] == '\0')
		return refuse(reason, "there is no secret to verify the token with");
	struct segment segments[3];
	int error = segments_cut(token, token_size, segments, reason);
	if (error != 0)
		return error;
	json_auto_t *header = NULL, *claims = NULL;
	error = segment_parse(segments[0], "header", &header, reason);
	if (error == 0)
		error = header_check(header, reason);
	if (error == 0)
		error = segment_parse(segments[1], "claims segment", &claims, reason);
	if (error == 0)
		error = signature_check(secret, token, token_size, segments[2], reason);
	struct token_identity identity = {0};
	if (error == 0)
		error = times_check(claims, now, allow_unexpiring, &identity.expires, reason);
	if (error == 0)
		error = identity_read(claims, &identity, reason);
	if (error == 0)
		*ret_identity = identity;
	return error;
}

int token_show(const char *token, size_t token_size, char **ret_header, char **ret_claims,
	char reason[static TOKEN_REASON_SIZE])
{
	struct segment segments[3];
	json_auto_t *header = NULL, *claims = NULL;
	int error = segments_cut(token, token_size, segments, reason);
	if (error == 0)
		error = segment_parse(segments[0], "header", &header, reason);
	if (error == 0)
		error = segment_parse(segments[1], "claims segment", &claims, reason);
	if (error != 0)
		return error;
	char *header_text = json_write(header, JSON_ENSURE_ASCII);
	char *claims_text = json_write(claims, JSON_ENSURE_ASCII);
	if (!header_text || !claims_text) {
		free(header_text);
		free(claims_text);
		return -ENOMEM;
	}
	*ret_header = header_text;
	*ret_claims = claims_text;
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
