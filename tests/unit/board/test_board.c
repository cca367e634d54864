/* test_board.c - board.c: slots, deadlines, keys, marks and what was near, in one process and over fork(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "board.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	struct board *board;
	int fd;
};

static struct fixture fixture;

static int begin(void **state)
{
	(void)state;
	return board_new(&fixture.board, &fixture.fd);
}

static int end(void **state)
{
	(void)state;
	board_unmap(fixture.board);
	close(fixture.fd);
	return 0;
}

static void enter(struct board_slot *slot, const char *handler, uint64_t fingerprint, unsigned deadline_ms)
{
	const struct board_entry entry = {.handler = handler,
		.topic = "68946/get_apples",
		.fingerprint = fingerprint,
		.identity = fingerprint + 1,
		.crashes = 1,
		.attempt = 2,
		.deadline_ms = deadline_ms};
	board_slot_enter(slot, &entry);
}

/* ---- Life ---- */

static void test_other_side_sees_it(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	const pid_t child = fork();
	if (child == 0) {
		struct board *same;
		if (board_map(fixture.fd, &same) != 0 || strcmp(same->owner, board->owner) != 0 ||
			same->supervisor != getppid())
			_exit(1);
		figures_use_rows(&same->figures, 4);
		enter(&same->slots[3], "get_apples", 7, 1000);
		board_count(&same->account.done, 5);
		board_count(&same->released, 2);
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	const struct board_slot *slot = &board->slots[3];
	assert_int_equal(board_slot_state(slot), BOARD_SLOT_RUNNING);
	assert_string_equal(slot->run.handler, "get_apples");
	assert_string_equal(slot->run.topic, "68946/get_apples");
	assert_int_equal(slot->run.fingerprint, 7);
	assert_int_equal(slot->run.identity, 8);
	assert_int_equal(slot->run.crashes, 1);
	assert_int_equal(slot->run.attempt, 2);
	assert_int_equal(slot->run.tid, child);
	assert_int_equal(board_read(&board->account.done), 5);
	assert_int_equal(board_read(&board->released), 2);

	board_clear_host(board);
	assert_int_equal(board_read(&board->released), 0);
	assert_int_equal(board_slot_state(slot), BOARD_SLOT_IDLE);
	assert_int_equal(board_read(&board->account.done), 5);
}

static void test_owners_differ(void **state)
{
	(void)state;
	struct board *other;
	int fd;
	assert_int_equal(board_new(&other, &fd), 0);
	assert_int_equal(strlen(other->owner), BOARD_OWNER_SIZE - 1);
	assert_string_not_equal(other->owner, fixture.board->owner);
	board_unmap(other);
	close(fd);
}

static void test_what_is_no_board_is_refused(void **state)
{
	(void)state;
	struct board *board = NULL;
	const int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(unsealed, sizeof(struct board)), 0);
	assert_int_equal(board_map(unsealed, &board), -EINVAL);
	assert_int_equal(board_map(null, &board), -EINVAL);
	assert_int_equal(board_map(-1, &board), -EBADF);
	assert_null(board);
	close(unsealed);
	close(null);
	/* Nobody can make it shorter or longer. */
	assert_int_not_equal(ftruncate(fixture.fd, 1), 0);
	assert_int_equal(pwrite(fixture.fd, "..", 2, sizeof(struct board) - 1), -1);
}

/* ---- Slots ---- */

static void test_long_texts_are_cut(void **state)
{
	(void)state;
	struct board_slot *slot = &fixture.board->slots[0];
	char text[1000];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	board_slot_enter(slot, &(struct board_entry){.handler = text, .topic = text});
	assert_int_equal(strlen(slot->run.handler), BOARD_HANDLER_SIZE - 1);
	assert_int_equal(strlen(slot->run.topic), BOARD_TOPIC_SIZE - 1);
	board_slot_leave(slot);
	assert_int_equal(board_slot_state(slot), BOARD_SLOT_IDLE);
}

static void test_deadlines(void **state)
{
	static const struct {
		const char *name;
		int64_t after_ms, since_ms; /* both after the start */
		bool expired;
	} cases[] = {
		{"at the start", 0, 0, false},
		{"at the deadline", 1000, 0, false},
		{"past it", 1001, 0, true},
		{"long past it", 60000, 0, true},
		{"nothing counts before that", 1500, 600, false},
		{"nor later", 1601, 600, true},
	};
	(void)state;
	struct board_slot *slot = &fixture.board->slots[1];
	bool first = true;
	assert_false(board_slot_expire(slot, INT64_MAX, 0, &first));
	assert_false(first);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enter(slot, "slow", 1, 1000);
		const int64_t start_ms = slot->run.started_ms;
		const bool expired = board_slot_expire(
			slot, start_ms + cases[i].after_ms, start_ms + cases[i].since_ms, &first);
		if (expired != cases[i].expired || first != cases[i].expired)
			fail_msg("%s", cases[i].name);
		if (expired) {
			assert_true(board_slot_expire(slot, start_ms, 0, &first));
			assert_false(first);
			board_clear_host(fixture.board);
		} else {
			board_slot_leave(slot);
		}
	}
}

