/*
 * kit_bson.c - values of documents as JSON, and back: see kit_private.h.
 *
 * The kind of a declared member says what becomes of its JSON; of what is in the database its BSON type does. Not the runtime's own functions, on
 * purpose: what they get wrong both ways would not be seen. Failure: a value of another kind ends the test, in words.
 */
#include "kit_private.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH_MAX = 32 };

/* ---- JSON to BSON ---- */

static void append_json(bson_t *bson, const char *name, const json_t *value, unsigned depth);

static void append_members(bson_t *bson, const json_t *value, unsigned depth)
{
	const char *name;
	json_t *member;
	char index[24];
	json_object_foreach((json_t *)(uintptr_t)value, name, member)
		append_json(bson, name, member, depth + 1);
	for (size_t i = 0; i < json_array_size(value); i++) {
		snprintf(index, sizeof(index), "%zu", i);
		append_json(bson, index, json_array_get(value, i), depth + 1);
	}
}

/* Of a member that may be any JSON. */
static void append_json(bson_t *bson, const char *name, const json_t *value, unsigned depth)
{
	bson_t child;
	if (depth > DEPTH_MAX)
		abort();
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		BSON_APPEND_DOCUMENT_BEGIN(bson, name, &child);
		append_members(&child, value, depth);
		bson_append_document_end(bson, &child);
		break;
	case JSON_ARRAY:
		BSON_APPEND_ARRAY_BEGIN(bson, name, &child);
		append_members(&child, value, depth);
		bson_append_array_end(bson, &child);
		break;
	case JSON_STRING: BSON_APPEND_UTF8(bson, name, json_string_value(value)); break;
	case JSON_INTEGER: BSON_APPEND_INT64(bson, name, json_integer_value(value)); break;
	case JSON_REAL: BSON_APPEND_DOUBLE(bson, name, json_real_value(value)); break;
	case JSON_TRUE: BSON_APPEND_BOOL(bson, name, true); break;
	case JSON_FALSE: BSON_APPEND_BOOL(bson, name, false); break;
	case JSON_NULL: BSON_APPEND_NULL(bson, name); break;
	}
}

static void append_bytes(struct kit_place place, bson_t *bson, const char *name, const char *base64)
{
	const size_t size = strlen(base64);
	unsigned char *bytes = kit_memory(malloc(size + 1));
	const int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)size);
	const size_t padding = size > 1 && base64[size - 1] == '=' ? 1 + (base64[size - 2] == '=') : 0;
	if (decoded < 0)
		kit_fail(place, "%s: expected base64, found %s", name, base64);
	BSON_APPEND_BINARY(bson, name, BSON_SUBTYPE_BINARY, bytes, (uint32_t)((size_t)decoded - padding));
	free(bytes);
}

void kit_bson_append(
	struct kit_place place, bson_t *bson, const struct cashew_member *member, const json_t *value)
{
	static const char *const kinds[] = {[CASHEW_K_text] = "a text",
		[CASHEW_K_user] = "a user's id",
		[CASHEW_K_integer] = "an integer",
		[CASHEW_K_number] = "a number",
		[CASHEW_K_boolean] = "true or false",
		[CASHEW_K_time] = "a time as 2026-01-31T12:00:00.000Z",
		[CASHEW_K_bytes] = "bytes in base64",
		[CASHEW_K_json] = "JSON"};
	const enum cashew_kind kind = member->kind;
	int64_t ms;
	if (kind == CASHEW_K_json)
		append_json(bson, member->name, value, 0);
	else if (json_is_string(value) && (kind == CASHEW_K_text || kind == CASHEW_K_user))
		BSON_APPEND_UTF8(bson, member->name, json_string_value(value));
	else if (json_is_string(value) && kind == CASHEW_K_time &&
		 kit_json_time(json_string_value(value), &ms))
		BSON_APPEND_DATE_TIME(bson, member->name, ms);
	else if (json_is_string(value) && kind == CASHEW_K_bytes)
		append_bytes(place, bson, member->name, json_string_value(value));
	else if (json_is_integer(value) && kind == CASHEW_K_integer)
		BSON_APPEND_INT64(bson, member->name, json_integer_value(value));
	else if (json_is_number(value) && kind == CASHEW_K_number)
		BSON_APPEND_DOUBLE(bson, member->name, json_number_value(value));
	else if (json_is_boolean(value) && kind == CASHEW_K_boolean)
		BSON_APPEND_BOOL(bson, member->name, json_is_true(value));
	else {
		char *text = kit_json_dump(value);
		kit_fail(place, "%s is %s: expected %s", member->name, text, kinds[kind]);
	}
}

/* ---- BSON to JSON ---- */

static json_t *json_of_children(bson_iter_t *at, bool array)
{
	json_t *value = kit_memory(array ? json_array() : json_object());
	bson_iter_t child;
	if (!bson_iter_recurse(at, &child))
		abort();
	while (bson_iter_next(&child)) {
		if (array)
			json_array_append_new(value, kit_bson_json(&child));
		else
			json_object_set_new(value, bson_iter_key(&child), kit_bson_json(&child));
	}
	return value;
}

static json_t *json_of_time(int64_t ms)
{
	const time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char text[64], milliseconds[16];
	gmtime_r(&seconds, &tm);
	const size_t size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(milliseconds, sizeof(milliseconds), ".%03dZ", (int)(ms % 1000));
	memcpy(text + size, milliseconds, strlen(milliseconds) + 1);
	return json_string(text);
}

static json_t *json_of_bytes(bson_iter_t *at)
{
	bson_subtype_t subtype;
	uint32_t size;
	const uint8_t *bytes;
	bson_iter_binary(at, &subtype, &size, &bytes);
	char *text = kit_memory(malloc(4 * ((size_t)size + 2) / 3 + 4));
	EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
	json_t *json = json_string(text);
	free(text);
	return json;
}

json_t *kit_bson_json(bson_iter_t *at)
{
	uint32_t size = 0;
	const bson_type_t type = bson_iter_type(at);
	const char *text = bson_iter_utf8(at, &size);
	if (type == BSON_TYPE_UTF8)
		return json_stringn(text, size);
	if (type == BSON_TYPE_INT64 || type == BSON_TYPE_INT32)
		return json_integer(bson_iter_as_int64(at));
	if (type == BSON_TYPE_DOUBLE)
		return json_real(bson_iter_double(at));
	if (type == BSON_TYPE_BOOL)
		return json_boolean(bson_iter_bool(at));
	if (type == BSON_TYPE_DATE_TIME)
		return json_of_time(bson_iter_date_time(at));
	if (type == BSON_TYPE_BINARY)
		return json_of_bytes(at);
	if (type == BSON_TYPE_DOCUMENT || type == BSON_TYPE_ARRAY)
		return json_of_children(at, type == BSON_TYPE_ARRAY);
	if (type == BSON_TYPE_NULL)
		return json_null();
	return json_pack("{s:i}", "BSON type", (int)type); /* that no handler has written */
}
