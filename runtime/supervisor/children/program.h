/*
 * program.h - the host's program: found once, when the supervisor starts, and kept open.
 *
 * It is called like the supervisor's own program with "-host" behind, and lies beside it, or where the
 * install puts what people do not start themselves (libexec). Every host is started from the descriptor, so
 * an upgrade of the files in between does not bring a supervisor and a host of different versions together.
 * Failure: it is in neither place, or cannot be executed.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <limits.h>

struct supervisor_program {
	int fd;		     /* closed on exec */
	char path[PATH_MAX]; /* where it was found */
};

/* What is told when there is none: both places, and why. */
enum { SUPERVISOR_PROGRAM_MESSAGE_SIZE = 3 * PATH_MAX };

/* 0 and *ret, to be closed; or a positive number, after saying what was looked for, and where. */
enum { SUPERVISOR_PROGRAM_E_NONE = 1 };
__attribute__((warn_unused_result)) int supervisor_program_open(
	struct supervisor_program *ret, char message[static SUPERVISOR_PROGRAM_MESSAGE_SIZE]);

void supervisor_program_close(struct supervisor_program *program);

#endif
