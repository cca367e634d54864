/* test_timetable.c - timetable.c: which descriptors are refused, when a schedule is due, and its runs as commands. */
#include "cashew.h"
#include "timetable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* 2026-01-31T12:00:00.000Z */
static const int64_t noon_ms = INT64_C(1769860800000);

static void test_descriptors(void **state)
{
	(void)state;
	static const struct {
		struct cashew_handler handler;
		const char *reason; /* its beginning; NULL: it is good */
	} cases[] = {
		{{.every_s = 1}, NULL},
		{{.every_s = 366 * 24 * 3600, .skip_missed = true}, NULL},
		{{.cron = "30 4 * * 1-5"}, NULL},
		{{.name = "a23456789012345678901234567890123456789", .every_s = 1}, NULL},
		{{.skip_missed = true},
			"when it runs is not said: expected .every_s = 3600 or .cron = \"30 4 * * *\""},
		{{.every_s = 1, .cron = "* * * * *"}, "it has both .every_s and .cron: expected .every_s"},
		{{.every_s = 366 * 24 * 3600 + 1}, ".every_s = 31622401: expected 31622400 or less"},
		{{.cron = "30 2 30 2 *"}, ".cron = \"30 2 30 2 *\": it never fires"},
		{{.cron = "61 * * * *"}, ".cron = \"61 * * * *\": the minute \"61\""},
		{{.cron = ""}, ".cron = \"\": expected five fields"},
		{{.name = "a234567890123456789012345678901234567890", .every_s = 1},
			"its name, which is the file's, has 40 bytes: expected 39 at most"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char reason[TIMETABLE_REASON_SIZE] = "";
		struct timetable timetable = {.every_s = 77};
		struct cashew_handler handler = cases[i].handler;
		handler.scheduled = true;
		if (!handler.name)
			handler.name = "hourly";
		const int error = timetable_of(&handler, &timetable, reason);
		if ((error != 0) != (cases[i].reason != NULL) ||
			(cases[i].reason && strncmp(reason, cases[i].reason, strlen(cases[i].reason)) != 0) ||
			(error != 0 && timetable.every_s != 77))
			fail_msg("case %zu: %d <%s>, expected <%s>", i, error, reason,
				cases[i].reason ? cases[i].reason : "good");
	}
}

static struct timetable every(unsigned s)
{
	return (struct timetable){.every_s = s};
}

static void test_every(void **state)
{
	(void)state;
	enum { HOUR_MS = 3600 * 1000 };
	static const struct {
		unsigned every_s;
		int64_t at_ms, latest_ms;
	} cases[] = {
		{3600, 0, 0},
		{3600, HOUR_MS - 1, 0},
		{3600, HOUR_MS, HOUR_MS},
		{3600, -1, -HOUR_MS},
		{3600, -HOUR_MS, -HOUR_MS},
		{1, 1999, 1000},
		{5000, 12345678, 10000000},
		{86400, INT64_C(1769860800000), INT64_C(1769817600000)},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct timetable timetable = every(cases[i].every_s);
		assert_int_equal(timetable_latest(&timetable, cases[i].at_ms), cases[i].latest_ms);
		assert_int_equal(timetable_after(&timetable, cases[i].at_ms),
			cases[i].latest_ms + (int64_t)cases[i].every_s * 1000);
	}
}

/* A schedule by its line goes by that. */
static void test_cron(void **state)
{
	(void)state;
	const struct cashew_handler handler = {.name = "nightly", .scheduled = true, .cron = "30 4 * * *"};
	char reason[TIMETABLE_REASON_SIZE];
	struct timetable timetable;
	assert_int_equal(timetable_of(&handler, &timetable, reason), 0);
	assert_int_equal(timetable_latest(&timetable, noon_ms), noon_ms - (7 * 60 + 30) * 60000);
	assert_int_equal(timetable_after(&timetable, noon_ms), noon_ms + (16 * 60 + 30) * 60000);
}

static void test_commands(void **state)
{
	(void)state;
	char topic[TIMETABLE_TOPIC_SIZE], payload[TIMETABLE_PAYLOAD_SIZE], id[TIMETABLE_ID_SIZE];
	int64_t slot_ms = 0, since_ms = 0;
	timetable_topic("remind_dishes", topic);
	assert_string_equal(topic, "$schedule/remind_dishes");
	assert_string_equal(timetable_name_of(topic), "remind_dishes");
	assert_null(timetable_name_of("68946/remind_dishes"));
	assert_null(timetable_name_of("$schedul"));
	assert_null(timetable_name_of(""));
	timetable_payload(noon_ms + 7, noon_ms - 3600000, payload);
	assert_string_equal(
		payload, "{\"since\":\"2026-01-31T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00.007Z\"}");
	assert_true(timetable_payload_read(payload, strlen(payload), &slot_ms, &since_ms));
	assert_int_equal(slot_ms, noon_ms + 7);
	assert_int_equal(since_ms, noon_ms - 3600000);
	timetable_id("a23456789012345678901234567890123456789", noon_ms, id);
	assert_int_equal(strlen(id), 64);
	timetable_id("remind_dishes", noon_ms, id);
	assert_string_equal(id, "remind_dishes/2026-01-31T12:00:00.000Z");
}

static void test_changed_payloads(void **state)
{
	(void)state;
	static const char *const payloads[] = {"", "{}", "null", "{\"since\":\"\",\"slot\":\"\"}",
		"{\"since\":\"2026-01-31T11:00:00.000Z\"}", "{\"slot\":\"2026-01-31T11:00:00.000Z\"}",
		"{\"since\":\"2026-01-31T11:00:00.000Z\",\"slot\":\"2026-13-31T12:00:00.000Z\"}",
		"{\"since\":\"2026-02-30T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00.000Z\"}",
		"{\"since\":\"2026-01-31T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00Z\"}",
		"{\"since\":\"2026-01-31T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00.000Z\"} ",
		"{\"since\":\"-026-01-31T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00.000Z\"}",
		"{\"since\":\"2026-01-31T11:00:00.000Z\",\"slot\":\"2026-01-31T12:00:00.000Z\",\"more\":1}"};
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		int64_t slot_ms = 7, since_ms = 8;
		if (timetable_payload_read(payloads[i], strlen(payloads[i]), &slot_ms, &since_ms))
			fail_msg("<%s> was read", payloads[i]);
		assert_int_equal(slot_ms, 7);
		assert_int_equal(since_ms, 8);
	}
	int64_t slot_ms, since_ms;
	assert_false(timetable_payload_read("{\0}", 3, &slot_ms, &since_ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_every),
		cmocka_unit_test(test_cron),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_changed_payloads),
	};
	return cmocka_run_group_tests_name("timetable", tests, NULL, NULL);
}
