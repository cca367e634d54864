/*
 * command.h - one command, from its arrival to the moment when its acknowledgement may leave.
 *
 *               its turn                  all events PUBACKed, all handlers through
 *    WAITING ------------> RUNNING --> COMMITTING ----------------------------> SETTLED
 *     |  ^  ^  taken back  |  ^  |       |    |                                  ^  ^
 *     |  |  +--------------+  |  +-------+    +-------> BURYING -----------------+  |
 *     |  |              RETRYING <---+   |    |            | dead letter written    |
 *     |  |  claimed     delay over       |    +-------> FINISHING ------------------+
 *     | CLAIMING                         |             (from the store only)        |
 *     |                                  v                                          |
 *     +-----------------------------> PARKING --------------------------------------+
 *      behind a parked one         written to the store; refused by it: BURYING, whose
 *                                  letter is refused in turn: PARKING, to be buried later
 *
 *   CLAIMING    it is being taken from the store
 *   WAITING     behind an earlier command of its user
 *   RUNNING     its handlers run, or it is in the workers' queue
 *   RETRYING    a handler or an event met a transient failure: again after a delay with jitter, a second in
 * all; or what the store has not taken, until the lane is dropped COMMITTING  its events are on their way to
 * the broker PARKING     it is being written to the store, to be run later BURYING     its dead letter is
 * being written FINISHING   it came from the store, and is being finished there SETTLED     its end is
 * durable: the acknowledgement may leave with the group's
 *
 * A command belongs to the I/O thread, but for the states in which a worker has it: CLAIMING, RUNNING,
 * PARKING, BURYING, FINISHING. The worker touches the part "the run" only. A command is freed when it is
 * settled: what its acknowledgement still needs is in its lane's struct held (host_group.h).
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "arena.h"
#include "call.h"
#include "dead_letters.h"
#include "job.h"
#include "routes.h"
#include "store.h"
#include <stdbool.h>
#include <stdint.h>

struct held;
struct host;
struct lane;
struct lane_user;
struct parked_backlog;
struct parked_command;

enum command_state {
	COMMAND_WAITING,
	COMMAND_RUNNING,
	COMMAND_RETRYING,
	COMMAND_COMMITTING,
	COMMAND_PARKING,
	COMMAND_BURYING,
	COMMAND_CLAIMING,
	COMMAND_FINISHING,
	COMMAND_SETTLED,
	COMMAND_STATES,
};

/* From best to worst: a command with several handlers takes the worst. Parked is no end of its handlers': it
 * is run again. */
enum command_end { COMMAND_DONE, COMMAND_REJECTED, COMMAND_DEAD, COMMAND_PARKED, COMMAND_ENDS };

/* Where it came from, and so who waits for its acknowledgement: the broker; nobody, at QoS 0; the store. */
enum command_origin { COMMAND_FROM_BROKER, COMMAND_UNPROMISED, COMMAND_FROM_STORE };

enum { COMMAND_RETRY_MS = 1000, COMMAND_ARENA_SIZE = 256 };

struct command {
	struct lane *lane;
	const struct route *route; /* NULL: no handler wants the topic */
	struct call_input input;
	const void *correlation; /* MQTT 5 Correlation Data; NULL: none */
	uint16_t correlation_size;
	size_t payload_cut_from; /* size of a payload that was too large to be kept; else 0 */
	enum command_origin origin;
	uint16_t mid; /* the broker's packet identifier; 0 where the broker waits for nothing */
	enum command_state state;
	struct held *held;	  /* by which its lane knows it; NULL: its lane does not, or no longer */
	int64_t failing_since_ms; /* first transient failure; 0: none */
	int64_t retry_at_ms;
	unsigned events_pending;    /* sent or waiting to be sent, not PUBACKed */
	struct call_event *refused; /* events to be sent again after a transient refusal */
	struct lane_user *user;	    /* while it waits, runs or retries; else NULL */
	struct command *user_next;
	struct command *retry_next, **retry_link; /* NULL: in no list */
	struct job job; /* of the worker pool */
	struct dead_letter letter;	/* of BURYING */
	bool suspect;			/* it may have killed a host */
	bool ahead;			/* it comes again, and came before what its user has parked */
	unsigned crashes;		/* that it is to blame for */
	uint64_t key;			/* board_key(): by which it is known when it comes again */
	int64_t position;		/* in the store, once it is parked; else 0 */
	struct parked_backlog *backlog; /* from the store, or PARKING: its user's */
	struct parked_command *record;	/* of PARKING: what is written; in the arena */

	/* the run: written by the thread that runs it */
	struct arena arena;
	uint32_t settled; /* a bit for each of the route's handlers */
	enum command_end end;
	unsigned attempts;
	struct call_event *events, **events_end; /* of this run, not yet handed to the egress */
	const char *reason;			 /* of a retry or a death; static or in the arena */
	const char *handler;			 /* whose reason that is; "" */
	bool store_away;
	bool unburied;		       /* the store has refused its dead letter before */
	int store_error;	       /* of what was written, or of the claim */
	struct parked_command *parked; /* from the store: as it was claimed */
	bool more;		       /* finished: its user has more */
	_Atomic bool alone;	       /* nothing else runs meanwhile */
};

/* A new one that handlers want: runs it here and now if it is light and nothing of its user is before it,
 * else queues it for the workers. I/O thread, as are all below. */
void command_dispatch(struct command *command);

/* It ends without a run: as a dead letter, or rejected, with an event that says why. */
void command_die(struct command *command, const char *reason);
void command_reject(struct command *command, const char *reason);

/* A worker is through with it, running or burying. */
void command_returned(struct command *command);

/* What became of one of its events. reason: NULL when the broker has PUBACKed it; permanent: it will be
 * refused again. */
void command_event_ended(
	struct command *command, struct call_event *event, const char *reason, bool permanent);

/* Its retry is due. */
void command_retry(struct command *command);

/* No worker had begun it: it waits again. */
void command_take_back(struct command *command);

/* Its connection is gone, and it has not begun, or waits for a retry: the broker will send it again. Frees
 * it. It is in no user's queue. */
void command_forget(struct command *command);

/* Its lane is dropped at the end of this turn, and it is left to the broker; where its connection is gone
 * already, or at QoS 0, it is forgotten at once. It has its user's turn, or is in no queue. */
void command_leave(struct command *command, const char *reason);

/* Counts an end in the account: when it is acknowledged, or has come from the store and ended there. */
void command_count(struct host *host, enum command_end end);

/* ---- For parking.c ---- */

/* Moves it to that state, which must be one that may follow. */
void command_move(struct command *command, enum command_state next);

/* To the worker pool, which has it until command_returned() or command_take_back(). */
void command_submit(struct command *command);

/* To the workers, to be run. */
void command_start(struct command *command);

/* The same, unless all its handlers are through with it: then on with what follows. */
void command_resume(struct command *command);

/* The next one of its user may start, if it had its turn. */
void command_end_turn(struct command *command);

/* Its end is durable. Frees it. */
void command_settle(struct command *command);

/* Frees it, in whatever state. Nothing holds it. */
void command_destroy(struct command *command);

const char *command_state_name(enum command_state state);
const char *command_end_name(enum command_end end);

#endif
