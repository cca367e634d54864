/*
 * counts.h - the collection "counts", by the store's own functions: what a handler that cannot be repeated does is to be seen without what cashew.h
 * does about it.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include "store_documents.h"
#include <cashew.h>

CASHEW_COLLECTION(counts, "counts", (user, user_id, .key = true), (integer, total), (time, at));

/* 0 and the total, 0 where there is none; or a store error. */
static inline int counts_read(struct store_client *client, const char *user, int64_t *ret_total)
{
	bson_t *filter = BCON_NEW("_id", BCON_UTF8(user)), reply;
	bson_iter_t documents, total;
	bool more;
	const struct store_query query = {.collection = "counts", .filter = filter, .limit = 1};
	const int error = store_documents_find(client, &query, &reply, &documents, &more);
	bson_destroy(filter);
	if (error)
		return error;
	*ret_total = bson_iter_next(&documents) && bson_iter_recurse(&documents, &total) &&
				     bson_iter_find(&total, "total")
			     ? bson_iter_as_int64(&total)
			     : 0;
	bson_destroy(&reply);
	return 0;
}

static inline int counts_write(struct store_client *client, const char *user, int64_t total, int64_t at_ms)
{
	bson_t *filter = BCON_NEW("_id", BCON_UTF8(user));
	bson_t *update = BCON_NEW("$set", "{", "user_id", BCON_UTF8(user), "total", BCON_INT64(total), "at",
		BCON_DATE_TIME(at_ms), "}");
	const struct store_modification modification = {
		.collection = "counts", .filter = filter, .update = update, .upsert = true};
	bson_t reply;
	bson_iter_t document;
	const int error = store_documents_modify(client, &modification, &reply, &document);
	if (!error)
		bson_destroy(&reply);
	bson_destroy(filter);
	bson_destroy(update);
	return error;
}

#endif
