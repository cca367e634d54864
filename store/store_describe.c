/* store_describe.c - what server there is behind the pool, and how it is asked to acknowledge. */
#include "store_describe.h"

#include "store_client.h"
#include "store_error.h"
#include <stdio.h>
#include <string.h>

/* A command on the database admin. 0 and *ret_reply, to be destroyed; or a store error. */
static int ask(struct store_client *client, const char *name, bson_t *ret_reply)
{
	bson_t command = BSON_INITIALIZER;
	bson_error_t error;
	bool answered;

	BSON_APPEND_INT32(&command, name, 1);
	answered = mongoc_client_command_simple(client->mongo, "admin", &command, NULL, ret_reply, &error);
	bson_destroy(&command);
	if (!answered) {
		const int r = store_classify_read(ret_reply, &error);

		bson_destroy(ret_reply);
		snprintf(client->last_error, sizeof(client->last_error), "%s: %s", name, error.message);
		store_note_code(client, &error);
		return r;
	}
	return 0;
}

static void copy_text(const bson_t *reply, const char *field, char *ret, size_t size)
{
	bson_iter_t iter;

	if (bson_iter_init_find(&iter, reply, field) && BSON_ITER_HOLDS_UTF8(&iter))
		snprintf(ret, size, "%s", bson_iter_utf8(&iter, NULL));
}

/* Appends the members of that array of the reply. */
static void read_members(const bson_t *reply, const char *field, struct store_description *description)
{
	static const char cut[] = "...";
	bson_iter_t iter, items;

	if (!bson_iter_init_find(&iter, reply, field) || !BSON_ITER_HOLDS_ARRAY(&iter) ||
		!bson_iter_recurse(&iter, &items))
		return;
	for (; bson_iter_next(&items); description->members++) {
		const size_t used = strlen(description->hosts), room = sizeof(description->hosts) - used;
		const char *name = BSON_ITER_HOLDS_UTF8(&items) ? bson_iter_utf8(&items, NULL) : "?";
		const char *joint = used > 0 ? ", " : "";

		if (strlen(joint) + strlen(name) + sizeof(cut) <= room)
			snprintf(description->hosts + used, room, "%s%s", joint, name);
		else if (used > 0 && description->hosts[used - 1] != '.')
			snprintf(description->hosts + used, room, "%s", cut);
	}
}

static void read_hello(const bson_t *reply, struct store_description *description)
{
	char message[16] = "";
	bson_iter_t iter;

	copy_text(reply, "setName", description->set_name, sizeof(description->set_name));
	copy_text(reply, "msg", message, sizeof(message));
	if (strcmp(message, "isdbgrid") == 0)
		description->kind = STORE_SHARDED;
	else if (description->set_name[0] != '\0')
		description->kind = STORE_REPLICA_SET;
	read_members(reply, "hosts", description);
	read_members(reply, "passives", description);
	description->writable =
		bson_iter_init_find(&iter, reply, "isWritablePrimary") && bson_iter_as_bool(&iter);
}

static void read_write_concern(const mongoc_client_t *mongo, struct store_description *description)
{
	const mongoc_write_concern_t *concern = mongoc_client_get_write_concern(mongo);
	const char *tag = mongoc_write_concern_get_wtag(concern);

	description->majority = mongoc_write_concern_get_wmajority(concern);
	description->journal = mongoc_write_concern_get_journal(concern);
	description->wtimeout_ms = mongoc_write_concern_get_wtimeout_int64(concern);
	if (description->majority)
		snprintf(description->w, sizeof(description->w), "majority");
	else if (tag)
		snprintf(description->w, sizeof(description->w), "%s", tag);
	else
		snprintf(description->w, sizeof(description->w), "%d",
			(int)mongoc_write_concern_get_w(concern));
}

int store_describe(struct store_client *client, struct store_description *ret)
{
	struct store_description description = {.kind = STORE_STANDALONE};
	bson_t reply;
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	r = ask(client, "hello", &reply);
	if (r != 0)
		return r;
	read_hello(&reply, &description);
	bson_destroy(&reply);
	r = ask(client, "buildInfo", &reply);
	if (r == 0) {
		copy_text(&reply, "version", description.version, sizeof(description.version));
		bson_destroy(&reply);
	} else if (r == STORE_E_AWAY) {
		return r;
	}
	read_write_concern(client->mongo, &description);
	description.direct = mongoc_uri_get_option_as_bool(
		mongoc_client_get_uri(client->mongo), MONGOC_URI_DIRECTCONNECTION, false);
	*ret = description;
	return 0;
}

/* A delete, because some servers make the collection for an update that no document matches. */
int store_write_nothing(struct store_client *client)
{
	bson_t filter = BSON_INITIALIZER, reply;
	bson_error_t error;
	bson_oid_t id;
	bool written;

	if (!client->mongo)
		return STORE_E_AWAY;
	bson_oid_init(&id, NULL);
	BSON_APPEND_OID(&filter, "_id", &id);
	written = mongoc_collection_delete_one(
		store_client_collection(client, STORE_DEAD_LETTERS), &filter, NULL, &reply, &error);
	bson_destroy(&filter);
	return store_write_result(client, STORE_DEAD_LETTERS, "delete", written, &reply, &error);
}
