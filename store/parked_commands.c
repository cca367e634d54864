/*
 * parked_commands.c - commands that are tried again later:
 * {_id: ObjectId, user_id, lane, position, topic, payload: binary, correlation: binary, response_topic,
 * packet_id, key, before: binary, settled: [names of handlers], end, attempts, crashes, handler, reason,
 * not_before: date, claimed_by, lease_until: date, done: date}.
 *
 * Happy path: add, claim when it is due, run, finish; or postpone, and claim again. The first of a user on a
 * lane is the one with the lowest position that is not done; only that one is ever claimed. A tombstone
 * (done) keeps no payload and goes after a day.
 *
 * Each write is one statement on one document, but for postpone: it moves the first, then what follows it. A
 * crash in between leaves followers that are due before the first, which a claim answers with LATER, until
 * the next postponement. Finding the first and claiming it are two steps: the claim names all that was read,
 * and whoever comes second finds it changed. Filters are {user_id, lane, done: null, position, _id} and
 * {not_before, lane, user_id}, the keys of the indexes; where the collection is sharded by user_id, it leads
 * all but marks and due to their shard.
 */
#include "store_document.h"
#include <stdlib.h>
#include <string.h>

static const enum store_collection collection = STORE_PARKED_COMMANDS;

void parked_command_new_id(unsigned char ret_id[static 12])
{
	dead_letter_new_id(ret_id);
}

/* ---- writing documents ---- */

/* What a postponement changes. */
static void append_progress(bson_t *document, const struct parked_command *command)
{
	bson_t names;

	BSON_APPEND_ARRAY_BEGIN(document, "settled", &names);
	for (size_t i = 0; i < command->settled_count; i++) {
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string((uint32_t)i, &place, buffer, sizeof(buffer));
		store_append_text(&names, place, command->settled[i]);
	}
	bson_append_array_end(document, &names);
	store_append_text(document, "end", command->end);
	BSON_APPEND_INT64(document, "attempts", command->attempts);
	BSON_APPEND_INT64(document, "crashes", command->crashes);
	store_append_text(document, "handler", command->handler);
	store_append_text(document, "reason", command->reason);
	BSON_APPEND_DATE_TIME(document, "not_before", command->not_before_ms);
}

int parked_command_add(struct store_client *client, const struct parked_command *command)
{
	bson_t document = BSON_INITIALIZER, reply;
	bson_error_t error;
	bool inserted;

	if (!client->mongo)
		return STORE_E_AWAY;
	store_append_id(&document, command->id);
	store_append_text(&document, "user_id", command->user);
	store_append_text(&document, "lane", command->lane);
	BSON_APPEND_INT64(&document, "position", command->position);
	store_append_text(&document, "topic", command->topic);
	store_append_bytes(&document, "payload", command->payload, command->payload_size);
	if (command->correlation)
		store_append_bytes(&document, "correlation", command->correlation, command->correlation_size);
	if (command->response_topic)
		store_append_text(&document, "response_topic", command->response_topic);
	BSON_APPEND_INT32(&document, "packet_id", command->mid);
	BSON_APPEND_INT64(&document, "key", (int64_t)command->key);
	if (command->before)
		store_append_bytes(&document, "before", command->before, command->before_size);
	append_progress(&document, command);
	inserted = mongoc_collection_insert_one(
		store_client_collection(client, collection), &document, NULL, &reply, &error);
	bson_destroy(&document);
	return store_write_result(client, collection, "insert", inserted, &reply, &error);
}

/* ---- reading documents ---- */

/* A command together with the document that its pointers point into. */
struct held {
	struct parked_command command; /* first: see parked_command_free() */
	bson_t *document;
	const char *settled[];
};

