/*
 * parked_commands.h - the backlogs: the commands of a user on a lane that are run from the store, in the order of their positions.
 *
 * Happy path: parked_commands_append() begins a backlog or adds to it; parked_commands_claim() takes the lease on it and reads its first part;
 * the commands are run one by one, meanwhile parked_commands_renew(); parked_commands_finish() removes those that are done. On a failure
 * parked_commands_postpone(), at a stop parked_commands_release().
 *
 * The lease stands on the first document and covers those behind it. Only its holder runs, finishes or postpones any of them. It is in a
 * supervisor's name, and the same owner takes it over at once: so a supervisor's next host goes on where the last one was killed.
 *
 * Every function can be repeated until it is answered, and repairs what a crash or a lost answer left half done. Times handed in and given back
 * are spans in milliseconds; what is written is the database's time (store_now_ms()). Any thread, one at a time for each client.
 */
#ifndef PARKED_COMMANDS_H
#define PARKED_COMMANDS_H

#include "store.h"

struct parked_command {
	struct store_id id; /* store_new_id(), or derived from a dead letter's */
	const char *lane;   /* client id of the session that it came by */
	const char *user;
	const char *topic;
	int64_t position; /* order within lane and user: the database's microseconds, always above the lane's highest */
	const void *payload; /* raw; of one that is read: a NUL behind it, and never NULL */
	size_t payload_size;
	const void *correlation; /* NULL: none */
	size_t correlation_size;
	const char *response_topic; /* NULL: none */
	const char *const *settled; /* names of the handlers that are through with it */
	size_t settled_count;
	const char *end; /* the worst end of those: "done", "rejected" or "dead" */
	unsigned attempts;
	unsigned crashes;
	bool replayed;	     /* somebody made it of a dead letter, to have it run once more */
	const char *handler; /* of the last failure; "" */
	const char *reason;
	/* Of one that is appended: it is not run before that span from now. Of one that is read: the same, not more than 0 when it is due. */
	int64_t due_in_ms;
	/* Of one that is appended: others of its user are before it, so it is due when it is the first. If nobody has come to it in some minutes, its
	 * user shows up in parked_commands_due(). A first one that says so is run all the same. */
	bool behind;
};

struct backlog_lease {
	const char *owner;
	unsigned lease_ms; /* from now */
};

enum parked_error {
	PARKED_E_NONE = 101,  /* the user has no parked command on the lane */
	PARKED_E_LATER = 102, /* the first is not due, or another owner has it */
};

/*
 * Appends the commands, of any users, in that order. lease: set on the first of them, which its owner runs at once (it has stepped aside); NULL: none.
 * An id that is there already is that command, written by a call before. What a call has written when it fails is a beginning of the list, so that
 * the same call may be repeated, or, where the broker sends them again, no command has overtaken another.
 * 0: all are written. STORE_E_PERMANENT: the database refuses number *ret_failed (too large, against a validator or an index): those before it are
 * written, it and those behind it are not. Else a store error: the outcome is not known.
 */
STORE_USE_RESULT int parked_commands_append(struct store_client *client,
	const struct parked_command *const *commands, size_t count, const struct backlog_lease *lease,
	size_t *ret_failed);

enum { PARKED_BATCH_MAX = 100, PARKED_BATCH_BYTES = 1024 * 1024 };

struct parked_batch {
	struct parked_command **commands; /* in order; whoever takes one out puts NULL there */
	size_t count;
	bool more;	  /* the user may have more behind them */
	int64_t later_ms; /* of PARKED_E_LATER: when it is worth to ask again, a span from now */
};

/*
 * Takes the lease on a user's backlog and reads its beginning: at most count_max commands and bytes_max of payload (0: PARKED_BATCH_MAX,
 * PARKED_BATCH_BYTES), the first always. A lease of the same owner is taken over. Counts no attempt. 0 and *ret, to be freed by
 * parked_batch_free(); PARKED_E_NONE; PARKED_E_LATER, with ret->later_ms; or a store error. After an error the lease may be the owner's: ask
 * again, or let it end. In all cases but 0 ret->commands is NULL.
 */
