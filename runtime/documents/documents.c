/*
 * documents.c - see documents.h: the run's reads and writes; a put is in documents_put.c, counting once in documents_once.c, lists are in documents_list.c.
 *
 * A duplicate key that an add meets is done: whoever was first keeps it.
 */
#include "documents.h"

#include "documents_json.h"
#include "documents_private.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum {
	DOCUMENT_MAX = 16 * 1024 * 1024, /* MongoDB's manual, "MongoDB Limits and Thresholds" */
	WAITING_SIZE_MAX = 8 * 1024 * 1024,
	WAITING_COUNT_MAX = 100,
	TRIES = 3,
};

struct documents_read {
	struct documents_read *next; /* read before */
	const char *collection, *id; /* NULL: a list, whose documents are looked for by their _id */
	enum documents_knowledge knowledge;
	int64_t version;
	bson_t *reply;		/* NULL: none was needed */
	bson_iter_t *documents; /* of a list: before the first; NULL: nothing is known by it */
};

/* ---- Life ---- */

void documents_begin(struct documents *d, struct arena *memory, const char *note, unsigned notes_max)
{
	*d = (struct documents){.memory = memory, .note = note, .notes_max = notes_max};
	d->waiting_end = &d->waiting;
}

static void drop_waiting(struct documents *d)
{
	for (struct store_statement *statement = d->waiting, *next; statement; statement = next) {
		next = statement->next;
		bson_destroy(statement->filter);
		bson_destroy(statement->update);
	}
	d->waiting = NULL;
	d->waiting_end = &d->waiting;
	d->waiting_collection = NULL;
	d->waiting_size = d->waiting_count = 0;
}

void documents_end(struct documents *d)
{
	drop_waiting(d);
	documents_json_drop_all(d);
	for (struct documents_read *read = d->reads; read; read = read->next)
		if (read->reply)
			bson_destroy(read->reply);
	d->reads = NULL;
}

/* ---- Failures ---- */

int documents_failed(struct documents *d, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	d->reason = arena_format_list(d->memory, format, arguments);
	va_end(arguments);
	return d->reason ? error : -ENOMEM;
}

int documents_store_failed(struct documents *d, int error)
{
	return error == -ENOMEM ? error : documents_failed(d, error, "%s", store_last_error(d->client));
}

static int size_failed(struct documents *d, const struct documents_target *target, size_t size)
{
	return documents_failed(d, DOCUMENTS_E_MISTAKE,
		"%s %s: %zu bytes are to be written: a document has 16 MB at most", target->collection->name,
		target->id, size);
}

int documents_check_size(struct documents *d, const struct documents_target *target, const bson_t *update)
{
	return update->len > DOCUMENT_MAX ? size_failed(d, target, update->len) : 0;
}

/* ---- Which document ---- */

int documents_target(struct documents *d, const struct cashew_collection *collection, const void *keys,
	struct documents_target *ret)
{
	char words[DOCUMENTS_WORDS_SIZE];
	*ret = (struct documents_target){.collection = collection};
	documents_id_keys(collection->shape, &ret->keys);
	if (ret->keys.count == 0)
		return documents_failed(d, DOCUMENTS_E_MISTAKE,
			"%s has no .key: expected one member or more with .key = true", collection->name);
	ret->id = documents_id_make(d, collection, &ret->keys, 0, keys);
	if (!ret->id)
		return d->reason ? DOCUMENTS_E_MISTAKE : -ENOMEM;
	bson_init(&ret->filter);
	ret->has_filter = true;
	if (ret->keys.count == 1) {
		BSON_APPEND_UTF8(&ret->filter, "_id", ret->id);
		return 0;
	}
	for (size_t i = 0; i < ret->keys.count; i++) {
		const struct cashew_member *member = ret->keys.members[i];
		if (!documents_append_value(
			    &ret->filter, member->name, member, documents_at(keys, member), words))
			return documents_failed(d, DOCUMENTS_E_MISTAKE, "%s: %s", collection->name, words);
	}
	return 0;
}

