/*
 * test_store_rights.c - whether a collection may be used, and what collections are like, on a server that answers as the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "scripted_mongo.h"
#include "store_describe.h"
#include "store_rights.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { CLOSES = -1 };

/* How the server answers. */
static const struct rule {
	const char *name;
	const char *command, *collection; /* that it has an objection to */
	int code;			  /* CLOSES: no answer */
	bool writes;			  /* what is tried */
	int expected, last_code;
} rules[] = {
	{"all is granted", "-", "-", 13, true, 0, 0},
	{"no find", "find", "contacts", 13, true, STORE_E_PERMANENT, 13},
	{"no find, of one that is only read", "find", "contacts", 13, false, STORE_E_PERMANENT, 13},
	{"no remove", "delete", "contacts", 13, true, STORE_E_PERMANENT, 13},
	{"no remove, of one that is only read", "delete", "contacts", 13, false, 0, 0},
	{"no update or no insert", "update", "contacts", 13, true, STORE_E_PERMANENT, 13},
	{"no update, of one that is only read", "update", "contacts", 13, false, 0, 0},
	{"of another collection", "find", "apples", 13, true, 0, 0},
	{"Atlas says so", "update", "contacts", 8000, true, STORE_E_PERMANENT, 8000},
	{"it cannot now", "delete", "contacts", 10107, true, STORE_E_TRANSIENT, 10107},
	{"no answer", "delete", "contacts", CLOSES, true, STORE_E_AWAY, 0},
	{"an objection that is no matter of rights", "update", "contacts", 166, true, 0, 166},
};

static const struct rule *rule;
/* As a server does that lets it come so far. */
static enum scripted_mongo_answer answer_update(const bson_t *command, bson_t *reply)
{
	bson_iter_t iter, place;
	/* It needs both rights, and can write nothing. */
	assert_true(bson_iter_init(&iter, command) &&
		    bson_iter_find_descendant(&iter, "updates.0.u.$tryWhetherWeMay", &place));
	assert_true(bson_iter_init(&iter, command) &&
		    bson_iter_find_descendant(&iter, "updates.0.upsert", &place) &&
		    bson_iter_as_bool(&place));
	BCON_APPEND(reply, "n", BCON_INT32(0), "ok", BCON_INT32(1), "writeErrors", "[", "{", "index",
		BCON_INT32(0), "code", BCON_INT32(9), "errmsg", BCON_UTF8("Unknown modifier"), "}", "]");
	return SCRIPTED_MONGO_REPLY;
}

static enum scripted_mongo_answer hook(void *context, const char *name, const bson_t *command, bson_t *reply)
{
	bson_iter_t iter;
	(void)context;
	const bool named =
		bson_iter_init(&iter, command) && bson_iter_next(&iter) && BSON_ITER_HOLDS_UTF8(&iter);
	if (named && rule->code > 0 && strcmp(name, rule->command) == 0 &&
		strcmp(bson_iter_utf8(&iter, NULL), rule->collection) == 0) {
		scripted_mongo_failure(reply, rule->code, "so it is");
		return SCRIPTED_MONGO_REPLY;
	}
	if (rule->code == CLOSES && strcmp(name, rule->command) == 0)
		return SCRIPTED_MONGO_CLOSE;
	if (strcmp(name, "update") == 0)
		return answer_update(command, reply);
	return SCRIPTED_MONGO_USUAL;
}

static void test_rights(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct scripted_mongo *server =
			scripted_mongo_start(&(struct scripted_mongo_options){.hook = hook});
		char url[128], message[STORE_MESSAGE_SIZE];
		struct store *store;
		rule = &rules[i];
		print_message("  %s\n", rule->name);
		snprintf(url, sizeof(url), "mongodb://%s/?socketTimeoutMS=5000",
			scripted_mongo_address(server));
		assert_int_equal(
			store_open(
				&(struct store_options){
					.url = url, .database = "cashew", .app_name = "test", .pool_size = 1},
				&store, message),
			0);
		struct store_client *client = store_acquire(store);
		assert_int_equal(store_rights_try(client, "contacts",
					 rule->writes ? STORE_RIGHTS_WRITE : STORE_RIGHTS_READ),
			rule->expected);
		assert_int_equal(store_last_code(client), rule->last_code);
		if (rule->expected == STORE_E_PERMANENT) {
			assert_non_null(strstr(store_last_error(client), "contacts"));
			assert_non_null(strstr(store_last_error(client), "so it is"));
		}
		store_release(client);
		store_close(store);
		scripted_mongo_stop(server);
	}
}

/* ---- What collections are like ---- */

