/* test_top_view.c - top_view.c: two status documents become lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "text_line.h"
#include "top_view.h"

/* clang-format off */
#define BOUNDS "[10,25,50,100,250,500,1000,2500,5000,10000,25000,50000,100000,250000,500000,1000000,2500000," \
	"5000000,10000000,30000000]"

/* A histogram: so many up to 10 us, up to 1 ms, and beyond all bounds. */
#define TIMES(a, b, c) "{\"sum_us\":1,\"counts\":[" #a ",0,0,0,0,0," #b ",0,0,0,0,0,0,0,0,0,0,0,0,0," #c "]}"

#define CONNECTION(state) "{\"state\":\"" state "\",\"standby\":false,\"up_ms\":60000,\"opened\":1,\"lost\":2}"

/* As status_document() makes it; `clock` in ms. */
#define DOCUMENT(clock, started, commands, handlers, running) \
	"{\"cashewd\":\"0.1.0\",\"unix_ms\":1795435200123,\"clock_ms\":" #clock ",\"bounds_us\":" BOUNDS "," \
	"\"supervisor\":{\"pid\":10,\"started_ms\":" #started ",\"rss_bytes\":10485760}," \
	"\"host\":{\"state\":\"running\",\"ready\":true,\"pid\":11,\"number\":2,\"running_ms\":65000," \
	"\"rss_bytes\":15728640,\"crashed\":1,\"hung\":0,\"killed\":0,\"too_large\":0}," \
	"\"commands\":{" commands ",\"in_flight\":7,\"with_workers\":3}," \
	"\"store\":{\"up\":true,\"writable\":true,\"failed\":4,\"latency\":" TIMES(0, 8, 0) "}," \
	"\"egress\":{\"connection\":" CONNECTION("up") ",\"unsent\":1,\"awaiting\":2," \
	"\"published\":300,\"refused\":0,\"repeated\":0}," \
	"\"lanes\":[{\"name\":\"main\",\"connection\":" CONNECTION("up") ",\"filters\":9,\"granted\":9," \
	"\"held\":120,\"unsettled\":7,\"oldest_ms\":1500,\"stepped_aside\":5," \
	"\"acknowledged\":400,\"dropped\":0,\"hold\":" TIMES(0, 4, 0) "}," \
	"{\"name\":\"slow\",\"connection\":" CONNECTION("opening") ",\"filters\":1,\"granted\":0}]," \
	"\"handlers\":[" handlers "],\"running\":[" running "],\"log_dropped\":5}"

#define HANDLER(name, runs, failed, times) \
	"{\"name\":\"" name "\",\"here\":true,\"running\":1,\"runs\":" #runs ",\"done\":" #runs "," \
	"\"rejected\":0,\"retried\":0,\"failed\":" #failed ",\"crashed\":0,\"hung\":0,\"durations\":" times "}"

#define RUN(ms, topic) \
	"{\"handler\":\"get_apples\",\"topic\":\"" topic "\",\"attempt\":1,\"running_ms\":" #ms "," \
	"\"deadline_ms\":10000,\"overdue\":false}"
/* clang-format on */

static json_t *parsed(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);
	if (!json)
		fail_msg("%s: %s", error.text, text);
	return json;
}

/* before: NULL for none. To be freed. */
static char *shown(const char *now, const char *before, unsigned width, unsigned height, bool colours)
{
	json_t *one = parsed(now), *other = before ? parsed(before) : NULL;
	char *text = NULL;
	const struct top_view_options options = {
		.address = "127.0.0.1:9883", .width = width, .height = height, .colours = colours};
	assert_true(top_view_is_status(one));
	assert_int_equal(top_view(one, other, &options, &text), 0);
	json_decref(one);
	json_decref(other);
	return text;
}

static const char first[] = DOCUMENT(5000, 1000, "\"done\":100,\"rejected\":1,\"parked\":2,\"dead\":0",
	HANDLER("ping", 100, 0, TIMES(100, 0, 0)) "," HANDLER("get_apples", 200, 1, TIMES(0, 200, 0)),
	RUN(20, "1/get_apples"));
