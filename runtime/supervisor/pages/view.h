/*
 * view.h - what the pages for operators are made of: the board, and what the supervisor itself knows.
 *
 * The supervisor's main thread tells, twice a second or when something changes. The server's thread reads.
 */
#ifndef VIEW_H
#define VIEW_H

#include "loggly.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct board;

struct view {
	const struct board *board;
	const char *version;
	int64_t started_ms;	   /* by clock_ms() */
	_Atomic int64_t turned_ms; /* when the supervisor's loop turned last, by clock_ms() */
	_Atomic int child_state;   /* enum child_state */
	double hosts_cpu_s;	   /* told last; the server's thread alone */
	pthread_mutex_t mutex;
	bool shipping; /* the log goes to Loggly; under the mutex, as the next */
	struct loggly_figures
		loggly; /* of this supervisor's life and the spool's; stays when shipping ends */
};

/* The board must outlive the view. view_destroy() when nobody reads it any more. */
void view_init(struct view *view, const struct board *board);
void view_destroy(struct view *view);

/* loggly: NULL while nothing is shipped. Main thread. */
void view_tell_loggly(struct view *view, struct loggly *loggly);

/* Whether the log is shipped, and the account. Any thread. */
bool view_loggly(struct view *view, struct loggly_figures *ret);

#endif
