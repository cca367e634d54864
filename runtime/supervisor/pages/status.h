/*
 * status.h - how things stand with this cashewd, as one JSON document: GET /status, which `cashewd top` shows.
 *
 * The board and what the supervisor knows of its host are all that is in it. Topics are in it, which hold user ids, and never payloads or settings.
 * It is for whoever is on this machine. Failure: out of memory, which makes no document.
 *
 *	{ "cashewd": version, "unix_ms", "clock_ms": by the monotonic clock, "bounds_us": of all histograms,
 *	  "supervisor": {pid, started_ms: by that clock, rss_bytes},
 *	  "host": {state, ready, standby, pid, number, running_ms, rss_bytes, workers, stopped, crashed, hung, killed, not_begun, too_large},
 *	  "commands": {done, rejected, dead, parked, joined, ignored, qos0, qos0_dropped, left, in_flight, with_workers, from_store,
 *	    suspects, near},
 *	  "store": {up, writable, failed, latency},
 *	  "egress": {connection, unsent, awaiting, published, refused, repeated},
 *	  "lanes": [{name, connection: {state, standby, up_ms, opened, lost}, filters, granted, held, unsettled, oldest_ms, dropped, acknowledged,
 *	    stepped_aside, hold}],
 *	  "handlers": [{name, here, running, runs, done, rejected, retried, failed, crashed, hung, durations}],
 *	  "running": [{handler, topic, attempt, running_ms, deadline_ms, alone, overdue}], the slowest first,
 *	  "log_dropped" }
 *
 * Commands that are done, rejected, dead or parked count when they are acknowledged. Handlers' runs count when they return. Suspects are commands
 * that have killed a host; near are those that ran when one was killed. A histogram (latency, hold, durations) is {counts: one for each bound and
 * one beyond, sum_us}. Counters are of all hosts since the supervisor began.
 */
#ifndef STATUS_H
#define STATUS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct board;
struct view;

#define STATUS_CONTENT_TYPE "application/json"

enum { STATUS_RUNNING_MAX = 100 };

/* What the board does not say. */
struct status_facts {
	const char *version;
	const char *host_state;					/* child_state_name() */
	int64_t now_ms, supervisor_started_ms, host_started_ms; /* by the monotonic clock */
	int64_t unix_ms;
	size_t supervisor_rss, host_rss; /* bytes; 0: not known */
};

/* A new reference; NULL when out of memory. The supervisor, any thread. */
json_t *status_document(const struct board *board, const struct status_facts *facts);

/* The page of it, as http_server.h wants it: 200, or 503 without a word when out of memory. */
unsigned status_write(struct view *view, FILE *out);

#endif
