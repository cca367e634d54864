/*
 * program.h - the host's program: found when the supervisor starts, and kept open.
 *
 * Its name is that of the supervisor's own program with "-host" behind. It lies beside that, or where the install puts what people do not start
 * themselves (libexec). Every host is started from the descriptor, so an upgrade of the files does not bring a supervisor and a host of different
 * versions together. Failure: it is in neither place, or cannot be executed.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <limits.h>

struct program {
	int fd;		     /* closed on exec */
	char path[PATH_MAX]; /* where it was found */
};

enum { PROGRAM_MESSAGE_SIZE = 3 * PATH_MAX };

enum program_error { PROGRAM_E_NONE = 1 };

/* 0 and *ret, to be closed by program_close(); PROGRAM_E_NONE, and `message` holds both places and why neither will do. */
__attribute__((warn_unused_result)) int program_open(
	struct program *ret, char message[static PROGRAM_MESSAGE_SIZE]);

/* fd -1 is fine; leaves it so. */
void program_close(struct program *program);

/* Takes over what *from has in place of what *program has, which is closed. Nothing happens where *from has none. */
void program_take(struct program *program, struct program *from);

#endif
