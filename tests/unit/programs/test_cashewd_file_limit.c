/* test_cashewd_file_limit.c - cashewd where no file may grow any more (ulimit -f): writes fail, and the program does not. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "own_folder.h"

#define PROGRAM BINARY_DIR "/cashewd"

enum { LIMIT = 64 * 1024 * 1024, WAIT_MS = 20000, LOOK_MS = 10 };

/* Its output goes to the file "out". */
static pid_t start(const char *argument, rlim_t limit)
{
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	const int out = open("out", O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
		setrlimit(RLIMIT_FSIZE, &(const struct rlimit){.rlim_cur = limit, .rlim_max = limit}) != 0)
		_exit(125);
	execl(PROGRAM, PROGRAM, argument, (char *)NULL);
	_exit(126);
}

static void wait_exit(pid_t pid, int code)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

/* Libraries write files of their own before main(). */
static void no_file_at_all(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* with a sanitizer nothing of ours runs before the libraries */
#endif
	wait_exit(start("--version", 1), 74);
}

/* The process that runs handlers has been started. */
static bool has_child(pid_t pid)
{
	char path[64], text[32] = "";
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	const bool found = fgets(text, sizeof(text), file);
	fclose(file);
	return found;
}

/* Not one line of the log can be written. */
static void log_that_is_full(void **state)
{
	(void)state;
	FILE *env = fopen(".env", "we");
	assert_non_null(env);
	fputs("JWT_SECRET=0123456789abcdef0123456789abcdef\nBROKER_HOST=127.0.0.1\nBROKER_PORT=1\nMONGO_DB_URL=mongodb://127.0.0.1:1\n"
	      "METRICS_ADDR=off\n",
		env);
	assert_int_equal(fclose(env), 0);
	const int out = open("out", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_return_code(out, errno);
	assert_return_code(ftruncate(out, LIMIT), errno);
	close(out);
	const pid_t pid = start(NULL, LIMIT);
	int waited_ms = 0;
	for (; !has_child(pid) && waited_ms < WAIT_MS; waited_ms += LOOK_MS)
		(void)poll(NULL, 0, LOOK_MS);
	kill(pid, SIGTERM);
	wait_exit(pid, 0);
	assert_true(waited_ms < WAIT_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_file_at_all, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(log_that_is_full, enter_folder, leave_folder),
	};
	return cmocka_run_group_tests_name("cashewd_file_limit", tests, NULL, NULL);
}
