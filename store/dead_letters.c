/*
 * dead_letters.c - commands that were given up:
 * {_id: ObjectId, topic, user_id, handler, reason, payload: binary, attempts, host, when: date}.
 *
 * One insert. Nothing that a command or a handler put into a letter may keep it from being stored, or it
 * would come again for ever: texts that are not UTF-8 are made so, and a payload that fits into no document
 * is cut.
 */
#include "store_client.h"
#include <stdlib.h>
#include <string.h>

/* A document holds 16 MiB (MongoDB's manual, "BSON Document Size"); topic and reason need some of it. */
enum { PAYLOAD_KEPT_MAX = 15 * 1024 * 1024 };

void dead_letter_new_id(unsigned char ret_id[static 12])
{
	bson_oid_t id;

	bson_oid_init(&id, NULL);
	memcpy(ret_id, id.bytes, sizeof(id.bytes));
}

int dead_letter_add(struct store_client *client, const struct dead_letter *letter)
{
	const bool cut = letter->payload_size > PAYLOAD_KEPT_MAX;
	const size_t kept = cut ? PAYLOAD_KEPT_MAX : letter->payload_size;
	bson_t document = BSON_INITIALIZER, reply;
	bson_error_t error;
	bson_oid_t id;
	bool inserted;

	if (!client->mongo)
		return STORE_E_AWAY;
	memcpy(id.bytes, letter->id, sizeof(id.bytes));
	BSON_APPEND_OID(&document, "_id", &id);
	store_append_text(&document, "topic", letter->topic);
	store_append_text(&document, "user_id", letter->user);
	store_append_text(&document, "handler", letter->handler);
	store_append_text(&document, "reason", letter->reason);
	BSON_APPEND_BINARY(&document, "payload", BSON_SUBTYPE_BINARY,
		letter->payload ? letter->payload : (const uint8_t *)"", (uint32_t)kept);
	if (cut)
		BSON_APPEND_INT64(&document, "payload_cut_from", (int64_t)letter->payload_size);
	BSON_APPEND_INT64(&document, "attempts", letter->attempts);
	store_append_text(&document, "host", letter->host);
	BSON_APPEND_DATE_TIME(&document, "when", store_now_ms());
	inserted = mongoc_collection_insert_one(
		store_client_collection(client, STORE_DEAD_LETTERS), &document, NULL, &reply, &error);
	bson_destroy(&document);
	return store_write_result(client, STORE_DEAD_LETTERS, "insert", inserted, &reply, &error);
}