static size_t settled_of(const bson_t *document, const char **names)
{
	bson_iter_t iter, elements;
	size_t count = 0;

	if (!bson_iter_init_find(&iter, document, "settled") || !BSON_ITER_HOLDS_ARRAY(&iter) ||
		!bson_iter_recurse(&iter, &elements))
		return 0;
	while (bson_iter_next(&elements)) {
		if (!BSON_ITER_HOLDS_UTF8(&elements))
			continue;
		if (names)
			names[count] = bson_iter_utf8(&elements, NULL);
		count++;
	}
	return count;
}

/* Takes the document over. */
static struct parked_command *command_of(bson_t *document)
{
	const size_t settled = settled_of(document, NULL);
	struct held *held = bson_malloc0(sizeof(*held) + settled * sizeof(held->settled[0]));
	struct parked_command *command = &held->command;

	held->document = document;
	store_id_of(document, command->id);
	command->lane = store_text_of(document, "lane", "");
	command->user = store_text_of(document, "user_id", "");
	command->topic = store_text_of(document, "topic", "");
	command->position = store_number_of(document, "position");
	command->payload = store_bytes_of(document, "payload", &command->payload_size);
	command->correlation = store_bytes_of(document, "correlation", &command->correlation_size);
	command->response_topic = store_text_of(document, "response_topic", NULL);
	command->mid = (uint16_t)store_number_of(document, "packet_id");
	command->key = (uint64_t)store_number_of(document, "key");
	command->settled_count = settled_of(document, held->settled);
	command->settled = held->settled;
	command->end = store_text_of(document, "end", "");
	command->attempts = (unsigned)store_number_of(document, "attempts");
	command->crashes = (unsigned)store_number_of(document, "crashes");
	command->handler = store_text_of(document, "handler", "");
	command->reason = store_text_of(document, "reason", "");
	command->not_before_ms = store_date_of(document, "not_before");
	command->claimed_by = store_text_of(document, "claimed_by", NULL);
	return command;
}

void parked_command_free(struct parked_command *command)
{
	struct held *held = (struct held *)command;

	if (!held)
		return;
	bson_destroy(held->document);
	bson_free(held);
}

/* ---- marks ---- */

struct visit {
	parked_mark_visitor visit;
	void *context;
};

static bool visit_mark(const bson_t *document, void *context)
{
	const struct visit *visit = context;
	const int64_t not_before_ms = store_date_of(document, "not_before");
	size_t before_size = 0;
	const void *before = store_bytes_of(document, "before", &before_size);
	const struct parked_mark mark = {
		.user = store_text_of(document, "user_id", ""),
		.mid = (uint16_t)store_number_of(document, "packet_id"),
		.key = (uint64_t)store_number_of(document, "key"),
		.before = before,
		.before_size = before_size,
		.done = store_date_of(document, "done") != INT64_MIN,
		.position = store_number_of(document, "position"),
		.not_before_ms = not_before_ms != INT64_MIN ? not_before_ms : 0,
	};

	visit->visit(visit->context, &mark);
	return true;
}

int parked_command_marks(
	struct store_client *client, const char *lane, parked_mark_visitor visit, void *context)
{
	bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
	struct visit each = {visit, context};
	mongoc_cursor_t *cursor;

	if (!client->mongo)
		return STORE_E_AWAY;
	store_append_text(&filter, "lane", lane);
	BCON_APPEND(&options, "sort", "{", "user_id", BCON_INT32(1), "position", BCON_INT32(1), "}",
		"projection", "{", "_id", BCON_INT32(0), "user_id", BCON_INT32(1), "position", BCON_INT32(1),
		"packet_id", BCON_INT32(1), "key", BCON_INT32(1), "before", BCON_INT32(1), "done",
		BCON_INT32(1), "not_before", BCON_INT32(1), "}");
	cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &filter, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&filter);
	return store_iterate(client, collection, cursor, visit_mark, &each);
}

/* ---- due ---- */

/* All of it is in the index {not_before, lane, user_id}: MongoDB reads no document. The lanes are a stage of
 * their own, which it joins to the first, for servers that know ranges only as an index's last condition. */
