/*
 * parked_claim.c - a user's backlog is taken, and its beginning read.
 *
 * Three steps: what the user has there, without payloads, and so how many may be read; the lease on the first, by an update that names all that was
 * read of it, so that whoever comes second finds it changed; then the documents, by their positions. Only the holder of the lease removes any of
 * them, so between the steps none goes but by the hand of a host that has just been killed, whose last write is still under way: what it removes was
 * done, and is run once more, in order.
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

	return bson_iter_init_find(&iter, document, "bytes") ? (size_t)bson_iter_as_int64(&iter)
							     : bytes_max / 4;
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
	BCON_APPEND(command, "find", BCON_UTF8(store_collection_name(collection)), "filter",
		BCON_DOCUMENT(filter), "sort", "{", "position", BCON_INT32(1), "}", "limit",
		BCON_INT64((int64_t)limit), "batchSize", BCON_INT64((int64_t)limit), "singleBatch",
		BCON_BOOL(true));
}

/* PARKED_E_NONE where there is none; then, and on failure, there is nothing to free. */
static int find_heads(struct store_client *client, const char *lane, const char *user, size_t count_max,
	size_t bytes_max, struct heads *ret)
{
	bson_t filter = BSON_INITIALIZER, command = BSON_INITIALIZER, reply, document;
	struct heads heads = {.first = NULL};
	bson_iter_t documents;
	size_t bytes = 0;

	parked_append_user(&filter, lane, user);
	find_command(&command, &filter, count_max + 1);
	BCON_APPEND(&command, "projection", "{", "position", BCON_INT32(1), "not_before", BCON_INT32(1),
		"behind", BCON_INT32(1), "claimed_by", BCON_INT32(1), "lease_until", BCON_INT32(1), "bytes",
		BCON_INT32(1), "}");
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

/* Each lease and each postponement changes one of the fields that are named. PARKED_E_LATER where somebody else was quicker. A claim that is not yet as
 * durable as was asked for is no claim: the same owner takes it again. */
static int claim_first(struct store_client *client, const bson_t *first, const char *user,
	const struct backlog_lease *lease, int64_t now_ms)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set, reply;
	bool matched = false;
	bson_error_t driver;
	bson_iter_t iter;

	append_read(&filter, first, "_id");
	store_append_text(&filter, "user_id", user);
	append_read(&filter, first, "not_before");
	append_read(&filter, first, "claimed_by");
	append_read(&filter, first, "lease_until");
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	parked_append_lease(&set, lease, now_ms);
	bson_append_document_end(&update, &set);
	BCON_APPEND(&update, "$unset", "{", "behind", BCON_UTF8(""), "}");
	const bool updated = mongoc_collection_update_one(
		store_client_collection(client, collection), &filter, &update, NULL, &reply, &driver);
	bson_destroy(&update);
	bson_destroy(&filter);
	matched = bson_iter_init_find(&iter, &reply, "matchedCount") && bson_iter_as_int64(&iter) > 0;
	const int error = store_write_result(client, collection, "claim", updated, &reply, &driver);
	return error == 0 && !matched ? PARKED_E_LATER : error;
}

/* Reads what was claimed: the first, and those behind it. PARKED_E_LATER where the first is gone. */
static int read_batch(struct store_client *client, const char *lane, const char *user,
	const struct heads *heads, int64_t now_ms, struct parked_batch *batch)
{
	bson_t filter = BSON_INITIALIZER, command = BSON_INITIALIZER, reply, document;
	const struct store_id id = store_id_of(heads->first);
	bson_iter_t documents;

	parked_append_user(&filter, lane, user);
	BCON_APPEND(&filter, "position", "{", "$gte", BCON_INT64(store_number_of(heads->first, "position")),
		"$lte", BCON_INT64(heads->position), "}");
	find_command(&command, &filter, heads->count);
	const int error = store_find(client, collection, &command, &reply, &documents);
	bson_destroy(&command);
	bson_destroy(&filter);
	if (error != 0)
		return error;
	batch->commands = bson_malloc0(heads->count * sizeof(batch->commands[0]));
	while (batch->count < heads->count && bson_iter_next(&documents) &&
		document_at(&documents, &document))
		batch->commands[batch->count++] = parked_command_of(bson_copy(&document), now_ms);
	bson_destroy(&reply);
	batch->more = heads->more;
	if (batch->count > 0 && memcmp(batch->commands[0]->id.bytes, id.bytes, sizeof(id.bytes)) == 0) {
		/* It is due, and the lease that it stands under is the caller's. */
		batch->commands[0]->due_in_ms = 0;
		return 0;
	}
	parked_batch_free(batch);
	return PARKED_E_LATER;
}

void parked_batch_free(struct parked_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		parked_command_free(batch->commands[i]);
	bson_free(batch->commands);
	*batch = (struct parked_batch){.commands = NULL};
}

/* One attempt. PARKED_E_LATER with ret->later_ms 0: somebody else was at it. */
static int claim(struct store_client *client, const char *lane, const char *user,
	const struct backlog_lease *lease, size_t count_max, size_t bytes_max, struct parked_batch *ret)
{
	const int64_t now_ms = store_now_ms(client->store);
	struct heads heads;
	int error = find_heads(client, lane, user, count_max, bytes_max, &heads);

	if (error != 0)
		return error;
	ret->later_ms = parked_claimable_in_ms(heads.first, lease->owner, now_ms);
	error = ret->later_ms > 0 ? PARKED_E_LATER : claim_first(client, heads.first, user, lease, now_ms);
	if (error == 0)
		error = read_batch(client, lane, user, &heads, now_ms, ret);
	bson_destroy(heads.first);
	return error;
}

int parked_commands_claim(struct store_client *client, const char *lane, const char *user,
	const struct backlog_lease *lease, size_t count_max, size_t bytes_max, struct parked_batch *ret)
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
