/* backend.h - what the contract suite needs to know of the store it is run against. */
#ifndef BACKEND_H
#define BACKEND_H

#include "store.h"

/* Once, around all cases. */
void backend_start(void);
void backend_stop(void);

/* A store without documents, not prepared, closed by store_close(). */
struct store *backend_open(void);

/* So much time passes at the database: leases end, what waits becomes due. */
void backend_pass(struct store *store, int64_t ms);

/* How many dead letters there are; -1 when they cannot be counted. */
long backend_dead_letters(struct store *store);

struct _bson_t;

/* Makes or replaces the document with that _id, as somebody else would who has the database. */
void backend_put(struct store *store, const char *collection, const struct _bson_t *document);

/* Many that are not there yet. */
void backend_insert(
	struct store *store, const char *collection, struct _bson_t *const *documents, size_t count);

/* A copy of the document with that _id, to be destroyed; false: there is none. */
bool backend_get(struct store *store, const char *collection, const char *id, struct _bson_t *ret_document);

/*
 * The next command of that name, which would make a document, meets a duplicate key: others(context) made it in between, as a server allows that does
 * not serialise. False: this server cannot be told to.
 */
bool backend_collide(struct store *store, const char *command, void (*others)(void *context), void *context);

#endif
