/*
 * store_watch.c - see host_store.h.
 */
#include "store_watch.h"

#include "backlogs.h"
#include "board.h"
#include "clock.h"
#include "log.h"
#include "parking.h"
#include "pool.h"
#include "store.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
	ASK_UP_MS = 1000,
	ASK_AWAY_MS = 500,
	TRY_MS = 10000,
	TRY_AGAIN_MS = 2000,
	SLOW_MS = 500,
	OVERDUE_MS = 10000, /* between looks for what other hosts have left */
	DUE_MAX = 1000
};

struct store_watch {
	struct store_watch_options options;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under the mutex */
	bool stopping;
	bool up;
	unsigned suspicion; /* counts; a verdict holds for the suspicion that was current when it was asked
			       for */
	struct parked_marks *to_load; /* linked by next */
	struct parked_marks *loaded, **loaded_end;
	struct parked_user *due; /* of the last question */
	size_t due_count;
	/* the thread's own */
	bool prepared;
	bool told_away;
	bool unanswered; /* the last question */
	bool told_refused;
	int64_t try_at_ms;     /* the next trial write */
	int64_t overdue_at_ms; /* the next look for what is long overdue */
};

/* For the deadlines of handlers: time in which the store does not answer is not theirs. */
static void note_answer(struct store_watch *watch, int rc, int64_t asked_ms)
{
	struct board *board = watch->options.board;
	const int64_t now_ms = clock_ms();
	if (rc == 0 && (watch->unanswered || now_ms - asked_ms > SLOW_MS))
		atomic_store_explicit(&board->store_back_ms, now_ms, memory_order_relaxed);
	watch->unanswered = rc != 0;
	if (rc == 0)
		atomic_store_explicit(&board->store_seen_ms, asked_ms, memory_order_release);
}

static int ping(struct store_watch *watch, struct store_client *client)
{
	const int64_t began_us = clock_us();
	const int rc = store_ping(client);
	if (rc == 0)
		figures_observe(
			&watch->options.board->figures.store.latency, (uint64_t)(clock_us() - began_us));
	return rc;
}

static int ask(struct store_watch *watch, struct store_client *client)
{
	const int64_t asked_ms = clock_ms();
	const int rc = watch->prepared ? ping(watch, client) : store_prepare(client);
	if (rc == 0)
		watch->prepared = true;
	else
		figures_add(&watch->options.board->figures.store.failed, 1);
	note_answer(watch, rc, asked_ms);
	return rc;
}

/* The users of this host's lanes. Where it has none, those of whatever lane that are long overdue: seldom,
 * but for as long as there are any. */
