/*
 * store_prepare.c - indexes, made at start: the runtime's own, and those that handlers' collections need.
 *
 * createIndexes does nothing where an index is there, so hosts may start at the same time. Index names are
 * those that MongoDB makes from the keys: an operator who made the same index by hand has made this one. An
 * index with that name or those keys but other options is told about, not replaced. store_indexes() tells
 * which of them are there.
 *
 * What is right does not rest on an index, so none that fails keeps the host from serving: each is told in the log with the server's reason. To build
 * one may take long, so it is asked for on a connection that waits longer than others; when that one gives up too, the server goes on building.
 */
#include "store_describe.h"

#include "log.h"
#include "store_client.h"
#include "store_error.h"
#include "store_indexes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = STORE_INDEX_KEYS_MAX, NAME_SIZE = 2048 };

/* The runtime's own; those of the handlers' collections come behind them: store_want_indexes(). */
static const struct store_wanted_index own[] = {
	{.collection = "dead_letters", .keys = {"when", "_id"}},
	{.collection = "dead_letters", .keys = {"user_id", "when", "_id"}},
	{.collection = "dead_letters", .keys = {"handler", "when", "_id"}},
	{.collection = "dead_letters", .keys = {"expires"}, .expires = true},
	/* A user's commands on a lane, and the users of a lane who have any. `done` is null, but for what earlier versions left. */
	{.collection = "parked_commands", .keys = {"lane", "done", "user_id", "position"}},
	/* What is due. */
	{.collection = "parked_commands", .keys = {"not_before", "lane", "user_id"}},
	/* A lane's highest position. */
	{.collection = "parked_commands", .keys = {"lane", "position"}},
};

enum { OWN = sizeof(own) / sizeof(own[0]) };

/* Number i of all; NULL behind the last. */
static const struct store_wanted_index *index_at(const struct store *store, size_t i)
{
	size_t count;
	const struct store_wanted_index *wanted = store_wanted_indexes(store, &count);

	return i < OWN ? &own[i] : i - OWN < count ? &wanted[i - OWN] : NULL;
}

static void write_name(const struct store_wanted_index *index, char ret_name[static NAME_SIZE])
{
	size_t size = 0;

	for (size_t i = 0; i < KEYS_MAX && index->keys[i]; i++)
		size += (size_t)snprintf(
			ret_name + size, NAME_SIZE - size, "%s%s_1", i > 0 ? "_" : "", index->keys[i]);
}

/* Appends {key: {user_id: 1, when: 1}, name: "user_id_1_when_1"}. */
static void append_index(bson_t *array, const char *position, const struct store_wanted_index *index)
{
	char name[NAME_SIZE];
	bson_t document, key;

	bson_append_document_begin(array, position, -1, &document);
	BSON_APPEND_DOCUMENT_BEGIN(&document, "key", &key);
	for (size_t i = 0; i < KEYS_MAX && index->keys[i]; i++)
		BSON_APPEND_INT32(&key, index->keys[i], 1);
	bson_append_document_end(&document, &key);
	write_name(index, name);
	BSON_APPEND_UTF8(&document, "name", name);
	if (index->expires)
		BSON_APPEND_INT32(&document, "expireAfterSeconds", 0);
	bson_append_document_end(array, &document);
}

/* ---- making them ---- */

enum { INDEX_OPTIONS_CONFLICT = 85, INDEX_KEY_SPECS_CONFLICT = 86, EVERY = -1 };

struct making {
	struct store_client *client;
	mongoc_client_t *mongo; /* the patient one */
};

