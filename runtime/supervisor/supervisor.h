/*
 * supervisor.h - the supervisor: starts the host, starts it again, and stops it.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "configuration.h"

/*
 * Runs hosts until SIGTERM or SIGINT, or until the first one refuses its settings; returns the exit code. The
 * log is open. SIGTERM, SIGINT, SIGHUP and SIGCHLD are blocked since the program began. Main thread. Takes
 * over what *first holds. The source is read again at SIGHUP; its environment is a copy that still has the secrets.
 */
__attribute__((warn_unused_result)) int supervisor_run(
	const struct configuration_source *source, struct configuration *first);

/* Blocks the signals that supervisor_run() reads; as early as can be. */
void supervisor_block_signals(void);

#endif
