/* apples.c - the colours that get_more_apples_stored answers: {_id: colour, position}. */
#include "store_apples.h"

static const char *const colours[] = {"orange", "pink", "white"};

int apples_seed(struct store_client *client)
{
	mongoc_bulk_operation_t *bulk = store_bulk(client, STORE_APPLES);

	if (!bulk)
		return STORE_E_AWAY;
	for (int i = 0; i < (int)(sizeof(colours) / sizeof(colours[0])); i++) {
		bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, fields;
		bson_error_t error;
		bool added;

		BSON_APPEND_UTF8(&filter, "_id", colours[i]);
		BSON_APPEND_DOCUMENT_BEGIN(&update, "$setOnInsert", &fields);
		BSON_APPEND_INT32(&fields, "position", i + 1);
		bson_append_document_end(&update, &fields);
		added = mongoc_bulk_operation_update_one_with_opts(
			bulk, &filter, &update, store_upsert_options(client->store), &error);
		bson_destroy(&filter);
		bson_destroy(&update);
		if (!added) {
			mongoc_bulk_operation_destroy(bulk);
			return store_failed(client, STORE_APPLES, "write", error.message, STORE_E_PERMANENT);
		}
	}
	return store_bulk_execute(client, STORE_APPLES, bulk);
}

int apple_list(struct store_client *client, unsigned limit, store_apple_visitor visit, void *context)
{
	bson_t command = BSON_INITIALIZER, part, reply;
	bson_iter_t documents, field;
	int r;

	if (limit == 0)
		return 0;
	if (limit > STORE_LIST_MAX)
		limit = STORE_LIST_MAX;
	BSON_APPEND_UTF8(&command, "find", store_collection_name(STORE_APPLES));
	BSON_APPEND_DOCUMENT_BEGIN(&command, "sort", &part);
	BSON_APPEND_INT32(&part, "position", 1);
	bson_append_document_end(&command, &part);
	BSON_APPEND_INT32(&command, "limit", (int32_t)limit);
	BSON_APPEND_INT32(&command, "batchSize", (int32_t)limit);
	BSON_APPEND_BOOL(&command, "singleBatch", true);
	r = store_find(client, STORE_APPLES, &command, &reply, &documents);
	bson_destroy(&command);
	if (r != 0)
		return r;
	while (bson_iter_next(&documents))
		if (bson_iter_recurse(&documents, &field) && bson_iter_find(&field, "_id") &&
			BSON_ITER_HOLDS_UTF8(&field) && !visit(bson_iter_utf8(&field, NULL), context))
			break;
	bson_destroy(&reply);
	return 0;
}
