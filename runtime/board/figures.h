/*
 * figures.h - what the hosts do and have done, in numbers: the part of the board that /metrics, /status and `cashewd top` are made of.
 *
 * Every figure has one writer, who adds by a load and a store. There are no locks, no read-modify-write that other threads would wait for, and no
 * clock that is not read anyway. Readers are in the supervisor. They see each figure by itself: two of them may be of different moments. Counters
 * are of all hosts together and never fall. What says how things stand now is cleared when a host has died.
 *
 * Who writes: a row of `runs`, the thread with the slot of that number (BOARD_SLOTS). `store` and `schedules`, the store watch's thread. What the supervisor counts,
 * the supervisor. All else, the host's I/O thread.
 *
 * Handlers and lanes have their places by name, for all hosts: a host looks them up when it begins. Where there are more names than places, those
 * beyond share the last place, whose name is FIGURES_OTHERS.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FIGURES_SLOTS = 513, /* as many as the board has */
	FIGURES_HANDLERS = 128,
	FIGURES_LANES = 32,
	FIGURES_COLLECTIONS = 64,
	FIGURES_SCHEDULES = 64,
	FIGURES_NAME_SIZE = 64, /* a longer name is cut */
	FIGURES_BOUNDS = 20,
	FIGURES_ENDS = 4,
	FIGURES_CONNECTION_UP = 3, /* of enum connection_state, as is the next */
	FIGURES_CONNECTION_STATES = 5,
};

#define FIGURES_OTHERS "(others)"

/* The buckets' upper bounds in microseconds, rising; a last bucket takes what is longer. */
extern const uint32_t figures_bounds_us[FIGURES_BOUNDS];

/* How often something took how long. */
struct figures_histogram {
	_Atomic uint64_t counts[FIGURES_BOUNDS + 1]; /* each bucket by itself, not those below it as well */
	_Atomic uint64_t sum_us;
};

/* What one thread has run of one handler. */
struct figures_runs {
	_Alignas(64) _Atomic uint64_t ends[FIGURES_ENDS]; /* enum call_end: done, rejected, retry, failed */
	struct figures_histogram durations;		  /* of those, all; 0 where it was refused unrun */
};

struct figures_handler {
	char name[FIGURES_NAME_SIZE];
	_Atomic bool here;			 /* the host that lives runs it */
	_Atomic uint64_t commands[FIGURES_ENDS]; /* settled, enum command_end: done, rejected, dead, parked */
	_Alignas(64) _Atomic uint64_t crashed,
		hung; /* the supervisor: deaths of a host that it is to blame for */
};

/* A connection to the broker. */
struct figures_connection {
	_Atomic uint32_t state;	  /* enum connection_state; 0: not wanted */
	_Atomic bool standby;	  /* another host has its session */
	_Atomic bool old_version; /* the broker has welcomed it under MQTT 3.1.1 */
	_Atomic int64_t since_ms; /* UP: since when, by clock_ms(); else 0 */
	_Atomic uint64_t opened, lost;
};

struct figures_lane {
	char name[FIGURES_NAME_SIZE];
	_Atomic bool here; /* the host that lives has it */
	struct figures_connection connection;
	_Atomic uint32_t filters, granted; /* of those that it subscribes to, the ones granted at QoS 1 */
	_Atomic uint32_t
		session_expiry_s; /* for which the broker keeps its session, as far as it says; 0: it was never connected */
	_Atomic uint64_t held;	    /* commands whose PUBACK is held now */
	_Atomic uint64_t unsettled; /* of those, the ones without an end */
	_Atomic int64_t oldest_ms;  /* since when the oldest of those is there; 0: all have an end */
	_Atomic uint64_t dropped;   /* connections given up with what they held */
	_Atomic uint64_t
		sessions_lost; /* connections on which the broker had no session of this lane any more */
	_Atomic uint64_t acknowledged;	/* PUBACKs that have left */
	_Atomic uint64_t stepped_aside; /* commands that were slow and go on from the store */
	struct figures_histogram
		hold; /* how long a command was held, from its arrival until its PUBACK left */
};

struct figures_egress {
	struct figures_connection connection;
	_Atomic uint64_t unsent, awaiting; /* events that wait to be sent, and for their PUBACK */
	_Atomic uint64_t published, refused,
		repeated; /* PUBACKed; refused; sent again on another connection */
};

/* What the host has, all lanes together. */
struct figures_now {
	_Atomic int64_t turned_ms; /* when the I/O thread's loop turned last, by clock_ms() */
	_Atomic uint64_t commands; /* in memory, in whatever state */
	_Atomic uint64_t jobs;	   /* of those, the ones that workers run or will run next */
	_Atomic uint64_t parked;   /* claimed from the store */
	_Atomic uint64_t backlogs; /* users of whom commands are in the store, as far as the host knows */
	_Atomic uint64_t workers;
	_Atomic bool store_up, ready, stopping;
};

/* The store, as its watch sees it. */
struct figures_store {
	_Atomic bool writable; /* the last trial write was acknowledged */
	char needed[FIGURES_COLLECTIONS]
		   [FIGURES_NAME_SIZE]; /* the collections that the host needs; written before `refused` */
	_Atomic uint32_t
		refused; /* which of them the database does not let the host use, from 1; 0: none is known */
	_Atomic uint64_t failed;	  /* questions without a good answer */
	struct figures_histogram latency; /* of the question that is asked every second */
};

enum figures_schedule_end { FIGURES_NO_RUN, FIGURES_RUN_DONE, FIGURES_RUN_DEAD };

