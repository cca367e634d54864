/*
 * store_waits.c - see store_waits.h. The driver tells its operations by its command monitoring ("Application Performance Monitoring" in its
 * manual), in the thread that makes them; those of its own threads, which watch the servers, are no commands for it.
 */
#include "store_waits.h"
#include "clock.h"
#include "store_client.h"
#include "store_rights.h"

static _Thread_local struct store_waits *counted;

void store_waits_count(struct store_waits *waits)
{
	counted = waits;
}

/* The database as all threads together see it. */
static struct {
	_Atomic int64_t answered_us; /* when it last answered anybody, or was asked when nobody waited */
	_Atomic int64_t silent_us;   /* how long its silences have lasted in all */
	_Atomic int waiting;	     /* operations under way */
} server;

static int64_t more_than(int64_t us, int64_t ms)
{
	return us > ms * 1000 ? us : 0;
}

/* Of the silence that lasts, what came after since_us. */
static int64_t silence_us(int64_t since_us, int64_t now_us)
{
	const int64_t answered_us = atomic_load_explicit(&server.answered_us, memory_order_relaxed);
	if (atomic_load_explicit(&server.waiting, memory_order_relaxed) == 0 ||
		!more_than(now_us - answered_us, STORE_WAITS_SILENT_MS))
		return 0;
	return now_us - (since_us > answered_us ? since_us : answered_us);
}

/* What counts of an operation. */
static int64_t counted_us(const struct store_waits *waits, int64_t since_us, int64_t now_us)
{
	const int64_t most_us = STORE_WAITS_MAX_MS * INT64_C(1000);
	const int64_t us = now_us - since_us;
	if (us <= most_us)
		return us < 0 ? 0 : us;
	const int64_t silent_us = atomic_load_explicit(&server.silent_us, memory_order_relaxed) -
				  atomic_load_explicit(&waits->silent_us, memory_order_relaxed) +
				  silence_us(since_us, now_us);
	return us < most_us + silent_us ? us : most_us + silent_us;
}

int64_t store_waits_us(const struct store_waits *waits, int64_t now_us)
{
	const int64_t since_us = atomic_load_explicit(&waits->since_us, memory_order_relaxed);
	const int64_t total_us = atomic_load_explicit(&waits->total_us, memory_order_relaxed);
	return total_us + (since_us != 0 ? counted_us(waits, since_us, now_us) : 0);
}

static void begun(const mongoc_apm_command_started_t *event)
{
	(void)event;
	const int64_t now_us = clock_us();
	if (atomic_fetch_add_explicit(&server.waiting, 1, memory_order_relaxed) == 0)
		atomic_store_explicit(&server.answered_us, now_us, memory_order_relaxed);
	if (!counted)
		return;
	atomic_store_explicit(&counted->silent_us,
		atomic_load_explicit(&server.silent_us, memory_order_relaxed), memory_order_relaxed);
	atomic_store_explicit(&counted->since_us, now_us, memory_order_relaxed);
}

/* The silence is added before it is over: who reads in between finds more for a moment, and it is nobody's. */
static void answered(int64_t now_us)
{
	const int64_t silent_us =
		more_than(now_us - atomic_load_explicit(&server.answered_us, memory_order_relaxed),
			STORE_WAITS_SILENT_MS);
	if (silent_us > 0)
		atomic_fetch_add_explicit(&server.silent_us, silent_us, memory_order_relaxed);
	atomic_store_explicit(&server.answered_us, now_us, memory_order_relaxed);
}

static void ended(bool by_answer)
{
	const int64_t now_us = clock_us();
	if (by_answer)
		answered(now_us);
	const int64_t since_us = counted ? atomic_load_explicit(&counted->since_us, memory_order_relaxed) : 0;
	if (since_us != 0) {
		const int64_t us = counted_us(counted, since_us, now_us);
		/* In this order: who reads in between finds less for a moment, not more. */
		atomic_store_explicit(&counted->since_us, 0, memory_order_relaxed);
		atomic_fetch_add_explicit(&counted->total_us, us, memory_order_relaxed);
	}
	atomic_fetch_sub_explicit(&server.waiting, 1, memory_order_relaxed);
}

static void succeeded(const mongoc_apm_command_succeeded_t *event)
{
	(void)event;
	ended(true);
}

static void failed(const mongoc_apm_command_failed_t *event)
{
	bson_error_t error;
	mongoc_apm_command_failed_get_error(event, &error);
	const bool by_answer = error.domain == MONGOC_ERROR_SERVER;
	if (by_answer)
		store_rights_note((int)error.code);
	ended(by_answer);
}

void store_waits_observe(mongoc_client_pool_t *pool)
{
	mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();

	mongoc_apm_set_command_started_cb(callbacks, begun);
	mongoc_apm_set_command_succeeded_cb(callbacks, succeeded);
	mongoc_apm_set_command_failed_cb(callbacks, failed);
	(void)mongoc_client_pool_set_apm_callbacks(pool, callbacks, NULL);
	mongoc_apm_callbacks_destroy(callbacks);
}
