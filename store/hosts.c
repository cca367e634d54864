/*
 * hosts.c - who is at work: {_id: the host's client id, seen: date}.
 *
 * A host writes its document now and then, which tells it what no question does: that the database takes
 * writes, with a disk that has room, rights that suffice, and as many members as the write concern asks for.
 * One upsert, which never fails for what is there already.
 */
#include "store_client.h"

static const enum store_collection collection = STORE_HOSTS;

int store_trial_write(struct store_client *client, const char *host)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set, reply;
	bson_error_t error;
	bool updated;

	if (!client->mongo)
		return STORE_E_AWAY;
	BSON_APPEND_UTF8(&selector, "_id", host);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	BSON_APPEND_DATE_TIME(&set, "seen", store_now_ms());
	bson_append_document_end(&update, &set);
	updated = mongoc_collection_update_one(store_client_collection(client, collection), &selector,
		&update, store_upsert_options(client->store), &reply, &error);
	bson_destroy(&selector);
	bson_destroy(&update);
	return store_write_result(client, collection, "trial write", updated, &reply, &error);
}
