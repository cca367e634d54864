/* test_shape.c - shape.c and shape_text.c: JSON becomes a struct, and a struct becomes JSON, without a loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "arena.h"
#include "failing_malloc.h"
#include "shape.h"
#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEN	     "aaaaaaaaaa"
#define SIXTY_FOUR   TEN TEN TEN TEN TEN TEN "aaaa"
#define A_USER_ID    "a user id, 1 to 64 of A-Z a-z 0-9 . _ | -"
#define A_TIME	     "a time like \"2026-01-31T12:00:00.000Z\""

CASHEW_STRUCT(all, (text, text), (user, user), (integer, integer), (number, number), (boolean, boolean),
	(time, time), (bytes, bytes), (json, json));

CASHEW_STRUCT(none_needed, (text, text, .optional = true), (user, user, .optional = true),
	(integer, integer, .optional = true, .otherwise = 7), (number, number, .optional = true),
	(boolean, boolean, .optional = true), (time, time, .optional = true),
	(bytes, bytes, .optional = true), (json, json, .optional = true));

CASHEW_STRUCT(bounded, (text, text, .min = 0, .max = 3, .optional = true),
	(integer, integer, .min = -5, .max = 10, .optional = true), (integer, up, .min = 0, .optional = true),
	(integer, down, .max = 0, .optional = true), (bytes, bytes, .min = 1, .max = 3, .optional = true));

CASHEW_STRUCT(most, (integer, m1), (integer, m2), (integer, m3), (integer, m4), (integer, m5), (integer, m6),
	(integer, m7), (integer, m8), (integer, m9), (integer, m10), (integer, m11), (integer, m12),
	(integer, m13), (integer, m14), (integer, m15), (integer, m16), (integer, m17), (integer, m18),
	(integer, m19), (integer, m20), (integer, m21), (integer, m22), (integer, m23), (integer, m24));

CASHEW_STRUCT(renamed, (integer, from, .as = "user_id"));

static struct arena arena;
static char reason[SHAPE_REASON_SIZE];
static json_t *json;

/* What is read lives until the next. */
static const void *read_as(const struct cashew_shape *shape, const char *text)
{
	json_error_t error;
	arena_free(&arena);
	arena_init(&arena, NULL, 0);
	json_decref(json);
	json = json_loads(text, JSON_ALLOW_NUL, &error);
	if (!json)
		fail_msg("%s: %s", text, error.text);
	return shape_read(shape, json, &arena, reason);
}

static const char *written(const struct cashew_shape *shape, const void *value)
{
	struct shape_text text = {.arena = &arena};
	if (!shape_write(&text, shape, value, 0, reason))
		return NULL;
	return shape_text_end(&text);
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(&arena);
	json_decref(json);
	json = NULL;
	return 0;
}

static void test_reads(void **state)
{
	(void)state;
	const struct all *in = read_as(&all_shape,
		"{\"text\":\"caf\\u00e9\",\"user\":\"auth0|5f-7.A_z\",\"integer\":-9223372036854775808,\"number\":0.1,"
		"\"boolean\":true,\"time\":\"2026-01-31T12:00:00.123Z\",\"bytes\":\"AP8B\",\"json\":[1,{}],\"more\":1}");
	assert_non_null(in);
	assert_string_equal(in->text, "caf\xc3\xa9");
	assert_string_equal(in->user, "auth0|5f-7.A_z");
	assert_true(in->integer == INT64_MIN);
	assert_true(in->number == 0.1);
	assert_true(in->boolean);
	assert_true(in->time == INT64_C(1769860800123));
	assert_int_equal(in->bytes.size, 3);
	assert_memory_equal(in->bytes.data, "\0\xff\1", 3);
	assert_int_equal(json_array_size(in->json), 2);
}

