/*
 * explain_parts.h - each of the store's functions as a call with what it sends, and collections that are full of documents.
 *
 * Include it in one source file.
 */
#ifndef EXPLAIN_PARTS_H
#define EXPLAIN_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "dead_letters.h"
#include "explained_documents.h"
#include "hosts.h"
#include "parked_commands.h"
#include "replays.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>

enum { DOCUMENTS = 2000, INSERT_MAX = 100 };

static struct store *store;
static struct store_client *client;

/* ---- the functions ---- */

static bool see_contact(const struct store_contact *item, void *context)
{
	(void)item;
	++*(unsigned *)context;
	return true;
}

static bool see_apple(const char *colour, void *context)
{
	(void)colour;
	++*(unsigned *)context;
	return true;
}

static int call_request_add(void)
{
	return contact_request_add(client, "u7", "me");
}

static int call_request_find(void)
{
	return contact_request_find(client, "u7", "me");
}

static int call_request_remove(void)
{
	return contact_request_remove(client, "u8", "me");
}

static int call_request_list(void)
{
	unsigned seen = 0;
	const int r = contact_request_list(client, "me", NULL, 50, see_contact, &seen);

	assert_int_equal(seen, 50);
	return r;
}

static int call_request_list_after(void)
{
	unsigned seen = 0;
	const int r = contact_request_list(client, "me", "u5", 50, see_contact, &seen);

	assert_int_equal(seen, 50);
	return r;
}

static int call_contact_add(void)
{
	return contact_add(client, "me", "u7");
}

static int call_contact_find(void)
{
	return contact_find(client, "me", "u7");
}

static int call_contact_remove(void)
{
	return contact_remove(client, "me", "u8");
}

static int call_contact_list(void)
{
	unsigned seen = 0;
	const int r = contact_list(client, "me", NULL, 50, see_contact, &seen);

	assert_int_equal(seen, 50);
	return r;
}

static int call_contact_list_after(void)
{
	unsigned seen = 0;
	const int r = contact_list(client, "me", "u5", 50, see_contact, &seen);

	assert_int_equal(seen, 50);
	return r;
}

static int call_apple_list(void)
{
	unsigned seen = 0;
	const int r = apple_list(client, 3, see_apple, &seen);

	assert_int_equal(seen, 3);
	return r;
}

static int call_dead_letter_add(void)
{
	struct dead_letter letter = {.topic = "1/x", .user = "1", .handler = "x", .reason = "r", .host = "h"};

	letter.id = store_new_id();
	return dead_letter_add(client, &letter);
}

static int call_ping(void)
{
	return store_ping(client);
}

static const struct backlog_lease lease = {"owner", 20000};

/* Number `at` of the documents that the collection is filled with. */
static struct store_id filled_id(int at)
{
	struct store_id id = {{'p'}};

	memcpy(&id.bytes[4], &at, sizeof(at));
	return id;
}

static struct parked_command parked(const char *user, int64_t position)
{
	return (struct parked_command){.id = store_new_id(),
		.lane = "l7",
		.user = user,
		.topic = "me/x",
		.position = position,
		.end = "done"};
}

static int call_append(void)
{
	const struct parked_command first = parked("me", DOCUMENTS), second = parked("me", DOCUMENTS + 1);
	const struct parked_command *const commands[] = {&first, &second};
	size_t failed;

	return parked_commands_append(client, commands, 2, NULL, &failed);
}

/* All of it was written before, but for the last. */
static int call_append_again(void)
{
	struct parked_command given[4];
	const struct parked_command *commands[4];
	size_t failed;

	for (int i = 0; i < 4; i++) {
		given[i] = parked("me", DOCUMENTS + i);
		given[i].id = filled_id(i);
		commands[i] = &given[i];
	}
	given[3].id = store_new_id();
	return parked_commands_append(client, commands, 4, NULL, &failed);
}

static void see_backlog(void *context, const char *user, int64_t due_in_ms)
{
	(void)user;
	(void)due_in_ms;
	++*(unsigned *)context;
}

static int call_backlogs(void)
{
	unsigned seen = 0;
	int64_t last;
	const int error = parked_commands_backlogs(client, "l7", "owner", see_backlog, &seen, &last);

	assert_true(seen > 50);
	return error;
}

static int find_due(const char *const *lanes, size_t lane_count)
{
	struct parked_user *users;
	size_t count;
	const int error = parked_commands_due(client, lanes, lane_count, 0, 20, &users, &count);

	assert_int_equal(count, 20);
	parked_users_free(users, count);
	return error;
}

static int call_due(void)
{
	static const char *const lanes[] = {"l7", "l8"};

	return find_due(lanes, 2);
}

static int call_due_anywhere(void)
{
	return find_due(NULL, 0);
}

static int call_claim(void)
{
	struct parked_batch batch;
	const int error = parked_commands_claim(client, "l7", "me", &lease, 10, 0, &batch);

	assert_int_equal(batch.count, 10);
	parked_batch_free(&batch);
	return error;
}

