/* Tests of thread_room.c: threads that can be made, and those that the system refuses. */
#include "thread_room.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_there_is_room(void **state)
{
	static const unsigned counts[] = {0, 1, 20};
	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		assert_int_equal(thread_room(counts[i]), 0);
}

/* In a process of its own, of a user who is nobody else: root has no such limit, and others may have more. */
static void test_there_is_none(void **state)
{
	(void)state;
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};
		if (setrlimit(RLIMIT_NPROC, &limit) != 0 ||
			(geteuid() == 0 && setresuid(54321, 54321, 54321) != 0))
			_exit(1);
		/* Where others of this user run already, there is no room at all. */
		if (geteuid() == 54321 && thread_room(1) != 0)
			_exit(2);
		_exit(thread_room(4) == -EAGAIN ? 0 : 3);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_is_room),
		cmocka_unit_test(test_there_is_none),
	};
	return cmocka_run_group_tests_name("thread_room", tests, NULL, NULL);
}
