/*
 * store_rights.c - see store_rights.h.
 *
 * A server looks at rights before it does anything, so what cannot succeed tells as much as what can: an update by an operator that there is not, with
 * upsert, needs the rights to update and to insert, and is refused by every server that lets it come so far (MongoDB's error 9, FailedToParse).
 */
#include "store_rights.h"

#include "store_client.h"
#include "store_error.h"
#include <stdatomic.h>
#include <stdio.h>

/* Unauthorized; and Atlas, whose proxy has one code for rights and quotas. */
enum { UNAUTHORIZED = 13, ATLAS_ERROR = 8000 };

static _Atomic unsigned refusals;

bool store_rights_refuses(int code)
{
	return code == UNAUTHORIZED || code == ATLAS_ERROR;
}

void store_rights_note(int code)
{
	if (store_rights_refuses(code))
		atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
}

unsigned store_rights_refusals(void)
{
	return atomic_load_explicit(&refusals, memory_order_relaxed);
}

struct trial {
	struct store_client *client;
	const char *collection;
};

/* Runs the command, and destroys it. 0 also where the server refuses it for another reason than rights. */
static int run(const struct trial *trial, const char *action, bool writes, bson_t *command)
{
	struct store_client *client = trial->client;
	const char *database = store_database_name(client->store);
	bson_error_t error = {.code = 0};
	bson_t reply;
	const bool answered = writes ? mongoc_client_write_command_with_opts(
					       client->mongo, database, command, NULL, &reply, &error)
				     : mongoc_client_read_command_with_opts(
					       client->mongo, database, command, NULL, NULL, &reply, &error);
	int r = answered ? 0 : store_classify_read(&reply, &error);

	if (!answered)
		snprintf(client->last_error, sizeof(client->last_error), "%s of %s: %s", action,
			trial->collection, error.message);
	store_note_code(client, &error);
	if (!answered && store_rights_refuses(client->last_code))
		r = STORE_E_PERMANENT;
	else if (r == STORE_E_PERMANENT)
		r = 0;
	bson_destroy(&reply);
	bson_destroy(command);
	return r;
}

static int try_find(const struct trial *trial, const bson_oid_t *id)
{
	bson_t command = BSON_INITIALIZER;

	BCON_APPEND(&command, "find", BCON_UTF8(trial->collection), "filter", "{", "_id", BCON_OID(id), "}",
		"limit", BCON_INT32(1), "singleBatch", BCON_BOOL(true));
	return run(trial, "find", false, &command);
}

static int try_delete(const struct trial *trial, const bson_oid_t *id)
{
	bson_t command = BSON_INITIALIZER;

	BCON_APPEND(&command, "delete", BCON_UTF8(trial->collection), "deletes", "[", "{", "q", "{", "_id",
		BCON_OID(id), "}", "limit", BCON_INT32(1), "}", "]");
	return run(trial, "delete", true, &command);
}

static int try_upsert(const struct trial *trial, const bson_oid_t *id)
{
	bson_t command = BSON_INITIALIZER;

	BCON_APPEND(&command, "update", BCON_UTF8(trial->collection), "updates", "[", "{", "q", "{", "_id",
		BCON_OID(id), "}", "u", "{", "$tryWhetherWeMay", "{", "it", BCON_BOOL(true), "}", "}",
		"upsert", BCON_BOOL(true), "}", "]");
	return run(trial, "update", true, &command);
}

int store_rights_try(struct store_client *client, const char *collection, enum store_rights rights)
{
	const struct trial trial = {client, collection};
	bson_oid_t id; /* that no document has */
	int r;

	if (!client->mongo)
		return STORE_E_AWAY;
	bson_oid_init(&id, NULL);
	r = try_find(&trial, &id);
	if (r == 0 && rights >= STORE_RIGHTS_DELETE)
		r = try_delete(&trial, &id);
	if (r == 0 && rights >= STORE_RIGHTS_WRITE)
		r = try_upsert(&trial, &id);
	return r;
}
