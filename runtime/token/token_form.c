/* token_form.c - see token_form.h. */
#include "token_form.h"

#include "json_memory.h"
#include "token_base64.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int token_form_refuse(char *reason, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(reason, TOKEN_REASON_SIZE, format, arguments);
	va_end(arguments);
	return TOKEN_E_REFUSED;
}

int token_form_cut(const char *token, size_t token_size,
	struct token_form_segment ret_segments[static TOKEN_FORM_PARTS], char *reason)
{
	static const char *const names[] = {"header", "claims segment", "signature"};
	if (token_size == 0)
		return token_form_refuse(reason, "the token is empty");
	if (token_size > TOKEN_SIZE_MAX)
		return token_form_refuse(reason, "the token is larger than %d bytes", TOKEN_SIZE_MAX);
	const char *next = token, *end = token + token_size;
	for (size_t i = 0; i < TOKEN_FORM_PARTS; i++) {
		const char *dot = i < 2 ? memchr(next, '.', (size_t)(end - next)) : end;
		if (!dot || memchr(next, '.', (size_t)(dot - next)))
			return token_form_refuse(reason,
				"the token is no JSON Web Token: expected three segments joined by dots");
		if (dot == next)
			return token_form_refuse(reason, "the token's %s is empty", names[i]);
		ret_segments[i] = (struct token_form_segment){next, (size_t)(dot - next)};
		next = dot + 1;
	}
	if (ret_segments[TOKEN_FORM_HEADER].size > TOKEN_FORM_HEADER_MAX)
		return token_form_refuse(
			reason, "the token's header is larger than %d bytes", TOKEN_FORM_HEADER_MAX);
	return 0;
}

int token_form_decode(struct token_form_segment segment, const char *what,
	unsigned char ret_bytes[static TOKEN_FORM_BYTES_MAX], size_t *ret_size, char *reason)
{
	const int size = token_base64_decode(segment.text, segment.size, ret_bytes, TOKEN_FORM_BYTES_MAX);
	if (size < 0)
		return token_form_refuse(reason, "the token's %s is not base64url", what);
	*ret_size = (size_t)size;
	return 0;
}

int token_form_parse(
	const unsigned char *bytes, size_t size, const char *what, json_t **ret_json, char *reason)
{
	json_error_t error;
	json_memory_begin();
	json_auto_t *json = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
	if (json_memory_end())
		return -ENOMEM;
	if (!json && json_error_code(&error) == json_error_duplicate_key)
		return token_form_refuse(reason, "the token's %s has a duplicate key", what);
	if (!json_is_object(json))
		return token_form_refuse(reason, "the token's %s is not a JSON object", what);
	*ret_json = json_incref(json);
	return 0;
}

bool token_form_equal(const json_t *json, const char *expected)
{
	return json_is_string(json) && json_string_length(json) == strlen(expected) &&
	       memcmp(json_string_value(json), expected, strlen(expected)) == 0;
}
