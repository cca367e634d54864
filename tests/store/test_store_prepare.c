/*
 * test_store_prepare.c - the start on a server that does not make what is asked for: which refusals count, and what the log says of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "contact_documents.h"
#include "log.h"
#include "scripted_mongo.h"
#include "store.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How the server answers a command. */
struct rule {
	const char *command, *collection;
	const char *index; /* NULL: whatever it is about; else only where it is among those asked for */
	int code;	   /* 0: not at all; STEPS_DOWN: it is no primary from then on */
};

enum { STEPS_DOWN = -1 };

static const struct rule *rule;
static struct scripted_mongo *server;

static bool names_index(const bson_t *command, const char *index)
{
	bson_iter_t iter, list, field;
	if (!bson_iter_init_find(&iter, command, "indexes") || !bson_iter_recurse(&iter, &list))
		return false;
	while (bson_iter_next(&list))
		if (bson_iter_recurse(&list, &field) && bson_iter_find(&field, "name") &&
			strcmp(bson_iter_utf8(&field, NULL), index) == 0)
			return true;
	return false;
}

static enum scripted_mongo_answer hook(void *context, const char *name, const bson_t *command, bson_t *reply)
{
	bson_iter_t iter;
	(void)context;
	if (!rule || strcmp(name, rule->command) != 0 || !bson_iter_init(&iter, command) ||
		!bson_iter_next(&iter) || strcmp(bson_iter_utf8(&iter, NULL), rule->collection) != 0 ||
		(rule->index && !names_index(command, rule->index)))
		return SCRIPTED_MONGO_USUAL;
	if (rule->code == 0)
		return SCRIPTED_MONGO_SILENCE;
	if (rule->code == STEPS_DOWN) {
		scripted_mongo_elect(server, false);
		return SCRIPTED_MONGO_USUAL;
	}
	scripted_mongo_failure(reply, rule->code, "so it is");
	return SCRIPTED_MONGO_REPLY;
}

enum { COLLECTIONS = 5 }; /* with indexes */

/* What store_prepare() answers, and what is in the log then. */
static int prepare(const char *url, char *ret_log, size_t size)
{
	const int fd = memfd_create("log", 0);
	const struct log_options options = {.fd = fd, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO};
	char message[STORE_MESSAGE_SIZE];
	struct store *store;

	assert_true(fd >= 0);
	assert_int_equal(log_open(&options), 0);
	if (store_open(
		    &(struct store_options){
			    .url = url, .database = "cashew", .app_name = "test", .pool_size = 1},
		    &store, message) != 0)
		fail_msg("%s: %s", url, message);
	assert_int_equal(contact_documents_want_indexes(store), 0);
	struct store_client *client = store_acquire(store);
	const int error = store_prepare(client);
	store_release(client);
	store_close(store);
	log_close(1000);
	const ssize_t read = pread(fd, ret_log, size - 1, 0);
	ret_log[read > 0 ? read : 0] = '\0';
	close(fd);
	return error;
}

static unsigned occurrences(const char *text, const char *of)
{
	unsigned count = 0;
	while ((text = strstr(text, of))) {
		count++;
		text += strlen(of);
	}
	return count;
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct rule rule;
		int expected;
		unsigned lines; /* of the log: warnings of what was not made */
		const char *words[3];
	} cases[] = {
		{"nothing is refused", {"-", "-", NULL, 1}, 0, 0, {NULL}},
		{"no right to make any", {"createIndexes", "dead_letters", NULL, 13}, 0, 4,
			{"index_not_made", "so it is", "\"index\":\"when_1__id_1\""}},
		{"a TTL that was changed", {"createIndexes", "dead_letters", "expires_1", 85}, 0, 1,
			{"is in the way", "so it is", "\"index\":\"expires_1\""}},
		{"an old index that differs",
			{"createIndexes", "parked_commands", "not_before_1_lane_1_user_id_1", 86}, 0, 1,
			{"is in the way", "\"collection\":\"parked_commands\"",
				"\"index\":\"not_before_1_lane_1_user_id_1\""}},
		{"another host is at it", {"createIndexes", "contacts", NULL, 285}, 0, 1,
			{"could not be made", "so it is", "\"collection\":\"contacts\""}},
		{"a build that takes long", {"createIndexes", "parked_commands", NULL, 0}, 0, 1,
			{"has not answered yet", "\"collection\":\"parked_commands\""}},
	};
	server = scripted_mongo_start(&(struct scripted_mongo_options){.hook = hook});
	char url[128], log[16384];
	snprintf(url, sizeof(url), "mongodb://%s/?socketTimeoutMS=300", scripted_mongo_address(server));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rule = &cases[i].rule;
		const unsigned before = scripted_mongo_count(server, "createIndexes");
		const int error = prepare(url, log, sizeof(log));
		if (error != cases[i].expected)
			fail_msg("%s: %d, %s", cases[i].name, error, log);
		if (occurrences(log, "not_made") != cases[i].lines)
			fail_msg("%s: %s", cases[i].name, log);
		for (size_t w = 0; w < 3 && cases[i].words[w]; w++)
			if (!strstr(log, cases[i].words[w]))
				fail_msg("%s: no %s in %s", cases[i].name, cases[i].words[w], log);
		/* what comes after what was refused was asked for all the same */
		assert_true(scripted_mongo_count(server, "createIndexes") - before >= COLLECTIONS);
	}
	scripted_mongo_stop(server);
}

/* A server that cannot be used any more is what counts. */
static void test_a_server_that_steps_down(void **state)
{
	(void)state;
	static const struct rule stepping = {"createIndexes", "contact_requests", NULL, STEPS_DOWN};
	char url[128], log[16384];
	server = scripted_mongo_start(&(struct scripted_mongo_options){.hook = hook, .set_name = "rs0"});
	snprintf(url, sizeof(url), "mongodb://%s/?directConnection=true&socketTimeoutMS=300",
		scripted_mongo_address(server));
	rule = &stepping;
	assert_int_equal(prepare(url, log, sizeof(log)), STORE_E_TRANSIENT);
	scripted_mongo_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_a_server_that_steps_down),
	};
	return cmocka_run_group_tests_name("store_prepare", tests, NULL, NULL);
}
