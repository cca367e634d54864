/* backend_fake.c - the contract suite against the stand-in store. */
#include "backend.h"
#include "fake_store.h"
#include <stdlib.h>

void backend_start(void)
{
}

void backend_stop(void)
{
}

struct store *backend_open(void)
{
	const struct store_options options = {
		.url = "mongodb://127.0.0.1", .database = "test", .pool_size = 8};
	char message[STORE_MESSAGE_SIZE];
	struct store *store;

	if (store_open(&options, &store, message) != 0)
		abort();
	return store;
}

void backend_pass(struct store *store, int64_t ms)
{
	fake_store_pass(store, ms);
}

long backend_dead_letters(struct store *store)
{
	return (long)fake_store_dead_letters(store);
}

void backend_put(struct store *store, const char *collection, const struct _bson_t *document)
{
	fake_store_put(store, collection, document);
}

void backend_insert(
	struct store *store, const char *collection, struct _bson_t *const *documents, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fake_store_put(store, collection, documents[i]);
}

bool backend_get(struct store *store, const char *collection, const char *id, struct _bson_t *ret_document)
{
	return fake_store_get(store, collection, id, ret_document);
}

bool backend_collide(struct store *store, const char *command, void (*others)(void *context), void *context)
{
	(void)command;
	fake_store_before_insert(store, others, context);
	return true;
}
