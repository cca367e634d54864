/*
 * store_failure.c - what went wrong last on a client: the words, and the server's code.
 *
 * Whatever fails keeps its words here, and then its code; store_last_error() and store_last_code() tell both until the next
 * operation. A failure that the server has not told has no code.
 */
#include "store_client.h"
#include "store_describe.h"

#include <stdio.h>

const char *store_last_error(const struct store_client *client)
{
	return client->last_error;
}

int store_failed(struct store_client *client, enum store_collection collection, const char *action,
	const char *message, int store_error)
{
	snprintf(client->last_error, sizeof(client->last_error), "%s of %s: %s", action,
		store_collection_name(collection), message);
	client->last_code = 0;
	return store_error;
}

void store_note_code(struct store_client *client, const bson_error_t *error)
{
	const bool server =
		error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_WRITE_CONCERN;

	client->last_code = server ? (int)error->code : 0;
}

int store_last_code(const struct store_client *client)
{
	return client->last_code;
}
