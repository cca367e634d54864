/* Tests of hardening.c: what a process does not die of any more. Each case is a process of its own, since nothing of it can be taken back. */
#include "hardening.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int write_over_the_limit(void)
{
	FILE *file = tmpfile();
	if (!file || setrlimit(RLIMIT_FSIZE, &(const struct rlimit){.rlim_cur = 4, .rlim_max = 4}) != 0)
		return -1;
	if (write(fileno(file), "full", 4) != 4)
		return -1;
	return write(fileno(file), "more", 4) < 0 ? errno : 0;
}

static int write_to_nobody(void)
{
	int ends[2];
	if (pipe(ends) != 0)
		return -1;
	close(ends[0]);
	return write(ends[1], "more", 4) < 0 ? errno : 0;
}

static int core_dump_limit(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : -1;
}

/* What the function returns in a process that has hardened itself. */
static int in_hardened(int (*run)(void))
{
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		hardening_apply();
		_exit(run() & 0xff);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static void test_failing_writes(void **state)
{
	(void)state;
	assert_int_equal(in_hardened(write_over_the_limit), EFBIG);
	assert_int_equal(in_hardened(write_to_nobody), EPIPE);
}

static void test_no_core_dump(void **state)
{
	(void)state;
	assert_int_equal(in_hardened(core_dump_limit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failing_writes),
		cmocka_unit_test(test_no_core_dump),
	};
	return cmocka_run_group_tests_name("hardening", tests, NULL, NULL);
}