void documents_target_free(struct documents_target *target)
{
	if (target->has_filter)
		bson_destroy(&target->filter);
	target->has_filter = false;
}

void documents_append_identity(bson_t *fields, const struct documents_target *target, const void *document)
{
	char words[DOCUMENTS_WORDS_SIZE];
	const struct cashew_member *key = target->keys.members[0];
	if (target->keys.count > 1)
		BSON_APPEND_UTF8(fields, "_id", target->id);
	else
		(void)documents_append_value(fields, key->name, key, documents_at(document, key), words);
}

void documents_projection(bson_t *ret, const struct cashew_shape *shape, const unsigned char *note)
{
	bson_t once, match;
	bson_init(ret);
	for (size_t i = 0; i < shape->count; i++)
		BSON_APPEND_INT32(ret, shape->members[i].name, 1);
	BSON_APPEND_INT32(ret, "_v", 1);
	if (!note)
		return;
	BSON_APPEND_DOCUMENT_BEGIN(ret, "_once", &once);
	BSON_APPEND_DOCUMENT_BEGIN(&once, "$elemMatch", &match);
	BSON_APPEND_BINARY(&match, "$eq", BSON_SUBTYPE_BINARY, note, DOCUMENTS_NOTE_SIZE);
	bson_append_document_end(&once, &match);
	bson_append_document_end(ret, &once);
}

/* ---- What was read ---- */

static struct documents_read *add_read(struct documents *d, const char *collection, const char *id)
{
	struct documents_read *read = arena_alloc(d->memory, sizeof(*read));
	if (!read)
		return NULL;
	*read = (struct documents_read){.next = d->reads, .collection = collection, .id = id};
	d->reads = read;
	return read;
}

int documents_know(struct documents *d, const struct documents_target *target,
	enum documents_knowledge knowledge, int64_t version)
{
	struct documents_read *read = add_read(d, target->collection->name, target->id);
	if (!read)
		return -ENOMEM;
	read->knowledge = knowledge;
	read->version = version;
	return 0;
}

/* Whether the list has it. */
static bool known_of_list(
	bson_iter_t documents, const char *id, enum documents_knowledge *ret, int64_t *ret_version)
{
	bson_iter_t field;
	while (bson_iter_next(&documents)) {
		if (!bson_iter_recurse(&documents, &field) || !bson_iter_find(&field, "_id") ||
			!BSON_ITER_HOLDS_UTF8(&field) || strcmp(bson_iter_utf8(&field, NULL), id) != 0)
			continue;
		const bool versioned = bson_iter_recurse(&documents, &field) && bson_iter_find(&field, "_v");
		*ret = versioned ? DOCUMENTS_WITH_VERSION : DOCUMENTS_WITHOUT_VERSION;
		*ret_version = versioned ? bson_iter_as_int64(&field) : 0;
		return true;
	}
	return false;
}

enum documents_knowledge documents_known(
	struct documents *d, const struct documents_target *target, int64_t *ret_version)
{
	enum documents_knowledge knowledge;
	for (const struct documents_read *read = d->reads; read; read = read->next) {
		if (strcmp(read->collection, target->collection->name) != 0)
			continue;
		if (read->id && strcmp(read->id, target->id) == 0) {
			*ret_version = read->version;
			return read->knowledge;
		}
		if (read->documents && known_of_list(*read->documents, target->id, &knowledge, ret_version))
			return knowledge;
	}
	return DOCUMENTS_UNKNOWN;
}

/* The library wants its own aligned as the memory has it not: each begins at a multiple of ALIGNED. */
enum { ALIGNED = 128 };
_Static_assert(_Alignof(bson_t) <= ALIGNED && _Alignof(bson_iter_t) <= ALIGNED, "as the library has it");

static void *aligned_room(struct documents *d, size_t size)
{
	char *room = arena_alloc(d->memory, size + ALIGNED);
	return room ? room + (ALIGNED - (uintptr_t)room % ALIGNED) : NULL;
}

