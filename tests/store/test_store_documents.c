/*
 * test_store_documents.c - what the real store leaves in the database: documents field by field; and what it makes of a database that it finds otherwise
 * than it left it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "database.h"
#include "dead_letters.h"
#include "hosts.h"
#include "parked_commands.h"
#include "real_store.h"
#include "replays.h"
#include <cmocka.h>
#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- looking into the database ---- */

/* The one document with that _id, to be destroyed; fails the test where there is none. */
static bson_t *document(const char *collection_name, const char *id)
{
	mongoc_collection_t *collection = collection_of(collection_name);
	bson_t filter = BSON_INITIALIZER;
	mongoc_cursor_t *cursor;
	const bson_t *found;
	bson_t *copy = NULL;

	if (id)
		BSON_APPEND_UTF8(&filter, "_id", id);
	cursor = mongoc_collection_find_with_opts(collection, &filter, NULL, NULL);
	if (mongoc_cursor_next(cursor, &found))
		copy = bson_copy(found);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&filter);
	mongoc_collection_destroy(collection);
	assert_non_null(copy);
	return copy;
}

static void assert_fields(const bson_t *found, const struct field *fields, size_t count)
{
	bson_iter_t iter;

	for (size_t i = 0; i < count; i++) {
		if (!bson_iter_init_find(&iter, found, fields[i].name))
			fail_msg("there is no %s", fields[i].name);
		if (bson_iter_type(&iter) != fields[i].type)
			fail_msg("%s is of type %d", fields[i].name, (int)bson_iter_type(&iter));
	}
	assert_int_equal(bson_count_keys(found), count);
}

/* ---- documents ---- */

static void test_contact_documents(void **state)
{
	static const char *const ids[] = {"68946/23412", "23412/68946"};
	static const struct field fields[] = {{"_id", BSON_TYPE_UTF8}, {"user_id", BSON_TYPE_UTF8},
		{"contact_id", BSON_TYPE_UTF8}, {"since", BSON_TYPE_DATE_TIME}};

	(void)state;
	assert_int_equal(contact_add(client, "68946", "23412"), 0);
	for (size_t i = 0; i < 2; i++) {
		bson_t *found = document("contacts", ids[i]);

		assert_fields(found, fields, sizeof(fields) / sizeof(fields[0]));
		assert_string_equal(text_of(found, "user_id"), i == 0 ? "68946" : "23412");
		assert_string_equal(text_of(found, "contact_id"), i == 0 ? "23412" : "68946");
		bson_destroy(found);
	}
}

static void test_contact_request_document(void **state)
{
	static const struct field fields[] = {{"_id", BSON_TYPE_UTF8}, {"user_id", BSON_TYPE_UTF8},
		{"from", BSON_TYPE_UTF8}, {"requested_at", BSON_TYPE_DATE_TIME}};
	bson_t *found;

	(void)state;
	assert_int_equal(contact_request_add(client, "68946", "23412"), 0);
	found = document("contact_requests", "23412/68946");
	assert_fields(found, fields, sizeof(fields) / sizeof(fields[0]));
	assert_string_equal(text_of(found, "user_id"), "23412");
	assert_string_equal(text_of(found, "from"), "68946");
	bson_destroy(found);
}

