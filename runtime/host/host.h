/*
 * host.h - the host: connects to the broker, runs handlers, acknowledges what is done. The calling thread
 * becomes the I/O thread. It is a process of its own, started by the supervisor (supervisor.h).
 */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>

struct board;
struct cashew_handler;
struct settings;

/*
 * The whole life of a process that the supervisor has started: takes over the descriptors, reads the
 * settings, opens the log, and runs; or, for a trial, only tries out what a host opens.
 * Returns the exit code. handlers: those built in, ended by NULL. Main thread, as all that follow.
 */
int host_begin(const struct cashew_handler *const *handlers, bool trial);

/* What host_run() is given; all of it outlives the call. */
struct host_options {
	const struct settings *settings;
	const struct cashew_handler *const *handlers; /* of select_handlers() */
	struct board *board;
	int supervisor_fd; /* hung up when the supervisor is gone; -1: there is none */
};

/*
 * Runs until SIGTERM or SIGINT, reconnecting for ever, and returns the exit code. The log is open. SIGTERM
 * and SIGINT are blocked by this call in all threads and read from a descriptor. Only the supervisor's
 * signals count when a second one hurries: others may have been sent to both.
 */
__attribute__((warn_unused_result)) int host_run(const struct host_options *options);

/*
 * Tries out what cannot be checked without the others: certificate files, the token at the broker (under a client id of its own), the database;
 * within five seconds. 0; EXIT_CONFIG, or EXIT_TEMPORARY where that may pass, after logging why, and noting it on the board. May end the process with
 * that code.
 */
__attribute__((warn_unused_result)) int host_try(
	const struct settings *settings, const struct cashew_handler *const *handlers, struct board *board);

/*
 * All is done that somebody would miss. Writes what is left of log and output and ends the process with that code, without waiting for the driver; or
 * returns, in a build with a sanitizer: then the caller frees the rest.
 */
void host_leave(int code);

#endif
