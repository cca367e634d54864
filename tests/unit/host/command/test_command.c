/* test_command.c - command.c: which state may follow which, and what a command's end is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "record.h"

/* As the diagram in command.h has it: one letter for each state that may follow. */
static const char *const may_follow[COMMAND_STATES] = {
	[COMMAND_WAITING] = "runs,retries,commits,stores,buries,finishes,settles",
	[COMMAND_RUNNING] = "retries,commits,stores,buries,finishes,settles",
	[COMMAND_RETRYING] = "runs,commits,stores,buries",
	[COMMAND_COMMITTING] = "retries,stores,buries,finishes,settles",
	[COMMAND_STORING] = "retries,buries,settles",
	[COMMAND_BURYING] = "retries,commits,stores,finishes,settles",
	[COMMAND_FINISHING] = "settles",
	[COMMAND_SETTLED] = "",
};

static const char *const words[COMMAND_STATES] = {
	"waits", "runs", "retries", "commits", "stores", "buries", "finishes", "settles"};

/* How a child ended that moved it: 0, or the signal. */
static int moved(enum command_state from, enum command_state to)
{
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit no_core = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		struct command command = {.state = from};
		command_move(&command, to);
		_exit(command.state == to ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_moves(void **state)
{
	(void)state;
	for (enum command_state from = 0; from < COMMAND_STATES; from++) {
		for (enum command_state to = 0; to < COMMAND_STATES; to++) {
			const bool may = strstr(may_follow[from], words[to]);
			const int ended = moved(from, to);
			if (ended != (may ? 0 : SIGABRT))
				fail_msg("%s to %s: %s", command_state_name(from), command_state_name(to),
					strsignal(ended));
		}
	}
}

static void test_names(void **state)
{
	(void)state;
	for (enum command_state i = 0; i < COMMAND_STATES; i++)
		for (enum command_state k = 0; k < i; k++)
			assert_string_not_equal(command_state_name(i), command_state_name(k));
	assert_string_equal(command_state_name(COMMAND_WAITING), "waiting");
	assert_string_equal(command_state_name(COMMAND_SETTLED), "settled");
	/* They are in documents of other versions. */
	assert_string_equal(command_end_name(COMMAND_DONE), "done");
	assert_string_equal(command_end_name(COMMAND_REJECTED), "rejected");
	assert_string_equal(command_end_name(COMMAND_DEAD), "dead");
	assert_string_equal(command_end_name(COMMAND_PARKED), "parked");
}

static void test_settled(void **state)
{
	static const unsigned counts[] = {1, 2, 31, 32};
	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const struct route route = {.handler_count = counts[i]};
		struct command command = {.route = &route};
		for (unsigned k = 0; k < counts[i]; k++) {
			assert_false(command_all_settled(&command));
			command.settled |= UINT32_C(1) << k;
		}
		assert_true(command_all_settled(&command));
		command.settled = 0;
		command_settle_all(&command, COMMAND_DEAD, "because");
		assert_true(command_all_settled(&command));
		assert_int_equal(command.end, COMMAND_DEAD);
		assert_string_equal(command.reason, "because");
	}
	struct command unwanted = {.route = NULL};
	assert_true(command_all_settled(&unwanted));
	command_settle_all(&unwanted, COMMAND_DEAD, "no handler");
	assert_int_equal(unwanted.end, COMMAND_DEAD);
}

/* Of what is written, else of what was read. */
static void test_store_id(void **state)
{
	(void)state;
	struct parked_command document = {.id = {.bytes = {1}}};
	struct record record = {.written = {.id = {.bytes = {2}}}};
	struct command command = {.document = &document};
	assert_ptr_equal(command_store_id(&command), &document.id);
	command.record = &record;
	assert_ptr_equal(command_store_id(&command), &record.written.id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_store_id),
	};
	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