static void due_command(
	bson_t *command, const char *const *lanes, size_t lane_count, int64_t before_ms, size_t limit)
{
	bson_t names = BSON_INITIALIZER, of_lanes = BSON_INITIALIZER, *rest;

	for (size_t i = 0; i < lane_count; i++) {
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string((uint32_t)i, &place, buffer, sizeof(buffer));
		store_append_text(&names, place, lanes[i]);
	}
	if (lane_count > 0)
		BCON_APPEND(&of_lanes, "lane", "{", "$in", BCON_ARRAY(&names), "}");
	rest = BCON_NEW("pipeline", "[", "{", "$match", "{", "not_before", "{", "$lte",
		BCON_DATE_TIME(before_ms), "}", "}", "}", "{", "$match", BCON_DOCUMENT(&of_lanes), "}", "{",
		"$group", "{", "_id", "{", "lane", BCON_UTF8("$lane"), "user_id", BCON_UTF8("$user_id"), "}",
		"not_before", "{", "$min", BCON_UTF8("$not_before"), "}", "}", "}", "{", "$sort", "{",
		"not_before", BCON_INT32(1), "}", "}", "{", "$limit", BCON_INT64((int64_t)limit), "}", "]",
		/* one more than there can be, so that the server sees the end with the first batch */
		"cursor", "{", "batchSize", BCON_INT64((int64_t)limit + 1), "}");
	BSON_APPEND_UTF8(command, "aggregate", store_collection_name(collection));
	bson_concat(command, rest);
	bson_destroy(rest);
	bson_destroy(&of_lanes);
	bson_destroy(&names);
}

void parked_users_free(struct parked_user *users, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bson_free(users[i].lane);
		bson_free(users[i].user);
	}
	bson_free(users);
}

static bool read_user(const bson_iter_t *document, struct parked_user *ret)
{
	bson_iter_t field, lane, user;

	if (!bson_iter_recurse(document, &field))
		return false;
	lane = user = field;
	if (!bson_iter_find_descendant(&lane, "_id.lane", &lane) || !BSON_ITER_HOLDS_UTF8(&lane) ||
		!bson_iter_find_descendant(&user, "_id.user_id", &user) || !BSON_ITER_HOLDS_UTF8(&user))
		return false;
	ret->lane = bson_strdup(bson_iter_utf8(&lane, NULL));
	ret->user = bson_strdup(bson_iter_utf8(&user, NULL));
	return true;
}

int parked_command_due(struct store_client *client, const char *const *lanes, size_t lane_count,
	int64_t before_ms, size_t limit, struct parked_user **ret_users, size_t *ret_count)
{
	bson_t command = BSON_INITIALIZER, reply;
	struct parked_user *users;
	bson_iter_t documents;
	size_t count = 0;
	int r;

	if (limit == 0 || limit > STORE_LIST_MAX)
		limit = STORE_LIST_MAX;
	due_command(&command, lanes, lane_count, before_ms, limit);
	r = store_find(client, collection, &command, &reply, &documents);
	bson_destroy(&command);
	if (r != 0)
		return r;
	users = bson_malloc0(limit * sizeof(users[0]));
	while (count < limit && bson_iter_next(&documents))
		if (read_user(&documents, &users[count]))
			count++;
	bson_destroy(&reply);
	*ret_users = users;
	*ret_count = count;
	return 0;
}

int parked_command_count(struct store_client *client, uint64_t *ret_count)
{
	bson_t filter = BSON_INITIALIZER;

	BSON_APPEND_NULL(&filter, "done");
	const int r = store_count(client, collection, &filter, ret_count);
	bson_destroy(&filter);
	return r;
}

/* ---- the first of a user ---- */

static void append_open(bson_t *filter, const char *lane, const char *user)
{
	store_append_text(filter, "user_id", user);
	store_append_text(filter, "lane", lane);
	BSON_APPEND_NULL(filter, "done");
}

