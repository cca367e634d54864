/* Tests of settings_file.c: what a .env means, line by line, and files that are none. */
#include "settings_file.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* One file and what was read from it. Freed by outcome_free(). */
struct outcome {
	int result;
	struct settings_file file;
	char *problems, *warnings;
};

static void outcome_free(struct outcome *outcome)
{
	settings_file_free(&outcome->file);
	free(outcome->problems);
	free(outcome->warnings);
}

static struct outcome read_path(const char *path)
{
	struct outcome outcome = {.result = -1};
	size_t size;
	FILE *problems = open_memstream(&outcome.problems, &size);
	FILE *warnings = open_memstream(&outcome.warnings, &size);
	assert_non_null(problems);
	assert_non_null(warnings);
	outcome.result = settings_file_read(path, problems, warnings, &outcome.file);
	fclose(problems);
	fclose(warnings);
	return outcome;
}

/* Writes the bytes to a file of that mode in a new folder, reads it, and removes both. In messages the file
 * is ".env". */
static struct outcome read_bytes(const void *bytes, size_t size, mode_t mode)
{
	char folder[] = "/tmp/cashewd-test-XXXXXX";
	assert_non_null(mkdtemp(folder));
	assert_return_code(chdir(folder), errno);
	const int fd = open(".env", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, size), size);
	assert_return_code(fchmod(fd, mode), errno);
	close(fd);
	struct outcome outcome = read_path(".env");
	assert_return_code(unlink(".env"), errno);
	assert_return_code(chdir("/"), errno);
	assert_return_code(rmdir(folder), errno);
	return outcome;
}

struct parse_case {
	const char *name;
	const char *text;
	const char *expected; /* "name<value>line;" per assignment, in order */
	const char *problem;  /* part of the problems; NULL: none */
	const char *warning;  /* part of the warnings; NULL: none */
};

static struct parse_case parse_cases[] = {
	{"nothing", "", ""},
	{"one value", "A=b\n", "A<b>1;"},
	{"no line end at the end", "A=b", "A<b>1;"},
	{"blank lines and comments", "\n  \n# c\n\t # d=e\nA=b", "A<b>5;"},
	{"empty values", "A=\nB=  \nC=''\nD=\"\"\nE=``", "A<>1;B<>2;C<>3;D<>4;E<>5;"},
	{"blanks around", "  A \t=  b c \t\n", "A<b c>1;"},
	{"export", "export A=b\nexport\tB=c\nexport=d\n", "A<b>1;B<c>2;export<d>3;"},
	{"colon and blank", "A: b\n", "A<b>1;"},
	{"colon without a blank", "A:b\nB :c\n", "", ".env:1: this line is neither", NULL},
	{"names", "a.b-c_D9=1\n", "a.b-c_D9<1>1;"},
	{"more equal signs", "A=b==\n", "A<b==>1;"},
	{"comment behind", "A=b # c\nB='d' # e\nC=#f\n", "A<b>1;B<d>2;C<>3;"},
	{"comment right behind", "A=b#c\n", "A<b>1;", NULL, ".env:1: the value ends before the #"},
	{"comment sign in quotes", "A='b#c'\nB=\"b # c\"\nC=`#`", "A<b#c>1;B<b # c>2;C<#>3;"},
	{"comment right behind quotes", "A='b'#c", "A<b>1;"},
	{"blanks in quotes stay", "A=' b '\n", "A< b >1;"},
	{"quotes in quotes", "A='\"b\"'\nB=\"it's\"\nC=`'\"`\n", "A<\"b\">1;B<it's>2;C<'\">3;"},
	{"several lines", "A='b\nc\n'\nB=`\nd`\nC=\"e\n\n\"\nD=f\n", "A<b\nc\n>1;B<\nd>4;C<e\n\n>6;D<f>9;"},
	{"a line in quotes is no assignment", "A='\nB=c\n'", "A<\nB=c\n>1;"},
	{"escapes in double quotes only", "A=\"b\\nc\\rd\\te\"\nB='b\\nc'\nC=`b\\nc`\nD=b\\nc\n",
		"A<b\nc\rd\\te>1;B<b\\nc>2;C<b\\nc>3;D<b\\nc>4;"},
	{"escaped quotes stay escaped", "A=\"b\\\"c\"\nB='d\\'e'\n", "A<b\\\"c>1;B<d\\'e>2;"},
	{"a backslash before the closing quote", "A='b\\'\nB=c\n", "A<b\\>1;B<c>2;"},
	{"quote that is not closed", "A=\"b\nB=c\n", "A<\"b>1;B<c>2;", NULL,
		".env:1: the value begins with a quote and does not end with it"},
	{"text behind the quotes", "A='b' c\n", "A<'b' c>1;", NULL, ".env:1: the value begins with a quote"},
	{"two quoted words", "A='b' 'c'\n", "A<b' 'c>1;"},
	{"quote inside", "A=b'c'\n", "A<b'c'>1;"},
	{"CRLF", "A=b\r\nB='c\r\nd'\r\n\r\nC=e\r\n", "A<b>1;B<c\nd>2;C<e>5;"},
	{"CR alone", "A=b\rB=c", "A<b>1;B<c>2;"},
	{"byte order mark",
		"\xef\xbb\xbf"
		"A=b\n",
		"A<b>1;"},
	{"no-break space",
		"A=\xc2\xa0"
		"b\xc2\xa0\n",
		"A<b>1;"},
	{"not ASCII", "A=\xc3\xa4 \xe2\x82\xac\n", "A<\xc3\xa4 \xe2\x82\xac>1;"},
	{"name twice", "A=b\nA=c\n", "A<b>1;A<c>2;"},
	{"no assignment", "A=b\nsecret words\nB=c\n", "A<b>1;B<c>3;", ".env:2: this line is neither", NULL},
	{"name alone", "A\n", "", ".env:1: this line is neither", NULL},
	{"no name", "=b\n", "", ".env:1: this line is neither", NULL},
	{"name that is none", "A B=c\n$A=b\n", "", ".env:2: this line is neither", NULL},
	{"export alone", "export A\n", "", ".env:1: this line is neither", NULL},
	{"colon at the end of the line", "A:\nB=c\n", "B<c>2;", ".env:1: this line is neither", NULL},
	{"after a value of several lines", "A='b\nc'\nnothing\n", "A<b\nc>1;", ".env:3: this line is neither",
		NULL},
};

