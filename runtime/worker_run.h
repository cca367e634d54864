/*
 * worker_run.h - the part of a command's life that handlers see: its unsettled handlers are run, one after
 * the other.
 *
 * Used by the worker threads, and by the I/O thread for light handlers.
 */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include <stdatomic.h>
#include <stddef.h>

struct board_slot;
struct command;
struct routes;
struct settings;
struct store;

/* What a thread that runs handlers has; the same for all but for states. */
struct worker_context {
	const struct routes *routes;
	const struct settings *settings;
	struct store *store;
	const _Atomic size_t *event_max; /* what the broker takes; the I/O thread sets it */
	void **states;			 /* this thread's, by handler */
	struct board_slot *slot;	 /* this thread's on the board; NULL: there is no board */
};

/* Calls init of every handler that has one. 0; -ENOMEM; -ECANCELED after logging which handler refused. */
__attribute__((warn_unused_result)) int worker_states_new(struct worker_context *context);
void worker_states_free(struct worker_context *context);

/* Runs every handler of the command that has not settled yet. Results are written into the command, which the
 * calling thread owns until it hands it on. */
void worker_run(const struct worker_context *context, struct command *command);

/* Writes the command's dead letter. The result is left in command->bury_error. */
void worker_bury(const struct worker_context *context, struct command *command);

#endif
