/* test_connections.c - connections.c of the broker's plugin: which connections are there, and whose
 * token expires next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "connections.c"

/* Keys; nothing is read through them. */
static char clients[1000];

static const struct mosquitto *client(size_t at)
{
	return (const struct mosquitto *)(const void *)&clients[at];
}

static void found_until_removed(void **state)
{
	(void)state;
	struct connections connections;
	connections_init(&connections);
	for (size_t i = 0; i < 1000; i++) {
		char id[16];
		snprintf(id, sizeof(id), "client-%zu", i);
		assert_int_equal(connections_add(&connections, client(i), id, 5000), 0);
	}
	for (size_t i = 0; i < 1000; i += 2)
		connections_remove(&connections, client(i));
	connections_remove(&connections, client(0));
	for (size_t i = 0; i < 1000; i++) {
		const struct connection *found = connections_find(&connections, client(i));
		char id[16];
		snprintf(id, sizeof(id), "client-%zu", i);
		if (i % 2 == 0)
			assert_null(found);
		else
			assert_string_equal(found->client_id, id);
	}
	connections_free(&connections);
	assert_null(connections_find(&connections, client(1)));
}

static void added_again_is_replaced(void **state)
{
	(void)state;
	struct connections connections;
	connections_init(&connections);
	assert_int_equal(connections_add(&connections, client(1), "first", 100), 0);
	assert_int_equal(connections_add(&connections, client(1), "second", 200), 0);
	const struct connection *found = connections_find(&connections, client(1));
	assert_string_equal(found->client_id, "second");
	assert_null(connections_take_expired(&connections, 199));
	struct connection *expired = connections_take_expired(&connections, 200);
	assert_string_equal(expired->client_id, "second");
	free(expired);
	connections_free(&connections);
}

static void expired_in_their_order(void **state)
{
	(void)state;
	struct connections connections;
	connections_init(&connections);
	assert_null(connections_take_expired(&connections, INT64_MAX));
	for (size_t i = 0; i < 1000; i++) /* 7 and 1000 have no common divisor: each time once */
		assert_int_equal(connections_add(&connections, client(i), "x", (int64_t)(i * 7 % 1000)), 0);
	/* Those that are gone are not told of, even where one of them was the earliest. */
	for (size_t i = 0; i < 1000; i++)
		if (i * 7 % 1000 < 10 || i * 7 % 1000 == 500)
			connections_remove(&connections, client(i));
	int64_t expected = 10;
	for (int64_t now = 0; now < 1000; now += 100) {
		struct connection *expired;
		while ((expired = connections_take_expired(&connections, now)) != NULL) {
			if (expected == 500)
				expected++;
			assert_int_equal(expired->expires, expected++);
			assert_true(expired->expires <= now);
			assert_null(connections_find(&connections, expired->client));
			free(expired);
		}
		assert_true(expected > now || expected == 500);
	}
	connections_free(&connections);
}

static bool is_user(const struct connection *connection, const void *context)
{
	return strcmp(connection->identity.user_id, context) == 0;
}

static void taken_out_together(void **state)
{
	(void)state;
	struct connections connections;
	connections_init(&connections);
	assert_null(connections_take_wanted(&connections, is_user, "0"));
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(connections_add(&connections, client(i), "x", 100), 0);
		snprintf(connections_find(&connections, client(i))->identity.user_id, 2, "%zu", i % 3);
	}
	size_t count = 0;
	for (struct connection *next = connections_take_wanted(&connections, is_user, "1"); next; count++) {
		struct connection *taken = next;
		next = taken->next;
		assert_string_equal(taken->identity.user_id, "1");
		free(taken);
	}
	assert_int_equal(count, 333);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(connections_find(&connections, client(i)) != NULL, i % 3 != 1);
	assert_null(connections_take_wanted(&connections, is_user, "1"));
	connections_free(&connections);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_until_removed),
		cmocka_unit_test(taken_out_together),
		cmocka_unit_test(added_again_is_replaced),
		cmocka_unit_test(expired_in_their_order),
	};
	return cmocka_run_group_tests_name("broker_connections", tests, NULL, NULL);
}
