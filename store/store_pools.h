/*
 * store_pools.h - inside of store/: the driver's pools. One is in use; those of before last until their clients are back.
 *
 * Happy path: store_pools_open(), then store_pools_join() for each of our clients and mongoc_client_pool_pop() from what that gives,
 * store_pools_leave() for each that is given back. A pool has its own copies of the certificate files that the URL names (tlsCAFile,
 * tlsCertificateKeyFile). Where these have been renewed a new pool follows, and nothing that is under way is broken off. Failure modes: files with
 * which the server does not answer are not taken; so those that work stay in use, whatever is put into their place.
 *
 * What is not said to be otherwise is called with the store's lock held.
 */
#ifndef STORE_POOLS_H
#define STORE_POOLS_H

#include "store.h"
#include <mongoc/mongoc.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { STORE_POOLS_FILES = 2 };

struct store_pool {
	mongoc_client_pool_t *driver;
	int files[STORE_POOLS_FILES]; /* copies in memory; -1: none */
	unsigned clients;	      /* of ours that have joined */
	struct store_pool *next;
};

/* What tells one file from the one that takes its place. All zero: it is not there. */
struct store_stamps {
	struct {
		dev_t device;
		ino_t inode;
		off_t size;
		struct timespec modified, changed;
	} of[STORE_POOLS_FILES];
};

struct store_pools {
	const mongoc_uri_t *uri; /* outlives it */
	unsigned size;		 /* clients at most, of each pool */
	struct store_pool *current;
	struct store_pool *retired; /* linked by next */
	/* of one thread, without the lock */
	struct store_stamps used, seen, refused;
	int64_t seen_ms;     /* when they were first seen as they are */
	int64_t again_at_ms; /* those that were refused */
};

/* Makes the first pool; connects to nothing. 0; STORE_E_AWAY where the name of a mongodb+srv:// URL could not be looked up; STORE_E_PERMANENT; both
 * with a message. -ENOMEM. Without the lock. */
STORE_USE_RESULT int store_pools_open(struct store_pools *pools, const mongoc_uri_t *uri, unsigned size,
	char message[static STORE_MESSAGE_SIZE]);

/* Every client has left. Without the lock. */
void store_pools_close(struct store_pools *pools);

/* The pool that one more client of ours is taken from. */
struct store_pool *store_pools_join(struct store_pools *pools);

/* The client goes back to its pool. NULL: none came of it. */
void store_pools_leave(struct store_pool *pool, mongoc_client_t *client);

/*
 * A pool with files that have been renewed since the one in use was made, that have stayed as they are for some time, and with which the server
 * answers: the caller's, to be given to store_pools_replace(). NULL: there is none. answers: whether the server answers without them; then they are
 * tried out once a minute, else at each call. *ret_refused: it answers without them, and does not with them, which is told once for the same files,
 * with a message. Without the lock, one thread; waits for the server.
 */
struct store_pool *store_pools_renewed(
	struct store_pools *pools, bool answers, bool *ret_refused, char message[static STORE_MESSAGE_SIZE]);

/* From now on that one is in use. */
void store_pools_replace(struct store_pools *pools, struct store_pool *fresh);

/* Takes out those that no client is left of; to be freed by store_pools_free(), without the lock: it waits for the driver's threads. NULL: none. */
struct store_pool *store_pools_done(struct store_pools *pools);
void store_pools_free(struct store_pool *list);

#endif
