/*
 * watch.h - what the supervisor looks at twice a second while a host runs: handlers past their deadlines, and memory.
 *
 * A handler is past its deadline when two things are true: it has run for longer, and the store has answered a question that was asked after the
 * deadline. While the store does not answer, handlers wait for it, and none is to blame. When it answers again they have their deadline anew. Time
 * in which the host or the supervisor was stopped does not count either. Failure: a thread that SIGABRT does not end takes the process with it, by
 * SIGKILL.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct board;
struct settings;

enum { WATCH_TICK_MS = 200 };

struct watch {
	int64_t looked_ms;
	int64_t since_ms;	/* no run counts as begun before that */
	int64_t kill_at_ms;	/* the host was told to die, and must have by then; INT64_MAX */
	int64_t may_replace_ms; /* not again before that */
	unsigned large;		/* looks in a row at which it was too large */
	bool frozen;		/* the host is stopped by a signal */
};

/* Nobody is watched. */
void watch_init(struct watch *watch);

/* A host was started. */
void watch_begin(struct watch *watch, int64_t now_ms);

/* The host was stopped (SIGSTOP), or goes on. */
void watch_freeze(struct watch *watch, bool frozen, int64_t now_ms);

/* Ends threads that are past their deadlines by SIGABRT, and the process by SIGKILL where that does not end
 * it. enforce: false while the host is stopping, which has a limit of its own. */
void watch_deadlines(struct watch *watch, struct board *board, pid_t pid, bool enforce, int64_t now_ms);

/* Whether the host's memory is above the limit, at several looks in a row, and not so soon again; then
 * *ret_bytes is what it is. */
bool watch_memory(struct watch *watch, pid_t pid, size_t limit, int64_t now_ms, size_t *ret_bytes);

#endif
