/*
 * host_group.h - the commands of a lane's connection whose PUBACKs are held back, and what is known of them
 * by their packet identifiers.
 *
 * The commands read since the last flush are the lane's group. While one of them is unsettled nothing is
 * written to the connection, so no PUBACK leaves; when the last one settles, all leave at once and in order:
 * a group commit. To let a group come to an end under a steady stream, the lane stops reading at GROUP_MAX
 * commands or GROUP_MS after the first. Until then it pauses while a thousand are unsettled, so that a large
 * GROUP_MAX, which spares most of the pauses in which a group drains, lets none drain for longer; and, for
 * some milliseconds, while there is enough to do, so that it reads in bursts. A group that has not drained
 * LINGER_MS later (one slow command) is joined by more, up to the window, and at its age limit the lane drops
 * the connection without acknowledging.
 *
 *   EMPTY --first command--> FILLING --GROUP_MAX, GROUP_MS--> DRAINING --LINGER_MS--> LINGERING --window-->
 * FULL ^                         |                                |                       | |
 *     +------ flushed ------ FLUSHING <----------------- the last one is settled --------+------------------+
 *
 * A group is made of struct held, one for each PUBACK, and most of its commands have settled long before the
 * last one does: the command is freed then, with its texts, and 64 bytes stand for it. The in-flight table
 * finds them by packet identifier, also those of a dropped connection that still run or are done: their
 * copies, which the broker sends again, join the first.
 *
 * A copy is known by packet identifier, user and fingerprint(). The key has no secret in it, so a device can
 * make two payloads of one key; but it would have to be given the identifier of a command that the broker
 * has not been told is done, and what would be taken for a copy then is its own: the user's id is compared by
 * a hash of its own, and is the token's, not the device's. I/O thread only.
 */
#ifndef HOST_GROUP_H
#define HOST_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct held_block;
struct host;

enum {
	GROUP_LINGER_MS = 50,
	GROUP_COMPANY_MS = 5, /* a group that has drained waits until it is that old, for company: a PUBACK by
				 itself costs a segment */
	GROUP_COMPANY_COUNT = 16, /* unless it has that many */
	GROUP_PAUSE_MS = 5,	  /* for which a group that has enough to do is not read on at most */
	GROUP_BUCKETS = 4096,
};

enum group_phase { GROUP_EMPTY, GROUP_FILLING, GROUP_DRAINING, GROUP_LINGERING, GROUP_FULL, GROUP_FLUSHING };

/* A PUBACK that is held, or was when its connection went. It lives as long as it is in the group or in the
 * in-flight table. */
struct held {
	uint64_t key;		 /* fingerprint() of the command */
	uint64_t user;		 /* group_user_key() */
	struct command *command; /* NULL: it has settled, and is freed */
	struct held *group_next;
	struct held *table_next; /* in the bucket; or the next unused one */
	int64_t position;	 /* settled: in the store, where it was parked; else 0 */
	unsigned round;		 /* of the group's lingering, when it joined */
	uint16_t mid;		 /* the broker's packet identifier */
	uint8_t end;		 /* settled: enum command_end */
	bool attached;		 /* in the group */
	bool listed;		 /* in the in-flight table */
	uint32_t arrived_ms;	 /* in the group, by the host's clock, of which it has the low bits */
};

struct group {
	const struct host *host;
	enum group_phase phase;
	struct held *first, **end;
	struct held *oldest; /* all before it have settled */
	size_t count;	     /* PUBACKs held */
	size_t unsettled;
	size_t bytes;	   /* of the unsettled ones' payloads */
	unsigned halvings; /* of GROUP_MAX and WINDOW, after groups that grew too old */
	int64_t started_ms;
	int64_t drain_started_ms;
	int64_t reads_at_ms;	/* while it has enough to do, not before */
	unsigned limit_ms;	/* age at which the connection is dropped */
	unsigned round;		/* how often this group has lingered */
	size_t round_unsettled; /* unsettled commands that were there when the last lingering began */

	struct held *in_flight[GROUP_BUCKETS]; /* linked by table_next */
	struct held_block *blocks;	       /* of memory; kept until the end */
	struct held *unused;
	size_t used;
};

/* The group is all zeros before. */
void group_init(struct group *group, const struct host *host, unsigned limit_ms);
/* It is empty, and the in-flight table too. */
void group_free(struct group *group);

/* ---- The in-flight table ---- */

/* By which users are told apart where the text is gone. */
uint64_t group_user_key(const char *user);

/* What is known under that packet identifier, or NULL. */
struct held *group_in_flight(const struct group *group, uint16_t mid);

/* Takes it out of the table: its packet identifier means another command from now on. */
void group_unlist(struct group *group, struct held *held);

/* The same for those that are in no group: of those that have settled, or of all. */
void group_unlist_detached(struct group *group, bool running);

/* ---- The group ---- */

/* Adds a new command, also to the table. -ENOMEM. */
__attribute__((warn_unused_result)) int group_add(struct group *group, struct command *command);

/* A copy has come: its PUBACK is held as well, until the first's is known to leave. */
void group_join(struct group *group, struct held *held);

/* Its command has settled, and is going to be freed. */
void group_settle(struct group *group, struct held *held);

/* Its command is forgotten, and with it what is known of it. In no group. */
void group_forget(struct group *group, struct held *held);

/* The connection is gone, and nothing is held any more. Calls `detached` for each command that has not
 * settled, which may forget it. */
void group_detach(struct group *group, void (*detached)(struct command *command));

/* It has drained, and from here on each of its PUBACKs may be on the wire: it is forgotten, after `leaves`
 * has been called for each of what it holds. */
void group_release(
	struct group *group, void (*leaves)(void *context, const struct held *held), void *context);

/* It has been handed to the connection; all: nothing is left to be written. */
void group_flushed(struct group *group, bool all);

/* Whether more is to be read now. Moves on what time moves. */
bool group_reads(struct group *group);

/* What had come has been read. While a filling group has enough to do, it is read on when that is nearly
 * done: many at once cost much less than the same number one by one. */
void group_caught_up(struct group *group);

/* Whether its PUBACKs may leave, as far as its commands are concerned. While the lane reads on anyway, a
 * small group that has drained is given a few milliseconds to grow. */
bool group_drained(const struct group *group, bool reads_on);

/* Whether something is held, or on its way, and for longer than is good. */
bool group_too_old(const struct group *group);

/* More than what drains in time was read: smaller groups from here on, until they drain again. Otherwise a
 * store that is slower than the stream would never let one be acknowledged. */
void group_shrink(struct group *group);

/* When it has something to do next. reads_on: as above. INT64_MAX: it waits for nothing. */
int64_t group_due_ms(const struct group *group, bool reads_on);

/* Since when the oldest command that has not settled is in the group; 0: all have. */
int64_t group_oldest_ms(struct group *group);

/* Whether it waits for the end of its commands. */
bool group_waits(const struct group *group);

#endif
