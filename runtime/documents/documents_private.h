/*
 * documents_private.h - inside of documents/: filters, what was read, and what failed.
 */
#ifndef DOCUMENTS_PRIVATE_H
#define DOCUMENTS_PRIVATE_H

#include "documents_id.h"
#include "store_documents.h"

/* One document that is asked for: which, by what filter. Ended by documents_target_free(); all-zero is fine. */
struct documents_target {
	const struct cashew_collection *collection;
	struct documents_keys keys;
	const char *id;
	bson_t filter;
	bool has_filter;
};

/* The keys of the struct are looked at. 0; DOCUMENTS_E_MISTAKE; -ENOMEM. */
STORE_USE_RESULT int documents_target(struct documents *d, const struct cashew_collection *collection,
	const void *keys, struct documents_target *ret);
void documents_target_free(struct documents_target *target);
#define DOCUMENTS_TARGET __attribute__((cleanup(documents_target_free))) struct documents_target

/* Appends what is only written where the document is made: its _id, or, where that is its one key, the key's field. */
void documents_append_identity(bson_t *fields, const struct documents_target *target, const void *document);

/* {total: 1, last_at: 1, _v: 1}, and with a note {_once: {$elemMatch: {$eq: note}}}. */
enum { DOCUMENTS_NOTE_SIZE = 12 };
void documents_projection(bson_t *ret, const struct cashew_shape *shape, const unsigned char *note);

/* What is known of a document, by what this run has read or written last. */
enum documents_knowledge {
	DOCUMENTS_UNKNOWN, /* it was not read, or its version does not matter any more */
	DOCUMENTS_ABSENT,
	DOCUMENTS_WITHOUT_VERSION,
	DOCUMENTS_WITH_VERSION,
};
enum documents_knowledge documents_known(
	struct documents *d, const struct documents_target *target, int64_t *ret_version);
STORE_USE_RESULT int documents_know(struct documents *d, const struct documents_target *target,
	enum documents_knowledge knowledge, int64_t version);

/* Room for a reply of the store, in the memory. NULL when out of memory. */
bson_t *documents_reply(struct documents *d);

/* Makes the struct of the document in the reply, which lies in such room, and takes it over in any case. */
STORE_USE_RESULT int documents_take(struct documents *d, const struct documents_target *target, bson_t *reply,
	const bson_iter_t *document, const void **ret);

/* Takes the reply over in any case: what is in the list, documents of that collection, is known, unless it is NULL. */
STORE_USE_RESULT int documents_keep_list(
	struct documents *d, const char *collection, bson_t *reply, const bson_iter_t *documents);

/* d->reason in words; the error, or -ENOMEM. */
__attribute__((format(printf, 3, 4))) int documents_failed(
	struct documents *d, int error, const char *format, ...);

/* The same for a store error: its words are the store's. */
int documents_store_failed(struct documents *d, int error);

/* An update of more than 16 MB: no server takes it. */
STORE_USE_RESULT int documents_check_size(
	struct documents *d, const struct documents_target *target, const bson_t *update);

/* What waits to be written was asked for by. */
enum documents_tag {
	DOCUMENTS_TAG_ADD,
	DOCUMENTS_TAG_REMOVE,
	DOCUMENTS_TAG_PUT,
	DOCUMENTS_TAG_PUT_OF_READ, /* by the version that was read */
};

/* Appends a statement to what waits; writes that first where the two do not go together. Takes filter and update over in any case. */
STORE_USE_RESULT int documents_wait(struct documents *d, const struct documents_target *target,
	enum store_statement_kind kind, enum documents_tag tag, bson_t *filter, bson_t *update);

/* Appends the members but the keys, each as it is to be; those that are none to `absent`, unless that is NULL. */
STORE_USE_RESULT int documents_append_members(struct documents *d, const struct documents_target *target,
	const void *document, bson_t *into, bson_t *absent);

/* The note of this command; false: it has no id of its sender's. */
bool documents_note(const struct documents *d, unsigned char note[static DOCUMENTS_NOTE_SIZE]);

/* One document takes one note of a command. */
STORE_USE_RESULT int documents_note_once(struct documents *d, const struct documents_target *target);

/* Writes once for each command, at once. *ret NULL: a guard does not hold. */
struct documents_once {
	const struct documents_target *target;
	const bson_t *update; /* without the note */
	const bson_t *guards; /* conditions beside the keys; NULL: none */
	bool versioned; /* the guard is the version that was read: where it does not hold, DOCUMENTS_E_CHANGED */
	bool may_insert; /* the document is made where it is missing */
};
STORE_USE_RESULT int documents_write_once(
	struct documents *d, const struct documents_once *once, const void **ret);

/* Writes whenever it is called, at once; makes the document where it is missing. */
STORE_USE_RESULT int documents_write_always(
	struct documents *d, const struct documents_target *target, const bson_t *update, const void **ret);

#endif