bson_t *documents_reply(struct documents *d)
{
	return aligned_room(d, sizeof(bson_t));
}

int documents_take(struct documents *d, const struct documents_target *target, bson_t *reply,
	const bson_iter_t *document, const void **ret)
{
	struct documents_extra extra;
	struct documents_read *read = add_read(d, target->collection->name, target->id);
	if (!read) {
		bson_destroy(reply);
		return -ENOMEM;
	}
	read->reply = reply;
	void *made = arena_alloc(d->memory, target->collection->shape->size);
	const int error =
		made ? documents_read_struct(d, target->collection, document, made, &extra) : -ENOMEM;
	if (error)
		return error;
	read->knowledge = extra.has_version ? DOCUMENTS_WITH_VERSION : DOCUMENTS_WITHOUT_VERSION;
	read->version = extra.version;
	*ret = made;
	return 0;
}

int documents_keep_list(
	struct documents *d, const char *collection, bson_t *reply, const bson_iter_t *documents)
{
	bson_iter_t *kept = documents ? aligned_room(d, sizeof(*kept)) : NULL;
	struct documents_read *read = add_read(d, collection, NULL);
	if (!read || (documents && !kept)) {
		bson_destroy(reply);
		return -ENOMEM;
	}
	if (documents)
		*kept = *documents;
	read->reply = reply;
	read->documents = kept;
	return 0;
}

/* ---- Find ---- */

int documents_find(
	struct documents *d, const struct cashew_collection *collection, const void *keys, const void **ret)
{
	DOCUMENTS_TARGET target = {.id = NULL};
	bson_iter_t documents;
	bson_t projection;
	bool more;
	int error = documents_target(d, collection, keys, &target);
	if (!error)
		error = documents_flush(d);
	bson_t *reply = error ? NULL : documents_reply(d);
	if (!reply)
		return error ? error : -ENOMEM;
	documents_projection(&projection, collection->shape, NULL);
	const struct store_query query = {.collection = collection->name,
		.filter = &target.filter,
		.projection = &projection,
		.limit = 1};
	error = store_documents_find(d->client, &query, reply, &documents, &more);
	bson_destroy(&projection);
	if (error)
		return documents_store_failed(d, error);
	if (bson_iter_next(&documents))
		return documents_take(d, &target, reply, &documents, ret);
	bson_destroy(reply);
	*ret = NULL;
	return documents_know(d, &target, DOCUMENTS_ABSENT, 0);
}

/* ---- Writes that wait ---- */

/* The last statement is done, or its error is what somebody else's write means to it. Sets *ret_rest to what is still to be done. */
static int judge_duplicate(
	struct documents *d, const struct store_statement *failed, const struct store_statement **ret_rest)
{
	switch ((enum documents_tag)failed->tag) {
	case DOCUMENTS_TAG_ADD: *ret_rest = failed->next; return 0;
	case DOCUMENTS_TAG_PUT:
		*ret_rest = failed;
		return 0; /* it was made in between, and is there to be updated now */
	case DOCUMENTS_TAG_PUT_OF_READ:
		return documents_failed(d, DOCUMENTS_E_CHANGED,
			"a document of %s was made by another command since this one had looked",
			d->waiting_collection);
	case DOCUMENTS_TAG_REMOVE: break;
	}
	return documents_store_failed(d, STORE_E_PERMANENT);
}

static int write_waiting(struct documents *d)
{
	const struct store_statement *rest = d->waiting, *failed = NULL;
	unsigned tries = 0;
	while (rest) {
		int error = store_documents_write(d->client, d->waiting_collection, rest, &failed);
		if (error == 0)
			return 0;
		if (error == STORE_E_NOT_FOUND)
			return documents_failed(d, DOCUMENTS_E_CHANGED,
				"a document of %s was changed by another command since this one had read it",
				d->waiting_collection);
		if (error != STORE_E_DUPLICATE)
			return documents_store_failed(d, error);
		const struct store_statement *before = rest;
		error = judge_duplicate(d, failed, &rest);
		if (error)
			return error;
		tries = rest == before ? tries + 1 : 0;
		if (tries == TRIES)
			return documents_failed(d, DOCUMENTS_E_CHANGED,
				"a document of %s is made and removed by others all the time",
				d->waiting_collection);
	}
	return 0;
}

