/*
 * store_watch.h - the watch over the store: one thread, with a client of its own, that asks the database what the I/O thread cannot wait for.
 *
 * It prepares the database at the start. Then it asks every second (twice as often while the store is away, or this host stands by) whether it still answers and what time it
 * is there; takes or renews the lease that says who is active (hosts.h), and is the trial write too: a full disk, or rights that are missing, show
 * in no answer to a question, and are noted on the board; and asks which users have parked commands that are due: on this host's lanes, and,
 * every ten seconds, on any lane those that are a minute late, as a host that died leaves them. A host that becomes active is told first which
 * backlogs its lanes have. Where this machine's clock and the database's are more than five seconds apart, that is a warning. Its thread is also the one
 * that may wait for a disk: it has the store's connections opened anew where their certificate files have been renewed, and looks at this host's own
 * certificates.
 *
 * Whether the database lets the host at each collection that it and its handlers need is tried at the start, when anybody was refused
 * anything, and else of one collection every ten seconds. While one is refused this host is not active: what would need it waits at the broker, instead of becoming a dead letter. The board
 * says which one it is.
 *
 * The I/O thread is told by news, and woken by a callback. A verdict counts only if its question was asked after the last suspicion, so an answer from
 * before a handler's failure does not open the lanes again. The lease holds for as long as ours_until_ms says, whatever the thread is at: it may itself
 * wait for a database that does not answer.
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include "hosts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct board;
struct collections;
struct own_certificates;
struct parked_user;
struct schedule_watch;
struct store;
struct store_watch;

enum {
	STORE_WATCH_LEASE_MS = 10000,
	STORE_WATCH_AWAITED_MS = 4000, /* the lease, while a host stands by for it */
	STORE_WATCH_TRY_MS = 10000,
};

struct store_watch_options {
	struct store *store;
	void (*wake)(
		void *context); /* wakes the I/O thread, which then asks for the news; from the watch's thread */
	void *context;
	const char *const *lanes; /* client ids; they outlive the watch */
	size_t lane_count;
	const char *group; /* SHARED_GROUP, "": none; outlives the watch */
	const char *host;  /* the host's client id, which the lease is on; outlives the watch */
	const char *owner; /* the supervisor's random id, in whose name; outlives the watch */
	/* That this host may use them is tried; they outlive the watch. NULL: nothing is tried. */
	const struct collections *needed;
	unsigned try_every_ms; /* between trials of one; 0: STORE_WATCH_TRY_MS */
	struct board *board;   /* store_seen_ms, store_back_ms and the store's figures are noted there */
	struct schedule_watch
		*schedules; /* the watch's from now on, but to be freed after it; NULL: there are none */
	struct own_certificates *certificates; /* the watch's from now on; NULL: none are looked at */
};

struct store_backlog {
	char *user;
	int64_t due_in_ms; /* of its first, at the time of reading; not more than 0: due */
};

/* The backlogs of one lane. */
struct store_backlogs {
	struct store_backlogs *next;
	size_t lane; /* which of the lanes, from 0 */
	int64_t last_position; /* the highest that a command of the lane has, see parked_commands_backlogs(); 0: any is above */
	size_t count;
	struct store_backlog *backlogs;
	struct host_groups
		groups; /* of the first in a list: those that the sessions were in, but for the options' */
};
void store_backlogs_free(struct store_backlogs *backlogs); /* the whole list; NULL is fine */

/* What there is to know; lists are told once. */
struct store_news {
	bool up;   /* whether the store answers, as of the last verdict that counts */
	bool ours; /* this host is the active one, and its lanes' backlogs have been told; as of the last answer. See ours_until_ms */
	int64_t ours_until_ms; /* until when, by the monotonic clock (clock_ms()): after that it is not, unless the next news says so */
	int64_t free_in_ms; /* not ours, but another's: when that one's lease ends if it is not renewed; else 0 */
	struct store_backlogs *
		backlogs; /* of all lanes, when the host became active, or after store_watch_load(); the caller's */
	struct parked_user *
		due; /* the caller's: parked_users_free(). Users that the caller has backlogs of may be among them */
	size_t due_count;
};

/* Starts the thread. 0 and *ret; -errno. */
__attribute__((warn_unused_result)) int store_watch_new(
	const struct store_watch_options *options, struct store_watch **ret);

/* Stops the thread, after the question that is under way, and joins it. release: the lease is given up (a stop that is meant to last), so that
 * another host need not wait for its end; else it stays in the supervisor's name. NULL is fine. */
void store_watch_free(struct store_watch *watch, bool release);

/* What is new. I/O thread. */
void store_watch_news(struct store_watch *watch, struct store_news *ret);

/* Asks for the backlogs once more; they come with the news as soon as the store answers and the lease is ours. I/O thread. */
void store_watch_load(struct store_watch *watch);

/* Somebody found the store away: not up until it has answered again; asks at once. I/O thread. */
void store_watch_suspect(struct store_watch *watch);

#endif
