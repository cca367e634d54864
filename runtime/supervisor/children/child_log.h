/*
 * child_log.h - what another process of ours says, put into this process's log: the lines of JSON that it logs, and what its handlers and libraries
 * print to standard output and standard error.
 *
 * Happy path: child_log_open() for a process to be started, child_log_serve() after each poll(), child_log_close() when the process has died. Records
 * pass as they are where this process writes JSON. Where it writes text they are rendered. What is printed becomes events ("host_output"), each line one,
 * so that the log has no line that is no record. Failure modes: a line that the process could not end any
 * more is ended here. A line without an end in sight is cut in pieces.
 */
#ifndef CHILD_LOG_H
#define CHILD_LOG_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum child_log_kind { CHILD_LOG_RECORDS, CHILD_LOG_PRINTED };

struct child_log {
	enum child_log_kind kind;
	int fd;	   /* -1: closed */
	bool over; /* the other end is closed: nothing more to poll for */
	char *buffer;
	size_t used;
};

/* 0 and the other end, which is the caller's to hand on and close; a negative errno. */
__attribute__((warn_unused_result)) int child_log_open(
	struct child_log *logs, enum child_log_kind kind, int *ret_end);

/* What to poll for. */
struct pollfd child_log_poll(const struct child_log *logs);

/* After the poll: takes what is there, without waiting. */
void child_log_serve(struct child_log *logs, short revents);

/* The process is dead: takes all that it has written, and closes. */
void child_log_close(struct child_log *logs);

#endif
