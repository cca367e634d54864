/*
 * suspects.h - commands that may have killed a host: told from others when they arrive, and tried alone.
 *
 * The board has an entry for each: the supervisor has made it of what was running when the host died. Such a
 * command is parked at once, so that nothing waits for it, and tried from the store, one at a time: the lanes
 * stop reading and nothing is started until nothing else runs, SUSPECTS_QUIET_MS at most; then it is started,
 * and all goes on when it has come back, or after SUSPECTS_QUIET_MS. So whoever dies alone is to blame. When
 * it ends well, its entry is cleared; after CRASH_LIMIT crashes it is buried without being run. I/O thread
 * only.
 */
#ifndef SUSPECTS_H
#define SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

struct command;
struct host;

enum { SUSPECTS_QUIET_MS = 500 };

/* Zero: there are none. */
struct suspects {
	struct command *waiting; /* linked by user_next */
	struct command *alone;	 /* the one that is tried, or is going to be */
	bool started;
	int64_t begun_ms;	/* when it was to become quiet for it */
	int64_t quiet_until_ms; /* nothing else is started */
	int64_t rest_until_ms;	/* before the next one is tried: as long as it was quiet for the last one */
};

/* Marks a command that may have killed a host. True: it has done so CRASH_LIMIT times, and is being buried. */
bool suspects_judge(struct command *command);

/* To be tried, in state WAITING. */
void suspects_add(struct host *host, struct command *command);

/* It has come to its end, or is forgotten; of any command from the store. */
void suspects_end(struct host *host, const struct command *command);

/* Each turn of the loop. */
void suspects_serve(struct host *host);
int64_t suspects_due_ms(const struct host *host);

/* Whether nothing else is to be started. */
bool suspects_quiet(const struct host *host);

#endif
