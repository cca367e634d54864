/*
 * dispatch_private.h - what the three files of dispatch.h share and nobody else sees.
 */
#ifndef DISPATCH_PRIVATE_H
#define DISPATCH_PRIVATE_H

#include "dispatch.h"

struct user;

/* Of its user's own time: after HOLD_MS a place is held no longer if others wait for it, after HOLD_MAX_MS whoever waits. */
enum { DISPATCH_HOLD_MS = 1000, DISPATCH_HOLD_MAX_MS = 30000 };

/* ---- dispatch.c ---- */

/* What follows a run, the last PUBACK of its events, or a retry that needs no run. */
void dispatch_advance(struct host *host, struct command *command);

/* A retry is due: its events go again, or its handlers run, or what follows them is tried again. */
void dispatch_try_again(struct host *host, struct command *command);

/* Nothing else runs: it starts. */
void dispatch_start_alone(struct host *host, struct command *command);

/* Nothing is left to do but to be acknowledged, or deleted in the store. */
void dispatch_complete(struct host *host, struct command *command);

/* Its dead letter is written: its sender is told that it has failed. */
void dispatch_buried(struct host *host, struct command *command);

/* Its end is durable. Frees it. */
void dispatch_settle(struct host *host, struct command *command, enum command_end end);

/* Its PUBACK may leave. */
void dispatch_settle_place(struct command *command, enum command_end end);

/* It leaves its user's line, and is freed; the turn may be the next one's. */
void dispatch_leave_line(struct host *host, struct command *command);

/* Whoever has the turn starts, if he waits for nothing else. Forgets a user who has nothing left: not to be used after
 * it, unless a command of his is at hand. */
void dispatch_next_of(struct host *host, struct user *user);

/* The same; where he has a backlog, what has been held for so long goes behind it in the store. */
void dispatch_next_held(struct host *host, struct user *user, int64_t hold_ms);

/* ---- dispatch_store.c ---- */

/* It is run again later, from the store. False: it cannot be, and stays as it is. */
bool dispatch_park(struct host *host, struct command *command, unsigned attempts, unsigned delay_ms);

/* The same, of a command that came from the store. */
void dispatch_postpone(struct host *host, struct command *command, unsigned attempts, unsigned delay_ms);

/* A run has failed for now, and it is not tried again where it is: it is parked, postponed, or dead. False: it cannot be now. */
bool dispatch_run_later(struct host *host, struct command *command);

/* It has been held for long: it goes on from the store, if it can. */
void dispatch_step_aside(struct host *host, struct command *command);

/* The user has a backlog: what came meanwhile waits behind it, so long of his own time, or goes behind it in the store. */
void dispatch_follow(struct host *host, struct user *user, int64_t hold_ms);

/* ---- dispatch_time.c ---- */

/* How long it has been held through its user's own doing: see users.h. */
int64_t dispatch_held_ms(const struct host *host, const struct command *command);

/* Whether it has to go into the store, as others wait for its PUBACK; or has been held for too long. */
bool dispatch_hinders(const struct host *host, const struct command *command);

/* It is RETRYING, and tried again after that delay; or when the store answers again: that is no attempt, and nobody's
 * time. */
void dispatch_wait(struct host *host, struct command *command, unsigned delay_ms);
void dispatch_shelve(struct host *host, struct command *command);
void dispatch_unlink_retry(struct command *command);

/* The first of the route's commands has come through after it had failed for long: the others are tried again now. */
void dispatch_retry_now(struct host *host, const struct route *route);

#endif
