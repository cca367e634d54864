/*
 * board.h - what the supervisor and its hosts share: memory that outlives a host.
 *
 * It holds the account of all hosts together and their figures (figures.h), a slot for each thread that runs handlers, the record of a crash, the
 * commands that have killed a host (marks), and those that ran when one was killed (near). A thread writes its slot before a handler runs. When the
 * host has died, the supervisor reads there what was running. On the way of a command there are no locks, no allocations and no system calls. The
 * supervisor makes the board and hands its descriptor on. The memory lasts as long as either process lives.
 *
 * Who writes: an account's counter, the I/O thread. A slot, its own thread, but for the state `overdue`, which is the supervisor's. The crash
 * record, the first thread of the host that dies. Marks and near, the supervisor while no host lives, and else the I/O thread.
 */
#ifndef BOARD_H
#define BOARD_H

#include "figures.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	BOARD_SLOTS = FIGURES_SLOTS, /* WORKERS at most, and the I/O thread, whose slot is number 0 */
	BOARD_HANDLER_SIZE = 64,
	BOARD_TOPIC_SIZE = 160, /* a longer topic is cut */
	BOARD_WHAT_SIZE = 64,
	BOARD_OWNER_SIZE = 33,
	BOARD_MARKS = 1024,
	BOARD_NEAR = 512,
	BOARD_BURIED_MS = 10 * 60 * 1000, /* for so long a copy of a buried command is dead at once */
	BOARD_TRIAL_SIZE = 512,
	BOARD_BACKTRACE_SIZE = 6 * 1024,
};

/* What became of the commands, over all hosts. */
struct board_account {
	_Atomic uint64_t done, rejected, dead,
		parked;		       /* acknowledged, by end; rejected ones without a promise too */
	_Atomic uint64_t joined;       /* redelivered copies that joined their first */
	_Atomic uint64_t ignored;      /* retained ones */
	_Atomic uint64_t qos0;	       /* run without a promise */
	_Atomic uint64_t qos0_dropped; /* of those, the ones that failed, or were too many */
	_Atomic uint64_t left;	       /* read, but left to the broker unacknowledged when a host stopped */
};

/* A run of one handler on one command. */
struct board_run {
	char handler[BOARD_HANDLER_SIZE];
	char topic[BOARD_TOPIC_SIZE];
	uint64_t fingerprint; /* of the command's content */
	uint64_t identity;    /* of this command alone: see struct board_entry */
	int64_t started_ms;   /* clock_ms() */
	uint32_t deadline_ms;
	uint32_t attempt; /* 1 for the first */
	uint32_t crashes; /* deaths that the host knows it to be to blame for */
	int32_t tid;	  /* of the thread */
	bool alone;	  /* nothing else runs: what kills the host now is this */
};

/* A slot is idle, or runs; the supervisor marks one that runs too long. */
enum board_slot_state { BOARD_SLOT_IDLE, BOARD_SLOT_RUNNING, BOARD_SLOT_OVERDUE };

struct board_slot {
	_Alignas(64) _Atomic uint64_t
		state; /* enum board_slot_state in the low two bits, above them the run's number */
	struct board_run run;
};

/* What the dying thread could still write down. */
enum board_crash_kind { BOARD_CRASH_NONE, BOARD_CRASH_SIGNAL, BOARD_CRASH_EXIT };

struct board_crash {
	_Atomic int claimed; /* by the first thread that dies */
	_Atomic int kind;    /* enum board_crash_kind; set when all but the backtrace is written */
	int slot;	     /* -1: no handler ran in that thread */
	int number;	     /* the signal, or the code given to exit() */
	uint64_t address;    /* of the fault, where the signal has one */
};