static const char second[] = DOCUMENT(7000, 1000, "\"done\":150,\"rejected\":1,\"parked\":2,\"dead\":3",
	HANDLER("ping", 100, 0, TIMES(100, 0, 0)) "," HANDLER("get_apples", 240, 3, TIMES(0, 239, 1)),
	RUN(7000, "1/get_apples") "," RUN(20, "2/\\u001b[31m\\u009b2J\\u0001\\u0006x"));

static void test_whole(void **state)
{
	(void)state;
	char *text = shown(second, first, 0, 0, false);
	assert_string_equal(text,
		"cashewd  0.1.0 at 127.0.0.1:9883, figures of the last 2.0s, up 6.0s, 2026-11-23 12:00:00Z\n"
		"host     running, ready for 1m05s, crashed 1, hung 0, memory 15.0 MB, supervisor 10.0 MB, pid 11, number 2\n"
		"commands dead 3, parked 2, rejected 1, 26.5/s acked, in flight 7, workers 3, done 150\n"
		"store    up, failed 4, log lines dropped 5, p99 0.99ms, p50 0.75ms\n"
		"events   up 1m00s, lost 2 times, to send 1, without PUBACK 2, 0/s, sent 300\n"
		"\n"
		"LANE  LINK      TOPICS  OLDEST  DROP  ASIDE  OPEN  HELD  ACK/S     P99     P50\n"
		"main  up 1m00s     9/9    1.5s     0      5     7   120      0  0.99ms  0.75ms\n"
		"slow  opening      0/1       -     0      0     0     0      0       -       -\n"
		"\n"
		"HANDLER     CRASH  HANG  FAIL  RETRY  REJECT     P99  RUNS/S  NOW     P50  DONE\n"
		"get_apples      0     0     3      0       0  >30.0s    20.0    1  0.76ms   240\n"
		"ping            0     0     0      0       0  0.01ms       0    1  0.01ms   100\n"
		"\n"
		"RUNNING  DEADLINE  ATTEMPT  HANDLER     COMMAND\n"
		"   7.0s     10.0s        1  get_apples  1/get_apples\n"
		" 20.0ms     10.0s        1  get_apples  2/\\x1b[31m\\x9b2J\\x01\\x06x\n");
	free(text);
}

/* On a terminal of 80 columns and 24 lines nothing is cut off unseen: whole columns and items go, the least urgent ones, and an ellipsis says so. */
static void test_eighty_columns(void **state)
{
	(void)state;
	static const char now[] = DOCUMENT(7000, 1000,
		"\"done\":9374012,\"rejected\":1,\"parked\":2,\"dead\":3,\"suspects\":1,\"left\":1000",
		HANDLER("get_contact_requests", 9374012, 3, TIMES(0, 239, 1)) "," HANDLER(
			"a_name_that_is_much_too_long", 1, 3,
			TIMES(0, 1, 0)) ",{\"name\":\"kills\",\"crashed\":1,\"hung\":2}",
		RUN(7000,
			"1/a_command_with_a_name_of_which_there_is_no_end_and_that_nobody_reads_as_a_whole"));
	json_t *document = parsed(now);
	char *text = NULL;
	const struct top_view_options options = {
		.address = "127.0.0.1:9883", .keys = "q leaves", .width = 79, .height = 24};
	assert_int_equal(top_view(document, NULL, &options, &text), 0);
	assert_string_equal(text,
		"cashewd  0.1.0 at 127.0.0.1:9883, figures of all the time, q leaves, up 6.0s \xe2\x80\xa6\n"
		"host     running, ready for 1m05s, crashed 1, hung 0, memory 15.0 MB \xe2\x80\xa6\n"
		"commands dead 3, suspects 1, parked 2, rejected 1, 1562336/s acked \xe2\x80\xa6\n"
		"store    up, failed 4, log lines dropped 5, p99 0.99ms, p50 0.75ms\n"
		"events   up 1m00s, lost 2 times, to send 1, without PUBACK 2, 50.0/s, sent 300\n"
		"\n"
		"LANE  LINK      TOPICS  OLDEST  DROP  ASIDE  OPEN  HELD  ACK/S     P99     P50\n"
		"main  up 1m00s     9/9    1.5s     0      5     7   120   66.7  0.99ms  0.75ms\n"
		"slow  opening      0/1       -     0      0     0     0      0       -       -\n"
		"\n"
		"HANDLER               CRASH  HANG  FAIL  RETRY  REJECT     P99   RUNS/S  NOW \xe2\x80\xa6\n"
		"kills                     1     2     0      0       0       -        0    0\n"
		"get_contact_requests      0     0     3      0       0  1.00ms  1562335    1\n"
		"a_name_that_is_much\xe2\x80\xa6      0     0     3      0       0  0.99ms     0.17    1\n"
		"\n"
		"RUNNING  DEADLINE  ATTEMPT  HANDLER     COMMAND\n"
		"   7.0s     10.0s        1  get_apples  1/a_command_with_a_name_of_which_there_\n");
	free(text);
	json_decref(document);
}

