/*
 * documents_parts.h - for the contract suites of documents.h: collections, a run of a handler, and what stands in the store.
 *
 * Every case begins with an empty store, a client of it, and a run of a handler that has an id. What a case has others do it does with the store's
 * functions, as another host would; what somebody else wrote is put there with the backend's. Include it in one source file.
 */
#ifndef DOCUMENTS_PARTS_H
#define DOCUMENTS_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "backend.h"
#include "documents.h"
#include "documents_indexes.h"
#include "store_documents.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

CASHEW_COLLECTION(dishes, "dishes", (user, user_id, .key = true), (integer, total),
	(time, last_at, .index = CASHEW_ACROSS));
CASHEW_COLLECTION(contact, "contacts", (user, user_id, .key = true), (user, contact_id, .key = true),
	(time, since, .index = CASHEW_WITHIN));
CASHEW_COLLECTION(name, "names", (text, name, .key = true, .max = 30), (user, owner));

CASHEW_COLLECTION(visit, "visits", (user, user_id, .key = true), (integer, number, .key = true),
	(time, at, .key = true), (text, place, .optional = true));
CASHEW_COLLECTION(everything, "everything", (user, user_id, .key = true),
	(text, a_text, .optional = true, .max = 20000000), (user, a_user, .optional = true),
	(integer, an_integer), (integer, another, .optional = true, .otherwise = 7), (number, a_number),
	(boolean, a_boolean), (time, a_time), (bytes, some_bytes, .optional = true),
	(json, some_json, .optional = true));

static struct store *store;
static struct store_client *client;
static struct documents d;
static struct arena memory;

/* A run of that command, after what ran before. NULL: it has no id. */
static inline void run_as(const char *note)
{
	documents_end(&d);
	arena_free(&memory);
	arena_init(&memory, NULL, 0);
	documents_begin(&d, &memory, note, 500);
	d.client = client;
}

static int open_store(void **state)
{
	(void)state;
	store = backend_open();
	client = store_acquire(store);
	arena_init(&memory, NULL, 0);
	documents_begin(&d, &memory, "wash/68946/w1", 500);
	d.client = client;
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	documents_end(&d);
	arena_free(&memory);
	store_release(client);
	store_close(store);
	return 0;
}

#define assert_good(call) assert_no_error(call, #call)
static void assert_no_error(int error, const char *call)
{
	if (error != 0)
		fail_msg("%s: %d %s", call, error, d.reason ? d.reason : "");
}

/* The error, and words that are in its reason. */
#define assert_refused(call, error, words)                                     \
	do {                                                                   \
		const int refused = (call);                                    \
		if (refused != error || !d.reason)                             \
			fail_msg("%d, %s", refused, d.reason ? d.reason : ""); \
		if (!strstr(d.reason, words))                                  \
			fail_msg("\"%s\" is not in: %s", words, d.reason);     \
	} while (0)

static inline const void *found(const struct cashew_collection *collection, const void *keys)
{
	const void *document = NULL;
	assert_good(documents_find(&d, collection, keys, &document));
	return document;
}
#define FOUND(name, ...)  ((const struct name *)found(&name##_collection, &(const struct name){__VA_ARGS__}))
#define ADD(name, ...)	  documents_add(&d, &name##_collection, &(const struct name){__VA_ARGS__})
#define REMOVE(name, ...) documents_remove(&d, &name##_collection, &(const struct name){__VA_ARGS__})
#define UPDATE(name, ret, ...) \
	documents_update(&d, &name##_collection, CASHEW_CHANGES_(name, __VA_ARGS__), (const void **)(ret))
#define LIST(name, limit, ret, ret_count, ...)                                            \
	documents_list(&d, &name##_collection, limit, CASHEW_CHANGES_(name, __VA_ARGS__), \
		(const void **)(ret), ret_count)

/* Somebody else's document, in JSON. */
static inline void stored(const char *collection, const char *json)
{
	bson_error_t error;
	bson_t *document = bson_new_from_json((const uint8_t *)json, -1, &error);
	if (!document)
		fail_msg("%s: %s", json, error.message);
	backend_put(store, collection, document);
	bson_destroy(document);
}

/* The document as it is in the store; "" where there is none. */
static inline const char *raw(const char *collection, const char *id)
{
	static char text[4096];
	bson_t document;
	text[0] = '\0';
	if (backend_get(store, collection, id, &document)) {
		char *json = bson_as_relaxed_extended_json(&document, NULL);
		snprintf(text, sizeof(text), "%s", json);
		bson_free(json);
		bson_destroy(&document);
	}
	return text;
}

#define assert_raw(collection, id, words)                                                      \
	do {                                                                                   \
		const char *is = raw(collection, id);                                          \
		if (!strstr(is, words))                                                        \
			fail_msg("%s %s is %s: expected %s in it", collection, id, is, words); \
	} while (0)

/* ---- add, put, remove ---- */

static inline void others_put(const struct cashew_collection *collection, const void *document)
{
	struct documents other;
	struct arena arena;
	const void *put;
	arena_init(&arena, NULL, 0);
	documents_begin(&other, &arena, NULL, 500);
	other.client = store_acquire(store);
	assert_int_equal(documents_put(&other, collection, document, false, &put), 0);
	assert_int_equal(documents_flush(&other), 0);
	store_release(other.client);
	documents_end(&other);
	arena_free(&arena);
}

/* ---- list ---- */

static inline void add_contacts(const char *user, int count)
{
	for (int i = 0; i < count; i++) {
		char other[16];
		snprintf(other, sizeof(other), "u%05d", i);
		assert_good(ADD(contact, .user_id = user, .contact_id = other, .since = 1000 + count - i));
	}
}

/* ---- indexes ---- */

static int start(void **state)
{
	(void)state;
	backend_start();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	backend_stop();
	return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

#endif
