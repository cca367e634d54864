/*
 * host_command.h - one command, from its arrival to the moment when its acknowledgement may leave.
 *
 *              its turn                  all events PUBACKed
 *   WAITING ------------> RUNNING ---> COMMITTING ------------> SETTLED
 *      ^                  |  ^  |           |                    ^
 *      |    taken back    |  |  +-----------+---> BURYING -------+
 *      +------------------+  |              |        | dead letter written
 *                            +-- RETRYING <-+--------+ (store away: until the lane is dropped)
 *                          delay over
 *
 *   WAITING     behind an earlier command of its user
 *   RUNNING     its handlers run, or it is in the workers' queue
 *   RETRYING    a handler or an event met a transient failure: again after a delay with jitter, a second in
 * all COMMITTING  its events are on their way to the broker BURYING     its dead letter is being written
 *   SETTLED     its end is durable: the acknowledgement may leave with the group's
 *
 * A command belongs to the I/O thread, but for RUNNING and BURYING, when it is the worker's that runs it; the
 * worker touches the part "the run" only. It is freed when it is settled, in no group, and not in the
 * in-flight table.
 */
#ifndef HOST_COMMAND_H
#define HOST_COMMAND_H

#include "arena.h"
#include "call.h"
#include "host_routes.h"
#include "store.h"
#include <stdbool.h>
#include <stdint.h>

struct host;
struct lane;
struct lane_user;

enum command_state {
	COMMAND_WAITING,
	COMMAND_RUNNING,
	COMMAND_RETRYING,
	COMMAND_COMMITTING,
	COMMAND_BURYING,
	COMMAND_SETTLED,
	COMMAND_STATES,
};

/* From best to worst: a command with several handlers takes the worst. */
enum command_end { COMMAND_DONE, COMMAND_REJECTED, COMMAND_DEAD, COMMAND_ENDS };

enum { COMMAND_RETRY_MS = 1000, COMMAND_ARENA_SIZE = 256 };

struct command {
	struct lane *lane;
	const struct route *route; /* NULL: no handler wants the topic */
	struct call_input input;
	const void *correlation; /* MQTT 5 Correlation Data; NULL: none */
	uint16_t correlation_size;
	size_t payload_cut_from; /* size of a payload that was too large to be kept; else 0 */
	uint16_t mid;		 /* the broker's packet identifier; 0 at QoS 0 */
	enum command_state state;
	bool attached;		  /* in the lane's group: its PUBACK is held */
	bool listed;		  /* in the lane's in-flight table */
	unsigned round;		  /* of the group's lingering, when it joined */
	int64_t failing_since_ms; /* first transient failure; 0: none */
	int64_t retry_at_ms;
	unsigned events_pending;    /* sent or waiting to be sent, not PUBACKed */
	struct call_event *refused; /* events to be sent again after a transient refusal */
	struct lane_user *user;	    /* while it waits, runs or retries; else NULL */
	struct command *user_next;
	struct command *group_next;
	struct command *table_next;
	struct command *retry_next, **retry_link; /* NULL: in no list */
	struct command *job_next;
	struct dead_letter letter; /* of BURYING */

	/* the run: written by the thread that runs it */
	struct arena arena;
	uint32_t settled; /* a bit for each of the route's handlers */
	enum command_end end;
	unsigned attempts;
	struct call_event *events, **events_end; /* of this run, not yet handed to the egress */
	const char *reason;			 /* of a retry or a death; static or in the arena */
	const char *handler;			 /* whose reason that is; "" */
	bool store_away;
	int bury_error;
	bool alone; /* nothing else runs meanwhile */
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

/* Frees it if nothing holds it any more. */
void command_release(struct command *command);

const char *command_state_name(enum command_state state);
const char *command_end_name(enum command_end end);

#endif
