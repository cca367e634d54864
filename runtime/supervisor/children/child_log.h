/*
 * child_log.h - the log of another process of ours: lines of JSON from a socket, put into this
 * process's log.
 *
 * Happy path: supervisor_logs_open() for a process to be started, supervisor_logs_serve() after each
 * poll(), and supervisor_logs_close() when the process has died. Lines pass as they
 * are where this process writes JSON, and are rendered where it writes text. Failure modes: a line that the
 * process could not end any more is ended here; one without an end in sight is cut in pieces.
 */
#ifndef CHILD_LOG_H
#define CHILD_LOG_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct supervisor_logs {
	int fd;	   /* -1: closed */
	bool over; /* the other end is closed: nothing more to poll for */
	char *buffer;
	size_t used;
};

/* 0 and the other end, which is the caller's to hand on and close; a negative errno. */
__attribute__((warn_unused_result)) int supervisor_logs_open(struct supervisor_logs *logs, int *ret_end);

/* What to poll for. */
struct pollfd supervisor_logs_poll(const struct supervisor_logs *logs);

/* After the poll: takes what is there, without waiting. */
void supervisor_logs_serve(struct supervisor_logs *logs, short revents);

/* The process is dead: takes all that it has written, and closes. */
void supervisor_logs_close(struct supervisor_logs *logs);

#endif