static void test_dead_letter_document(void **state)
{
	static const unsigned char payload[] = {'{', 0, 0xff, '}'};
	struct dead_letter letter = {.topic = "68946/get_apples",
		.payload = payload,
		.payload_size = sizeof(payload),
		.user = "68946",
		.handler = "get_apples",
		.reason = "\xff why",
		.attempts = 7,
		.crashes = 1,
		.correlation = "\0c",
		.correlation_size = 2,
		.response_topic = "68946/answers",
		.keep_days = 30,
		.host = "cashewd"};
	const uint8_t *bytes;
	uint32_t size;
	bson_iter_t iter;
	static const struct field fields[] = {{"_id", BSON_TYPE_OID}, {"topic", BSON_TYPE_UTF8},
		{"user_id", BSON_TYPE_UTF8}, {"handler", BSON_TYPE_UTF8}, {"reason", BSON_TYPE_UTF8},
		{"payload", BSON_TYPE_BINARY}, {"attempts", BSON_TYPE_INT64}, {"crashes", BSON_TYPE_INT64},
		{"correlation", BSON_TYPE_BINARY}, {"response_topic", BSON_TYPE_UTF8},
		{"host", BSON_TYPE_UTF8}, {"when", BSON_TYPE_DATE_TIME}, {"expires", BSON_TYPE_DATE_TIME}};
	bson_t *found;

	(void)state;
	letter.id = store_new_id();
	assert_int_equal(dead_letter_add(client, &letter), 0);
	found = document("dead_letters", NULL);
	assert_fields(found, fields, sizeof(fields) / sizeof(fields[0]));
	assert_string_equal(text_of(found, "topic"), "68946/get_apples");
	assert_string_equal(text_of(found, "user_id"), "68946");
	assert_string_equal(text_of(found, "reason"), "? why");
	assert_true(bson_iter_init_find(&iter, found, "payload"));
	bson_iter_binary(&iter, NULL, &size, &bytes);
	assert_int_equal(size, sizeof(payload));
	assert_memory_equal(bytes, payload, sizeof(payload));
	assert_true(bson_iter_init_find(&iter, found, "_id"));
	assert_memory_equal(bson_iter_oid(&iter)->bytes, letter.id.bytes, 12);
	bson_destroy(found);
}

static struct parked_command parked_sample(void)
{
	static const char *const settled[] = {"a"};

	return (struct parked_command){.id = store_new_id(),
		.lane = "cashewd",
		.user = "68946",
		.topic = "68946/get_apples",
		.position = 7,
		.payload = "{}",
		.payload_size = 2,
		.correlation = "c",
		.correlation_size = 1,
		.response_topic = "68946/answers",
		.settled = settled,
		.settled_count = 1,
		.end = "done",
		.attempts = 2,
		.handler = "b",
		.reason = "busy"};
}

static void append(const struct parked_command *command, const struct backlog_lease *lease)
{
	const struct parked_command *const commands[] = {command};
	size_t failed;

	assert_int_equal(parked_commands_append(client, commands, 1, lease, &failed), 0);
}

static void expect_parked(const struct field *fields, size_t count)
{
	bson_t *found = document("parked_commands", NULL);

	assert_fields(found, fields, count);
	bson_destroy(found);
}

static void test_parked_command_documents(void **state)
{
	static const struct backlog_lease lease = {"owner", 20000};
	static const struct field fields[] = {{"_id", BSON_TYPE_OID}, {"user_id", BSON_TYPE_UTF8},
		{"lane", BSON_TYPE_UTF8}, {"position", BSON_TYPE_INT64}, {"topic", BSON_TYPE_UTF8},
		{"payload", BSON_TYPE_BINARY}, {"bytes", BSON_TYPE_INT64}, {"correlation", BSON_TYPE_BINARY},
		{"response_topic", BSON_TYPE_UTF8}, {"settled", BSON_TYPE_ARRAY}, {"end", BSON_TYPE_UTF8},
		{"attempts", BSON_TYPE_INT64}, {"crashes", BSON_TYPE_INT64}, {"handler", BSON_TYPE_UTF8},
		{"reason", BSON_TYPE_UTF8}, {"not_before", BSON_TYPE_DATE_TIME},
		{"claimed_by", BSON_TYPE_UTF8}, {"lease_until", BSON_TYPE_DATE_TIME},
		{"behind", BSON_TYPE_BOOL}};
	enum { FREE = 16, LEASED = 18 };
	struct field behind[FREE + 1];
	struct parked_command command = parked_sample();
	struct parked_batch batch;
	uint64_t count;

	(void)state;
	memcpy(behind, fields, sizeof(behind));
	behind[FREE] = fields[LEASED];
	append(&command, &lease);
	expect_parked(fields, LEASED);
	assert_int_equal(parked_commands_postpone(client, &command, "owner", 1000), 0);
	expect_parked(fields, FREE);
	assert_int_equal(
		parked_commands_finish(
			client, &(struct parked_finish){.user = "68946", .done = &command.id, .count = 1}, 1),
		0);
	assert_int_equal(parked_command_count(client, &count), 0);
	assert_int_equal(count, 0);
	command = parked_sample();
	command.behind = true;
	append(&command, NULL);
	expect_parked(behind, FREE + 1);
	assert_int_equal(parked_commands_claim(client, "cashewd", "68946", &lease, 0, 0, &batch), 0);
	parked_batch_free(&batch);
	expect_parked(fields, LEASED);
	assert_int_equal(parked_commands_release(client, "68946", &command.id, "owner"), 0);
	expect_parked(fields, FREE);
}

