/*
 * store_collections.c - what the database's collections are like, where somebody else has made them.
 *
 * A collection's default collation holds for its _id as well, so where it takes two user ids for one, two users share their documents, and no index of
 * ours and no query can part them. Which ids those may be follows from what ids consist of: A-Z a-z 0-9 . _ | - (topic.h), and from the collation
 * (MongoDB's manual, "Collation": strength, caseLevel, numericOrdering, alternate).
 */
#include "store_describe.h"

#include "store_client.h"
#include "store_document.h"
#include "store_error.h"
#include <stdio.h>
#include <string.h>

enum { CASE = 3, PUNCTUATION = 4, ALL = 5 }; /* strengths from which on it makes a difference */

struct looking {
	store_collection_visitor visit;
	void *context;
};

static bool document_of(const bson_t *document, const char *field, bson_t *ret)
{
	bson_iter_t iter;
	const uint8_t *bytes;
	uint32_t size;

	if (!bson_iter_init_find(&iter, document, field) || !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return false;
	bson_iter_document(&iter, &size, &bytes);
	return bson_init_static(ret, bytes, size);
}

static bool flag_of(const bson_t *document, const char *field)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, document, field) && bson_iter_as_bool(&iter);
}

static const char *same_by(const bson_t *collation)
{
	const int64_t said = store_number_of(collation, "strength"), strength = said > 0 ? said : CASE;

	if (strength < CASE && !flag_of(collation, "caseLevel"))
		return "Bob and bob";
	if (strength < PUNCTUATION && strcmp(store_text_of(collation, "alternate", ""), "shifted") == 0)
		return "a.b and ab";
	return strength < ALL && flag_of(collation, "numericOrdering") ? "7 and 07" : NULL;
}

static void look(const bson_t *document, const struct looking *looking)
{
	struct store_collection_found found = {.name = store_text_of(document, "name", ""),
		.type = store_text_of(document, "type", "collection")};
	bson_t options, collation, validator;
	char text[128];

	if (document_of(document, "options", &options)) {
		found.capped = flag_of(&options, "capped");
		found.validated = document_of(&options, "validator", &validator);
		if (document_of(&options, "collation", &collation) &&
			strcmp(store_text_of(&collation, "locale", "simple"), "simple") != 0) {
			snprintf(text, sizeof(text), "%s, strength %d",
				store_text_of(&collation, "locale", ""),
				(int)store_number_of(&collation, "strength"));
			found.collation = text;
			found.same = same_by(&collation);
		}
	}
	looking->visit(looking->context, &found);
}

int store_collections(struct store_client *client, store_collection_visitor visit, void *context)
{
	struct looking looking = {visit, context};
	const bson_t *document, *reply;
	bson_error_t error;
	int r = 0;

	if (!client->mongo)
		return STORE_E_AWAY;
	mongoc_cursor_t *cursor = mongoc_database_find_collections_with_opts(store_database(client), NULL);
	while (mongoc_cursor_next(cursor, &document))
		look(document, &looking);
	if (mongoc_cursor_error_document(cursor, &error, &reply)) {
		r = store_classify_read(reply, &error);
		snprintf(
			client->last_error, sizeof(client->last_error), "listCollections: %s", error.message);
		store_note_code(client, &error);
	}
	mongoc_cursor_destroy(cursor);
	return r;
}
