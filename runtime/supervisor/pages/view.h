/*
 * view.h - what the pages for operators are made of: the board, and what the supervisor itself
 * knows.
 *
 * The supervisor's main thread tells, twice a second or when something changes; the server's thread reads.
 */
#ifndef VIEW_H
#define VIEW_H

#include "loggly.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct board;

struct supervisor_view {
	const struct board *board;
	const char *version;
	int64_t started_ms;	   /* by clock_ms() */
	_Atomic int64_t turned_ms; /* when the supervisor's loop turned last, by clock_ms() */
	_Atomic int child_state;   /* enum child_state */
	double hosts_cpu_s;	   /* told last; the server's thread alone */
	pthread_mutex_t mutex;
	bool shipping; /* under the mutex, as the next: the log goes to Loggly */
	struct loggly_figures
		loggly; /* of this supervisor's life and the spool's; stays when shipping ends */
};

void supervisor_view_init(struct supervisor_view *view, const struct board *board);
void supervisor_view_destroy(struct supervisor_view *view);

/* loggly: NULL while nothing is shipped. Main thread. */
void supervisor_view_tell_loggly(struct supervisor_view *view, struct loggly *loggly);

/* Whether the log is shipped, and the account. Any thread. */
bool supervisor_view_loggly(struct supervisor_view *view, struct loggly_figures *ret);

#endif
