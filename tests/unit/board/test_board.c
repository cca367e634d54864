/* test_board.c - board.c: slots, deadlines, keys and suspects, in one process and over fork(). */
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
#include <stdio.h>
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

static void enter(struct board_slot *slot, const char *handler, uint64_t key, unsigned deadline_ms)
{
	const struct board_entry entry = {.handler = handler,
		.topic = "68946/get_apples",
		.key = key,
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
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	const struct board_slot *slot = &board->slots[3];
	assert_int_equal(board_slot_state(slot), BOARD_SLOT_RUNNING);
	assert_string_equal(slot->run.handler, "get_apples");
	assert_string_equal(slot->run.topic, "68946/get_apples");
	assert_int_equal(slot->run.key, 7);
	assert_int_equal(slot->run.attempt, 2);
	assert_int_equal(slot->run.tid, child);
	assert_int_equal(board_read(&board->account.done), 5);

	board_clear_host(board);
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

/* ---- Suspects ---- */

static void suspect(uint64_t key, unsigned crashes, const char *what, int64_t now_ms, unsigned expected)
{
	struct board_run run = {.key = key, .handler = "crasher"};
	assert_int_equal(board_suspect_add(fixture.board, &run, crashes, what, now_ms), expected);
}

static void test_suspects(void **state)
{
	(void)state;
	struct board *board = fixture.board;
	assert_false(board_suspects_any(board));
	assert_null(board_suspect_find(board, 1));
	board_suspect_clear(board, 1);
	suspect(1, 0, "killed", 10, 0);
	suspect(2, 1, "SIGSEGV", 20, 1);
	suspect(3, 0, "killed", 30, 0);
	assert_true(board_suspects_any(board));
	suspect(2, 1, "hung", 40, 2);
	/* Only a suspicion: what is known of it stays. */
	suspect(2, 0, "killed", 50, 2);
	const struct board_suspect *found = board_suspect_find(board, 2);
	assert_non_null(found);
	assert_int_equal(found->crashes, 2);
	assert_string_equal(found->handler, "crasher");
	assert_string_equal(found->what, "hung");
	board_suspect_clear(board, 1);
	assert_null(board_suspect_find(board, 1));
	assert_int_equal(board_suspect_find(board, 2)->crashes, 2);
	assert_non_null(board_suspect_find(board, 3));
	board_suspects_expire(board, 50);
	assert_null(board_suspect_find(board, 3));
	assert_non_null(board_suspect_find(board, 2));
	board_clear_host(board);
	assert_non_null(board_suspect_find(board, 2));
	board_suspect_clear(board, 2);
	assert_false(board_suspects_any(board));
}

static void test_full_table_forgets_the_oldest(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BOARD_SUSPECTS; i++)
		suspect(1000 + i, 1, "SIGSEGV", 1000 - (int64_t)i, 1);
	suspect(1, 1, "SIGSEGV", 5000, 1);
	assert_null(board_suspect_find(fixture.board, 1000 + BOARD_SUSPECTS - 1));
	assert_non_null(board_suspect_find(fixture.board, 1000));
	assert_non_null(board_suspect_find(fixture.board, 1));
	assert_int_equal(fixture.board->suspect_count, BOARD_SUSPECTS);
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
		CASE(test_suspects),
		CASE(test_full_table_forgets_the_oldest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
