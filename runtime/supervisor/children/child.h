/*
 * child.h - the life of the host process, as its supervisor sees it.
 *
 *                                            SIGHUP, too much memory
 *   WAITING --spawned--> STARTING --up--> RUNNING -------------> REPLACING
 *    ^  |                 |  | |            |  |                   |  |
 *    |  |                 |  | +-- SIGHUP --|--|-----------------> |  |
 *    |  +-- SIGTERM ------|--|----+         |  |                   |  |
 *    |                    |  |    |         |  |                   |  |
 *    +------- died -------+--|----|---------+--|-------------------+  |
 *                            |    |            |                      |
 *                            |    |         SIGTERM <-----------------+
 *                            |    v            v
 *                            |  ENDED <-died- STOPPING
 *                            +--> ^   (the first one refused its settings; not where it said that this may pass)
 *
 *   WAITING    there is no host; the next is started when its time has come
 *   STARTING   it reads its settings and opens what it needs
 *   RUNNING    it has begun
 *   REPLACING  it finishes what it has read, and another one follows
 *   STOPPING   it finishes what it has read, and none follows
 *   ENDED      the supervisor ends, with exit_code
 *
 * Pure: the caller spawns, signals and waits. When a host has died the next one is started at once if it had released anything, if a command is to
 * blame, or if it is the first in a row. Only hosts that die again and again before they have released anything are throttled: the second in a row
 * is followed after 100 ms, doubling up to 30 s. A host that has lived for a minute begins a new row.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum child_state {
	CHILD_WAITING,
	CHILD_STARTING,
	CHILD_RUNNING,
	CHILD_REPLACING,
	CHILD_STOPPING,
	CHILD_ENDED,
	CHILD_STATES,
};

struct child {
	enum child_state state;
	pid_t pid;    /* 0: there is none */
	bool ever_up; /* a host, not necessarily this one, has been up */
	int64_t started_ms;
	int64_t start_at_ms; /* of WAITING */
	int64_t kill_at_ms;  /* of REPLACING and STOPPING: it is not waited for any longer */
	unsigned failures; /* deaths in a row before anything was released, that no command is to blame for */
	int exit_code;	   /* of ENDED */
};

/* How it died. */
struct child_death {
	bool exited;   /* by itself, not by a signal */
	int code;      /* the exit code, or the signal */
	bool released; /* it had released an acknowledgement before */
	bool blamed;   /* a command is to blame, and is not going to be run for ever */
};

enum { CHILD_BACKOFF_MIN_MS = 100, CHILD_BACKOFF_MAX_MS = 30000, CHILD_LONG_LIFE_MS = 60000 };

/* None yet, and one may be spawned at once. And one was spawned: it is starting from now on. */
void child_init(struct child *child, int64_t now_ms);
void child_spawned(struct child *child, pid_t pid, int64_t now_ms);

/* None could be spawned: later. */
void child_not_spawned(struct child *child, int64_t now_ms);
void child_up(struct child *child);

/* Whether it is to be told to stop now; in any other state than STARTING and RUNNING that is not needed.
 * limit_ms: how long it may take. */
bool child_replace(struct child *child, int64_t now_ms, int64_t limit_ms);

/* The end is wanted. Whether there is a host to be told; the second time as well. */
bool child_stop(struct child *child, int64_t now_ms, int64_t limit_ms);

/*
 * It is gone, as `death` says. What follows is in its state: the next one after a while, or at once where this end was wanted; or CHILD_ENDED with
 * exit_code, where the end was asked for or the first one could not begin.
 */
void child_died(struct child *child, const struct child_death *death, int64_t now_ms);

/* As /status has it: "starting". It lives for ever. */
const char *child_state_name(enum child_state state);

#endif
