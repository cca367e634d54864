/* test_host_users.c - users.c: the order within a user, with any number of users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <errno.h>

#include "command.h"
#include "failing_malloc.h"
#include "users.h"

enum { NO_LIMIT = 65535 };

static bool busy(const struct lane_users *users, const char *name)
{
	return users_busy(users, name, strlen(name));
}

/* Whether it is that command's turn now. */
static bool enqueue(struct lane_users *users, struct command *command, const char *user)
{
	bool turn = false;
	command->input.user = user;
	assert_int_equal(users_enqueue(users, command, NO_LIMIT, &turn), 0);
	assert_non_null(command->user);
	return turn;
}

static void test_order(void **state)
{
	(void)state;
	struct lane_users *users = users_new();
	struct command a[3] = {0}, b[2] = {0};
	assert_false(busy(users, "a"));
	assert_true(enqueue(users, &a[0], "a"));
	assert_true(busy(users, "a"));
	assert_false(busy(users, "b"));
	assert_true(enqueue(users, &b[0], "b"));
	assert_false(enqueue(users, &a[1], "a"));
	assert_false(enqueue(users, &b[1], "b"));
	assert_false(enqueue(users, &a[2], "a"));

	assert_ptr_equal(users_dequeue(users, &a[0]), &a[1]);
	assert_null(a[0].user);
	assert_ptr_equal(users_dequeue(users, &a[1]), &a[2]);
	/* Behind the one that is left. */
	assert_false(enqueue(users, &a[0], "a"));
	assert_ptr_equal(users_dequeue(users, &a[2]), &a[0]);
	assert_true(busy(users, "a"));
	assert_null(users_dequeue(users, &a[0]));
	assert_false(busy(users, "a"));
	assert_true(busy(users, "b"));
	assert_true(enqueue(users, &a[1], "a"));
	assert_null(users_dequeue(users, &a[1]));

	assert_ptr_equal(users_dequeue(users, &b[0]), &b[1]);
	assert_null(users_dequeue(users, &b[1]));
	users_free(users);
	users_free(NULL);
}

static void test_limit(void **state)
{
	(void)state;
	struct lane_users *users = users_new();
	struct command commands[5] = {0};
	for (size_t i = 0; i < 5; i++)
		commands[i].input.user = i < 4 ? "a" : "b";
	bool turn = true;
	assert_int_equal(users_enqueue(users, &commands[0], 3, &turn), 0);
	assert_int_equal(users_enqueue(users, &commands[1], 3, &turn), 0);
	assert_int_equal(users_enqueue(users, &commands[2], 3, &turn), 0);
	assert_false(turn);
	turn = true;
	assert_int_equal(users_enqueue(users, &commands[3], 3, &turn), USERS_E_FULL);
	assert_true(turn);
	assert_null(commands[3].user);
	/* Others have a limit of their own. */
	assert_int_equal(users_enqueue(users, &commands[4], 3, &turn), 0);
	assert_true(turn);
	/* The limit is on those that are there, not on those that came. */
	assert_ptr_equal(users_dequeue(users, &commands[0]), &commands[1]);
	assert_int_equal(users_enqueue(users, &commands[3], 3, &turn), 0);
	assert_false(turn);
	assert_int_equal(users_enqueue(users, &commands[0], 3, &turn), USERS_E_FULL);
	assert_ptr_equal(users_dequeue(users, &commands[1]), &commands[2]);
	assert_ptr_equal(users_dequeue(users, &commands[2]), &commands[3]);
	assert_null(users_dequeue(users, &commands[3]));
	assert_null(users_dequeue(users, &commands[4]));
	users_free(users);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	struct lane_users *users = users_new();
	struct command command = {.input = {.user = "a"}};
	bool turn = false;
	failing_malloc_start(1, false);
	assert_int_equal(users_enqueue(users, &command, NO_LIMIT, &turn), -ENOMEM);
	assert_true(failing_malloc_stop());
	assert_false(turn);
	assert_null(command.user);
	assert_false(busy(users, "a"));
	assert_true(enqueue(users, &command, "a"));
	assert_null(users_dequeue(users, &command));
	users_free(users);
}

