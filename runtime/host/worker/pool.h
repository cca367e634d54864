/*
 * pool.h - the worker threads, and the two queues between them and the I/O thread: commands out,
 * finished calls back.
 *
 * Happy path: worker_pool_submit() some commands, worker_pool_kick(); a worker runs each;
 * worker_pool_collect() returns them. A worker takes one command at a time, so a slow handler delays no other
 * command while a worker is free. The I/O thread is woken through a descriptor, and only when it sleeps: it
 * brackets its poll() by worker_pool_sleep() and worker_pool_awake(), after worker_pool_let_run(). All
 * functions but worker_pool_wake(): the I/O thread.
 */
#ifndef POOL_H
#define POOL_H

#include "worker.h"
#include <stdbool.h>

struct command;
struct lane;
struct worker_pool;

/* Starts the threads and their handlers' states. context: copied, without states; its slot is that before the
 * workers'. 0 and *ret; -errno; -ECANCELED when a handler's init refused. */
__attribute__((warn_unused_result)) int worker_pool_new(
	const struct worker_context *context, unsigned workers, struct worker_pool **ret);

/* Stops after the calls that run now, and joins the threads. The queue is empty. */
void worker_pool_free(struct worker_pool *pool);

/* Queues a command for what its state says (see worker_do()); it belongs to the pool until it is collected. */
void worker_pool_submit(struct worker_pool *pool, struct command *command);

/* Lets the workers see what was submitted, and wakes as many as are needed. */
void worker_pool_kick(struct worker_pool *pool);

/* Before the I/O thread sleeps: a worker that was woken since the last time, and waits for this processor,
 * gets it now. A short handler is through then, and the two need not wake each other; where handlers turn out
 * not to be short, this is only tried now and then. Returns whether something is finished, so that there is
 * no need to sleep. */
bool worker_pool_let_run(struct worker_pool *pool);

/* While it holds, no worker begins another command; those that have begun go on. */
void worker_pool_hold(struct worker_pool *pool, bool hold);

/* Takes what is finished: a list linked by job_next, in the order in which it finished; NULL if nothing is. */
struct command *worker_pool_collect(struct worker_pool *pool);

/* Takes back the lane's commands that no worker has begun to run, but for those from the store: a list linked
 * by job_next. */
struct command *worker_pool_take_back(struct worker_pool *pool, const struct lane *lane);

/* Before poll(): false when something is finished already, or worker_pool_wake() was called since the last
 * time, so poll() must not wait. */
bool worker_pool_sleep(struct worker_pool *pool);
/* After poll(): whether the descriptor was readable. */
void worker_pool_awake(struct worker_pool *pool, bool readable);

/* The descriptor that becomes readable when the I/O thread must wake up. */
int worker_pool_fd(const struct worker_pool *pool);

/* Wakes the I/O thread, or keeps it from falling asleep once more: it looks at everything again. Any thread. */
void worker_pool_wake(struct worker_pool *pool);

#endif
