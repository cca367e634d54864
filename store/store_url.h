/* store_url.h - inside of store/: the database's URL, checked, with the store's defaults. */
#ifndef STORE_URL_H
#define STORE_URL_H

#include "store.h"
#include <mongoc/mongoc.h>

/* True while this thread parses a URL that may hold a password: what the driver logs then is not repeated. */
extern _Thread_local bool store_url_muted;

/* work_ms: as in struct store_options. 0 and *ret_uri; STORE_E_PERMANENT and a message without user name or
 * password; -ENOMEM. */
STORE_USE_RESULT int store_url_parse(
	const char *url, unsigned work_ms, mongoc_uri_t **ret_uri, char message[static STORE_MESSAGE_SIZE]);

/* 0 when MongoDB takes it as the name of a database of ours; STORE_E_PERMANENT and a message. */
STORE_USE_RESULT int store_url_check_database(const char *name, char message[static STORE_MESSAGE_SIZE]);

#endif
