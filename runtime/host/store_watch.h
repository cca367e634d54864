/*
 * store_watch.h - the watch over the store: one thread that asks the database what the I/O thread cannot wait
 * for.
 *
 * It prepares the database at the start, and then asks it every second whether it still answers, and which
 * users have parked commands that are due: on this host's lanes, and, every ten seconds, on any lane those
 * that are a minute late, as a host that died leaves them. A lane that is about to connect is told at once
 * what it has parked.
 *
 * Every ten seconds it makes a trial write, and notes on the board whether that was taken: a full disk, or
 * rights that are missing, show in no answer to a question. Nothing but /readyz and the log follows from it:
 * what a command cannot write is that command's matter.
 *
 * The I/O thread is told by news. A verdict counts only if its question was asked after the last suspicion,
 * so an answer from before a handler's failure does not open the lanes again.
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct board;
struct parked_marks;
struct parked_user;
struct store;
struct store_watch;
struct worker_pool;

struct store_watch_options {
	struct store *store;
	struct worker_pool *pool; /* through which the I/O thread is woken */
	const char *const *lanes; /* client ids; they outlive the watch */
	size_t lane_count;
	size_t copies_max;   /* see parked_marks_read() */
	const char *host;    /* its client id, for the trial write; outlives the watch */
	struct board *board; /* store_seen_ms and store_back_ms are noted there */
};

/* What there is to know, of which the lists are told once. */
struct store_news {
	bool up;		     /* whether the store answers, as of the last verdict that counts */
	struct parked_marks *loaded; /* linked by next; the caller's */
	struct parked_user *due;     /* the caller's: parked_users_free() */
	size_t due_count;
};

/* Starts the thread. 0 and *ret; -errno. */
__attribute__((warn_unused_result)) int store_watch_new(
	const struct store_watch_options *options, struct store_watch **ret);

/* Stops the thread, after the question that is under way, and joins it. NULL is fine. */
void store_watch_free(struct store_watch *watch);

/* What is new. I/O thread. */
void store_watch_news(struct store_watch *watch, struct store_news *ret);

/* Asks what that lane has parked; it comes with the news, whatever the store says. False when out of memory.
 * I/O thread. */
bool store_watch_load(struct store_watch *watch, const char *lane_id);

/* A worker found the store away: not up until it has answered again; asks at once. I/O thread. */
void store_watch_suspect(struct store_watch *watch);

#endif
