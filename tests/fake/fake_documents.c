/*
 * fake_documents.c - the stand-in store's documents of handlers' collections: store_documents.h over memory.
 *
 * A collection is an array of documents, sorted by _id. Filters and updates are those of fake_bson.h. Indexes are noted, and not used.
 */
#include "store_documents.h"

#include "fake_bson.h"
#include "fake_store_private.h"
#include "store_indexes.h"
#include <stdio.h>
#include <string.h>

struct fake_collection {
	char *name;
	bson_t **documents; /* sorted by _id */
	size_t count, room;
};

/* ---- collections ---- */

static void free_documents(struct fake_collection *collection)
{
	for (size_t i = 0; i < collection->count; i++)
		bson_destroy(collection->documents[i]);
	free(collection->documents);
	*collection = (struct fake_collection){.name = collection->name};
}

void fake_documents_free_all(struct store *store)
{
	for (size_t i = 0; i < store->collections_count; i++) {
		free_documents(&store->collections[i]);
		free(store->collections[i].name);
	}
	free(store->collections);
	free(store->wanted);
	store->wanted = NULL;
	store->wanted_count = 0;
	store->collections = NULL;
	store->collections_count = 0;
}

static struct fake_collection *collection_of(struct store *store, const char *name)
{
	for (size_t i = 0; i < store->collections_count; i++)
		if (strcmp(store->collections[i].name, name) == 0)
			return &store->collections[i];
	store->collections = checked(
		realloc(store->collections, (store->collections_count + 1) * sizeof(store->collections[0])));
	store->collections[store->collections_count] = (struct fake_collection){.name = fake_text_copy(name)};
	return &store->collections[store->collections_count++];
}

