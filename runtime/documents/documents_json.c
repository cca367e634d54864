/* documents_json.c - see documents_json.h. */
#include "documents_json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS_MAX = 100 }; /* MongoDB's manual, "MongoDB Limits and Thresholds": nested depth */

struct documents_json {
	struct documents_json *next;
	json_t *json;
};

bool documents_json_keep(struct documents *d, json_t *json)
{
	struct documents_json *kept = arena_alloc(d->memory, sizeof(*kept));
	if (!kept) {
		json_decref(json);
		return false;
	}
	*kept = (struct documents_json){d->jsons, json};
	d->jsons = kept;
	return true;
}

void documents_json_drop_all(struct documents *d)
{
	for (struct documents_json *kept = d->jsons; kept; kept = kept->next)
		json_decref(kept->json);
	d->jsons = NULL;
}

/* ---- to BSON ---- */

struct writing {
	const char *member;
	unsigned levels;
	char *words;
};

static bool cannot(const char *member, const char *what, char *words)
{
	snprintf(words, DOCUMENTS_WORDS_SIZE, "%s holds %s", member, what);
	return false;
}

static bool write_value(bson_t *into, const char *name, const json_t *json, struct writing *writing);

static bool write_object(bson_t *into, const json_t *json, struct writing *writing)
{
	const char *key;
	json_t *value;
	/* the library's iteration wants an object that may change */
	json_object_foreach((json_t *)(uintptr_t)json, key,
		value) if (!write_value(into, key, value, writing)) return false;
	return true;
}

static bool write_array(bson_t *into, const json_t *json, struct writing *writing)
{
	for (size_t i = 0; i < json_array_size(json); i++) {
		char buffer[16];
		const char *position;
		bson_uint32_to_string((uint32_t)i, &position, buffer, sizeof(buffer));
		if (!write_value(into, position, json_array_get(json, i), writing))
			return false;
	}
	return true;
}

static bool write_container(bson_t *into, const char *name, const json_t *json, struct writing *writing)
{
	const bool is_object = json_is_object(json);
	bson_t part;
	if (++writing->levels > LEVELS_MAX)
		return cannot(writing->member, "more than 100 levels", writing->words);
	if (!(is_object ? bson_append_document_begin(into, name, -1, &part)
			: bson_append_array_begin(into, name, -1, &part)))
		return false;
	const bool written =
		is_object ? write_object(&part, json, writing) : write_array(&part, json, writing);
	writing->levels--;
	/* ended in any case: the library has the parent's bytes in the part's hands */
	const bool ended =
		is_object ? bson_append_document_end(into, &part) : bson_append_array_end(into, &part);
	return written && ended;
}

static bool write_text(bson_t *into, const char *name, const json_t *json, struct writing *writing)
{
	const char *text = json_string_value(json);
	const size_t size = json_string_length(json);
	if (memchr(text, '\0', size))
		return cannot(writing->member, "a text with a NUL", writing->words);
	return bson_append_utf8(into, name, -1, text, (int)size);
}

static bool write_value(bson_t *into, const char *name, const json_t *json, struct writing *writing)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT:
	case JSON_ARRAY: return write_container(into, name, json, writing);
	case JSON_STRING: return write_text(into, name, json, writing);
	case JSON_INTEGER: return bson_append_int64(into, name, -1, json_integer_value(json));
	case JSON_REAL: return bson_append_double(into, name, -1, json_real_value(json));
	case JSON_TRUE:
	case JSON_FALSE: return bson_append_bool(into, name, -1, json_is_true(json));
	case JSON_NULL: break;
	}
	return bson_append_null(into, name, -1);
}

bool documents_json_append(bson_t *into, const char *name, const char *member, const json_t *json,
	char words[static DOCUMENTS_WORDS_SIZE])
{
	struct writing writing = {.member = member, .words = words};
	if (!json)
		return cannot(member, "NULL: expected JSON", words);
	return write_value(into, name, json, &writing);
}

/* ---- from BSON ---- */

/* NULL: out of memory, or words say what JSON has not. */
static json_t *read_value(const bson_iter_t *field, const char *member, unsigned levels, char *words);

static json_t *read_container(const bson_iter_t *field, const char *member, unsigned levels, char *words)
{
	const bool is_object = BSON_ITER_HOLDS_DOCUMENT(field);
	json_t *json = is_object ? json_object() : json_array();
	bson_iter_t iter;
	bool good = json;
	if (levels > LEVELS_MAX || !bson_iter_recurse(field, &iter))
		good = cannot(member, "more than 100 levels", words);
	while (good && bson_iter_next(&iter)) {
		const char *key = bson_iter_key(&iter);
		json_t *value = read_value(&iter, member, levels + 1, words);
		if (!value)
			good = false;
		else if (is_object && !bson_utf8_validate(key, strlen(key), false)) {
			json_decref(value);
			good = cannot(member, "a name that is no UTF-8", words);
		} else
			good = (is_object ? json_object_set_new(json, key, value)
					  : json_array_append_new(json, value)) == 0;
	}
	if (good)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *read_text(const bson_iter_t *field, const char *member, char *words)
{
	uint32_t size;
	const char *text = bson_iter_utf8(field, &size);
	if (!memchr(text, '\0', size) && bson_utf8_validate(text, size, false))
		return json_stringn(text, size);
	cannot(member, "a text with a NUL, or that is no UTF-8", words);
	return NULL;
}

static json_t *read_double(const bson_iter_t *field, const char *member, char *words)
{
	const double number = bson_iter_double(field);
	if (isfinite(number))
		return json_real(number);
	cannot(member, "a number that JSON has not", words);
	return NULL;
}

static json_t *read_value(const bson_iter_t *field, const char *member, unsigned levels, char *words)
{
	switch ((int)bson_iter_type(field)) {
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY: return read_container(field, member, levels, words);
	case BSON_TYPE_UTF8: return read_text(field, member, words);
	case BSON_TYPE_INT32:
	case BSON_TYPE_INT64: return json_integer(bson_iter_as_int64(field));
	case BSON_TYPE_DOUBLE: return read_double(field, member, words);
	case BSON_TYPE_BOOL: return json_boolean(bson_iter_bool(field));
	case BSON_TYPE_NULL: return json_null();
	default: break;
	}
	cannot(member,
		"a value that JSON has not: expected documents, arrays, texts, numbers, booleans, null",
		words);
	return NULL;
}

int documents_json_of(
	const bson_iter_t *field, const char *member, json_t **ret, char words[static DOCUMENTS_WORDS_SIZE])
{
	words[0] = '\0';
	json_t *json = read_value(field, member, 1, words);
	if (!json)
		return words[0] ? DOCUMENTS_E_STORED : -ENOMEM;
	*ret = json;
	return 0;
}