static const struct kind {
	const char *name, *document; /* of the list, but its name */
	const char *type;
	bool capped, validated;
	const char *collation, *same;
} kinds[] = {
	{"ordinary", "\"type\":\"collection\",\"options\":{}", "collection", false, false, NULL, NULL},
	{"of a server that says little", "\"x\":1", "collection", false, false, NULL, NULL},
	{"simple", "\"options\":{\"collation\":{\"locale\":\"simple\"}}", "collection", false, false, NULL,
		NULL},
	{"a language's", "\"options\":{\"collation\":{\"locale\":\"de\",\"strength\":3}}", "collection",
		false, false, "de, strength 3", NULL},
	{"without a strength", "\"options\":{\"collation\":{\"locale\":\"de\"}}", "collection", false, false,
		"de, strength 0", NULL},
	{"case-insensitive", "\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":2}}", "collection",
		false, false, "en, strength 2", "Bob and bob"},
	{"accents, too", "\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":1}}", "collection",
		false, false, "en, strength 1", "Bob and bob"},
	{"accents but not case",
		"\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":1,\"caseLevel\":true}}",
		"collection", false, false, "en, strength 1", NULL},
	{"without punctuation",
		"\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":3,\"alternate\":\"shifted\"}}",
		"collection", false, false, "en, strength 3", "a.b and ab"},
	{"without punctuation, but at the end",
		"\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":4,\"alternate\":\"shifted\"}}",
		"collection", false, false, "en, strength 4", NULL},
	{"by number",
		"\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":3,\"numericOrdering\":true}}",
		"collection", false, false, "en, strength 3", "7 and 07"},
	{"by number, and byte",
		"\"options\":{\"collation\":{\"locale\":\"en\",\"strength\":5,\"numericOrdering\":true}}",
		"collection", false, false, "en, strength 5", NULL},
	{"capped", "\"options\":{\"capped\":true,\"size\":4096}", "collection", true, false, NULL, NULL},
	{"validated", "\"options\":{\"validator\":{\"a\":1}}", "collection", false, true, NULL, NULL},
	{"a view", "\"type\":\"view\",\"options\":{\"viewOn\":\"x\"}", "view", false, false, NULL, NULL},
};

static const struct kind *kind;
static unsigned visited;

static enum scripted_mongo_answer list(void *context, const char *name, const bson_t *command, bson_t *reply)
{
	(void)context;
	(void)command;
	if (strcmp(name, "listCollections") != 0)
		return SCRIPTED_MONGO_USUAL;
	char *json = bson_strdup_printf(
		"{\"ok\":1,\"cursor\":{\"id\":{\"$numberLong\":\"0\"},\"ns\":\"cashew.$cmd.listCollections\","
		"\"firstBatch\":[{\"name\":\"first\",%s},{\"name\":\"second\",%s}]}}",
		kind->document, kind->document);
	bson_error_t error;
	bson_t *document = bson_new_from_json((const uint8_t *)json, -1, &error);
	if (!document)
		fail_msg("%s: %s", json, error.message);
	bson_concat(reply, document);
	bson_destroy(document);
	bson_free(json);
	return SCRIPTED_MONGO_REPLY;
}

static void assert_same_text(const char *found, const char *expected)
{
	assert_string_equal(found ? found : "(none)", expected ? expected : "(none)");
}

static void see(void *context, const struct store_collection_found *found)
{
	(void)context;
	assert_string_equal(found->name, visited == 0 ? "first" : "second");
	visited++;
	assert_string_equal(found->type, kind->type);
	assert_int_equal(found->capped, kind->capped);
	assert_int_equal(found->validated, kind->validated);
	assert_same_text(found->collation, kind->collation);
	assert_same_text(found->same, kind->same);
}

static void test_collections(void **state)
{
	(void)state;
	struct scripted_mongo *server = scripted_mongo_start(&(struct scripted_mongo_options){.hook = list});
	char url[128], message[STORE_MESSAGE_SIZE];
	struct store *store;
	snprintf(url, sizeof(url), "mongodb://%s/", scripted_mongo_address(server));
	assert_int_equal(
		store_open(
			&(struct store_options){
				.url = url, .database = "cashew", .app_name = "test", .pool_size = 1},
			&store, message),
		0);
	struct store_client *client = store_acquire(store);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		kind = &kinds[i];
		print_message("  %s\n", kind->name);
		visited = 0;
		assert_int_equal(store_collections(client, see, NULL), 0);
		assert_int_equal(visited, 2);
	}
	store_release(client);
	store_close(store);
	scripted_mongo_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_collections),
	};
	return cmocka_run_group_tests_name("store_rights", tests, NULL, NULL);
}
