/*
 * store_waits.h - how long a thread has waited for the database's servers.
 *
 * A thread names the place where it is to be counted. From then on each operation of the driver that it makes is counted there, through this library
 * or by a handler with the driver's own functions; another thread may read it at any time. By it a database that is slow is told from a handler that
 * is slow, so that the one is not burdened with writes because of the other.
 *
 * Of one operation STORE_WAITS_MAX_MS count at most: one that takes longer is its caller's own doing, as is a question that reads a whole collection.
 */
#ifndef STORE_WAITS_H
#define STORE_WAITS_H

#include <stdatomic.h>
#include <stdint.h>

enum { STORE_WAITS_MAX_MS = 1000 };

struct store_waits {
	_Atomic int64_t total_us; /* of the operations that have ended */
	_Atomic int64_t since_us; /* when the one that is under way began, by clock_us(); 0: none is */
};

/* The calling thread's operations are counted there from now on, with what is there already; NULL: nowhere, as at first. Cheap. */
void store_waits_count(struct store_waits *waits);

/* What counts of an operation that has taken so long. */
static inline int64_t store_waits_counted_us(int64_t us)
{
	const int64_t most_us = STORE_WAITS_MAX_MS * INT64_C(1000);

	return us < 0 ? 0 : us < most_us ? us : most_us;
}

/* What has been waited so far. now_us: clock_us(), or a little earlier. Any thread. */
static inline int64_t store_waits_us(const struct store_waits *waits, int64_t now_us)
{
	const int64_t since_us = atomic_load_explicit(&waits->since_us, memory_order_relaxed);
	const int64_t total_us = atomic_load_explicit(&waits->total_us, memory_order_relaxed);

	return total_us + (since_us != 0 ? store_waits_counted_us(now_us - since_us) : 0);
}

#endif