static int call_finish(void)
{
	const struct store_id done[] = {filled_id(17), filled_id(37)}, next = filled_id(57);

	return parked_commands_finish(client,
		&(struct parked_finish){
			.user = "me", .done = done, .count = 2, .next = &next, .lease = &lease},
		1);
}

static int call_postpone(void)
{
	struct parked_command command = parked("me", 0);

	command.id = filled_id(57);
	return parked_commands_postpone(client, &command, "owner", 1000);
}

static int call_renew(void)
{
	const struct store_id id = filled_id(57);

	return parked_commands_renew(client, "me", &id, &lease) == PARKED_E_LATER ? 0 : STORE_E_PERMANENT;
}

static int call_release(void)
{
	const struct store_id id = filled_id(57);

	return parked_commands_release(client, "me", &id, "owner");
}

static int call_move(void)
{
	const struct store_id id = filled_id(177);
	bool moved;

	return parked_commands_move(client, "me", &id, "l8", 1000, &moved);
}

static int call_lease(void)
{
	struct host_lease host;

	return host_lease_hold(client, "cashewd", "owner", 10000, &host);
}

static int call_lease_release(void)
{
	return host_lease_release(client, "cashewd", "owner");
}

static int call_groups(void)
{
	struct host_groups groups = {.count = 0};
	const int r = host_groups_note(client, "cashewd", "group", &groups);
	host_groups_free(&groups);
	return r;
}

static bool see_letter(const struct dead_letter *letter, void *context)
{
	(void)letter;
	++*(unsigned *)context;
	return true;
}

static int list_letters(struct dead_letter_query query)
{
	unsigned seen = 0;
	int r;

	query.limit = 20;
	r = dead_letter_list(client, &query, see_letter, &seen);
	assert_int_equal(seen, 20);
	return r;
}

static int call_letter_list(void)
{
	return list_letters((struct dead_letter_query){0});
}

static int call_letter_list_user(void)
{
	return list_letters((struct dead_letter_query){.user = "me", .since_ms = 1});
}

static int call_letter_list_handler(void)
{
	return list_letters((struct dead_letter_query){.handler = "h7", .oldest_first = true});
}

static int call_letter_count(void)
{
	uint64_t count;

	return dead_letter_count(client, &(struct dead_letter_query){.handler = "h7"}, &count);
}

static int not_found(int r)
{
	return r == STORE_E_NOT_FOUND ? 0 : -1;
}

static int call_letter_get(void)
{
	struct dead_letter *letter;
	const struct store_id id = store_new_id();

	return not_found(dead_letter_get(client, &id, &letter));
}

static int call_letter_drop(void)
{
	const struct store_id id = store_new_id();

	return not_found(dead_letter_drop(client, &id));
}

static int call_letter_drop_all(void)
{
	uint64_t count;

	return dead_letter_drop_all(client, &(struct dead_letter_query){.user = "u2", .until_ms = 1}, &count);
}

static int call_letter_replay(void)
{
	struct dead_letter letter = {.topic = "1/x", .user = "1", .handler = "x", .reason = "r", .host = "h"};

	letter.id = store_new_id();
	return replay_dead_letter(client, &letter, "l7", 1);
}

static const struct {
	const char *name;
	int (*call)(void);
	const char *command; /* that it sends, and no others */
	int statements;	     /* of a write */
	const char *second;  /* another one; NULL: none */
	const char *third;
} functions[] = {
	{"contact_request_add", call_request_add, "update", 1},
	{"contact_request_find", call_request_find, "find", 0},
	{"contact_request_remove", call_request_remove, "delete", 1},
	{"contact_request_list", call_request_list, "find", 0},
	{"contact_request_list, after", call_request_list_after, "find", 0},
	{"contact_add", call_contact_add, "update", 2},
	{"contact_find", call_contact_find, "find", 0},
	{"contact_remove", call_contact_remove, "delete", 2},
	{"contact_list", call_contact_list, "find", 0},
	{"contact_list, after", call_contact_list_after, "find", 0},
	{"apple_list", call_apple_list, "find", 0},
	{"dead_letter_add", call_dead_letter_add, "insert", 1},
	{"store_ping", call_ping, "hello", 0},
	{"parked_commands_append", call_append, "insert", 2},
	{"parked_commands_append, again", call_append_again, "insert", 4, "find", "insert"},
	{"parked_commands_backlogs", call_backlogs, "find", 0, "find"},
	{"parked_commands_due", call_due, "aggregate", 0},
	{"parked_commands_due, any lane", call_due_anywhere, "aggregate", 0},
	{"parked_commands_claim", call_claim, "find", 0, "update", "find"},
	{"parked_commands_finish", call_finish, "update", 1, "delete"},
	{"parked_commands_postpone", call_postpone, "update", 1},
	{"parked_commands_renew", call_renew, "update", 1},
	{"parked_commands_release", call_release, "update", 1},
	{"parked_commands_move", call_move, "update", 1},
	{"documents_update", explained_update, "findAndModify", 0},
	{"documents_update, counted", explained_count, "findAndModify", 0},
	{"documents_update, counted again", explained_count_again, "findAndModify", 0, "find"},
	{"documents_update, counted first", explained_count_first, "findAndModify", 0},
	{"documents_update, guarded", explained_guarded, "findAndModify", 0},
	{"documents_update, guarded in vain", explained_guarded_in_vain, "findAndModify", 0, "find"},
	{"documents_put, once", explained_put_once, "findAndModify", 0},
	{"documents_list, WITHIN", explained_list_within, "find", 0},
	{"documents_list, ACROSS", explained_list_across, "find", 0},
	{"documents_list, keys", explained_list_keys, "find", 0},
	{"host_lease_hold", call_lease, "findAndModify", 0},
	{"host_lease_release", call_lease_release, "update", 1},
	{"host_groups_note", call_groups, "update", 1, "find"},
	{"dead_letter_list", call_letter_list, "find", 0},
	{"dead_letter_list, a user's", call_letter_list_user, "find", 0},
	{"dead_letter_list, a handler's", call_letter_list_handler, "find", 0},
	{"dead_letter_count", call_letter_count, "aggregate", 0},
	{"dead_letter_get", call_letter_get, "find", 0},
	{"dead_letter_drop", call_letter_drop, "delete", 1},
	{"dead_letter_drop_all", call_letter_drop_all, "delete", 1},
	{"replay_dead_letter", call_letter_replay, "insert", 1, "delete"},
};
enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

