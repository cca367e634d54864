/*
 * store_waits.c - see store_waits.h. The driver tells its operations by its command monitoring ("Application Performance Monitoring" in its manual), in
 * the thread that makes them; those of its own threads, which watch the servers, are no commands for it.
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

static void begun(const mongoc_apm_command_started_t *event)
{
	(void)event;
	if (counted)
		atomic_store_explicit(&counted->since_us, clock_us(), memory_order_relaxed);
}

static void ended(void)
{
	if (!counted)
		return;
	const int64_t since_us = atomic_load_explicit(&counted->since_us, memory_order_relaxed);
	if (since_us == 0)
		return;
	/* In this order: who reads in between finds less for a moment, not more. */
	atomic_store_explicit(&counted->since_us, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(
		&counted->total_us, store_waits_counted_us(clock_us() - since_us), memory_order_relaxed);
}

static void succeeded(const mongoc_apm_command_succeeded_t *event)
{
	(void)event;
	ended();
}

static void failed(const mongoc_apm_command_failed_t *event)
{
	bson_error_t error;

	mongoc_apm_command_failed_get_error(event, &error);
	if (error.domain == MONGOC_ERROR_SERVER)
		store_rights_note((int)error.code);
	ended();
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
