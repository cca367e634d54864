/*
 * host_store.h - the watch over the store: one thread that prepares the database at the start and then asks
 * it every second whether it still answers.
 *
 * The I/O thread is told by a verdict. A verdict counts only if its question was asked after the last
 * suspicion, so an answer from before a handler's failure does not open the lanes again.
 */
#ifndef HOST_STORE_H
#define HOST_STORE_H

#include <stdbool.h>

struct store;
struct store_watch;
struct worker_pool;

/* Starts the thread. It wakes the I/O thread through the pool. 0 and *ret; -errno. */
__attribute__((warn_unused_result)) int store_watch_new(
	struct store *store, struct worker_pool *pool, struct store_watch **ret);

/* Stops the thread, after the question that is under way, and joins it. NULL is fine. */
void store_watch_free(struct store_watch *watch);

/* Whether the store answers, as of the last verdict that counts. I/O thread. */
bool store_watch_up(struct store_watch *watch);

/* A worker found the store away: not up until it has answered again; asks at once. I/O thread. */
void store_watch_suspect(struct store_watch *watch);

#endif
