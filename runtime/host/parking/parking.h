/*
 * parking.h - commands on their way into the store and out of it: the backlogs of all users, and the storing jobs.
 *
 * Happy path: parking_store() has a command's document written. When that is due, its user's backlog is claimed and a
 * batch of it is read; the owner runs the commands one by one and says parking_done() of each; they are deleted. When
 * nothing is left the user is back on the straight way. Failure modes: where the store does not answer, the job is
 * repeated, with the same ids, when it answers again: what it did not answer may be written or not. Where it answers that
 * it cannot now, the job is repeated after a pause, and nobody is told; deletions with half as many documents. A document
 * that the database refuses for ever is reported. A lease that was lost to another host gives back what is in memory.
 *
 * It reports, and decides nothing about a command: its owner is dispatch.c. I/O thread only.
 */
#ifndef PARKING_H
#define PARKING_H

#include "backlog.h"
#include "dead_letters.h"
#include "pool.h"

struct parking;

enum {
	PARKING_LEASE_MS = 20000,
	PARKING_WAITING_MAX = 200, /* with fewer left, new commands wait in memory behind a backlog */
	PARKING_FINISH_MS = 100,   /* what is done is deleted at least that often */
};

struct parking_owner {
	/* Its document is in the store; or (refused) it is not going to be: the database never takes it, or it is dropped while it steps aside.
	 * It is in no list any more. */
	void (*stored)(void *owner, struct command *command, bool refused);
	/* A document that was claimed; in order. The owner makes a command of it, which takes it over, and adds that by
	 * parking_add(). False when out of memory: the document stays the caller's. */
	bool (*read)(void *owner, struct backlog *backlog, struct parked_command *document);
	/* That were all of a batch. */
	void (*claimed)(void *owner, struct backlog *backlog);
	/* Its document is deleted: not before the database has said so. It is in no list any more. */
	void (*finished)(void *owner, struct command *command);
	/* It is in the store as before, and in no list any more: postponed, released, or another host's. */
	void (*given_back)(void *owner, struct command *command);
	/* The backlog is gone, and the user on the straight way. */
	void (*over)(void *owner, struct user *user);
	/* Its dead letter is written (0), or refused for ever (STORE_E_PERMANENT). */
	void (*buried)(void *owner, struct command *command, int error);
	/* The store does not answer: parking_store_back() is waited for. */
	void (*away)(void *owner);
};

struct parking_options {
	struct pool *pool;	 /* of storing_pool_new() */
	const char *lease_owner; /* the supervisor's random id */
	unsigned claimed_max;	 /* backlogs in memory at once, but for those that stepped aside */
	const struct parking_owner *callbacks;
	void *owner;
};

/* The options' pointers outlive it. 0 and *ret, or -ENOMEM. */
__attribute__((warn_unused_result)) int parking_new(
	const struct parking_options *options, struct parking **ret);

/* No job is under way; backlogs are forgotten, with what is in memory of them. NULL is fine. */
void parking_free(struct parking *parking);

/* The user's backlog on that lane, made where there is none. NULL when out of memory. */
struct backlog *parking_backlog(struct parking *parking, struct user *user, struct host_lane *home,
	const char *lane_id, bool foreign);

/* The command's document is to be written, behind what its user has: its record is made, and says not before when. A
 * command that steps aside (command->stepping) goes on meanwhile, under our lease. */
void parking_store(struct parking *parking, struct backlog *backlog, struct command *command);

/* It goes on from the store: the next one in memory of its backlog. */
void parking_add(struct parking *parking, struct backlog *backlog, struct command *command);

/* Its end is durable: its document may go. It is FINISHING. */
void parking_done(struct parking *parking, struct command *command);

/* It is given back, to be run again after that time, and with it all that is behind it in memory. Its record says how it
 * stands. */
void parking_postpone(struct parking *parking, struct command *command, unsigned delay_ms);

/* Nobody here can run it, another host's command: its backlog is given back as it was, and left to others for a minute. */
void parking_decline(struct parking *parking, struct command *command);

/* Writes the command's dead letter; its pointers live as long as the command. -ENOMEM. */
__attribute__((warn_unused_result)) int parking_bury(
	struct parking *parking, struct command *command, const struct dead_letter *letter);

/* The store has a backlog like that, due at that time. */
void parking_found(struct parking *parking, struct backlog *backlog, int64_t due_ms);

/* The PUBACK for which it waited has left, or never will. */
void parking_place_freed(struct parking *parking, struct backlog *backlog);

/* Jobs have come back from the pool: a list as pool_collect() gives it. */
void parking_returned(struct parking *parking, struct job *jobs);

/* Each turn of the loop: claims what is due, deletes what is done, renews leases. may_claim: the store answers, this host
 * is active, and nothing hinders. */
void parking_serve(struct parking *parking, bool may_claim, int64_t now_ms);
int64_t parking_due_ms(const struct parking *parking);

/* The store answers again: what it did not answer is repeated. */
void parking_store_back(struct parking *parking);

/* Nothing more is claimed; what is in memory and has not begun is given back. */
void parking_stop(struct parking *parking);

/* Whether nothing is claimed and no job is under way. */
bool parking_idle(const struct parking *parking);

/* Another host may be active, or have been: what is in memory, or on its way into the store, is given back and forgotten; the broker has it,
 * and so has that host. What was not answered is not repeated, whatever became of it. */
void parking_drop_all(struct parking *parking);

/* Whether that backlog lets new commands of its user wait in memory. */
bool parking_lets_wait(const struct parking *parking, const struct backlog *backlog);

/* Whether it is being run, or as soon as its turn comes: its first does not wait for a time. */
bool parking_is_due(const struct parking *parking, const struct backlog *backlog);

/* Commands claimed from the store, in memory. */
size_t parking_claimed_count(const struct parking *parking);

/* Users of whom commands are in the store, as far as this host knows, or are on their way there. I/O thread. */
size_t parking_backlog_count(const struct parking *parking);

#endif
