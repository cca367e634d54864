/* kit_store_fake.c - the test kit on the stand-in store: see kit_private.h. A forked process has a copy of its documents, as of all its memory. */
#include "kit_private.h"

#include "fake_store.h"

struct store *kit_store_new(void)
{
	return fake_store_new();
}

struct store *kit_store_close(struct store *store)
{
	return store;
}

struct store *kit_store_open(struct store *closed)
{
	return closed;
}

void kit_store_remove(struct store *store)
{
	store_close(store);
}
