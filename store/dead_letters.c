/*
 * dead_letters.c - commands that were given up:
 * {_id: ObjectId, topic, user_id, handler, reason, payload: binary, payload_cut_from, correlation: binary,
 * response_topic, attempts, crashes, host, when: date, expires: date}.
 *
 * Adding one is one insert. Nothing that a command or a handler put into a letter may keep it from being
 * stored, or it would come again for ever: texts that are not UTF-8 are made so, and a payload that fits into
 * no document is cut.
 */
#include "dead_letters.h"

#include "store_document.h"

/* A document holds 16 MiB (MongoDB's manual, "BSON Document Size"); topic and reason need some of it. */
enum { PAYLOAD_KEPT_MAX = 15 * 1024 * 1024, DAY_MS = 24 * 60 * 60 * 1000 };

static const enum store_collection collection = STORE_DEAD_LETTERS;

/* ---- adding ---- */

static void append_payload(bson_t *document, const struct dead_letter *letter)
{
	const bool cut = letter->payload_size > PAYLOAD_KEPT_MAX;
	const size_t size = letter->payload_cut_from > 0 ? letter->payload_cut_from : letter->payload_size;

	store_append_bytes(
		document, "payload", letter->payload, cut ? PAYLOAD_KEPT_MAX : letter->payload_size);
	if (cut || letter->payload_cut_from > 0)
		BSON_APPEND_INT64(document, "payload_cut_from", (int64_t)size);
	if (letter->correlation)
		store_append_bytes(document, "correlation", letter->correlation, letter->correlation_size);
	if (letter->response_topic)
		store_append_text(document, "response_topic", letter->response_topic);
}

int dead_letter_add(struct store_client *client, const struct dead_letter *letter)
{
	bson_t document = BSON_INITIALIZER, reply;
	const int r = store_know_time(client);
	bson_error_t error;
	bool inserted;

	if (r != 0)
		return r;
	const int64_t now_ms = store_now_ms(client->store);
	store_append_id(&document, &letter->id);
	store_append_text(&document, "topic", letter->topic);
	store_append_text(&document, "user_id", letter->user);
	store_append_text(&document, "handler", letter->handler);
	store_append_reason(&document, letter->reason);
	append_payload(&document, letter);
	BSON_APPEND_INT64(&document, "attempts", letter->attempts);
	BSON_APPEND_INT64(&document, "crashes", letter->crashes);
	store_append_text(&document, "host", letter->host);
	BSON_APPEND_DATE_TIME(&document, "when", now_ms);
	if (letter->keep_days > 0)
		BSON_APPEND_DATE_TIME(&document, "expires", now_ms + (int64_t)letter->keep_days * DAY_MS);
	inserted = mongoc_collection_insert_one(
		store_client_collection(client, collection), &document, NULL, &reply, &error);
	bson_destroy(&document);
	return store_write_result(client, collection, "insert", inserted, &reply, &error);
}

/* ---- reading ---- */

static struct dead_letter letter_of(const bson_t *document)
{
	const int64_t expires_ms = store_date_of(document, "expires");
	struct dead_letter letter = {
		.topic = store_text_of(document, "topic", ""),
		.payload_cut_from = (size_t)store_number_of(document, "payload_cut_from"),
		.response_topic = store_text_of(document, "response_topic", NULL),
		.user = store_text_of(document, "user_id", ""),
		.handler = store_text_of(document, "handler", ""),
		.reason = store_text_of(document, "reason", ""),
		.attempts = (unsigned)store_number_of(document, "attempts"),
		.crashes = (unsigned)store_number_of(document, "crashes"),
		.host = store_text_of(document, "host", ""),
		.when_ms = store_date_of(document, "when"),
		.expires_ms = expires_ms != INT64_MIN ? expires_ms : 0,
	};

	letter.id = store_id_of(document);
	letter.payload = store_bytes_of(document, "payload", &letter.payload_size);
	letter.correlation = store_bytes_of(document, "correlation", &letter.correlation_size);
	return letter;
}

static void append_query(bson_t *filter, const struct dead_letter_query *query)
{
	bson_t when;

	if (query->user)
		store_append_text(filter, "user_id", query->user);
	if (query->handler)
		store_append_text(filter, "handler", query->handler);
	if (query->since_ms == 0 && query->until_ms == 0)
		return;
	BSON_APPEND_DOCUMENT_BEGIN(filter, "when", &when);
	if (query->since_ms != 0)
		BSON_APPEND_DATE_TIME(&when, "$gte", query->since_ms);
	if (query->until_ms != 0)
		BSON_APPEND_DATE_TIME(&when, "$lte", query->until_ms);
	bson_append_document_end(filter, &when);
}

