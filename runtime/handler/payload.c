/*
 * payload.c - a command's payload as JSON: see payload.h.
 *
 * Happy path: the size is looked at, the nesting is counted without parsing, then jansson parses. Failure:
 * the reason is in our words with jansson's line and column, because jansson's own messages quote the
 * payload.
 */
#include "payload.h"

#include "json_memory.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

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

static const char *syntax_error_text(int code)
{
	switch (code) {
	case json_error_premature_end_of_input: return "it ends too early";
	case json_error_end_of_input_expected: return "something follows the value";
	case json_error_invalid_utf8: return "bytes that are not UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key: return "a NUL character";
	case json_error_duplicate_key: return "a key that was there before";
	case json_error_numeric_overflow: return "a number that is too large";
	default: return "unexpected characters";
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
			error.line, error.column, syntax_error_text(json_error_code(&error)));
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
