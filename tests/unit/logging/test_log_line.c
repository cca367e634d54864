/* Tests of log_line.c: what a line looks like, and that it is one whole line whatever its texts hold. */
#include "log_line.h"

#include "log_secret.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct line_case {
	const char *name;
	enum log_level level;
	const char *message;
	struct log_field fields[3];
	size_t count;
	const char *text, *json; /* what follows the time, without the line end */
};

static struct line_case line_cases[] = {
	{"no fields", LOG_LEVEL_INFO, "ready", {}, 0, "INFO  e: ready",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"ready\"}"},
	{"fields", LOG_LEVEL_WARN, "connected to the broker",
		{LOG_TEXT("broker", "127.0.0.1"), LOG_INT("port", 8883), LOG_REAL("ms", 1.25)}, 3,
		"WARN  e: connected to the broker  broker=127.0.0.1 port=8883 ms=1.25",
		"\"level\":\"warn\",\"event\":\"e\",\"message\":\"connected to the broker\",\"broker\":\"127.0.0.1\",\"port\":8883,\"ms\":1.25}"},
	{"no text", LOG_LEVEL_ERROR, "m", {LOG_TEXT("a", NULL), LOG_TEXT("b", "c")}, 2, "ERROR e: m  b=c",
		"\"level\":\"error\",\"event\":\"e\",\"message\":\"m\",\"b\":\"c\"}"},
	{"only no text", LOG_LEVEL_DEBUG, "m", {LOG_TEXT("a", NULL)}, 1, "DEBUG e: m",
		"\"level\":\"debug\",\"event\":\"e\",\"message\":\"m\"}"},
	{"integers", LOG_LEVEL_INFO, "m", {LOG_INT("a", 0), LOG_INT("b", INT64_MIN), LOG_INT("c", INT64_MAX)},
		3, "INFO  e: m  a=0 b=-9223372036854775808 c=9223372036854775807",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"m\",\"a\":0,\"b\":-9223372036854775808,\"c\":9223372036854775807}"},
	{"reals", LOG_LEVEL_INFO, "m", {LOG_REAL("a", 3), LOG_REAL("b", NAN), LOG_REAL("c", -1e300)}, 3,
		"INFO  e: m  a=3 b=nan c=-1e+300",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"m\",\"a\":3,\"b\":null,\"c\":-1e+300}"},
	{"quotes and blanks", LOG_LEVEL_INFO, "say \"a\\b\"",
		{LOG_TEXT("a", ""), LOG_TEXT("b", "x y"), LOG_TEXT("c", "\"\\")}, 3,
		"INFO  e: say \"a\\b\"  a=\"\" b=\"x y\" c=\"\\\"\\\\\"",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"say \\\"a\\\\b\\\"\",\"a\":\"\",\"b\":\"x y\",\"c\":\"\\\"\\\\\"}"},
	{"control characters", LOG_LEVEL_INFO, "a\nb\033[2J\x7f", {LOG_TEXT("a", "\r\t\x01")}, 1,
		"INFO  e: a\\nb\\u001b[2J\\u007f  a=\"\\r\\t\\u0001\"",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"a\\nb\\u001b[2J\\u007f\",\"a\":\"\\r\\t\\u0001\"}"},
	{"UTF-8", LOG_LEVEL_INFO, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8d\x8e",
		{LOG_TEXT("a", "\xc2\x9b"
			       "31m\xc2\xa0")},
		1, "INFO  e: \xc3\xa4\xe2\x82\xac\xf0\x9f\x8d\x8e  a=\\u009b31m\xc2\xa0",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x8d\x8e\",\"a\":\"\\u009b31m\xc2"
		"\xa0\"}"},
	{"bad UTF-8", LOG_LEVEL_INFO, "\xff\xc3",
		{LOG_TEXT("a", "\xed\xa0\x80"), LOG_TEXT("b", "\xc0\xaf\xf4\x90\x80\x80")}, 2,
		"INFO  e: \\xff\\xc3  a=\\xed\\xa0\\x80 b=\\xc0\\xaf\\xf4\\x90\\x80\\x80",
		"\"level\":\"info\",\"event\":\"e\",\"message\":\"\\\\xff\\\\xc3\",\"a\":\"\\\\xed\\\\xa0\\\\x80\",\"b\":"
		"\"\\\\xc0\\\\xaf\\\\xf4\\\\x90\\\\x80\\\\x80\"}"},
};

/* 2026-11-23 07:04:06.123 UTC */
static const struct timespec moment = {.tv_sec = 1795417446, .tv_nsec = 123999999};

