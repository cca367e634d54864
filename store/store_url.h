/* store_url.h - inside of store/: the database's URL, checked, with the store's defaults. */
#ifndef STORE_URL_H
#define STORE_URL_H

#include "store.h"
#include <mongoc/mongoc.h>

/* True while this thread parses a URL that may hold a password: what the driver logs then is not repeated. */
extern _Thread_local bool store_url_muted;

/* What of a URL has another effect than one may expect: see store_notes(). */
struct store_notes {
	char text[STORE_NOTES_SIZE];
};

/* work_ms: as in struct store_options. Adds to the notes. 0 and *ret_uri; STORE_E_PERMANENT and a message without user name or
 * password; -ENOMEM. */
STORE_USE_RESULT int store_url_parse(const char *url, unsigned work_ms, mongoc_uri_t **ret_uri,
	struct store_notes *notes, char message[static STORE_MESSAGE_SIZE]);

/*
 * Which database is meant: `wanted`; where that is empty, the one that the URL names; where it names none, or one of MongoDB's own, "cashew". Adds
 * to the notes. 0 and *ret_name, in memory of the caller's or the URI's; STORE_E_PERMANENT and a message where MongoDB does not take the name.
 */
STORE_USE_RESULT int store_url_database(const mongoc_uri_t *uri, const char *wanted, const char **ret_name,
	struct store_notes *notes, char message[static STORE_MESSAGE_SIZE]);

#endif
