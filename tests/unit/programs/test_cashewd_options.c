/* Tests of cashewd.c: the program's options, what it prints, its exit codes, and what it does with secrets. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cashewd_parts.h"
#include "own_folder.h"

static const char enough[] =
	"JWT_SECRET=" SECRET "\nBROKER_HOST=localhost\nMONGO_DB_URL=mongodb://u:hunter2@127.0.0.1\n";

static void test_help(void **state)
{
	(void)state;
	static const struct {
		const char *arguments[4], *parts[8];
		bool long_one; /* more than a terminal's 24 lines */
	} cases[] = {
		{{"--help"}, {"Usage: cashewd [OPTION]...", "\n  --check ", "\n  --list-handlers ",
				     "\n  --env-file FILE ", "--help settings", "\nExit codes: 0 "}},
		{{"--help", "settings"},
			{"\n  BROKER_HOST ", "(must be set)", "\n  LOG_LEVEL ",
				"error, warn, info, debug; default info"},
			true},
		{{"doctor", "--help"}, {"Usage: cashewd doctor", "\n  --json ", "\nExit codes: 0 "}},
		{{"top", "--help"}, {"Usage: cashewd top", "\n  --once ", "\nExit codes: 0 "}},
		{{"healthcheck", "--help"},
			{"Usage: cashewd healthcheck", "\n  --ready ", "\nExit codes: 0 "}},
		{{"dead-letters", "--help"},
			{"Usage: cashewd dead-letters", "\n  --since TIME ", "\nExit codes: 0 "}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_in(no_environment, &got, cases[i].arguments);
		assert_int_equal(got.code, 0);
		assert_string_equal(got.err, "");
		for (size_t k = 0; cases[i].parts[k]; k++)
			assert_holds(got.out, cases[i].parts[k]);
		size_t lines = 0;
		for (const char *line = got.out; *line != '\0'; line += strcspn(line, "\n") + 1, lines++)
			if (strcspn(line, "\n") > 80)
				fail_msg("%.*s", (int)strcspn(line, "\n"), line);
		assert_in_range(lines, 5, cases[i].long_one ? 400 : 24);
	}
}

static void test_version(void **state)
{
	(void)state;
	RUN(&got, "--version");
	assert_int_equal(got.code, 0);
	int major, minor, patch, end = 0;
	assert_int_equal(
		sscanf(got.out, "cashewd %d.%d.%d\nlibmosquitto %n", &major, &minor, &patch, &end), 3);
	assert_int_not_equal(end, 0);
	assert_holds(got.out, ", libmongoc ");
	assert_holds(got.out, ", jansson ");
}

static void test_list_handlers(void **state)
{
	(void)state;
	RUN(&got, "--list-handlers");
	assert_int_equal(got.code, 0);
	assert_string_equal(got.err, "");
	assert_int_equal(strncmp(got.out, "handler ", 8), 0);
	assert_holds(got.out, "\nget_apples ");
	assert_holds(got.out, " +/get_apples ");
}

static void test_check_handlers(void **state)
{
	(void)state;
	RUN(&got, "--check-handlers");
	assert_int_equal(got.code, 0);
	assert_string_equal(got.out, "");
	assert_string_equal(got.err, "");
}

static void test_asyncapi(void **state)
{
	(void)state;
	RUN(&got, "asyncapi");
	assert_int_equal(got.code, 0);
	assert_string_equal(got.err, "");
	assert_holds(got.out, "\"asyncapi\": \"3.0.0\"");
	assert_holds(got.out, "\"{user}/request_contact\"");
	RUN(&got, "asyncapi", "more");
	assert_int_equal(got.code, 64);
}