static void test_line(void **state)
{
	const struct line_case *c = *state;
	const struct log_line line = {.time = moment,
		.level = c->level,
		.event = "e",
		.message = c->message,
		.fields = c->fields,
		.count = c->count};
	char got[LOG_LINE_SIZE + 1], expected[LOG_LINE_SIZE];
	got[log_line_text(&line, false, got)] = '\0';
	snprintf(expected, sizeof(expected), "2026-11-23 07:04:06.123 %s\n", c->text);
	assert_string_equal(got, expected);
	got[log_line_json(&line, got)] = '\0';
	snprintf(expected, sizeof(expected), "{\"timestamp\":\"2026-11-23T07:04:06.123Z\",%s\n", c->json);
	assert_string_equal(got, expected);
	json_t *json = json_loads(got, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	json_decref(json);
}

static void test_colours(void **state)
{
	(void)state;
	const struct log_field fields[] = {LOG_INT("n", 1)};
	struct log_line line = {
		.time = moment, .level = LOG_LEVEL_WARN, .message = "m", .fields = fields, .count = 1};
	char got[LOG_LINE_SIZE + 1];
	got[log_line_text(&line, true, got)] = '\0';
	assert_string_equal(got, "2026-11-23 07:04:06.123 \033[33mWARN\033[0m  m\033[2m  n=1\033[0m\n");
	line.count = 0;
	got[log_line_text(&line, true, got)] = '\0';
	assert_string_equal(got, "2026-11-23 07:04:06.123 \033[33mWARN\033[0m  m\n");
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		time_t second;
		const char *json;
	} cases[] = {{0, "1970-01-01T00:00:00.000Z"}, {951782399, "2000-02-28T23:59:59.000Z"},
		{253402300799, "9999-12-31T23:59:59.000Z"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct log_line line = {.time.tv_sec = cases[i].second,
			.level = LOG_LEVEL_INFO,
			.event = "e",
			.message = "m"};
		char got[LOG_LINE_SIZE + 1];
		got[log_line_json(&line, got)] = '\0';
		assert_memory_equal(got + strlen("{\"timestamp\":\""), cases[i].json, strlen(cases[i].json));
	}
}

/* A text of 1 KiB is whole, a longer one is cut before the character that lies across the limit. */
static void test_long_text(void **state)
{
	(void)state;
	char text[LOG_LINE_TEXT_MAX + 8];
	memset(text, 'a', sizeof(text));
	char got[LOG_LINE_SIZE + 1];
	const struct log_field fields[] = {LOG_TEXT("t", text)};
	const struct log_line line = {.time = moment,
		.level = LOG_LEVEL_INFO,
		.event = "e",
		.message = "m",
		.fields = fields,
		.count = 1};
	static const struct {
		size_t size, kept; /* of a's, with an apple of four bytes behind `apple` of them */
		size_t apple;
	} cases[] = {{1023, 1023, 0}, {1024, 1024, 0}, {1025, 1024, 0}, {1024, 1024, 1020},
		{1025, 1021, 1021}, {1027, 1023, 1023}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(text, 'a', sizeof(text));
		if (cases[i].apple > 0)
			memcpy(text + cases[i].apple, "\xf0\x9f\x8d\x8e", 4);
		text[cases[i].size] = '\0';
		got[log_line_json(&line, got)] = '\0';
		json_t *json = json_loads(got, 0, NULL);
		assert_non_null(json);
		const char *kept = json_string_value(json_object_get(json, "t"));
		const bool cut = cases[i].kept < cases[i].size;
		assert_int_equal(strlen(kept), cases[i].kept + (cut ? 3 : 0));
		assert_memory_equal(kept, text, cases[i].kept);
		json_decref(json);
		got[log_line_text(&line, false, got)] = '\0';
		assert_int_equal(strlen(got),
			strlen("2026-11-23 07:04:06.123 INFO  e: m  t=\n") + cases[i].kept + (cut ? 3 : 0));
	}
}

/* A name stands once, be it a sentence's first word. */
static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *event, *message, *expected;
	} cases[] = {{"ready", "ready: it works", "ready: it works"}, {"stopped", "stopped", "stopped"},
		{"stop", "stopped", "stop: stopped"}, {"ready", "it works", "ready: it works"},
		{"ready", "", "ready: "}, {NULL, "it works", "it works"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct log_line line = {.time = moment,
			.level = LOG_LEVEL_INFO,
			.event = cases[i].event,
			.message = cases[i].message};
		char got[LOG_LINE_SIZE + 1], expected[128];
		got[log_line_text(&line, false, got)] = '\0';
		snprintf(expected, sizeof(expected), "2026-11-23 07:04:06.123 INFO  %s\n", cases[i].expected);
		assert_string_equal(got, expected);
	}
}

