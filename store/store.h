/*
 * store.h - the database as the runtime sees it: one pool of connections, opened once, used by all threads.
 *
 * Happy path: store_open(), store_prepare() until it succeeds, then per unit of work store_acquire() ..
 * store_release(), and store_close() at the end. Failure: every function says which of the store's errors
 * (cashew_store.h) it was, and store_last_error() says in words what and where.
 */
#ifndef STORE_H
#define STORE_H

#include "cashew_store.h"

struct store;
struct _mongoc_database_t;
struct _bson_error_t;

struct store_options {
	const char *url;      /* mongodb:// or mongodb+srv://; what it does not say gets the defaults below */
	const char *database; /* database name */
	const char *app_name; /* shown in the server's log; at most 128 bytes */
	unsigned pool_size;   /* connections at most: as many as threads that use the store at once */
	unsigned work_ms;     /* how long a unit of work may take; 0: as long as it likes */
};

enum { STORE_MESSAGE_SIZE = 768 };

/*
 * Checks the URL and makes the pool; connects to nothing. Time-outs and concerns that the URL leaves open are
 * set: serverSelectionTimeoutMS=3000, connectTimeoutMS=2000, socketTimeoutMS=8000, waitQueueTimeoutMS=2000,
 * w=majority, journal=true, wtimeoutMS=5000; where work_ms is less than 10,000, socketTimeoutMS is two
 * seconds less than it, or half, and wtimeoutMS five eighths of that, so that a dead connection is noticed
 * before the work counts as hung. The size of the pool is pool_size, and reads go to the primary, whatever
 * the URL says. w=0 is refused. 0 and *ret_store, owned by the caller; STORE_E_PERMANENT for a bad URL or
 * database name, with message saying what was expected (never with the password); STORE_E_AWAY where the name
 * of a mongodb+srv:// URL could not be looked up, also with a message; -ENOMEM.
 */
STORE_USE_RESULT int store_open(const struct store_options *options, struct store **ret_store,
	char message[static STORE_MESSAGE_SIZE]);

/* Closes the pool. Every client has been released. NULL is fine. */
void store_close(struct store *store);

/* Makes the indexes and the apples. Can be repeated, by several hosts at once. Any thread. 0 or a store
 * error. */
STORE_USE_RESULT int store_prepare(struct store_client *client);

/* One cheap round trip that a server which takes no writes does not pass. 0 or a store error. */
STORE_USE_RESULT int store_ping(struct store_client *client);

/* Writes that the host of that client id is at work: 0 when the database has taken it as durably as any
 * write. Or a store error. */
STORE_USE_RESULT int store_trial_write(struct store_client *client, const char *host);

/*
 * Takes a client from the pool for the calling thread. Never NULL: if none is free within waitQueueTimeoutMS,
 * a client whose every operation answers STORE_E_AWAY. Give it back with store_release().
 */
struct store_client *store_acquire(struct store *store);
void store_release(struct store_client *client);

/* The driver's database object of this client, for operations of a handler's own; NULL in the stand-in store. */
struct _mongoc_database_t *store_database(struct store_client *client);

/* What the driver's error means: one of the store's errors, 0 for "duplicate key" of an insert by a derived
 * _id. */
int store_classify(const struct _bson_error_t *error);

/* What went wrong last on this client, in words, for the log: the driver's message without credentials. "" if
 * nothing did. Lives until the next call on the client. */
const char *store_last_error(const struct store_client *client);

/* ---- what the database is: for people who look whether it is as it should be ---- */

enum store_kind { STORE_STANDALONE, STORE_REPLICA_SET, STORE_SHARDED };

struct store_description {
	char version[32]; /* of the server; "" where it does not say */
	enum store_kind kind;
	char set_name[64]; /* of a replica set */
	unsigned members;  /* of a replica set, that can hold data and be asked */
	bool writable;	   /* it is a primary, or a router */
	int64_t clock_ms;  /* the server's, Unix time; 0 where it does not say */
	/* What the pool asks for with each write. */
	char w[64]; /* "majority", a number, or a tag */
	bool majority, journal;
	int64_t wtimeout_ms;
};

