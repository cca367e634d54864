/*
 * parked_commands.c - what changes a backlog: commands are appended to it, finished, postponed, and its lease is renewed or given back. The documents:
 * parked_document.h.
 *
 * Appending is one ordered insert, so that what is written is always a beginning of the list. When it is repeated it meets what it has written
 * before, one duplicate key after the other; so after the first of them it asks which of the ids are there, and inserts the rest, and the last one
 * whatever that question said: the answer to a duplicate key waits for the write concern like any other, and says that all before it is durable.
 * Finishing is one ordered bulk: the leases first, then the deletes, so that a crash in between leaves the lease on two documents, and an end of the
 * list.
 *
 * Filters are {_id, user_id}: the first finds the document, the second leads to the shard where the collection is sharded by user_id. Those of several
 * documents have the _ids alone, which every server finds at once: some walk the whole collection for a filter with more than an index's keys. Only a
 * router is told the users as well.
 */
#include "parked_document.h"
#include <string.h>

static const enum store_collection collection = STORE_PARKED_COMMANDS;

/* A document holds 16 MiB (MongoDB's manual, "BSON Document Size"). The driver would refuse a larger one too, but say so of the whole call. */
enum { DOCUMENT_MAX = 16 * 1024 * 1024, DUPLICATE_KEY = 11000 };

/* ---- Several ids ---- */

/* A filter {_id: {$in: [..]}}: servers take many times longer for a statement each. */
struct ids {
	bson_t filter, in, array;
	uint32_t count;
};

static void ids_begin(struct ids *ids)
{
	ids->count = 0;
	bson_init(&ids->filter);
	BSON_APPEND_DOCUMENT_BEGIN(&ids->filter, "_id", &ids->in);
	BSON_APPEND_ARRAY_BEGIN(&ids->in, "$in", &ids->array);
}

static void ids_add(struct ids *ids, const struct store_id *id)
{
	bson_oid_t oid;
	char name[16];
	const char *key;

	bson_oid_init_from_data(&oid, id->bytes);
	(void)bson_uint32_to_string(ids->count++, &key, name, sizeof(name));
	BSON_APPEND_OID(&ids->array, key, &oid);
}

static void ids_end(struct ids *ids)
{
	bson_append_array_end(&ids->in, &ids->array);
	bson_append_document_end(&ids->filter, &ids->in);
}

/* {user_id: {$in: [..]}}, of a router's filter. The users may be more than are meant, and may be there more than once. */
struct users {
	bson_t in, array;
	uint32_t count;
};

static void users_begin(struct users *users, bson_t *filter)
{
	users->count = 0;
	BSON_APPEND_DOCUMENT_BEGIN(filter, "user_id", &users->in);
	BSON_APPEND_ARRAY_BEGIN(&users->in, "$in", &users->array);
}

static void users_add(struct users *users, const char *user)
{
	char buffer[16];
	const char *place;

	(void)bson_uint32_to_string(users->count++, &place, buffer, sizeof(buffer));
	store_append_text(&users->array, place, user);
}

static void users_end(struct users *users, bson_t *filter)
{
	bson_append_array_end(&users->in, &users->array);
	bson_append_document_end(filter, &users->in);
}

/* ---- Appending ---- */

struct documents {
	bson_t **all;	/* one for each command */
	bool *there;	/* seen in the collection */
	size_t *places; /* which of them the insert under way consists of */
	const bson_t **insert;
	size_t count; /* of those that are to be inserted */
	size_t made;
};

static void documents_new(struct documents *documents, size_t count)
{
	*documents = (struct documents){
		.all = bson_malloc0(count * sizeof(documents->all[0])),
		.there = bson_malloc0(count * sizeof(documents->there[0])),
		.places = bson_malloc0(count * sizeof(documents->places[0])),
		.insert = bson_malloc0(count * sizeof(documents->insert[0])),
	};
}

static void documents_free(struct documents *documents)
{
	for (size_t i = 0; i < documents->made; i++)
		bson_destroy(documents->all[i]);
	bson_free(documents->all);
	bson_free(documents->there);
	bson_free(documents->places);
	bson_free(documents->insert);
}