static void test_parse(void **state)
{
	const struct parse_case *c = *state;
	__attribute__((cleanup(outcome_free))) struct outcome got =
		read_bytes(c->text, strlen(c->text), 0600);
	char text[512] = "";
	for (size_t k = 0; k < got.file.count; k++) {
		const size_t size = strlen(text);
		snprintf(text + size, sizeof(text) - size, "%s<%s>%u;", got.file.entries[k].name,
			got.file.entries[k].value, got.file.entries[k].line);
	}
	assert_string_equal(text, c->expected);
	assert_int_equal(got.result, c->problem ? SETTINGS_FILE_E_INVALID : 0);
	if (c->problem)
		assert_non_null(strstr(got.problems, c->problem));
	else
		assert_string_equal(got.problems, "");
	if (c->warning)
		assert_non_null(strstr(got.warnings, c->warning));
	else
		assert_string_equal(got.warnings, "");
	/* What a line holds may be a part of a secret. */
	assert_null(strstr(got.problems, "secret"));
}

static void test_find(void **state)
{
	(void)state;
	static const char text[] = "A=b\nB=c\nA=d\n";
	__attribute__((cleanup(outcome_free))) struct outcome got = read_bytes(text, strlen(text), 0600);
	assert_int_equal(got.result, 0);
	const struct settings_entry *last = settings_file_find(&got.file, "A");
	assert_non_null(last);
	assert_string_equal(last->value, "d");
	assert_int_equal(last->line, 3);
	assert_null(settings_file_find(&got.file, "a"));
	assert_null(settings_file_find(&got.file, "C"));
}

static void test_mode(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		bool warned;
	} cases[] = {{0600, false}, {0400, false}, {0640, true}, {0604, true}, {0644, true}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__attribute__((cleanup(outcome_free))) struct outcome got =
			read_bytes("A=b\n", 4, cases[i].mode);
		assert_int_equal(got.result, 0);
		assert_int_equal(strstr(got.warnings, ".env: others can read it") != NULL, cases[i].warned);
	}
}