/* Makes documents by hand. */
static void insert(const char *name, const char *json)
{
	mongoc_collection_t *collection = collection_of(name);
	bson_error_t error;
	bson_t made;

	assert_true(bson_init_from_json(&made, json, -1, &error));
	if (!mongoc_collection_insert_one(collection, &made, NULL, NULL, &error))
		fail_msg("%s: %s", json, error.message);
	bson_destroy(&made);
	mongoc_collection_destroy(collection);
}

/* What the version before this one has left: its documents are run, in order, its tombstones not looked at. */
static void test_documents_of_the_version_before(void **state)
{
	static const struct backlog_lease lease = {"owner", 20000};
	static const char *const documents[] = {
		"{\"_id\":{\"$oid\":\"650000000000000000000001\"},\"user_id\":\"1\",\"lane\":\"cashewd\",\"position\":1,"
		"\"topic\":\"1/x\",\"done\":{\"$date\":\"2100-01-01T00:00:00Z\"}}",
		"{\"_id\":{\"$oid\":\"650000000000000000000002\"},\"user_id\":\"1\",\"lane\":\"cashewd\",\"position\":2,"
		"\"topic\":\"1/x\",\"payload\":{\"$binary\":{\"base64\":\"e30=\",\"subType\":\"00\"}},\"packet_id\":7,\"key\":9,"
		"\"attempts\":1,\"not_before\":{\"$date\":\"2020-01-01T00:00:00Z\"},\"claimed_by\":\"dead\","
		"\"lease_until\":{\"$date\":\"2020-01-01T00:00:00Z\"}}",
		"{\"_id\":{\"$oid\":\"650000000000000000000003\"},\"user_id\":\"1\",\"lane\":\"cashewd\",\"position\":3,"
		"\"topic\":\"1/y\",\"not_before\":{\"$date\":\"2020-01-01T00:00:00Z\"}}",
		"{\"_id\":{\"$oid\":\"650000000000000000000004\"},\"user_id\":\"2\",\"lane\":\"cashewd\",\"position\":4,"
		"\"topic\":\"2/x\",\"not_before\":{\"$date\":\"2020-01-01T00:00:00Z\"},\"claimed_by\":\"alive\","
		"\"lease_until\":{\"$date\":\"2100-01-01T00:00:00Z\"}}",
	};
	struct parked_batch batch;
	struct host_lease host;

	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		insert("parked_commands", documents[i]);
	assert_int_equal(parked_commands_claim(client, "cashewd", "1", &lease, 0, 0, &batch), 0);
	assert_int_equal(batch.count, 2);
	assert_int_equal(batch.commands[0]->position, 2);
	assert_string_equal(batch.commands[0]->payload, "{}");
	assert_int_equal(batch.commands[0]->attempts, 1);
	assert_string_equal(batch.commands[1]->topic, "1/y");
	parked_batch_free(&batch);
	assert_int_equal(parked_commands_claim(client, "cashewd", "2", &lease, 0, 0, &batch), PARKED_E_LATER);
	insert("hosts", "{\"_id\":\"cashewd\",\"seen\":{\"$date\":\"2020-01-01T00:00:00Z\"}}");
	assert_int_equal(host_lease_hold(client, "cashewd", "owner", 10000, &host), 0);
	assert_true(host.ours && host.taken);
}

