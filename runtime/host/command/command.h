/*
 * command.h - one command, from its arrival to its durable end: what it is, and the states that it goes through.
 *
 *               its turn                     all handlers through, all events PUBACKed
 *    WAITING ------------> RUNNING --> COMMITTING ------------------------------> SETTLED
 *       |                   |   ^        |     |                                    ^  ^
 *       |                   v   |        v     |                                    |  |
 *       |                  RETRYING <----+     +--> BURYING: its dead letter is being written
 *       |                      |               |                                    |  |
 *       |                      v               +--> FINISHING: its document is going to be deleted
 *       +-------------------> STORING -----------------------------------------------+  |
 *        behind a backlog      its document is being written, to be run from the store   (from the store only)
 *
 *   WAITING    behind an earlier command of its user
 *   RUNNING    its handlers run, or it is in the workers' queue
 *   RETRYING   a handler or the broker met a transient failure, or memory ran out: again after a delay
 *   COMMITTING its events are on their way to the broker
 *   STORING    it is being written to the store, and goes on from there
 *   BURYING    its dead letter is being written; then its sender is told: COMMITTING once more
 *   FINISHING  it came from the store and has ended: its document has to go
 *   SETTLED    its end is durable: its PUBACK may leave
 *
 * A command that runs for long *steps aside*: its document is written while it runs on, and when that is answered
 * it is a command from the store. While it is being written, `stepping` is true.
 *
 * Commands belong to the I/O thread, but for RUNNING: then a worker has the part "the run". dispatch.c alone decides
 * what follows what; this file only refuses what the diagram does not have.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "arena.h"
#include "call.h"
#include "job.h"
#include "parked_commands.h"
#include "routes.h"
#include "store_waits.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct backlog;
struct host_lane;
struct place;
struct record;
struct user;

enum command_state {
	COMMAND_WAITING,
	COMMAND_RUNNING,
	COMMAND_RETRYING,
	COMMAND_COMMITTING,
	COMMAND_STORING,
	COMMAND_BURYING,
	COMMAND_FINISHING,
	COMMAND_SETTLED,
	COMMAND_STATES,
};

/* From best to worst: a command with several handlers takes the worst. Parked is no end of its handlers': it is run
 * again. */
enum command_end { COMMAND_DONE, COMMAND_REJECTED, COMMAND_DEAD, COMMAND_PARKED, COMMAND_ENDS };

/* Who waits for its end: the broker, for a PUBACK; nobody, at QoS 0; the store, which has its document. */
enum command_origin { COMMAND_FROM_BROKER, COMMAND_UNPROMISED, COMMAND_FROM_STORE };

enum { COMMAND_ARENA_SIZE = 256 };

struct command {
	struct job job; /* for the pools */
	struct host_lane *home;
	const struct route *route; /* NULL: no handler wants the topic */
	struct call_input input;
	const void *correlation; /* MQTT 5 Correlation Data; NULL: none */
	uint16_t correlation_size;
	size_t payload_cut_from; /* size of a payload that was too large to be kept; else 0 */
	uint64_t fingerprint;	 /* of topic, payload and correlation */
	uint64_t
		identity; /* the same, and who it is among equals: by packet identifier or _id; 0: cannot be told */
	enum command_origin origin;
	enum command_state state;
	struct place *place; /* whose PUBACK waits for it; NULL: none does (any more) */

	struct user *user; /* in whose line it is */
	struct command *user_previous, *user_next;
	bool through;		  /* its effects are made, or it will have none: the next one's turn */
	bool tried_alone;	  /* its turn has come, and it waits until nothing else runs */
	int64_t arrived_ms;	  /* monotonic */
	int64_t active_before_us; /* its user's, when it arrived: see users.h */

	int64_t failing_since_ms; /* first transient failure since it arrived or was claimed; 0: none */
	int64_t retry_since_ms, retry_at_ms;	  /* RETRYING; at INT64_MAX: when the store answers again */
	struct command *retry_next, **retry_link; /* NULL: in no list */
	unsigned events_pending;		  /* sent or waiting to be sent, not PUBACKed */
	struct call_event *refused;		  /* events to be sent again after a transient refusal */
	unsigned refusals;			  /* of events, in a row */

	struct parked_command *document; /* from the store: as it was read; NULL: it was not */
	struct record *record;		 /* its document as it is (to be) written; NULL: it is not */
	struct backlog *backlog;	 /* from the store, or being written there: its user's */
	struct command *backlog_next;	 /* in one of its lists */
	bool stepping;			 /* its document is being written while it goes on */
	bool unsteppable;		 /* the database refuses its document: it stays where it is */
	bool marked;			 /* it is known to have killed a host */
	unsigned base_attempts;		 /* those that its document has counted */
	unsigned crashes;		 /* that it is to blame for */
	bool buried;			 /* its dead letter is written, and its sender is being told */
	const char *schedule; /* it is a run of that schedule's, from the store; NULL: somebody's command */
	unsigned events_sent; /* of a schedule's: so far */

	/* the run: written by the thread that runs it */
	struct arena arena;
	uint32_t settled; /* a bit for each of the route's handlers */
	enum command_end end;
	unsigned attempts;
	struct call_event *events, **events_end; /* of this run, not yet handed to the egress */
	const char *reason;			 /* of a retry or a death; static or in the arena */
	const char *handler;			 /* whose reason that is; "" */
	bool store_away;
	unsigned retry_after_ms;  /* a handler wants the next run not before; 0: the host's own back-off */
	_Atomic bool alone;	  /* nothing else runs meanwhile */
	_Atomic int64_t begun_us; /* when a worker began this run; 0: none has; INT64_MAX: it has returned */
	int64_t ran_us;		  /* when it has returned: how long it ran, without its waits for the store */
	struct store_waits waits; /* of this run */
};

/* Moves it to that state, which must be one that may follow. */
void command_move(struct command *command, enum command_state next);

/* Whether all handlers of its route are through with it. */
bool command_all_settled(const struct command *command);

/* It ends like that without (another) run of its handlers. reason: static or in its arena. */
void command_settle_all(struct command *command, enum command_end end, const char *reason);

/* How long the run that is under way has lasted, without its waits for the store. 0: no worker has begun it. */
int64_t command_ran_us(const struct command *command, int64_t now_us);

/* The id of its document, which it has. */
const struct store_id *command_store_id(const struct command *command);

/* Frees what it holds, and it. It is in no list, and nobody has it. */
void command_free(struct command *command);

/* As the log, /status and the tests have them: "running", "done". They live for ever. */
const char *command_state_name(enum command_state state);
const char *command_end_name(enum command_end end);

#endif