/* Asks the server. 0 or a store error. */
STORE_USE_RESULT int store_describe(struct store_client *client, struct store_description *ret);

/* A write that changes nothing, acknowledged like any other: a delete of a dead letter that is not there. 0
 * or a store error. */
STORE_USE_RESULT int store_write_nothing(struct store_client *client);

enum store_index_state {
	STORE_INDEX_THERE,
	STORE_INDEX_MISSING,
	STORE_INDEX_OTHER, /* one with its name or its keys is in the way: store_prepare() fails */
};
typedef void (*store_index_visitor)(
	void *context, const char *collection, const char *index, enum store_index_state state);

/* Visits each index that store_prepare() makes. 0 or a store error. */
STORE_USE_RESULT int store_indexes(struct store_client *client, store_index_visitor visit, void *context);

/* ---- dead letters ---- */

/* A command that was given up. */
struct dead_letter {
	unsigned char
		id[12]; /* an ObjectId made by dead_letter_new_id(): the same letter is never stored twice */
	const char *topic;
	const void *payload; /* raw; stored as BSON binary */
	size_t payload_size;
	size_t payload_cut_from; /* its true size where `payload` is not all of it; 0: it is */
	const void *correlation; /* NULL: none */
	size_t correlation_size;
	const char *response_topic; /* NULL: none */
	const char *user;	    /* "" where the topic holds no valid one */
	const char *handler;	    /* "" where no handler wants the topic */
	const char *reason;
	unsigned attempts; /* how often a handler was run */
	unsigned crashes;
	const char *host;   /* who gave it up: the client id */
	unsigned keep_days; /* after which the database removes it; 0: never */
	/* of a letter that is read */
	int64_t when_ms;    /* Unix time */
	int64_t expires_ms; /* 0: never */
};

void dead_letter_new_id(unsigned char ret_id[static 12]);

/* Inserts into dead_letters; 0 also when that id is already there. `when` is the time of the call. A payload
 * that fits into no document is cut. */
STORE_USE_RESULT int dead_letter_add(struct store_client *client, const struct dead_letter *letter);

/* Which letters, and in what order. Zeroes: all, the newest first. */
struct dead_letter_query {
	const char *handler; /* "": those that no handler wanted; NULL: any */
	const char *user;    /* likewise */
	int64_t since_ms;    /* given up at that time or later */
	int64_t until_ms;    /* or earlier; 0: any time */
	/* of a list */
	bool oldest_first;
	bool no_payload; /* payload, correlation and response topic are not read */
	unsigned limit;	 /* 0: none */
};

/* Called once per letter, in order; it lives until the call returns. Returns false to stop early. */
typedef bool (*dead_letter_visitor)(const struct dead_letter *letter, void *context);

/* What was visited before a failure stays visited. */
STORE_USE_RESULT int dead_letter_list(struct store_client *client, const struct dead_letter_query *query,
	dead_letter_visitor visit, void *context);

STORE_USE_RESULT int dead_letter_count(
	struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count);

/* STORE_E_NOT_FOUND where there is none. *ret_letter is freed by dead_letter_free(). */
STORE_USE_RESULT int dead_letter_get(
	struct store_client *client, const unsigned char id[static 12], struct dead_letter **ret_letter);
void dead_letter_free(struct dead_letter *letter);

/* Removes one; STORE_E_NOT_FOUND where there is none. */
STORE_USE_RESULT int dead_letter_drop(struct store_client *client, const unsigned char id[static 12]);

/* Removes all that are asked for, whatever the limit. */
STORE_USE_RESULT int dead_letter_drop_all(
	struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count);

/*
 * Makes a parked command of the letter, due now, for the lane, and removes the letter. Replaying the same
 * letter twice parks it once: the command's id is derived from the letter's. position: now, in microseconds,
 * growing from one letter to the next. key: see struct parked_command.
 */
STORE_USE_RESULT int dead_letter_replay(struct store_client *client, const struct dead_letter *letter,
	const char *lane, uint64_t key, int64_t position);

/* ---- parked commands ----
 * Commands that are tried again later, in the order of each user on each lane: see parked_commands.c. Every
 * function can be repeated, and repairs what a crash or a lost answer left half done. A pointer that a
 * function gives belongs to what it was given in.
 */