/* Whoever can change the file, or put another in its place, chooses the broker that gets the token. */
static void test_writers(void **state)
{
	(void)state;
	static const struct {
		const char *name, *warnings;
		mode_t mode, folder_mode;
		bool foreign;
	} cases[] = {
		{"private", "", 0600, 0755, false},
		{"in a folder with the sticky bit", "", 0600, 01777, false},
		{"its group can write", ".env: others can write to it (mode 0620): chmod go-w it\n", 0620,
			0755, false},
		{"all can write", ".env: others can write to it (mode 0602): chmod go-w it\n", 0602, 0755,
			false},
		{"all can write to the folder",
			".env: the folder that it is in: others can write to it (mode 0777): chmod go-w it\n",
			0600, 0777, false},
		{"another's",
			".env: it belongs to another user (uid 65534), who can change it: chown it to the one that runs this\n",
			0600, 0755, true},
	};
	char folder[] = "/tmp/cashewd-test-XXXXXX";
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].foreign && geteuid() != 0)
			continue;
		print_message("  %s\n", cases[i].name);
		assert_return_code(chdir(folder), errno);
		assert_return_code(chmod(folder, cases[i].folder_mode), errno);
		const int fd = open(".env", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_return_code(fd, errno);
		assert_return_code(fchmod(fd, cases[i].mode), errno);
		if (cases[i].foreign)
			assert_return_code(fchown(fd, 65534, (gid_t)-1), errno);
		close(fd);
		__attribute__((cleanup(outcome_free))) struct outcome got = read_path(".env");
		assert_return_code(unlink(".env"), errno);
		assert_int_equal(got.result, 0);
		assert_string_equal(got.warnings, cases[i].warnings);
	}
	assert_return_code(chdir("/"), errno);
	assert_return_code(rmdir(folder), errno);
}

static void test_bytes(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome nul = read_bytes("A=b\nB=\0c\n", 9, 0600);
	assert_int_equal(nul.result, SETTINGS_FILE_E_INVALID);
	assert_string_equal(nul.problems, ".env:2: a NUL byte: expected a text file in UTF-8\n");
	assert_int_equal(nul.file.count, 0);

	char *large = malloc(SETTINGS_FILE_SIZE_MAX + 1);
	assert_non_null(large);
	memset(large, '#', SETTINGS_FILE_SIZE_MAX + 1);
	__attribute__((cleanup(outcome_free))) struct outcome fits =
		read_bytes(large, SETTINGS_FILE_SIZE_MAX, 0600);
	__attribute__((cleanup(outcome_free))) struct outcome over =
		read_bytes(large, SETTINGS_FILE_SIZE_MAX + 1, 0600);
	free(large);
	assert_int_equal(fits.result, 0);
	assert_int_equal(over.result, SETTINGS_FILE_E_INVALID);
	assert_string_equal(
		over.problems, ".env: larger than 256 KiB: expected a file of NAME=value lines\n");
}

static void test_paths(void **state)
{
	(void)state;
	__attribute__((cleanup(outcome_free))) struct outcome missing = read_path("/nonexistent/.env");
	assert_int_equal(missing.result, 0);
	assert_int_equal(missing.file.count, 0);
	__attribute__((cleanup(outcome_free))) struct outcome folder = read_path("/");
	assert_int_equal(folder.result, SETTINGS_FILE_E_INVALID);
	assert_string_equal(folder.problems, "/: cannot be read: Is a directory\n");
	__attribute__((cleanup(outcome_free))) struct outcome below = read_path("/dev/null/.env");
	assert_int_equal(below.result, SETTINGS_FILE_E_INVALID);
	assert_string_equal(below.problems, "/dev/null/.env: cannot be opened: Not a directory\n");
	__attribute__((cleanup(outcome_free))) struct outcome null = read_path("/dev/null");
	assert_int_equal(null.result, 0);
	assert_string_equal(null.warnings, "");
}

/* ---- What is no regular file ---- */

static char fifo_path[] = "/tmp/cashewd-test-fifo-XXXXXX";

static int make_fifo(void **state)
{
	(void)state;
	strcpy(fifo_path + sizeof(fifo_path) - sizeof("XXXXXX"), "XXXXXX");
	return !mkdtemp(fifo_path) || rmdir(fifo_path) != 0 ? -1 : mkfifo(fifo_path, 0600);
}

static int remove_fifo(void **state)
{
	(void)state;
	settings_file_wait_ms = 30000;
	return unlink(fifo_path);
}

/* Opening waits for the reader. */
static void *write_fifo(void *text)
{
	const int fd = open(fifo_path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "A=b\n", 4) != 4 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
	return NULL;
}

static void test_fifo_is_read_to_its_end(void **state)
{
	(void)state;
	static char text[] = "C=d\n";
	pthread_t writer;
	assert_int_equal(pthread_create(&writer, NULL, write_fifo, text), 0);
	__attribute__((cleanup(outcome_free))) struct outcome got = read_path(fifo_path);
	pthread_join(writer, NULL);
	assert_string_equal(got.problems, "");
	assert_int_equal(got.file.count, 2);
	assert_string_equal(settings_file_find(&got.file, "C")->value, "d");
}

