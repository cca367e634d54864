/* documents_bson.c - see documents_bson.h. JSON within a document is in documents_json.c. */
#include "documents_bson.h"

#include "documents_id.h"
#include "documents_json.h"
#include "topic.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct cashew_member *documents_member(const struct cashew_shape *shape, size_t offset)
{
	for (size_t i = 0; i < shape->count; i++)
		if (shape->members[i].offset == offset)
			return &shape->members[i];
	abort(); /* the macros made it */
}

static const char *text_at(const void *value)
{
	return *(const char *const *)value;
}

bool documents_is_none(const struct cashew_member *member, const void *value)
{
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user:
	case CASHEW_K_json: return !*(const void *const *)value;
	case CASHEW_K_time: return *(const cashew_time *)value == 0;
	case CASHEW_K_bytes: return member->optional && !((const cashew_bytes *)value)->data;
	case CASHEW_K_integer:
	case CASHEW_K_number:
	case CASHEW_K_boolean: break;
	}
	return false;
}

/* ---- to BSON ---- */

/* False. */
__attribute__((format(printf, 2, 3))) static bool say(char *words, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(words, DOCUMENTS_WORDS_SIZE, format, arguments);
	va_end(arguments);
	return false;
}

static bool refuse_size(
	const struct cashew_member *member, size_t size, char words[static DOCUMENTS_WORDS_SIZE])
{
	return say(words, "%s has %zu bytes: expected %" PRId64 " to %" PRId64, member->name, size,
		member->min, member->max);
}

static bool append_text(bson_t *into, const char *name, const struct cashew_member *member, const char *text,
	char words[static DOCUMENTS_WORDS_SIZE])
{
	const size_t size = text ? strlen(text) : 0;
	if (!text)
		return say(words, "%s is NULL: expected a text", member->name);
	if (member->kind == CASHEW_K_user && !topic_user_valid(text, size))
		return say(words, "%s is no user id: expected 1 to 64 of A-Z a-z 0-9 . _ | -", member->name);
	/* a text that was missing is "": it may be written as it was read */
	if (size > (size_t)member->max || (member->key && size < (size_t)member->min))
		return refuse_size(member, size, words);
	if (!bson_utf8_validate(text, size, false))
		return say(words, "%s is no UTF-8", member->name);
	return bson_append_utf8(into, name, -1, text, (int)size);
}

static bool append_integer(bson_t *into, const char *name, const struct cashew_member *member,
	int64_t integer, char words[static DOCUMENTS_WORDS_SIZE])
{
	const int64_t min = member->key && member->min < 0 ? 0 : member->min;
	if (integer >= min && integer <= member->max)
		return bson_append_int64(into, name, -1, integer);
	return say(words, "%s is %" PRId64 ": expected %" PRId64 " to %" PRId64, member->name, integer, min,
		member->max);
}

static bool append_bytes(bson_t *into, const char *name, const struct cashew_member *member,
	const cashew_bytes *bytes, char words[static DOCUMENTS_WORDS_SIZE])
{
	if (bytes->size < (size_t)member->min || bytes->size > (size_t)member->max)
		return refuse_size(member, bytes->size, words);
	return bson_append_binary(
		into, name, -1, BSON_SUBTYPE_BINARY, bytes->data ? bytes->data : "", (uint32_t)bytes->size);
}

bool documents_append_value(bson_t *into, const char *name, const struct cashew_member *member,
	const void *value, char words[static DOCUMENTS_WORDS_SIZE])
{
	bool appended = false;
	words[0] = '\0';
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: appended = append_text(into, name, member, text_at(value), words); break;
	case CASHEW_K_integer:
		appended = append_integer(into, name, member, *(const int64_t *)value, words);
		break;
	case CASHEW_K_number: appended = bson_append_double(into, name, -1, *(const double *)value); break;
	case CASHEW_K_boolean: appended = bson_append_bool(into, name, -1, *(const bool *)value); break;
	case CASHEW_K_time:
		appended = bson_append_date_time(into, name, -1, *(const cashew_time *)value);
		break;
	case CASHEW_K_bytes: appended = append_bytes(into, name, member, value, words); break;
	case CASHEW_K_json:
		appended =
			documents_json_append(into, name, member->name, *(const json_t *const *)value, words);
		break;
	}
	if (!appended && !words[0])
		snprintf(words, DOCUMENTS_WORDS_SIZE, "%s is too large for a document", member->name);
	return appended;
}

/* ---- from BSON ---- */

