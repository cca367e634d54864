/* test_host_parked.c - backlogs.c: the backlogs, the line of those that are due, and a lane's marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "backlogs.h"
#include "failing_malloc.h"
#include "fake_store.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct parked parked;
static struct store *store;
static char lane_place;
static struct lane *const lane = (struct lane *)(void *)&lane_place;

static int begin(void **state)
{
	(void)state;
	parked = (struct parked){0};
	store = fake_store_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	parked_drop_all(&parked);
	assert_int_equal(parked.count, 0);
	store_close(store);
	return 0;
}

static struct parked_backlog *add(const char *lane_id, const char *user)
{
	struct parked_backlog *backlog = parked_add(&parked, lane, lane_id, user, 7);
	assert_non_null(backlog);
	assert_string_equal(backlog->lane_id, lane_id);
	assert_string_equal(backlog->user, user);
	return backlog;
}

static void test_backlogs(void **state)
{
	(void)state;
	assert_null(parked_find(&parked, "main", "u"));
	struct parked_backlog *u = add("main", "u");
	assert_int_equal(u->not_before_ms, 7);
	assert_ptr_equal(u->lane, lane);
	/* A lane's, and a user's. */
	struct parked_backlog *slow = add("main-slow", "u"), *v = add("main", "v");
	assert_int_equal(parked.count, 3);
	assert_ptr_equal(add("main", "u"), u);
	assert_int_equal(parked.count, 3);
	assert_ptr_equal(parked_find(&parked, "main-slow", "u"), slow);
	assert_ptr_equal(parked_find(&parked, "main", "v"), v);
	assert_null(parked_find(&parked, "main-slow", "v"));
	parked_drop(&parked, u);
	assert_null(parked_find(&parked, "main", "u"));
	assert_ptr_equal(parked_find(&parked, "main-slow", "u"), slow);
	assert_int_equal(parked.count, 2);
}

/* More than there are buckets, dropped in another order. */
static void test_many(void **state)
{
	(void)state;
	enum { MANY = 3 * PARKED_BUCKETS };
	char user[16];
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(user, sizeof(user), "u%u", i);
		add("main", user);
	}
	assert_int_equal(parked.count, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(user, sizeof(user), "u%u", i * 5 % MANY);
		struct parked_backlog *backlog = parked_find(&parked, "main", user);
		if (i < MANY / 2) {
			assert_non_null(backlog);
			parked_drop(&parked, backlog);
		}
	}
	assert_int_equal(parked.count, MANY - MANY / 2);
}

static void test_line(void **state)
{
	(void)state;
	struct parked_backlog *a = add("main", "a"), *b = add("main", "b"), *c = add("main", "c");
	assert_null(parked_next(&parked));
	parked_line(&parked, b);
	parked_line(&parked, a);
	/* Once, and not while it runs. */
	parked_line(&parked, b);
	c->running = true;
	parked_line(&parked, c);
	assert_ptr_equal(parked_next(&parked), b);
	assert_false(b->in_line);
	parked_line(&parked, b);
	assert_ptr_equal(parked_next(&parked), a);
	assert_ptr_equal(parked_next(&parked), b);
	assert_null(parked_next(&parked));
}

/* ---- Marks ---- */

static void in_store(const char *lane_id, const char *user, int64_t position, uint16_t mid, uint64_t key)
{
	struct parked_command command = {.lane = lane_id,
		.user = user,
		.topic = "u/one",
		.position = position,
		.payload = "",
		.mid = mid,
		.key = key,
		.end = "done",
		.handler = "",
		.reason = "",
		.not_before_ms = 1000 + position};
	parked_command_new_id(command.id);
	struct store_client *client = store_acquire(store);
	assert_int_equal(parked_command_add(client, &command), 0);
	store_release(client);
}

/* The same, with one command before it that was not acknowledged. */
static void in_store_behind(
	const char *user, int64_t position, uint16_t mid, uint16_t mid_before, uint64_t key_before)
{
	unsigned char before[PARKED_BEFORE_SIZE];
	parked_before_write(before, mid_before, key_before);
	struct parked_command command = {.lane = "main",
		.user = user,
		.topic = "u/c",
		.position = position,
		.payload = "",
		.mid = mid,
		.key = 7,
		.before = before,
		.before_size = sizeof(before),
		.end = "done",
		.handler = "",
		.reason = "",
		.not_before_ms = 1000};
	parked_command_new_id(command.id);
	struct store_client *client = store_acquire(store);
	assert_int_equal(parked_command_add(client, &command), 0);
	store_release(client);
}

