/*
 * store_indexes.h - the indexes that handlers' collections need, beside the runtime's own.
 *
 * Whoever opens the store says once which; store_prepare() makes them, and tells of what is in the way.
 */
#ifndef STORE_INDEXES_H
#define STORE_INDEXES_H

#include <stdbool.h>
#include <stddef.h>

struct store;

enum { STORE_INDEX_KEYS_MAX = 24 };

/* An index that a handler's collection needs. */
struct store_wanted_index {
	const char *collection;
	const char *keys[STORE_INDEX_KEYS_MAX + 1]; /* ended by NULL */
	bool expires; /* the one key is a time, after which the document is removed */
};

/* From now on store_prepare() makes these too, and store_indexes() visits them. Before other threads use the store. Takes the list over, which free()
 * frees; its texts live as long as the store. */
void store_want_indexes(struct store *store, struct store_wanted_index *indexes, size_t count);

#endif