STORE_USE_RESULT int parked_commands_claim(struct store_client *client, const char *lane, const char *user,
	const struct backlog_lease *lease, size_t count_max, size_t bytes_max, struct parked_batch *ret);

/* Frees those that were not taken out, too. */
void parked_batch_free(struct parked_batch *batch);
void parked_command_free(struct parked_command *command);

/* What is done of one user's backlog. */
struct parked_finish {
	const char *user;
	const struct store_id *
		done; /* in the order of their positions; the user's own, as parked_commands_claim() gave them: not asked again */
	size_t count;
	const struct store_id *
		next; /* the first that stays, on which the lease is set before; NULL: none is known to stay */
	const struct backlog_lease *lease; /* NULL: it is not to go on; else alike in all of one call */
};

/*
 * Removes commands that are done, of one user or of several at once, in the order given: a crash in between leaves an end of a backlog, never a
 * hole. Of several of one user, those not yet removed are without a lease for that moment: another owner who claims then runs them once more, in
 * order. One that is gone already counts as removed. 0 or a store error; then it is not known which are removed, and the call may be repeated, for
 * all or for each by itself.
 */
STORE_USE_RESULT int parked_commands_finish(
	struct store_client *client, const struct parked_finish *finishes, size_t count);

/*
 * The user's first is not run before delay_ms from now, nor is what follows it; its new attempts, crashes, settled, end, handler and reason are kept,
 * and the lease is given up. Does nothing to one that another owner has claimed since, or that is gone. 0 or a store error.
 */
STORE_USE_RESULT int parked_commands_postpone(struct store_client *client, const struct parked_command *first,
	const char *owner, unsigned delay_ms);

/* Holds the lease for that long from now. 0; PARKED_E_LATER: it is not the owner's any more, or the command is gone; or a store error. */
STORE_USE_RESULT int parked_commands_renew(struct store_client *client, const char *user,
	const struct store_id *first, const struct backlog_lease *lease);

/* Gives the lease back: the backlog is due, for any owner. 0 also where it was not the owner's; or a store error. */
STORE_USE_RESULT int parked_commands_release(
	struct store_client *client, const char *user, const struct store_id *first, const char *owner);

/*
 * The user's command is of `lane` from now on, due, if it is of another one, has been due for since_ms, and nobody holds a lease on it: whoever served
 * that lane is not there any more. *ret_moved: that was so. Does nothing to any other. For a backlog of one command. 0 or a store error.
 */
STORE_USE_RESULT int parked_commands_move(struct store_client *client, const char *user,
	const struct store_id *id, const char *lane, unsigned since_ms, bool *ret_moved);

/* Called for each user of a lane who has a backlog. due_in_ms: of its first, as in struct parked_command; 0 where the owner asking holds its lease. */
typedef void (*parked_backlog_visitor)(void *context, const char *user, int64_t due_in_ms);

/*
 * Which users have a backlog on the lane, and the highest position there if it is not older than a minute (0: none is, so any time from now on is
 * above them); no payloads are read. Many short questions, so that no
 * answer takes long however much is parked. What was visited before a failure stays visited. 0 or a store error.
 */
STORE_USE_RESULT int parked_commands_backlogs(struct store_client *client, const char *lane,
	const char *owner, parked_backlog_visitor visit, void *context, int64_t *ret_last_position);

struct parked_user {
	char *lane;
	char *user;
};

/*
 * The users whose first command on one of the lanes (lane_count 0: on any lane) has been due for since_ms, and whom nobody has leased: each
 * lane and user once, the longest due first, at most limit. One cheap question, so it may also name a user whose backlog has been long for
 * minutes: the claim has the last word. *ret_users is freed by parked_users_free(); it is not touched on failure. 0 or a store error.
 */
STORE_USE_RESULT int parked_commands_due(struct store_client *client, const char *const *lanes,
	size_t lane_count, unsigned since_ms, size_t limit, struct parked_user **ret_users,
	size_t *ret_count);
void parked_users_free(struct parked_user *users, size_t count);

/* How many there are, on all lanes. */
STORE_USE_RESULT int parked_command_count(struct store_client *client, uint64_t *ret_count);

#endif
