/*
 * store_waits.h - how long a thread has waited for the database's servers.
 *
 * A thread names the place where it is to be counted. From then on each operation of the driver that it makes is counted there, through this library
 * or by a handler with the driver's own functions; another thread may read it at any time. By it a database that is slow is told from a handler that
 * is slow, so that the one is not burdened with writes because of the other.
 *
 * Of one operation STORE_WAITS_MAX_MS count: one that takes longer is its caller's own doing, as is a question that reads a whole collection. But
 * while somebody waits and nobody has been answered for STORE_WAITS_SILENT_MS, the database is away, not slow: that silence counts whole. The store
 * watch (runtime/host/store_watch.h) asks once a second, so beside a question that reads a whole collection somebody is answered.
 */
#ifndef STORE_WAITS_H
#define STORE_WAITS_H

#include <stdatomic.h>
#include <stdint.h>

enum { STORE_WAITS_MAX_MS = 1000, STORE_WAITS_SILENT_MS = 1500 };

struct store_waits {
	_Atomic int64_t total_us;  /* of the operations that have ended */
	_Atomic int64_t since_us;  /* when the one that is under way began, by clock_us(); 0: none is */
	_Atomic int64_t silent_us; /* how long the database had been silent in all when it began */
};

/* The calling thread's operations are counted there from now on, with what is there already; NULL: nowhere, as at first. Cheap. */
void store_waits_count(struct store_waits *waits);

/* What has been waited so far. now_us: clock_us(), or a little earlier. Any thread. */
int64_t store_waits_us(const struct store_waits *waits, int64_t now_us);

#endif
