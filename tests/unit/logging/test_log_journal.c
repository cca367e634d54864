/* Tests of log_journal.c, and of log.c where the output is the journal: which lines get which priority, and who gets the lines without it. */
#include "log_journal.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* JOURNAL_STREAM as systemd sets it for the descriptor, its inode changed by that much. */
static void name_stream(int fd, unsigned wrong)
{
	struct stat status;
	char text[64];
	assert_return_code(fstat(fd, &status), errno);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino + wrong);
	assert_return_code(setenv("JOURNAL_STREAM", text, 1), errno);
}

static void test_is(void **state)
{
	(void)state;
	int ends[2];
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	assert_return_code(unsetenv("JOURNAL_STREAM"), errno);
	assert_false(log_journal_is(ends[1]));
	name_stream(ends[1], 0);
	assert_true(log_journal_is(ends[1]));
	assert_false(log_journal_is(-1));
	/* A program that systemd has started and somebody else has given another output. */
	name_stream(ends[1], 1);
	assert_false(log_journal_is(ends[1]));
	const char *const others[] = {"", "1", "1:", ":", "1:2:3", "journal"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_return_code(setenv("JOURNAL_STREAM", others[i], 1), errno);
		assert_false(log_journal_is(ends[1]));
	}
	close(ends[0]);
	close(ends[1]);
}

static void test_level(void **state)
{
	(void)state;
	static const char head[] = "{\"timestamp\":\"2026-11-23T07:04:06.123Z\",\"level\":";
	static const struct {
		const char *name, *rest; /* behind head; NULL: `line` is all */
		const char *line;
		enum log_level level;
	} cases[] = {
		{"error", "\"error\",\"event\":\"a\"}\n", NULL, LOG_LEVEL_ERROR},
		{"warn", "\"warn\",\"event\":\"a\"}\n", NULL, LOG_LEVEL_WARN},
		{"info", "\"info\",\"event\":\"a\"}\n", NULL, LOG_LEVEL_INFO},
		{"debug", "\"debug\",\"event\":\"a\"}\n", NULL, LOG_LEVEL_DEBUG},
		{"an unknown level", "\"fatal\",\"event\":\"a\"}\n", NULL, LOG_LEVEL_WARN},
		{"a very long level", "\"debugdebugdebug\"}\n", NULL, LOG_LEVEL_WARN},
		{"cut", "\"debu", NULL, LOG_LEVEL_WARN},
		{"empty", NULL, "", LOG_LEVEL_WARN},
		{"a line end", NULL, "\n", LOG_LEVEL_WARN},
		{"no record", NULL, "==1==ERROR: AddressSanitizer: \"level\":\"debug\"\n", LOG_LEVEL_WARN},
		{"another object", NULL, "{\"message\":\"\",\"level\":\"debug\"}\n", LOG_LEVEL_WARN},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[256];
		print_message("  %s\n", cases[i].name);
		snprintf(line, sizeof(line), "%s%s", cases[i].rest ? head : "",
			cases[i].rest ? cases[i].rest : cases[i].line);
		/* On the heap and without a NUL, so that a sanitizer sees whoever reads on. */
		const size_t size = strlen(line);
		char *exact = malloc(size > 0 ? size : 1);
		assert_non_null(exact);
		memcpy(exact, line, size);
		assert_int_equal(log_journal_level(exact, size), cases[i].level);
		free(exact);
	}
}

static void tap(void *context, const char *lines, size_t size)
{
	fwrite(lines, 1, size, context);
}

/* What comes out of the log, and of its tap, where the output is the journal. */
static void log_some(enum log_format format, char *ret_out, char *ret_tapped, size_t size)
{
	static const char foreign[] =
		"{\"timestamp\":\"2026-11-23T07:04:06.123Z\",\"level\":\"debug\",\"event\":\"a\",\"message\":\"b\"}\n"
		"no record\n";
	int ends[2];
	FILE *tapped = fmemopen(ret_tapped, size, "w");
	assert_non_null(tapped);
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	name_stream(ends[1], 0);
	const struct log_options options = {.fd = ends[1], .format = format, .level = LOG_LEVEL_DEBUG};
	assert_int_equal(log_open(&options), 0);
	log_set_tap(tap, tapped);
	log_error("one", "an error");
	log_warn("two", "a warning");
	log_info("three", "a piece of news\nof two lines");
	log_debug("four", "a detail");
	log_put_lines(foreign, sizeof(foreign) - 1);
	log_close(10000);
	log_set_tap(NULL, NULL);
	fclose(tapped);
	close(ends[1]);
	const ssize_t got = read(ends[0], ret_out, size - 1);
	assert_return_code(got, errno);
	ret_out[got] = '\0';
	close(ends[0]);
}

static void test_log(void **state)
{
	(void)state;
	static const char *const begins[] = {"<3>", "<4>", "<6>", "<7>", "<7>", "<4>no record"};
	enum { LINES = sizeof(begins) / sizeof(begins[0]) };
	for (enum log_format format = LOG_FORMAT_AUTO; format <= LOG_FORMAT_JSON; format++) {
		char out[4096], tapped[4096];
		size_t lines = 0;
		log_some(format, out, tapped, sizeof(out));
		char *rest = out;
		for (char *line; (line = strsep(&rest, "\n")) && line[0] != '\0'; lines++) {
			assert_in_range(lines, 0, LINES - 1);
			assert_int_equal(strncmp(line, begins[lines], strlen(begins[lines])), 0);
			/* No terminal: JSON, unless text is asked for. */
			if (lines < 4)
				assert_int_equal(line[3] == '{', format != LOG_FORMAT_TEXT);
		}
		assert_int_equal(lines, LINES);
		/* Who ships the log gets JSON alone. */
		assert_int_equal(tapped[0], '{');
		assert_null(strstr(tapped, "<"));
		assert_non_null(strstr(tapped, "\"message\":\"a detail\""));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_log),
	};
	return cmocka_run_group_tests_name("log journal", tests, NULL, NULL);
}
