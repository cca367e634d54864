/* Tests of crash.c: what a dying thread leaves: a backtrace that begins where it was, and what it had printed. Each case dies in a process of its own. */
#include "crash.h"

#include "board.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The linker's: the program's code lies between them. */
extern const char __executable_start, etext;

enum { CODE_SIZE = 256 /* of a function below, at most */ };

/* ---- Handlers ---- */

static volatile int zero;
static void (*volatile nowhere)(void);
static int *volatile null;

/* Not inlined, and not left by a jump, so that each has a frame; and no sanitizer finds it first. */
#define HANDLER __attribute__((noinline, no_sanitize("undefined"), no_sanitize("address"))) static void

HANDLER handler_writes(void)
{
	*null = 1;
	zero++;
}

HANDLER handler_divides(void)
{
	zero = 12345 / zero;
	zero++;
}

HANDLER handler_calls_null(void)
{
	nowhere();
	zero++;
}

HANDLER handler_aborts(void)
{
	abort();
}

HANDLER handler_exits(void)
{
	exit(3);
}

HANDLER handler_prints(void)
{
	printf("a line\nand the beginning of");
	*null = 1;
	zero++;
}

HANDLER handler_prints_and_exits(void)
{
	printf("said");
	exit(3);
}

/* ---- A process that dies ---- */

struct fixture {
	struct board *board;
	int fd, output; /* where it prints to */
	char printed[256];
};

static void die(const struct fixture *f, void (*handler)(void))
{
	struct crash_stack stack;
	struct board_entry entry = {.handler = "apples", .topic = "1/get_apples", .deadline_ms = 1000};
	/* cmocka catches them, too. */
	static const int caught[] = {SIGSEGV, SIGFPE, SIGABRT};
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		signal(caught[i], SIG_DFL);
	dup2(f->output, STDOUT_FILENO);
	if (crash_keep_output() != 0 || crash_watch(f->board, f->fd) != 0 ||
		crash_thread_begin(&stack, &f->board->slots[0]) != 0)
		_exit(99);
	board_slot_enter(&f->board->slots[0], &entry);
	handler();
	_exit(98);
}

/* Returns how it ended. */
static int run(struct fixture *f, void (*handler)(void))
{
	int ends[2], status;
	assert_int_equal(board_new(&f->board, &f->fd), 0);
	assert_return_code(pipe(ends), 0);
	f->output = ends[1];
	/* What cmocka has printed is not for the child to print again. */
	fflush(stdout);
	const pid_t child = fork();
	assert_return_code(child, 0);
	if (child == 0)
		die(f, handler);
	close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	ssize_t size = 0;
	for (ssize_t got;
		(got = read(ends[0], f->printed + size, sizeof(f->printed) - 1 - (size_t)size)) > 0;)
		size += got;
	f->printed[size] = '\0';
	close(ends[0]);
	return status;
}

static void clear(struct fixture *f)
{
	board_unmap(f->board);
	close(f->fd);
}

/* The address in a line of the backtrace, "object(name+offset)[address]", and *at the next line; 0: there is none. */
static uintptr_t next_frame(const char **at)
{
	const char *end = strchr(*at, '\n'), *bracket = strchr(*at, '[');
	if (!end || !bracket || bracket > end)
		return 0;
	*at = end + 1;
	return (uintptr_t)strtoull(bracket + 1, NULL, 16);
}

static bool is_in(uintptr_t address, void (*function)(void))
{
	return address >= (uintptr_t)function && address < (uintptr_t)function + CODE_SIZE;
}

static void test_backtrace(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*handler)(void);
		bool first; /* the handler's frame is the first one, else the C library's are before it */
		int kind, number;
	} cases[] = {
		{"writes to NULL", handler_writes, true, BOARD_CRASH_SIGNAL, SIGSEGV},
		{"divides by 0", handler_divides, true, BOARD_CRASH_SIGNAL, SIGFPE},
		{"calls NULL", handler_calls_null, true, BOARD_CRASH_SIGNAL, SIGSEGV},
		{"abort()", handler_aborts, false, BOARD_CRASH_SIGNAL, SIGABRT},
		{"exit()", handler_exits, false, BOARD_CRASH_EXIT, 3},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		print_message("%s\n", cases[i].name);
		const int status = run(&f, cases[i].handler);
		assert_int_equal(f.board->crash.kind, cases[i].kind);
		assert_int_equal(f.board->crash.number, cases[i].number);
		assert_int_equal(f.board->crash.slot, 0);
		if (cases[i].kind == BOARD_CRASH_EXIT)
			assert_int_equal(WEXITSTATUS(status), 3);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		else
			assert_int_equal(WTERMSIG(status), cases[i].number);
#endif
		const char *at = f.board->backtrace;
		unsigned frames = 0;
		bool found = false;
		for (uintptr_t address; !found && (address = next_frame(&at)) != 0; frames++) {
			found = is_in(address, cases[i].handler);
			/* Nothing of this program is before it: that would be the signal handler. */
			if (!found && address >= (uintptr_t)&__executable_start &&
				address < (uintptr_t)&etext)
				fail_msg("%s", f.board->backtrace);
		}
		if (!found || (cases[i].first && frames != 1))
			fail_msg("%s", f.board->backtrace);
		clear(&f);
	}
}

static void test_what_was_printed(void **state)
{
	(void)state;
	static const struct {
		void (*handler)(void);
		const char *printed;
	} cases[] = {
		{handler_prints, "a line\nand the beginning of"},
		{handler_prints_and_exits, "said"},
		{handler_writes, ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		(void)run(&f, cases[i].handler);
		assert_string_equal(f.printed, cases[i].printed);
		clear(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backtrace),
		cmocka_unit_test(test_what_was_printed),
	};
	return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