/* A command that has killed a host. */
struct board_mark {
	uint64_t fingerprint;
	int64_t since_ms;	 /* of the last death; monotonic, as all times here */
	int64_t buried_until_ms; /* it is a dead letter, and until then its copies are dead at once; 0: it is not */
	unsigned crashes;	 /* deaths that it alone is to blame for */
	bool silent; /* the last of them left no trace, it was only known since the command ran alone */
	char handler[BOARD_HANDLER_SIZE];
	char what[BOARD_WHAT_SIZE]; /* "SIGSEGV", "hung", "exit(3)", "SIGKILL" */
};

/* A command that ran when a host died and left no trace of why. */
struct board_near {
	uint64_t identity;
	int64_t since_ms; /* of the last such death */
	unsigned deaths;  /* so many in a row; the command has not ended in between */
};

struct board {
	char owner[BOARD_OWNER_SIZE]; /* random, of this supervisor; text */
	pid_t supervisor;
	_Atomic int
		ending; /* the supervisor ends: no host follows this one. The supervisor writes it before it says so to the host */
	_Atomic unsigned hosts;	       /* started so far, this one among them */
	_Atomic int host_up;	       /* this host's settings could be used, and it has begun */
	_Atomic int64_t store_seen_ms; /* when the last question that the store answered was asked */
	_Atomic int64_t
		store_back_ms; /* when it last answered after it had not, or had taken long; written before store_seen_ms */
	_Atomic uint64_t released; /* PUBACKs of this host that have left; the I/O thread counts them */
	struct board_account account;
	struct board_crash crash;
	_Atomic unsigned mark_count, near_count;
	struct board_mark marks[BOARD_MARKS];
	struct board_near near[BOARD_NEAR];
	struct board_slot slots[BOARD_SLOTS];
	struct figures figures;
	char trial[BOARD_TRIAL_SIZE]; /* why new settings cannot be used: see board_note_trial() */
	/* Last, so that what is written through the descriptor from here on (backtrace_symbols_fd()) stays
	 * inside. */
	char backtrace[BOARD_BACKTRACE_SIZE];
};

/* ---- Life ---- */

/* Makes a board; the descriptor is the caller's and close-on-exec. 0 or a negative errno. */
__attribute__((warn_unused_result)) int board_new(struct board **ret, int *ret_fd);

/* Maps the board of a descriptor that was inherited. 0; -EINVAL where it is no board; a negative errno. */
__attribute__((warn_unused_result)) int board_map(int fd, struct board **ret);

/* NULL is fine. */
void board_unmap(struct board *board);

/* Makes everything that belongs to one host as it was before the first: slots, crash record, what it has released. The supervisor, while no host
 * lives. */
void board_clear_host(struct board *board);

/* Why the trial of new settings fails, without secrets: the first such note stays, cut where it is too long. The supervisor empties board->trial
 * before it starts a trial, and reads it when that process has ended. The main thread of the trial. */
void board_note_trial(struct board *board, const char *reason);

/* ---- Counters ---- */

/* One more; only one thread writes that counter. */
static inline void board_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* One more command has ended. end: enum command_end, which is done, rejected, dead, parked. The I/O thread. */
void board_count_command(struct board *board, unsigned end);

static inline uint64_t board_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- Slots ---- */

/* What board_slot_enter() is told; the texts are copied. */
struct board_entry {
	const char *handler, *topic;
	uint64_t fingerprint; /* by which a copy is known */
	/* By which this command is known again after a death, and no equal neighbour: fingerprint() of its lane, its packet identifier (of one from
	 * the store its _id) and its fingerprint. */
	uint64_t identity;
	unsigned attempt, deadline_ms;
	unsigned crashes; /* that its document tells of: a new supervisor's board knows of none */
	bool alone;
};

/* Before a handler runs, in the thread that runs it. */
void board_slot_enter(struct board_slot *slot, const struct board_entry *entry);

/* After it has returned. Does not return where the supervisor has found it overdue: the thread waits for the
 * signal. */
void board_slot_leave(struct board_slot *slot);

/* Something else runs now beside what was entered alone: nobody is to blame for what kills the host without a
 * mark. The I/O thread. */
