/*
 * backlog.h - what one user of one lane has in the store: his parked commands, in order.
 *
 *              due                    a batch came
 *   RESTING ---------> CLAIMING -------------------> CLAIMED --------> gone: nothing is left
 *      ^                   |  not due, or another's     |   ^
 *      +-------------------+                            |   | a command stepped aside
 *      +------------- postponed, released --------------+   +---- (a new backlog)
 *
 * A backlog is taken as a whole: one lease, on its first document, covers those behind it. What was read of it stands in
 * memory, in order, and is run one by one; what is done is deleted in order. At most one storing job of a backlog is
 * under way at a time, so that its documents are written, read and deleted in one order. I/O thread only.
 */
#ifndef BACKLOG_H
#define BACKLOG_H

#include "parked_commands.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct host_lane;
struct place;
struct user;

enum backlog_state { BACKLOG_RESTING, BACKLOG_CLAIMING, BACKLOG_CLAIMED };

/* Commands linked by backlog_next, in order. */
struct backlog_list {
	struct command *first, **end;
	size_t count;
};

/* At its end. */
void backlog_list_add(struct backlog_list *list, struct command *command);

/* Its first; NULL: it is empty. */
struct command *backlog_list_take(struct backlog_list *list);

struct backlog {
	struct backlog *next, **link; /* of all */
	struct backlog *line_next;    /* of those that are due, while in_line */
	struct user *user;
	struct host_lane *home; /* by whose routes it is run; of another host's lane: this host's first one */
	char *lane_id;		/* in the store */
	bool foreign;		/* of another host's lane */

	enum backlog_state state;
	bool in_line;
	bool counted;	     /* among those of which only so many are claimed at once */
	bool written;	     /* documents of it are in the store, or may be */
	bool busy;	     /* a storing job is under way, or waits for the store to answer again */
	bool dropped;	     /* it is not ours any more: it goes when nothing is under way */
	bool giving_back;    /* what is in memory leaves it: nothing of it is begun */
	int64_t due_ms;	     /* RESTING: when it may be claimed; INT64_MAX: the watch will tell */
	struct place *after; /* RESTING: not before that PUBACK has left; NULL: that does not matter */

	struct backlog_list memory; /* CLAIMED: WAITING, running, .. FINISHING */
	bool stepped_aside; /* its first runs for long: nothing waits in memory behind it. Set before that is written */
	bool feared; /* its first has killed a host: nothing either, as the PUBACKs that wait for that die with the next one */
	int64_t done_since_ms;	   /* of the first one that is done and not deleted; 0: none is */
	struct command *postponed; /* to be given back when what is done before it is deleted */
	unsigned postpone_ms;
	int64_t refused_until_ms; /* the database has refused to delete, or to postpone: not tried again before */

	bool declined;		   /* nobody here can run its first: it is given back as it was .. */
	int64_t declined_until_ms; /* .. and left to others for so long */

	struct backlog_list to_store; /* to be written */

	bool more;		   /* the store has documents behind what is in memory, or may have */
	struct store_id leased_id; /* the document that has our lease, as far as is known */
	bool leased;
	int64_t leased_ms;
	int64_t renew_at_ms;
};

#endif