struct parked_command {
	unsigned char id[12]; /* an ObjectId made by parked_command_new_id(), or derived from a letter's */
	const char *lane;     /* client id of the session that it came by */
	const char *user;
	const char *topic;
	int64_t position;    /* order within lane and user: microseconds that only grow */
	const void *payload; /* raw */
	size_t payload_size;
	const void *correlation; /* NULL: none */
	size_t correlation_size;
	const char *response_topic; /* NULL: none */
	uint16_t mid;		    /* packet identifier and key, by which a redelivered copy is known */
	uint64_t key;		    /* with mid 0 no copy can come */
	const void *before; /* the commands of this user that came before it and were not acknowledged when it
			       was parked, in the caller's form; NULL: none */
	size_t before_size;
	const char *const *settled; /* names of the handlers that are through with it */
	size_t settled_count;
	const char *end; /* the worst end of those: "done", "rejected" or "dead" */
	unsigned attempts;
	unsigned crashes;
	const char *handler; /* of the last failure; "" */
	const char *reason;
	int64_t not_before_ms;	/* Unix time; what follows a user's first is not before it either */
	const char *claimed_by; /* set by parked_command_claim(); NULL: nobody */
};

/* What a lane has to know of each of its parked commands. */
struct parked_mark {
	const char *user;
	uint16_t mid;
	uint64_t key;
	const void *before; /* NULL: none */
	size_t before_size;
	bool done;
	int64_t position;
	int64_t not_before_ms; /* 0 when done */
};
typedef void (*parked_mark_visitor)(void *context, const struct parked_mark *mark);

struct parked_user {
	char *lane;
	char *user;
};

enum parked_error {
	PARKED_E_NONE = 101,  /* the user has no parked command on the lane */
	PARKED_E_LATER = 102, /* the first is not due, or another owner has it */
};

void parked_command_new_id(unsigned char ret_id[static 12]);

/* Inserts the command, unclaimed; 0 also when that id is already there, done or not. */
STORE_USE_RESULT int parked_command_add(struct store_client *client, const struct parked_command *command);

/* Visits all parked commands of a lane, also the done ones, which are kept for a day, by user and position.
 * What was visited before a failure stays visited. */
STORE_USE_RESULT int parked_command_marks(
	struct store_client *client, const char *lane, parked_mark_visitor visit, void *context);

/* The users who have commands with not_before <= before_ms on one of the lanes (lane_count 0: on any lane),
 * each lane and user once, the longest due first, at most limit. *ret_users is freed by parked_users_free();
 * it is not touched on failure. */
STORE_USE_RESULT int parked_command_due(struct store_client *client, const char *const *lanes,
	size_t lane_count, int64_t before_ms, size_t limit, struct parked_user **ret_users,
	size_t *ret_count);
void parked_users_free(struct parked_user *users, size_t count);

/* How many there are that are not done, on all lanes. */
STORE_USE_RESULT int parked_command_count(struct store_client *client, uint64_t *ret_count);

/*
 * Takes the user's first command on the lane, for owner, until lease_ms (Unix time); counts the attempt. A
 * claim of the same owner is taken over. *ret_command is freed by parked_command_free(). PARKED_E_NONE,
 * PARKED_E_LATER, or a store error.
 */
STORE_USE_RESULT int parked_command_claim(struct store_client *client, const char *lane, const char *user,
	const char *owner, int64_t now_ms, int64_t lease_ms, struct parked_command **ret_command);
void parked_command_free(struct parked_command *command);

/*
 * Gives the command back, with its not_before_ms, attempts, crashes, handler, reason, settled and end; what
 * follows it is not before it either. Does nothing to a command that is done, or, where claimed_by is set,
 * that somebody else has claimed since.
 */
STORE_USE_RESULT int parked_command_postpone(
	struct store_client *client, const struct parked_command *command);

/* Leaves a tombstone of the command for a day, which its mark is made of; 0 also when there is no such
 * command. *ret_more: whether the user has more on that lane. */
STORE_USE_RESULT int parked_command_finish(
	struct store_client *client, const struct parked_command *command, bool *ret_more);

#endif
