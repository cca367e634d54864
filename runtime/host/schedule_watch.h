/*
 * schedule_watch.h - the schedules of this host's handlers: it looks which are due, and makes a run of each.
 *
 * Happy path: once a second, and when one is due, on the active host, schedule_watch_turn() reads from the database how far each schedule is. Where a
 * slot has come, it begins the run there, which one of all hosts can, and puts it among the parked commands. From there it is claimed and run as any of
 * those: by a worker, with attempts, deadline, blame and dead letter (dispatch_store.c); when it has ended, storing.c says so in the database before
 * its document goes. The next run begins where that one ended.
 *
 * Failure: a host that dies after it has begun a run and before that is parked: whoever finds the run open and not parked, parks it, with the same slot,
 * since and id. One that is parked for a client id whose hosts are gone is moved to that of a host that is there. What was missed, while no host was there or the run before took its time, is one run with the whole interval, or none where the handler
 * says .skip_missed and more than a minute has passed. A database that refuses it is told in the log once; commands do not notice.
 *
 * The store watch's thread. All times are the database's. Without a schedule nothing is asked.
 */
#ifndef SCHEDULE_WATCH_H
#define SCHEDULE_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct cashew_handler;
struct figures;
struct schedule_watch;
struct store;
struct store_client;

struct schedule_watch_options {
	const struct cashew_handler *const *handlers; /* ended by NULL; outlives the watch */
	struct store *store;
	const char *lane;  /* client id under which runs are parked; outlives the watch */
	const char *owner; /* the supervisor's random id; outlives the watch */
	struct figures *figures;
};

/* Tells the log which schedules there are. 0 and *ret, NULL where there are none; -ENOMEM. I/O thread. */
__attribute__((warn_unused_result)) int schedule_watch_new(
	const struct schedule_watch_options *options, struct schedule_watch **ret);
void schedule_watch_free(struct schedule_watch *watch); /* NULL is fine */

/* Looks once; this host is active. Returns after how many milliseconds the next one is due, max_ms at most. NULL is fine. */
long schedule_watch_turn(struct schedule_watch *watch, struct store_client *client, long max_ms);

/* This host is not active, or that is not known: it does not say how schedules stand. NULL is fine. */
void schedule_watch_rest(struct schedule_watch *watch);

#endif
