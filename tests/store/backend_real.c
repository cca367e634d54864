/* backend_real.c - the contract suite against a real server. */
#include "backend.h"
#include "database.h"
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>

static struct database database;

void backend_start(void)
{
	database_start(&database, false);
}

void backend_stop(void)
{
	database_stop(&database);
}

struct store *backend_open(void)
{
	return database_open(&database, NULL);
}

/* The dates that the store compares with its time go back by as much. */
static void pass(mongoc_collection_t *collection, int64_t ms)
{
	static const char *const dates[] = {"not_before", "lease_until", "asked"};
	bson_t all = BSON_INITIALIZER;
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, &all, NULL, NULL);
	const bson_t *document;
	bson_error_t error;

	while (mongoc_cursor_next(cursor, &document)) {
		bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
		bson_iter_t iter;

		if (!bson_iter_init_find(&iter, document, "_id"))
			abort();
		bson_append_iter(&filter, "_id", -1, &iter);
		BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
		BSON_APPEND_BOOL(&set, "passed", true);
		for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
			if (bson_iter_init_find(&iter, document, dates[i]))
				BSON_APPEND_DATE_TIME(&set, dates[i], bson_iter_date_time(&iter) - ms);
		bson_append_document_end(&update, &set);
		if (!mongoc_collection_update_one(collection, &filter, &update, NULL, NULL, &error))
			abort();
		bson_destroy(&update);
		bson_destroy(&filter);
	}
	mongoc_cursor_destroy(cursor);
	bson_destroy(&all);
}

void backend_pass(struct store *store, int64_t ms)
{
	static const char *const names[] = {"parked_commands", "hosts"};
	struct store_client *client = store_acquire(store);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		mongoc_collection_t *collection =
			mongoc_database_get_collection(store_database(client), names[i]);

		pass(collection, ms);
		mongoc_collection_destroy(collection);
	}
	store_release(client);
}

long backend_dead_letters(struct store *store)
{
	struct store_client *client = store_acquire(store);
	mongoc_collection_t *collection =
		mongoc_database_get_collection(store_database(client), "dead_letters");
	bson_t all = BSON_INITIALIZER;
	bson_error_t error;
	const long count =
		(long)mongoc_collection_count_documents(collection, &all, NULL, NULL, NULL, &error);

	mongoc_collection_destroy(collection);
	store_release(client);
	return count;
}

static mongoc_collection_t *collection_of(struct store_client *client, const char *name)
{
	return mongoc_database_get_collection(store_database(client), name);
}

void backend_put(struct store *store, const char *collection, const bson_t *document)
{
	struct store_client *client = store_acquire(store);
	mongoc_collection_t *handle = collection_of(client, collection);
	bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
	bson_error_t error;
	bson_iter_t id;

	if (!bson_iter_init_find(&id, document, "_id"))
		abort();
	bson_append_iter(&filter, "_id", -1, &id);
	BSON_APPEND_BOOL(&options, "upsert", true);
	if (!mongoc_collection_replace_one(handle, &filter, document, &options, NULL, &error)) {
		fprintf(stderr, "%s: %s\n", collection, error.message);
		abort();
	}
	bson_destroy(&filter);
	bson_destroy(&options);
	mongoc_collection_destroy(handle);
	store_release(client);
}

void backend_insert(struct store *store, const char *collection, bson_t *const *documents, size_t count)
{
	enum { AT_ONCE = 500 };
	struct store_client *client = store_acquire(store);
	mongoc_collection_t *handle = collection_of(client, collection);
	const bson_t *inserted[AT_ONCE];
	bson_error_t error;

	for (size_t done = 0; done < count;) {
		size_t n = 0;
		while (n < AT_ONCE && done < count)
			inserted[n++] = documents[done++];
		if (!mongoc_collection_insert_many(handle, inserted, n, NULL, NULL, &error)) {
			fprintf(stderr, "%s: %s\n", collection, error.message);
			abort();
		}
	}
	mongoc_collection_destroy(handle);
	store_release(client);
}

bool backend_get(struct store *store, const char *collection, const char *id, bson_t *ret_document)
{
	struct store_client *client = store_acquire(store);
	mongoc_collection_t *handle = collection_of(client, collection);
	bson_t filter = BSON_INITIALIZER;
	const bson_t *found;

	BSON_APPEND_UTF8(&filter, "_id", id);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(handle, &filter, NULL, NULL);
	const bool there = mongoc_cursor_next(cursor, &found);
	if (there)
		bson_copy_to(found, ret_document);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&filter);
	mongoc_collection_destroy(handle);
	store_release(client);
	return there;
}

/* 11001 is the older name of 11000, which a failpoint does not take. The others' document is made first; then the server's failpoint answers as if it had come in between (MongoDB's "failCommand", which a server has that
 * was started for tests). */
bool backend_collide(struct store *store, const char *command, void (*others)(void *context), void *context)
{
	struct store_client *client = store_acquire(store);
	mongoc_client_t *mongo = mongoc_client_new(database.url);
	bson_t configure = BSON_INITIALIZER;
	bson_error_t error;

	others(context);
	BCON_APPEND(&configure, "configureFailPoint", "failCommand", "mode", "{", "times", BCON_INT32(1), "}",
		"data", "{", "failCommands", "[", BCON_UTF8(command), "]", "errorCode", BCON_INT32(11001),
		"}");
	const bool set = mongoc_client_command_simple(mongo, "admin", &configure, NULL, NULL, &error);
	if (!set)
		fprintf(stderr, "no failpoint: %s\n", error.message);
	bson_destroy(&configure);
	mongoc_client_destroy(mongo);
	store_release(client);
	return set;
}
