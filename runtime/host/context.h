/*
 * context.h - what the parts of the host share. Belongs to the I/O thread; loop.c fills it.
 */
#ifndef CONTEXT_H
#define CONTEXT_H

#include "backlogs.h"
#include "board.h"
#include "clock.h"
#include "command.h"
#include "crash.h"
#include "routes.h"
#include "suspects.h"
#include "worker.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct egress;
struct host_tls;
struct lane;
struct settings;
struct store_watch;
struct worker_pool;

struct host {
	const struct settings *settings;
	struct board *board; /* shared with the supervisor */
	const char *owner;   /* the supervisor's random id, which its next hosts have as well */
	struct routes routes;
	struct lane **lanes;
	size_t lane_count;
	char **lane_ids; /* client ids */
	struct egress *egress;
	struct worker_pool *pool;
	struct store_watch *store_watch;
	struct host_tls *tls;	     /* NULL: plain TCP */
	struct worker_context light; /* for the handlers that the I/O thread runs itself */
	unsigned *places;	     /* of the handlers in the board's figures */
	uint64_t log_dropped_before; /* lines of earlier hosts */
	_Atomic size_t event_max;
	struct command *retrying; /* linked by retry_next */
	struct parked parked;
	size_t parked_running; /* claims from the store and what is run of it */
	struct suspects suspects;
	size_t commands; /* alive, in whatever state */
	size_t jobs;	 /* of those, the ones that the worker pool has: running, or next in its queue */
	uint64_t qos0_dropped, qos0_dropped_told; /* commands; those that the log has told of */
	int64_t qos0_dropped_told_ms;
	int64_t now_ms; /* monotonic, of this turn of the loop */
	bool store_up;
	bool ready;
	bool stopping;
	unsigned stop_signals; /* of the supervisor */
	struct crash_stack crash_stack;
};

/* A handler or a dead letter found the store away: at the end of this turn of the loop every lane is dropped,
 * to be opened again when the store answers. */
void host_store_away(struct host *host);

#endif