/* What a claim has to know of it, to be freed; PARKED_E_NONE where there is none. */
static int find_first(struct store_client *client, const char *lane, const char *user, bson_t **ret_first)
{
	bson_t filter = BSON_INITIALIZER, command = BSON_INITIALIZER, reply, first;
	bson_iter_t documents;
	const uint8_t *bytes;
	uint32_t size;
	bson_t *rest;
	int r;

	append_open(&filter, lane, user);
	rest = BCON_NEW("filter", BCON_DOCUMENT(&filter), "sort", "{", "position", BCON_INT32(1), "_id",
		BCON_INT32(1), "}", "projection", "{", "not_before", BCON_INT32(1), "claimed_by",
		BCON_INT32(1), "lease_until", BCON_INT32(1), "attempts", BCON_INT32(1), "position",
		BCON_INT32(1), "}", "limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
	BSON_APPEND_UTF8(&command, "find", store_collection_name(collection));
	bson_concat(&command, rest);
	r = store_find(client, collection, &command, &reply, &documents);
	bson_destroy(rest);
	bson_destroy(&command);
	bson_destroy(&filter);
	if (r != 0)
		return r;
	if (!bson_iter_next(&documents) || !BSON_ITER_HOLDS_DOCUMENT(&documents)) {
		r = PARKED_E_NONE;
	} else {
		bson_iter_document(&documents, &size, &bytes);
		if (bson_init_static(&first, bytes, size))
			*ret_first = bson_copy(&first);
		else
			r = PARKED_E_NONE;
	}
	bson_destroy(&reply);
	return r;
}

/* As far as what was read goes: the claim itself is only for what was read. */
static bool claimable(const bson_t *first, const char *owner, int64_t now_ms)
{
	const char *claimed_by = store_text_of(first, "claimed_by", NULL);

	return store_date_of(first, "not_before") <= now_ms &&
	       (!claimed_by || strcmp(claimed_by, owner) == 0 ||
		       store_date_of(first, "lease_until") <= now_ms);
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

/* Each claim and each postponement changes one of the fields that are named. */
static void claim_command(bson_t *command, const bson_t *first, const char *lane, const char *user,
	const char *owner, int64_t lease_ms)
{
	bson_t query = BSON_INITIALIZER, *rest;

	append_open(&query, lane, user);
	append_read(&query, first, "position");
	append_read(&query, first, "_id");
	append_read(&query, first, "not_before");
	append_read(&query, first, "claimed_by");
	append_read(&query, first, "lease_until");
	append_read(&query, first, "attempts");
	rest = BCON_NEW("query", BCON_DOCUMENT(&query), "update", "{", "$set", "{", "claimed_by",
		BCON_UTF8(owner), "lease_until", BCON_DATE_TIME(lease_ms), "attempts",
		BCON_INT64(store_number_of(first, "attempts") + 1), "}", "}", "new", BCON_BOOL(true));
	BSON_APPEND_UTF8(command, "findAndModify", store_collection_name(collection));
	bson_concat(command, rest);
	bson_destroy(rest);
	bson_destroy(&query);
}

/* PARKED_E_LATER where somebody else was quicker. */
static int find_and_modify(
	struct store_client *client, const bson_t *command, struct parked_command **ret_command)
{
	bson_error_t error;
	const uint8_t *bytes;
	bson_iter_t value;
	uint32_t size;
	bson_t reply, document;
	int r = PARKED_E_LATER;

	if (!mongoc_client_write_command_with_opts(
		    client->mongo, store_database_name(client->store), command, NULL, &reply, &error))
		/* A claim that is not yet as durable as was asked for is no claim: the same owner takes it
		 * again. */
		return store_write_result(client, collection, "findAndModify", false, &reply, &error);
	if (bson_iter_init_find(&value, &reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&value)) {
		bson_iter_document(&value, &size, &bytes);
		if (bson_init_static(&document, bytes, size)) {
			*ret_command = command_of(bson_copy(&document));
			r = 0;
		}
	}
	bson_destroy(&reply);
	return r;
}

int parked_command_claim(struct store_client *client, const char *lane, const char *user, const char *owner,
	int64_t now_ms, int64_t lease_ms, struct parked_command **ret_command)
{
	bson_t command = BSON_INITIALIZER, *first;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	r = find_first(client, lane, user, &first);
	if (r != 0)
		return r;
	if (claimable(first, owner, now_ms)) {
		claim_command(&command, first, lane, user, owner, lease_ms);
		r = find_and_modify(client, &command, ret_command);
	} else {
		r = PARKED_E_LATER;
	}
	bson_destroy(&command);
	bson_destroy(first);
	return r;
}

/* ---- postpone and finish ---- */

/* The statement about the command itself. */
static void append_own(bson_t *filter, const struct parked_command *command)
{
	append_open(filter, command->lane, command->user);
	BSON_APPEND_INT64(filter, "position", command->position);
	store_append_id(filter, command->id);
}

static bool postpone_first(
	mongoc_bulk_operation_t *bulk, const struct parked_command *command, bson_error_t *error)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, fields;
	bool added;

	append_own(&filter, command);
	if (command->claimed_by)
		BCON_APPEND(&filter, "claimed_by", "{", "$in", "[", BCON_UTF8(command->claimed_by), BCON_NULL,
			"]", "}");
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &fields);
	append_progress(&fields, command);
	bson_append_document_end(&update, &fields);
	BCON_APPEND(&update, "$unset", "{", "claimed_by", BCON_UTF8(""), "lease_until", BCON_UTF8(""), "}");
	added = mongoc_bulk_operation_update_one_with_opts(bulk, &filter, &update, NULL, error);
	bson_destroy(&filter);
	bson_destroy(&update);
	return added;
}

