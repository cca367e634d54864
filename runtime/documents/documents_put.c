/*
 * documents_put.c - cashew_put(): all members of a document are written.
 *
 * A put of a document that was read is an update by the version that was read (_v), and no upsert, so it goes alone: an ordered write does not
 * stop where an update matches nothing. One that was found missing is an upsert by a version that no document has: it meets a duplicate key where
 * somebody else has made it. A duplicate key that an add meets is done: whoever was first keeps it.
 * With an id it is written at once, and once for each command: documents_once.c.
 */
#include "documents_private.h"

#include <errno.h>

enum { NEVER_VERSION = 0 }; /* a document's first is 1 */

/* {$set: .., $unset: .., $setOnInsert: .., $inc: {_v: 1}}; to be destroyed in any case. */
static int put_update(
	struct documents *d, const struct documents_target *target, const void *document, bson_t *update)
{
	bson_t set = BSON_INITIALIZER, unset = BSON_INITIALIZER, part;
	const int error = documents_append_members(d, target, document, &set, &unset);
	if (!bson_empty(&set))
		BSON_APPEND_DOCUMENT(update, "$set", &set);
	if (!bson_empty(&unset))
		BSON_APPEND_DOCUMENT(update, "$unset", &unset);
	BSON_APPEND_DOCUMENT_BEGIN(update, "$setOnInsert", &part);
	documents_append_identity(&part, target, document);
	bson_append_document_end(update, &part);
	BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &part);
	BSON_APPEND_INT64(&part, "_v", 1);
	bson_append_document_end(update, &part);
	bson_destroy(&set);
	bson_destroy(&unset);
	return error;
}

/* The version that the document must have, as a condition; nothing where that does not matter. */
static void append_version(bson_t *filter, enum documents_knowledge knowledge, int64_t version)
{
	switch (knowledge) {
	case DOCUMENTS_UNKNOWN: return;
	case DOCUMENTS_ABSENT: BSON_APPEND_INT64(filter, "_v", NEVER_VERSION); return;
	case DOCUMENTS_WITHOUT_VERSION: BSON_APPEND_NULL(filter, "_v"); return;
	case DOCUMENTS_WITH_VERSION: BSON_APPEND_INT64(filter, "_v", version); return;
	}
}

static int put_once(
	struct documents *d, const struct documents_target *target, const bson_t *update, const void **ret)
{
	int64_t version = 0;
	bson_t guards = BSON_INITIALIZER;
	const enum documents_knowledge knowledge = documents_known(d, target, &version);
	append_version(&guards, knowledge, version);
	const struct documents_once once = {.target = target,
		.update = update,
		.guards = knowledge == DOCUMENTS_UNKNOWN ? NULL : &guards,
		.versioned = knowledge != DOCUMENTS_UNKNOWN,
		.may_insert = knowledge == DOCUMENTS_UNKNOWN || knowledge == DOCUMENTS_ABSENT};
	const int error = documents_write_once(d, &once, ret);
	bson_destroy(&guards);
	return error;
}

/* Takes the update over. */
static int put_later(struct documents *d, const struct documents_target *target, bson_t *update,
	const void *document, const void **ret)
{
	int64_t version = 0;
	const enum documents_knowledge knowledge = documents_known(d, target, &version);
	const bool must_match = knowledge == DOCUMENTS_WITHOUT_VERSION || knowledge == DOCUMENTS_WITH_VERSION;
	bson_t *filter = bson_copy(&target->filter);
	append_version(filter, knowledge, version);
	int error = documents_wait(d, target, must_match ? STORE_UPDATE : STORE_UPSERT,
		knowledge == DOCUMENTS_UNKNOWN ? DOCUMENTS_TAG_PUT : DOCUMENTS_TAG_PUT_OF_READ, filter,
		update);
	if (!error)
		error = documents_know(d, target,
			knowledge == DOCUMENTS_UNKNOWN ? DOCUMENTS_UNKNOWN : DOCUMENTS_WITH_VERSION,
			knowledge == DOCUMENTS_WITH_VERSION ? version + 1 : 1);
	void *copy = error ? NULL : arena_alloc(d->memory, target->collection->shape->size);
	if (error)
		return error;
	if (!copy || !documents_copy_struct(d, target->collection->shape, document, copy))
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int documents_put(struct documents *d, const struct cashew_collection *collection, const void *document,
	bool once, const void **ret)
{
	DOCUMENTS_TARGET target = {.id = NULL};
	int error = documents_target(d, collection, document, &target);
	if (error)
		return error;
	bson_t *update = bson_new();
	error = put_update(d, &target, document, update);
	if (!error)
		error = documents_check_size(d, &target, update);
	if (!error && !once)
		return put_later(d, &target, update, document, ret);
	if (!error)
		error = put_once(d, &target, update, ret);
	bson_destroy(update);
	return error;
}
