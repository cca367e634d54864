/*
 * worker.h - what a worker does with a command: its unsettled handlers are run, one after the other; or
 * it is taken from the store, or written there.
 *
 * worker_run() is used by the I/O thread as well, for light handlers.
 */
#ifndef WORKER_H
#define WORKER_H

#include "figures.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

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
	const char *owner;		 /* in whose name parked commands are claimed */
	int64_t lease_ms;		 /* for how long */
	const _Atomic size_t *event_max; /* what the broker takes; the I/O thread sets it */
	void **states;			 /* this thread's, by handler */
	struct board_slot *slot;	 /* this thread's on the board; NULL: there is no board */
	struct figures_runs (*runs)[FIGURES_HANDLERS]; /* this thread's row there; NULL: there is no board */
	const unsigned *places;			       /* there, by handler */
};

/* Calls init of every handler that has one. 0; -ENOMEM; -ECANCELED after logging which handler refused. */
__attribute__((warn_unused_result)) int worker_states_new(struct worker_context *context);
void worker_states_free(struct worker_context *context);

/* Runs every handler of the command that has not settled yet. Results are written into the command, which the
 * calling thread owns until it hands it on. */
void worker_run(const struct worker_context *context, struct command *command);

/* What the command's state asks for: it is run, claimed from the store, or written there (parked, postponed,
 * buried, finished), which leaves its result in command->store_error. */
void worker_do(const struct worker_context *context, struct command *command);

#endif
