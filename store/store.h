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
#include <stdbool.h>

struct store;
struct store_client;
struct _mongoc_database_t;
struct _bson_t;
struct _bson_error_t;

struct store_options {
	const char *url;      /* mongodb:// or mongodb+srv://; what it does not say gets the defaults below */
	const char *database; /* name; "": the one that the URL names, else STORE_DATABASE */
	const char *app_name; /* shown in the server's log; at most 128 bytes */
	unsigned pool_size;   /* connections at most: as many as threads that use the store at once */
	unsigned work_ms;     /* how long a unit of work may take; 0: as long as it likes */
};

#define STORE_DATABASE "cashew"

enum { STORE_MESSAGE_SIZE = 768, STORE_NOTES_SIZE = 2048 };

/* An ObjectId. */
struct store_id {
	unsigned char bytes[12];
};

/* A new one, which nobody else makes. Any thread. */
struct store_id store_new_id(void);

/*
 * Checks the URL and makes the pool; connects to nothing. Time-outs and concerns that the URL leaves open are
 * set: serverSelectionTimeoutMS=3000, connectTimeoutMS=2000, socketTimeoutMS=8000, waitQueueTimeoutMS=2000,
 * w=majority, journal=true, wtimeoutMS=5000, retryWrites=false, retryReads=false; where work_ms is less than
 * 10,000, socketTimeoutMS is two seconds less than it, or half, and wtimeoutMS five eighths of that, so that a
 * dead connection is noticed before the work counts as hung. Where the URL says retryWrites=true or
 * retryReads=true, both are half of that again: the driver then tries an operation twice. Of a replica set all
 * members are found, if only one is named (directConnection=false). The size of the pool is pool_size, and reads
 * go to the primary, whatever the URL says. w=0 is refused.
 * 0 and *ret_store, owned by the caller; STORE_E_PERMANENT for a bad URL or
 * database name, with message saying what was expected (never with the password); STORE_E_AWAY where the name
 * of a mongodb+srv:// URL could not be looked up, also with a message; -ENOMEM.
 */
STORE_USE_RESULT int store_open(const struct store_options *options, struct store **ret_store,
	char message[static STORE_MESSAGE_SIZE]);

/* The database's name. Lives as long as the store. */
const char *store_database_name(const struct store *store);

/* What of the URL has no effect, or may have another one than is meant: a line each, "MONGO_DB_URL: a sentence" and the line's end; ""
 * where there is nothing. Without user name or password. Lives as long as the store. */
const char *store_notes(const struct store *store);

/* The file with this machine's own certificate, if the URL names one (tlsCertificateKeyFile); NULL: it does not. Lives as long as the store. */
const char *store_certificate_file(const struct store *store);

/*
 * Looks whether the certificate files that the URL names (tlsCAFile, tlsCertificateKeyFile) have been renewed, and then has the connections opened
 * anew: each is closed when it has been given back, so nothing that is under way is broken off. To be called every second or so, and from one thread:
 * files count when they have stayed as they are for half a second, and the server answers with them, which is waited for. Until then those of before
 * stay in use, by copies. answers: whether the store answers. 0: there was nothing to do; STORE_RENEWED; STORE_NOT_RENEWED, once for the same files,
 * with a message: the server answers, but not with them.
 */
enum store_renewal { STORE_RENEWED = 1, STORE_NOT_RENEWED };
STORE_USE_RESULT int store_renew(struct store *store, bool answers, char message[static STORE_MESSAGE_SIZE]);

/* Closes the pool. Every client has been released. NULL is fine. */
void store_close(struct store *store);

/*
 * Makes the indexes: the runtime's own, and those of store_want_indexes(). Can be repeated, by several hosts at once. Any thread. What the server refuses, or has not built within three
 * times socketTimeoutMS, is told in the log with its reason (index_not_made), and does not count: nothing is wrong without an
 * index, only slower, or, where it removes documents in time, undone. 0, or a store error where the server cannot be used.
 */
STORE_USE_RESULT int store_prepare(struct store_client *client);

/* One cheap round trip that a server which takes no writes does not pass; it tells what time it is there, too. 0 or a store error. */
STORE_USE_RESULT int store_ping(struct store_client *client);

/*
 * What time it is at the database, as far as is known: its clock as it was at the last ping, and the time that has passed here since. Before
 * the first ping that was answered: this machine's wall clock. Times that are written to the database, and compared with what is there, are of this
 * clock; whoever does that has pinged before, and the functions that write do so by themselves. Any thread; waits for nothing. Milliseconds, or microseconds, since 1970, UTC.
 */
int64_t store_now_ms(struct store *store);
int64_t store_now_us(struct store *store);

/*
 * How far this machine's wall clock is ahead of the database's, in milliseconds; less than 0: behind. What the answer of the last pings leaves open
 * counts for the clock, so both may differ by a little more, not by less. False where that is not known: before the first ping, or where one takes
 * seconds. More than STORE_CLOCK_APART_MS is worth a warning. Any thread; waits for nothing.
 */
enum { STORE_CLOCK_APART_MS = 5000 };
bool store_wall_clock_ahead_ms(struct store *store, int64_t *ret_ms);

/*
 * Takes a client from the pool for the calling thread. Never NULL: if none is free within waitQueueTimeoutMS,
 * a client whose every operation answers STORE_E_AWAY. Give it back with store_release().
 */
struct store_client *store_acquire(struct store *store);
void store_release(struct store_client *client);

/* The driver's database object of this client, for operations of a handler's own; NULL in the stand-in store. */
struct _mongoc_database_t *store_database(struct store_client *client);

/*
 * What an error of the driver means: one of the store's errors, never 0. reply: what the driver gave with the error, or NULL: labels in it that
 * say "try again" (RetryableWriteError, TransientTransactionError) count before what the error's code says.
 */
int store_classify(const struct _bson_t *reply, const struct _bson_error_t *error);

/*
 * What a write came to, from what the driver's write function gave; reply may be NULL. 0 when all of it is done, and acknowledged as was asked for;
 * STORE_E_DUPLICATE when all that failed are duplicate keys; else the worst that is in the reply or the error. *ret_words: of the failure, the
 * server's or the driver's; lives as long as the reply and the error.
 */
int store_classify_write(bool succeeded, const struct _bson_t *reply, const struct _bson_error_t *error,
	const char **ret_words);

/* What went wrong last on this client, in words, for the log: the driver's message without credentials. "" if
 * nothing did. Lives until the next call on the client. */
const char *store_last_error(const struct store_client *client);

#endif
