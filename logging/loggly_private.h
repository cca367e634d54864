/* loggly_private.h - what the files loggly.c and loggly_thread.c share and nobody else sees. */
#ifndef LOGGLY_PRIVATE_H
#define LOGGLY_PRIVATE_H

#include "log_spool.h"
#include "loggly.h"
#include "loggly_event.h"
#include "loggly_http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was said last about how it goes, so that only changes are said. */
enum health { HEALTH_GOOD, HEALTH_AWAY, HEALTH_REFUSED };

struct lines {
	char *bytes;
	size_t size;
};

struct loggly {
	struct loggly_options options; /* its texts are the caller's and not used after loggly_open() */
	struct log_spool_options spool_options;
	char *spool_folder;
	struct loggly_source source;
	struct loggly_http *http;
	pthread_t thread;

	pthread_mutex_t lock;
	/* Under the lock. */
	struct lines incoming; /* its block has options.memory / 2 bytes */
	size_t wake_at;	       /* of incoming.size: loggly_put() wakes the thread then; 0: it is awake */
	struct log_account *account; /* own_account, or the spool's */
	uint64_t spool_bytes;	     /* what the thread has found last */
	bool closing;
	int64_t deadline_ms; /* of closing */

	/* The thread's. */
	struct log_account own_account; /* while there is no spool */
	struct log_spool *spool;
	struct lines taken;
	size_t taken_at;
	struct lines building; /* its block has batch_size + LOGGLY_EVENT_MAX bytes; NULL: none */
	struct lines sending;
	size_t sent, part; /* of sending: how much was taken, and is under way */
	bool from_spool, under_way;
	bool told_when; /* retry_at_ms is what Retry-After asked for */
	bool last_try;	/* before the end */
	int64_t building_due_ms, retry_at_ms, spool_at_ms, tell_at_ms;
	size_t part_max;
	uint64_t number;      /* of the next event */
	unsigned handed_over; /* in this turn */
	unsigned failures;
	enum health health;
	bool spool_said; /* that it cannot be used */
};

/* By chance, of all 64 bits. Any thread. */
uint64_t loggly_random(void);

/* The thread that ships; its argument is a struct loggly. */
void *loggly_thread(void *argument);

static inline void account_add(_Atomic uint64_t *number, uint64_t count)
{
	atomic_fetch_add_explicit(number, count, memory_order_relaxed);
}

static inline uint64_t account_get(_Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

static inline uint64_t account_lost(struct log_account *account)
{
	return account_get(&account->lost_memory) + account_get(&account->lost_spool) +
	       account_get(&account->lost_disk) + account_get(&account->lost_killed);
}

#endif