static void test_settings_texts(void **state)
{
	(void)state;
	static char example[sizeof(got.out)];
	RUN(&got, "--settings-env");
	assert_int_equal(got.code, 0);
	read_file(SOURCE_DIR "/.env.example", example, sizeof(example));
	assert_string_equal(got.out, example);
	RUN(&got, "--settings-markdown");
	assert_int_equal(got.code, 0);
	static const char begin[] = "<!-- settings: made by cashewd --settings-markdown -->\n";
	static char page[64 * 1024];
	read_file(SOURCE_DIR "/docs/settings.md", page, sizeof(page));
	char *table = strstr(page, begin);
	assert_non_null(table);
	table += strlen(begin);
	char *end = strstr(table, "<!-- /settings -->\n");
	assert_non_null(end);
	*end = '\0';
	assert_string_equal(got.out, table);
}

static void test_usage(void **state)
{
	(void)state;
	static const char *const cases[][3] = {{"--chekc"}, {"-x"}, {"--env-file"}, {"extra"},
		{"--check", "extra"}, {"--check=yes"}, {"--help", "nonsense"}, {"settings"},
		{"--check", "settings"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_in(no_environment, &got, cases[i]);
		assert_int_equal(got.code, 64);
		assert_string_equal(got.out, "");
		assert_holds(got.err, "cashewd --help");
	}
}

static void test_output_fails(void **state)
{
	(void)state;
	const char *const arguments[] = {"--help", NULL};
	assert_int_equal(finish(start(arguments, no_environment, "/dev/full")), 74);
	read_file("err", got.err, sizeof(got.err));
	assert_string_equal(got.err, "cashewd: standard output cannot be written: No space left on device\n");
}

static void test_check(void **state)
{
	(void)state;
	write_file(".env", enough, 0600);
	RUN(&got, "--check");
	assert_string_equal(got.err, "");
	assert_int_equal(got.code, 0);
	assert_holds(got.out, "JWT_SECRET=********\n");
	assert_holds(got.out, "MONGO_DB_URL=mongodb://u:********@127.0.0.1\n");
	assert_holds(got.out, "\nget_apples ");
	assert_holds(got.out, " 10000 ms ");
	assert_string_equal(got.out + strlen(got.out) - 4, "\nok\n");
	assert_null(strstr(got.out, SECRET));
	assert_null(strstr(got.out, "hunter2"));
}

static void test_check_environment(void **state)
{
	(void)state;
	write_file(".env", enough, 0644);
	char handlers[] = "HANDLERS=ping,get_apples", port[] = "BROKER_PORT=1884";
	char *const environment[] = {handlers, port, NULL};
	run_in(environment, &got, (const char *const[]){"--check", NULL});
	assert_int_equal(got.code, 0);
	assert_string_equal(
		got.err, ".env: others can read it (mode 0644), and it may hold secrets: chmod 600 .env\n");
	assert_holds(got.out, "\nBROKER_PORT=1884\n");
	assert_holds(got.out, "\nping ");
	assert_null(strstr(got.out, "request_contact"));
}

static void test_check_fails(void **state)
{
	(void)state;
	RUN(&got, "--check");
	assert_int_equal(got.code, 78);
	assert_string_equal(got.out, "");
	assert_holds(got.err, "BROKER_HOST: it is not set.");

	write_file(".env",
		"JWT_SECRET=hunter2\nBROKER_HOST=localhost\nMONGO_DB_URL=mongodb://u:hunter2@h:x/\n", 0600);
	RUN(&got, "--check");
	assert_int_equal(got.code, 78);
	assert_holds(got.err, "JWT_SECRET: it has 7 bytes: expected 32 or more");
	assert_null(strstr(got.err, "hunter2"));
	assert_holds(got.err, "\ncashewd: not started: the settings cannot be used\n");

	char allow[] = "ALLOW_SHORT_SECRET=on";
	char *const environment[] = {allow, NULL};
	run_in(environment, &got, (const char *const[]){"--check", NULL});
	assert_int_equal(got.code, 78);
	assert_null(strstr(got.err, "hunter2"));
	assert_holds(got.err, "MONGO_DB_URL: ");
	assert_null(strstr(got.out, "\nok\n"));
}

static void test_env_file(void **state)
{
	(void)state;
	write_file(".env", "nonsense\n", 0600);
	write_file("other.env", enough, 0600);
	RUN(&got, "--check", "--env-file", "other.env");
	assert_int_equal(got.code, 0);
	RUN(&got, "--env-file", "missing.env", "--check");
	assert_int_equal(got.code, 78);
	assert_holds(got.err, "missing.env: cannot be opened: No such file or directory\n");
	RUN(&got, "--env-file=.env", "--check");
	assert_int_equal(got.code, 78);
	assert_holds(got.err, ".env:1: this line is neither NAME=value nor a comment\n");
}

/* Reads the running program's log from fd, behind what got.err holds, until that holds the text; NULL: to its
 * end. */
static void read_log(int fd, const char *part)
{
	size_t size = strlen(got.err);
	while (!part || !strstr(got.err, part)) {
		/* In these words, since gcc does not know that an assertion ends the test, and warns where read() is checked. */
		const size_t room = size < sizeof(got.err) - 1 ? sizeof(got.err) - 1 - size : 0;
		assert_true(room > 0);
		const ssize_t count = read(fd, got.err + size, room);
		assert_return_code(count, errno);
		if (count == 0 && !part)
			return;
		if (count == 0)
			fail_msg("the program ended with this log: %s", got.err);
		size += (size_t)count;
		got.err[size] = '\0';
	}
}

/* With neither broker nor database the host waits for them. Its secrets are not in its environment, which is
 * where they came from; it leaves no core dumps; and it stops when it is told to. */
static void test_run(void **state)
{
	(void)state;
	char secret[] = "JWT_SECRET=" SECRET, url[] = "MONGO_DB_URL=mongodb://u:hunter2@127.0.0.1:1",
	     host[] = "BROKER_HOST=127.0.0.1", port[] = "BROKER_PORT=1", token[] = "LOGGLY_TOKEN=hunter3",
	     loggly[] = "LOGGLY_URL=https://127.0.0.1:1", spool[] = "LOG_SPOOL_DIR=", other[] = "OTHER=stays",
	     format[] = "LOG_FORMAT=json", proxy[] = "BROKER_PROXY=http://u:hunter4@127.0.0.1:1";
	char *const environment[] = {
		secret, url, host, port, token, loggly, spool, other, format, proxy, NULL};
	assert_return_code(mkfifo("err", 0600), errno);
	const int log = open("err", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_return_code(log, errno);
	const pid_t pid = start((const char *const[]){NULL}, environment, "out");
	assert_return_code(fcntl(log, F_SETFL, 0), errno);
	got.err[0] = '\0';
	read_log(log, "\"event\":\"loggly_on\"");

	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	static char bytes[4096];
	const ssize_t size = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;
	if (fd >= 0)
		close(fd);
	/* Only root may look. */
	if (size > 0) {
		assert_non_null(memmem(bytes, (size_t)size, "OTHER=stays", 11));
		assert_null(memmem(bytes, (size_t)size, SECRET, strlen(SECRET)));
		assert_null(memmem(bytes, (size_t)size, "hunter", 6));
	}
	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	static char limits[4096];
	read_file(path, limits, sizeof(limits));
	assert_holds(limits, "Max core file size        0                    0  ");

	read_log(log, "\"event\":\"broker_");
	assert_return_code(kill(pid, SIGTERM), errno);
	read_log(log, NULL);
	close(log);
	assert_int_equal(finish(pid), 0);
	assert_holds(got.err, "\"event\":\"stopped\"");
	assert_null(strstr(got.err, "hunter"));
	assert_null(strstr(got.err, SECRET));
}

/* What can be used and should not be is told in the same words by --check, doctor and the log. 0.0.0.0 is no address of this machine to the settings,
 * and refuses at once. */
static void test_risks_are_told_alike(void **state)
{
	(void)state;
	static const char env[] =
		"JWT_SECRET=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nBROKER_HOST=0.0.0.0\nBROKER_PORT=1\nBROKER_TLS=off\n"
		"MONGO_DB_URL=mongodb://u:hunter2@0.0.0.0:1/?serverSelectionTimeoutMS=500\nMETRICS_ADDR=off\nLOG_FORMAT=json\n";
	static const char *const risks[] = {".env: others can write to it (mode 0666): chmod go-w it",
		".env: the folder that it is in: others can write to it (mode 0777): chmod go-w it",
		"JWT_SECRET: it is one character, 40 times, which is quickly guessed",
		"BROKER_TLS=off: this host's token and all commands can be read on the way to 0.0.0.0",
		"MONGO_DB_URL: the password and all data go to another machine without TLS"};
	enum { RISKS = sizeof(risks) / sizeof(risks[0]) };
	write_file(".env", env, 0600);
	assert_return_code(chmod(".env", 0666), errno);
	assert_return_code(chmod(".", 0777), errno);
	RUN(&got, "--check");
	assert_int_equal(got.code, 0);
	for (size_t i = 0; i < RISKS; i++)
		assert_holds(got.err, risks[i]);
	RUN(&got, "doctor", "--json", "--timeout", "1");
	assert_int_equal(got.code, 1);
	for (size_t i = 0; i < RISKS; i++)
		assert_holds(got.out, risks[i]);
	assert_return_code(unlink("err"), errno);
	assert_return_code(mkfifo("err", 0600), errno);
	const int log = open("err", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_return_code(log, errno);
	const pid_t pid = start((const char *const[]){NULL}, no_environment, "out");
	assert_return_code(fcntl(log, F_SETFL, 0), errno);
	got.err[0] = '\0';
	for (size_t i = 0; i < RISKS; i++)
		read_log(log, risks[i]);
	assert_return_code(kill(pid, SIGTERM), errno);
	read_log(log, NULL);
	close(log);
	assert_int_equal(finish(pid), 0);
	assert_null(strstr(got.err, "hunter2"));
}

/* libmongoc makes its counters before main() begins. Where their name is taken, or /dev/shm cannot be written, it would say so: a line that is no record. */
static void test_driver_is_silent(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("not looked at: the sanitizer's own start comes first\n");
#else
	char *values[] = {strdup("cashewd"), strdup("--version"), NULL};
	const pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		char name[32];
		snprintf(name, sizeof(name), "/mongoc-%d", (int)getpid());
		const int taken = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
		const int err = open("err", O_CREAT | O_TRUNC | O_WRONLY, 0600),
			  out = open("out", O_CREAT | O_TRUNC | O_WRONLY, 0600);
		if (taken >= 0 && dup2(err, STDERR_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
			execve(PROGRAM, values, (char *[]){NULL});
		_exit(99);
	}
	assert_int_equal(finish(pid), 0);
	char name[32];
	snprintf(name, sizeof(name), "/mongoc-%d", (int)pid);
	shm_unlink(name);
	read_file("err", got.err, sizeof(got.err));
	assert_string_equal(got.err, "");
	free(values[0]);
	free(values[1]);
#endif
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_help),
		IN_FOLDER(test_version),
		IN_FOLDER(test_list_handlers),
		IN_FOLDER(test_check_handlers),
		IN_FOLDER(test_asyncapi),
		IN_FOLDER(test_settings_texts),
		IN_FOLDER(test_usage),
		IN_FOLDER(test_output_fails),
		IN_FOLDER(test_check),
		IN_FOLDER(test_check_environment),
		IN_FOLDER(test_check_fails),
		IN_FOLDER(test_env_file),
		IN_FOLDER(test_run),
		IN_FOLDER(test_risks_are_told_alike),
		IN_FOLDER(test_driver_is_silent),
	};
	return cmocka_run_group_tests_name("cashewd options", tests, NULL, NULL);
}
