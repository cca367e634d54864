/*
 * real_store.h - a real database, and for each case an empty store in it, prepared, and a client of it.
 *
 * Include it in one source file.
 */
#ifndef REAL_STORE_H
#define REAL_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "database.h"
#include "dead_letters.h"
#include "hosts.h"
#include "parked_commands.h"
#include "replays.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>

static struct database database;
static struct store *store;
static struct store_client *client;

static int open_store(void **state)
{
	(void)state;
	store = database_open(&database, NULL);
	client = store_acquire(store);
	return contact_documents_want_indexes(store) || store_prepare(client);
}

static int close_store(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	return 0;
}

/* ---- looking into the database ---- */

static inline mongoc_collection_t *collection_of(const char *name)
{
	return mongoc_database_get_collection(store_database(client), name);
}

/* The document has these fields, each with its type, and no others. The order is the server's. */
struct field {
	const char *name;
	bson_type_t type;
};

static inline const char *text_of(const bson_t *found, const char *field)
{
	bson_iter_t iter;

	assert_true(bson_iter_init_find(&iter, found, field));
	assert_true(BSON_ITER_HOLDS_UTF8(&iter));
	return bson_iter_utf8(&iter, NULL);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_store, close_store)

#endif
