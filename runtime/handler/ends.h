/*
 * ends.h - how a run ends: the first failure stays.
 *
 * Happy path: nothing is failed, and every call does what it is asked. After the first failure every call does nothing, answers as if nothing were there,
 * and returns that failure; whatever the handler returns, the run ends as it. Out of memory is a failure, too: a retry without a reason.
 * For the files behind cashew.h; the thread that runs the handler.
 */
#ifndef ENDS_H
#define ENDS_H

#include "cashew.h"
#include <stdarg.h>

enum { ENDS_REASON_MAX = 500 }; /* bytes; longer ones are cut */

/* Whether this run has failed. */
bool ends_failed(const cashew_command *cmd);

/* CASHEW_DONE where nothing has failed so far, else what the first failure wants. */
cashew_result ends_result(const cashew_command *cmd);

/* Fails as that, with a reason: for the sender's eyes (CASHEW_REJECT), or for the log and the dead letter. Does nothing where the run has failed.
 * Returns what ends_result() returns then. */
cashew_result ends_as(cashew_command *cmd, cashew_result result, const char *reason, ...)
	__attribute__((format(printf, 3, 4)));
cashew_result ends_as_list(cashew_command *cmd, cashew_result result, const char *reason, va_list arguments)
	__attribute__((format(printf, 3, 0)));

/* A mistake in the handler's source that only a run shows: CASHEW_FAIL with "FILE:LINE: " before the reason. */
cashew_result ends_mistake(cashew_command *cmd, const char *file, int line, const char *reason, ...)
	__attribute__((format(printf, 4, 5)));

/* CASHEW_RETRY. */
cashew_result ends_out_of_memory(cashew_command *cmd);

/* Writes what waits to be written (cmd->flush), if nothing has failed: before a read, an effect outside, an end. */
void ends_flush(cashew_command *cmd);

#endif
