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
 * settings, opens the log, and runs; or, for a trial, only opens what a host opens, and closes it again.
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

/* Opens what settings name, and cannot be checked without: 0, or EXIT_CONFIG after logging why, EXIT_TEMPORARY where that may pass. */
__attribute__((warn_unused_result)) int host_try(const struct settings *settings);

#endif