/* Asks for one index, or for every one of the collection. 0, or what it came to, in *ret_why. */
static int create(const struct making *making, const char *collection, int which, bson_error_t *ret_why)
{
	bson_t command = BSON_INITIALIZER, array, reply;
	const struct store_wanted_index *index;
	uint32_t count = 0;
	const char *words;

	BSON_APPEND_UTF8(&command, "createIndexes", collection);
	BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &array);
	for (size_t i = 0; (index = index_at(making->client->store, i)); i++) {
		char buffer[16];
		const char *position;

		if (strcmp(index->collection, collection) != 0 || (which != EVERY && (size_t)which != i))
			continue;
		(void)bson_uint32_to_string(count++, &position, buffer, sizeof(buffer));
		append_index(&array, position, index);
	}
	bson_append_array_end(&command, &array);
	const bool created = mongoc_client_write_command_with_opts(
		making->mongo, store_database_name(making->client->store), &command, NULL, &reply, ret_why);
	const int error = created ? 0 : store_classify_write(created, &reply, ret_why, &words);
	bson_destroy(&reply);
	bson_destroy(&command);
	return error;
}

static void tell(const char *collection, const char *index, bool expires, int error, const bson_error_t *why)
{
	const bool conflict = why->domain == MONGOC_ERROR_SERVER &&
			      (why->code == INDEX_OPTIONS_CONFLICT || why->code == INDEX_KEY_SPECS_CONFLICT);
	const char *message =
		error == STORE_E_AWAY
			? "the server has not answered yet that its indexes are built: cashewd works meanwhile, but slower"
		: conflict && expires
			? "another index is in the way, so documents are not removed in time: drop it, the right one is made at the next start"
		: conflict
			? "another index is in the way, and cashewd works without this one: drop it, the right one is made at the next start"
			: "an index could not be made: cashewd works without it, but slower, or does not remove documents in time";

	log_warn("index_not_made", message, LOG_TEXT("collection", collection), LOG_TEXT("index", index),
		LOG_TEXT("reason", why->message));
}

/* 0, also where the server refuses some or builds longer than we wait; or a store error: it cannot be used. */
static int create_indexes(const struct making *making, const char *collection)
{
	const struct store_wanted_index *index;
	bson_error_t why;
	int error = create(making, collection, EVERY, &why);

	if (error == 0)
		return 0;
	if (error == STORE_E_AWAY) {
		/* The server has gone, or it builds, or it broke this connection alone. */
		error = store_ping(making->client);
		if (error == 0)
			tell(collection, "all", false, STORE_E_AWAY, &why);
		return error;
	}
	for (int i = 0; (index = index_at(making->client->store, (size_t)i)); i++) {
		char name[NAME_SIZE];

		error = strcmp(index->collection, collection) == 0 ? create(making, collection, i, &why) : 0;
		if (error == 0)
			continue;
		write_name(index, name);
		tell(collection, name, index->expires, error, &why);
	}
	return store_ping(making->client);
}

/* Whether an index before this one is of the same collection. */
static bool was_seen(const struct store *store, size_t i)
{
	for (size_t before = 0; before < i; before++)
		if (strcmp(index_at(store, before)->collection, index_at(store, i)->collection) == 0)
			return true;
	return false;
}

/* ---- which of them are there ---- */

/* Whether both have the same keys in the same order; a number is one whatever its type. */
static bool same_keys(const bson_t *a, const bson_t *b)
{
	bson_iter_t of_a, of_b;
	bool more_a, more_b;

	if (!bson_iter_init_find(&of_a, a, "key") || !BSON_ITER_HOLDS_DOCUMENT(&of_a) ||
		!bson_iter_recurse(&of_a, &of_a) || !bson_iter_init_find(&of_b, b, "key") ||
		!BSON_ITER_HOLDS_DOCUMENT(&of_b) || !bson_iter_recurse(&of_b, &of_b))
		return false;
	for (;;) {
		more_a = bson_iter_next(&of_a);
		more_b = bson_iter_next(&of_b);
		if (!more_a || !more_b)
			return more_a == more_b;
		if (strcmp(bson_iter_key(&of_a), bson_iter_key(&of_b)) != 0 ||
			bson_iter_as_int64(&of_a) != bson_iter_as_int64(&of_b))
			return false;
	}
}

