/*
 * store_write.c - writes of a client, and what they came to.
 *
 * A bulk write is unordered: each of its statements is tried, and tells of its own error. A write is done
 * when every statement was, or met the document that it wanted to make, and the server has acknowledged as
 * much as was asked for.
 */
#include "store_client.h"
#include "store_error.h"

/*
 * The worst that the statements of a write came to: an unordered one tells of each. Sets *ret_any when there
 * are errors at all, and *ret_message to the words of the one that counts.
 */
static int statements_result(const bson_t *reply, bool *ret_any, const char **ret_message)
{
	bson_iter_t iter, errors, field;
	int worst = 0;

	*ret_any = false;
	if (!bson_iter_init_find(&iter, reply, "writeErrors") || !bson_iter_recurse(&iter, &errors))
		return 0;
	while (bson_iter_next(&errors)) {
		int r = STORE_E_PERMANENT;

		*ret_any = true;
		if (bson_iter_recurse(&errors, &field) && bson_iter_find(&field, "code"))
			r = store_classify_code((int)bson_iter_as_int64(&field));
		if (r <= worst)
			continue;
		worst = r;
		if (bson_iter_recurse(&errors, &field) && bson_iter_find(&field, "errmsg") &&
			BSON_ITER_HOLDS_UTF8(&field))
			*ret_message = bson_iter_utf8(&field, NULL);
	}
	return worst;
}

static bool has_elements(const bson_t *reply, const char *array)
{
	bson_iter_t iter, elements;

	return bson_iter_init_find(&iter, reply, array) && bson_iter_recurse(&iter, &elements) &&
	       bson_iter_next(&elements);
}

int store_write_result(struct store_client *client, enum store_collection collection, const char *action,
	bool succeeded, bson_t *reply, const bson_error_t *error)
{
	const char *message = error->message;
	bool any;
	int r = 0;

	if (!succeeded) {
		r = statements_result(reply, &any, &message);
		/* The driver tells of a statement's error first; only a duplicate key does not outrank what
		 * it hides: that the document is there, but not yet as durably as was asked for. */
		if (!any)
			r = store_classify(error);
		else if (r == 0 && has_elements(reply, "writeConcernErrors"))
			r = STORE_E_TRANSIENT;
		if (r != 0)
			r = store_failed(client, collection, action, message, r);
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
