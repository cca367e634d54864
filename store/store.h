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
};

enum { STORE_MESSAGE_SIZE = 768 };

/*
 * Checks the URL and makes the pool; connects to nothing. Time-outs and concerns that the URL leaves open are
 * set: serverSelectionTimeoutMS=3000, connectTimeoutMS=2000, socketTimeoutMS=8000, waitQueueTimeoutMS=2000,
 * w=majority, journal=true, wtimeoutMS=5000. The size of the pool is pool_size, and reads go to the primary,
 * whatever the URL says. w=0 is refused. 0 and *ret_store, owned by the caller; STORE_E_PERMANENT for a bad
 * URL or database name, with message saying what was expected (never with the password); STORE_E_AWAY where
 * the name of a mongodb+srv:// URL could not be looked up, also with a message; -ENOMEM.
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

/*
 * Takes a client from the pool for the calling thread. Never NULL: if none is free within waitQueueTimeoutMS,
 * a client whose every operation answers STORE_E_AWAY. Give it back with store_release().
 */
struct store_client *store_acquire(struct store *store);
void store_release(struct store_client *client);

/* The driver's database object of this client, for operations of a handler's own; NULL in the stand-in store.
 */
struct _mongoc_database_t *store_database(struct store_client *client);

/* What the driver's error means: one of the store's errors, 0 for "duplicate key" of an insert by a derived
 * _id. */
int store_classify(const struct _bson_error_t *error);

/* What went wrong last on this client, in words, for the log: the driver's message without credentials. "" if
 * nothing did. Lives until the next call on the client. */
const char *store_last_error(const struct store_client *client);

/* A command that was given up; see dead_letter_add(). */
struct dead_letter {
	unsigned char
		id[12]; /* an ObjectId made by dead_letter_new_id(): the same letter is never stored twice */
	const char *topic;
	const void *payload; /* raw; stored as BSON binary */
	size_t payload_size;
	const char *user;    /* "" where the topic holds no valid one */
	const char *handler; /* "" where no handler wants the topic */
	const char *reason;
	unsigned attempts; /* how often a handler was run */
	const char *host;  /* who gave it up: the client id */
};

void dead_letter_new_id(unsigned char ret_id[static 12]);

/* Inserts into dead_letters; 0 also when that id is already there. `when` is the time of the call. */
STORE_USE_RESULT int dead_letter_add(struct store_client *client, const struct dead_letter *letter);

#endif
