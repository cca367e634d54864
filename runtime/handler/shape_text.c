/*
 * shape_text.c - a struct becomes JSON text: see shape.h.
 *
 * Happy path: member by member is appended to a text that doubles where it has no room. Failure: a member that JSON cannot say is named; out of memory
 * leaves the text as it is, and the arena says so.
 */
#include "shape.h"

#include "arena.h"
#include "clock.h"

#include <bson/bson.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_ROOM = 128 };

/* Room for so many bytes more. */
static bool reserve(struct shape_text *text, size_t size)
{
	if (text->room - text->size > size)
		return true;
	size_t room = text->room > 0 ? text->room : TEXT_ROOM;
	while (room - text->size <= size)
		room *= 2;
	char *bytes = arena_alloc(text->arena, room);
	if (!bytes)
		return false;
	if (text->size > 0)
		memcpy(bytes, text->bytes, text->size);
	text->bytes = bytes;
	text->room = room;
	return true;
}

void shape_text_add(struct shape_text *text, const char *bytes, size_t size)
{
	if (!reserve(text, size))
		return;
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
}

const char *shape_text_end(struct shape_text *text)
{
	if (text->arena->out_of_memory || !reserve(text, 1))
		return NULL;
	text->bytes[text->size] = '\0';
	return text->bytes;
}

static void add(struct shape_text *text, const char *bytes)
{
	shape_text_add(text, bytes, strlen(bytes));
}

/* RFC 8259, 7: a quote, a backslash and what is below a blank are escaped. */
static void add_quoted(struct shape_text *text, const char *value)
{
	add(text, "\"");
	for (const char *at = value; *at;) {
		size_t plain = 0;
		while ((unsigned char)at[plain] >= 0x20 && at[plain] != '"' && at[plain] != '\\')
			plain++;
		shape_text_add(text, at, plain);
		at += plain;
		if (!*at)
			break;
		char escape[8];
		if (*at == '"' || *at == '\\')
			snprintf(escape, sizeof(escape), "\\%c", *at);
		else
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(unsigned char)*at);
		add(text, escape);
		at++;
	}
	add(text, "\"");
}

/* The shortest text that is read as the same number. */
static void add_number(struct shape_text *text, double number)
{
	char digits[40];
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, number);
		if (strtod(digits, NULL) == number)
			break;
	}
	/* as jansson: with a dot or an exponent, so that it is read as a number with a fraction */
	if (!strpbrk(digits, ".e"))
		strcat(digits, ".0");
	add(text, digits);
}

static void add_bytes(struct shape_text *text, const cashew_bytes *bytes)
{
	add(text, "\"");
	const size_t size = (bytes->size + 2) / 3 * 4;
	if (bytes->size > 0 && reserve(text, size + 1)) {
		EVP_EncodeBlock((unsigned char *)text->bytes + text->size, bytes->data, (int)bytes->size);
		text->size += size;
	}
	add(text, "\"");
}

/* jansson answers 0 only when it is out of memory: it cannot hold what has no text. */
static void add_json(struct shape_text *text, const json_t *json)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY, size = json_dumpb(json, NULL, 0, flags);
	if (size > 0 && !reserve(text, size))
		return;
	if (size == 0 || json_dumpb(json, text->bytes + text->size, size, flags) != size)
		text->arena->out_of_memory = true;
	else
		text->size += size;
}

union value {
	const char *text;
	int64_t integer;
	double number;
	bool boolean;
	cashew_bytes bytes;
	const json_t *json;
};

static size_t size_of(enum cashew_kind kind)
{
	switch (kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: return sizeof(const char *);
	case CASHEW_K_integer:
	case CASHEW_K_time: return sizeof(int64_t);
	case CASHEW_K_number: return sizeof(double);
	case CASHEW_K_boolean: return sizeof(bool);
	case CASHEW_K_bytes: return sizeof(cashew_bytes);
	case CASHEW_K_json: return sizeof(const json_t *);
	}
	return 0;
}

/* Whether it is what an optional member is where it is not there. */
static bool is_nothing(const struct cashew_member *member, const union value *value)
{
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: return !value->text;
	case CASHEW_K_integer: return value->integer == member->otherwise;
	case CASHEW_K_time: return value->integer == 0;
	case CASHEW_K_number: return value->number == 0;
	case CASHEW_K_boolean: return !value->boolean;
	case CASHEW_K_bytes: return !value->bytes.data;
	case CASHEW_K_json: return !value->json;
	}
	return false;
}

/* What is wrong with it, behind "NAME "; NULL: nothing. */
static const char *problem_of(const struct cashew_member *member, const union value *value)
{
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user:
		if (!value->text)
			return "is NULL: expected a text, or .optional = true";
		return bson_utf8_validate(value->text, strlen(value->text), false)
			       ? NULL
			       : "has bytes that are not UTF-8";
	case CASHEW_K_number: return isfinite(value->number) ? NULL : "is no finite number: JSON has none";
	case CASHEW_K_bytes:
		return value->bytes.size > INT32_MAX / 2 ? "has more bytes than an event can have" : NULL;
	case CASHEW_K_json: return value->json ? NULL : "is NULL: expected JSON, or .optional = true";
	case CASHEW_K_time: {
		char iso[CLOCK_ISO_SIZE];
		clock_iso_ms(value->integer, iso);
		return iso[0] == '?' ? "is no time before the year 10000" : NULL;
	}
	case CASHEW_K_integer:
	case CASHEW_K_boolean: return NULL;
	}
	return NULL;
}

static void add_value(struct shape_text *text, const struct cashew_member *member, const union value *value)
{
	char digits[CLOCK_ISO_SIZE];
	switch (member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: add_quoted(text, value->text); break;
	case CASHEW_K_integer:
		snprintf(digits, sizeof(digits), "%" PRId64, value->integer);
		add(text, digits);
		break;
	case CASHEW_K_number: add_number(text, value->number); break;
	case CASHEW_K_boolean: add(text, value->boolean ? "true" : "false"); break;
	case CASHEW_K_time:
		clock_iso_ms(value->integer, digits);
		add_quoted(text, digits);
		break;
	case CASHEW_K_bytes: add_bytes(text, &value->bytes); break;
	case CASHEW_K_json: add_json(text, value->json); break;
	}
}

bool shape_write(struct shape_text *text, const struct cashew_shape *shape, const void *value,
	uint32_t without, char ret_reason[static SHAPE_REASON_SIZE])
{
	const char *before = "{";
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		union value at;
		memcpy(&at, (const unsigned char *)value + member->offset, size_of(member->kind));
		if ((without & UINT32_C(1) << i) != 0 || (member->optional && is_nothing(member, &at)))
			continue;
		const char *problem = problem_of(member, &at);
		if (problem) {
			snprintf(ret_reason, SHAPE_REASON_SIZE, "%.64s %.200s", shape_name(member), problem);
			return false;
		}
		/* a member's name is a C identifier, or the author's own text: nothing in it needs an escape */
		add(text, before);
		add(text, "\"");
		add(text, shape_name(member));
		add(text, "\":");
		add_value(text, member, &at);
		before = ",";
	}
	add(text, before[0] == '{' ? "{}" : "}");
	return true;
}
