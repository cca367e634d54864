/* test_store_pool.c - the pool of the real store: what happens when all its connections are in use. */
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
#include <stdlib.h>
#include <time.h>

/* ---- the pool ---- */

/* Each function of the store, on a client that has no connection. */
static void expect_away(struct store_client *away)
{
	struct dead_letter letter = {.topic = "t", .user = "", .handler = "", .reason = "", .host = ""};
	struct parked_command parked = {.lane = "cashewd", .user = "1", .topic = "1/x"};
	const struct parked_command *const parkeds[] = {&parked};
	const struct backlog_lease lease = {"owner", 20000};
	const struct dead_letter_query query = {.limit = 1};
	struct parked_batch batch;
	struct host_lease host;
	uint64_t count;
	size_t failed;
	int64_t last;

	assert_int_equal(store_ping(away), STORE_E_AWAY);
	assert_int_equal(store_prepare(away), STORE_E_AWAY);
	assert_int_equal(contact_add(away, "1", "2"), STORE_E_AWAY);
	assert_int_equal(contact_find(away, "1", "2"), STORE_E_AWAY);
	assert_int_equal(contact_remove(away, "1", "2"), STORE_E_AWAY);
	assert_int_equal(contact_list(away, "1", NULL, 1, NULL, NULL), STORE_E_AWAY);
	assert_int_equal(contact_request_add(away, "1", "2"), STORE_E_AWAY);
	assert_int_equal(contact_request_find(away, "1", "2"), STORE_E_AWAY);
	assert_int_equal(contact_request_remove(away, "1", "2"), STORE_E_AWAY);
	assert_int_equal(contact_request_list(away, "1", NULL, 1, NULL, NULL), STORE_E_AWAY);
	assert_int_equal(apple_list(away, 1, NULL, NULL), STORE_E_AWAY);
	assert_int_equal(dead_letter_add(away, &letter), STORE_E_AWAY);
	assert_int_equal(dead_letter_list(away, &query, NULL, NULL), STORE_E_AWAY);
	assert_int_equal(dead_letter_count(away, &query, &count), STORE_E_AWAY);
	assert_int_equal(dead_letter_get(away, &letter.id, NULL), STORE_E_AWAY);
	assert_int_equal(dead_letter_drop(away, &letter.id), STORE_E_AWAY);
	assert_int_equal(dead_letter_drop_all(away, &query, &count), STORE_E_AWAY);
	assert_int_equal(replay_dead_letter(away, &letter, "cashewd", 1), STORE_E_AWAY);
	assert_int_equal(parked_commands_append(away, parkeds, 1, NULL, &failed), STORE_E_AWAY);
	assert_int_equal(parked_commands_claim(away, "cashewd", "1", &lease, 0, 0, &batch), STORE_E_AWAY);
	assert_int_equal(parked_commands_finish(away,
				 &(struct parked_finish){.user = "1", .done = &parked.id, .count = 1}, 1),
		STORE_E_AWAY);
	assert_int_equal(parked_commands_postpone(away, &parked, "owner", 1), STORE_E_AWAY);
	assert_int_equal(parked_commands_renew(away, "1", &parked.id, &lease), STORE_E_AWAY);
	assert_int_equal(parked_commands_release(away, "1", &parked.id, "owner"), STORE_E_AWAY);
	assert_int_equal(parked_commands_backlogs(away, "cashewd", "owner", NULL, NULL, &last), STORE_E_AWAY);
	assert_int_equal(parked_commands_due(away, NULL, 0, 1, 1, NULL, NULL), STORE_E_AWAY);
	assert_int_equal(host_lease_hold(away, "cashewd", "owner", 1, &host), STORE_E_AWAY);
	assert_int_equal(host_lease_release(away, "cashewd", "owner"), STORE_E_AWAY);
}

static void test_pool_is_exhausted(void **state)
{
	struct store_options options = {.pool_size = 2};
	struct store_client *first, *second, *third;
	struct timespec before, after;
	struct store *small;
	char *url;

	(void)state;
	url = database_url_with(&database, "waitQueueTimeoutMS=150");
	options.url = url;
	small = database_open(&database, &options);
	first = store_acquire(small);
	second = store_acquire(small);
	assert_int_equal(store_ping(first), 0);
	assert_int_equal(store_ping(second), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	third = store_acquire(small);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_in_range((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000,
		149, 1500);
	expect_away(third);
	assert_null(store_database(third));
	assert_string_equal(store_last_error(third), "none of the 2 connections was free within 150 ms");
	store_release(third);
	store_release(second);
	third = store_acquire(small);
	assert_int_equal(store_ping(third), 0);
	store_release(third);
	store_release(first);
	store_close(small);
	free(url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pool_is_exhausted),
	};
	int failed;

	database_start(&database, false);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	database_stop(&database);
	return failed;
}
