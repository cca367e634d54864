/*
 * board.h - what the supervisor and its hosts share: memory that outlives a host.
 *
 * It holds the account of all hosts together and their figures (figures.h), a slot for each thread that runs
 * handlers, the record of a crash, and the table of suspects. A thread writes its slot before a handler runs;
 * when the host has died, the supervisor reads there what was running. No locks, no allocation, no system
 * call on the way of a command. The supervisor makes the board and hands its descriptor on; the memory lasts
 * as long as either lives.
 *
 * Who writes: an account's counter, the I/O thread; a slot, its own thread, but for the mark `overdue`, which
 * is the supervisor's; the crash record, the first thread of the host that dies; the suspects, the supervisor
 * while no host lives, and else the I/O thread.
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
	BOARD_SUSPECTS = 1024,
	BOARD_BACKTRACE_SIZE = 6 * 1024,
};

/* What became of the commands, over all hosts. */
struct board_account {
	_Atomic uint64_t done, rejected, dead, parked; /* acknowledged, by end */
	_Atomic uint64_t joined;		       /* redelivered copies that joined their first */
	_Atomic uint64_t ignored;		       /* retained ones */
	_Atomic uint64_t qos0;			       /* run without a promise */
	_Atomic uint64_t qos0_dropped;		       /* of those, the ones that failed, or were too many */
	_Atomic uint64_t left; /* read, but left to the broker unacknowledged when a host stopped */
};

/* A run of one handler on one command. */
struct board_run {
	char handler[BOARD_HANDLER_SIZE];
	char topic[BOARD_TOPIC_SIZE];
	uint64_t key;	    /* fingerprint() of the command */
	int64_t started_ms; /* clock_ms() */
	uint32_t deadline_ms;
	uint32_t attempt; /* 1 for the first */
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

/* A command that may have killed a host. */
struct board_suspect {
	uint64_t key;
	int64_t since_ms; /* Unix time of the last death it is suspected of */
	unsigned crashes; /* deaths that it is to blame for */
	char handler[BOARD_HANDLER_SIZE];
	char what[BOARD_WHAT_SIZE]; /* "SIGSEGV", "hung", "exit(3)", "killed" */
};

struct board {
	char owner[BOARD_OWNER_SIZE]; /* random, of this supervisor; text */
	pid_t supervisor;
	_Atomic unsigned hosts;	       /* started so far, this one among them */
	_Atomic int host_up;	       /* this host's settings could be used, and it has begun */
	_Atomic int64_t store_seen_ms; /* when the last question that the store answered was asked */
	_Atomic int64_t store_back_ms; /* when it last answered after it had not, or had taken long; written
					  before store_seen_ms */
	struct board_account account;
	struct board_crash crash;
	_Atomic unsigned suspect_count;
	struct board_suspect suspects[BOARD_SUSPECTS];
	struct board_slot slots[BOARD_SLOTS];
	struct figures figures;
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

/* Makes everything that belongs to one host as it was before the first: slots, crash record. The supervisor,
 * while no host lives. */
void board_clear_host(struct board *board);

/* ---- Counters ---- */

/* One more; only one thread writes that counter. */
static inline void board_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

static inline uint64_t board_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- Slots ---- */

/* What board_slot_enter() is told; the texts are copied. */
struct board_entry {
	const char *handler, *topic;
	uint64_t key;
	unsigned attempt, deadline_ms;
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

/* ---- Suspects ---- */

/* The entry of that command; NULL: it is none. Valid until the next change of the table. */
const struct board_suspect *board_suspect_find(const struct board *board, uint64_t key);

/* Whether there are any: one load, to spare the work of a key. */
static inline bool board_suspects_any(const struct board *board)
{
	return atomic_load_explicit(&board->suspect_count, memory_order_relaxed) != 0;
}

/* It ended well, or is buried. */
void board_suspect_clear(struct board *board, uint64_t key);

/* Adds the run's command, or more crashes to it, and returns all its crashes. now_ms: Unix time. The
 * supervisor. A full table forgets the oldest. */
unsigned board_suspect_add(
	struct board *board, const struct board_run *run, unsigned crashes, const char *what, int64_t now_ms);

/* Forgets those that nothing has come of since then: they never came again. */
void board_suspects_expire(struct board *board, int64_t before_ms);

#endif
