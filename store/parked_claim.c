/*
 * parked_claim.c - a user's backlog is taken, and its beginning read.
 *
 * Three steps, two where one command is all: what the user has there, without payloads, and so how many may be read; the lease on the first, by a
 * findAndModify that names all that was read of it, so that whoever comes second finds it changed, and that gives the document; then those behind it,
 * by their positions. Only the holder of the lease removes any of them, so between the steps none goes but by the hand of a host that has just
 * been killed, whose last write is still under way: what it removes was done, and is run once more, in order.
 */
#include "parked_document.h"
#include <string.h>

static const enum store_collection collection = STORE_PARKED_COMMANDS;

/* TRIES: somebody else was at the first at the same moment. AGAIN_MS: then, when it is worth to ask again. */
enum { TRIES = 3, AGAIN_MS = 100 };

/* The beginning of a backlog, without payloads. */
struct heads {
	bson_t *first;
	size_t count;	  /* of those that may be read */
	int64_t position; /* of the last of those */
	bool more;
};

/* What the whole document holds of bytes; of one that does not say, a part of what may be read. */
static size_t bytes_of(const bson_t *document, size_t bytes_max)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, "bytes") ? (size_t)bson_iter_as_int64(&iter) : bytes_max / 4;
}

static bool document_at(const bson_iter_t *iter, bson_t *ret)
{
	const uint8_t *bytes;
	uint32_t size;

	if (!BSON_ITER_HOLDS_DOCUMENT(iter))
		return false;
	bson_iter_document(iter, &size, &bytes);
	return bson_init_static(ret, bytes, size);
}

/* Appends {find, filter, sort: {position}, limit}; limit is more than 0. */
static void find_command(bson_t *command, const bson_t *filter, size_t limit)
{
	BCON_APPEND(command, "find", BCON_UTF8(store_collection_name(collection)), "filter", BCON_DOCUMENT(filter), "sort", "{", "position",
		BCON_INT32(1), "}", "limit", BCON_INT64((int64_t)limit), "batchSize", BCON_INT64((int64_t)limit), "singleBatch", BCON_BOOL(true));
}

/* PARKED_E_NONE where there is none; then, and on failure, there is nothing to free. */
static int find_heads(
	struct store_client *client, const char *lane, const char *user, size_t count_max, size_t bytes_max, struct heads *ret)
{
	bson_t filter = BSON_INITIALIZER, command = BSON_INITIALIZER, reply, document;
	struct heads heads = {.first = NULL};
	bson_iter_t documents;
	size_t bytes = 0;

	parked_append_user(&filter, lane, user);
	find_command(&command, &filter, count_max + 1);
	BCON_APPEND(&command, "projection", "{", "position", BCON_INT32(1), "not_before", BCON_INT32(1), "behind", BCON_INT32(1), "claimed_by",
		BCON_INT32(1), "lease_until", BCON_INT32(1), "bytes", BCON_INT32(1), "}");
	const int error = store_find(client, collection, &command, &reply, &documents);
	bson_destroy(&command);
	bson_destroy(&filter);
	if (error != 0)
		return error;
	while (bson_iter_next(&documents) && document_at(&documents, &document)) {
		bytes += bytes_of(&document, bytes_max);
		heads.more = heads.count > 0 && (heads.count == count_max || bytes > bytes_max);
		if (heads.more)
			break;
		if (heads.count++ == 0)
			heads.first = bson_copy(&document);
		heads.position = store_number_of(&document, "position");
	}
	bson_destroy(&reply);
	*ret = heads;
	return heads.first ? 0 : PARKED_E_NONE;
}

/* Appends a field as it was read; null stands for none. */
static void append_read(bson_t *query, const bson_t *first, const char *field)
{
	bson_iter_t iter;

	if (bson_iter_init_find(&iter, first, field))
		bson_append_iter(query, field, -1, &iter);
	else
		BSON_APPEND_NULL(query, field);
}

/* Each lease and each postponement changes one of the fields that are named. */
static void claim_command(bson_t *command, const bson_t *first, const char *user, const struct backlog_lease *lease, int64_t now_ms)
{
	bson_t query = BSON_INITIALIZER, set = BSON_INITIALIZER;

	append_read(&query, first, "_id");
	store_append_text(&query, "user_id", user);
	BSON_APPEND_NULL(&query, "done");
	append_read(&query, first, "not_before");
	append_read(&query, first, "claimed_by");
	append_read(&query, first, "lease_until");
	parked_append_lease(&set, lease, now_ms);
	BCON_APPEND(command, "findAndModify", BCON_UTF8(store_collection_name(collection)), "query", BCON_DOCUMENT(&query), "update", "{", "$set",
		BCON_DOCUMENT(&set), "$unset", "{", "behind", BCON_UTF8(""), "}", "}", "new", BCON_BOOL(true));
	bson_destroy(&set);
	bson_destroy(&query);
}

