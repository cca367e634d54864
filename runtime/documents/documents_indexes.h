/*
 * documents_indexes.h - the indexes that handlers' collections need.
 *
 * Several keys: {key1, key2, ..}; one key that is no text: {key}, beside the _id. CASHEW_WITHIN: {key1, member, _id}; CASHEW_ACROSS: {member, _id};
 * .expires: {member}, by which the database removes documents. Pure, any thread.
 */
#ifndef DOCUMENTS_INDEXES_H
#define DOCUMENTS_INDEXES_H

#include "cashew.h"
#include "store.h"
#include "store_indexes.h"

/* Tells the store of them: see store_want_indexes(). 0 or -ENOMEM. */
STORE_USE_RESULT int documents_want_indexes(
	struct store *store, const struct cashew_handler *const *handlers);

/* Those of the handlers, which end with NULL, each once. An array, to be freed; its texts are the handlers' own. NULL and *ret_count 0 when out of
 * memory, or where there are none. */
struct store_wanted_index *documents_indexes(const struct cashew_handler *const *handlers, size_t *ret_count);

#endif
