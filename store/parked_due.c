/*
 * parked_due.c - who has something parked: which users of a lane have a backlog, and whose is due.
 *
 * All backlogs are found by skipping from user to user along the index {lane, done, user_id, position}: many short questions, each about the users
 * behind the last one seen, so that a long backlog costs no more than a page. What is due is one question that the index {not_before, lane, user_id}
 * answers: MongoDB reads no document.
 */
#include "parked_document.h"
#include <string.h>

static const enum store_collection collection = STORE_PARKED_COMMANDS;

enum { PAGE = 1000, NEW_US = 60 * 1000 * 1000 };

/* ---- All of a lane ---- */

struct page {
	parked_backlog_visitor visit;
	void *context;
	const char *owner;
	int64_t now_ms;
	size_t count; /* of its documents */
	char *user;   /* the last one seen; NULL: none yet */
};

static bool visit_document(const bson_t *document, void *context)
{
	struct page *page = context;
	const char *user = store_text_of(document, "user_id", "");

	page->count++;
	if (page->user && strcmp(page->user, user) == 0)
		return true;
	bson_free(page->user);
	page->user = bson_strdup(user);
	page->visit(page->context, user, parked_claimable_in_ms(document, page->owner, page->now_ms));
	return true;
}

static int visit_page(struct store_client *client, const char *lane, struct page *page)
{
	bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;

	store_append_text(&filter, "lane", lane);
	BSON_APPEND_NULL(&filter, "done");
	/* The empty text, which is nobody's, is before all. */
	BCON_APPEND(&filter, "user_id", "{", "$gt", BCON_UTF8(page->user ? page->user : ""), "}");
	BCON_APPEND(&options, "sort", "{", "user_id", BCON_INT32(1), "position", BCON_INT32(1), "}",
		"projection", "{", "user_id", BCON_INT32(1), "not_before", BCON_INT32(1), "behind",
		BCON_INT32(1), "claimed_by", BCON_INT32(1), "lease_until", BCON_INT32(1), "}", "limit",
		BCON_INT64(PAGE), "batchSize", BCON_INT64(PAGE), "singleBatch", BCON_BOOL(true));
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &filter, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&filter);
	page->count = 0;
	return store_iterate(client, collection, cursor, visit_document, page);
}

static bool read_position(const bson_t *document, void *context)
{
	*(int64_t *)context = store_number_of(document, "position");
	return false;
}

/* Only those of the last minute and later are looked at: what is before that is no matter, whichever server tells the time. */
static int find_last_position(struct store_client *client, const char *lane, int64_t *ret_position)
{
	bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;

	*ret_position = 0;
	store_append_text(&filter, "lane", lane);
	BCON_APPEND(&filter, "position", "{", "$gt", BCON_INT64(store_now_us(client->store) - NEW_US), "}");
	BCON_APPEND(&options, "sort", "{", "position", BCON_INT32(-1), "}", "projection", "{", "_id",
		BCON_INT32(0), "position", BCON_INT32(1), "}", "limit", BCON_INT64(1), "singleBatch",
		BCON_BOOL(true));
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(
		store_client_collection(client, collection), &filter, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&filter);
	return store_iterate(client, collection, cursor, read_position, ret_position);
}

int parked_commands_backlogs(struct store_client *client, const char *lane, const char *owner,
	parked_backlog_visitor visit, void *context, int64_t *ret_last_position)
{
	int error = store_know_time(client);

	if (error != 0)
		return error;
	struct page page = {
		.visit = visit, .context = context, .owner = owner, .now_ms = store_now_ms(client->store)};
	do
		error = visit_page(client, lane, &page);
	while (error == 0 && page.count == PAGE);
	bson_free(page.user);
	return error != 0 ? error : find_last_position(client, lane, ret_last_position);
}

/* ---- What is due ---- */

/* The lanes are a stage of their own, which the server joins to the first, for servers that know ranges only as an index's last condition. */
static void due_command(
	bson_t *command, const char *const *lanes, size_t lane_count, int64_t before_ms, size_t limit)
{
	bson_t names = BSON_INITIALIZER, of_lanes = BSON_INITIALIZER;

	for (size_t i = 0; i < lane_count; i++) {
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string((uint32_t)i, &place, buffer, sizeof(buffer));
		store_append_text(&names, place, lanes[i]);
	}
	if (lane_count > 0)
		BCON_APPEND(&of_lanes, "lane", "{", "$in", BCON_ARRAY(&names), "}");
	BCON_APPEND(command, "aggregate", BCON_UTF8(store_collection_name(collection)), "pipeline", "[", "{",
		"$match", "{", "not_before", "{", "$lte", BCON_DATE_TIME(before_ms), "}", "}", "}", "{",
		"$match", BCON_DOCUMENT(&of_lanes), "}", "{", "$group", "{", "_id", "{", "lane",
		BCON_UTF8("$lane"), "user_id", BCON_UTF8("$user_id"), "}", "not_before", "{", "$min",
		BCON_UTF8("$not_before"), "}", "}", "}", "{", "$sort", "{", "not_before", BCON_INT32(1), "}",
		"}", "{", "$limit", BCON_INT64((int64_t)limit), "}", "]",
		/* one more than there can be, so that the server sees the end with the first batch */
		"cursor", "{", "batchSize", BCON_INT64((int64_t)limit + 1), "}");
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

int parked_commands_due(struct store_client *client, const char *const *lanes, size_t lane_count,
	unsigned since_ms, size_t limit, struct parked_user **ret_users, size_t *ret_count)
{
	bson_t command = BSON_INITIALIZER, reply;
	bson_iter_t documents;
	size_t count = 0;
	int error = store_know_time(client);

	if (error != 0)
		return error;
	if (limit == 0 || limit > STORE_LIST_MAX)
		limit = STORE_LIST_MAX;
	due_command(&command, lanes, lane_count, store_now_ms(client->store) - since_ms, limit);
	error = store_find(client, collection, &command, &reply, &documents);
	bson_destroy(&command);
	if (error != 0)
		return error;
	struct parked_user *users = bson_malloc0(limit * sizeof(users[0]));
	while (count < limit && bson_iter_next(&documents))
		if (read_user(&documents, &users[count]))
			count++;
	bson_destroy(&reply);
	*ret_users = users;
	*ret_count = count;
	return 0;
}
