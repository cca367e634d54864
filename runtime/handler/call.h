/*
 * call.h - one run of one handler on one command: what is behind cashew.h.
 *
 * The caller (a worker thread, the I/O thread for light handlers, or a test) fills struct cashew_command from
 * the command, calls call_run(), and takes over the events and the reason, which live in the command's arena.
 * call_run() parses the payload as the handler wants it, runs the handler, and turns what it returned into an
 * end. Failure modes: a payload that is refused, a handler that returns garbage, memory that runs out: each
 * is an end.
 */
#ifndef CALL_H
#define CALL_H

#include "arena.h"
#include "cashew.h"
#include <stdint.h>

struct documents;
struct settings;
struct store;
struct store_client;

/* An event a handler asked for. Lives in the command's arena. */
struct call_event {
	struct call_event *next;
	const char *topic;
	const void *payload;
	uint32_t payload_size;
	/* the host's, zero at first: where the event stands on its way to the broker */
	struct call_event *previous;
	void *owner;
	const void *correlation; /* of the command that caused it; NULL: none */
	uint16_t correlation_size;
	const char *cause; /* its topic */
	struct call_event *mid_next;
	uint16_t mid; /* packet identifier on this connection */
};

/* What a command is; it does not change while handlers run. All pointers outlive the call. */
struct call_input {
	const char *topic;   /* "68946/get_apples" */
	const char *user;    /* "68946" */
	const char *command; /* "get_apples": what follows the first level */
	const void *payload; /* followed by a NUL */
	size_t payload_size;
	const char *response_topic; /* MQTT 5; NULL: none */
	const char *id;		    /* what cashew_id() says, of a schedule's run; NULL: see id.h */
	const void *correlation;    /* MQTT 5 Correlation Data; NULL: none */
	uint16_t correlation_size;
	unsigned char made_id[12]; /* the host's: no other command has it */
	unsigned attempt;	   /* 1 for the first run */
	int64_t slot_ms,
		since_ms; /* of a schedule's run, whose user is "": when it was due, and the run before it; Unix time */
};

/* What a run of a handler came to. */
enum call_end {
	CALL_DONE,
	CALL_REJECTED, /* reason is for the sender */
	CALL_RETRY,    /* reason is for the log; store_away tells that it was the store */
	CALL_FAILED,   /* reason is for the dead letter */
};

/* A handler's view of a command, and the state of this run. */
struct cashew_command {
	/* set by the caller */
	const struct call_input *input;
	const struct cashew_handler *handler;
	const struct settings *settings;
	struct arena *arena; /* the command's: events and reason live there */
	struct store *store; /* NULL where no handler that uses it is run */
	void *state;	     /* what the handler's init made for this thread */
	size_t event_max;
	/* set by the run */
	struct call_event *events, **events_end; /* in the order they were made */
	const char *reason;
	bool store_away;	 /* the store answered STORE_E_AWAY at least once */
	unsigned retry_after_ms; /* with CALL_RETRY: not before; 0: the host's own back-off */
	unsigned duration_us;	 /* how long the handler ran */
	/* private */
	struct arena scratch;  /* what the handler allocates for itself: gone when it returns */
	cashew_result failure; /* the first one of this run, which `reason` was given for; 0: none so far */
	json_t *json;
	const void *given; /* the payload as the handler's struct; NULL: it takes none */
	struct store_client *client;
	struct documents *
		documents; /* what cashew_find() and the others have read and let wait; NULL: they were not called */
	/* Writes what waits to be written, or fails; NULL: nothing waits. Set by who lets it wait. See ends_flush(). */
	void (*flush)(cashew_command *cmd);
	int64_t now_ms; /* what cashew_now() answers; 0: nobody has asked */
	const char *id; /* what cashew_id() answers; NULL: nobody has asked */
};

/*
 * Runs the handler once, in the calling thread; releases the store client and the JSON before it returns.
 * Events are kept only with CALL_DONE. With CALL_REJECTED the event "{user}/command_rejected" {command,
 * reason} is the only one in `events`. reason is NULL only with CALL_DONE. When the arena ran out of memory
 * the end is CALL_RETRY, whatever the handler said; the next run on the same arena starts without that mark.
 * Fields under "set by the run" need no initialisation.
 */
enum call_end call_run(struct cashew_command *cmd);

/*
 * Ends a command as CALL_REJECTED without running a handler: adds the command_rejected event. cmd->handler
 * may be NULL. As with call_run(), CALL_RETRY when out of memory, and CALL_FAILED where event_max has no room
 * for the event.
 */
enum call_end call_reject(struct cashew_command *cmd, const char *reason);

/*
 * The event that a sender gets whose command is dead: "{user}/command_failed" {command}. The reason is not for him. CALL_DONE, and the rest as
 * with call_reject().
 */
enum call_end call_tell_dead(struct cashew_command *cmd);

#endif
