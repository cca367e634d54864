/*
 * rejections.h - which rejected commands get a line in the log: one a second and user, with the number of those since the last one.
 *
 * A device can have commands rejected as fast as it sends them. Happy path: rejections_count() at each rejection, whose result says whether and
 * as how many it is to be logged; rejections_serve() in each turn logs the number of those that were only counted, once their second is over.
 * More users at once than there is room for share one line a second. I/O thread only; no failure modes.
 */
#ifndef REJECTIONS_H
#define REJECTIONS_H

#include <stdint.h>

enum { REJECTIONS_USERS = 256, REJECTIONS_NAME_SIZE = 65 };

/* All zero is the beginning but for due_ms: rejections_init(). */
struct rejections {
	struct rejections_user {
		int64_t quiet_until_ms; /* no line before */
		unsigned count;		/* since the last line */
		char name[REJECTIONS_NAME_SIZE];
	} users[REJECTIONS_USERS];
	struct rejections_user others; /* who find no room */
	int64_t due_ms; /* when rejections_serve() has something to say, at the earliest; INT64_MAX: never */
};

/* Nobody has been rejected yet. */
void rejections_init(struct rejections *rejections);

/* A command of that user is rejected. As how many it is to be logged now; 0: not now. */
unsigned rejections_count(struct rejections *rejections, const char *user, int64_t now_ms);

/* Logs what is due. INT64_MAX: all that was not logged. */
void rejections_serve(struct rejections *rejections, int64_t now_ms);

#endif