static const char *type_name(const bson_iter_t *field)
{
	switch ((int)bson_iter_type(field)) {
	case BSON_TYPE_DOUBLE: return "a double";
	case BSON_TYPE_UTF8: return "a text";
	case BSON_TYPE_DOCUMENT: return "a document";
	case BSON_TYPE_ARRAY: return "an array";
	case BSON_TYPE_BINARY: return "binary";
	case BSON_TYPE_OID: return "an ObjectId";
	case BSON_TYPE_BOOL: return "a boolean";
	case BSON_TYPE_DATE_TIME: return "a date";
	case BSON_TYPE_INT32:
	case BSON_TYPE_INT64: return "an integer";
	case BSON_TYPE_TIMESTAMP: return "a timestamp";
	case BSON_TYPE_DECIMAL128: return "a decimal";
	case BSON_TYPE_REGEX: return "a regular expression";
	default: return "of a type that it cannot be";
	}
}

static const char *const expected[] = {
	[CASHEW_K_text] = "a text",
	[CASHEW_K_user] = "a user id",
	[CASHEW_K_integer] = "an integer",
	[CASHEW_K_number] = "a number",
	[CASHEW_K_boolean] = "a boolean",
	[CASHEW_K_time] = "a date",
	[CASHEW_K_bytes] = "binary",
	[CASHEW_K_json] = "JSON",
};

static bool refuse(const struct cashew_member *member, const char *found, char *words)
{
	return say(words, "%s is %s: expected %s", member->name, found, expected[member->kind]);
}

static bool read_text(
	const struct cashew_member *member, const bson_iter_t *field, const char **ret, char *words)
{
	uint32_t size;
	if (!BSON_ITER_HOLDS_UTF8(field))
		return refuse(member, type_name(field), words);
	const char *text = bson_iter_utf8(field, &size);
	/* a user id has neither of what is looked for below */
	if (member->kind == CASHEW_K_user && !topic_user_valid(text, size))
		return refuse(member, "another text", words);
	if (member->kind == CASHEW_K_text && memchr(text, '\0', size))
		return refuse(member, "a text with a NUL", words);
	if (member->kind == CASHEW_K_text && !bson_utf8_validate(text, size, false))
		return refuse(member, "a text that is no UTF-8", words);
	*ret = text;
	return true;
}

/* The integers that a double tells from their neighbours. */
#define EXACT INT64_C(9007199254740992)

static bool read_integer(
	const struct cashew_member *member, const bson_iter_t *field, int64_t *ret, char *words)
{
	if (BSON_ITER_HOLDS_INT32(field) || BSON_ITER_HOLDS_INT64(field)) {
		*ret = bson_iter_as_int64(field);
		return true;
	}
	if (!BSON_ITER_HOLDS_DOUBLE(field))
		return refuse(member, type_name(field), words);
	const double number = bson_iter_double(field);
	if (!(number >= -(double)EXACT && number <= (double)EXACT) || number != (double)(int64_t)number)
		return refuse(member, "a double that is no integer", words);
	*ret = (int64_t)number;
	return true;
}

static bool read_number(
	const struct cashew_member *member, const bson_iter_t *field, double *ret, char *words)
{
	if (BSON_ITER_HOLDS_DOUBLE(field)) {
		*ret = bson_iter_double(field);
		return true;
	}
	if (!BSON_ITER_HOLDS_INT32(field) && !BSON_ITER_HOLDS_INT64(field))
		return refuse(member, type_name(field), words);
	const int64_t integer = bson_iter_as_int64(field);
	if (integer < -EXACT || integer > EXACT)
		return refuse(member, "an integer that no double holds", words);
	*ret = (double)integer;
	return true;
}

/* 0; -ENOMEM; DOCUMENTS_E_STORED and words. */
static int read_json(struct documents *d, const struct cashew_member *member, const bson_iter_t *field,
	const json_t **ret, char *words)
{
	json_t *json;
	const int error = documents_json_of(field, member->name, &json, words);
	if (error)
		return error;
	if (!documents_json_keep(d, json))
		return -ENOMEM;
	*ret = json;
	return 0;
}

static int read_value(struct documents *d, const struct cashew_member *member, const bson_iter_t *field,
	void *at, char *words)
{
	bool good = false;
	const uint8_t *bytes;
	uint32_t size;
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: good = read_text(member, field, at, words); break;
	case CASHEW_K_integer: good = read_integer(member, field, at, words); break;
	case CASHEW_K_number: good = read_number(member, field, at, words); break;
	case CASHEW_K_boolean:
		good = BSON_ITER_HOLDS_BOOL(field) || refuse(member, type_name(field), words);
		if (good)
			*(bool *)at = bson_iter_bool(field);
		break;
	case CASHEW_K_time:
		good = BSON_ITER_HOLDS_DATE_TIME(field) || refuse(member, type_name(field), words);
		if (good)
			*(cashew_time *)at = bson_iter_date_time(field);
		break;
	case CASHEW_K_bytes:
		good = BSON_ITER_HOLDS_BINARY(field) || refuse(member, type_name(field), words);
		if (!good)
			break;
		bson_iter_binary(field, NULL, &size, &bytes);
		*(cashew_bytes *)at = (cashew_bytes){bytes, size};
		break;
	case CASHEW_K_json: return read_json(d, member, field, at, words);
	}
	return good ? 0 : DOCUMENTS_E_STORED;
}

