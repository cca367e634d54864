/*
 * store_documents.c - see store_documents.h: one command of the driver for each function.
 *
 * A find asks for one document more in a batch than its limit, since a server may keep the cursor of a batch that is just full (the drivers'
 * specification "Find, getMore and killCursors Commands", batchSize). A cursor that is kept all the same is closed: what one answer does not
 * hold is for the caller to ask for anew.
 */
#include "store_documents.h"

#include "store_client.h"
#include "store_error.h"
#include <stdio.h>

enum { BATCHES_WHOLE = 1 }; /* a limit up to this needs no look at the cursor */

static int failed(struct store_client *client, const char *action, const char *collection, const char *words,
	const bson_error_t *error, int store_error)
{
	snprintf(client->last_error, sizeof(client->last_error), "%s of %s: %s", action, collection, words);
	client->last_code = 0;
	if (error)
		store_note_code(client, error);
	return store_error;
}

/* ---- find ---- */

static void find_command(bson_t *command, const struct store_query *query)
{
	BSON_APPEND_UTF8(command, "find", query->collection);
	BSON_APPEND_DOCUMENT(command, "filter", query->filter);
	if (query->sort)
		BSON_APPEND_DOCUMENT(command, "sort", query->sort);
	if (query->projection)
		BSON_APPEND_DOCUMENT(command, "projection", query->projection);
	BSON_APPEND_INT32(command, "limit", (int32_t)query->limit);
	if (query->limit <= BATCHES_WHOLE)
		BSON_APPEND_BOOL(command, "singleBatch", true);
	else
		BSON_APPEND_INT32(command, "batchSize", (int32_t)query->limit + 1);
}

/* What the answer says is left open at the server. Where it cannot be closed, the server does so after ten minutes. */
static void close_cursor(struct store_client *client, const char *collection, int64_t cursor)
{
	bson_t command = BSON_INITIALIZER;

	BCON_APPEND(&command, "killCursors", BCON_UTF8(collection), "cursors", "[", BCON_INT64(cursor), "]");
	(void)mongoc_client_read_command_with_opts(
		client->mongo, store_database_name(client->store), &command, NULL, NULL, NULL, NULL);
	bson_destroy(&command);
}

int store_documents_find(struct store_client *client, const struct store_query *query, bson_t *ret_reply,
	bson_iter_t *ret_documents, bool *ret_more)
{
	bson_t command = BSON_INITIALIZER;
	bson_error_t error;
	bson_iter_t iter, part;
	int64_t cursor = 0;

	if (!client->mongo)
		return STORE_E_AWAY;
	find_command(&command, query);
	const bool answered = mongoc_client_read_command_with_opts(
		client->mongo, store_database_name(client->store), &command, NULL, NULL, ret_reply, &error);
	bson_destroy(&command);
	if (!answered) {
		const int r = store_classify_read(ret_reply, &error);
		bson_destroy(ret_reply);
		return failed(client, "find", query->collection, error.message, &error, r);
	}
	if (bson_iter_init(&iter, ret_reply) && bson_iter_find_descendant(&iter, "cursor.id", &part))
		cursor = bson_iter_as_int64(&part);
	if (!bson_iter_init(&iter, ret_reply) ||
		!bson_iter_find_descendant(&iter, "cursor.firstBatch", &part) ||
		!BSON_ITER_HOLDS_ARRAY(&part) || !bson_iter_recurse(&part, ret_documents)) {
		bson_destroy(ret_reply);
		return failed(client, "find", query->collection, "the server's answer has no batch", NULL,
			STORE_E_PERMANENT);
	}
	if (cursor != 0)
		close_cursor(client, query->collection, cursor);
	*ret_more = cursor != 0;
	return 0;
}

/* ---- modify ---- */

int store_documents_modify(struct store_client *client, const struct store_modification *modification,
	bson_t *ret_reply, bson_iter_t *ret_document)
{
	bson_t command = BSON_INITIALIZER;
	bson_error_t error;
	const char *words = "";

	if (!client->mongo)
		return STORE_E_AWAY;
	BSON_APPEND_UTF8(&command, "findAndModify", modification->collection);
	BSON_APPEND_DOCUMENT(&command, "query", modification->filter);
	BSON_APPEND_DOCUMENT(&command, "update", modification->update);
	if (modification->projection)
		BSON_APPEND_DOCUMENT(&command, "fields", modification->projection);
	BSON_APPEND_BOOL(&command, "new", true);
	BSON_APPEND_BOOL(&command, "upsert", modification->upsert);
	const bool done = mongoc_client_write_command_with_opts(
		client->mongo, store_database_name(client->store), &command, NULL, ret_reply, &error);
	bson_destroy(&command);
	int r = store_classify_write(done, ret_reply, &error, &words);
	if (r == 0 && bson_iter_init_find(ret_document, ret_reply, "value") &&
		BSON_ITER_HOLDS_DOCUMENT(ret_document))
		return 0;
	if (r == 0)
		r = STORE_E_NOT_FOUND;
	(void)failed(client, "findAndModify", modification->collection,
		r == STORE_E_NOT_FOUND ? "there is none" : words, done ? NULL : &error, r);
	bson_destroy(ret_reply);
	return r;
}

/* ---- write ---- */

/* False: the driver takes it not, as a document of 17 MB, and says why. */
static bool add_statement(mongoc_bulk_operation_t *bulk, const struct store_client *client,
	const struct store_statement *statement, bson_error_t *error)
{
	if (statement->kind == STORE_REMOVE)
		return mongoc_bulk_operation_remove_one_with_opts(bulk, statement->filter, NULL, error);
	return mongoc_bulk_operation_update_one_with_opts(bulk, statement->filter, statement->update,
		store_any_options(client->store, statement->kind == STORE_UPSERT), error);
}

static const struct store_statement *failed_statement(
	const struct store_statement *first, const bson_t *reply)
{
	int64_t number = 0;
	bson_iter_t iter, errors, field;

	if (bson_iter_init_find(&iter, reply, "writeErrors") && bson_iter_recurse(&iter, &errors) &&
		bson_iter_next(&errors) && bson_iter_recurse(&errors, &field) &&
		bson_iter_find(&field, "index"))
		number = bson_iter_as_int64(&field);
	while (number-- > 0 && first->next)
		first = first->next;
	return first;
}

static int64_t matched(const bson_t *reply)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, reply, "nMatched") ? bson_iter_as_int64(&iter) : 0;
}

int store_documents_write(struct store_client *client, const char *collection,
	const struct store_statement *first, const struct store_statement **ret_failed)
{
	const char *words = "";
	bson_error_t error;
	bson_t reply;

	if (!client->mongo)
		return STORE_E_AWAY;
	mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(
		store_client_named(client, collection), NULL);
	for (const struct store_statement *statement = first; statement; statement = statement->next)
		if (!add_statement(bulk, client, statement, &error)) {
			mongoc_bulk_operation_destroy(bulk);
			return failed(client, "write", collection, error.message, NULL, STORE_E_PERMANENT);
		}
	const bool done = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0;
	int r = store_classify_write(done, &reply, &error, &words);
	if (r != 0)
		(void)failed(client, "write", collection, words, done ? NULL : &error, r);
	if (r == STORE_E_DUPLICATE)
		*ret_failed = failed_statement(first, &reply);
	if (r == 0 && !first->next && first->kind == STORE_UPDATE && matched(&reply) == 0)
		r = failed(client, "write", collection, "there is none", NULL, STORE_E_NOT_FOUND);
	bson_destroy(&reply);
	mongoc_bulk_operation_destroy(bulk);
	return r;
}
