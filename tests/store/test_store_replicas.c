/*
 * test_store_replicas.c - the store on a replica set of two servers that answer as the test says: how often an operation is tried, which member is
 * asked, and who is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "operations.h"
#include "scripted_server.h"
#include "store.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scripted_server *primary, *secondary;
static struct store *store;
static struct store_client *client;

/* The name of the command that stalls; NULL: none. */
static const char *stalled;

static enum scripted_answer hook(void *context, const char *name, const bson_t *command, bson_t *reply)
{
	(void)context;
	(void)command;
	(void)reply;
	return stalled && strcmp(name, stalled) == 0 ? SCRIPTED_SILENCE : SCRIPTED_USUAL;
}

static int start(void **state)
{
	(void)state;
	struct scripted_options options = {.set_name = "rs0", .hook = hook};
	primary = scripted_start(&options);
	options.secondary = true;
	secondary = scripted_start(&options);
	struct scripted_server *const members[] = {primary, secondary, NULL};
	scripted_members(primary, members);
	scripted_members(secondary, members);
	stalled = NULL;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	store_release(client);
	store_close(store);
	scripted_stop(primary);
	scripted_stop(secondary);
	return 0;
}

/* Those members, or one of them, with these options. */
static void open_store(const char *hosts, const char *options)
{
	char url[256], message[STORE_MESSAGE_SIZE];
	snprintf(url, sizeof(url), "mongodb://%s/?%s", hosts, options);
	if (store_open(
		    &(struct store_options){
			    .url = url, .database = "cashew", .app_name = "test", .pool_size = 1},
		    &store, message) != 0)
		fail_msg("%s: %s", url, message);
	client = store_acquire(store);
}

static const char *both(void)
{
	static char hosts[80];
	snprintf(hosts, sizeof(hosts), "%s,%s", scripted_address(primary), scripted_address(secondary));
	return hosts;
}

/* ---- How often an operation is tried ---- */

static void test_attempts(void **state)
{
	(void)state;
	static const struct {
		const char *options, *stalled;
		enum operation operation;
		unsigned attempts;
	} cases[] = {
		{"", "update", REQUEST_ADD, 1},
		{"", "find", REQUEST_LIST, 1},
		{"", "findAndModify", LEASE, 1},
		{"&retryWrites=true", "update", REQUEST_ADD, 2},
		{"&retryReads=true", "find", REQUEST_LIST, 2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char options[128];
		snprintf(options, sizeof(options), "replicaSet=rs0&socketTimeoutMS=200%s", cases[i].options);
		stalled = cases[i].stalled;
		const unsigned before = scripted_count(primary, stalled);
		open_store(both(), options);
		assert_int_equal(operate(client, cases[i].operation), STORE_E_AWAY);
		const unsigned attempts = scripted_count(primary, stalled) - before;
		if (attempts != cases[i].attempts)
			fail_msg("%s%s was tried %u times", stalled, cases[i].options, attempts);
		if (i + 1 < sizeof(cases) / sizeof(cases[0])) {
			store_release(client);
			store_close(store);
		}
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_attempts),
	};
	return cmocka_run_group_tests_name("store_replicas", tests, NULL, NULL);
}