static void finish_first(const char *lane_id, const char *user)
{
	struct store_client *client = store_acquire(store);
	struct parked_command *command = NULL;
	bool more = false;
	assert_int_equal(parked_command_claim(client, lane_id, user, "me", 100000, 200000, &command), 0);
	assert_int_equal(parked_command_finish(client, command, &more), 0);
	parked_command_free(command);
	store_release(client);
}

static struct parked_marks *read_marks(const char *lane_id, size_t copies_max)
{
	struct parked_marks *marks = parked_marks_new(lane_id);
	assert_non_null(marks);
	struct store_client *client = store_acquire(store);
	parked_marks_read(marks, client, copies_max);
	store_release(client);
	return marks;
}

static void test_marks(void **state)
{
	(void)state;
	in_store("main", "u", 1, 11, 101);
	in_store("main", "u", 2, 12, 102);
	in_store("main", "u", 5, 13, 103);
	in_store("main", "v", 3, 12, 104);
	in_store("main", "w", 4, 0, 105);
	in_store("slow", "x", 9, 14, 106);
	finish_first("main", "u");
	finish_first("main", "v");
	struct parked_marks *marks = read_marks("main", 10);
	struct parked_copy copy;
	assert_int_equal(marks->error, 0);
	assert_int_equal(marks->last_position, 5);
	assert_int_equal(parked_load(&parked, lane, marks), 0);
	assert_int_equal(parked.count, 2);
	/* The first that is not done. */
	assert_int_equal(parked_find(&parked, "main", "u")->not_before_ms, 1002);
	assert_int_equal(parked_find(&parked, "main", "w")->not_before_ms, 1004);
	assert_null(parked_next(&parked));

	/* By both, and once; also what is done. */
	assert_int_equal(marks->copy_count, 4);
	assert_false(parked_marks_take(marks, 11, 102, &copy));
	assert_false(parked_marks_take(marks, 0, 105, &copy));
	assert_false(parked_marks_take(marks, 14, 106, &copy));
	assert_true(parked_marks_take(marks, 12, 104, &copy));
	assert_false(parked_marks_take(marks, 12, 104, &copy));
	assert_true(parked_marks_take(marks, 12, 102, &copy));
	assert_true(parked_marks_take(marks, 11, 101, &copy));
	assert_true(parked_marks_take(marks, 13, 103, &copy));
	assert_int_equal(marks->copy_count, 0);
	assert_false(parked_marks_take(marks, 13, 103, &copy));
	parked_marks_free(marks);
	parked_marks_free(NULL);
}

/* What came before a backlog began is known when it comes again, and the backlog is held for it, also when
 * what it began with is done. */
static void test_before(void **state)
{
	(void)state;
	in_store_behind("u", 10, 3, 2, UINT64_C(0xfedcba9876543210));
	in_store("main", "u", 11, 4, 8);
	in_store_behind("v", 20, 6, 5, 9);
	in_store("main", "w", 30, 7, 7);
	finish_first("main", "u");
	struct parked_marks *marks = read_marks("main", 10);
	struct parked_copy copy;
	assert_int_equal(parked_load(&parked, lane, marks), 0);
	assert_int_equal(parked_find(&parked, "main", "u")->held_position, 10);
	assert_int_equal(parked_find(&parked, "main", "v")->held_position, 20);
	assert_int_equal(parked_find(&parked, "main", "w")->held_position, 0);

	assert_false(parked_marks_take(marks, 2, 9, &copy));
	assert_true(parked_marks_take(marks, 2, UINT64_C(0xfedcba9876543210), &copy));
	assert_true(copy.before);
	assert_int_equal(copy.position, 10);
	assert_false(parked_marks_take(marks, 2, UINT64_C(0xfedcba9876543210), &copy));
	assert_true(parked_marks_take(marks, 3, 7, &copy));
	assert_false(copy.before);
	assert_int_equal(copy.position, 10);
	/* What is acknowledged has nothing before it that is not. */
	parked_marks_acknowledged(marks, 20);
	assert_false(parked_marks_take(marks, 5, 9, &copy));
	parked_marks_free(marks);
}