static void *leave_late(void *argument)
{
	board_slot_leave(argument);
	return NULL;
}

/* A thread that comes back after it was found overdue must not go on: it is about to be killed. */
static void test_overdue_thread_waits_for_its_end(void **state)
{
	(void)state;
	const pid_t child = fork();
	if (child == 0) {
		struct board_slot *slot = &fixture.board->slots[1];
		pthread_t thread;
		bool first;
		enter(slot, "slow", 1, 0);
		if (!board_slot_expire(slot, slot->run.started_ms + 1, 0, &first) ||
			pthread_create(&thread, NULL, leave_late, slot) != 0)
			_exit(1);
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 50000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		_exit(pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT &&
					board_slot_state(slot) == BOARD_SLOT_OVERDUE
				? 0
				: 2);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- Counters ---- */

static void test_ends_are_counted(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	for (unsigned end = 0; end < FIGURES_ENDS; end++)
		for (unsigned i = 0; i <= end; i++)
			board_count_command(board, end);
	assert_int_equal(board_read(&board->account.done), 1);
	assert_int_equal(board_read(&board->account.rejected), 2);
	assert_int_equal(board_read(&board->account.dead), 3);
	assert_int_equal(board_read(&board->account.parked), 4);
}

/* ---- Marks ---- */

static void mark(uint64_t fingerprint, const char *what, int64_t now_ms, unsigned expected)
{
	const struct board_run run = {.fingerprint = fingerprint, .handler = "crasher"};
	assert_int_equal(board_mark_add(fixture.board, &run, what, false, now_ms), expected);
}

static void test_marks(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	assert_false(board_marks_any(board));
	assert_null(board_mark_find(board, 1));
	board_mark_clear(board, 1);
	mark(1, "SIGSEGV", 10, 1);
	mark(2, "SIGSEGV", 20, 1);
	mark(3, "SIGSEGV", 30, 1);
	assert_true(board_marks_any(board));
	mark(2, "hung", 40, 2);
	const struct board_mark *found = board_mark_find(board, 2);
	assert_non_null(found);
	assert_int_equal(found->crashes, 2);
	assert_int_equal(found->since_ms, 40);
	assert_string_equal(found->handler, "crasher");
	assert_string_equal(found->what, "hung");
	board_mark_clear(board, 1);
	assert_null(board_mark_find(board, 1));
	assert_int_equal(board_mark_find(board, 2)->crashes, 2);
	assert_non_null(board_mark_find(board, 3));
	board_forget(board, 40, 40);
	assert_null(board_mark_find(board, 3));
	assert_non_null(board_mark_find(board, 2));
	board_clear_host(board);
	assert_non_null(board_mark_find(board, 2));
	board_mark_clear(board, 2);
	assert_false(board_marks_any(board));
}

/* What its document tells of is more than a new supervisor's board knows. */
static void test_mark_goes_on_from_the_document(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	struct board_run run = {.fingerprint = 1, .handler = "crasher", .crashes = 2};
	assert_int_equal(board_mark_add(board, &run, "SIGSEGV", false, 10), 3);
	assert_false(board_mark_find(board, 1)->silent);
	assert_int_equal(board_mark_add(board, &run, "SIGKILL", true, 20), 4);
	assert_true(board_mark_find(board, 1)->silent);
	run.crashes = 9;
	assert_int_equal(board_mark_add(board, &run, "SIGSEGV", false, 30), 10);
}

static void test_buried(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	mark(1, "SIGSEGV", 10, 1);
	assert_false(board_mark_is_buried(board_mark_find(board, 1), 10));
	board_mark_buried(board, 1, 1000);
	/* A supervisor that knew nothing of it. */
	board_mark_buried(board, 2, 2000);
	board_mark_clear(board, 1);
	board_forget(board, 5000, 5000);
	for (uint64_t i = 1; i <= 2; i++) {
		const struct board_mark *found = board_mark_find(board, i);
		assert_non_null(found);
		assert_int_equal(found->crashes, i == 1);
		const int64_t until_ms = (int64_t)i * 1000 + BOARD_BURIED_MS;
		assert_true(board_mark_is_buried(found, until_ms - 1));
		assert_false(board_mark_is_buried(found, until_ms));
	}
	/* A new command with the content of one whose burial is over begins anew. */
	mark(1, "SIGBUS", 1000 + BOARD_BURIED_MS, 1);
	assert_int_equal(board_mark_find(board, 1)->buried_until_ms, 0);
	board_mark_buried(board, 1, 1000);
	board_forget(board, 0, 1000 + BOARD_BURIED_MS);
	assert_null(board_mark_find(board, 1));
	assert_non_null(board_mark_find(board, 2));
}

/* Only what is buried, and of that everything. */
static void test_unbury(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	board_mark_unbury(board, 1);
	mark(1, "SIGSEGV", 10, 1);
	mark(2, "SIGSEGV", 10, 1);
	board_mark_buried(board, 2, 1000);
	for (uint64_t i = 1; i <= 3; i++)
		board_mark_unbury(board, i);
	assert_int_equal(board_mark_find(board, 1)->crashes, 1);
	assert_null(board_mark_find(board, 2));
	mark(2, "SIGBUS", 2000, 1);
	assert_int_equal(board_mark_find(board, 2)->buried_until_ms, 0);
}

static void test_full_table_forgets_the_oldest(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BOARD_MARKS; i++)
		mark(1000 + i, "SIGSEGV", 1000 - (int64_t)i, 1);
	mark(1, "SIGSEGV", 5000, 1);
	assert_null(board_mark_find(fixture.board, 1000 + BOARD_MARKS - 1));
	assert_non_null(board_mark_find(fixture.board, 1000));
	assert_non_null(board_mark_find(fixture.board, 1));
	assert_int_equal(fixture.board->mark_count, BOARD_MARKS);
}

/* ---- Near ---- */

static void test_near(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	assert_false(board_near_any(board));
	assert_int_equal(board_near_deaths(board, 1), 0);
	board_near_forget(board, 1);
	assert_int_equal(board_near_add(board, 1, 10), 1);
	assert_int_equal(board_near_add(board, 2, 10), 1);
	assert_int_equal(board_near_add(board, 3, 10), 1);
	assert_true(board_near_any(board));
	assert_int_equal(board_near_add(board, 2, 20), 2);
	assert_int_equal(board_near_deaths(board, 2), 2);
	board_near_forget(board, 1);
	board_near_forget(board, 1);
	assert_int_equal(board_near_deaths(board, 1), 0);
	assert_int_equal(board_near_deaths(board, 3), 1);
	/* It is not an end when the host has died. */
	board_clear_host(board);
	assert_int_equal(board_near_deaths(board, 2), 2);
	board_forget(board, 20, 20);
	assert_int_equal(board_near_deaths(board, 3), 0);
	assert_int_equal(board_near_deaths(board, 2), 2);
	board_near_forget(board, 2);
	assert_false(board_near_any(board));
	/* From the start again: it has ended in between. */
	assert_int_equal(board_near_add(board, 2, 30), 1);
}

static void test_full_table_forgets_what_was_near_longest_ago(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	for (unsigned i = 0; i < BOARD_NEAR; i++)
		assert_int_equal(board_near_add(board, 1000 + i, 1000 - (int64_t)i), 1);
	/* The oldest is near again, and so another one goes. */
	assert_int_equal(board_near_add(board, 1000 + BOARD_NEAR - 1, 5000), 2);
	assert_int_equal(board_near_add(board, 1, 5000), 1);
	assert_int_equal(board->near_count, BOARD_NEAR);
	assert_int_equal(board_near_deaths(board, 1000 + BOARD_NEAR - 1), 2);
	assert_int_equal(board_near_deaths(board, 1000 + BOARD_NEAR - 2), 0);
	assert_int_equal(board_near_deaths(board, 1), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_other_side_sees_it),
		CASE(test_owners_differ),
		CASE(test_what_is_no_board_is_refused),
		CASE(test_long_texts_are_cut),
		CASE(test_deadlines),
		CASE(test_overdue_thread_waits_for_its_end),
		CASE(test_ends_are_counted),
		CASE(test_marks),
		CASE(test_mark_goes_on_from_the_document),
		CASE(test_buried),
		CASE(test_unbury),
		CASE(test_full_table_forgets_the_oldest),
		CASE(test_near),
		CASE(test_full_table_forgets_what_was_near_longest_ago),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
