/* backend_real.c - the contract suite against a real server. */
#include "backend.h"
#include "database.h"
#include <mongoc/mongoc.h>
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
	static const char *const dates[] = {"not_before", "lease_until"};
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
