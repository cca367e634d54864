/*
 * host_store.c - see host_store.h.
 */
#include "host_store.h"

#include "log.h"
#include "store.h"
#include "worker_pool.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { ASK_UP_MS = 1000, ASK_AWAY_MS = 500 };

struct store_watch {
	struct store *store;
	struct worker_pool *pool;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under the mutex */
	bool stopping;
	bool up;
	unsigned suspicion; /* counts; a verdict holds for the suspicion that was current when it was asked
			       for */
	/* the thread's own */
	bool prepared;
	bool told_away;
};

static int ask(struct store_watch *watch, struct store_client *client)
{
	if (watch->prepared)
		return store_ping(client);
	const int rc = store_prepare(client);
	watch->prepared = rc == 0;
	return rc;
}

/* Tells a change once, not at every question. */
static void tell(struct store_watch *watch, int rc, const struct store_client *client)
{
	if (rc == 0) {
		log_info("store_up", "the store answers");
		watch->told_away = false;
	} else if (!watch->told_away) {
		log_error("store_away",
			"the store does not answer: commands stay with the broker, unacknowledged, until it "
			"does",
			LOG_TEXT("reason", store_last_error(client)));
		watch->told_away = true;
	}
}

static void wait_ms(struct store_watch *watch, long ms, unsigned asked_for)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!watch->stopping && watch->suspicion == asked_for)
		if (pthread_cond_timedwait(&watch->changed, &watch->mutex, &until) == ETIMEDOUT)
			return;
}

static void *run(void *argument)
{
	struct store_watch *watch = argument;
	pthread_mutex_lock(&watch->mutex);
	while (!watch->stopping) {
		const unsigned asked_for = watch->suspicion;
		pthread_mutex_unlock(&watch->mutex);

		struct store_client *client = store_acquire(watch->store);
		const int rc = ask(watch, client);

		pthread_mutex_lock(&watch->mutex);
		if (asked_for == watch->suspicion &&
			(watch->up != (rc == 0) || (rc != 0 && !watch->told_away))) {
			watch->up = rc == 0;
			tell(watch, rc, client);
			worker_pool_wake(watch->pool);
		}
		store_release(client);
		wait_ms(watch, rc == 0 ? ASK_UP_MS : ASK_AWAY_MS, asked_for);
	}
	pthread_mutex_unlock(&watch->mutex);
	return NULL;
}

int store_watch_new(struct store *store, struct worker_pool *pool, struct store_watch **ret)
{
	struct store_watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return -ENOMEM;
	watch->store = store;
	watch->pool = pool;
	pthread_mutex_init(&watch->mutex, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	const int rc = pthread_create(&watch->thread, NULL, run, watch);
	if (rc != 0) {
		free(watch);
		return -rc;
	}
	*ret = watch;
	return 0;
}

void store_watch_free(struct store_watch *watch)
{
	if (watch == NULL)
		return;
	pthread_mutex_lock(&watch->mutex);
	watch->stopping = true;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
	pthread_join(watch->thread, NULL);
	pthread_mutex_destroy(&watch->mutex);
	pthread_cond_destroy(&watch->changed);
	free(watch);
}

bool store_watch_up(struct store_watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	const bool up = watch->up;
	pthread_mutex_unlock(&watch->mutex);
	return up;
}

void store_watch_suspect(struct store_watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->up = false;
	watch->suspicion++;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
}
