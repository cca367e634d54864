/*
 * rights_watch.h - whether the database lets the host at each collection that it needs.
 *
 * All are tried at the start, when anybody was refused anything, and as long as one is refused; else one after the other, so that it costs little. Failure:
 * one that is refused is noted in the figures and told in the log, as is that it is not any more. The store watch's thread.
 */
#ifndef RIGHTS_WATCH_H
#define RIGHTS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collections;
struct figures;
struct store_client;

struct rights_watch {
	/* Given; they outlive this. */
	const struct collections *needed; /* NULL: nothing is tried */
	struct figures *figures;
	unsigned every_ms; /* between trials of one */
	/* Its own; zero. */
	int64_t try_at_ms;  /* the next trial */
	size_t to_try;	    /* of those that are needed */
	bool all_granted;   /* as far as is known; false: not all have been tried, or one is refused */
	bool refused;	    /* the one that is tried next */
	unsigned refusals;  /* of whatever was asked, up to the last trial */
	int64_t hear_at_ms; /* before that time no further one leads to a trial of all */
};

/* Whether none is refused, as far as is known; where it is time for that, after a trial of one or of all. */
bool rights_watch_ask(struct rights_watch *watch, struct store_client *client);

#endif