/* Inserts those from `from` on that are not there, and the last. What it came to, and the place of the one that it ended at. */
static int insert_rest(struct store_client *client, struct documents *documents, size_t from,
	bson_error_t *driver, size_t *ret_ended_at)
{
	bson_iter_t iter, errors, field;
	size_t count = 0, ended_at = 0;
	bson_t reply;

	for (size_t i = from; i < documents->count; i++) {
		if (documents->there[i] && i + 1 < documents->count)
			continue;
		documents->places[count] = i;
		documents->insert[count++] = documents->all[i];
	}
	const bool inserted = mongoc_collection_insert_many(
		store_client_collection(client, collection), documents->insert, count, NULL, &reply, driver);
	if (bson_iter_init_find(&iter, &reply, "writeErrors") && bson_iter_recurse(&iter, &errors) &&
		bson_iter_next(&errors) && bson_iter_recurse(&errors, &field) &&
		bson_iter_find(&field, "index"))
		ended_at = (size_t)bson_iter_as_int64(&field);
	*ret_ended_at = ended_at < count ? documents->places[ended_at] : from;
	/* 0 with an error's code: a duplicate key, which is as durable as was asked for. */
	if (inserted)
		driver->code = 0;
	return store_write_result(client, collection, "insert", inserted, &reply, driver);
}

struct search {
	const struct documents *documents;
	size_t from;
};

static bool note_there(const bson_t *document, void *context)
{
	const struct search *search = context;
	const struct store_id id = store_id_of(document);

	for (size_t i = search->from; i < search->documents->count; i++) {
		const struct store_id other = store_id_of(search->documents->all[i]);

		if (memcmp(id.bytes, other.bytes, sizeof(id.bytes)) == 0)
			search->documents->there[i] = true;
	}
	return true;
}

/* Which of them, from that on, are there by their ids. */
static int find_there(struct store_client *client, struct documents *documents, size_t from)
{
	bson_t options = BSON_INITIALIZER;
	struct search search = {documents, from};
	struct ids ids;

	ids_begin(&ids);
	for (size_t i = from; i < documents->count; i++) {
		const struct store_id id = store_id_of(documents->all[i]);
		ids_add(&ids, &id);
	}
	ids_end(&ids);
	if (store_is_sharded(client->store)) {
		struct users users;

		users_begin(&users, &ids.filter);
		for (size_t i = from; i < documents->count; i++)
			users_add(&users, store_text_of(documents->all[i], "user_id", ""));
		users_end(&users, &ids.filter);
	}
	BCON_APPEND(&options, "projection", "{", "_id", BCON_INT32(1), "}");
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &ids.filter, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&ids.filter);
	return store_iterate(client, collection, cursor, note_there, &search);
}

/* Inserts what is not there. */
static int insert_missing(struct store_client *client, struct documents *documents, size_t *ret_failed)
{
	size_t from = 0, ended_at;
	bson_error_t driver = {.code = 0};

	while (from < documents->count) {
		int error = insert_rest(client, documents, from, &driver, &ended_at);

		*ret_failed = ended_at;
		if (error != 0 || driver.code == 0)
			return error;
		error = find_there(client, documents, ended_at);
		if (error != 0)
			return error;
		if (!documents->there[ended_at])
			return store_failed(client, collection, "insert", driver.message,
				STORE_E_PERMANENT); /* an index that is not ours */
		from = ended_at + 1;
	}
	return 0;
}

/* The same. Those before one that is refused are inserted once more without it: there is a server (SecantusDB up to 0.7) that takes none of a command
 * of which a validator refuses one. */
static int insert_documents(struct store_client *client, struct documents *documents, size_t *ret_failed)
{
	char why[STORE_MESSAGE_SIZE];
	int error = insert_missing(client, documents, ret_failed);

	if (error != STORE_E_PERMANENT || *ret_failed == 0)
		return error;
	documents->count = *ret_failed;
	memcpy(why, client->last_error, sizeof(why));
	error = insert_missing(client, documents, ret_failed);
	if (error != 0)
		return error;
	*ret_failed = documents->count;
	memcpy(client->last_error, why, sizeof(why));
	return STORE_E_PERMANENT;
}

int parked_commands_append(struct store_client *client, const struct parked_command *const *commands,
	size_t count, const struct backlog_lease *lease, size_t *ret_failed)
{
	struct documents documents;
	bool too_large = false;
	int error = store_know_time(client);

	*ret_failed = 0;
	if (error != 0 || count == 0)
		return error;
	const int64_t now_ms = store_now_ms(client->store);
	documents_new(&documents, count);
	while (documents.made < count && !too_large) {
		const size_t i = documents.made++;

		documents.all[i] = bson_new();
		parked_document_of(documents.all[i], commands[i], i == 0 ? lease : NULL, now_ms);
		too_large = documents.all[i]->len > DOCUMENT_MAX;
	}
	const size_t fit = documents.made - too_large;
	documents.count = fit;
	error = insert_documents(client, &documents, ret_failed);
	documents_free(&documents);
	if (error == 0 && too_large) {
		*ret_failed = fit;
		return store_failed(client, collection, "insert", "it does not fit into a document of 16 MiB",
			STORE_E_PERMANENT);
	}
	return error;
}

