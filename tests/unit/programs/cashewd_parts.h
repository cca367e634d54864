/*
 * cashewd_parts.h - cashewd as a program that is started in a folder of the test's own: its exit code, and what it prints.
 *
 * Include it in one source file.
 */
#ifndef CASHEWD_PARTS_H
#define CASHEWD_PARTS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PROGRAM BINARY_DIR "/cashewd"
#define SECRET	"0123456789abcdef0123456789abcdef"

struct outcome {
	int code; /* -1: killed */
	char out[32 * 1024], err[32 * 1024];
};

static void read_file(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	ret[fread(ret, 1, size - 1, file)] = '\0';
	fclose(file);
}

static inline void write_file(const char *path, const char *text, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_return_code(fchmod(fd, mode), errno);
	close(fd);
}

static pid_t start(const char *const *arguments, char *const *environment, const char *out)
{
	char *values[16], *variables[32];
	size_t count = 0, variable_count = 0;
	/* The driver's counters in shared memory are called by the process's number, and stay after a kill
	 * -9: where one is in the way, it says so on standard error before main() has begun. */
	static char no_counters[] = "MONGOC_DISABLE_SHM=1";
	variables[variable_count++] = no_counters;
	for (; *environment; environment++)
		variables[variable_count++] = *environment;
	variables[variable_count] = NULL;
	values[count++] = strdup("cashewd");
	for (; *arguments; arguments++)
		values[count++] = strdup(*arguments);
	values[count] = NULL;
	posix_spawn_file_actions_t files;
	assert_int_equal(posix_spawn_file_actions_init(&files), 0);
	assert_int_equal(posix_spawn_file_actions_addopen(
				 &files, STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC, 0600),
		0);
	assert_int_equal(posix_spawn_file_actions_addopen(
				 &files, STDERR_FILENO, "err", O_WRONLY | O_CREAT | O_TRUNC, 0600),
		0);
	pid_t pid = -1;
	assert_int_equal(posix_spawn(&pid, PROGRAM, &files, NULL, values, variables), 0);
	posix_spawn_file_actions_destroy(&files);
	while (count > 0)
		free(values[--count]);
	return pid;
}

static int finish(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *const no_environment[] = {NULL};

static void run_in(char *const *environment, struct outcome *ret, const char *const *arguments)
{
	ret->code = finish(start(arguments, environment, "out"));
	read_file("out", ret->out, sizeof(ret->out));
	read_file("err", ret->err, sizeof(ret->err));
}

#define RUN(outcome, ...) run_in(no_environment, outcome, (const char *const[]){__VA_ARGS__, NULL})

static struct outcome got;

static inline void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

#endif
