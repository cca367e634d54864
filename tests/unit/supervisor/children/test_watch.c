/* test_watch.c - watch.c: when a handler counts as hung, and a host as too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include "watch.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 2000 };

/* One look, at that time after the handler's start. */
struct look {
	int at_ms;
	int seen_ms; /* when the last question was asked that the store has answered */
	bool frozen, enforce;
	int back_ms; /* when it answered again, after it had not; 0: never */
};

static const struct {
	const char *name;
	struct look looks[6]; /* until one at 0 */
	bool hung;	      /* after the last one */
} cases[] = {
	{"in time", {{1900, 1900, false, true}}, false},
	{"past its deadline", {{500, 400, false, true}, {2600, 2100, false, true}}, true},
	{"the store has not answered since", {{500, 400, false, true}, {2600, 1900, false, true}}, false},
	{"the store was silent, and time begins again",
		{{2500, 400, false, true}, {4500, 400, false, true}, {5000, 4900, false, true},
			{6400, 6300, false, true}},
		false},
	{"after that it has its deadline once more",
		{{2500, 400, false, true}, {4500, 400, false, true}, {5000, 4900, false, true},
			{6900, 6700, false, true}},
		true},
	{"the store has just come back", {{500, 400, false, true}, {2600, 2500, false, true, 2500}}, false},
	{"the store came back, and the deadline has passed since",
		{{500, 400, false, true}, {2600, 2500, false, true, 2500}, {5000, 4600, false, true, 2500}},
		true},
	{"the host was stopped", {{500, 400, false, true}, {2600, 2500, true, true}}, false},
	{"the supervisor slept", {{500, 400, false, true}, {9000, 8900, false, true}}, false},
	{"it is stopping anyway", {{500, 400, false, true}, {2600, 2500, false, false}}, false},
};

static void test_deadlines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct board *board;
		int fd, status;
		assert_int_equal(board_new(&board, &fd), 0);
		figures_use_rows(&board->figures, 2);
		const pid_t child = fork();
		if (child == 0)
			for (;;)
				pause();
		board_slot_enter(&board->slots[1],
			&(struct board_entry){.handler = "h", .topic = "1/h", .deadline_ms = DEADLINE_MS});
		board->slots[1].run.tid = child;
		const int64_t start_ms = board->slots[1].run.started_ms;
		struct watch watch;
		watch_init(&watch);
		watch_begin(&watch, start_ms);
		for (const struct look *look = cases[i].looks; look->at_ms != 0; look++) {
			atomic_store(
				&board->store_back_ms, look->back_ms != 0 ? start_ms + look->back_ms : 0);
			atomic_store(&board->store_seen_ms, start_ms + look->seen_ms);
			if (look->frozen)
				watch_freeze(&watch, true, start_ms + look->at_ms);
			watch_deadlines(&watch, board, child, look->enforce, start_ms + look->at_ms);
		}
		if ((board_slot_state(&board->slots[1]) == BOARD_SLOT_OVERDUE) != cases[i].hung)
			fail_msg("%s", cases[i].name);
		/* The thread was told, or nobody was. */
		if (!cases[i].hung)
			kill(child, SIGTERM);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(WTERMSIG(status), cases[i].hung ? SIGABRT : SIGTERM);
		board_unmap(board);
		close(fd);
	}
}

/* One that does not die of it within a second is killed. */
static void test_killed_in_the_end(void **state)
{
	(void)state;
	struct board *board;
	struct watch watch;
	int fd, status;
	assert_int_equal(board_new(&board, &fd), 0);
	const pid_t child = fork();
	if (child == 0)
		for (;;)
			pause();
	watch_init(&watch);
	watch_begin(&watch, 1000);
	board->crash.claimed = child;
	watch_deadlines(&watch, board, child, true, 1000);
	watch_deadlines(&watch, board, child, true, 1500);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0);
	watch_deadlines(&watch, board, child, true, 2000);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	board_unmap(board);
	close(fd);
}

static void test_memory(void **state)
{
	(void)state;
	struct watch watch;
	size_t bytes = 0;
	watch_init(&watch);
	watch_begin(&watch, 0);
	/* No limit, and one that is far away. */
	for (int i = 0; i < 10; i++) {
		assert_false(watch_memory(&watch, getpid(), 0, i, &bytes));
		assert_false(watch_memory(&watch, getpid(), SIZE_MAX, i, &bytes));
	}
	for (int i = 0; i < 9; i++)
		assert_false(watch_memory(&watch, getpid(), 1, i, &bytes));
	assert_true(watch_memory(&watch, getpid(), 1, 9, &bytes));
	assert_in_range(bytes, 100 * 1024, SIZE_MAX / 2);
	/* The next one has a minute at least. */
	watch_begin(&watch, 10);
	for (int i = 0; i < 10; i++)
		assert_false(watch_memory(&watch, getpid(), 1, 60000, &bytes));
	assert_true(watch_memory(&watch, getpid(), 1, 60009, &bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_killed_in_the_end),
		cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
