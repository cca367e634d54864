/*
 * store_prepare.c - indexes and apples, made at start.
 *
 * createIndexes does nothing where an index is there, so hosts may start at the same time. Index names are
 * those that MongoDB makes from the keys: an operator who made the same index by hand has made this one. An
 * index with that name or those keys but other options is told about, not replaced.
 */
#include "store_apples.h"
#include <stdio.h>

enum { KEYS_MAX = 5, DAY_S = 24 * 60 * 60 };

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
	/* A user's commands on a lane, and among those that are not done the first. */
	{STORE_PARKED_COMMANDS, {"user_id", "lane", "done", "position", "_id"}},
	{STORE_PARKED_COMMANDS, {"not_before", "lane", "user_id"}},
	{STORE_PARKED_COMMANDS, {"lane", "user_id", "position"}},
	{STORE_PARKED_COMMANDS, {"done"}, {true, DAY_S}},
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

int store_prepare(struct store_client *client)
{
	if (!client->mongo)
		return STORE_E_AWAY;
	for (int i = 0; i < STORE_COLLECTIONS; i++) {
		const int r = create_indexes(client, (enum store_collection)i);

		if (r != 0)
			return r;
	}
	return apples_seed(client);
}