int documents_flush(struct documents *d)
{
	const int error = d->waiting ? write_waiting(d) : 0;
	drop_waiting(d);
	return error;
}

int documents_wait(struct documents *d, const struct documents_target *target, enum store_statement_kind kind,
	enum documents_tag tag, bson_t *filter, bson_t *update)
{
	const char *collection = target->collection->name;
	const size_t size = filter->len + (update ? update->len : 0);
	struct store_statement *statement = arena_alloc(d->memory, sizeof(*statement));
	int error = statement ? 0 : -ENOMEM;
	if (!error && update)
		error = documents_check_size(d, target, update);
	/* an update that must match goes alone, from both sides */
	const bool alone = kind == STORE_UPDATE || (d->waiting && d->waiting->kind == STORE_UPDATE);
	if (!error && d->waiting &&
		(alone || strcmp(d->waiting_collection, collection) != 0 ||
			d->waiting_size + size > WAITING_SIZE_MAX || d->waiting_count == WAITING_COUNT_MAX))
		error = documents_flush(d);
	if (error) {
		bson_destroy(filter);
		bson_destroy(update);
		return error;
	}
	*statement = (struct store_statement){.kind = kind, .tag = tag, .filter = filter, .update = update};
	d->waiting_collection = collection;
	*d->waiting_end = statement;
	d->waiting_end = &statement->next;
	d->waiting_size += size;
	d->waiting_count++;
	return 0;
}

int documents_append_members(struct documents *d, const struct documents_target *target, const void *document,
	bson_t *into, bson_t *absent)
{
	const struct cashew_shape *shape = target->collection->shape;
	char words[DOCUMENTS_WORDS_SIZE];
	for (size_t i = 0; i < shape->count; i++) {
		const struct cashew_member *member = &shape->members[i];
		const void *at = documents_at(document, member);
		if (member->key)
			continue;
		if (documents_is_none(member, at) && (member->optional || member->kind == CASHEW_K_time ||
							     member->kind == CASHEW_K_json)) {
			if (absent)
				BSON_APPEND_BOOL(absent, member->name, true);
			continue;
		}
		if (!documents_append_value(into, member->name, member, at, words))
			return documents_failed(d, DOCUMENTS_E_MISTAKE, "%s %s: %s", target->collection->name,
				target->id, words);
	}
	return 0;
}

int documents_add(struct documents *d, const struct cashew_collection *collection, const void *document)
{
	DOCUMENTS_TARGET target = {.id = NULL};
	bson_t fields;
	int error = documents_target(d, collection, document, &target);
	if (!error)
		error = documents_know(d, &target, DOCUMENTS_UNKNOWN, 0);
	if (error)
		return error;
	bson_t *update = bson_new();
	BSON_APPEND_DOCUMENT_BEGIN(update, "$setOnInsert", &fields);
	documents_append_identity(&fields, &target, document);
	error = documents_append_members(d, &target, document, &fields, NULL);
	bson_append_document_end(update, &fields);
	if (!error)
		return documents_wait(
			d, &target, STORE_UPSERT, DOCUMENTS_TAG_ADD, bson_copy(&target.filter), update);
	bson_destroy(update);
	return error;
}

int documents_remove(struct documents *d, const struct cashew_collection *collection, const void *keys)
{
	DOCUMENTS_TARGET target = {.id = NULL};
	int error = documents_target(d, collection, keys, &target);
	if (!error)
		error = documents_know(d, &target, DOCUMENTS_UNKNOWN, 0);
	return error ? error
		     : documents_wait(d, &target, STORE_REMOVE, DOCUMENTS_TAG_REMOVE,
			       bson_copy(&target.filter), NULL);
}
