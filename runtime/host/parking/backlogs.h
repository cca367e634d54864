/*
 * backlogs.h - whose commands are parked in the store: a backlog for each such user of a lane, and the
 * line in which those that are due wait for their turn.
 *
 * While a user has a backlog, his later commands go behind it; the store has its documents, here is only that
 * it exists. It is made when the lane's marks are loaded before connecting, when a command is parked, or when
 * the store says that it is due; it goes when the store has answered that nothing is left, and nothing was
 * added meanwhile. Backlogs of other hosts' lanes stand here too, while they are overdue and this host looks
 * after them. A lane's copies are the packet identifiers and keys of what was parked already when it
 * connected: what comes again under both is that very command. So are those that came before the one with
 * which a backlog began and were run, but not acknowledged when it was parked: they come again before it, and
 * must not go behind it. Nor is that backlog run before them: it is held until all of that is acknowledged,
 * or the broker, after connecting, has had the time to send it again. I/O thread only, but for
 * parked_marks_read().
 */
#ifndef BACKLOGS_H
#define BACKLOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane;
struct store_client;

struct parked_backlog {
	struct parked_backlog *next;	 /* in the bucket */
	struct parked_backlog *due_next; /* in the line */
	struct lane *lane;		 /* NULL: another host's */
	bool in_line;
	bool running;		 /* its first is being claimed or run */
	bool added;		 /* something was parked since that was claimed */
	bool marked;		 /* the marks that were loaded last have it */
	unsigned parking;	 /* commands that are on their way into the store */
	int64_t held_position;	 /* not claimed before its lane has acknowledged what is parked up to there */
	int64_t not_before_ms;	 /* Unix time: the first's, which the followers take over */
	int64_t asleep_until_ms; /* monotonic; another host's: none of its handlers runs here */
	const char *lane_id, *user;
	char texts[];
};

enum { PARKED_BUCKETS = 256 };

/* Zero is empty. */
struct parked {
	size_t count; /* of backlogs */
	struct parked_backlog *buckets[PARKED_BUCKETS];
	struct parked_backlog *line, *line_last;
	struct parked_backlog *held; /* taken out of the line, to come back into it; linked by due_next */
};

struct parked_backlog *parked_find(const struct parked *parked, const char *lane_id, const char *user);

/* Finds or makes it, due at not_before_ms if it is new. NULL when out of memory. */
struct parked_backlog *parked_add(struct parked *parked, struct lane *lane, const char *lane_id,
	const char *user, int64_t not_before_ms);

/* It is neither running, nor parking, nor in line. */
void parked_drop(struct parked *parked, struct parked_backlog *backlog);
void parked_drop_all(struct parked *parked);

/* Puts it at the end of the line, unless it is there or running. */
void parked_line(struct parked *parked, struct parked_backlog *backlog);
/* Takes the first of the line; NULL: nobody is in it. */
struct parked_backlog *parked_next(struct parked *parked);

/* What was taken out of the line waits until parked_unhold(), which puts all of them back. */
void parked_hold(struct parked *parked, struct parked_backlog *backlog);
void parked_unhold(struct parked *parked);

/* ---- Marks ---- */

struct parked_copy {
	uint64_t key;
	int64_t position; /* of the parked command */
	uint16_t mid;
	bool before; /* it is not that command, but one of its user that came before it */
};

/* One of struct parked_command's `before`. */
enum { PARKED_BEFORE_SIZE = 10 };
void parked_before_write(unsigned char ret[static PARKED_BEFORE_SIZE], uint16_t mid, uint64_t key);

struct parked_first {
	char *user;
	int64_t held_position; /* 0: it can be claimed at once */
	int64_t not_before_ms;
};

/* What a lane has in the store. */
struct parked_marks {
	struct parked_marks *next;
	int error;		     /* of the store, or -ENOMEM: the rest is not complete */
	struct parked_first *firsts; /* of each user who has something parked */
	size_t first_count, first_capacity;
	struct parked_copy *copies; /* the last ones, by packet identifier */
	size_t copy_count, copy_capacity;
	char begun_user[65]; /* while reading: whose backlog began with something before it, and where */
	int64_t begun_position;
	int64_t last_position;
	char lane_id[];
};

/* NULL when out of memory. */
struct parked_marks *parked_marks_new(const char *lane_id);
void parked_marks_free(struct parked_marks *marks);

/* Asks the store. No more than copies_max of the copies are kept, those that were parked last: a broker that
 * has sent no more than that unacknowledged cannot send others again. Any thread. */
void parked_marks_read(struct parked_marks *marks, struct store_client *client, size_t copies_max);

/* What was parked up to that position has been acknowledged: no copy of it comes. */
void parked_marks_acknowledged(struct parked_marks *marks, int64_t position);

/* Whether there was such a copy; it is forgotten, as its next namesake is another command. */
bool parked_marks_take(struct parked_marks *marks, uint16_t mid, uint64_t key, struct parked_copy *ret);

/* Makes backlogs of the marks. What the lane had before and they do not hold was run by another host, or is
 * on its way: it is put into the line, so that the store is asked. -ENOMEM. */
__attribute__((warn_unused_result)) int parked_load(
	struct parked *parked, struct lane *lane, const struct parked_marks *marks);

#endif
