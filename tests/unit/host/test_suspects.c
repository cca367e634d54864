/* test_suspects.c - suspects.c: who is judged how, and when who is tried alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <unistd.h>

#include "board.h"
#include "command.h"
#include "record.h"
#include "suspects.h"

enum { LIMIT = 3 };

static struct board *board;
static struct suspects suspects;

static int begin(void **state)
{
	int fd;
	(void)state;
	assert_int_equal(board_new(&board, &fd), 0);
	close(fd);
	suspects = (struct suspects){0};
	return 0;
}

static int end(void **state)
{
	(void)state;
	board_unmap(board);
	return 0;
}

static struct command *new_command(uint64_t identity)
{
	struct command *command = calloc(1, sizeof(*command) + COMMAND_ARENA_SIZE);
	arena_init(&command->arena, command + 1, COMMAND_ARENA_SIZE);
	command->fingerprint = 11;
	command->identity = identity;
	command->handler = "";
	return command;
}

static void test_judge(void **state)
{
	static const struct {
		const char *name;
		unsigned marked, near;
		unsigned written; /* crashes that its document tells of */
		bool from_store;
		enum suspects_verdict verdict;
		unsigned crashes;
	} cases[] = {
		{"nothing is known", 0, 0, 0, false, SUSPECTS_INNOCENT, 0},
		{"it has killed a host", 1, 0, 0, false, SUSPECTS_TO_BE_PARKED, 1},
		{"that is written down", 1, 0, 1, true, SUSPECTS_INNOCENT, 1},
		{"once more", 2, 0, 1, true, SUSPECTS_TO_BE_PARKED, 2},
		{"too often", 3, 0, 2, true, SUSPECTS_GUILTY, 3},
		{"too often, all written down", 0, 0, 3, true, SUSPECTS_GUILTY, 3},
		{"it was near, but not often enough", 0, 2, 0, false, SUSPECTS_INNOCENT, 0},
		{"it was near too often", 0, 3, 0, false, SUSPECTS_ALONE, 0},
		{"marked and near", 1, 3, 0, false, SUSPECTS_TO_BE_PARKED, 1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		begin(state);
		struct command *command = new_command(22);
		struct parked_command document = {.crashes = cases[i].written};
		const struct board_run run = {.fingerprint = command->fingerprint, .handler = "h"};
		for (unsigned k = 0; k < cases[i].marked; k++)
			board_mark_add(board, &run, "SIGSEGV", false, 1);
		for (unsigned k = 0; k < cases[i].near; k++)
			board_near_add(board, command->identity, 1);
		if (cases[i].from_store) {
			command->document = &document;
			command->crashes = cases[i].written;
		}
		/* It stays so, however often it is asked: until it is written down. */
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(suspects_judge(board, command, LIMIT), cases[i].verdict);
		assert_int_equal(command->crashes, cases[i].crashes);
		assert_int_equal(command->marked, cases[i].marked > 0);
		if (cases[i].verdict == SUSPECTS_TO_BE_PARKED || cases[i].verdict == SUSPECTS_GUILTY)
			assert_non_null(strstr(command->reason, "killed the host"));
		command->document = NULL;
		command_free(command);
		end(state);
	}
}

/* What is dead for killing hosts makes its copies dead, and their letters say how that ends; unless somebody has replayed it. */
static void test_copies_of_the_dead(void **state)
{
	static const struct {
		const char *name;
		bool buried, from_store, replayed;
		enum suspects_verdict verdict;
		bool says_so;
	} cases[] = {
		{"the one that did it", false, false, false, SUSPECTS_GUILTY, false},
		{"a copy from the broker", true, false, false, SUSPECTS_GUILTY, true},
		{"a copy from the store", true, true, false, SUSPECTS_GUILTY, true},
		{"one that was replayed", true, true, true, SUSPECTS_INNOCENT, false},
		{"one that was replayed, and did it again", false, true, true, SUSPECTS_GUILTY, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].name);
		begin(state);
		struct command *command = new_command(22);
		struct parked_command document = {.replayed = cases[i].replayed};
		const struct board_run run = {.fingerprint = command->fingerprint, .handler = "h"};
		for (unsigned k = 0; k < LIMIT; k++)
			board_mark_add(board, &run, "SIGSEGV", false, 1);
		if (cases[i].buried)
			board_mark_buried(board, command->fingerprint, 1);
		if (cases[i].from_store)
			command->document = &document;
		suspects_pardon(board, command);
		assert_int_equal(suspects_judge(board, command, LIMIT), cases[i].verdict);
		if (cases[i].verdict == SUSPECTS_GUILTY) {
			assert_non_null(
				strstr(command->reason, "handler h killed the host 3 times: SIGSEGV"));
			assert_int_equal(strstr(command->reason, "10 minutes") != NULL, cases[i].says_so);
			assert_int_equal(strstr(command->reason, "replayed") != NULL, cases[i].says_so);
		} else {
			/* further copies of it run too */
			struct command *copy = new_command(23);
			assert_int_equal(suspects_judge(board, copy, LIMIT), SUSPECTS_INNOCENT);
			command_free(copy);
		}
		command->document = NULL;
		command_free(command);
		end(state);
	}
}

