/*
 * shape.c - a JSON object becomes a struct: see shape.h. The way back is in shape_text.c.
 *
 * Happy path: each member is looked up once and written to its place in a struct that is zero; texts are borrowed. Failure: the first member that does
 * not fit is named.
 */
#include "shape.h"

#include "arena.h"
#include "clock.h"
#include "payload.h"
#include "topic.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* A member's place, and its value. */
struct reading {
	const struct cashew_member *member;
	const json_t *value;
	unsigned char *place;
	struct arena *arena;
	char *reason; /* SHAPE_REASON_SIZE */
};

static void expected_integer(const struct cashew_member *member, char *ret)
{
	if (member->min != INT64_MIN && member->max != INT64_MAX)
		snprintf(ret, SHAPE_EXPECTED_SIZE, "an integer from %" PRId64 " to %" PRId64, member->min,
			member->max);
	else if (member->min != INT64_MIN)
		snprintf(ret, SHAPE_EXPECTED_SIZE, "an integer, %" PRId64 " or more", member->min);
	else if (member->max != INT64_MAX)
		snprintf(ret, SHAPE_EXPECTED_SIZE, "an integer, %" PRId64 " or less", member->max);
	else
		snprintf(ret, SHAPE_EXPECTED_SIZE, "an integer");
}

void shape_expected(const struct cashew_member *member, char ret[static SHAPE_EXPECTED_SIZE])
{
	switch (member->kind) {
	case CASHEW_K_text:
		snprintf(ret, SHAPE_EXPECTED_SIZE, "a text of %" PRId64 " to %" PRId64 " bytes", member->min,
			member->max);
		break;
	case CASHEW_K_user:
		snprintf(ret, SHAPE_EXPECTED_SIZE, "a user id, 1 to 64 of A-Z a-z 0-9 . _ | -");
		break;
	case CASHEW_K_integer: expected_integer(member, ret); break;
	case CASHEW_K_number: snprintf(ret, SHAPE_EXPECTED_SIZE, "a number"); break;
	case CASHEW_K_boolean: snprintf(ret, SHAPE_EXPECTED_SIZE, "a boolean"); break;
	case CASHEW_K_time:
		snprintf(ret, SHAPE_EXPECTED_SIZE, "a time like \"2026-01-31T12:00:00.000Z\"");
		break;
	case CASHEW_K_bytes:
		snprintf(ret, SHAPE_EXPECTED_SIZE, "%" PRId64 " to %" PRId64 " bytes as a text in base64",
			member->min, member->max);
		break;
	case CASHEW_K_json: snprintf(ret, SHAPE_EXPECTED_SIZE, "any JSON"); break;
	}
}

__attribute__((format(printf, 2, 3))) static bool refuse(
	const struct reading *reading, const char *found, ...)
{
	char text[SHAPE_REASON_SIZE], expected[SHAPE_EXPECTED_SIZE];
	va_list arguments;
	va_start(arguments, found);
	vsnprintf(text, sizeof(text), found, arguments);
	va_end(arguments);
	shape_expected(reading->member, expected);
	snprintf(reading->reason, SHAPE_REASON_SIZE, "%.64s %.64s: expected %s", shape_name(reading->member),
		text, expected);
	return false;
}

static bool refuse_type(const struct reading *reading)
{
	return refuse(reading, "is %s", payload_type_name(reading->value));
}

static bool size_fits(const struct reading *reading, size_t size)
{
	if (size == 0 && reading->member->min > 0)
		return refuse(reading, "is empty");
	if ((int64_t)size < reading->member->min || (int64_t)size > reading->member->max)
		return refuse(reading, size == 1 ? "is %zu byte long" : "is %zu bytes long", size);
	return true;
}

static bool read_text(const struct reading *reading)
{
	if (!json_is_string(reading->value))
		return refuse_type(reading);
	const char *text = json_string_value(reading->value);
	const size_t size = json_string_length(reading->value);
	/* jansson refuses a NUL in a payload; a value from elsewhere may have one */
	if (strlen(text) != size)
		return refuse(reading, "has a NUL in it");
	if (!size_fits(reading, size))
		return false;
	if (reading->member->kind == CASHEW_K_user && !topic_user_valid(text, size))
		return refuse(reading, "has other characters in it");
	memcpy(reading->place, &text, sizeof(text));
	return true;
}

static bool read_integer(const struct reading *reading)
{
	if (!json_is_integer(reading->value))
		return refuse_type(reading);
	const int64_t integer = json_integer_value(reading->value);
	if (integer < reading->member->min || integer > reading->member->max)
		return refuse(reading, "is %" PRId64, integer);
	memcpy(reading->place, &integer, sizeof(integer));
	return true;
}

