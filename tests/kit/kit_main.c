/*
 * kit_main.c - the program of the tests of handlers: runs each test in a process of its own, and says how it went.
 *
 *	handler-tests [--list] [NAME..]     NAME: a file of tests, as in tests/handlers/NAME.c, or one test; none: all of them
 *
 * Happy path: a line "ok   NAME" for each test, then how many there were; exit 0. Failure: "FAIL NAME" and what the test said, and where a handler has
 * crashed its line of code (by addr2line); exit 1. A NAME without a test: exit 64.
 */
#include "kit_private.h"

#include "handler_table.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { TEST_MS = 60000, SIGNAL_STACK_SIZE = 64 * 1024, NOTE_COLUMN = 64, LINE_SIZE = 512 };

/* Of a backtrace from the handler of a signal, behind that and the kernel's way to it. */
enum { CRASHED = 2 };

struct test {
	struct test *next; /* in the order of their files, and within a file of their lines */
	const char *name, *file;
	int line;
	void (*run)(cashew_test *);
};

static struct test *tests;

void cashew_test_add_(const char *name, const char *file, int line, void (*test)(cashew_test *))
{
	struct test *added = kit_memory(malloc(sizeof(*added))), **place = &tests;
	*added = (struct test){.name = name, .file = file, .line = line, .run = test};
	while (*place && (strcmp((*place)->file, file) < 0 ||
				 (strcmp((*place)->file, file) == 0 && (*place)->line < line)))
		place = &(*place)->next;
	added->next = *place;
	*place = added;
}

/* ---- Crashes ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* and tells of crashes by itself */
#else
#define SANITIZED 0
#endif

static struct kit_board *crash_board;

static void on_crash(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (crash_board->signal == 0) {
		crash_board->address = info->si_addr;
		crash_board->frame_count = backtrace(crash_board->frames, KIT_FRAMES_MAX);
		crash_board->signal = signal;
	}
	(void)raise(signal); /* now it ends the process: SA_RESETHAND */
}

void kit_catch_crashes(struct kit_board *board)
{
	static char stack[SIGNAL_STACK_SIZE];
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {
		.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
	void *frame;
	if (SANITIZED)
		return;
	crash_board = board;
	(void)backtrace(&frame, 1); /* loads what it needs */
	if (sigaltstack(&alternative, NULL) != 0)
		abort();
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &action, NULL);
}

/* The part of a path, as addr2line has it, that begins at the project's folder; NULL: it is no handler's file, nor one beside those. */
static const char *handler_file(const char *place)
{
	const char *beside = strstr(place, "/handlers/");
	for (size_t i = 0; handler_table[i]; i++) {
		const char *found = strstr(place, handler_table[i]->file);
		if (found)
			return found;
	}
	return beside ? beside + 1 : NULL;
}

/* "handlers/wash_dishes.c:18 wash_dishes()" of an address in a handler's file, or, where it called, of where that comes back to; false where it is
 * none. */
static bool handler_line(const void *frame, bool called, char ret_line[static LINE_SIZE])
{
	Dl_info here, own;
	char command[LINE_SIZE], function[LINE_SIZE] = "", place[LINE_SIZE] = "";
	if (!dladdr(frame, &here) || !dladdr(&tests, &own) || here.dli_fbase != own.dli_fbase)
		return false;
	snprintf(command, sizeof(command), "addr2line -f -e /proc/%d/exe 0x%zx 2>/dev/null", (int)getpid(),
		(size_t)((const char *)frame - (const char *)here.dli_fbase) - (called ? 1 : 0));
	FILE *pipe = popen(command, "re");
	if (!pipe)
		return false;
	const bool read = fgets(function, sizeof(function), pipe) && fgets(place, sizeof(place), pipe);
	pclose(pipe);
	const char *file = read ? handler_file(place) : NULL;
	if (!file)
		return false;
	char *note = strstr(place, " (discriminator");
	if (note)
		*note = '\0';
	function[strcspn(function, "\n")] = place[strcspn(place, "\n")] = '\0';
	snprintf(ret_line, LINE_SIZE, " at %.200s %.200s()", file, function);
	return true;
}

static void print_crash(const struct kit_board *board, int signal)
{
	char line[LINE_SIZE] = "", address[40] = "";
	for (int i = 0; i < board->frame_count && line[0] == '\0'; i++)
		(void)handler_line(board->frames[i], i > CRASHED, line);
	if (board->signal == SIGSEGV || board->signal == SIGBUS)
		snprintf(address, sizeof(address), ", address %p", board->address);
	if (board->topic[0] != '\0')
		printf("%s:%d: the handler of %s has crashed%s: %s%s\n", board->place.file, board->place.line,
			board->topic, line, strsignal(signal), address);
	else
		printf("%s:%d: the test has crashed%s: %s%s\n", board->place.file, board->place.line, line,
			strsignal(signal), address);
}