/* ---- What is there already ---- */

static void append_own(bson_t *filter, const char *user, const struct store_id *id)
{
	store_append_id(filter, id);
	store_append_text(filter, "user_id", user);
}

/* Nobody's, or the owner's. */
static void append_not_others(bson_t *filter, const char *owner)
{
	BCON_APPEND(filter, "claimed_by", "{", "$in", "[", BCON_UTF8(owner), BCON_NULL, "]", "}");
}

static void lease_update(bson_t *update, const struct backlog_lease *lease, int64_t now_ms)
{
	bson_t fields;

	BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &fields);
	parked_append_lease(&fields, lease, now_ms);
	bson_append_document_end(update, &fields);
	BCON_APPEND(update, "$unset", "{", "behind", BCON_UTF8(""), "}");
}

static void append_users(bson_t *filter, const struct parked_finish *finishes, size_t count)
{
	struct users users;

	users_begin(&users, filter);
	for (size_t i = 0; i < count; i++)
		users_add(&users, finishes[i].user);
	users_end(&users, filter);
}

/* All that stay get the lease of the first of them: one host's are alike. */
static bool lease_next(struct store *store, mongoc_bulk_operation_t *bulk,
	const struct parked_finish *finishes, size_t count, bson_error_t *driver)
{
	const struct backlog_lease *lease = NULL;
	bson_t update = BSON_INITIALIZER;
	struct ids ids;
	bool added = true;

	ids_begin(&ids);
	for (size_t i = 0; i < count; i++) {
		if (!finishes[i].next || !finishes[i].lease)
			continue;
		lease = finishes[i].lease;
		ids_add(&ids, finishes[i].next);
	}
	ids_end(&ids);
	if (lease) {
		if (store_is_sharded(store))
			append_users(&ids.filter, finishes, count);
		append_not_others(&ids.filter, lease->owner);
		lease_update(&update, lease, store_now_ms(store));
		added = mongoc_bulk_operation_update_many_with_opts(bulk, &ids.filter, &update, NULL, driver);
	}
	bson_destroy(&ids.filter);
	bson_destroy(&update);
	return added;
}

/* How many from `from` on stand in the order of their _id. */
static size_t ascending(const struct parked_finish *finish, size_t from)
{
	size_t end = from + 1;
	while (end < finish->count && memcmp(finish->done[end - 1].bytes, finish->done[end].bytes,
					      sizeof(finish->done[end].bytes)) < 0)
		end++;
	return end - from;
}

/* They are removed in the order of the _id's index, which is that of their positions, but where a user's were written by two hosts within a second: then
 * one statement ends there and the next begins. Where the users are named as well, their index could be taken instead. Those `removed` are counted up;
 * *ret_any: whether there was something. */
static bool remove_done(struct store *store, mongoc_bulk_operation_t *bulk,
	const struct parked_finish *finishes, size_t count, size_t *removed, bool *ret_any,
	bson_error_t *driver)
{
	bson_t options = BSON_INITIALIZER;
	struct ids ids;

	ids_begin(&ids);
	for (size_t i = 0; i < count; i++) {
		if (removed[i] == finishes[i].count)
			continue;
		const size_t end = removed[i] + ascending(&finishes[i], removed[i]);
		while (removed[i] < end)
			ids_add(&ids, &finishes[i].done[removed[i]++]);
	}
	ids_end(&ids);
	*ret_any = ids.count > 0;
	if (store_is_sharded(store)) {
		append_users(&ids.filter, finishes, count);
		BCON_APPEND(&options, "hint", "{", "_id", BCON_INT32(1), "}");
	}
	const bool added = ids.count == 0 ||
			   mongoc_bulk_operation_remove_many_with_opts(bulk, &ids.filter, &options, driver);
	bson_destroy(&options);
	bson_destroy(&ids.filter);
	return added;
}