/* What is forgotten with its connection: all that have not begun, and what waits for a retry. */
static void test_take_idle(void **state)
{
	(void)state;
	struct lane_users *users = users_new();
	struct command running[3] = {0}, retrying[2] = {0}, committing[2] = {0}, waiting[1] = {0};
	assert_null(users_take_idle(users));
	for (size_t i = 0; i < 3; i++)
		enqueue(users, &running[i], "running");
	for (size_t i = 0; i < 2; i++) {
		enqueue(users, &retrying[i], "retrying");
		enqueue(users, &committing[i], "committing");
	}
	enqueue(users, &waiting[0], "waiting");
	running[0].state = COMMAND_RUNNING;
	retrying[0].state = COMMAND_RETRYING;
	committing[0].state = COMMAND_COMMITTING;

	struct command *const idle[] = {
		&running[1], &running[2], &retrying[0], &retrying[1], &committing[1], &waiting[0]};
	size_t count = 0;
	unsigned seen = 0;
	for (struct command *command = users_take_idle(users); command != NULL;
		command = command->user_next, count++) {
		assert_null(command->user);
		for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
			seen |= command == idle[i] ? 1u << i : 0;
	}
	assert_int_equal(count, 6);
	assert_int_equal(seen, 0x3f);

	/* Those that run keep their users' turn: what comes later waits behind them. */
	assert_true(busy(users, "running"));
	assert_true(busy(users, "committing"));
	assert_false(busy(users, "retrying"));
	assert_false(busy(users, "waiting"));
	assert_false(enqueue(users, &running[1], "running"));
	assert_ptr_equal(users_dequeue(users, &running[0]), &running[1]);
	running[1].state = COMMAND_RUNNING;
	assert_null(users_take_idle(users));
	assert_null(users_dequeue(users, &running[1]));
	assert_null(users_dequeue(users, &committing[0]));
	assert_false(busy(users, "running"));
	users_free(users);
}

enum { MANY = 5000, EACH = 3 };

/* Five users in each place of the table and more. */
static void test_many_users(void **state)
{
	(void)state;
	struct lane_users *users = users_new();
	struct command(*commands)[EACH] = calloc(MANY, sizeof(*commands));
	char(*names)[16] = calloc(MANY, sizeof(*names));
	assert_non_null(commands);
	assert_non_null(names);
	for (size_t j = 0; j < EACH; j++)
		for (size_t i = 0; i < MANY; i++) {
			snprintf(names[i], sizeof(names[i]), "%zu", i);
			assert_int_equal(enqueue(users, &commands[i][j], names[i]), j == 0);
		}
	/* One name is the beginning of another. */
	assert_false(users_busy(users, "4999x", 5));
	assert_true(users_busy(users, "4999x", 4));
	for (size_t i = 0; i < MANY; i++) {
		/* In an order that is not the one in which they came. */
		const size_t user = i * 1231 % MANY;
		for (size_t j = 0; j < EACH; j++) {
			assert_true(busy(users, names[user]));
			struct command *next = users_dequeue(users, &commands[user][j]);
			assert_ptr_equal(next, j + 1 < EACH ? &commands[user][j + 1] : NULL);
		}
		assert_false(busy(users, names[user]));
	}
	for (size_t i = 0; i < MANY; i++)
		assert_true(enqueue(users, &commands[i][0], names[i]));
	size_t count = 0;
	for (struct command *command = users_take_idle(users); command != NULL; command = command->user_next)
		count++;
	assert_int_equal(count, MANY);
	/* What still stands in a queue at the end is let go. */
	enqueue(users, &commands[0][0], names[0]);
	users_free(users);
	free(names);
	free(commands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_take_idle),
		cmocka_unit_test(test_many_users),
	};
	return cmocka_run_group_tests_name("host_users", tests, NULL, NULL);
}
