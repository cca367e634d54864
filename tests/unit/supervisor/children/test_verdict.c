/* test_verdict.c - verdict.c: who is to blame for a death, by what the board shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include "verdict.h"
#include <signal.h>
#include <string.h>

enum { NOW_MS = 5000 };

static struct board board;

static int begin(void **state)
{
	(void)state;
	memset(&board, 0, sizeof(board));
	board_clear_host(&board);
	return 0;
}

enum mark { IDLE, RUNS, ALONE, OVERDUE };

struct slots {
	enum mark marks[3];
	enum board_crash_kind kind; /* what was recorded */
	int slot, number;
};

static void set(const struct slots *slots)
{
	figures_use_rows(&board.figures, 3);
	for (unsigned i = 0; i < 3; i++) {
		if (slots->marks[i] == IDLE)
			continue;
		bool first;
		board_slot_enter(&board.slots[i], &(struct board_entry){.handler = "crasher",
							  .topic = "68946/crash",
							  .fingerprint = 100 + i,
							  .identity = 200 + i,
							  .attempt = 1,
							  .alone = slots->marks[i] == ALONE});
		if (slots->marks[i] == OVERDUE)
			assert_true(board_slot_expire(&board.slots[i], INT64_MAX, 0, &first) && first);
	}
	if (slots->kind == BOARD_CRASH_NONE)
		return;
	board.crash.claimed = 1;
	board.crash.slot = slots->slot;
	board.crash.number = slots->number;
	board.crash.kind = slots->kind;
}

/* waitpid()'s encoding. */
#define SIGNALLED(number) (number)
#define EXITED(code)	  ((code) << 8)

static void test_verdicts(void **state)
{
	static const struct {
		const char *name;
		struct slots slots;
		int status;
		unsigned blamed, near;
		const char *
			found; /* of each slot's command: ! has a mark, ? has one that is silent, ~ was near, - nothing */
		const char *what;
	} cases[] = {
		{"nothing ran", {.marks = {IDLE}}, SIGNALLED(SIGKILL), 0, 0, "---", NULL},
		{"all that ran were near", {.marks = {RUNS, IDLE, RUNS}}, SIGNALLED(SIGKILL), 0, 2, "~-~",
			NULL},
		{"one of two is marked",
			{.marks = {RUNS, RUNS, IDLE}, BOARD_CRASH_SIGNAL, .slot = 1, .number = SIGSEGV},
			SIGNALLED(SIGSEGV), 1, 0, "-!-", "SIGSEGV"},
		{"exit() by one of two",
			{.marks = {RUNS, IDLE, RUNS}, BOARD_CRASH_EXIT, .slot = 2, .number = 3}, EXITED(3), 1,
			0, "--!", "exit(3)"},
		{"marked outside of handlers",
			{.marks = {RUNS, RUNS, RUNS}, BOARD_CRASH_SIGNAL, .slot = -1, .number = SIGABRT},
			SIGNALLED(SIGABRT), 0, 0, "---", NULL},
		{"alone and killed", {.marks = {ALONE}}, SIGNALLED(SIGKILL), 1, 0, "?--", "SIGKILL"},
		{"alone and crashed", {.marks = {ALONE}, BOARD_CRASH_SIGNAL, .slot = 0, .number = SIGBUS},
			SIGNALLED(SIGBUS), 1, 0, "!--", "SIGBUS"},
		{"alone and _exit", {.marks = {IDLE, ALONE}}, EXITED(0), 1, 0, "-?-", "exit code 0"},
		{"two were overdue, one is marked",
			{.marks = {OVERDUE, RUNS, OVERDUE}, BOARD_CRASH_SIGNAL, .slot = 2, .number = SIGABRT},
			SIGNALLED(SIGABRT), 2, 0, "!-!", "hung"},
		{"overdue, and did not even write a mark", {.marks = {OVERDUE, RUNS}}, SIGNALLED(SIGKILL), 1,
			0, "!--", "hung"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(NULL);
		set(&cases[i].slots);
		const struct verdict verdict = verdict_reach(&board, 1, cases[i].status, NOW_MS);
		if (verdict.blamed != cases[i].blamed || verdict.near != cases[i].near ||
			verdict.crashes != (cases[i].blamed > 0 ? 1 : 0))
			fail_msg("%s: %u blamed, %u near", cases[i].name, verdict.blamed, verdict.near);
		for (unsigned slot = 0; slot < 3; slot++) {
			const struct board_mark *mark = board_mark_find(&board, 100 + slot);
			const unsigned near = board_near_deaths(&board, 200 + slot);
			const char found = mark ? mark->silent ? '?' : '!' : near > 0 ? '~' : '-';
			if (found != cases[i].found[slot] || near > (found == '~' ? 1 : 0))
				fail_msg("%s: slot %u: %c, %u times near", cases[i].name, slot, found, near);
			if (!mark)
				continue;
			assert_string_equal(mark->what, cases[i].what);
			assert_string_equal(mark->handler, "crasher");
			assert_int_equal(mark->crashes, 1);
			assert_int_equal(mark->since_ms, NOW_MS);
		}
	}
}

static void test_crashes_add_up(void **state)
{
	static const struct slots marked = {
		.marks = {RUNS}, BOARD_CRASH_SIGNAL, .slot = 0, .number = SIGSEGV};
	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		board_clear_host(&board);
		set(&marked);
		assert_int_equal(verdict_reach(&board, 1, SIGNALLED(SIGSEGV), NOW_MS).crashes, i);
	}
}

