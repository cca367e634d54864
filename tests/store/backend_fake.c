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