/* A schedule, as the store watch of the active host has read it from the database. Times without more are the database's, Unix time in milliseconds. */
struct figures_schedule {
	char name[FIGURES_NAME_SIZE]; /* written before `schedule_count` */
	_Atomic bool here;	      /* the host that lives is active, and knows how far it is */
	_Atomic bool open;	      /* its last run has not ended */
	_Atomic int64_t slot_ms;      /* when that was due */
	_Atomic uint32_t end;	      /* enum figures_schedule_end: of the last run that has ended */
	_Atomic int64_t next_ms;      /* when it is due next */
	_Atomic int64_t
		overdue_ms; /* since when, by clock_ms(), a run is due that has not ended; 0: none is */
	_Atomic uint64_t begun,
		skipped; /* runs that hosts here have begun; slots that they left out, as declared */
};

/* How hosts ended, and what the supervisor did about it. The supervisor. */
struct figures_hosts {
	_Atomic uint64_t stopped;   /* in order */
	_Atomic uint64_t crashed;   /* by a handler, or by the host itself */
	_Atomic uint64_t hung;	    /* ended because a handler was past its deadline */
	_Atomic uint64_t killed;    /* by others, without a mark */
	_Atomic uint64_t not_begun; /* could not begin */
	_Atomic uint64_t too_large; /* replaced for their memory */
	_Atomic int32_t pid;	    /* 0: none lives */
};

struct figures {
	_Atomic uint32_t handler_count, lane_count, schedule_count;
	_Atomic uint32_t rows; /* of `runs` that were ever used: the others are not to be touched, or they
				  become real memory */
	_Atomic uint64_t log_dropped; /* lines of hosts that found no room */
	struct figures_now now;
	struct figures_egress egress;
	struct figures_handler handlers[FIGURES_HANDLERS];
	struct figures_lane lanes[FIGURES_LANES];
	_Alignas(64) struct figures_store store;
	struct figures_schedule schedules[FIGURES_SCHEDULES];
	_Alignas(64) struct figures_hosts hosts;
	struct figures_runs runs[FIGURES_SLOTS][FIGURES_HANDLERS];
};

/* ---- Writing ---- */

/* More of something; only one thread writes that counter. */
static inline void figures_add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* How things stand now. Of whatever type; only one thread writes it. */
#define FIGURES_SET(figure, value) atomic_store_explicit(&(figure), value, memory_order_relaxed)

/* One more that took that long. */
static inline void figures_observe(struct figures_histogram *histogram, uint64_t us)
{
	unsigned bucket = 0;
	while (bucket < FIGURES_BOUNDS && us > figures_bounds_us[bucket])
		bucket++;
	figures_add(&histogram->counts[bucket], 1);
	figures_add(&histogram->sum_us, us);
}

/* A connection has come up, or is gone: one that was up, or another host has its session now. */
void figures_up(struct figures_connection *connection, int64_t now_ms);
void figures_down(struct figures_connection *connection, bool was_up, bool taken_over);

/* The place of a handler or lane of that name, a new one where it has none. Marks it as here. I/O thread of a
 * host that begins. */
unsigned figures_handler_place(struct figures *figures, const char *name);
unsigned figures_lane_place(struct figures *figures, const char *name);

/* The same of a schedule, but that it is not here before the store watch says so. */
unsigned figures_schedule_place(struct figures *figures, const char *name);

/* A host that begins has that many threads that run handlers: so many rows of `runs` are used. */
void figures_use_rows(struct figures *figures, unsigned rows);

/* A host that begins needs those collections: number i, from 0, has that name; from FIGURES_COLLECTIONS on it is not kept. I/O thread, before the
 * store watch begins. */
void figures_need_collection(struct figures *figures, size_t i, const char *name);

/* The database does not let the host use the collection of that number, or, from FIGURES_COLLECTIONS on, none that is known. The store watch. */
void figures_refuse_collection(struct figures *figures, size_t i);

/* How things stood with a host that is dead: forgotten, while counters stay. The supervisor, while none
 * lives. */
void figures_clear_host(struct figures *figures);

/* ---- Reading ---- */

#define FIGURES_GET(figure) atomic_load_explicit(&(figure), memory_order_relaxed)

/* A histogram at one moment, and how many it counts. */
struct figures_times {
	uint64_t counts[FIGURES_BOUNDS + 1];
	uint64_t sum_us, count;
};

/* What all threads have run of a handler. */
struct figures_run_sum {
	uint64_t ends[FIGURES_ENDS];
	struct figures_times durations;
};

/*
 * What stands there now, added up: of one histogram; and of a handler, by its number, over all rows that have run it. Others write meanwhile, so a
 * reading may hold a run's count without its time. Any thread, any process.
 */
void figures_read_times(const struct figures_histogram *histogram, struct figures_times *ret);
void figures_read_runs(const struct figures *figures, unsigned handler, struct figures_run_sum *ret);

/* The places in use; never more than there are, whatever a host has written. */
unsigned figures_handler_count(const struct figures *figures);
unsigned figures_lane_count(const struct figures *figures);
unsigned figures_schedule_count(const struct figures *figures);

/* Whether another host has the session or the lease of a lane, so that this one waits for its end. */
bool figures_standby(const struct figures *figures);

/* "done", "dead", or "none" before the first run has ended. */
const char *figures_schedule_end_name(uint32_t end);

/* The place of that name; -1: none has it. */
int figures_handler_find(const struct figures *figures, const char *name);

/* The collection that the database does not let the host use; NULL: none is known. The supervisor. */
const char *figures_refused_collection(const struct figures *figures);

/* The name of an enum connection_state; "?" for another number. */
const char *figures_connection_state_name(uint32_t state);

/* The duration below which a share of them, 0 to 1, were, in microseconds: within its bucket, as if they were
 * spread evenly. 0 where there are none; the last bound where it is beyond that. */
double figures_quantile_us(const struct figures_times *times, double share);

#endif