/* ---- One test ---- */

__attribute__((noreturn)) static void run_test(const struct test *test, struct kit_board *board, int output)
{
	if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		abort();
	kit_catch_crashes(board);
	struct kit *t = kit_new(board);
	test->run(t);
	kit_end(t);
	exit(EXIT_SUCCESS);
}

/* False: it did not end in time, and was killed. */
static bool wait_for_test(pid_t child, int *ret_status)
{
	sigset_t ended;
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	const struct timespec limit = {.tv_sec = TEST_MS / 1000};
	pid_t ended_pid;
	while ((ended_pid = waitpid(child, ret_status, WNOHANG)) == 0) {
		if (sigtimedwait(&ended, NULL, &limit) < 0 && errno == EAGAIN) {
			(void)kill(-child, SIGKILL);
			(void)waitpid(child, ret_status, 0);
			return false;
		}
	}
	if (ended_pid < 0)
		abort();
	return true;
}

static void print_output(int output)
{
	struct stat stat;
	off_t at = 0;
	fflush(stdout);
	if (fstat(output, &stat) != 0)
		return;
	while (at < stat.st_size) {
		char block[4096];
		const ssize_t size = pread(output, block, sizeof(block), at);
		if (size <= 0)
			return;
		(void)fwrite(block, 1, (size_t)size, stdout);
		at += size;
	}
}

static bool run(const struct test *test, struct kit_board *board)
{
	int status = 0;
	const int output = memfd_create(test->name, MFD_CLOEXEC);
	*board = (struct kit_board){.place = {test->file, test->line}};
	fflush(stdout);
	const pid_t child = output < 0 ? -1 : fork();
	if (child < 0)
		abort();
	if (child == 0) {
		(void)setpgid(0, 0);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigset_t none;
		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		run_test(test, board, output);
	}
	(void)setpgid(child, child);
	const bool in_time = wait_for_test(child, &status);
	const bool passed = in_time && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
	if (passed && board->ways > 0)
		printf("ok   %-*s %u ways to fail, each repaired\n", NOTE_COLUMN, test->name, board->ways);
	else
		printf("%s %s\n", passed ? "ok  " : "FAIL", test->name);
	if (!passed)
		print_output(output);
	if (!in_time)
		printf("%s:%d: it did not end within %d s%s%s\n", board->place.file, board->place.line,
			TEST_MS / 1000, board->topic[0] ? ", at the handler of " : "", board->topic);
	else if (WIFSIGNALED(status))
		print_crash(board, WTERMSIG(status));
	close(output);
	return passed;
}

/* ---- The program ---- */

/* "wash_dishes" of tests/handlers/wash_dishes.c. */
static bool is_called(const struct test *test, const char *name)
{
	const char *slash = strrchr(test->file, '/'), *file = slash ? slash + 1 : test->file;
	const size_t size = strcspn(file, ".");
	return strcmp(test->name, name) == 0 || (strlen(name) == size && strncmp(file, name, size) == 0);
}

static bool is_wanted(const struct test *test, char *const *names)
{
	for (char *const *name = names; *name; name++)
		if (is_called(test, *name))
			return true;
	return !*names;
}

static int check_names(char *const *names)
{
	for (char *const *name = names; *name; name++) {
		const struct test *test = tests;
		while (test && !is_called(test, *name))
			test = test->next;
		if (!test) {
			fprintf(stderr,
				"handler-tests: there is no test of that name, and none in tests/handlers/%s.c\n",
				*name);
			return EX_USAGE;
		}
	}
	return 0;
}

int main(int count, char **values)
{
	(void)count;
	char **names = values + 1;
	const bool list = *names && strcmp(*names, "--list") == 0;
	if (list)
		names++;
	const int error = check_names(names);
	if (error)
		return error;
	struct kit_board *board =
		mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		abort();
	/* Its end is waited for with a limit. */
	sigset_t ended;
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &ended, NULL);

	unsigned ran = 0, failed = 0;
	for (const struct test *test = tests; test; test = test->next) {
		if (!is_wanted(test, names))
			continue;
		ran++;
		if (list)
			printf("%s:%d: %s\n", test->file, test->line, test->name);
		else if (!run(test, board))
			failed++;
	}
	if (!list)
		printf("%u test%s, %u failed\n", ran, ran == 1 ? "" : "s", failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
