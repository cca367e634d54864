/*
 * payload.c - a command's payload as JSON: see payload.h.
 *
 * Happy path: the size is looked at, the nesting is counted without parsing, then jansson parses. Failure:
 * the reason is in our words with jansson's line and column, because jansson's own messages quote the
 * payload. What programs add or break without a person seeing it (a byte order mark, the NUL of a C string,
 * half a surrogate pair, large integers) is called by its name.
 */
#include "payload.h"

#include "json_memory.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * How deep the value is nested. Exact up to the first error in the JSON, where jansson stops: before it, a
 * quote opens or closes a string unless a backslash stands before it.
 */
static size_t depth_of(const unsigned char *bytes, size_t size)
{
	size_t depth = 0, deepest = 0;
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		if (in_string) {
			if (bytes[i] == '\\')
				i++;
			else if (bytes[i] == '"')
				in_string = false;
		} else if (bytes[i] == '"') {
			in_string = true;
		} else if (bytes[i] == '{' || bytes[i] == '[') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((bytes[i] == '}' || bytes[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}

/* The unit of UTF-16 behind \u, or -1. */
static int escaped_unit(const unsigned char *bytes, size_t size)
{
	int unit = 0;
	if (size < 6 || bytes[0] != '\\' || bytes[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		const unsigned char digit = bytes[i] | 0x20;
		if (!(bytes[i] >= '0' && bytes[i] <= '9') && !(digit >= 'a' && digit <= 'f'))
			return -1;
		unit = unit * 16 + (bytes[i] <= '9' ? bytes[i] - '0' : digit - 'a' + 10);
	}
	return unit;
}

/* Whether an escaped half of a pair (RFC 8259, 7) stands alone. Escapes are in texts only, as far as jansson has read without an error. */
static bool has_lone_surrogate(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != '\\')
			continue;
		const int unit = escaped_unit(bytes + i, size - i);
		if (unit < 0xd800 || unit > 0xdfff) {
			i++;
			continue;
		}
		const int other = escaped_unit(bytes + i + 6, size - i < 6 ? 0 : size - i - 6);
		if (unit >= 0xdc00 || other < 0xdc00 || other > 0xdfff)
			return true;
		i += 11;
	}
	return false;
}

/* Whether what follows the value is NULs alone, as of a text that was sent with the end that C gives it. */
static bool ends_in_nul(const unsigned char *bytes, size_t size, size_t value_size)
{
	const bool nul = size > 0 && bytes[size - 1] == '\0';
	while (size > value_size && bytes[size - 1] == '\0')
		size--;
	return nul && size <= value_size;
}

static const char *unexpected_text(const unsigned char *bytes, size_t size, size_t position)
{
	if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		return "it begins with a byte order mark";
	if (has_lone_surrogate(bytes, position < size ? position : size))
		return "half a surrogate pair (\\ud800 to \\udfff alone)";
	return "unexpected characters";
}

static const char *syntax_error_text(const json_error_t *error, const unsigned char *bytes, size_t size)
{
	const size_t position = error->position > 0 ? (size_t)error->position : 0;
	const int code = json_error_code(error); /* not the enum: the rest is told alike */
	switch (code) {
	case json_error_premature_end_of_input: return "it ends too early";
	case json_error_end_of_input_expected:
		return ends_in_nul(bytes, size, position > 0 ? position - 1 : 0)
			       ? "a NUL byte behind the value"
			       : "something follows the value";
	case json_error_invalid_utf8: return "bytes that are not UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key: return "a NUL character";
	case json_error_duplicate_key: return "a key that was there before";
	case json_error_numeric_overflow: return "a number beyond 64 bits, which can only be sent as a text";
	default: return unexpected_text(bytes, size, position);
	}
}

bool payload_too_large(size_t size, size_t size_max, char reason[static PAYLOAD_REASON_SIZE])
{
	if (size <= size_max)
		return false;
	snprintf(reason, PAYLOAD_REASON_SIZE, "the payload is %zu bytes: %zu at most", size, size_max);
	return true;
}

int payload_parse(const void *bytes, size_t size, size_t size_max, json_t **ret_json,
	char reason[static PAYLOAD_REASON_SIZE])
{
	if (size == 0) {
		snprintf(reason, PAYLOAD_REASON_SIZE, "the payload is empty: expected JSON");
		return PAYLOAD_E_REFUSED;
	}
	if (payload_too_large(size, size_max, reason))
		return PAYLOAD_E_REFUSED;
	const size_t depth = depth_of(bytes, size);
	if (depth > PAYLOAD_DEPTH_MAX) {
		snprintf(reason, PAYLOAD_REASON_SIZE, "the payload is nested %zu levels deep: %d at most",
			depth, PAYLOAD_DEPTH_MAX);
		return PAYLOAD_E_REFUSED;
	}

	json_error_t error;
	json_memory_begin();
	json_t *json = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (json_memory_end()) {
		json_decref(json);
		return -ENOMEM;
	}
	if (!json) {
		snprintf(reason, PAYLOAD_REASON_SIZE, "the payload is not JSON: line %d, column %d: %s",
			error.line, error.column, syntax_error_text(&error, bytes, size));
		return PAYLOAD_E_REFUSED;
	}
	*ret_json = json;
	return 0;
}

const char *payload_type_name(const json_t *json)
{
	if (!json)
		return "missing";
	switch (json_typeof(json)) {
	case JSON_OBJECT: return "an object";
	case JSON_ARRAY: return "a list";
	case JSON_STRING: return "a text";
	case JSON_INTEGER: return "an integer";
	case JSON_REAL: return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE: return "a boolean";
	case JSON_NULL: return "null";
	}
	return "unknown";
}