/* The place of the first document whose _id is not less; *ret_there: it is that one's. */
static size_t place_of(const struct fake_collection *collection, const bson_iter_t *id, bool *ret_there)
{
	size_t low = 0, high = collection->count;
	bson_iter_t other;
	*ret_there = false;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (!bson_iter_init_find(&other, collection->documents[middle], "_id"))
			abort();
		const int order = fake_bson_compare(&other, id);
		*ret_there = *ret_there || order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* False: one with that _id is there. Takes the document over. */
static bool insert(struct fake_collection *collection, bson_t *document)
{
	bson_iter_t id;
	bool there;
	if (!bson_iter_init_find(&id, document, "_id"))
		abort();
	const size_t place = place_of(collection, &id, &there);
	if (there) {
		bson_destroy(document);
		return false;
	}
	if (collection->count == collection->room) {
		collection->room = collection->room > 0 ? 2 * collection->room : 16;
		collection->documents = checked(
			realloc(collection->documents, collection->room * sizeof(collection->documents[0])));
	}
	memmove(&collection->documents[place + 1], &collection->documents[place],
		(collection->count - place) * sizeof(collection->documents[0]));
	collection->documents[place] = document;
	collection->count++;
	return true;
}

/* The first that matches; count: none does. */
static size_t first_match(const struct fake_collection *collection, const bson_t *filter)
{
	bson_iter_t id, operators;
	bool there;
	/* what most ask for */
	if (bson_iter_init_find(&id, filter, "_id") &&
		!(BSON_ITER_HOLDS_DOCUMENT(&id) && bson_iter_recurse(&id, &operators))) {
		const size_t place = place_of(collection, &id, &there);
		return there && fake_bson_matches(collection->documents[place], filter) ? place
											: collection->count;
	}
	size_t i = 0;
	while (i < collection->count && !fake_bson_matches(collection->documents[i], filter))
		i++;
	return i;
}

/* ---- store_documents.h ---- */

static int refuse(struct store_client *client, const char *why, int store_error)
{
	client->last_error = why;
	return store_error;
}

static const bson_t *sort_of;

static int compare_documents(const void *a, const void *b)
{
	return fake_bson_order(*(const bson_t *const *)a, *(const bson_t *const *)b, sort_of);
}

/* Appends {documents: [..]}. The lock is held. */
static void select_documents(
	const struct fake_collection *collection, const struct store_query *query, bson_t *reply)
{
	const bson_t **found = checked(calloc(collection->count + 1, sizeof(found[0])));
	size_t count = 0;
	bson_t array, document;
	bson_init(reply);
	for (size_t i = 0; i < collection->count; i++)
		if (fake_bson_matches(collection->documents[i], query->filter))
			found[count++] = collection->documents[i];
	sort_of = query->sort;
	if (query->sort)
		qsort(found, count, sizeof(found[0]), compare_documents);
	BSON_APPEND_ARRAY_BEGIN(reply, "documents", &array);
	for (size_t i = 0; i < count && i < query->limit; i++) {
		char position[24];
		snprintf(position, sizeof(position), "%zu", i);
		bson_append_document_begin(&array, position, -1, &document);
		fake_bson_project(found[i], query->projection, &document);
		bson_append_document_end(&array, &document);
	}
	bson_append_array_end(reply, &array);
	free(found);
}

int store_documents_find(struct store_client *client, const struct store_query *query, bson_t *ret_reply,
	bson_iter_t *ret_documents, bool *ret_more)
{
	bson_t reply;
	int r = fake_operation_begin(client);
	if (r != 0)
		return r;
	select_documents(collection_of(client->store, query->collection), query, &reply);
	r = fake_operation_end(client, 0);
	if (r != 0) {
		bson_destroy(&reply);
		return r;
	}
	bson_steal(ret_reply, &reply);
	if (!bson_iter_init_find(ret_documents, ret_reply, "documents") ||
		!bson_iter_recurse(ret_documents, ret_documents))
		abort();
	*ret_more = false;
	return 0;
}

/* What a test has to happen where a server that does not serialise lets others in. The lock is held before and after. */
static void let_others_in(struct store *store)
{
	void (*before)(void *context) = store->before_insert;
	store->before_insert = NULL;
	if (!before)
		return;
	pthread_mutex_unlock(&store->lock);
	before(store->before_insert_context);
	pthread_mutex_lock(&store->lock);
}

/* The document as it is then, which lives until the next change. The lock is held. */
static int change(struct store_client *client, const char *name, const bson_t *filter, const bson_t *update,
	bool upsert, const bson_t **ret_document)
{
	struct fake_collection *collection = collection_of(client->store, name);
	const char *why = "";
	size_t place = first_match(collection, filter);
	const bool there = place < collection->count;
	bson_iter_t id;
	bool found;
	if (!there && !upsert)
		return refuse(client, "there is none", STORE_E_NOT_FOUND);
	bson_t *changed =
		fake_bson_updated(there ? collection->documents[place] : NULL, filter, update, &why);
	if (!changed)
		return refuse(client, why, STORE_E_PERMANENT);
	if (there) {
		bson_destroy(collection->documents[place]);
		collection->documents[place] = changed;
	} else {
		let_others_in(client->store);
		collection = collection_of(client->store, name);
		if (!insert(collection, changed))
			return refuse(client, "E11000 duplicate key error", STORE_E_DUPLICATE);
		if (!bson_iter_init_find(&id, changed, "_id"))
			abort();
		place = place_of(collection, &id, &found);
	}
	*ret_document = collection->documents[place];
	return 0;
}

int store_documents_modify(struct store_client *client, const struct store_modification *modification,
	bson_t *ret_reply, bson_iter_t *ret_document)
{
	const bson_t *changed = NULL;
	bson_t reply = BSON_INITIALIZER, document;
	int r = fake_operation_begin(client);
	if (r != 0)
		return r;
	r = change(client, modification->collection, modification->filter, modification->update,
		modification->upsert, &changed);
	if (r == 0) {
		BSON_APPEND_DOCUMENT_BEGIN(&reply, "value", &document);
		fake_bson_project(changed, modification->projection, &document);
		bson_append_document_end(&reply, &document);
	}
	r = fake_operation_end(client, r);
	if (r != 0) {
		bson_destroy(&reply);
		return r;
	}
	bson_steal(ret_reply, &reply);
	if (!bson_iter_init_find(ret_document, ret_reply, "value"))
		abort();
	return 0;
}

static void remove_one(struct fake_collection *collection, const bson_t *filter)
{
	const size_t place = first_match(collection, filter);
	if (place == collection->count)
		return;
	bson_destroy(collection->documents[place]);
	collection->count--;
	memmove(&collection->documents[place], &collection->documents[place + 1],
		(collection->count - place) * sizeof(collection->documents[0]));
}

int store_documents_write(struct store_client *client, const char *collection,
	const struct store_statement *first, const struct store_statement **ret_failed)
{
	const bson_t *changed;
	int r = fake_operation_begin(client);
	if (r != 0)
		return r;
	for (const struct store_statement *statement = first; r == 0 && statement;
		statement = statement->next) {
		*ret_failed = statement;
		if (statement->kind == STORE_REMOVE)
			remove_one(collection_of(client->store, collection), statement->filter);
		else
			r = change(client, collection, statement->filter, statement->update,
				statement->kind == STORE_UPSERT, &changed);
		if (r == STORE_E_NOT_FOUND && first->next)
			r = 0;
	}
	return fake_operation_end(client, r);
}

void store_want_indexes(struct store *store, struct store_wanted_index *indexes, size_t count)
{
	free(store->wanted);
	store->wanted = indexes;
	store->wanted_count = count;
}

/* ---- fake_store.h ---- */

void fake_store_before_insert(struct store *store, void (*before)(void *context), void *context)
{
	pthread_mutex_lock(&store->lock);
	store->before_insert = before;
	store->before_insert_context = context;
	pthread_mutex_unlock(&store->lock);
}

void fake_store_put(struct store *store, const char *collection, const bson_t *document)
{
	bson_t filter = BSON_INITIALIZER;
	bson_iter_t id;
	if (!bson_iter_init_find(&id, document, "_id"))
		abort();
	bson_append_iter(&filter, "_id", -1, &id);
	pthread_mutex_lock(&store->lock);
	remove_one(collection_of(store, collection), &filter);
	if (!insert(collection_of(store, collection), bson_copy(document)))
		abort();
	pthread_mutex_unlock(&store->lock);
	bson_destroy(&filter);
}

bool fake_store_get(struct store *store, const char *collection, const char *id, bson_t *ret_document)
{
	bson_t filter = BSON_INITIALIZER;
	BSON_APPEND_UTF8(&filter, "_id", id);
	pthread_mutex_lock(&store->lock);
	const struct fake_collection *of = collection_of(store, collection);
	const size_t place = first_match(of, &filter);
	const bool there = place < of->count;
	if (there)
		bson_copy_to(of->documents[place], ret_document);
	pthread_mutex_unlock(&store->lock);
	bson_destroy(&filter);
	return there;
}

void fake_store_remove(struct store *store, const char *collection, const char *id)
{
	bson_t filter = BSON_INITIALIZER;
	BSON_APPEND_UTF8(&filter, "_id", id);
	pthread_mutex_lock(&store->lock);
	remove_one(collection_of(store, collection), &filter);
	pthread_mutex_unlock(&store->lock);
	bson_destroy(&filter);
}

size_t fake_store_count(struct store *store, const char *collection)
{
	pthread_mutex_lock(&store->lock);
	const size_t count = collection_of(store, collection)->count;
	pthread_mutex_unlock(&store->lock);
	return count;
}

void fake_store_visit(struct store *store,
	void (*visit)(void *context, const char *collection, const struct _bson_t *document), void *context)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->collections_count; i++)
		for (size_t k = 0; k < store->collections[i].count; k++)
			visit(context, store->collections[i].name, store->collections[i].documents[k]);
	pthread_mutex_unlock(&store->lock);
}

void fake_documents_dump(struct store *store, FILE *out)
{
	for (size_t i = 0; i < store->collections_count; i++)
		for (size_t k = 0; k < store->collections[i].count; k++) {
			char *json = bson_as_relaxed_extended_json(store->collections[i].documents[k], NULL);
			fprintf(out, "%s %s\n", store->collections[i].name, json);
			bson_free(json);
		}
}
