/*
 * storing.h - what the host writes to the store, and reads from it, for a backlog or a dead letter: a job for a thread that is no worker.
 *
 * Appends and finishes of several users that wait at the same time go together, as one operation of the database: what a backlog costs is its
 * documents, not a round trip for each user.
 *
 * Happy path: the I/O thread fills in a struct storing, submits its job to the pool that storing_pool_new() made, and reads the outcome when it
 * is collected. Inputs are the caller's, and stay as they are until then. Failure: storing->error; the words are in the log. What could not be
 * done is for the caller to repeat: every kind can be.
 */
#ifndef STORING_H
#define STORING_H

#include "dead_letters.h"
#include "parked_commands.h"
#include "pool.h"
#include "schedules.h"

struct store;

enum storing_kind {
	STORING_APPEND,	  /* commands, count; leased: on the first of them. -> failed */
	STORING_CLAIM,	  /* lane, user. -> batch */
	STORING_FINISH,	  /* user, done, count, next; leased: on next */
	STORING_POSTPONE, /* first, delay_ms */
	STORING_RENEW,	  /* user, next: the first, that carries the lease */
	STORING_RELEASE,  /* user, next: likewise */
	STORING_BURY,	  /* letter */
	STORING_KINDS,	  /* how many */
};

struct storing {
	struct job job; /* first; storing_begin() sets it */
	enum storing_kind kind;
	void *owner; /* the caller's; not looked at */

	/* what each kind needs */
	const char *lane;
	const char *user;
	struct backlog_lease lease; /* of all but BURY */
	bool leased;
	bool alone; /* it does not go together with others: it has failed before, and together it may be too much at once */
	const struct parked_command *const *commands;
	const struct store_id *done;
	size_t count;
	const struct store_id *next; /* FINISH: NULL where none is known to stay */
	const struct parked_command *first;
	unsigned delay_ms;
	const struct dead_letter *letter;
	const char *
		schedule; /* FINISH: whose run the only one that is done was, and what that came to; NULL: nobody's */
	struct schedule_outcome schedule_outcome;

	/* the outcome */
	int error; /* 0, a store error, or, of CLAIM and RENEW, an enum parked_error */
	size_t failed; /* APPEND that ended in STORE_E_PERMANENT: which was refused; those before it are written */
	struct parked_batch batch; /* CLAIM: the caller's, to be freed by parked_batch_free() */
};

/* Makes it a job of that kind; all else is empty. */
void storing_begin(struct storing *storing, enum storing_kind kind, void *owner);

/* Does it with that client, and with it those that joined it (storing->job.next). Any thread. */
void storing_run(struct storing *storing, struct store_client *client);

/* Whether they may be done together. */
bool storing_joins(const struct storing *first, const struct storing *other);

/* As the log has it: "append". It lives for ever. */
const char *storing_kind_name(enum storing_kind kind);

/* Threads that run such jobs, each with a client of the store for as long as a job lasts. The store outlives the pool. 0 and *ret, to be freed by
 * pool_free(); -errno. */
__attribute__((warn_unused_result)) int storing_pool_new(
	struct store *store, unsigned threads, struct pool **ret);

#endif
