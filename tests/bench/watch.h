/*
 * watch.h - the CPU seconds that other processes use between two moments, and the machine as a whole.
 *
 * watch_parse() takes "host=12+13", which adds up two processes, for each of the command line's --watch. Between watch_begin() and watch_end()
 * counts, of each, the user and system time of all threads, also of those that have ended. A process that is gone counts nothing.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <sys/types.h>

enum { WATCH_MAX = 8, WATCH_PIDS = 8 };

struct watch {
	char name[32];
	pid_t pids[WATCH_PIDS];
	unsigned pid_count;
	double begin_s, used_s;
};

struct watches {
	struct watch each[WATCH_MAX];
	unsigned count;
	double machine_begin_s,
		machine_s; /* of all processors together, whoever used them, to a hundredth of a second */
};

/* One more; false where the text is bad, or there are WATCH_MAX. */
bool watch_parse(const char *text, struct watches *watches);

void watch_begin(struct watches *watches);
void watch_end(struct watches *watches);

/* Prints {"host":1.5,"broker":2.5}, the seconds of each, to standard output. */
void watch_print(const struct watches *watches);

#endif
