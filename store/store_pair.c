/* store_pair.c - documents about two users: see store_pair.h. */
#include "store_pair.h"

#include "topic.h"
#include <stdio.h>
#include <string.h>

enum { PAIR_ID_SIZE = 2 * USER_ID_MAX + 2 };

/* The `/` between the parts is what no user id holds, so no two pairs have the same id. The caller has
 * checked the user ids of a command; this is for a handler that did not. */
static bool user_id_valid(const char *user)
{
	return topic_user_valid(user, strlen(user));
}

static int refused(struct store_client *client, const struct pair_kind *kind)
{
	return store_failed(client, kind->collection, "access",
		"expected user ids of 1 to 64 of A-Z a-z 0-9 . _ | -", STORE_E_PERMANENT);
}

static void append_filter(bson_t *filter, const struct pair_kind *kind, const char *owner, const char *other)
{
	BSON_APPEND_UTF8(filter, "user_id", owner);
	BSON_APPEND_UTF8(filter, kind->other, other);
}

int pair_add(struct store_client *client, const struct pair_kind *kind, mongoc_bulk_operation_t *bulk,
	const char *owner, const char *other)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, fields;
	char id[PAIR_ID_SIZE];
	bson_error_t error;
	int r;

	if (!bulk)
		return 0;
	if (!user_id_valid(owner) || !user_id_valid(other))
		return refused(client, kind);
	r = store_know_time(client);
	if (r != 0)
		return r;
	append_filter(&filter, kind, owner, other);
	snprintf(id, sizeof(id), "%s/%s", owner, other);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$setOnInsert", &fields);
	BSON_APPEND_UTF8(&fields, "_id", id);
	BSON_APPEND_DATE_TIME(&fields, kind->since, store_now_ms(client->store));
	bson_append_document_end(&update, &fields);
	if (!mongoc_bulk_operation_update_one_with_opts(
		    bulk, &filter, &update, store_upsert_options(client->store), &error))
		r = store_failed(client, kind->collection, "write", error.message, STORE_E_PERMANENT);
	bson_destroy(&filter);
	bson_destroy(&update);
	return r;
}

int pair_remove(struct store_client *client, const struct pair_kind *kind, mongoc_bulk_operation_t *bulk,
	const char *owner, const char *other)
{
	bson_t filter = BSON_INITIALIZER;
	bson_error_t error;
	int r = 0;

	if (!bulk)
		return 0;
	if (!user_id_valid(owner) || !user_id_valid(other))
		return refused(client, kind);
	append_filter(&filter, kind, owner, other);
	if (!mongoc_bulk_operation_remove_one_with_opts(bulk, &filter, NULL, &error))
		r = store_failed(client, kind->collection, "write", error.message, STORE_E_PERMANENT);
	bson_destroy(&filter);
	return r;
}

int pair_find(struct store_client *client, const struct pair_kind *kind, const char *owner, const char *other)
{
	bson_t command = BSON_INITIALIZER, part, reply;
	bson_iter_t documents;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	if (!user_id_valid(owner) || !user_id_valid(other))
		return refused(client, kind);
	BSON_APPEND_UTF8(&command, "find", store_collection_name(kind->collection));
	BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &part);
	append_filter(&part, kind, owner, other);
	bson_append_document_end(&command, &part);
	/* All of it is in the index, so the document itself need not be read. */
	BSON_APPEND_DOCUMENT_BEGIN(&command, "projection", &part);
	BSON_APPEND_INT32(&part, "_id", 0);
	BSON_APPEND_INT32(&part, kind->other, 1);
	bson_append_document_end(&command, &part);
	BSON_APPEND_INT32(&command, "limit", 1);
	BSON_APPEND_BOOL(&command, "singleBatch", true);
	r = store_find(client, kind->collection, &command, &reply, &documents);
	bson_destroy(&command);
	if (r != 0)
		return r;
	if (!bson_iter_next(&documents))
		r = STORE_E_NOT_FOUND;
	bson_destroy(&reply);
	return r;
}

static void list_command(
	bson_t *command, const struct pair_kind *kind, const char *owner, const char *after, unsigned limit)
{
	bson_t part, condition;

	BSON_APPEND_UTF8(command, "find", store_collection_name(kind->collection));
	BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &part);
	BSON_APPEND_UTF8(&part, "user_id", owner);
	if (after) {
		BSON_APPEND_DOCUMENT_BEGIN(&part, kind->other, &condition);
		BSON_APPEND_UTF8(&condition, "$gt", after);
		bson_append_document_end(&part, &condition);
	}
	bson_append_document_end(command, &part);
	BSON_APPEND_DOCUMENT_BEGIN(command, "sort", &part);
	BSON_APPEND_INT32(&part, kind->other, 1);
	bson_append_document_end(command, &part);
	BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &part);
	BSON_APPEND_INT32(&part, "_id", 0);
	BSON_APPEND_INT32(&part, kind->other, 1);
	BSON_APPEND_INT32(&part, kind->since, 1);
	bson_append_document_end(command, &part);
	BSON_APPEND_INT32(command, "limit", (int32_t)limit);
	/* Without a batch size the server's first batch, here the only one, ends after 101 documents. */
	BSON_APPEND_INT32(command, "batchSize", (int32_t)limit);
	BSON_APPEND_BOOL(command, "singleBatch", true);
}

int pair_list(struct store_client *client, const struct pair_kind *kind, const char *owner, const char *after,
	unsigned limit, store_contact_visitor visit, void *context)
{
	bson_t command = BSON_INITIALIZER, reply;
	bson_iter_t documents, field;
	int r;

	if (limit == 0)
		return 0;
	list_command(&command, kind, owner, after, limit < STORE_LIST_MAX ? limit : STORE_LIST_MAX);
	r = store_find(client, kind->collection, &command, &reply, &documents);
	bson_destroy(&command);
	if (r != 0)
		return r;
	while (bson_iter_next(&documents)) {
		struct store_contact item = {.user_id = NULL};

		if (!bson_iter_recurse(&documents, &field))
			continue;
		while (bson_iter_next(&field)) {
			if (strcmp(bson_iter_key(&field), kind->other) == 0 && BSON_ITER_HOLDS_UTF8(&field))
				item.user_id = bson_iter_utf8(&field, NULL);
			else if (BSON_ITER_HOLDS_DATE_TIME(&field))
				item.at_ms = bson_iter_date_time(&field);
		}
		if (item.user_id && !visit(&item, context))
			break;
	}
	bson_destroy(&reply);
	return 0;
}
