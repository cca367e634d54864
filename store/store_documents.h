/*
 * store_documents.h - documents of the handlers' collections: find, change, write in a row.
 *
 * Happy path: the caller builds filter and update, one of the functions here sends them in one round trip, and says what it came to. The stand-in
 * store has the same functions over memory, for filters of equality, $gt, $gte, $lt, $ne, $in, $not, $or, and updates by $set, $unset, $setOnInsert, $inc,
 * $max, $min, $push. Failure: a store error (cashew_store.h); store_last_error() has the words. A write that is there, but not as durably as was
 * asked for, is STORE_E_TRANSIENT, also where the server tells of a duplicate key beside it.
 *
 * A client is used by one thread at a time.
 */
#ifndef STORE_DOCUMENTS_H
#define STORE_DOCUMENTS_H

#include "store.h"
#include <bson/bson.h>

struct store_query {
	const char *collection;
	const bson_t *filter;
	const bson_t *sort;	  /* NULL: none */
	const bson_t *projection; /* NULL: all of it */
	unsigned limit;		  /* 1 or more */
};

/*
 * The first documents that match. 0: *ret_documents stands before the first of them, each an element that is a document, over memory that *ret_reply
 * holds until bson_destroy(); *ret_more: the limit is not reached and there are more, but not in one answer of the server's (16 MB). On failure
 * nothing is set.
 */
STORE_USE_RESULT int store_documents_find(struct store_client *client, const struct store_query *query,
	bson_t *ret_reply, bson_iter_t *ret_documents, bool *ret_more);

struct store_modification {
	const char *collection;
	const bson_t *filter, *update;
	const bson_t *projection; /* NULL: all of it */
	bool upsert;
};

/*
 * Changes one document, or with upsert makes it, and gives it as it is then (findAndModify, new). 0: *ret_document is the element that holds it, over
 * memory that *ret_reply holds until bson_destroy(). Without ret_reply on failure: STORE_E_NOT_FOUND: none matched, and it was not an upsert;
 * STORE_E_DUPLICATE: none matched, but one has its _id.
 */
STORE_USE_RESULT int store_documents_modify(struct store_client *client,
	const struct store_modification *modification, bson_t *ret_reply, bson_iter_t *ret_document);

enum store_statement_kind { STORE_UPDATE, STORE_UPSERT, STORE_REMOVE };

struct store_statement {
	struct store_statement *next;
	enum store_statement_kind kind;
	unsigned tag;		 /* the caller's */
	bson_t *filter, *update; /* of one document; update NULL: STORE_REMOVE */
};

/*
 * Does these one after the other, none after one that failed. 0; STORE_E_DUPLICATE: *ret_failed found no document by its filter, but one has its
 * _id; those before it are done, those behind it are not; STORE_E_NOT_FOUND: a STORE_UPDATE that is the only one matched none; or another store
 * error: some of them may be done.
 */
STORE_USE_RESULT int store_documents_write(struct store_client *client, const char *collection,
	const struct store_statement *first, const struct store_statement **ret_failed);

#endif
