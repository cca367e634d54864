/*
 * store_read.c - reads of a client, and what they came to.
 *
 * A find is one command with its documents in the first batch; a cursor is run to its end, and destroyed. A read
 * that fails keeps the words of the failure and the server's code in the client, and gives one of the store's
 * errors: whether the server is away, cannot now, or refuses.
 */
#include "store_client.h"
#include "store_error.h"

int store_find(struct store_client *client, enum store_collection collection, const bson_t *command,
	bson_t *ret_reply, bson_iter_t *ret_documents)
{
	bson_error_t error;
	bson_iter_t iter, batch;

	if (!client->mongo)
		return STORE_E_AWAY;
	if (!mongoc_client_read_command_with_opts(client->mongo, store_database_name(client->store), command,
		    NULL, NULL, ret_reply, &error)) {
		const int r = store_classify_read(ret_reply, &error);

		bson_destroy(ret_reply);
		(void)store_failed(client, collection, "find", error.message, r);
		store_note_code(client, &error);
		return r;
	}
	if (!bson_iter_init(&iter, ret_reply) ||
		!bson_iter_find_descendant(&iter, "cursor.firstBatch", &batch) ||
		!BSON_ITER_HOLDS_ARRAY(&batch) || !bson_iter_recurse(&batch, ret_documents)) {
		bson_destroy(ret_reply);
		return store_failed(
			client, collection, "find", "the server's answer has no batch", STORE_E_PERMANENT);
	}
	return 0;
}

int store_count(struct store_client *client, enum store_collection collection, const bson_t *filter,
	uint64_t *ret_count)
{
	bson_error_t error;
	bson_t reply;

	if (!client->mongo)
		return STORE_E_AWAY;
	const int64_t count = mongoc_collection_count_documents(
		store_client_collection(client, collection), filter, NULL, NULL, &reply, &error);
	const int r = count < 0 ? store_classify_read(&reply, &error) : 0;
	bson_destroy(&reply);
	if (r != 0) {
		(void)store_failed(client, collection, "count", error.message, r);
		store_note_code(client, &error);
		return r;
	}
	*ret_count = (uint64_t)count;
	return 0;
}

int store_iterate(struct store_client *client, enum store_collection collection, mongoc_cursor_t *cursor,
	bool (*visit)(const bson_t *document, void *context), void *context)
{
	const bson_t *document, *reply;
	bson_error_t error;
	int r = 0;

	while (mongoc_cursor_next(cursor, &document))
		if (!visit(document, context))
			break;
	if (mongoc_cursor_error_document(cursor, &error, &reply)) {
		r = store_failed(
			client, collection, "find", error.message, store_classify_read(reply, &error));
		store_note_code(client, &error);
	}
	mongoc_cursor_destroy(cursor);
	return r;
}