/* A double holds each integer up to 2^53, and of those beyond only some. */
static bool read_number(const struct reading *reading)
{
	double number = json_number_value(reading->value);
	if (!json_is_number(reading->value))
		return refuse_type(reading);
	if (json_is_integer(reading->value)) {
		const json_int_t integer = json_integer_value(reading->value);
		if (number >= 0x1p63 || (json_int_t)number != integer)
			return refuse(
				reading, "is %" JSON_INTEGER_FORMAT ", which a double cannot hold", integer);
	}
	memcpy(reading->place, &number, sizeof(number));
	return true;
}

static bool read_boolean(const struct reading *reading)
{
	if (!json_is_boolean(reading->value))
		return refuse_type(reading);
	const bool boolean = json_is_true(reading->value);
	memcpy(reading->place, &boolean, sizeof(boolean));
	return true;
}

static bool read_time(const struct reading *reading)
{
	cashew_time time;
	if (!json_is_string(reading->value))
		return refuse_type(reading);
	if (!clock_read(json_string_value(reading->value), json_string_length(reading->value), &time))
		return refuse(reading, "is another text");
	memcpy(reading->place, &time, sizeof(time));
	return true;
}

/* Base64 of RFC 4648, 4: with padding, and nothing else in it. */
static bool is_base64(const char *text, size_t size, size_t *ret_padding)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const size_t digits = strspn(text, alphabet), padding = size - digits;
	*ret_padding = padding;
	return size % 4 == 0 && padding <= 2 && strspn(text + digits, "=") == padding;
}

/* False without a reason: out of memory. */
static bool read_bytes(const struct reading *reading)
{
	if (!json_is_string(reading->value))
		return refuse_type(reading);
	const char *text = json_string_value(reading->value);
	const size_t text_size = json_string_length(reading->value);
	size_t padding;
	if (text_size > INT32_MAX || !is_base64(text, text_size, &padding))
		return refuse(reading, "is another text");
	const size_t size = text_size / 4 * 3 - padding;
	if (!size_fits(reading, size))
		return false;
	unsigned char *data = arena_alloc(reading->arena, size + 3);
	if (!data)
		return false;
	(void)EVP_DecodeBlock(data, (const unsigned char *)text, (int)text_size);
	const cashew_bytes bytes = {.data = data, .size = size};
	memcpy(reading->place, &bytes, sizeof(bytes));
	return true;
}

static bool read_value(const struct reading *reading)
{
	switch (reading->member->kind) {
	case CASHEW_K_text:
	case CASHEW_K_user: return read_text(reading);
	case CASHEW_K_integer: return read_integer(reading);
	case CASHEW_K_number: return read_number(reading);
	case CASHEW_K_boolean: return read_boolean(reading);
	case CASHEW_K_time: return read_time(reading);
	case CASHEW_K_bytes: return read_bytes(reading);
	case CASHEW_K_json: memcpy(reading->place, &reading->value, sizeof(reading->value)); return true;
	}
	return true;
}

const void *shape_read(const struct cashew_shape *shape, const json_t *object, struct arena *arena,
	char ret_reason[static SHAPE_REASON_SIZE])
{
	unsigned char *value = arena_alloc(arena, shape->size);
	ret_reason[0] = '\0';
	for (size_t i = 0; value && i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		const struct reading reading = {
			.member = member,
			.value = json_object_get(object, shape_name(member)),
			.place = value + member->offset,
			.arena = arena,
			.reason = ret_reason,
		};
		if (reading.value && !json_is_null(reading.value)) {
			if (!read_value(&reading))
				return NULL;
		} else if (!member->optional) {
			(void)refuse_type(&reading);
			return NULL;
		} else if (member->kind == CASHEW_K_integer) {
			memcpy(reading.place, &member->otherwise, sizeof(member->otherwise));
		}
	}
	return value;
}

const void *shape_nothing(const struct cashew_shape *shape, struct arena *arena)
{
	static const char empty[64];
	static const void *const without_memory[2 * SHAPE_MEMBERS_MAX] = {
		[0 ... 2 * SHAPE_MEMBERS_MAX - 1] = empty};
	unsigned char *value = arena_alloc(arena, shape->size);
	if (!value)
		return without_memory;
	const char *text = empty;
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		const bool is_text = member->kind == CASHEW_K_text || member->kind == CASHEW_K_user;
		if (is_text && !member->optional)
			memcpy(value + member->offset, &text, sizeof(text));
	}
	return value;
}