static void test_hold(void **state)
{
	(void)state;
	struct parked_backlog *a = add("main", "a"), *b = add("main", "b");
	parked_line(&parked, a);
	parked_line(&parked, b);
	assert_ptr_equal(parked_next(&parked), a);
	parked_hold(&parked, a);
	parked_line(&parked, a);
	assert_ptr_equal(parked_next(&parked), b);
	assert_null(parked_next(&parked));
	parked_unhold(&parked);
	assert_ptr_equal(parked_next(&parked), a);
	assert_null(parked_next(&parked));
	parked_unhold(&parked);
	assert_null(parked_next(&parked));
}

/* Only the last ones can come again; and of those only what this host has not acknowledged. */
static void test_copies_max(void **state)
{
	(void)state;
	for (uint16_t i = 1; i <= 200; i++)
		in_store("main", i % 2 == 0 ? "u" : "v", i, (uint16_t)(1000 - i), i);
	struct parked_marks *marks = read_marks("main", 50);
	struct parked_copy copy;
	assert_int_equal(marks->copy_count, 50);
	assert_int_equal(marks->first_count, 2);
	parked_marks_acknowledged(marks, 180);
	assert_int_equal(marks->copy_count, 20);
	for (uint16_t i = 1; i <= 200; i++)
		assert_int_equal(parked_marks_take(marks, (uint16_t)(1000 - i), i, &copy), i > 180);
	parked_marks_free(marks);
}

/* What is not in the store any more is asked about; what is on its way into it is not. */
static void test_load_again(void **state)
{
	(void)state;
	add("main", "gone");
	add("main", "coming")->parking = 1;
	add("slow", "other lane")->lane = NULL;
	in_store("main", "there", 1, 1, 1);
	struct parked_marks *marks = read_marks("main", 50);
	assert_int_equal(parked_load(&parked, lane, marks), 0);
	assert_int_equal(parked.count, 4);
	assert_string_equal(parked_next(&parked)->user, "gone");
	assert_null(parked_next(&parked));
	parked_marks_free(marks);
	parked_find(&parked, "main", "coming")->parking = 0;
}

static void test_store_fails(void **state)
{
	(void)state;
	in_store("main", "u", 1, 1, 1);
	fake_store_fail_next(store, STORE_E_AWAY, 1);
	struct parked_marks *marks = read_marks("main", 50);
	assert_int_equal(marks->error, STORE_E_AWAY);
	parked_marks_free(marks);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	in_store("main", "u", 1, 1, 1);
	struct parked_marks *marks = read_marks("main", 50);
	failing_malloc_start(1, false);
	assert_int_equal(parked_load(&parked, lane, marks), -ENOMEM);
	assert_true(failing_malloc_stop());
	assert_int_equal(parked.count, 0);
	parked_marks_free(marks);
}

static void drop_running(void)
{
	struct parked_backlog *backlog = add("main", "u");
	backlog->running = true;
	parked_drop(&parked, backlog);
}

static void drop_parking(void)
{
	struct parked_backlog *backlog = add("main", "u");
	backlog->parking = 1;
	parked_drop(&parked, backlog);
}

static void drop_in_line(void)
{
	struct parked_backlog *backlog = add("main", "u");
	parked_line(&parked, backlog);
	parked_drop(&parked, backlog);
}

static void test_impossible(void **state)
{
	(void)state;
	static void (*const cases[])(void) = {drop_running, drop_parking, drop_in_line};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const pid_t child = fork();
		assert_return_code(child, 0);
		if (child == 0) {
			signal(SIGABRT, SIG_DFL);
			cases[i]();
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_backlogs, begin, end),
		cmocka_unit_test_setup_teardown(test_many, begin, end),
		cmocka_unit_test_setup_teardown(test_line, begin, end),
		cmocka_unit_test_setup_teardown(test_marks, begin, end),
		cmocka_unit_test_setup_teardown(test_before, begin, end),
		cmocka_unit_test_setup_teardown(test_hold, begin, end),
		cmocka_unit_test_setup_teardown(test_copies_max, begin, end),
		cmocka_unit_test_setup_teardown(test_load_again, begin, end),
		cmocka_unit_test_setup_teardown(test_store_fails, begin, end),
		cmocka_unit_test_setup_teardown(test_out_of_memory, begin, end),
		cmocka_unit_test_setup_teardown(test_impossible, begin, end),
	};
	return cmocka_run_group_tests_name("host_parked", tests, NULL, NULL);
}