static int ask_due(struct store_watch *watch, struct store_client *client, struct parked_user **ret_due,
	size_t *ret_count)
{
	const int64_t now_ms = clock_unix_ms(), at_ms = clock_ms();
	const struct store_watch_options *options = &watch->options;
	int rc = parked_command_due(
		client, options->lanes, options->lane_count, now_ms, DUE_MAX, ret_due, ret_count);
	if (rc != 0 || *ret_count > 0 || at_ms < watch->overdue_at_ms)
		return rc;
	parked_users_free(*ret_due, *ret_count);
	*ret_due = NULL;
	rc = parked_command_due(client, NULL, 0, now_ms - PARKING_OVERDUE_MS, DUE_MAX, ret_due, ret_count);
	if (rc == 0 && *ret_count == 0)
		watch->overdue_at_ms = at_ms + OVERDUE_MS;
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

/* Now and then, and at once when the store is back. */
static void try_to_write(struct store_watch *watch, struct store_client *client, bool up)
{
	struct figures_store *figures = &watch->options.board->figures.store;
	const int64_t now_ms = clock_ms();
	if (!up) {
		FIGURES_SET(figures->writable, false);
		watch->try_at_ms = now_ms;
	}
	if (now_ms < watch->try_at_ms || !up)
		return;
	const int rc = store_trial_write(client, watch->options.host);
	FIGURES_SET(figures->writable, rc == 0);
	watch->try_at_ms = now_ms + (rc == 0 ? TRY_MS : TRY_AGAIN_MS);
	if (rc != 0 && !watch->told_refused)
		log_error("store_refuses_writes",
			"the store answers, but does not take a trial write: not ready",
			LOG_TEXT("reason", store_last_error(client)));
	else if (rc == 0 && watch->told_refused)
		log_info("store_takes_writes", "the store takes writes again");
	watch->told_refused = rc != 0;
}

static void wait_ms(struct store_watch *watch, long ms, unsigned asked_for)
{
	struct timespec until;
	clock_timespec_in(ms, &until);
	while (!watch->stopping && watch->suspicion == asked_for && watch->to_load == NULL)
		if (pthread_cond_timedwait(&watch->changed, &watch->mutex, &until) == ETIMEDOUT)
			return;
}

/* Under the mutex, which it gives up meanwhile. */
static void load(struct store_watch *watch, struct store_client *client)
{
	while (watch->to_load != NULL) {
		struct parked_marks *marks = watch->to_load;
		watch->to_load = marks->next;
		pthread_mutex_unlock(&watch->mutex);
		parked_marks_read(marks, client, watch->options.copies_max);
		if (marks->error != 0)
			log_warn("parked_unknown",
				"what a lane has parked cannot be read: it does not connect",
				LOG_TEXT("client_id", marks->lane_id),
				LOG_TEXT("reason", store_last_error(client)));
		pthread_mutex_lock(&watch->mutex);
		marks->next = NULL;
		*watch->loaded_end = marks;
		watch->loaded_end = &marks->next;
		worker_pool_wake(watch->options.pool);
	}
}

static void set_due(struct store_watch *watch, struct parked_user *due, size_t count)
{
	parked_users_free(watch->due, watch->due_count);
	watch->due = due;
	watch->due_count = count;
	if (count > 0)
		worker_pool_wake(watch->options.pool);
}

static void *run(void *argument)
{
	struct store_watch *watch = argument;
	pthread_mutex_lock(&watch->mutex);
	while (!watch->stopping) {
		const unsigned asked_for = watch->suspicion;
		pthread_mutex_unlock(&watch->mutex);

		struct store_client *client = store_acquire(watch->options.store);
		struct parked_user *due = NULL;
		size_t due_count = 0;
		int rc = ask(watch, client);
		if (rc == 0)
			rc = ask_due(watch, client, &due, &due_count);

		pthread_mutex_lock(&watch->mutex);
		if (asked_for == watch->suspicion &&
			(watch->up != (rc == 0) || (rc != 0 && !watch->told_away))) {
			watch->up = rc == 0;
			tell(watch, rc, client);
			worker_pool_wake(watch->options.pool);
		}
		set_due(watch, due, due_count);
		load(watch, client);
		pthread_mutex_unlock(&watch->mutex);
		try_to_write(watch, client, rc == 0);
		store_release(client);
		pthread_mutex_lock(&watch->mutex);
		wait_ms(watch, rc == 0 ? ASK_UP_MS : ASK_AWAY_MS, asked_for);
	}
	pthread_mutex_unlock(&watch->mutex);
	return NULL;
}

int store_watch_new(const struct store_watch_options *options, struct store_watch **ret)
{
	struct store_watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return -ENOMEM;
	watch->options = *options;
	watch->loaded_end = &watch->loaded;
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

static void free_list(struct parked_marks *marks)
{
	for (struct parked_marks *next; marks != NULL; marks = next) {
		next = marks->next;
		parked_marks_free(marks);
	}
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
	free_list(watch->to_load);
	free_list(watch->loaded);
	parked_users_free(watch->due, watch->due_count);
	pthread_mutex_destroy(&watch->mutex);
	pthread_cond_destroy(&watch->changed);
	free(watch);
}

void store_watch_news(struct store_watch *watch, struct store_news *ret)
{
	pthread_mutex_lock(&watch->mutex);
	*ret = (struct store_news){
		.up = watch->up, .loaded = watch->loaded, .due = watch->due, .due_count = watch->due_count};
	watch->loaded = NULL;
	watch->loaded_end = &watch->loaded;
	watch->due = NULL;
	watch->due_count = 0;
	pthread_mutex_unlock(&watch->mutex);
}

bool store_watch_load(struct store_watch *watch, const char *lane_id)
{
	struct parked_marks *marks = parked_marks_new(lane_id);
	if (marks == NULL)
		return false;
	pthread_mutex_lock(&watch->mutex);
	marks->next = watch->to_load;
	watch->to_load = marks;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
	return true;
}

void store_watch_suspect(struct store_watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->up = false;
	watch->suspicion++;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
}
