/*
 * test_mistakes.c - check.c: what is wrong with the descriptors of b*.c is told, with file and line, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "check.h"
#include "handler_table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The lines of a macro's call that goes over several: which one is told is the compiler's matter. */
static const struct {
	const char *file;
	int from, to;
	const char *text;
} expected[] = {
	{"b1_ours.c", 4, 4,
		"struct letter: the collection \"dead_letters\" is the host's own: expected another name"},
	{"b2_no_key.c", 4, 4,
		"struct thing: no member is a key: expected one with .key = true, which is a document's _id"},
	{"b3_late_key.c", 12, 12,
		"handler b3_late_key: .light with collections: all others would wait for the database"},
	{"b3_late_key.c", 4, 5,
		"struct thing: (text, part, ..): keys come first: expected it above those that are none"},
	{"b3_late_key.c", 4, 5, "struct thing: (boolean, b, ..): a key is text, user, integer or time"},
	{"b3_late_key.c", 4, 5,
		"struct thing: (boolean, b, ..): keys come first: expected it above those that are none"},
	{"b4_schedule.c", 9, 9, "schedule b4_schedule: .needs_id is for commands: a schedule has no sender"},
	{"b4_schedule.c", 9, 9,
		"schedule b4_schedule: when it runs is not said: expected .every_s = 3600 or .cron = \"30 4 * * *\""},
	{"b5_other_dishes.c", 4, 4,
		"struct plate: the collection \"dishes\" is declared with other members at tests/mistakes/dishes.h:"},
	{"b6_options.c", 14, 14,
		"handler b6_options: .deadline_ms = 4000000000: expected 3600000 or less, which is 3600 s"},
	{"b6_options.c", 14, 14, "handler b6_options: .lane = \"Slow\": expected 1 to 64 of a-z 0-9 _"},
	{"b6_options.c", 4, 7,
		"struct odd: (number, weight, ..): .min and .max are for integer, text and bytes"},
	{"b6_options.c", 4, 7, "struct odd: (text, name, ..): .min = 5 is more than .max = 4"},
	{"b6_options.c", 4, 7,
		"struct odd: (integer, age, ..): .otherwise is for an integer that is .optional"},
	{"b6_options.c", 4, 7,
		"struct odd: (time, at, ..): .key, .index and .expires are for documents: expected CASHEW_COLLECTION(odd, ..)"},
	{"b6_options.c", 4, 7, "struct odd: (integer, much, ..): .otherwise = 4 is not from .min to .max"},
	{"b6_options.c", 4, 7,
		"struct odd: (text, said, ..): .as = \"\"\": expected 1 to 64 of a-z A-Z 0-9 _"},
	{"b6_options.c", 4, 7, "struct odd: (text, again, ..): member name is \"name\" in JSON, too"},
	{"b7_event.c", 13, 13,
		"handler b7_event: .every_s, .cron and .skip_missed are for schedules: expected CASHEW_SCHEDULE(b7_event, ..)"},
	{"b7_event.c", 4, 4, "event command_failed is the host's own: expected another name"},
	{"b7_event.c", 6, 6, "event Washed: an event is named as its struct: expected 1 to 64 of a-z 0-9 _"},
	{"b8_document.c", 12, 12,
		"handler b8_document: .needs_id with CASHEW_BYTES: the id is the payload's \"command_id\" for most senders"},
	{"b8_document.c", 4, 5,
		"struct odd_document: MongoDB takes no collection \"system.odd\": expected a name without $, a dot at an end, and "
		"\"system.\" before it"},
	{"b8_document.c", 4, 5,
		"struct odd_document: (user, user_id, ..): a key is always there: it cannot be .optional"},
	{"b8_document.c", 4, 5,
		"struct odd_document: (integer, _v, ..): names that begin with _ are the host's own in a document"},
	{"b8_document.c", 4, 5,
		"struct odd_document: (bytes, data, ..): what is .index has an order: expected another kind"},
	{"b8_document.c", 4, 5, "struct odd_document: (integer, until, ..): .expires is for a time"},
	{"b8_document.c", 4, 5,
		"struct odd_document: (integer, n, ..): .index = 7: expected CASHEW_WITHIN or CASHEW_ACROSS"},
	{"b9_null.c", 4, 4, "handler b9_null: .handle is missing"},
};

enum { EXPECTED = sizeof(expected) / sizeof(expected[0]) };

/* Which expectation a line fulfils; EXPECTED: none. */
static size_t which(const char *line)
{
	static const char folder[] = "tests/mistakes/";
	char *end;
	for (size_t i = 0; i < EXPECTED; i++) {
		const size_t size = strlen(expected[i].file);
		const char *at = line + strlen(folder) + size;
		if (strncmp(line, folder, strlen(folder)) != 0 ||
			strncmp(line + strlen(folder), expected[i].file, size) != 0 || *at != ':')
			continue;
		const long number = strtol(at + 1, &end, 10);
		if (number >= expected[i].from && number <= expected[i].to && strncmp(end, ": ", 2) == 0 &&
			strncmp(end + 2, expected[i].text, strlen(expected[i].text)) == 0)
			return i;
	}
	return EXPECTED;
}

static void test_all_are_told(void **state)
{
	(void)state;
	char *problems = NULL;
	size_t size;
	bool told[EXPECTED] = {false};
	FILE *stream = open_memstream(&problems, &size);
	assert_non_null(stream);
	const unsigned count = check_handlers(handler_table, stream);
	fclose(stream);
	char *rest = problems;
	for (char *line; (line = strsep(&rest, "\n")) && *line != '\0';) {
		const size_t i = which(line);
		if (i == EXPECTED || told[i])
			fail_msg("not expected: %s", line);
		told[i] = true;
	}
	for (size_t i = 0; i < EXPECTED; i++)
		if (!told[i])
			fail_msg("not told: %s: %s", expected[i].file, expected[i].text);
	assert_int_equal(count, EXPECTED);
	free(problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_are_told)};
	return cmocka_run_group_tests_name("mistakes", tests, NULL, NULL);
}
