/*
 * store_pair.h - inside of store/: a document about two users,
 * {_id: "<owner>/<other>", user_id: owner, OTHER: other, SINCE: date}.
 *
 * contacts and contact_requests are such collections. Filters are {user_id, OTHER}, the keys of their index:
 * one plan is possible and no other is tried, and where the collection is sharded by user_id, it leads the
 * operation to its shard. That there is one document of a pair is owed to the _id: whoever comes second meets
 * a duplicate key.
 */
#ifndef STORE_PAIR_H
#define STORE_PAIR_H

#include "store_client.h"

struct pair_kind {
	enum store_collection collection;
	const char *other; /* field names */
	const char *since;
};

/* Adds an upsert of the pair, with the time of the call, to the bulk; nothing changes where it is. The bulk
 * may be NULL. 0; STORE_E_PERMANENT where an argument is no user id; or another store error, where it is not known what time it is there. */
STORE_USE_RESULT int pair_add(struct store_client *client, const struct pair_kind *kind,
	mongoc_bulk_operation_t *bulk, const char *owner, const char *other);

/* The same for a delete. */
STORE_USE_RESULT int pair_remove(struct store_client *client, const struct pair_kind *kind,
	mongoc_bulk_operation_t *bulk, const char *owner, const char *other);

/* 0 when the pair is there, STORE_E_NOT_FOUND when not, or another store error. */
STORE_USE_RESULT int pair_find(
	struct store_client *client, const struct pair_kind *kind, const char *owner, const char *other);

/* Visits the others of an owner: see contact_list(). */
STORE_USE_RESULT int pair_list(struct store_client *client, const struct pair_kind *kind, const char *owner,
	const char *after, unsigned limit, store_contact_visitor visit, void *context);

#endif