void board_not_alone(struct board *board);

static inline enum board_slot_state board_slot_state(const struct board_slot *slot)
{
	return (enum board_slot_state)(atomic_load_explicit(&slot->state, memory_order_acquire) & 3);
}

/* How many slots hosts have used so far, from the first on; never more than there are. The others are not to
 * be looked at: that would make them real memory, and be slow. */
static inline unsigned board_slots_used(const struct board *board)
{
	const unsigned rows = FIGURES_GET(board->figures.rows);
	return rows < BOARD_SLOTS ? rows : BOARD_SLOTS;
}

/* What a slot runs now: false where it runs nothing, or something else than a moment ago. The supervisor. */
__attribute__((warn_unused_result)) bool board_slot_read(
	const struct board_slot *slot, struct board_run *ret);

/* Marks a slot as overdue if it has been running since before now_ms less its deadline; since_ms: nothing
 * counts as started before that. True: it is marked, from now or before, and `ret_first` tells which. */
bool board_slot_expire(struct board_slot *slot, int64_t now_ms, int64_t since_ms, bool *ret_first);

/* ---- Marks ---- */

/* The mark of that command; NULL: it has none. Valid until the next change of the table. */
const struct board_mark *board_mark_find(const struct board *board, uint64_t fingerprint);

/* Whether there are any: one load, to spare the work of a search. */
static inline bool board_marks_any(const struct board *board)
{
	return atomic_load_explicit(&board->mark_count, memory_order_relaxed) != 0;
}

/* Whether it is a dead letter, for less than BOARD_BURIED_MS. */
static inline bool board_mark_is_buried(const struct board_mark *mark, int64_t now_ms)
{
	return now_ms < mark->buried_until_ms;
}

/* The command has ended well. A mark that is not there, or is of a buried command, stays as it is. The I/O thread. */
void board_mark_clear(struct board *board, uint64_t fingerprint);

/* The command is a dead letter since it has killed hosts: its copies are dead at once for BOARD_BURIED_MS. Makes the mark where there is none. The
 * I/O thread. */
void board_mark_buried(struct board *board, uint64_t fingerprint, int64_t now_ms);

/* Its copies are run again, as if it had never killed a host. A mark that is not there, or is of a command that is not buried, stays as it is.
 * The I/O thread. */
void board_mark_unbury(struct board *board, uint64_t fingerprint);

/* One more death that this run is to blame for. silent: nothing told so but that it ran alone. Returns all its deaths: more than those of the mark
 * and those of run->crashes. A full table forgets its oldest mark. The supervisor. */
unsigned board_mark_add(
	struct board *board, const struct board_run *run, const char *what, bool silent, int64_t now_ms);

/* ---- Near ---- */

/* At how many deaths in a row that command ran. */
unsigned board_near_deaths(const struct board *board, uint64_t identity);

/* Whether there are any: one load, to spare the work of a search. */
static inline bool board_near_any(const struct board *board)
{
	return atomic_load_explicit(&board->near_count, memory_order_relaxed) != 0;
}

/* Removes it from the table; board_near_forget() is what the host calls. */
void board_near_remove(struct board *board, uint64_t identity);

/* The command has ended, however. Where no command is near that is one load. The I/O thread. */
static inline void board_near_forget(struct board *board, uint64_t identity)
{
	if (board_near_any(board))
		board_near_remove(board, identity);
}

/* One more death at which it ran; returns all in a row. A full table forgets the one whose last death is the longest ago. The supervisor. */
unsigned board_near_add(struct board *board, uint64_t identity, int64_t now_ms);

/* ---- Both tables ---- */

/* Forgets what has not been seen since then, as it never came again, and marks of commands that were buried for long enough. The
 * supervisor before it starts a host; the I/O thread now and then, so that no mark outlives its burial while it runs. */
void board_forget(struct board *board, int64_t before_ms, int64_t now_ms);

#endif
