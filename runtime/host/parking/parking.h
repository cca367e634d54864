/*
 * parking.h - how commands go into the store to be run later, and how they come back from there.
 *
 *   from the broker:  WAITING, RUNNING, COMMITTING --> PARKING --> SETTLED, its end is "parked"
 *   from the store:   CLAIMING --> WAITING --> RUNNING .. --> FINISHING --> SETTLED
 *                                                 +--> PARKING (postponed) --> SETTLED
 *
 * A command of the broker's is parked when a transient failure has outlived its retries in place, when it is
 * suspected of having killed a host, or when its user has a backlog in the store: it goes behind that. One of
 * a user at a time goes, holding its user's turn, so that their order in the store is the order of arrival.
 *
 * What is due is claimed from the store, the first of a user, and run as a command of its own that no broker
 * waits for; then it is finished, postponed with a delay that doubles, or buried, and the user goes to the
 * end of the line. Half of the workers at most are given to it. The store away: it is forgotten here, and
 * claimed again when the store answers; the claim is this supervisor's.
 * I/O thread only.
 */
#ifndef PARKING_H
#define PARKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct host;
struct parked_marks;
struct parked_user;

enum {
	PARKING_DELAY_MS = 1000, /* before the second attempt; it doubles, with jitter */
	PARKING_DELAY_MAX_MS = 300000,
	PARKING_OVERDUE_MS = 60000, /* then any host runs it that has a handler for it */
	PARKING_LEASE_MS = 12000,   /* beyond the deadlines of its handlers */
};

/* ---- Into the store ---- */

/* Whether a command of the broker's whose turn it is is to be parked and not run. */
bool parking_wanted(const struct command *command);

/* Parks it: behind its user's backlog, if there is one; else it is due after delay_ms. It has its user's
 * turn, which ends when it is in the store. */
void parking_put(struct command *command, int64_t delay_ms);

/* A transient failure of it lasts: it is parked or, run from the store, postponed; after MAX_ATTEMPTS it is
 * buried. */
void parking_retry(struct command *command);

/* The store has refused its dead letter: it is kept, to be buried at a later attempt without being run. */
void parking_bury_later(struct command *command);

/* A worker is through with it, in state PARKING. */
void parking_stored(struct command *command);

/* ---- Out of the store ---- */

/* The store says that they have something due. */
void parking_due(struct host *host, const struct parked_user *users, size_t count);

/* Claims for those in line while there is room, and starts a suspect when it is quiet. Each turn of the loop. */
void parking_serve(struct host *host);
int64_t parking_due_ms(const struct host *host);

/* A worker is through with it, in state CLAIMING or FINISHING. */
void parking_claimed(struct command *command);
void parking_finished(struct command *command);

/* All it had to do is done: it is finished in the store. */
void parking_finish(struct command *command);

/* The store is away, or there is no memory: it is forgotten here, and still stands in the store. */
void parking_forget(struct command *command);

/* It has settled. */
void parking_settled(struct command *command);

/* Whether no command from the store is being run. */
bool parking_idle(const struct host *host);

#endif
