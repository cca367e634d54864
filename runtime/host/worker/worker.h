/*
 * worker.h - what a worker does with a command: its unsettled handlers are run, one after the other.
 *
 * worker_run() is used by the I/O thread as well, for light handlers. worker_pool_new() starts the threads that do it, each with the states of its
 * handlers.
 */
#ifndef WORKER_H
#define WORKER_H

#include "figures.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct board_slot;
struct command;
struct job;
struct pool;
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
	struct figures_runs (*runs)[FIGURES_HANDLERS]; /* this thread's row there; NULL: there is no board */
	const unsigned *places;			       /* there, by handler */
};

/* Calls init of every handler that has one. 0; -ENOMEM; -ECANCELED after logging which handler refused. */
__attribute__((warn_unused_result)) int worker_states_new(struct worker_context *context);
void worker_states_free(struct worker_context *context);

/* Runs every handler of the command that has not settled yet. Results are written into the command, which the
 * calling thread owns until it hands it on. */
void worker_run(const struct worker_context *context, struct command *command);

/*
 * Starts a pool whose jobs are commands (struct command.job), each run by worker_run() with its thread's context: a copy of this one, with states of
 * its own, and the slot and the row that follow in the board for each thread (the first ones are the I/O thread's). `context` and what it points to
 * outlive the pool. 0 and *ret, to be freed by pool_free(); -errno; -ECANCELED when a handler's init refused.
 */
__attribute__((warn_unused_result)) int worker_pool_new(
	struct worker_context *context, unsigned workers, struct pool **ret);

/* The run of struct job for a command. context: a struct worker_context inside of the pool's. */
void worker_job(struct job *job, void *context);

#endif
