/* contacts_plain.c - see contacts_plain.h. */
#include "contacts_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

enum { PAGE = 100, PAIR_SIZE = 132 };

static _Noreturn void die(const char *what, const bson_error_t *error)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, error->message);
	exit(1);
}

mongoc_client_pool_t *contacts_pool(const char *url, unsigned size)
{
	bson_error_t error;
	mongoc_uri_t *const uri = mongoc_uri_new_with_error(url, &error);

	if (!uri)
		die("MONGO_DB_URL", &error);
	if (!mongoc_uri_has_option(uri, MONGOC_URI_W))
		(void)mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_W, "majority");
	if (!mongoc_uri_has_option(uri, MONGOC_URI_JOURNAL))
		(void)mongoc_uri_set_option_as_bool(uri, MONGOC_URI_JOURNAL, true);
	mongoc_client_pool_t *const pool = mongoc_client_pool_new_with_error(uri, &error);
	if (!pool)
		die("pool", &error);
	mongoc_client_pool_max_size(pool, size);
	(void)mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
	mongoc_uri_destroy(uri);
	return pool;
}

/* One document, of which the index has all that is asked for. */
static void one_options(bson_t *options, const char *other_name)
{
	bson_t part;

	bson_init(options);
	BSON_APPEND_DOCUMENT_BEGIN(options, "projection", &part);
	BSON_APPEND_INT32(&part, "_id", 0);
	BSON_APPEND_INT32(&part, other_name, 1);
	bson_append_document_end(options, &part);
	BSON_APPEND_INT64(options, "limit", 1);
	BSON_APPEND_BOOL(options, "singleBatch", true);
}

void contacts_open(struct contacts *contacts, mongoc_client_pool_t *pool, const char *database)
{
	bson_t part;

	contacts->client = mongoc_client_pool_pop(pool);
	contacts->requests = mongoc_client_get_collection(contacts->client, database, "contact_requests");
	contacts->contacts = mongoc_client_get_collection(contacts->client, database, "contacts");
	bson_init(&contacts->upsert);
	BSON_APPEND_BOOL(&contacts->upsert, "upsert", true);
	one_options(&contacts->one_contact, "contact_id");
	one_options(&contacts->one_request, "from");
	bson_init(&contacts->page);
	BSON_APPEND_DOCUMENT_BEGIN(&contacts->page, "sort", &part);
	BSON_APPEND_INT32(&part, "contact_id", 1);
	bson_append_document_end(&contacts->page, &part);
	BSON_APPEND_DOCUMENT_BEGIN(&contacts->page, "projection", &part);
	BSON_APPEND_INT32(&part, "_id", 0);
	BSON_APPEND_INT32(&part, "contact_id", 1);
	BSON_APPEND_INT32(&part, "since", 1);
	bson_append_document_end(&contacts->page, &part);
	/* One more than a page: whether there is a next one. */
	BSON_APPEND_INT64(&contacts->page, "limit", PAGE + 1);
	BSON_APPEND_INT32(&contacts->page, "batchSize", PAGE + 1);
	BSON_APPEND_BOOL(&contacts->page, "singleBatch", true);
}

static bool pair_there(mongoc_collection_t *collection, const bson_t *options, const char *owner,
	const char *other_name, const char *other)
{
	bson_t filter = BSON_INITIALIZER;
	const bson_t *document;
	bson_error_t error;

	BSON_APPEND_UTF8(&filter, "user_id", owner);
	BSON_APPEND_UTF8(&filter, other_name, other);
	mongoc_cursor_t *const cursor = mongoc_collection_find_with_opts(collection, &filter, options, NULL);
	const bool there = mongoc_cursor_next(cursor, &document);
	if (mongoc_cursor_error(cursor, &error))
		die("find", &error);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&filter);
	return there;
}

void contacts_request(struct contacts *contacts, const char *from, const char *to)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, fields;
	char id[PAIR_SIZE];
	struct timeval now;
	bson_error_t error;

	(void)gettimeofday(&now, NULL);
	(void)snprintf(id, sizeof(id), "%s/%s", to, from);
	BSON_APPEND_UTF8(&filter, "user_id", to);
	BSON_APPEND_UTF8(&filter, "from", from);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$setOnInsert", &fields);
	BSON_APPEND_UTF8(&fields, "_id", id);
	BSON_APPEND_DATE_TIME(&fields, "requested_at", (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000);
	bson_append_document_end(&update, &fields);
	if (!mongoc_collection_update_one(
		    contacts->requests, &filter, &update, &contacts->upsert, NULL, &error))
		die("upsert", &error);
	bson_destroy(&filter);
	bson_destroy(&update);
	if (pair_there(contacts->contacts, &contacts->one_contact, from, "contact_id", to) ||
		pair_there(contacts->requests, &contacts->one_request, from, "from", to)) {
		(void)fprintf(
			stderr, "bench: %s and %s know each other already: not a fresh database\n", from, to);
		exit(1);
	}
}

static size_t write_contact(char *text, size_t room, const bson_t *document, bool first)
{
	const char *contact = "";
	bson_iter_t field;
	int64_t at_ms = 0;
	struct tm utc;
	char when[32];

	if (bson_iter_init(&field, document)) {
		while (bson_iter_next(&field)) {
			if (BSON_ITER_HOLDS_UTF8(&field))
				contact = bson_iter_utf8(&field, NULL);
			else if (BSON_ITER_HOLDS_DATE_TIME(&field))
				at_ms = bson_iter_date_time(&field);
		}
	}
	const time_t seconds = (time_t)(at_ms / 1000);
	(void)gmtime_r(&seconds, &utc);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	const int size = snprintf(text, room, "%s{\"contact_id\":\"%s\",\"since\":\"%s.%03dZ\"}",
		first ? "" : ",", contact, when, (int)(at_ms % 1000));
	return size > 0 && (size_t)size < room ? (size_t)size : 0;
}

size_t contacts_page(struct contacts *contacts, const char *user, char text[static CONTACTS_TEXT_SIZE])
{
	bson_t filter = BSON_INITIALIZER;
	const bson_t *document;
	char last[PAIR_SIZE] = "null";
	bson_error_t error;
	bson_iter_t field;
	size_t size = 0;
	unsigned count = 0;

	BSON_APPEND_UTF8(&filter, "user_id", user);
	mongoc_cursor_t *const cursor =
		mongoc_collection_find_with_opts(contacts->contacts, &filter, &contacts->page, NULL);
	size += (size_t)sprintf(text, "{\"contacts\":[");
	while (mongoc_cursor_next(cursor, &document)) {
		if (count == PAGE) {
			(void)snprintf(last, sizeof(last), "\"%s\"",
				bson_iter_init_find(&field, document, "contact_id")
					? bson_iter_utf8(&field, NULL)
					: "");
			break;
		}
		size += write_contact(
			text + size, CONTACTS_TEXT_SIZE - PAIR_SIZE - 16 - size, document, count == 0);
		count++;
	}
	if (mongoc_cursor_error(cursor, &error))
		die("find", &error);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&filter);
	return size + (size_t)sprintf(text + size, "],\"next\":%s}", last);
}
