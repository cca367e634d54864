/*
 * documents_once.c - writes that count once for each command, by a note in the document that they change.
 *
 * The note goes into _once in the same write, and the write's filter wants it not to be there. Where that write comes to nothing, be it that none
 * matched or that an upsert met a duplicate key, a look at the document tells why: the note is there, so it was done before; a guard does not hold;
 * or two first commands of one document were at it at once, and this one goes on as an update of what the other has made. A duplicate key alone says
 * nothing: with {_once: {$ne: note}} in the filter a server does not repeat an upsert by itself (MongoDB's manual, "Upsert with Unique Index").
 *
 * A note is 12 bytes of SHA-256 over "handler/user/command id": the user is in it, since an id tells a command from those of its sender only, and a
 * document may be everybody's.
 */
#include "documents_private.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

enum { TRIES = 3 };

struct documents_noted {
	struct documents_noted *next;
	const char *collection, *id;
};

bool documents_note(const struct documents *d, unsigned char note[static DOCUMENTS_NOTE_SIZE])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	if (!d->note)
		return false;
	SHA256((const unsigned char *)d->note, strlen(d->note), digest);
	memcpy(note, digest, DOCUMENTS_NOTE_SIZE);
	return true;
}

int documents_note_once(struct documents *d, const struct documents_target *target)
{
	for (const struct documents_noted *noted = d->noted; noted; noted = noted->next)
		if (strcmp(noted->collection, target->collection->name) == 0 &&
			strcmp(noted->id, target->id) == 0)
			return documents_failed(d, DOCUMENTS_E_MISTAKE,
				"%s %s was counted by this command already: expected all its changes in one call",
				target->collection->name, target->id);
	struct documents_noted *noted = arena_alloc(d->memory, sizeof(*noted));
	if (!noted)
		return -ENOMEM;
	*noted = (struct documents_noted){d->noted, target->collection->name, target->id};
	d->noted = noted;
	return 0;
}

static void append_note(bson_t *update, const unsigned char *note, unsigned notes_max)
{
	bson_t push, once, each;
	BSON_APPEND_DOCUMENT_BEGIN(update, "$push", &push);
	BSON_APPEND_DOCUMENT_BEGIN(&push, "_once", &once);
	BSON_APPEND_ARRAY_BEGIN(&once, "$each", &each);
	BSON_APPEND_BINARY(&each, "0", BSON_SUBTYPE_BINARY, note, DOCUMENTS_NOTE_SIZE);
	bson_append_array_end(&once, &each);
	BSON_APPEND_INT32(&once, "$slice", -(int32_t)notes_max);
	bson_append_document_end(&push, &once);
	bson_append_document_end(update, &push);
}

/* The keys, no such note, the guards. */
static void append_condition(bson_t *filter, const struct documents_once *once, const unsigned char *note)
{
	bson_t condition;
	bson_copy_to(&once->target->filter, filter);
	BSON_APPEND_DOCUMENT_BEGIN(filter, "_once", &condition);
	BSON_APPEND_BINARY(&condition, "$ne", BSON_SUBTYPE_BINARY, note, DOCUMENTS_NOTE_SIZE);
	bson_append_document_end(filter, &condition);
	if (once->guards)
		bson_concat(filter, once->guards);
}

/* Why nothing was written. */
enum why { WHY_NOTED, WHY_THERE, WHY_MISSING };

/* Looks. With WHY_NOTED *ret is the document. */
static int look(struct documents *d, const struct documents_target *target, const unsigned char *note,
	enum why *ret_why, const void **ret)
{
	bson_iter_t documents, field, first;
	bson_t projection, *reply = documents_reply(d);
	bool more;
	if (!reply)
		return -ENOMEM;
	documents_projection(&projection, target->collection->shape, note);
	const struct store_query query = {.collection = target->collection->name,
		.filter = &target->filter,
		.projection = &projection,
		.limit = 1};
	const int error = store_documents_find(d->client, &query, reply, &documents, &more);
	bson_destroy(&projection);
	if (error)
		return documents_store_failed(d, error);
	const bool there = bson_iter_next(&documents);
	const bool noted = there && bson_iter_recurse(&documents, &field) &&
			   bson_iter_find(&field, "_once") && BSON_ITER_HOLDS_ARRAY(&field) &&
			   bson_iter_recurse(&field, &first) && bson_iter_next(&first);
	*ret_why = noted ? WHY_NOTED : there ? WHY_THERE : WHY_MISSING;
	if (noted)
		return documents_take(d, target, reply, &documents, ret);
	bson_destroy(reply);
	return 0;
}