/* Secrets are looked for before a text is cut, and not in the names by which programs know a line. */
static void test_secrets(void **state)
{
	(void)state;
#define PIECE "k4n4ry/secret"
	static const struct {
		const char *name;
		size_t before; /* so many x stand before the secret */
		const char *behind, *expected;
	} cases[] = {
		{"short", 3, " y", "xxx******** y"},
		{"at the cut", LOG_LINE_TEXT_MAX - 3, "", "***..."},
		{"behind the cut", LOG_LINE_TEXT_MAX, "", "..."},
	};
	static char text[LOG_LINE_TEXT_MAX + 64];
	assert_int_equal(log_secret_add(PIECE), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(text, 'x', cases[i].before);
		snprintf(text + cases[i].before, 64, PIECE "%s", cases[i].behind);
		const struct log_field fields[] = {LOG_TEXT("k4n4ry", text)};
		const struct log_line line = {.time = moment,
			.level = LOG_LEVEL_INFO,
			.event = "k4n4ry_secret",
			.message = text,
			.fields = fields,
			.count = 1};
		for (int format = 0; format < 2; format++) {
			char got[LOG_LINE_SIZE + 1];
			got[format == 0 ? log_line_json(&line, got) : log_line_text(&line, false, got)] =
				'\0';
			print_message("%s\n", cases[i].name);
			assert_null(strstr(got, "n4ry/sec"));
			assert_non_null(strstr(got, cases[i].expected));
			assert_non_null(strstr(got, "k4n4ry_secret"));
			assert_int_equal(strcspn(got, "\n"), strlen(got) - 1);
		}
	}
	log_secret_forget();
}

/* Whatever is thrown at it, a line is one line, within its size, and valid JSON. */
static void test_random(void **state)
{
	(void)state;
	enum { ROUNDS = 20000, FIELDS = 12 };
	static const char *const names[FIELDS] = {
		"a", "bb", "ccc", "d", "e1", "f", "g", "h", "i", "j", "k", "l"};
	static char texts[FIELDS][1100];
	unsigned seed = 7, cut = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct log_field fields[FIELDS];
		for (unsigned i = 0; i < FIELDS; i++) {
			const size_t size = (size_t)rand_r(&seed) % (round % 4 == 0 ? sizeof(texts[i]) : 40);
			const int kind = rand_r(&seed) % 3;
			for (size_t k = 0; k < size; k++) {
				const int c = kind == 0	  ? rand_r(&seed) % 255 + 1
					      : kind == 1 ? rand_r(&seed) % 31 + 1
							  : 'x';
				texts[i][k] = (char)c;
			}
			texts[i][size] = '\0';
			fields[i] = LOG_TEXT(names[i], texts[i]);
		}
		const struct log_line line = {.time = moment,
			.level = LOG_LEVEL_INFO,
			.event = "e",
			.message = texts[round % FIELDS],
			.fields = fields,
			.count = FIELDS};
		char got[LOG_LINE_SIZE + 1];
		for (int format = 0; format < 3; format++) {
			const size_t size = format == 0 ? log_line_json(&line, got)
							: log_line_text(&line, format == 2, got);
			assert_in_range(size, 1, LOG_LINE_SIZE);
			got[size] = '\0';
			assert_int_equal(strcspn(got, "\n"), size - 1);
			json_t *json = format == 0 ? json_loads(got, JSON_REJECT_DUPLICATES, NULL)
						   : json_string(got);
			assert_non_null(json);
			cut += json_is_true(json_object_get(json, "cut"));
			json_decref(json);
		}
	}
	assert_in_range(cut, ROUNDS / 20, ROUNDS / 2);
}

int main(void)
{
	setenv("TZ", "UTC0", 1);
	tzset();
	enum { LINE_CASES = sizeof(line_cases) / sizeof(line_cases[0]) };
	struct CMUnitTest line_tests[LINE_CASES];
	for (size_t i = 0; i < LINE_CASES; i++)
		line_tests[i] = (struct CMUnitTest){
			.name = line_cases[i].name, .test_func = test_line, .initial_state = &line_cases[i]};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests_name("lines", line_tests, NULL, NULL) +
	       cmocka_run_group_tests_name("log_line", tests, NULL, NULL);
}
