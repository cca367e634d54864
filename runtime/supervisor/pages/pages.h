/*
 * pages.h - the pages for operators, and the two that say how the program is.
 *
 *   /healthz  200 while the supervisor lives and its loop turns. What restarts a process asks for this.
 *   /readyz   200 while commands are taken and can be handled; else 503 and why not, a reason a line. For people, alarms and rollouts.
 *   /metrics  everything, as Prometheus reads it (metrics.h).
 *   /status   how things stand, as JSON (status.h). For this machine only.
 */
#ifndef PAGES_H
#define PAGES_H

#include "http_server.h"

struct board;

/* Ended by one without a path. */
extern const struct http_page pages_table[];

/* What /readyz says beside "ready": why commands are not taken now, a reason a line; nothing where they are. Any thread. */
void pages_why_not(const struct board *board, FILE *out);

enum {
	PAGES_SUPERVISOR_MS =
		5000,	       /* a loop that has not turned for so long hangs: it turns twice a second */
	PAGES_HOST_MS = 10000, /* the same of the host's I/O thread, which turns once a second at least */
	PAGES_STORE_MS = 5000, /* the store is asked every second */
};

#endif