static void test_since(void **state)
{
	/* Without an earlier document, or with one that is no earlier one of this supervisor. */
	static const char other[] = DOCUMENT(6000, 999, "\"done\":1", "", "");
	static const struct {
		const char *now, *before, *since, *rate;
	} cases[] = {
		{second, NULL, "figures of all the time, up ", ", 26.0/s ack"},
		{second, other, "figures of all the time, up ", ", 26.0/s ack"},
		{second, second, "figures of all the time, up ", ", 26.0/s ack"},
		{first, second, "figures of all the time, up ", ", 25.8/s ack"},
		{second, first, "figures of the last 2.0s, up ", ", 26.5/s ack"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = shown(cases[i].now, cases[i].before, 0, 0, false);
		if (!strstr(text, cases[i].since) || !strstr(text, cases[i].rate))
			fail_msg("case %zu: %s", i, text);
		free(text);
	}
}

static void test_counters_that_fall(void **state)
{
	static const char earlier[] = DOCUMENT(
		6000, 1000, "\"done\":1000000", HANDLER("get_apples", 9000, 9, TIMES(0, 9000, 9)), "");
	(void)state;
	char *text = shown(second, earlier, 0, 0, false);
	assert_non_null(strstr(text, ", 6.00/s ack")); /* what was parked, dead and rejected */
	assert_non_null(strstr(text, "\nget_apples      0     0     3      0       0  1.00ms       0 "));
	assert_null(strchr(strstr(text, "HANDLER"), '-'));
	free(text);
}

static void test_any_document(void **state)
{
	static const char *const cases[] = {
		"{\"cashewd\":\"x\",\"host\":{}}",
		"{\"cashewd\":\"x\",\"host\":{\"pid\":-1},\"clock_ms\":-5,\"lanes\":{},\"handlers\":[1,null,{}],\"running\":[[],\"x\",{\"handler\":1}],\"commands\":[],\"store\":7,\"bounds_us\":[1]}",
		"{\"cashewd\":\"\\u001b\",\"host\":{\"state\":\"\\u001b[2J\"},\"unix_ms\":9223372036854775807,\"clock_ms\":9223372036854775807,\"supervisor\":{\"started_ms\":1},\"commands\":{\"done\":9223372036854775807}}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = shown(cases[i], cases[i], 0, 0, false);
		assert_non_null(strstr(text, "\nHANDLER "));
		for (const char *at = text; *at != '\0'; at++)
			assert_true(*at == '\n' || !text_is_control((unsigned char)*at));
		free(text);
	}
	json_t *no_status = parsed("{\"host\":{}}");
	assert_false(top_view_is_status(no_status));
	assert_false(top_view_is_status(NULL));
	json_decref(no_status);
}

/* Nothing but whole colours. */
static void check_colours(const char *text)
{
	for (const char *at = text; (at = strchr(at, '\033')); at++) {
		const size_t digits = strspn(at + 2, "0123456789");
		assert_true(at[1] == '[' && digits > 0 && at[2 + digits] == 'm');
	}
}

static void test_colours(void **state)
{
	(void)state;
	char *text = shown(second, first, 0, 0, true);
	check_colours(text);
	assert_non_null(strstr(text, "\033[31mdead 3\033[0m")); /* it rose */
	assert_non_null(strstr(text, ", parked 2"));		/* it did not */
	assert_non_null(strstr(text, "\033[31mopening\033[0m"));
	assert_non_null(strstr(text, "\033[2m0.01ms\033[0m")); /* nothing ran meanwhile */
	assert_non_null(strstr(text, "\033[33m7.0s\033[0m"));  /* more than half of its deadline */
	assert_non_null(strstr(text, "  \033[31m3\033[0m  ")); /* failed */
	free(text);
}

static void test_sizes(void **state)
{
	static const char run[] = "," RUN(20, "2/\xc3\xa4\xc3\xb6\xc3\xbc");
	char *many = strdup(second);
	(void)state;
	/* more than fit */
	for (int i = 0; i < 40; i++) {
		char *end = strstr(many, "],\"log_dropped\""), *longer = NULL;
		assert_true(asprintf(&longer, "%.*s%s%s", (int)(end - many), many, run, end) > 0);
		free(many);
		many = longer;
	}
	for (unsigned width = 1; width < 140; width += 7) {
		for (unsigned height = 1; height < 60; height += 3) {
			char *text = shown(many, first, width, height, false);
			unsigned lines = 0;
			for (char *rest = text, *line; (line = strsep(&rest, "\n")) && rest;) {
				assert_true(text_width(line) <= width);
				lines++;
			}
			assert_int_equal(lines, height < 57 ? height : 57);
			free(text);
		}
	}
	/* each of the tables keeps something */
	char *text = shown(many, first, 0, 18, false);
	assert_non_null(strstr(text, "\nmain "));
	assert_non_null(strstr(text, "\nget_apples "));
	assert_non_null(strstr(text, "1/get_apples\n"));
	assert_non_null(strstr(text, "\n... and 40 more\n"));
	free(text);
	free(many);
}

static void test_away(void **state)
{
	const struct top_view_options options = {.address = "127.0.0.1:9883", .width = 60, .height = 24};
	const struct top_away away = {.source = "METRICS_ADDR",
		.reason = "Connection \x1b[31mrefused",
		.since_ms = INT64_C(1795435200123),
		.now_ms = INT64_C(1795435325999),
		.interval_ms = 500};
	char *text;
	(void)state;
	assert_int_equal(top_view_away(&away, &options, &text), 0);
	assert_string_equal(text, "No answer from cashewd at 127.0.0.1:9883\n"
				  "since 2026-11-23 12:00:00Z, for 2m05s: Connection \\x1b[31mre\n"
				  "\n"
				  "The address is from METRICS_ADDR. It is asked again every 50\n");
	free(text);
}

/* A table of their own, the overdue ones first; none where there are none. */
static void test_schedules(void **state)
{
	(void)state;
	json_t *document = parsed(second);
	json_t *schedules = parsed(
		"[{\"name\":\"hourly\",\"slot_ms\":1769860800000,\"next_ms\":1769864400000,\"running\":true,\"end\":\"done\","
		"\"overdue_ms\":0,\"begun\":3,\"skipped\":0},"
		"{\"name\":\"nightly\",\"slot_ms\":1769817600000,\"next_ms\":1769904000000,\"running\":false,\"end\":\"dead\","
		"\"overdue_ms\":125000,\"begun\":1,\"skipped\":2}]");
	assert_int_equal(json_object_set_new(document, "schedules", schedules), 0);
	char *text = NULL;
	const struct top_view_options options = {.address = "127.0.0.1:9883"};
	assert_int_equal(top_view(document, NULL, &options, &text), 0);
	const char *table = strstr(text, "\nSCHEDULE");
	assert_non_null(table);
	assert_string_equal(table + 1,
		"SCHEDULE  OVERDUE     LAST  BEGUN  SKIP                  NEXT             LAST SLOT\n"
		"nightly     2m05s     dead      1     2  2026-02-01 00:00:00Z  2026-01-31 00:00:00Z\n"
		"hourly          -  running      3     0  2026-01-31 13:00:00Z  2026-01-31 12:00:00Z\n");
	free(text);
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_eighty_columns),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_counters_that_fall),
		cmocka_unit_test(test_any_document),
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_schedules),
		cmocka_unit_test(test_away),
	};
	return cmocka_run_group_tests_name("top_view", tests, NULL, NULL);
}