static const char *text_of(const bson_t *document, const char *field)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_UTF8(&iter)
		       ? bson_iter_utf8(&iter, NULL)
		       : "";
}

/* expireAfterSeconds, or -1. */
static int64_t expiry_of(const bson_t *document)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, "expireAfterSeconds") ? bson_iter_as_int64(&iter) : -1;
}

/* Whether it has an option that ours have not, and that changes what it holds or takes. */
static bool has_other_options(const bson_t *document)
{
	static const char *const options[] = {
		"unique", "sparse", "hidden", "partialFilterExpression", "collation"};
	bson_iter_t iter;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (bson_iter_init_find(&iter, document, options[i]) && bson_iter_as_bool(&iter))
			return true;
	return false;
}

struct search {
	const bson_t *wanted;
	enum store_index_state state;
	char *found; /* the one in the way, as JSON */
};

static bool compare_index(const bson_t *found, struct search *search)
{
	const bool name = strcmp(text_of(found, "name"), text_of(search->wanted, "name")) == 0;
	const bool keys = same_keys(found, search->wanted);

	if (name && keys && expiry_of(found) == expiry_of(search->wanted) && !has_other_options(found)) {
		search->state = STORE_INDEX_THERE;
	} else if (name || keys) {
		search->state = STORE_INDEX_OTHER;
		search->found = bson_as_relaxed_extended_json(found, NULL);
	}
	return search->state == STORE_INDEX_MISSING;
}

static int iterate_indexes(struct store_client *client, const char *collection, struct search *search)
{
	mongoc_cursor_t *cursor =
		mongoc_collection_find_indexes_with_opts(store_client_named(client, collection), NULL);
	const bson_t *document, *reply;
	bson_error_t error;
	int r = 0;

	while (mongoc_cursor_next(cursor, &document))
		if (!compare_index(document, search))
			break;
	if (mongoc_cursor_error_document(cursor, &error, &reply)) {
		r = store_classify_read(reply, &error);
		snprintf(client->last_error, sizeof(client->last_error), "find of %s: %s", collection,
			error.message);
		store_note_code(client, &error);
	}
	mongoc_cursor_destroy(cursor);
	return r;
}

int store_indexes(struct store_client *client, store_index_visitor visit, void *context)
{
	if (!client->mongo)
		return STORE_E_AWAY;
	const struct store_wanted_index *index;
	for (size_t i = 0; (index = index_at(client->store, i)); i++) {
		bson_t array = BSON_INITIALIZER, wanted;
		struct search search = {.wanted = &wanted, .state = STORE_INDEX_MISSING};
		const uint8_t *bytes;
		uint32_t size;
		bson_iter_t iter;
		int r;

		append_index(&array, "0", index);
		if (!bson_iter_init_find(&iter, &array, "0"))
			abort();
		bson_iter_document(&iter, &size, &bytes);
		if (!bson_init_static(&wanted, bytes, size))
			abort();
		/* A collection that is not there has none. */
		r = iterate_indexes(client, index->collection, &search);
		if (r == 0)
			visit(context, &(struct store_index){.collection = index->collection,
					       .name = text_of(&wanted, "name"),
					       .state = search.state,
					       .found = search.found});
		bson_free(search.found);
		bson_destroy(&array);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- all of it ---- */

int store_prepare(struct store_client *client)
{
	struct making making = {.client = client};
	int error;

	if (!client->mongo)
		return STORE_E_AWAY;
	error = store_ping(client); /* what is made from here on may need the time */
	if (error != 0)
		return error;
	making.mongo = store_patient_client(client->store);
	if (!making.mongo) {
		snprintf(client->last_error, sizeof(client->last_error),
			"the name in the database URL could not be looked up");
		return STORE_E_AWAY;
	}
	const struct store_wanted_index *index;
	for (size_t i = 0; error == 0 && (index = index_at(client->store, i)); i++)
		if (!was_seen(client->store, i))
			error = create_indexes(&making, index->collection);
	mongoc_client_destroy(making.mongo);
	return error;
}
