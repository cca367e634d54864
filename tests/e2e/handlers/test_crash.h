/*
 * test_crash.h - a crash on request: {how, times?}. `times` is how often (1); after that it is calm. Before each it prints a line and the beginning of
 * another one.
 *
 * In the folder CRASH_FOLDER it appends a byte to the file `crashes` before each, so that a test sees how
 * often it ran.
 */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include <cashew.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether it was not that often yet; notes it. */
static inline bool crash_due(const char *folder, int64_t times)
{
	char path[512];
	struct stat status;
	snprintf(path, sizeof(path), "%s/crashes", folder);
	const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const bool due =
		file >= 0 && fstat(file, &status) == 0 && status.st_size < times && write(file, ".", 1) == 1;
	if (file >= 0)
		close(file);
	return due;
}

/* Deeper than any stack. The compiler must neither see that it never ends nor make a loop of it. */
__attribute__((noinline)) static int crash_overflow(volatile int depth)
{
	volatile char frame[512];
	frame[0] = (char)depth;
	return depth < 0 ? 0 : crash_overflow(depth + 1) + frame[0];
}

static inline void crash_now(const char *how)
{
	/* A place where nothing is, of which neither compiler nor sanitizer knows. */
	volatile uintptr_t nowhere = 64;
	printf("about to end by %s\n%s is", how, how);
	if (strcmp(how, "segv") == 0)
		*(volatile int *)nowhere = 1;
	else if (strcmp(how, "abort") == 0)
		abort();
	else if (strcmp(how, "overflow") == 0)
		(void)crash_overflow(0);
	else if (strcmp(how, "exit") == 0)
		exit(3);
	else if (strcmp(how, "_exit") == 0)
		_exit(3);
	else if (strcmp(how, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(how, "thread_exit") == 0)
		pthread_exit(NULL);
	else if (strcmp(how, "hang") == 0)
		for (;;)
			pause();
	else if (strcmp(how, "spin") == 0)
		for (volatile unsigned turns = 0;; turns++)
			continue;
}

CASHEW_STRUCT(crash, (text, how), (integer, times, .min = 0, .max = 1000, .optional = true, .otherwise = 1));

static inline cashew_result crash_on_request(cashew_command *cmd)
{
	const struct crash *in = cashew_input(cmd, crash);
	cashew_event_text(cmd, NULL, "calm", "{}");
	if (cashew_ok(cmd) && crash_due(cashew_setting(cmd, "CRASH_FOLDER"), in->times))
		crash_now(in->how);
	return cashew_done(cmd);
}

static const struct cashew_setting crash_settings[] = {
	{.name = "CRASH_FOLDER", .default_value = ".", .help = "Where crashes are counted."},
	{0},
};

#endif
