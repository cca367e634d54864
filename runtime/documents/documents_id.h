/*
 * documents_id.h - inside of documents/: the _id of a document, made of its keys, in the order in which they are declared: "68946/23412".
 *
 * A text as it is, but % is %25 and / is %2F, so that no two lists of keys make one _id; an integer, 0 or more, in decimals; a time as
 * 2026-01-31T12:00:00.000Z. Pure but for the memory that they are given; any thread.
 */
#ifndef DOCUMENTS_ID_H
#define DOCUMENTS_ID_H

#include "documents_bson.h"

enum { DOCUMENTS_KEYS_MAX = 24 };

/* The keys of a shape, in their order. */
struct documents_keys {
	size_t count;
	const struct cashew_member *members[DOCUMENTS_KEYS_MAX];
};
void documents_id_keys(const struct cashew_shape *shape, struct documents_keys *ret);

/*
 * The _id of the keys from number `first` on, of the struct. NULL: d->reason says which key is none that can be, or there is no memory and no
 * reason.
 */
const char *documents_id_make(struct documents *d, const struct cashew_collection *collection,
	const struct documents_keys *keys, size_t first, const void *document);

/*
 * Reads the keys from number `first` on out of what documents_id_make() has made. 0; -ENOMEM; DOCUMENTS_E_TOKEN: it is nothing that it makes.
 */
int documents_id_read(struct documents *d, const struct documents_keys *keys, size_t first, const char *id,
	void *ret_struct);

/* Reads the key of a document that has one key only, and not as a field, out of its _id. 0; -ENOMEM; DOCUMENTS_E_STORED and words. */
int documents_id_only_key(struct documents *d, const struct cashew_shape *shape, const bson_iter_t *id,
	void *ret_struct, char words[static DOCUMENTS_WORDS_SIZE]);

#endif