/* What the server itself refuses: a validator, an index that an operator made. Those before it are written, and it can be told which it is. */
static void test_append_refused(void **state)
{
	static const struct {
		const char *name, *make;
	} cases[] = {
		{"a validator",
			"{\"collMod\":\"parked_commands\",\"validator\":{\"attempts\":{\"$lt\":50}}}"},
		{"an index",
			"{\"createIndexes\":\"parked_commands\",\"indexes\":[{\"key\":{\"attempts\":1},\"name\":\"a\",\"unique\":true}]}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct parked_command commands[4];
		const struct parked_command *pointers[4];
		bson_error_t error;
		size_t failed = 0;
		uint64_t count;
		bson_t made;

		print_message("  %s\n", cases[i].name);
		(void)close_store(NULL);
		assert_int_equal(open_store(NULL), 0);
		for (int k = 0; k < 4; k++) {
			commands[k] = parked_sample();
			commands[k].position = commands[k].attempts = (unsigned)k;
			pointers[k] = &commands[k];
		}
		commands[2].attempts = i == 0 ? 99 : 1;
		assert_true(bson_init_from_json(&made, cases[i].make, -1, &error));
		const bool able = mongoc_database_write_command_with_opts(
			store_database(client), &made, NULL, NULL, &error);
		bson_destroy(&made);
		if (!able) {
			print_message("    this server cannot: %s\n", error.message);
			continue;
		}
		for (int times = 0; times < 2; times++) {
			assert_int_equal(parked_commands_append(client, pointers, 4, NULL, &failed),
				STORE_E_PERMANENT);
			print_message("    %s\n", store_last_error(client));
			assert_int_equal(failed, 2);
			assert_int_equal(parked_command_count(client, &count), 0);
			assert_int_equal(count, 2);
		}
	}
}

/* The database's time is kept, not this machine's. */
static void test_time(void **state)
{
	struct timespec now;

	(void)state;
	assert_int_equal(store_ping(client), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	/* The server is on this machine. */
	const int64_t differs_ms = store_now_ms(store) - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	assert_in_range(differs_ms + 2000, 0, 4000);
	const int64_t before_us = store_now_us(store);
	assert_true(store_now_us(store) >= before_us);
	assert_in_range(store_now_ms(store) - before_us / 1000, 0, 5000);
	int64_t ahead_ms = -1;
	assert_true(store_wall_clock_ahead_ms(store, &ahead_ms));
	assert_in_range(ahead_ms + 2000, 0, 4000);
}

/* A payload that no document could hold is cut, and says so: a letter that cannot be stored would come for
 * ever. */
static void test_dead_letter_too_large(void **state)
{
	const size_t size = 17 * 1024 * 1024;
	struct dead_letter letter = {.topic = "1/x",
		.payload = calloc(1, size),
		.payload_size = size,
		.user = "1",
		.handler = "x",
		.reason = "r",
		.host = "h"};
	bson_iter_t iter;
	bson_t *found;

	(void)state;
	letter.id = store_new_id();
	assert_int_equal(dead_letter_add(client, &letter), 0);
	found = document("dead_letters", NULL);
	assert_true(bson_iter_init_find(&iter, found, "payload_cut_from"));
	assert_int_equal(bson_iter_as_int64(&iter), size);
	bson_destroy(found);
	free((void *)(uintptr_t)letter.payload);
}

/* What a crash between the two statements of contact_add() leaves. */
static void test_half_a_contact_is_repaired(void **state)
{
	static const char *const ids[] = {"1/2", "2/1"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		mongoc_collection_t *contacts = collection_of("contacts");
		bson_t filter = BSON_INITIALIZER;
		bson_error_t error;

		assert_int_equal(contact_add(client, "1", "2"), 0);
		BSON_APPEND_UTF8(&filter, "_id", ids[i]);
		assert_true(mongoc_collection_delete_one(contacts, &filter, NULL, NULL, &error));
		bson_destroy(&filter);
		mongoc_collection_destroy(contacts);
		assert_int_equal(contact_find(client, "1", "2"), i == 0 ? STORE_E_NOT_FOUND : 0);
		assert_int_equal(contact_add(client, "1", "2"), 0);
		assert_int_equal(contact_find(client, "1", "2"), 0);
		assert_int_equal(contact_find(client, "2", "1"), 0);
		assert_int_equal(contact_remove(client, "1", "2"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_contact_documents),
		CASE(test_contact_request_document),
		CASE(test_dead_letter_document),
		CASE(test_parked_command_documents),
		CASE(test_documents_of_the_version_before),
		CASE(test_append_refused),
		CASE(test_time),
		CASE(test_dead_letter_too_large),
		CASE(test_half_a_contact_is_repaired),
	};
	int failed;

	database_start(&database, false);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	database_stop(&database);
	return failed;
}