static int modify(struct documents *d, const struct documents_target *target, const bson_t *filter,
	const bson_t *update, bool upsert, const void **ret)
{
	bson_iter_t document;
	bson_t projection, *reply = documents_reply(d);
	if (!reply)
		return -ENOMEM;
	documents_projection(&projection, target->collection->shape, NULL);
	const struct store_modification modification = {.collection = target->collection->name,
		.filter = filter,
		.update = update,
		.projection = &projection,
		.upsert = upsert};
	const int error = store_documents_modify(d->client, &modification, reply, &document);
	bson_destroy(&projection);
	if (error == STORE_E_NOT_FOUND || error == STORE_E_DUPLICATE)
		return error;
	return error ? documents_store_failed(d, error) : documents_take(d, target, reply, &document, ret);
}

static int changed(struct documents *d, const struct documents_target *target)
{
	return documents_failed(d, DOCUMENTS_E_CHANGED,
		"%s %s was changed by another command since this one had read it", target->collection->name,
		target->id);
}

static int write_noted(struct documents *d, const struct documents_once *once, const bson_t *filter,
	const bson_t *update, const unsigned char *note, const void **ret)
{
	enum why why = WHY_MISSING;
	for (unsigned tries = 0; tries < TRIES; tries++) {
		const bool upsert = once->may_insert && why == WHY_MISSING;
		int error = modify(d, once->target, filter, update, upsert, ret);
		if (error != STORE_E_NOT_FOUND && error != STORE_E_DUPLICATE)
			return error;
		error = look(d, once->target, note, &why, ret);
		if (error || why == WHY_NOTED)
			return error;
		if (once->versioned && (why == WHY_THERE || !once->may_insert))
			return changed(d, once->target);
		if (once->guards && !once->versioned) {
			*ret = NULL;
			return 0;
		}
	}
	return documents_failed(d, DOCUMENTS_E_CHANGED, "%s %s is made and removed by others all the time",
		once->target->collection->name, once->target->id);
}

int documents_write_once(struct documents *d, const struct documents_once *once, const void **ret)
{
	unsigned char note[DOCUMENTS_NOTE_SIZE];
	bson_t filter, update;
	if (!documents_note(d, note))
		return documents_failed(d, DOCUMENTS_E_MISTAKE,
			"%s is to be counted once for each command: expected .needs_id = true in CASHEW_HANDLER()",
			once->target->collection->name);
	int error = documents_note_once(d, once->target);
	if (!error)
		error = documents_check_size(d, once->target, once->update);
	if (!error)
		error = documents_flush(d);
	if (error)
		return error;
	append_condition(&filter, once, note);
	bson_copy_to(once->update, &update);
	append_note(&update, note, d->notes_max);
	error = write_noted(d, once, &filter, &update, note, ret);
	bson_destroy(&filter);
	bson_destroy(&update);
	return error;
}

int documents_write_always(
	struct documents *d, const struct documents_target *target, const bson_t *update, const void **ret)
{
	int error = documents_check_size(d, target, update);
	if (!error)
		error = documents_flush(d);
	for (unsigned tries = 0; !error && tries < TRIES; tries++) {
		error = modify(d, target, &target->filter, update, true, ret);
		if (error != STORE_E_DUPLICATE)
			return error;
		error = 0; /* somebody made it in between: it is there to be updated now */
	}
	return error ? error
		     : documents_failed(d, DOCUMENTS_E_CHANGED,
			       "%s %s is made and removed by others all the time", target->collection->name,
			       target->id);
}