/* Deaths without a trace add up for what runs at each of them, until one runs alone, or ends. */
static void test_near_deaths_add_up(void **state)
{
	static const struct slots rounds[] = {
		{.marks = {RUNS, RUNS, IDLE}},
		{.marks = {RUNS, IDLE, RUNS}},
		{.marks = {RUNS, RUNS, RUNS}, BOARD_CRASH_SIGNAL, .slot = 2, .number = SIGSEGV},
		{.marks = {RUNS, RUNS, IDLE}},
		{.marks = {ALONE, IDLE, IDLE}},
	};
	static const unsigned expected[][3] = {{1, 1, 0}, {2, 1, 1}, {2, 1, 0}, {3, 2, 0}, {0, 2, 0}};
	(void)state;
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		board_clear_host(&board);
		set(&rounds[i]);
		const int status =
			rounds[i].kind != BOARD_CRASH_NONE ? SIGNALLED(SIGSEGV) : SIGNALLED(SIGKILL);
		(void)verdict_reach(&board, 1, status, NOW_MS + (int64_t)i);
		for (unsigned slot = 0; slot < 3; slot++)
			if (board_near_deaths(&board, 200 + slot) != expected[i][slot])
				fail_msg("round %zu, slot %u: %u times near", i, slot,
					board_near_deaths(&board, 200 + slot));
	}
	assert_true(board_mark_find(&board, 100)->silent);
	assert_false(board_mark_find(&board, 102)->silent);
	assert_null(board_mark_find(&board, 101));
}

static void test_backtrace(void **state)
{
	static const struct {
		const char *raw;
		size_t room;
		const char *expected;
	} cases[] = {
		{"", 100, ""},
		{"/usr/bin/cashewd(+0x12f0)[0x55d0]\n", 100, "cashewd(+0x12f0)"},
		{"./cashewd(main+0x1)[0x1]\n/lib/x/libc.so.6(abort+0xd3)[0x7f]\n", 100,
			"cashewd(main+0x1) libc.so.6(abort+0xd3)"},
		{"[0x7f00]\nlinux-vdso.so.1(+0x1)[0x2]\n", 100, "linux-vdso.so.1(+0x1)"},
		{"a(+0x1)[0x1]\nb(+0x2", 100, "a(+0x1)"},
		{"a(+0x1)[0x1]\nb(+0x2)[0x2]\n", 12, "a(+0x1)"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[100];
		verdict_shorten_backtrace(cases[i].raw, strlen(cases[i].raw), text, cases[i].room);
		assert_string_equal(text, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_verdicts, begin),
		cmocka_unit_test_setup(test_crashes_add_up, begin),
		cmocka_unit_test_setup(test_near_deaths_add_up, begin),
		cmocka_unit_test(test_backtrace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
