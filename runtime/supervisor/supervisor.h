/*
 * supervisor.h - the supervisor: starts the host, starts it again, and stops it.
 *
 * Happy path: the signals are blocked first of all, the settings are read, supervisor_run() runs hosts and returns at SIGTERM. Failure modes: the
 * host's program is not there, or the first host refuses its settings, which ends the supervisor with an exit code.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "configuration.h"

/* Runs hosts until SIGTERM or SIGINT, or until the first one refuses its settings; returns the exit code. Takes over what *first holds. The log is
 * open, and supervisor_block_signals() was called when the program began. Main thread. The source is read again at SIGHUP; its environment is a copy
 * that still has the secrets. dev: at SIGHUP the host's program is looked for anew, tried out with the settings, and used by all later hosts: for who
 * builds it while it runs. Else all hosts are of the program that was there at the start. */
__attribute__((warn_unused_result)) int supervisor_run(
	const struct configuration_source *source, struct configuration *first, bool dev);

/* Blocks the signals that supervisor_run() reads: SIGTERM, SIGINT, SIGHUP and SIGCHLD. To be called as early as can be. */
void supervisor_block_signals(void);

#endif
