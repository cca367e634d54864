/*
 * cashew_store.h - the documents that handlers share, as typed functions.
 *
 * Collections: contacts, contact_requests, apples. Every write can be repeated: it is an upsert, a set or a
 * delete by a derived _id, so a command that comes twice leaves what it left the first time.
 *
 * All functions: client is what cashew_store() returned, used by one thread at a time. User ids are valid
 * ones (see cashew_user_id()); texts are copied. They return 0, or one of the errors below, and wait for the
 * database: seconds at most.
 */
#ifndef CASHEW_STORE_H
#define CASHEW_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_client;

enum store_error {
	STORE_E_NOT_FOUND = 1, /* there is no such document */
	STORE_E_AWAY,	       /* no server could be reached, or the connection broke: outcome unknown */
	STORE_E_TRANSIENT,     /* the server is there but could not do it now: try again */
	STORE_E_PERMANENT,     /* it will never work: the server refuses the operation itself */
	STORE_E_DUPLICATE, /* a document with that key is there already; the functions here count that as done */
};

#define STORE_USE_RESULT __attribute__((warn_unused_result))

/* A list function visits that many at most, whatever its limit says. The next page begins after the last one that was visited. */
enum { STORE_LIST_MAX = 10000 };

struct store_contact {
	const char *user_id; /* the other user */
	int64_t at_ms;	     /* since when: milliseconds since 1970, UTC */
};

/* Called once for each document of a page, in order. *item lives until the call returns. Returns false to stop early. */
typedef bool (*store_contact_visitor)(const struct store_contact *item, void *context);

/* ---- contact_requests ---- */

/* Stores that the user `from` asks the user `to` to be a contact. Asking twice leaves the first request as it is. */
STORE_USE_RESULT int contact_request_add(struct store_client *client, const char *from, const char *to);

/* 0 when `from` has asked `to`, and the request is not answered yet; STORE_E_NOT_FOUND when not. */
STORE_USE_RESULT int contact_request_find(struct store_client *client, const char *from, const char *to);

/* Removes the request; 0 also when there is none. */
STORE_USE_RESULT int contact_request_remove(struct store_client *client, const char *from, const char *to);

/* Visits those who asked `user`, in the order of their user ids: `limit` of them at most, from behind the user id `after` (NULL: from the start). */
STORE_USE_RESULT int contact_request_list(struct store_client *client, const char *user, const char *after,
	unsigned limit, store_contact_visitor visit, void *context);

/* ---- contacts ---- */

/* Makes a and b each other's contact. Nothing changes where they are. What a crash left half done is repaired by calling it again. */
STORE_USE_RESULT int contact_add(struct store_client *client, const char *a, const char *b);

/* 0 when contact is in user's list; STORE_E_NOT_FOUND when not. */
STORE_USE_RESULT int contact_find(struct store_client *client, const char *user, const char *contact);

/* Removes a and b from each other's list; 0 also when they were not there. */
STORE_USE_RESULT int contact_remove(struct store_client *client, const char *a, const char *b);

/* Visits the contacts of `user`, in the order of their user ids: `limit` of them at most, from behind the user id `after` (NULL: from the start). */
STORE_USE_RESULT int contact_list(struct store_client *client, const char *user, const char *after,
	unsigned limit, store_contact_visitor visit, void *context);

/* ---- apples ---- */

/* Visits the colours of the apples in the store, in their order of position. Returns false to stop early. */
typedef bool (*store_apple_visitor)(const char *colour, void *context);
STORE_USE_RESULT int apple_list(
	struct store_client *client, unsigned limit, store_apple_visitor visit, void *context);

#endif