/* <(...) whose program has written and gone before the file is opened. */
static void test_pipe_that_was_written_before(void **state)
{
	(void)state;
	int ends[2];
	char path[32];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "A=b\n", 4), 4);
	close(ends[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	__attribute__((cleanup(outcome_free))) struct outcome got = read_path(path);
	close(ends[0]);
	assert_string_equal(got.problems, "");
	assert_int_equal(got.file.count, 1);
}

static void test_fifo_that_nobody_writes(void **state)
{
	(void)state;
	settings_file_wait_ms = 1;
	__attribute__((cleanup(outcome_free))) struct outcome nobody = read_path(fifo_path);
	assert_int_equal(nobody.result, SETTINGS_FILE_E_INVALID);
	assert_non_null(strstr(nobody.problems, "has not come to its end within"));
	/* Somebody has it open, and says nothing, or not all of it. */
	const int writer = open(fifo_path, O_RDWR | O_CLOEXEC);
	assert_return_code(writer, errno);
	for (int i = 0; i < 2; i++) {
		__attribute__((cleanup(outcome_free))) struct outcome silent = read_path(fifo_path);
		assert_int_equal(silent.result, SETTINGS_FILE_E_INVALID);
		assert_non_null(strstr(silent.problems, "has not come to its end within"));
		assert_int_equal(silent.file.count, 0);
		assert_int_equal(write(writer, "A=b\n", 4), 4);
	}
	close(writer);
}

/* A person who presses Ctrl-C does not wait for half a minute. */
static void test_told_to_stop(void **state)
{
	(void)state;
	static const int signals[] = {SIGTERM, SIGINT};
	for (size_t i = 0; i < 2; i++) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, signals[i]);
		assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
		raise(signals[i]);
		const int64_t before_ms = clock_ms();
		__attribute__((cleanup(outcome_free))) struct outcome got = read_path(fifo_path);
		assert_true(clock_ms() - before_ms < 25000);
		assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){.tv_sec = 0}), signals[i]);
		assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
		assert_int_equal(got.result, SETTINGS_FILE_E_INVALID);
		assert_non_null(strstr(got.problems, ": not waited for any longer: told to stop\n"));
	}
}

static void test_rereadable(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		bool rereadable;
	} cases[] = {{"/nonexistent/.env", true}, {"/etc/hostname", true}, {"/", true}, {"/dev/null", true},
		{"/dev/zero", false}, {fifo_path, false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *problems = NULL;
		size_t size;
		FILE *out = open_memstream(&problems, &size);
		assert_non_null(out);
		assert_int_equal(settings_file_rereadable(cases[i].path, out), cases[i].rereadable);
		fclose(out);
		assert_int_equal(strstr(problems, "it is read at start only") != NULL, !cases[i].rereadable);
		free(problems);
	}
}

/* Root reads everything, so the one who reads is somebody else. */
static void test_unreadable(void **state)
{
	(void)state;
	const bool is_root = geteuid() == 0;
	if (is_root)
		assert_return_code(seteuid(65534), errno);
	__attribute__((cleanup(outcome_free))) struct outcome got = read_bytes("A=b\n", 4, 0000);
	if (is_root)
		assert_return_code(seteuid(0), errno);
	assert_int_equal(got.result, SETTINGS_FILE_E_INVALID);
	assert_string_equal(got.problems, ".env: cannot be opened: Permission denied\n");
}

int main(void)
{
	enum { PARSE_CASES = sizeof(parse_cases) / sizeof(parse_cases[0]) };
	struct CMUnitTest parse_tests[PARSE_CASES];
	for (size_t i = 0; i < PARSE_CASES; i++)
		parse_tests[i] = (struct CMUnitTest){.name = parse_cases[i].name,
			.test_func = test_parse,
			.initial_state = &parse_cases[i]};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test_setup_teardown(test_fifo_is_read_to_its_end, make_fifo, remove_fifo),
		cmocka_unit_test(test_pipe_that_was_written_before),
		cmocka_unit_test_setup_teardown(test_fifo_that_nobody_writes, make_fifo, remove_fifo),
		cmocka_unit_test_setup_teardown(test_told_to_stop, make_fifo, remove_fifo),
		cmocka_unit_test_setup_teardown(test_rereadable, make_fifo, remove_fifo),
	};
	return cmocka_run_group_tests_name("parse", parse_tests, NULL, NULL) +
	       cmocka_run_group_tests(tests, NULL, NULL);
}
