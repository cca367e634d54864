/*
 * pool.h - threads that do jobs, and the two queues between them and the I/O thread: jobs out, finished ones back.
 *
 * Happy path: pool_submit() some jobs, pool_kick(); a thread does each; pool_collect() returns them. A thread takes one job at a time, so a slow
 * one delays no other while a thread is free; or some that wait and may be done together (joins). The I/O thread is woken through a descriptor, and
 * only when it sleeps: it brackets its poll() by pool_sleep() and pool_awake(), after pool_let_run(). It may have several pools: each has a
 * descriptor of its own, and is bracketed by itself.
 * All functions but pool_wake(): the I/O thread.
 */
#ifndef POOL_H
#define POOL_H

#include "job.h"
#include <stdbool.h>

struct pool;

struct pool_options {
	unsigned threads;
	void *owner; /* handed to the callbacks; any may be NULL */
	/* By the thread that calls pool_new(), once for each thread, counted from 0: what its jobs are given as context. An error ends pool_new(). */
	int (*open)(void *owner, unsigned thread, void **ret_context);
	/* By the thread that calls pool_free(), when the thread has ended. */
	void (*close)(void *owner, void *context);
	/* Whether a job that waits may be run together with one that a thread takes now: by one call of run() of the first. Both have waited, so nobody
	 * waits for it. Of a job and itself it says whether it joins any. By any thread. NULL: each by itself. */
	bool (*joins)(const struct job *first, const struct job *other);
	/* By the thread itself, before its first job and after its last. */
	void (*enter)(void *context);
	void (*leave)(void *context);
};

/* Starts the threads. 0 and *ret; -errno; what open() said. */
__attribute__((warn_unused_result)) int pool_new(const struct pool_options *options, struct pool **ret);

/* Stops after the jobs that run now, and joins the threads. The queue is empty. NULL is fine. */
void pool_free(struct pool *pool);

/* Queues a job. */
void pool_submit(struct pool *pool, struct job *job);

/* The same, but before all others, and also while the pool is held. The next pool_kick() hands it out. */
void pool_submit_now(struct pool *pool, struct job *job);

/* How many threads do a job. */
unsigned pool_busy(struct pool *pool);

/* Lets the threads see what was submitted, and wakes as many as are needed. */
void pool_kick(struct pool *pool);

/* Before the I/O thread sleeps: a thread that was woken since the last time, and waits for this processor, gets it now. A short job is through then,
 * and the two need not wake each other; where jobs turn out not to be short, this is only tried now and then. Returns whether something is finished,
 * so that there is no need to sleep. */
bool pool_let_run(struct pool *pool);

/* While it holds, no thread begins another job; those that have begun go on. */
void pool_hold(struct pool *pool, bool hold);

/* Takes what is finished: a list linked by next, in the order in which it finished; NULL if nothing is. */
struct job *pool_collect(struct pool *pool);

/* Before poll(): false when something is finished already, or pool_wake() was called since the last time, so poll() must not wait. */
bool pool_sleep(struct pool *pool);
/* After poll(): whether the descriptor was readable. */
void pool_awake(struct pool *pool, bool readable);

/* The descriptor that becomes readable when the I/O thread must wake up. */
int pool_fd(const struct pool *pool);

/* Wakes the I/O thread, or keeps it from falling asleep once more: it looks at everything again. Any thread. */
void pool_wake(struct pool *pool);

#endif
