/*
 * fake_case.h - for tests: each case has a stand-in store of its own, and a client of it.
 *
 * Include it in one source file, behind cmocka.h.
 */
#ifndef FAKE_CASE_H
#define FAKE_CASE_H

#include "fake_store.h"

static struct store *store;
static struct store_client *client;

/* A case's set-up and tear-down; or the beginning and the end of them. */
static inline int fake_case_begin(void **state)
{
	(void)state;
	store = fake_store_new();
	client = store_acquire(store);
	return 0;
}

static inline int fake_case_end(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	return 0;
}

#endif
