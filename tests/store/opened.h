/* opened.h - for the contract suites: each test has a store of its own, prepared, and a client of it. */
#ifndef OPENED_H
#define OPENED_H

#include "backend.h"
#include "store.h"

/* A suite that wants indexes besides the runtime's own says by whom before it includes this: 0 or an error. */
#ifndef OPENED_WANT
#define OPENED_WANT(store) 0
#endif

static struct store *store;
static struct store_client *client;

static int open_store(void **state)
{
	(void)state;
	store = backend_open();
	client = store_acquire(store);
	const int error = OPENED_WANT(store);
	return error != 0 ? error : store_prepare(client);
}

static int close_store(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	return 0;
}

#endif
