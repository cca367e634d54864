/* Tests of log.c: what comes out of the ring, also when the output is slow, stuck, closed or comes back. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Reads a descriptor to its end in a thread of its own. */
struct reader {
	int fd;
	char *text;
	size_t size;
	pthread_t thread;
};

static void *reader_run(void *argument)
{
	struct reader *reader = argument;
	FILE *text = open_memstream(&reader->text, &reader->size);
	char bytes[4096];
	for (ssize_t got; (got = read(reader->fd, bytes, sizeof(bytes))) > 0;)
		fwrite(bytes, 1, (size_t)got, text);
	fclose(text);
	return NULL;
}

static void reader_start(struct reader *reader, int fd)
{
	*reader = (struct reader){.fd = fd};
	assert_int_equal(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
}

static void reader_join(struct reader *reader)
{
	assert_int_equal(pthread_join(reader->thread, NULL), 0);
	close(reader->fd);
}

static void open_to(int fd, enum log_format format, enum log_level level)
{
	assert_int_equal(log_open(&(struct log_options){.fd = fd, .format = format, .level = level}), 0);
}

static void make_pipe(int ends[2], int size)
{
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	if (size > 0)
		assert_return_code(fcntl(ends[1], F_SETPIPE_SZ, size), errno);
}

/* Checks that the text is whole JSON lines and returns how many have the event; *ret_sum: the sum of their
 * "lines". */
static unsigned count_events(const char *text, const char *event, json_int_t *ret_sum)
{
	unsigned count = 0;
	/* Not strchr(), of which AddressSanitizer reads the text to its end each time. */
	const char *const text_end = text + strlen(text);
	for (const char *line = text; line < text_end;) {
		const char *end = memchr(line, '\n', (size_t)(text_end - line));
		assert_non_null(end);
		json_t *json = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		if (strcmp(json_string_value(json_object_get(json, "event")), event) == 0) {
			count++;
			if (ret_sum)
				*ret_sum += json_integer_value(json_object_get(json, "lines"));
		}
		json_decref(json);
		line = end + 1;
	}
	return count;
}

static void test_lines(void **state)
{
	(void)state;
	int ends[2];
	make_pipe(ends, 0);
	open_to(ends[1], LOG_FORMAT_AUTO, LOG_LEVEL_INFO);
	assert_int_equal(log_open(&(struct log_options){.fd = ends[1]}), -EALREADY);
	unsigned evaluated = 0;
	errno = 42;
	log_info("first", "one", LOG_INT("n", ++evaluated));
	log_debug("second", "two", LOG_INT("n", ++evaluated));
	log_error("third", "three");
	assert_int_equal(errno, 42);
	assert_int_equal(evaluated, 1);
	assert_true(log_enabled(LOG_LEVEL_INFO));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_close(10000);
	close(ends[1]);
	struct reader reader;
	reader_start(&reader, ends[0]);
	reader_join(&reader);
	assert_int_equal(count_events(reader.text, "first", NULL), 1);
	assert_int_equal(count_events(reader.text, "second", NULL), 0);
	assert_int_equal(count_events(reader.text, "third", NULL), 1);
	assert_true(strstr(reader.text, "\"first\"") < strstr(reader.text, "\"third\""));
	assert_int_equal(log_dropped(), 0);
	free(reader.text);
}

enum { THREADS = 8, THREAD_LINES = 4000 };

static void *write_lines(void *argument)
{
	for (int i = 0; i < THREAD_LINES; i++)
		log_info("line", "a line of a thread", LOG_TEXT("thread", argument), LOG_INT("i", i));
	return NULL;
}

/* Many threads: every line is whole, and each was either written or counted as dropped. */
static void run_threads(int flags, int pipe_size)
{
	int ends[2];
	make_pipe(ends, pipe_size);
	assert_return_code(fcntl(ends[1], F_SETFL, flags), errno);
	struct reader reader;
	reader_start(&reader, ends[0]);
	open_to(ends[1], LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	pthread_t threads[THREADS];
	static char names[THREADS][2];
	for (int i = 0; i < THREADS; i++) {
		names[i][0] = (char)('a' + i);
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	log_close(60000);
	close(ends[1]);
	reader_join(&reader);
	json_int_t told = 0;
	const unsigned lines = count_events(reader.text, "line", NULL);
	(void)count_events(reader.text, "log_dropped", &told);
	assert_int_equal(told, log_dropped());
	assert_int_equal(lines + told, THREADS * THREAD_LINES);
	free(reader.text);
}

static void test_threads(void **state)
{
	(void)state;
	run_threads(0, 0);
}

static void test_nonblocking_output(void **state)
{
	(void)state;
	run_threads(O_NONBLOCK, 4096);
}

/* Nobody reads: calls go on, the ring fills, lines are counted as dropped; once somebody reads, that is told. */
static void test_stuck_output(void **state)
{
	(void)state;
	enum { LINES = 20000 };
	int ends[2];
	make_pipe(ends, 4096);
	open_to(ends[1], LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	for (int i = 0; i < LINES; i++)
		log_info("line", "nobody reads this yet", LOG_INT("i", i));
	const uint64_t dropped = log_dropped();
	assert_in_range(dropped, 1, LINES - 1000);
	struct reader reader;
	reader_start(&reader, ends[0]);
	log_close(60000);
	close(ends[1]);
	reader_join(&reader);
	json_int_t told = 0;
	assert_int_equal(count_events(reader.text, "line", NULL), LINES - dropped);
	assert_in_range(count_events(reader.text, "log_dropped", &told), 1, LINES);
	assert_int_equal(told, dropped);
	free(reader.text);
}

static void wait_for_dropped(uint64_t count)
{
	while (log_dropped() < count)
		sched_yield();
}

static void read_line(int fd, char *line, size_t size)
{
	size_t at = 0;
	do {
		const ssize_t got = read(fd, line + at, 1);
		at += got == 1;
		if (got < 0)
			assert_int_equal(errno, EAGAIN);
	} while (at < size - 1 && (at == 0 || line[at - 1] != '\n'));
	line[at] = '\0';
}

static char tapped[4096];

static void take_tapped(void *context, const char *lines, size_t size)
{
	assert_ptr_equal(context, tapped);
	strncat(tapped, lines, size);
}

/* Who else listens gets JSON, whatever the log itself is written as, and other processes' lines as they are. */
static void test_tap(void **state)
{
	(void)state;
	static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON};
	for (size_t i = 0; i < 2; i++) {
		int ends[2];
		make_pipe(ends, 0);
		open_to(ends[1], formats[i], LOG_LEVEL_INFO);
		tapped[0] = '\0';
		log_info("before", "before");
		log_set_tap(take_tapped, tapped);
		log_info("between", "between", LOG_INT("n", 1));
		log_debug("less", "less important");
		log_tap_lines("{\"event\":\"other\"}\n", 18);
		log_set_tap(NULL, NULL);
		log_info("after", "after");
		log_tap_lines("{}\n", 3);
		log_close(10000);
		close(ends[1]);
		close(ends[0]);
		assert_int_equal(count_events(tapped, "between", NULL), 1);
		assert_int_equal(count_events(tapped, "other", NULL), 1);
		assert_string_equal(strchr(tapped, '\n') + 1, "{\"event\":\"other\"}\n");
	}
}

/* The reader goes away and comes back: no signal, the loss is counted and told, lines are whole again. */
static void test_closed_output(void **state)
{
	(void)state;
	char folder[] = "/tmp/cashewd-test-XXXXXX", path[64], line[512];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_return_code(mkfifo(path, 0600), errno);
	signal(SIGPIPE, SIG_DFL);
	int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	const int out = open(path, O_WRONLY | O_CLOEXEC);
	assert_return_code(out, errno);
	open_to(out, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_info("a", "before");
	read_line(in, line, sizeof(line));
	assert_non_null(strstr(line, " INFO  a: before\n"));
	close(in);
	log_info("a", "lost");
	wait_for_dropped(1);
	log_info("a", "lost too");
	wait_for_dropped(2);
	in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	log_info("a", "after");
	read_line(in, line, sizeof(line));
	assert_non_null(strstr(line, " INFO  a: after\n"));
	read_line(in, line, sizeof(line));
	assert_non_null(strstr(line, "did not take them  lines=2 lines_total=2\n"));
	log_close(10000);
	close(in);
	close(out);
	unlink(path);
	rmdir(folder);
}

/* Runs the function in a child process whose standard error is the pipe's end; returns how it ended. */
static int in_child(void (*run)(int fd), int fd)
{
	fflush(NULL);
	const pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(fd, STDERR_FILENO);
		close(fd);
		run(STDERR_FILENO);
		_exit(7);
	}
	close(fd);
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void close_stuck(int fd)
{
	open_to(fd, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	for (int i = 0; i < 1000; i++)
		log_info("line", "nobody will ever read this");
	log_close(20);
}

/* Closing gives up on an output that takes nothing. */
static void test_close_gives_up(void **state)
{
	(void)state;
	int ends[2];
	make_pipe(ends, 4096);
	const int status = in_child(close_stuck, ends[1]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	close(ends[0]);
}

static void log_around(int fd)
{
	log_info("a", "before it is open");
	open_to(fd, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
	log_debug("b", "while it is open");
	log_close(10000);
	log_info("c", "after it was closed");
}

static void test_not_open(void **state)
{
	(void)state;
	int ends[2];
	make_pipe(ends, 0);
	int status = in_child(log_around, ends[1]);
	assert_true(WIFEXITED(status));
	struct reader reader;
	reader_start(&reader, ends[0]);
	reader_join(&reader);
	const char *before = strstr(reader.text, "INFO  a: before it is open\n");
	const char *open = strstr(reader.text, "DEBUG b: while it is open\n");
	const char *after = strstr(reader.text, "INFO  c: after it was closed\n");
	assert_non_null(before);
	assert_non_null(open);
	assert_non_null(after);
	assert_true(before < open && open < after);
	free(reader.text);

	/* A closed pipe does not end the process then either. */
	make_pipe(ends, 0);
	close(ends[0]);
	status = in_child(log_around, ends[1]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_terminal(void **state)
{
	(void)state;
	static const struct {
		const char *no_color, *terminal;
		const char *expected;
	} cases[] = {
		{NULL, "xterm", " \033[32mINFO\033[0m  a: on a terminal\r\n"},
		{"", "xterm", " \033[32mINFO\033[0m  a: on a terminal\r\n"},
		{"1", "xterm", " INFO  a: on a terminal\r\n"},
		{NULL, "dumb", " INFO  a: on a terminal\r\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_return_code(terminal, errno);
		assert_return_code(grantpt(terminal), errno);
		assert_return_code(unlockpt(terminal), errno);
		const int fd = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_return_code(fd, errno);
		unsetenv("NO_COLOR");
		if (cases[i].no_color)
			setenv("NO_COLOR", cases[i].no_color, 1);
		setenv("TERM", cases[i].terminal, 1);
		open_to(fd, LOG_FORMAT_AUTO, LOG_LEVEL_INFO);
		log_info("a", "on a terminal");
		char line[256];
		read_line(terminal, line, sizeof(line));
		assert_string_equal(line + strlen("2026-11-23 07:04:06.123"), cases[i].expected);
		log_close(10000);
		close(fd);
		close(terminal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_nonblocking_output),
		cmocka_unit_test(test_stuck_output),
		cmocka_unit_test(test_tap),
		cmocka_unit_test(test_closed_output),
		cmocka_unit_test(test_close_gives_up),
		cmocka_unit_test(test_not_open),
		cmocka_unit_test(test_terminal),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
