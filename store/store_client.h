/*
 * store_client.h - inside of store/: a client, and how its operations are run and judged.
 *
 * A file that makes documents builds a command or a bulk write, hands it to one of the functions here, and
 * returns what they return. They keep the words of a failure for store_last_error().
 */
#ifndef STORE_CLIENT_H
#define STORE_CLIENT_H

#include "store.h"
#include <mongoc/mongoc.h>

enum store_collection {
	STORE_DEAD_LETTERS,
	STORE_PARKED_COMMANDS,
	STORE_HOSTS,
	STORE_SCHEDULES,
	STORE_COLLECTIONS, /* how many */
};

struct store_pool;

/* A collection of the handlers', which the store knows only by name. */
enum { STORE_NAMED = 16 };
struct store_named {
	char *name; /* NULL: the place is free */
	mongoc_collection_t *collection;
};

struct store_client {
	struct store *store;
	struct store_client *next;			     /* of those that are free */
	mongoc_client_t *mongo;				     /* NULL: no connection was free */
	struct store_pool *pool;			     /* which it is of */
	mongoc_database_t *database;			     /* made when it is asked for */
	mongoc_collection_t *collections[STORE_COLLECTIONS]; /* likewise */
	struct store_named named[STORE_NAMED];		     /* likewise */
	unsigned named_next;				     /* which makes place for another */
	char last_error[STORE_MESSAGE_SIZE];
	int last_code; /* the server's, of that; 0: it has none, or the words are not the server's */
};

/* Has the operations of the pool's clients counted: see store_waits.h. Before the first client is taken. */
void store_waits_observe(mongoc_client_pool_t *pool);

/* As it is called in the database. It lives for ever. */
const char *store_collection_name(enum store_collection collection);

/* What every client shares; read-only after store_open(). */
const bson_t *store_upsert_options(const struct store *store);	  /* {upsert: true} */
const bson_t *store_unordered_options(const struct store *store); /* {ordered: false} */
/* Of an update whose values are anybody's: the driver lets names in it be empty, or have dots, as names in JSON may. */
const bson_t *store_any_options(const struct store *store, bool upsert);

/* What store_want_indexes() was given. */
struct store_wanted_index;
const struct store_wanted_index *store_wanted_indexes(const struct store *store, size_t *ret_count);

/* For what takes its time: a connection outside of the pool, whose operations may each take STORE_PATIENCE times socketTimeoutMS. To be destroyed with
 * mongoc_client_destroy(). NULL: the name of a mongodb+srv:// URL could not be looked up. */
enum { STORE_PATIENCE = 3 };
mongoc_client_t *store_patient_client(const struct store *store);

/* Whether a router answers, that of a sharded cluster, by what was last heard. Known once the time is. Any thread. */
bool store_is_sharded(const struct store *store);

/* Asks for the database's time if that has not been answered yet: before a time is written. 0 or a store error. */
STORE_USE_RESULT int store_know_time(struct store_client *client);

/* Runs a cursor to its end, or until visit returns false, and destroys it. 0 or a store error. */
STORE_USE_RESULT int store_iterate(struct store_client *client, enum store_collection collection,
	mongoc_cursor_t *cursor, bool (*visit)(const bson_t *document, void *context), void *context);

/* Keeps the words and returns the error. */
int store_failed(struct store_client *client, enum store_collection collection, const char *action,
	const char *message, int store_error);

/* Keeps the server's code, if it is the server's error. After store_failed(). */
void store_note_code(struct store_client *client, const bson_error_t *error);

/* The collection of this client. The client has a connection. */
mongoc_collection_t *store_client_collection(struct store_client *client, enum store_collection collection);

/* The same by name. Lives until STORE_NAMED others were asked for. */
mongoc_collection_t *store_client_named(struct store_client *client, const char *name);

/*
 * Runs a find command with {limit, singleBatch}, or an aggregation of one batch. 0 and an iterator on the
 * first document of the batch, over memory that *ret_reply holds until bson_destroy(); on failure *ret_reply
 * needs none.
 */
STORE_USE_RESULT int store_find(struct store_client *client, enum store_collection collection,
	const bson_t *command, bson_t *ret_reply, bson_iter_t *ret_documents);

/* How many documents match the filter. */
STORE_USE_RESULT int store_count(struct store_client *client, enum store_collection collection,
	const bson_t *filter, uint64_t *ret_count);

/* A bulk write: unordered, so that one statement's duplicate key does not keep the others from running, and
 * a single command on the wire as long as its statements are of one kind. NULL when the client has no
 * connection. */
mongoc_bulk_operation_t *store_bulk(struct store_client *client, enum store_collection collection);

/* The same, but ordered: one statement after the other, none after one that failed. */
mongoc_bulk_operation_t *store_ordered_bulk(struct store_client *client, enum store_collection collection);

/* Executes and destroys the bulk; NULL is fine. Duplicate keys count as done. */
STORE_USE_RESULT int store_bulk_execute(
	struct store_client *client, enum store_collection collection, mongoc_bulk_operation_t *bulk);

/* What a write came to, from what the driver's write function gave; destroys the reply. */
STORE_USE_RESULT int store_write_result(struct store_client *client, enum store_collection collection,
	const char *action, bool succeeded, bson_t *reply, const bson_error_t *error);

#endif
