/*
 * loggly_event.h - an event as Loggly gets it: a line of the log with an id and the host's name put in front,
 * cut where it is too large; and how much of many events makes one request. Pure functions, any thread.
 *
 * Happy path: {"timestamp":..,...} becomes {"event_id":"RUN-7","host":"name","timestamp":..,...} and a line
 * end. Failure modes: an event that would be larger than LOGGLY_EVENT_MAX ends early, between two fields or
 * inside a text, and says "cut":true and how large it was; a line that is no object becomes the message of
 * one.
 */
#ifndef LOGGLY_EVENT_H
#define LOGGLY_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of an event with its line end. Loggly takes 1 MB. */
enum { LOGGLY_EVENT_MAX = 900 * 1000, LOGGLY_HOST_MAX = 256 };

struct loggly_source {
	uint64_t run;		    /* random: told apart from all other runs */
	char host[LOGGLY_HOST_MAX]; /* by loggly_source_init(): can stand in JSON as it is */
};

/* host_name: any text; what cannot stand in a host's name is replaced. */
void loggly_source_init(struct loggly_source *source, uint64_t run, const char *host_name);

/* Makes the event of a line (without its end); returns its size. number: grows by one with each event. */
size_t loggly_event_make(const struct loggly_source *source, uint64_t number, const char *line, size_t size,
	char ret[static LOGGLY_EVENT_MAX]);

/* The size of as many whole lines from the beginning as fit into `limit`, but at least the first. */
size_t loggly_part(const char *lines, size_t size, size_t limit);

#endif