int parked_commands_finish(struct store_client *client, const struct parked_finish *finishes, size_t count)
{
	const int error = store_know_time(client);
	bson_error_t driver;
	bool any = false;

	for (size_t i = 0; i < count; i++)
		any = any || finishes[i].count > 0 || (finishes[i].next && finishes[i].lease);
	if (error != 0 || !any)
		return error;
	size_t *removed = bson_malloc0(count * sizeof(removed[0]));
	mongoc_bulk_operation_t *bulk = store_ordered_bulk(client, collection);
	bool added = lease_next(client->store, bulk, finishes, count, &driver);
	while (added && any)
		added = remove_done(client->store, bulk, finishes, count, removed, &any, &driver);
	bson_free(removed);
	if (!added) {
		mongoc_bulk_operation_destroy(bulk);
		return store_failed(client, collection, "write", driver.message, STORE_E_PERMANENT);
	}
	return store_bulk_execute(client, collection, bulk);
}

/* Frees both. *ret_matched: whether there was such a document; NULL: that does not matter. */
static int update_one(
	struct store_client *client, const char *action, bson_t *filter, bson_t *update, bool *ret_matched)
{
	bson_error_t driver;
	bson_iter_t iter;
	bson_t reply;

	const bool updated = mongoc_collection_update_one(
		store_client_collection(client, collection), filter, update, NULL, &reply, &driver);
	bson_destroy(filter);
	bson_destroy(update);
	if (ret_matched)
		*ret_matched =
			bson_iter_init_find(&iter, &reply, "matchedCount") && bson_iter_as_int64(&iter) > 0;
	return store_write_result(client, collection, action, updated, &reply, &driver);
}

int parked_commands_postpone(
	struct store_client *client, const struct parked_command *first, const char *owner, unsigned delay_ms)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, fields;
	const int error = store_know_time(client);

	if (error != 0)
		return error;
	append_own(&filter, first->user, &first->id);
	append_not_others(&filter, owner);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &fields);
	parked_append_progress(&fields, first);
	BSON_APPEND_DATE_TIME(&fields, "not_before", store_now_ms(client->store) + delay_ms);
	bson_append_document_end(&update, &fields);
	BCON_APPEND(&update, "$unset", "{", "claimed_by", BCON_UTF8(""), "lease_until", BCON_UTF8(""),
		"behind", BCON_UTF8(""), "}");
	return update_one(client, "postpone", &filter, &update, NULL);
}

int parked_commands_renew(struct store_client *client, const char *user, const struct store_id *first,
	const struct backlog_lease *lease)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER;
	bool matched = false;
	int error = store_know_time(client);

	if (error != 0)
		return error;
	append_own(&filter, user, first);
	store_append_text(&filter, "claimed_by", lease->owner);
	lease_update(&update, lease, store_now_ms(client->store));
	error = update_one(client, "renew", &filter, &update, &matched);
	return error == 0 && !matched ? PARKED_E_LATER : error;
}

int parked_commands_release(
	struct store_client *client, const char *user, const struct store_id *first, const char *owner)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER;
	const int error = store_know_time(client);

	if (error != 0)
		return error;
	append_own(&filter, user, first);
	store_append_text(&filter, "claimed_by", owner);
	BCON_APPEND(&update, "$set", "{", "not_before", BCON_DATE_TIME(store_now_ms(client->store)), "}",
		"$unset", "{", "claimed_by", BCON_UTF8(""), "lease_until", BCON_UTF8(""), "}");
	return update_one(client, "release", &filter, &update, NULL);
}

/* What changes here is named by a claim that is under way: that one comes too late. */
int parked_commands_move(struct store_client *client, const char *user, const struct store_id *id,
	const char *lane, unsigned since_ms, bool *ret_moved)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	const int error = store_know_time(client);

	*ret_moved = false;
	if (error != 0) {
		bson_destroy(&filter);
		bson_destroy(&update);
		return error;
	}
	const int64_t now_ms = store_now_ms(client->store);
	append_own(&filter, user, id);
	BCON_APPEND(&filter, "lane", "{", "$ne", BCON_UTF8(lane), "}", "not_before", "{", "$lte",
		BCON_DATE_TIME(now_ms - since_ms), "}");
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	store_append_text(&set, "lane", lane);
	BSON_APPEND_DATE_TIME(&set, "not_before", now_ms);
	bson_append_document_end(&update, &set);
	BCON_APPEND(&update, "$unset", "{", "claimed_by", BCON_UTF8(""), "lease_until", BCON_UTF8(""), "}");
	return update_one(client, "move", &filter, &update, ret_moved);
}

int parked_command_count(struct store_client *client, uint64_t *ret_count)
{
	bson_t filter = BSON_INITIALIZER;

	BSON_APPEND_NULL(&filter, "done");
	const int error = store_count(client, collection, &filter, ret_count);
	bson_destroy(&filter);
	return error;
}