/* Without an identity it cannot be told from its equals. */
static void test_no_identity(void **state)
{
	(void)state;
	struct command *command = new_command(0);
	for (unsigned k = 0; k < LIMIT; k++)
		board_near_add(board, 22, 1);
	assert_int_equal(suspects_judge(board, command, LIMIT), SUSPECTS_INNOCENT);
	command_free(command);
}

/* It waits until nothing runs, for a second at most; alone for a second at most. */
static void test_alone(void **state)
{
	(void)state;
	struct command *a = new_command(1);
	int64_t now_ms = 5000;
	assert_null(suspects_serve(&suspects, board, false, now_ms));
	assert_int_equal(suspects_due_ms(&suspects, now_ms), INT64_MAX);
	suspects_add(&suspects, a);
	assert_false(suspects_quiet(&suspects, now_ms));
	assert_true(suspects_due_ms(&suspects, now_ms) <= now_ms);
	assert_null(suspects_serve(&suspects, board, true, now_ms));
	assert_true(suspects_quiet(&suspects, now_ms));
	assert_int_equal(suspects_due_ms(&suspects, now_ms), now_ms + SUSPECTS_QUIET_MS);
	now_ms += 300;
	assert_ptr_equal(suspects_serve(&suspects, board, false, now_ms), a);
	assert_true(a->alone);
	assert_null(suspects_serve(&suspects, board, true, now_ms)); /* once */
	now_ms += SUSPECTS_QUIET_MS - 1;
	assert_true(suspects_quiet(&suspects, now_ms));
	assert_null(suspects_serve(&suspects, board, true, now_ms));
	assert_true(a->alone);
	now_ms++;
	assert_false(suspects_quiet(&suspects, now_ms));
	assert_null(suspects_serve(&suspects, board, true, now_ms));
	assert_false(a->alone); /* from here on others run beside it */
	suspects_end(&suspects, a, now_ms);
	command_free(a);
}

/* What runs does not end: then it is not alone, and nobody will blame it. */
static void test_not_alone(void **state)
{
	(void)state;
	struct command *a = new_command(1);
	suspects_add(&suspects, a);
	assert_null(suspects_serve(&suspects, board, true, 5000));
	assert_null(suspects_serve(&suspects, board, true, 5000 + SUSPECTS_QUIET_MS - 1));
	assert_ptr_equal(suspects_serve(&suspects, board, true, 5000 + SUSPECTS_QUIET_MS), a);
	assert_false(a->alone);
	suspects_end(&suspects, a, 6001);
	command_free(a);
}

/* Between two of them the others have as long as it was quiet. Its next run is not alone. */
static void test_one_after_the_other(void **state)
{
	(void)state;
	struct command *a = new_command(1), *b = new_command(2), *c = new_command(3);
	suspects_add(&suspects, a);
	suspects_add(&suspects, b);
	suspects_add(&suspects, c);
	assert_ptr_equal(suspects_serve(&suspects, board, false, 5000), a);
	assert_null(suspects_serve(&suspects, board, false, 5100));
	suspects_end(&suspects, c, 5100); /* forgotten while it waits */
	assert_null(c->retry_next);
	suspects_end(&suspects, a, 5200);
	assert_false(a->alone);
	assert_false(suspects_quiet(&suspects, 5200));
	assert_null(suspects_serve(&suspects, board, false, 5200));
	assert_int_equal(suspects_due_ms(&suspects, 5200), 5401);
	assert_null(suspects_serve(&suspects, board, false, 5400));
	assert_ptr_equal(suspects_serve(&suspects, board, false, 5401), b);
	suspects_end(&suspects, b, 9000); /* long: they need no longer than that */
	assert_int_equal(suspects.rest_until_ms, 9000 + SUSPECTS_QUIET_MS);
	assert_null(suspects_serve(&suspects, board, false, 20000));
	assert_int_equal(suspects_due_ms(&suspects, 20000), INT64_MAX);
	/* Any other command is no matter. */
	suspects_end(&suspects, a, 20000);
	command_free(a);
	command_free(b);
	command_free(c);
}

/* The one that is going to be tried is forgotten before it could start. */
static void test_forgotten(void **state)
{
	(void)state;
	struct command *a = new_command(1);
	suspects_add(&suspects, a);
	assert_null(suspects_serve(&suspects, board, true, 5000));
	suspects_end(&suspects, a, 5010);
	command_free(a);
	assert_false(suspects_quiet(&suspects, 5010));
	assert_null(suspects_serve(&suspects, board, false, 6000));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_copies_of_the_dead),
		TEST(test_no_identity),
		TEST(test_alone),
		TEST(test_not_alone),
		TEST(test_one_after_the_other),
		TEST(test_forgotten),
	};
	return cmocka_run_group_tests_name("suspects", tests, NULL, NULL);
}
