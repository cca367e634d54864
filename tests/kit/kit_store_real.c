/*
 * kit_store_real.c - the test kit on a real database, that of MONGO_DB_URL (tests/kit/on_database starts one): see kit_private.h.
 *
 * Each test has a database with a name of its own, which is dropped at its end. The driver does not outlive fork(): it is closed before, and opened anew.
 */
#include "kit_private.h"

#include "store.h"
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { POOL_SIZE = 4, NAME_SIZE = 64 };

static char name[NAME_SIZE];

static struct store *open_store(void)
{
	char message[STORE_MESSAGE_SIZE];
	struct store *store;
	const char *url = getenv("MONGO_DB_URL");
	if (!url || store_open(&(struct store_options){.url = url,
				       .database = name,
				       .app_name = "cashew-test",
				       .pool_size = POOL_SIZE},
			    &store, message) != 0) {
		fprintf(stderr, "MONGO_DB_URL: %s\n",
			url ? message : "it is not set: expected the server to test on");
		_Exit(EXIT_FAILURE);
	}
	return store;
}

struct store *kit_store_new(void)
{
	snprintf(name, sizeof(name), "cashew_test_%d_%lld", (int)getpid(), (long long)time(NULL));
	return open_store();
}

struct store *kit_store_close(struct store *store)
{
	store_close(store);
	return NULL;
}

struct store *kit_store_open(struct store *closed)
{
	(void)closed;
	return open_store();
}

void kit_store_remove(struct store *store)
{
	struct store_client *client = store_acquire(store);
	mongoc_database_t *database = store_database(client);
	bson_error_t error;
	if (!database || !mongoc_database_drop(database, &error))
		fprintf(stderr, "the database %s was not dropped\n", name);
	store_release(client);
	store_close(store);
}
