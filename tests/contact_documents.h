/*
 * contact_documents.h - contacts, requests and apples in the store, for tests that arrange them or look whether they are there.
 *
 * As the handlers leave them: by documents.h, with the collections of handlers/contacts.h. On the stand-in store and on the real one; each call is a
 * run of its own. They answer a store error.
 */
#ifndef CONTACT_DOCUMENTS_H
#define CONTACT_DOCUMENTS_H

#include "store.h"

struct store_contact {
	const char *user_id; /* the other user */
	int64_t at_ms;	     /* since when */
};

/* Called with each of a list, in order. False: no more. */
typedef bool (*store_contact_visitor)(const struct store_contact *item, void *context);

/* The user `from` asks the user `to`. Asking twice leaves the first request. */
STORE_USE_RESULT int contact_request_add(struct store_client *client, const char *from, const char *to);
/* 0, or STORE_E_NOT_FOUND. */
STORE_USE_RESULT int contact_request_find(struct store_client *client, const char *from, const char *to);
STORE_USE_RESULT int contact_request_remove(struct store_client *client, const char *from, const char *to);
/* Those who asked `user`, behind `after` (NULL: from the first). */
STORE_USE_RESULT int contact_request_list(struct store_client *client, const char *user, const char *after,
	unsigned limit, store_contact_visitor visit, void *context);

/* Both ways. */
STORE_USE_RESULT int contact_add(struct store_client *client, const char *a, const char *b);
STORE_USE_RESULT int contact_remove(struct store_client *client, const char *a, const char *b);
/* 0 when contact is in user's list, or STORE_E_NOT_FOUND. */
STORE_USE_RESULT int contact_find(struct store_client *client, const char *user, const char *contact);
STORE_USE_RESULT int contact_list(struct store_client *client, const char *user, const char *after,
	unsigned limit, store_contact_visitor visit, void *context);

/* The colours, in the order of their positions. */
typedef bool (*store_apple_visitor)(const char *colour, void *context);
STORE_USE_RESULT int apple_list(
	struct store_client *client, unsigned limit, store_apple_visitor visit, void *context);

/* The three that are there from the start. */
STORE_USE_RESULT int apples_add(struct store_client *client);

/* The indexes of these collections, for store_prepare(). */
STORE_USE_RESULT int contact_documents_want_indexes(struct store *store);

#endif