static void test_reads_what_is_optional(void **state)
{
	(void)state;
	static const char *const texts[] = {"{}",
		"{\"text\":null,\"user\":null,\"integer\":null,\"number\":null,\"boolean\":null,\"time\":null,"
		"\"bytes\":null,\"json\":null}"};
	for (size_t i = 0; i < COUNT(texts); i++) {
		const struct none_needed *in = read_as(&none_needed_shape, texts[i]);
		assert_non_null(in);
		assert_null(in->text);
		assert_null(in->user);
		assert_true(in->integer == 7);
		assert_true(in->number == 0 && !in->boolean && in->time == 0);
		assert_null(in->bytes.data);
		assert_null(in->json);
		assert_string_equal(written(&none_needed_shape, in), "{}");
	}
}

/* One member after the other is not what was expected: it is named, with what was found. */
static void test_refuses(void **state)
{
	(void)state;
	static const struct {
		const struct cashew_shape *shape;
		const char *text, *reason; /* NULL: it is taken */
	} cases[] = {
		{&all_shape, "{}", "text is missing: expected a text of 1 to 1024 bytes"},
		{&all_shape, "{\"text\":null}", "text is null: expected a text of 1 to 1024 bytes"},
		{&all_shape, "{\"text\":\"a\"}", "user is missing: expected " A_USER_ID},
		{&none_needed_shape, "{\"text\":1}",
			"text is an integer: expected a text of 1 to 1024 bytes"},
		{&none_needed_shape, "{\"text\":\"\"}", "text is empty: expected a text of 1 to 1024 bytes"},
		{&none_needed_shape, "{\"text\":{\"$gt\":\"\"}}",
			"text is an object: expected a text of 1 to 1024 bytes"},
		{&none_needed_shape, "{\"text\":\"a\\u0000b\"}",
			"text has a NUL in it: expected a text of 1 to 1024 bytes"},
		{&bounded_shape, "{\"text\":\"\"}", NULL},
		{&bounded_shape, "{\"text\":\"abc\"}", NULL},
		{&bounded_shape, "{\"text\":\"abcd\"}",
			"text is 4 bytes long: expected a text of 0 to 3 bytes"},
		{&none_needed_shape, "{\"user\":\"" SIXTY_FOUR "\"}", NULL},
		{&none_needed_shape, "{\"user\":\"" SIXTY_FOUR "a\"}",
			"user is 65 bytes long: expected " A_USER_ID},
		{&none_needed_shape, "{\"user\":\"\"}", "user is empty: expected " A_USER_ID},
		{&none_needed_shape, "{\"user\":\"a/b\"}",
			"user has other characters in it: expected " A_USER_ID},
		{&none_needed_shape, "{\"user\":\"#\"}",
			"user has other characters in it: expected " A_USER_ID},
		{&none_needed_shape, "{\"user\":68946}", "user is an integer: expected " A_USER_ID},
		{&bounded_shape, "{\"integer\":-5}", NULL},
		{&bounded_shape, "{\"integer\":10}", NULL},
		{&bounded_shape, "{\"integer\":11}", "integer is 11: expected an integer from -5 to 10"},
		{&bounded_shape, "{\"integer\":9223372036854775807}",
			"integer is 9223372036854775807: expected an integer from -5 to 10"},
		{&bounded_shape, "{\"up\":-1}", "up is -1: expected an integer, 0 or more"},
		{&bounded_shape, "{\"down\":1}", "down is 1: expected an integer, 0 or less"},
		{&none_needed_shape, "{\"integer\":7.0}",
			"integer is a number with a fraction: expected an integer"},
		{&none_needed_shape, "{\"integer\":\"7\"}", "integer is a text: expected an integer"},
		{&none_needed_shape, "{\"number\":9007199254740992}", NULL},
		{&none_needed_shape, "{\"number\":9007199254740993}",
			"number is 9007199254740993, which a double cannot hold: expected a number"},
		{&none_needed_shape, "{\"number\":9223372036854775807}",
			"number is 9223372036854775807, which a double cannot hold: expected a number"},
		{&none_needed_shape, "{\"number\":\"1\"}", "number is a text: expected a number"},
		{&none_needed_shape, "{\"boolean\":0}", "boolean is an integer: expected a boolean"},
		{&none_needed_shape, "{\"time\":1769860800}", "time is an integer: expected " A_TIME},
		{&none_needed_shape, "{\"time\":\"2026-02-30T12:00:00Z\"}",
			"time is another text: expected " A_TIME},
		{&none_needed_shape, "{\"bytes\":\"\"}", NULL},
		{&none_needed_shape, "{\"bytes\":\"AA\"}",
			"bytes is another text: expected 0 to 65536 bytes as a text in base64"},
		{&none_needed_shape, "{\"bytes\":\"=AAA\"}",
			"bytes is another text: expected 0 to 65536 bytes as a text in base64"},
		{&none_needed_shape, "{\"bytes\":\"A===\"}",
			"bytes is another text: expected 0 to 65536 bytes as a text in base64"},
		{&none_needed_shape, "{\"bytes\":\"AA A\"}",
			"bytes is another text: expected 0 to 65536 bytes as a text in base64"},
		{&none_needed_shape, "{\"bytes\":\"AA-_\"}",
			"bytes is another text: expected 0 to 65536 bytes as a text in base64"},
		{&none_needed_shape, "{\"bytes\":\"AAA\\u0000\"}",
			"bytes is another text: expected 0 to 65536 bytes as a text in base64"},
		{&bounded_shape, "{\"bytes\":\"\"}",
			"bytes is empty: expected 1 to 3 bytes as a text in base64"},
		{&bounded_shape, "{\"bytes\":\"AAAA\"}", NULL},
		{&bounded_shape, "{\"bytes\":\"AAAAAA==\"}",
			"bytes is 4 bytes long: expected 1 to 3 bytes as a text in base64"},
		{&none_needed_shape, "{\"json\":false}", NULL},
		{&renamed_shape, "{\"from\":1}", "user_id is missing: expected an integer"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const void *value = read_as(cases[i].shape, cases[i].text);
		if (!cases[i].reason && !value)
			fail_msg("%s: %s", cases[i].text, reason);
		if (cases[i].reason && (value || strcmp(reason, cases[i].reason) != 0))
			fail_msg("%s: %s", cases[i].text, value ? "(taken)" : reason);
	}
}

/* What is read is written as it came. */
static void test_both_ways(void **state)
{
	(void)state;
	static const struct {
		const struct cashew_shape *shape;
		const char *text;
	} cases[] = {
		{&all_shape,
			"{\"text\":\"\\\"\\\\/\\u0001\\u001f caf\xc3\xa9 \xf0\x9f\x8d\x8e\",\"user\":\"1\",\"integer\":9223372036854775807,"
			"\"number\":1.5,\"boolean\":false,\"time\":\"1969-12-31T23:59:59.999Z\",\"bytes\":\"\",\"json\":{\"a\":[null,1]}}"},
		{&none_needed_shape,
			"{\"integer\":-1,\"number\":1e+300,\"boolean\":true,\"bytes\":\"AA==\"}"},
		{&none_needed_shape,
			"{\"number\":0.1,\"time\":\"0001-01-01T00:00:00.000Z\",\"bytes\":\"AAA=\"}"},
		{&none_needed_shape,
			"{\"number\":-2.0,\"time\":\"9999-12-31T23:59:59.999Z\",\"bytes\":\"AP8B\"}"},
		{&none_needed_shape, "{\"number\":0.30000000000000004}"},
		{&renamed_shape, "{\"user_id\":1}"},
		{&most_shape,
			"{\"m1\":1,\"m2\":2,\"m3\":3,\"m4\":4,\"m5\":5,\"m6\":6,\"m7\":7,\"m8\":8,\"m9\":9,\"m10\":10,\"m11\":11,\"m12\":12,"
			"\"m13\":13,\"m14\":14,\"m15\":15,\"m16\":16,\"m17\":17,\"m18\":18,\"m19\":19,\"m20\":20,\"m21\":21,\"m22\":22,"
			"\"m23\":23,\"m24\":24}"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const void *value = read_as(cases[i].shape, cases[i].text);
		if (!value)
			fail_msg("%s: %s", cases[i].text, reason);
		assert_string_equal(written(cases[i].shape, value), cases[i].text);
	}
}

/* What a handler or a document may hold and JSON cannot. */
static void test_refuses_to_write(void **state)
{
	(void)state;
	static const struct {
		struct all value;
		const char *reason;
	} cases[] = {
		{{.user = "1"}, "text is NULL: expected a text, or .optional = true"},
		{{.text = "\xff", .user = "1"}, "text has bytes that are not UTF-8"},
		{{.text = "a", .user = "1", .number = INFINITY}, "number is no finite number: JSON has none"},
		{{.text = "a", .user = "1", .number = NAN}, "number is no finite number: JSON has none"},
		{{.text = "a", .user = "1", .time = INT64_MAX}, "time is no time before the year 10000"},
		{{.text = "a", .user = "1"}, "json is NULL: expected JSON, or .optional = true"},
	};
	arena_init(&arena, NULL, 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_null(written(&all_shape, &cases[i].value));
		assert_string_equal(reason, cases[i].reason);
	}
}

static void test_without(void **state)
{
	(void)state;
	const struct bounded value = {.text = "a", .integer = 3, .up = 4};
	struct shape_text text = {.arena = &arena};
	arena_init(&arena, NULL, 0);
	assert_true(shape_write(&text, &bounded_shape, &value, 1u << 1, reason));
	assert_string_equal(shape_text_end(&text), "{\"text\":\"a\",\"up\":4}");
}

/* Where a document is missing a handler looks at this. */
static void test_nothing(void **state)
{
	(void)state;
	arena_init(&arena, NULL, 0);
	const struct all *nothing = shape_nothing(&all_shape, &arena);
	assert_string_equal(nothing->text, "");
	assert_string_equal(nothing->user, "");
	assert_true(nothing->integer == 0 && !nothing->json);
	const struct none_needed *optional = shape_nothing(&none_needed_shape, &arena);
	assert_null(optional->text);
	failing_malloc_start(1, true);
	arena_free(&arena);
	arena_init(&arena, NULL, 0);
	nothing = shape_nothing(&all_shape, &arena);
	failing_malloc_stop();
	assert_true(arena.out_of_memory);
	assert_string_equal(nothing->text, "");
	assert_string_equal(nothing->user, "");
}

/* Each allocation fails in turn: neither reading nor writing says anything else than that. */
static void test_out_of_memory(void **state)
{
	(void)state;
	static char long_text[2000];
	memset(long_text, 'a', sizeof(long_text) - 1);
	const struct all *in = read_as(&all_shape,
		"{\"text\":\"a\",\"user\":\"1\",\"integer\":1,\"number\":1,\"boolean\":true,\"time\":\"2026-01-31T12:00:00Z\","
		"\"bytes\":\"AP8B\",\"json\":[]}");
	struct all value = *in;
	value.text = long_text;
	bool failed = true;
	unsigned n = 1;
	for (; failed && n < 100; n++) {
		struct arena own;
		struct shape_text text = {.arena = &own};
		arena_init(&own, NULL, 0);
		failing_malloc_start(n, true);
		const void *read = shape_read(&all_shape, json, &own, reason);
		const bool wrote = read && shape_write(&text, &all_shape, &value, 0, reason);
		const char *end = wrote ? shape_text_end(&text) : NULL;
		failed = failing_malloc_stop();
		if (!read)
			assert_string_equal(reason, "");
		assert_int_equal(!end, failed);
		assert_int_equal(own.out_of_memory, failed);
		arena_free(&own);
	}
	assert_false(failed);
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_reads, tear_down),
		cmocka_unit_test_teardown(test_reads_what_is_optional, tear_down),
		cmocka_unit_test_teardown(test_refuses, tear_down),
		cmocka_unit_test_teardown(test_both_ways, tear_down),
		cmocka_unit_test_teardown(test_refuses_to_write, tear_down),
		cmocka_unit_test_teardown(test_without, tear_down),
		cmocka_unit_test_teardown(test_nothing, tear_down),
		cmocka_unit_test_teardown(test_out_of_memory, tear_down),
	};
	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
