/* backend_real.c - the contract suite against a real server. */
#include "backend.h"
#include "database.h"
#include <mongoc/mongoc.h>

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