/* ---- filling ---- */

static bson_t *pair(const char *other_field, int i)
{
	char user[16], id[32];
	bson_t *document = bson_new();

	snprintf(user, sizeof(user), "u%d", i);
	/* half of them of one user, half of one each */
	snprintf(id, sizeof(id), i % 2 ? "me/%s" : "%s/me", user);
	BSON_APPEND_UTF8(document, "_id", id);
	BSON_APPEND_UTF8(document, "user_id", i % 2 ? "me" : user);
	BSON_APPEND_UTF8(document, other_field, i % 2 ? user : "me");
	return document;
}

/* Ten lanes, all of them with commands of one user and of others; a tenth is done. */
static bson_t *parked_document(int i)
{
	char user[16], lane[16];
	bson_t *document = bson_new();
	bson_oid_t id;

	bson_oid_init_from_data(&id, filled_id(i).bytes);
	BSON_APPEND_OID(document, "_id", &id);
	snprintf(user, sizeof(user), "u%d", i);
	snprintf(lane, sizeof(lane), "l%d", i % 10);
	BSON_APPEND_UTF8(document, "user_id", i / 10 % 2 ? "me" : user);
	BSON_APPEND_UTF8(document, "lane", lane);
	BSON_APPEND_INT64(document, "position", i);
	BSON_APPEND_INT64(document, "attempts", 0);
	BSON_APPEND_INT64(document, "bytes", 2);
	if (i / 100 % 10 == 0)
		BSON_APPEND_DATE_TIME(document, "done", INT64_C(32503680000000) /* in the year 3000 */);
	else
		BSON_APPEND_DATE_TIME(document, "not_before", i / 10);
	return document;
}

static bson_t *letter_document(int i)
{
	char user[16], handler[16];
	bson_t *document = bson_new();

	snprintf(user, sizeof(user), "u%d", i);
	snprintf(handler, sizeof(handler), "h%d", i % 10);
	BSON_APPEND_UTF8(document, "user_id", i % 2 ? "me" : user);
	BSON_APPEND_UTF8(document, "handler", handler);
	BSON_APPEND_DATE_TIME(document, "when", i);
	return document;
}

static bson_t *document_of(const char *name, int i)
{
	if (strcmp(name, "parked_commands") == 0)
		return parked_document(i);
	if (strcmp(name, "dead_letters") == 0)
		return letter_document(i);
	return pair(strcmp(name, "contacts") == 0 ? "contact_id" : "from", i);
}

static void fill(const char *name)
{
	mongoc_collection_t *collection = mongoc_database_get_collection(store_database(client), name);
	bson_t *documents[DOCUMENTS];
	const bson_t *inserted[DOCUMENTS];
	bson_error_t error;

	for (int i = 0; i < DOCUMENTS; i++)
		inserted[i] = documents[i] = document_of(name, i);
	/* A stand-in on a machine with other work takes long for each, and one command may take only so long. */
	for (int i = 0; i < DOCUMENTS; i += INSERT_MAX)
		if (!mongoc_collection_insert_many(collection, &inserted[i], INSERT_MAX, NULL, NULL, &error))
			fail_msg("%s: %s", name, error.message);
	for (int i = 0; i < DOCUMENTS; i++)
		bson_destroy(documents[i]);
	mongoc_collection_destroy(collection);
}

#endif
