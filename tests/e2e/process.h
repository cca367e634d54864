/*
 * process.h - a program that a test starts: its output in a file, its death noticed, its life never longer
 * than the test's.
 *
 * Happy path: process_start(), process_signal(), process_reap() once its pidfd is readable. The child gets a
 * signal of the kernel when the test dies (PR_SET_PDEATHSIG), reads from /dev/null, inherits no descriptor
 * and no environment but the one given. Failure modes: a program that cannot be executed exits with 127 and
 * says so in its output.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct process {
	pid_t pid;    /* 0: not running */
	int pidfd;    /* readable once it has ended; -1: not running */
	int status;   /* of waitpid(), once it has ended */
	bool awaited; /* its end is no surprise */
};

struct process_options {
	const char *const *argv;	/* ended by NULL; argv[0] is a path, or a name on PATH */
	const char *const *environment; /* "NAME=value", ended by NULL; see process_environment() */
	const char *folder;		/* its working directory */
	const char *output;		/* file to append standard output and standard error to */
	int death_signal;		/* what it gets when the test dies */
};

/* 0, or a negative errno. */
__attribute__((warn_unused_result)) int process_start(
	struct process *process, const struct process_options *options);

/* Sends a signal if it runs. */
void process_signal(const struct process *process, int signal);

/* Notes its end if it has ended; waits up to timeout_ms for that. Returns whether it is not running. */
bool process_reap(struct process *process, int timeout_ms);

/* Its exit code, or 128 + signal as shells say it. Only after it has ended. */
int process_exit_code(const struct process *process);

/* What a process holds: memory, and open descriptors; 0: there is no such process. */
size_t process_rss_kib(pid_t pid);
size_t process_descriptors(pid_t pid);

/*
 * The environment for children: PATH, HOME, TMPDIR, the sanitizers' options and nothing else, so that a test
 * does not depend on whose shell it runs in. Ended by NULL; lives as long as the test.
 */
const char *const *process_environment(void);

/* Kills what children of children have left behind and waits for it; returns how many there were. */
int process_kill_orphans(void);

#endif
