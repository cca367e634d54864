/*
 * child_log.h - the log of another process of ours: lines of JSON from a socket, put into this process's log.
 *
 * Happy path: child_log_open() for a process to be started, child_log_serve() after each poll(), child_log_close() when the process has died. Lines
 * pass as they are where this process writes JSON. Where it writes text they are rendered. Failure modes: a line that the process could not end any
 * more is ended here. A line without an end in sight is cut in pieces.
 */
#ifndef CHILD_LOG_H
#define CHILD_LOG_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct child_log {
	int fd;	   /* -1: closed */
	bool over; /* the other end is closed: nothing more to poll for */
	char *buffer;
	size_t used;
};

/* 0 and the other end, which is the caller's to hand on and close; a negative errno. */
__attribute__((warn_unused_result)) int child_log_open(struct child_log *logs, int *ret_end);

/* What to poll for. */
struct pollfd child_log_poll(const struct child_log *logs);

/* After the poll: takes what is there, without waiting. */
void child_log_serve(struct child_log *logs, short revents);

/* The process is dead: takes all that it has written, and closes. */
void child_log_close(struct child_log *logs);

#endif
