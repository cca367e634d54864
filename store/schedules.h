/*
 * schedules.h - how far each schedule has come: one document for each, for all hosts.
 *
 * Happy path: schedule_found() where a host meets a schedule that the database does not know; schedules_read() to see how far it is; schedule_begin()
 * when a run is due, which one of all hosts is told that it may; the run itself is a parked command with the run's id; schedule_end() when that is
 * through, before its document goes. Failure: a begin whose answer is lost may have been done; what is read next says so, and that run is open.
 *
 * A run that is open has to be found among the parked commands, or to be put there: who began it may have died in between. Every function can be
 * repeated. Times are the database's, in milliseconds since 1970. Any thread, one at a time for each client.
 */
#ifndef SCHEDULES_H
#define SCHEDULES_H

#include "store.h"

enum { SCHEDULE_NAME_SIZE = 65, SCHEDULE_END_SIZE = 12 };

enum schedule_error {
	SCHEDULE_E_TAKEN = 111, /* another host has begun a run since that was read, or one is open */
};

struct schedule_state {
	char name[SCHEDULE_NAME_SIZE];
	bool known;	     /* the database has it; else all below is zero */
	bool damaged;	     /* but somebody has changed its document by hand; likewise */
	int64_t slot_ms;     /* of the last run: when it was due; at first what the schedule counts from */
	int64_t since_ms;    /* of the last run: where it begins */
	struct store_id run; /* the last run's, and its parked command's */
	bool open;	     /* that run has not ended */
	bool ours;	     /* it was begun in the reader's name */
	int64_t begun_ms;    /* of the last run; INT64_MIN: there was none */
	int64_t ended_ms;    /* likewise */
	char end[SCHEDULE_END_SIZE]; /* "done", "dead"; "": none has ended */
	unsigned events;	     /* that it sent */
	unsigned ran_ms;	     /* how long its handler took */
	bool asked;		     /* somebody wants it to run now .. */
	struct store_id asks;	     /* .. with this question */
	struct store_id question;    /* which question the last run answers, or the open one; zeroes: none */
};

/* One for each name, in that order; with names as they are handed in. owner: whose runs are `ours`; "" for nobody's. 0 or a store error. */
STORE_USE_RESULT int schedules_read(struct store_client *client, const char *const *names, size_t count,
	const char *owner, struct schedule_state *ret_states);

/* The first time that a host meets it: it counts from that slot on. Does nothing where the database knows it. 0 or a store error. */
STORE_USE_RESULT int schedule_found(
	struct store_client *client, const char *name, int64_t slot_ms, int64_t since_ms);

/* A run that is to begin. */
struct schedule_run {
	const char *name;
	const struct schedule_state *before; /* as it was read: not open */
	int64_t slot_ms, since_ms;
	struct store_id id; /* store_new_id() */
	const char *owner;  /* the supervisor's random id */
};

/*
 * Begins it, unless anything of it has changed since `before` was read; a question that was asked by then is its to answer. 0: it is the caller's to be parked;
 * SCHEDULE_E_TAKEN; or a store error.
 */
STORE_USE_RESULT int schedule_begin(struct store_client *client, const struct schedule_run *run);

/* What a run came to. */
struct schedule_outcome {
	const char *end; /* "done" or "dead" */
	unsigned events, ran_ms;
};

/* The run has ended. Does nothing to one that is not open. 0 or a store error. */
STORE_USE_RESULT int schedule_end(struct store_client *client, const char *name, const struct store_id *run,
	const struct schedule_outcome *outcome);

/*
 * Asks the active host to run it now; the question is told by the state of the run that answers it. A question before it that no run has taken up is
 * replaced. 0; STORE_E_NOT_FOUND: no host has ever had such a schedule; or a store error.
 */
STORE_USE_RESULT int schedule_ask(
	struct store_client *client, const char *name, const struct store_id *question);

/* Takes the question back. *ret_taken: it was there; false: a run has taken it up, or another question has replaced it. 0 or a store error. */
STORE_USE_RESULT int schedule_unask(
	struct store_client *client, const char *name, const struct store_id *question, bool *ret_taken);

#endif
