/*
 * store_write.c - writes of a client, and what they came to.
 *
 * A bulk write is unordered: each of its statements is tried, and tells of its own error. A write is done
 * when every statement was, or met the document that it wanted to make, and the server has acknowledged as
 * much as was asked for.
 */
#include "store_client.h"

int store_write_result(struct store_client *client, enum store_collection collection, const char *action,
	bool succeeded, bson_t *reply, const bson_error_t *error)
{
	const char *words;
	int r = succeeded ? 0 : store_classify_write(succeeded, reply, error, &words);

	/* All our inserts are by a derived _id. */
	if (r == STORE_E_DUPLICATE)
		r = 0;
	if (r != 0) {
		(void)store_failed(client, collection, action, words, r);
		store_note_code(client, error);
	}
	bson_destroy(reply);
	return r;
}

mongoc_bulk_operation_t *store_bulk(struct store_client *client, enum store_collection collection)
{
	if (!client->mongo)
		return NULL;
	return mongoc_collection_create_bulk_operation_with_opts(
		store_client_collection(client, collection), store_unordered_options(client->store));
}

mongoc_bulk_operation_t *store_ordered_bulk(struct store_client *client, enum store_collection collection)
{
	if (!client->mongo)
		return NULL;
	return mongoc_collection_create_bulk_operation_with_opts(
		store_client_collection(client, collection), NULL);
}

int store_bulk_execute(
	struct store_client *client, enum store_collection collection, mongoc_bulk_operation_t *bulk)
{
	bson_error_t error;
	bson_t reply;
	bool succeeded;

	if (!bulk)
		return STORE_E_AWAY;
	succeeded = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0;
	mongoc_bulk_operation_destroy(bulk);
	return store_write_result(client, collection, "write", succeeded, &reply, &error);
}
