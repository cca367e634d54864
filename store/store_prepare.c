/*
 * store_prepare.c - indexes and apples, made at start.
 *
 * createIndexes does nothing where an index is there, so hosts may start at the same time. Index names are
 * those that MongoDB makes from the keys: an operator who made the same index by hand has made this one. An
 * index with that name or those keys but other options is told about, not replaced. store_indexes() tells
 * which of them are there.
 */
#include "store_describe.h"

#include "store_apples.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 5 };

/* expireAfterSeconds of an index on one date. */
struct expiry {
	bool expires;
	int32_t after_s;
};

static const struct index {
	enum store_collection collection;
	const char *keys[KEYS_MAX];
	struct expiry expiry;
} indexes[] = {
	{STORE_CONTACTS, {"user_id", "contact_id"}},
	{STORE_CONTACT_REQUESTS, {"user_id", "from"}},
	{STORE_APPLES, {"position"}},
	{STORE_DEAD_LETTERS, {"when", "_id"}},
	{STORE_DEAD_LETTERS, {"user_id", "when", "_id"}},
	{STORE_DEAD_LETTERS, {"handler", "when", "_id"}},
	{STORE_DEAD_LETTERS, {"expires"}, {true, 0}},
	/* A user's commands on a lane, and the users of a lane who have any. `done` is null, but for what earlier versions left. */
	{STORE_PARKED_COMMANDS, {"lane", "done", "user_id", "position"}},
	/* What is due. */
	{STORE_PARKED_COMMANDS, {"not_before", "lane", "user_id"}},
	/* A lane's highest position. */
	{STORE_PARKED_COMMANDS, {"lane", "position"}},
};

/* Appends {key: {user_id: 1, when: 1}, name: "user_id_1_when_1"}. */
static void append_index(bson_t *array, const char *position, const struct index *index)
{
	char name[64];
	size_t size = 0;
	bson_t document, key;

	bson_append_document_begin(array, position, -1, &document);
	BSON_APPEND_DOCUMENT_BEGIN(&document, "key", &key);
	for (size_t i = 0; i < KEYS_MAX && index->keys[i]; i++) {
		BSON_APPEND_INT32(&key, index->keys[i], 1);
		size += (size_t)snprintf(
			name + size, sizeof(name) - size, "%s%s_1", i > 0 ? "_" : "", index->keys[i]);
	}
	bson_append_document_end(&document, &key);
	BSON_APPEND_UTF8(&document, "name", name);
	if (index->expiry.expires)
		BSON_APPEND_INT32(&document, "expireAfterSeconds", index->expiry.after_s);
	bson_append_document_end(array, &document);
}

static int create_indexes(struct store_client *client, enum store_collection collection)
{
	bson_t command = BSON_INITIALIZER, array, reply;
	bson_error_t error;
	uint32_t count = 0;
	bool created;

	BSON_APPEND_UTF8(&command, "createIndexes", store_collection_name(collection));
	BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &array);
	for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
		char buffer[16];
		const char *position;

		if (indexes[i].collection != collection)
			continue;
		(void)bson_uint32_to_string(count++, &position, buffer, sizeof(buffer));
		append_index(&array, position, &indexes[i]);
	}
	bson_append_array_end(&command, &array);
	if (count == 0) {
		/* The server refuses an empty list. */
		bson_destroy(&command);
		return 0;
	}
	created = mongoc_client_write_command_with_opts(
		client->mongo, store_database_name(client->store), &command, NULL, &reply, &error);
	bson_destroy(&command);
	if (!created && error.domain == MONGOC_ERROR_SERVER && (error.code == 85 || error.code == 86)) {
		/* IndexOptionsConflict, IndexKeySpecsConflict */
		char message[sizeof(error.message) + 128];

		snprintf(message, sizeof(message),
			"an index with the same keys or name but other options is in the way; drop it, the "
			"right one is "
			"made at the next start: %s",
			error.message);
		bson_destroy(&reply);
		return store_failed(client, collection, "createIndexes", message, STORE_E_PERMANENT);
	}
	return store_write_result(client, collection, "createIndexes", created, &reply, &error);
}

/* ---- which of them are there ---- */

/* Whether both have the same keys in the same order; a number is one whatever its type. */
static bool same_keys(const bson_t *a, const bson_t *b)
{
	bson_iter_t of_a, of_b;
	bool more_a, more_b;

	if (!bson_iter_init_find(&of_a, a, "key") || !BSON_ITER_HOLDS_DOCUMENT(&of_a) ||
		!bson_iter_recurse(&of_a, &of_a) || !bson_iter_init_find(&of_b, b, "key") ||
		!BSON_ITER_HOLDS_DOCUMENT(&of_b) || !bson_iter_recurse(&of_b, &of_b))
		return false;
	for (;;) {
		more_a = bson_iter_next(&of_a);
		more_b = bson_iter_next(&of_b);
		if (!more_a || !more_b)
			return more_a == more_b;
		if (strcmp(bson_iter_key(&of_a), bson_iter_key(&of_b)) != 0 ||
			bson_iter_as_int64(&of_a) != bson_iter_as_int64(&of_b))
			return false;
	}
}

static const char *text_of(const bson_t *document, const char *field)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_UTF8(&iter)
		       ? bson_iter_utf8(&iter, NULL)
		       : "";
}

/* expireAfterSeconds, or -1. */
static int64_t expiry_of(const bson_t *document)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, "expireAfterSeconds") ? bson_iter_as_int64(&iter) : -1;
}

struct search {
	const bson_t *wanted;
	enum store_index_state state;
};

static bool compare_index(const bson_t *found, void *context)
{
	struct search *search = context;
	const bool name = strcmp(text_of(found, "name"), text_of(search->wanted, "name")) == 0;
	const bool keys = same_keys(found, search->wanted);

	if (name && keys && expiry_of(found) == expiry_of(search->wanted))
		search->state = STORE_INDEX_THERE;
	else if (name || keys)
		search->state = STORE_INDEX_OTHER;
	return search->state == STORE_INDEX_MISSING;
}

int store_indexes(struct store_client *client, store_index_visitor visit, void *context)
{
	if (!client->mongo)
		return STORE_E_AWAY;
	for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
		const enum store_collection collection = indexes[i].collection;
		bson_t array = BSON_INITIALIZER, wanted;
		struct search search = {.wanted = &wanted, .state = STORE_INDEX_MISSING};
		const uint8_t *bytes;
		uint32_t size;
		bson_iter_t iter;
		int r;

		append_index(&array, "0", &indexes[i]);
		if (!bson_iter_init_find(&iter, &array, "0"))
			abort();
		bson_iter_document(&iter, &size, &bytes);
		if (!bson_init_static(&wanted, bytes, size))
			abort();
		/* A collection that is not there has none. */
		r = store_iterate(client, collection,
			mongoc_collection_find_indexes_with_opts(
				store_client_collection(client, collection), NULL),
			compare_index, &search);
		if (r == 0)
			visit(context, store_collection_name(collection), text_of(&wanted, "name"),
				search.state);
		bson_destroy(&array);
		if (r != 0)
			return r;
	}
	return 0;
}

int store_prepare(struct store_client *client)
{
	if (!client->mongo)
		return STORE_E_AWAY;
	const int error = store_ping(client); /* what is made from here on may need the time */

	if (error != 0)
		return error;
	for (int i = 0; i < STORE_COLLECTIONS; i++) {
		const int r = create_indexes(client, (enum store_collection)i);

		if (r != 0)
			return r;
	}
	return apples_seed(client);
}
