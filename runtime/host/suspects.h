/*
 * suspects.h - commands that may have killed a host: who is to blame, and who is tried alone.
 *
 * A death that left a mark (a crash, a hang, or a death while nothing else ran) blames one command alone. It is
 * parked and tried again later, and is dead after CRASH_LIMIT such deaths. A death without a mark (kill -9, out of memory)
 * blames nobody; but a command that was there at CRASH_LIMIT deaths in a row, or that was alone at one, is *tried alone*: when its turn comes nothing
 * else is started, what runs gets SUSPECTS_QUIET_MS to end, then it runs, alone for as long at most; after that others
 * run beside it. Nobody waits for a command that never comes again. I/O thread only.
 *
 * Copies of what is dead for killing hosts are dead at once, for BOARD_BURIED_MS. That ends before its time when somebody replays its dead letter,
 * since whoever does so means it to run; and with the board, which each supervisor makes anew: another host program, which may be mended, comes
 * with another supervisor (program.h), or with --dev. The dead letter of such a copy says so.
 */
#ifndef SUSPECTS_H
#define SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

struct board;
struct command;

enum { SUSPECTS_QUIET_MS = 1000 };

enum suspects_verdict {
	SUSPECTS_INNOCENT,
	SUSPECTS_TO_BE_PARKED, /* it has killed a host since it was written down last */
	SUSPECTS_ALONE,	       /* it may have killed hosts */
	SUSPECTS_GUILTY,       /* it has done so too often */
};

/* Zero: there are none. */
struct suspects {
	struct command *waiting; /* linked by retry_next */
	struct command *alone;	 /* the one that is tried, or is going to be */
	bool started;
	int64_t begun_ms;	/* when it was to become quiet for it */
	int64_t quiet_until_ms; /* nothing else is started */
	int64_t rest_until_ms;	/* before the next one is tried: as long as it was quiet for the last one */
};

/* Whether nothing is known against it, before its turn is begun: notes nothing, so that suspects_judge() still finds what is new. */
bool suspects_innocent(const struct board *board, const struct command *command, unsigned crash_limit);

/* Judges a command whose turn has come, and notes its crashes, handler and reason in it. */
enum suspects_verdict suspects_judge(
	const struct board *board, struct command *command, unsigned crash_limit);

/* Of a command whose turn has come, before it is judged: of one that somebody has replayed, what is known against its like is forgotten if that is
 * dead. What it does itself from then on counts. */
void suspects_pardon(struct board *board, const struct command *command);

/* To be tried alone, in state WAITING. */
void suspects_add(struct suspects *suspects, struct command *command);

/* It has come back, or is forgotten; of any command. */
void suspects_end(struct suspects *suspects, struct command *command, int64_t now_ms);

/* Each turn of the loop. busy: whether anything runs. Returns the command that may start now, or NULL. */
struct command *suspects_serve(struct suspects *suspects, struct board *board, bool busy, int64_t now_ms);
int64_t suspects_due_ms(const struct suspects *suspects, int64_t now_ms);

/* Whether nothing else is to be started. */
bool suspects_quiet(const struct suspects *suspects, int64_t now_ms);

#endif