void documents_empty_struct(const struct cashew_shape *shape, void *ret_struct)
{
	memset(ret_struct, 0, shape->size);
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		void *at = (char *)ret_struct + member->offset;
		if ((member->kind == CASHEW_K_text || member->kind == CASHEW_K_user) && !member->optional)
			*(const char **)at = "";
		else if (member->kind == CASHEW_K_integer && member->optional)
			*(int64_t *)at = member->otherwise;
	}
}

/* The members' fields mostly stand in the members' order: the search begins where the last one was found. */
static const struct cashew_member *member_named(
	const struct cashew_shape *shape, const char *name, size_t *next)
{
	for (size_t i = 0; i < shape->count; i++) {
		const size_t at = (*next + i) % shape->count;
		if (strcmp(shape->members[at].name, name) != 0)
			continue;
		*next = at + 1;
		return &shape->members[at];
	}
	return NULL;
}

static void read_extra(const bson_iter_t *field, const char *name, struct documents_extra *extra)
{
	if (strcmp(name, "_v") != 0 || (!BSON_ITER_HOLDS_INT32(field) && !BSON_ITER_HOLDS_INT64(field)))
		return;
	extra->has_version = true;
	extra->version = bson_iter_as_int64(field);
}

/* Which document it is, as its _id says. */
static const char *id_text(struct documents *d, const bson_iter_t *document)
{
	bson_iter_t field;
	if (!bson_iter_recurse(document, &field) || !bson_iter_find(&field, "_id"))
		return "without _id";
	if (BSON_ITER_HOLDS_UTF8(&field)) {
		const char *text = bson_iter_utf8(&field, NULL);
		return bson_utf8_validate(text, strlen(text), false) ? text : "with an odd _id";
	}
	const char *text = arena_format(d->memory, "with %s as _id", type_name(&field));
	return text ? text : "";
}

int documents_read_struct(struct documents *d, const struct cashew_collection *collection,
	const bson_iter_t *document, void *ret_struct, struct documents_extra *ret_extra)
{
	const struct cashew_shape *shape = collection->shape;
	char words[DOCUMENTS_WORDS_SIZE] = "";
	bool key_seen = false;
	bson_iter_t field, id;
	size_t next = 0;
	*ret_extra = (struct documents_extra){.has_version = false};
	documents_empty_struct(shape, ret_struct);
	if (!bson_iter_recurse(document, &field))
		return DOCUMENTS_E_STORED;
	int error = 0;
	bool has_id = false;
	while (!error && bson_iter_next(&field)) {
		const char *name = bson_iter_key(&field);
		if (name[0] == '_' && strcmp(name, "_id") == 0) {
			id = field;
			has_id = true;
		} else if (name[0] == '_') {
			read_extra(&field, name, ret_extra);
		}
		const struct cashew_member *member = member_named(shape, name, &next);
		/* null is as missing, but within JSON, where it is a value */
		if (!member || (BSON_ITER_HOLDS_NULL(&field) && member->kind != CASHEW_K_json))
			continue;
		key_seen = key_seen || member->key;
		error = read_value(d, member, &field, (char *)ret_struct + member->offset, words);
	}
	/* a document of one key has it in its _id, and need not say it again */
	if (!error && !key_seen && has_id)
		error = documents_id_only_key(d, shape, &id, ret_struct, words);
	if (error != DOCUMENTS_E_STORED)
		return error;
	d->reason = arena_format(d->memory, "%s %s: %s", collection->name, id_text(d, document), words);
	return d->reason ? DOCUMENTS_E_STORED : -ENOMEM;
}

bool documents_copy_struct(
	struct documents *d, const struct cashew_shape *shape, const void *from, void *ret_struct)
{
	memcpy(ret_struct, from, shape->size);
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		void *at = (char *)ret_struct + member->offset;
		if (member->kind == CASHEW_K_text || member->kind == CASHEW_K_user) {
			const char **text = at;
			*text = *text ? arena_copy(d->memory, *text, strlen(*text)) : NULL;
		} else if (member->kind == CASHEW_K_bytes) {
			cashew_bytes *bytes = at;
			bytes->data = bytes->data ? arena_copy(d->memory, bytes->data, bytes->size) : NULL;
		} else if (member->kind == CASHEW_K_json && *(json_t **)at &&
			   !documents_json_keep(d, json_incref(*(json_t **)at))) {
			return false;
		}
	}
	return !d->memory->out_of_memory;
}