struct visit {
	dead_letter_visitor visit;
	void *context;
};

static bool visit_document(const bson_t *document, void *context)
{
	const struct visit *visit = context;
	const struct dead_letter letter = letter_of(document);

	return visit->visit(&letter, visit->context);
}

int dead_letter_list(struct store_client *client, const struct dead_letter_query *query,
	dead_letter_visitor visit, void *context)
{
	const int32_t direction = query->oldest_first ? 1 : -1;
	bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
	struct visit each = {visit, context};
	mongoc_cursor_t *cursor;

	if (!client->mongo)
		return STORE_E_AWAY;
	append_query(&filter, query);
	BCON_APPEND(&options, "sort", "{", "when", BCON_INT32(direction), "_id", BCON_INT32(direction), "}");
	if (query->no_payload)
		BCON_APPEND(&options, "projection", "{", "payload", BCON_INT32(0), "correlation",
			BCON_INT32(0), "response_topic", BCON_INT32(0), "}");
	if (query->limit > 0)
		BSON_APPEND_INT64(&options, "limit", query->limit);
	cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &filter, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&filter);
	return store_iterate(client, collection, cursor, visit_document, &each);
}

int dead_letter_count(struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count)
{
	bson_t filter = BSON_INITIALIZER;

	append_query(&filter, query);
	const int r = store_count(client, collection, &filter, ret_count);
	bson_destroy(&filter);
	return r;
}

/* A letter together with the document that its pointers point into. */
struct held {
	struct dead_letter letter; /* first: see dead_letter_free() */
	bson_t *document;
};

static bool hold(const bson_t *document, void *context)
{
	struct held **held = context;

	*held = bson_malloc0(sizeof(**held));
	(*held)->document = bson_copy(document);
	(*held)->letter = letter_of((*held)->document);
	return false;
}

int dead_letter_get(struct store_client *client, const struct store_id *id, struct dead_letter **ret_letter)
{
	bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
	struct held *held = NULL;
	mongoc_cursor_t *cursor;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	store_append_id(&filter, id);
	BCON_APPEND(&options, "limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true));
	cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &filter, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&filter);
	r = store_iterate(client, collection, cursor, hold, &held);
	if (r == 0 && !held)
		return STORE_E_NOT_FOUND;
	if (r != 0) {
		dead_letter_free(held ? &held->letter : NULL);
		return r;
	}
	*ret_letter = &held->letter;
	return 0;
}

void dead_letter_free(struct dead_letter *letter)
{
	struct held *held = (struct held *)letter;

	if (!held)
		return;
	bson_destroy(held->document);
	bson_free(held);
}

/* ---- dropping ---- */

/* Takes the filter over. */
static int remove_letters(struct store_client *client, bson_t *filter, bool all, uint64_t *ret_count)
{
	mongoc_collection_t *letters = store_client_collection(client, collection);
	uint64_t count = 0;
	bson_error_t error;
	bson_iter_t iter;
	bson_t reply;
	bool deleted;

	deleted = all ? mongoc_collection_delete_many(letters, filter, NULL, &reply, &error)
		      : mongoc_collection_delete_one(letters, filter, NULL, &reply, &error);
	bson_destroy(filter);
	if (bson_iter_init_find(&iter, &reply, "deletedCount"))
		count = (uint64_t)bson_iter_as_int64(&iter);
	*ret_count = count;
	return store_write_result(client, collection, "delete", deleted, &reply, &error);
}

int dead_letter_drop(struct store_client *client, const struct store_id *id)
{
	bson_t filter = BSON_INITIALIZER;
	uint64_t count;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	store_append_id(&filter, id);
	r = remove_letters(client, &filter, false, &count);
	return r == 0 && count == 0 ? STORE_E_NOT_FOUND : r;
}

int dead_letter_drop_all(
	struct store_client *client, const struct dead_letter_query *query, uint64_t *ret_count)
{
	bson_t filter = BSON_INITIALIZER;
	uint64_t count;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	append_query(&filter, query);
	r = remove_letters(client, &filter, true, &count);
	if (r == 0)
		*ret_count = count;
	return r;
}