/* PARKED_E_LATER where somebody else was quicker. */
static int claim_first(struct store_client *client, const bson_t *command, int64_t now_ms, struct parked_command **ret_command)
{
	bson_error_t driver;
	bson_iter_t value;
	bson_t reply, document;
	int error = PARKED_E_LATER;

	/* A claim that is not yet as durable as was asked for is no claim: the same owner takes it again. */
	if (!mongoc_client_write_command_with_opts(client->mongo, store_database_name(client->store), command, NULL, &reply, &driver))
		return store_write_result(client, collection, "findAndModify", false, &reply, &driver);
	if (bson_iter_init_find(&value, &reply, "value") && document_at(&value, &document)) {
		*ret_command = parked_command_of(bson_copy(&document), now_ms);
		error = 0;
	}
	bson_destroy(&reply);
	return error;
}

/* Adds those behind the first. */
static int read_behind(struct store_client *client, const char *lane, const char *user, const struct heads *heads, int64_t now_ms,
	struct parked_batch *batch)
{
	const struct parked_command *first = batch->commands[0];
	bson_t filter = BSON_INITIALIZER, command = BSON_INITIALIZER, reply, document;
	bson_iter_t documents;

	if (heads->count == 1)
		return 0;
	parked_append_user(&filter, lane, user);
	BCON_APPEND(&filter, "position", "{", "$gte", BCON_INT64(first->position), "$lte", BCON_INT64(heads->position), "}");
	find_command(&command, &filter, heads->count);
	const int error = store_find(client, collection, &command, &reply, &documents);
	bson_destroy(&command);
	bson_destroy(&filter);
	if (error != 0)
		return error;
	while (batch->count < heads->count && bson_iter_next(&documents) && document_at(&documents, &document)) {
		struct parked_command *next = parked_command_of(bson_copy(&document), now_ms);

		if (memcmp(next->id.bytes, first->id.bytes, sizeof(next->id.bytes)) == 0)
			parked_command_free(next);
		else
			batch->commands[batch->count++] = next;
	}
	bson_destroy(&reply);
	return 0;
}

void parked_batch_free(struct parked_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		parked_command_free(batch->commands[i]);
	bson_free(batch->commands);
	*batch = (struct parked_batch){.commands = NULL};
}

/* One attempt. PARKED_E_LATER with ret->later_ms 0: somebody else was at it. */
static int claim(struct store_client *client, const char *lane, const char *user, const struct backlog_lease *lease, size_t count_max,
	size_t bytes_max, struct parked_batch *ret)
{
	const int64_t now_ms = store_now_ms(client->store);
	bson_t command = BSON_INITIALIZER;
	struct parked_command *first = NULL;
	struct heads heads;
	int error = find_heads(client, lane, user, count_max, bytes_max, &heads);

	if (error != 0)
		return error;
	ret->later_ms = parked_claimable_in_ms(heads.first, lease->owner, now_ms);
	if (ret->later_ms > 0) {
		bson_destroy(heads.first);
		return PARKED_E_LATER;
	}
	claim_command(&command, heads.first, user, lease, now_ms);
	error = claim_first(client, &command, now_ms, &first);
	bson_destroy(&command);
	bson_destroy(heads.first);
	if (error != 0)
		return error;
	/* It is due, and the lease that it stands under is the caller's. */
	first->due_in_ms = 0;
	ret->commands = bson_malloc0(heads.count * sizeof(ret->commands[0]));
	ret->commands[0] = first;
	ret->count = 1;
	ret->more = heads.more;
	error = read_behind(client, lane, user, &heads, now_ms, ret);
	if (error != 0)
		parked_batch_free(ret);
	return error;
}

int parked_commands_claim(struct store_client *client, const char *lane, const char *user, const struct backlog_lease *lease,
	size_t count_max, size_t bytes_max, struct parked_batch *ret)
{
	int error = store_know_time(client);

	*ret = (struct parked_batch){.commands = NULL};
	if (error != 0)
		return error;
	if (count_max == 0)
		count_max = PARKED_BATCH_MAX;
	if (bytes_max == 0)
		bytes_max = PARKED_BATCH_BYTES;
	for (unsigned i = 0; i < TRIES; i++) {
		error = claim(client, lane, user, lease, count_max, bytes_max, ret);
		if (error != PARKED_E_LATER || ret->later_ms > 0)
			return error;
	}
	ret->later_ms = AGAIN_MS;
	return PARKED_E_LATER;
}