static bool postpone_followers(
	mongoc_bulk_operation_t *bulk, const struct parked_command *command, bson_error_t *error)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER;
	bool added;

	append_open(&filter, command->lane, command->user);
	BCON_APPEND(&filter, "position", "{", "$gt", BCON_INT64(command->position), "}");
	BCON_APPEND(&update, "$set", "{", "not_before", BCON_DATE_TIME(command->not_before_ms), "}");
	added = mongoc_bulk_operation_update_many_with_opts(bulk, &filter, &update, NULL, error);
	bson_destroy(&filter);
	bson_destroy(&update);
	return added;
}

int parked_command_postpone(struct store_client *client, const struct parked_command *command)
{
	mongoc_bulk_operation_t *bulk = store_bulk(client, collection);
	bson_error_t error;

	if (bulk && (!postpone_first(bulk, command, &error) || !postpone_followers(bulk, command, &error))) {
		mongoc_bulk_operation_destroy(bulk);
		return store_failed(client, collection, "write", error.message, STORE_E_PERMANENT);
	}
	return store_bulk_execute(client, collection, bulk);
}

int parked_command_finish(struct store_client *client, const struct parked_command *command, bool *ret_more)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, reply, *first;
	bson_error_t error;
	bool updated;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	append_own(&filter, command);
	BCON_APPEND(&update, "$set", "{", "done", BCON_DATE_TIME(store_now_ms()), "}", "$unset", "{",
		"payload", BCON_UTF8(""), "correlation", BCON_UTF8(""), "response_topic", BCON_UTF8(""),
		"not_before", BCON_UTF8(""), "claimed_by", BCON_UTF8(""), "lease_until", BCON_UTF8(""), "}");
	updated = mongoc_collection_update_one(
		store_client_collection(client, collection), &filter, &update, NULL, &reply, &error);
	bson_destroy(&filter);
	bson_destroy(&update);
	r = store_write_result(client, collection, "update", updated, &reply, &error);
	if (r != 0)
		return r;
	r = find_first(client, command->lane, command->user, &first);
	if (r != 0 && r != PARKED_E_NONE)
		return r;
	*ret_more = r == 0;
	if (r == 0)
		bson_destroy(first);
	return 0;
}
