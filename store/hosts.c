/*
 * hosts.c - who is active: {_id: the client id, owner, lease_until: date, seen: date, asked: date, groups: [text]}.
 *
 * One conditional upsert takes and renews: its filter finds the document where it may be taken, and where it may not, the insert that the upsert comes
 * to meets a duplicate key; `asked` says when that was last. Documents without owner are those of a version that only wrote `seen`.
 */
#include "hosts.h"

#include "store_document.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const enum store_collection collection = STORE_HOSTS;

enum { DUPLICATE_KEY = 11000 };

static void hold_command(
	bson_t *command, const char *client_id, const char *owner, int64_t now_ms, unsigned lease_ms)
{
	BCON_APPEND(command, "findAndModify", BCON_UTF8(store_collection_name(collection)), "query", "{",
		"_id", BCON_UTF8(client_id), "$or", "[", "{", "owner", BCON_UTF8(owner), "}", "{", "owner",
		BCON_NULL, "}", "{", "lease_until", "{", "$lte", BCON_DATE_TIME(now_ms), "}", "}", "]", "}",
		"update", "{", "$set", "{", "owner", BCON_UTF8(owner), "lease_until",
		BCON_DATE_TIME(now_ms + lease_ms), "seen", BCON_DATE_TIME(now_ms), "}", "}", "upsert",
		BCON_BOOL(true));
}

/* What findAndModify answers: the document as it was before. */
static bool before_of(const bson_t *reply, bson_t *ret_before)
{
	bson_iter_t value;
	const uint8_t *bytes;
	uint32_t size;

	if (!bson_iter_init_find(&value, reply, "value") || !BSON_ITER_HOLDS_DOCUMENT(&value))
		return false;
	bson_iter_document(&value, &size, &bytes);
	return bson_init_static(ret_before, bytes, size);
}

static struct host_lease lease_held(const bson_t *reply, const char *owner, int64_t now_ms)
{
	bson_t before;

	if (!before_of(reply, &before) || strcmp(store_text_of(&before, "owner", ""), owner) != 0)
		return (struct host_lease){.ours = true, .taken = true};
	return (struct host_lease){
		.ours = true, .awaited = store_date_of(&before, "asked") > now_ms - HOST_STANDBY_SEEN_MS};
}

/* It is another's: notes that somebody stands by, and asks until when. One who has given it up meanwhile has no such time. */
static int await(struct store_client *client, const char *client_id, int64_t now_ms, struct host_lease *ret)
{
	bson_t command = BSON_INITIALIZER, reply, before;
	bson_error_t driver;

	BCON_APPEND(&command, "findAndModify", BCON_UTF8(store_collection_name(collection)), "query", "{",
		"_id", BCON_UTF8(client_id), "}", "update", "{", "$set", "{", "asked", BCON_DATE_TIME(now_ms),
		"}", "}");
	const bool done = mongoc_client_write_command_with_opts(
		client->mongo, store_database_name(client->store), &command, NULL, &reply, &driver);
	bson_destroy(&command);
	if (!done)
		return store_write_result(client, collection, "standby", false, &reply, &driver);
	const int64_t until_ms =
		before_of(&reply, &before) ? store_date_of(&before, "lease_until") : INT64_MIN;
	bson_destroy(&reply);
	*ret = (struct host_lease){.free_in_ms = until_ms > now_ms ? until_ms - now_ms : 0};
	return 0;
}

int host_lease_hold(struct store_client *client, const char *client_id, const char *owner, unsigned lease_ms,
	struct host_lease *ret)
{
	bson_t command = BSON_INITIALIZER, reply;
	bson_error_t driver;
	const int error = store_know_time(client);

	if (error != 0)
		return error;
	const int64_t now_ms = store_now_ms(client->store);
	hold_command(&command, client_id, owner, now_ms, lease_ms);
	const bool done = mongoc_client_write_command_with_opts(
		client->mongo, store_database_name(client->store), &command, NULL, &reply, &driver);
	bson_destroy(&command);
	if (done) {
		*ret = lease_held(&reply, owner, now_ms);
		bson_destroy(&reply);
		return 0;
	}
	if (driver.domain != MONGOC_ERROR_SERVER || driver.code != DUPLICATE_KEY)
		return store_write_result(client, collection, "lease", false, &reply, &driver);
	bson_destroy(&reply);
	return await(client, client_id, now_ms, ret);
}

int host_lease_release(struct store_client *client, const char *client_id, const char *owner)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, reply;
	bson_error_t driver;

	if (!client->mongo)
		return STORE_E_AWAY;
	BCON_APPEND(&filter, "_id", BCON_UTF8(client_id), "owner", BCON_UTF8(owner));
	BCON_APPEND(&update, "$unset", "{", "owner", BCON_UTF8(""), "lease_until", BCON_UTF8(""), "}");
	const bool updated = mongoc_collection_update_one(
		store_client_collection(client, collection), &filter, &update, NULL, &reply, &driver);
	bson_destroy(&filter);
	bson_destroy(&update);
	return store_write_result(client, collection, "release", updated, &reply, &driver);
}

/* ---- Groups ---- */

void host_groups_free(struct host_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->names[i]);
	free(groups->names);
	*groups = (struct host_groups){.count = 0};
}

struct noting {
	const char *group; /* which is not told */
	struct host_groups groups;
	bool no_memory;
};

static void add_group(struct noting *noting, const char *name)
{
	struct host_groups *groups = &noting->groups;
	if (strcmp(name, noting->group) == 0)
		return;
	char **names = reallocarray(groups->names, groups->count + 1, sizeof(*names));
	char *copy = names ? strdup(name) : NULL;
	if (names)
		groups->names = names;
	if (copy)
		names[groups->count++] = copy;
	else
		noting->no_memory = true;
}

static bool read_groups(const bson_t *document, void *context)
{
	bson_iter_t iter, item;
	if (!bson_iter_init_find(&iter, document, "groups") || !BSON_ITER_HOLDS_ARRAY(&iter) ||
		!bson_iter_recurse(&iter, &item))
		return false;
	while (bson_iter_next(&item))
		if (BSON_ITER_HOLDS_UTF8(&item))
			add_group(context, bson_iter_utf8(&item, NULL));
	return false;
}

static int add_to_groups(struct store_client *client, const char *client_id, const char *group)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, reply;
	bson_error_t driver;

	BCON_APPEND(&filter, "_id", BCON_UTF8(client_id));
	BCON_APPEND(&update, "$addToSet", "{", "groups", BCON_UTF8(group), "}");
	const bool updated = mongoc_collection_update_one(
		store_client_collection(client, collection), &filter, &update, NULL, &reply, &driver);
	bson_destroy(&filter);
	bson_destroy(&update);
	return store_write_result(client, collection, "groups", updated, &reply, &driver);
}

int host_groups_note(
	struct store_client *client, const char *client_id, const char *group, struct host_groups *ret)
{
	struct noting noting = {.group = group};
	bson_t filter = BSON_INITIALIZER;
	int error = client->mongo ? 0 : STORE_E_AWAY;

	if (error == 0 && group[0] != '\0')
		error = add_to_groups(client, client_id, group);
	if (error == 0) {
		BSON_APPEND_UTF8(&filter, "_id", client_id);
		mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(
			store_client_collection(client, collection), &filter, NULL, NULL);
		error = store_iterate(client, collection, cursor, read_groups, &noting);
	}
	bson_destroy(&filter);
	if (error == 0 && noting.no_memory)
		error = -ENOMEM;
	if (error != 0)
		host_groups_free(&noting.groups);
	else
		*ret = noting.groups;
	return error;
}
