/* test_child_log.c - child_log.c: another process's lines in this process's log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "child_log.h"
#include "log.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORD                                                                                        \
	"{\"timestamp\":\"2026-11-23T07:04:06.123Z\",\"level\":\"warn\",\"event\":\"e\",\"message\":" \
	"\"apples "                                                                                   \
	"fell\",\"count\":3,\"tree\":\"old oak\",\"ms\":0.5,\"ripe\":true}\n"

static struct child_log logs;
static int other_end, output;

static void open_kind(enum log_format format, enum child_log_kind kind)
{
	output = memfd_create("log", MFD_CLOEXEC);
	setenv("TZ", "UTC", 1);
	assert_int_equal(
		log_open(&(struct log_options){.fd = output, .format = format, .level = LOG_LEVEL_INFO}), 0);
	assert_int_equal(child_log_open(&logs, kind, &other_end), 0);
}

static void open_all(enum log_format format)
{
	open_kind(format, CHILD_LOG_RECORDS);
}

static void send_text(const char *text)
{
	assert_int_equal(write(other_end, text, strlen(text)), strlen(text));
	struct pollfd polled = child_log_poll(&logs);
	assert_int_equal(poll(&polled, 1, 0), 1);
	child_log_serve(&logs, polled.revents);
}

/* The process is gone: what stands in the log. */
static const char *close_all(void)
{
	static char text[256 * 1024];
	close(other_end);
	child_log_close(&logs);
	assert_int_equal(logs.fd, -1);
	log_close(5000);
	const ssize_t size = pread(output, text, sizeof(text) - 1, 0);
	assert_in_range(size, 0, sizeof(text) - 1);
	text[size] = '\0';
	close(output);
	return text;
}

static void test_json_passes(void **state)
{
	(void)state;
	open_all(LOG_FORMAT_JSON);
	send_text(RECORD RECORD);
	assert_string_equal(close_all(), RECORD RECORD);
}

static void test_text_is_rendered(void **state)
{
	(void)state;
	open_all(LOG_FORMAT_TEXT);
	send_text(RECORD "no JSON\n");
	assert_string_equal(close_all(),
		"2026-11-23 07:04:06.123 WARN  e: apples fell  count=3 tree=\"old oak\" ms=0.5 ripe=true\nno JSON\n");
}

static void test_line_in_pieces(void **state)
{
	(void)state;
	open_all(LOG_FORMAT_JSON);
	send_text("{\"a\":");
	send_text("1}\n{\"b\"");
	send_text(":2}\n");
	assert_string_equal(close_all(), "{\"a\":1}\n{\"b\":2}\n");
}

static void test_last_word_is_ended(void **state)
{
	(void)state;
	open_all(LOG_FORMAT_JSON);
	send_text("{}\n{\"the host d");
	assert_string_equal(close_all(), "{}\n{\"the host d\n");
}

static void test_line_without_end_is_cut(void **state)
{
	(void)state;
	char piece[1000];
	memset(piece, 'x', sizeof(piece));
	piece[sizeof(piece) - 1] = '\0';
	open_all(LOG_FORMAT_JSON);
	for (int i = 0; i < 100; i++)
		send_text(piece);
	const char *text = close_all();
	assert_int_equal(strspn(text, "x"), 64 * 1024 - 1);
	size_t count = 0;
	for (const char *at = text; *at != '\0'; at++)
		count += *at == 'x';
	assert_int_equal(count, 100 * (sizeof(piece) - 1));
}

/* Until the death is noticed a closed end is no reason to poll in circles. */
static void test_closed_end_is_not_polled(void **state)
{
	(void)state;
	open_all(LOG_FORMAT_JSON);
	close(other_end);
	struct pollfd polled = child_log_poll(&logs);
	assert_int_equal(poll(&polled, 1, 0), 1);
	for (int i = 0; i < 2 && polled.fd >= 0; i++) {
		(void)poll(&polled, 1, 0);
		child_log_serve(&logs, polled.revents);
		polled = child_log_poll(&logs);
	}
	assert_int_equal(polled.fd, -1);
	other_end = dup(output);
	assert_string_equal(close_all(), "");
}

/* What is printed is no record: each line becomes one, in the format of the log, and so does the last one, which has no end. */
static void test_what_is_printed(void **state)
{
	(void)state;
	static const struct {
		const char *printed;
		size_t size;
		const char *messages[4];
	} cases[] = {
		{"one\n", 4, {"one"}},
		{"one\ntwo\n", 8, {"one", "two"}},
		{"\n\none\n\n", 7, {"one"}},
		{"one\nbefore the cra", 18, {"one", "before the cra"}},
		{"{\"level\":\"error\"}\n", 18, {"{\\\"level\\\":\\\"error\\\"}"}},
		{"a\0b\n", 4, {"a?b"}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_kind(LOG_FORMAT_JSON, CHILD_LOG_PRINTED);
		assert_int_equal(write(other_end, cases[i].printed, cases[i].size), cases[i].size);
		struct pollfd polled = child_log_poll(&logs);
		assert_int_equal(poll(&polled, 1, 0), 1);
		child_log_serve(&logs, polled.revents);
		const char *at = close_all();
		for (size_t k = 0; cases[i].messages[k]; k++) {
			char expected[128];
			snprintf(expected, sizeof(expected),
				"\"level\":\"info\",\"event\":\"host_output\",\"message\":\"%s\"}\n",
				cases[i].messages[k]);
			assert_int_equal(strncmp(at, "{\"timestamp\":\"", 14), 0);
			at += strlen("{\"timestamp\":\"2026-11-23T07:04:06.123Z\",");
			if (strncmp(at, expected, strlen(expected)) != 0)
				fail_msg("'%s' instead of '%s'", at, expected);
			at += strlen(expected);
		}
		assert_string_equal(at, "");
	}
}

/* A handler's printf() may wait for its turn; the supervisor never waits for a handler. And /dev/stdout can be opened, as it could without a supervisor. */
static void test_printing_end_is_a_pipe(void **state)
{
	(void)state;
	char path[64];
	open_kind(LOG_FORMAT_JSON, CHILD_LOG_PRINTED);
	assert_int_equal(fcntl(other_end, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(logs.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", other_end);
	const int again = open(path, O_WRONLY | O_CLOEXEC);
	assert_return_code(again, 0);
	assert_int_equal(write(again, "x\n", 2), 2);
	close(again);
	assert_non_null(strstr(close_all(), "\"message\":\"x\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_passes),
		cmocka_unit_test(test_text_is_rendered),
		cmocka_unit_test(test_line_in_pieces),
		cmocka_unit_test(test_last_word_is_ended),
		cmocka_unit_test(test_line_without_end_is_cut),
		cmocka_unit_test(test_closed_end_is_not_polled),
		cmocka_unit_test(test_what_is_printed),
		cmocka_unit_test(test_printing_end_is_a_pipe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
