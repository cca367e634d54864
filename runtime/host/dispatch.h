/*
 * dispatch.h - what follows what in the life of a command: the only place where that is decided.
 *
 * The mechanisms (lane, egress, pool, parking, suspects) report what happened; each report ends here, and each state of
 * command.h is entered here. What a command's end does is one function, dispatch_settle().
 *
 * Happy path: dispatch_begin() -> its turn -> a worker -> dispatch_returned() -> its events -> dispatch_event_ended() ->
 * settled: the place may be released. I/O thread only.
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "command.h"
#include "parking.h"

struct host;
struct place;

/* What came of jobs in the storing pool. */
extern const struct parking_owner dispatch_parking_owner;

/* A new command of its user's line, which handlers want: run here and now if it is light and nothing of its user is
 * before it, else when its turn comes. */
void dispatch_begin(struct host *host, struct command *command);

/* It ends without a run: dead, or rejected with an event that says why. reason: static or in its arena. */
void dispatch_die(struct host *host, struct command *command, const char *reason);
void dispatch_reject(struct host *host, struct command *command, const char *reason);

/* A worker is through with a run. */
void dispatch_returned(struct host *host, struct command *command);

/* What became of an event. reason: NULL when the broker has PUBACKed it; permanent: it will be refused again. owner: the
 * host. */
void dispatch_event_ended(void *owner, struct call_event *event, const char *reason, bool permanent);

/* A place is gone: its PUBACK has left, or no copy of it is awaited. */
void dispatch_place_freed(struct host *host, const struct place *place, bool released);

/* The watch has found a backlog, due in that time. lane_id: of this host's lane `home`, or of another host's. */
void dispatch_backlog_found(
	struct host *host, struct host_lane *home, const char *lane_id, const char *user, int64_t due_in_ms);

/* Each turn of the loop: retries that are due, places that are held for too long, suspects. */
void dispatch_serve(struct host *host);
int64_t dispatch_due_ms(const struct host *host);

/* The store does not answer: nothing is begun until dispatch_store_back(). */
void dispatch_store_away(struct host *host);
void dispatch_store_back(struct host *host);

/* Another host is active: what has not begun is forgotten. */
void dispatch_stand_by(struct host *host);

/* Frees a command that is in no line, and whatever counts it. */
void dispatch_forget(struct host *host, struct command *command);

#endif
