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

enum { COUNT = 1000 };

/* Keys; nothing is read through them. */
static char clients[COUNT];

static const struct mosquitto *client(size_t at)
{
	return (const struct mosquitto *)(const void *)&clients[at];
}

/* What was closed. */
struct closed {
	struct connections *connections; /* NULL: they are not looked at */
	size_t count;
	int64_t earliest, now; /* when the next one may have expired */
	int64_t busy_us;       /* what each costs */
	char last_id[16];
};

static void on_close(struct connection *connection, void *context)
{
	struct closed *closed = context;
	closed->count++;
	snprintf(closed->last_id, sizeof(closed->last_id), "%s", connection->client_id);
	if (closed->connections) {
		assert_in_range(connection->expires, closed->earliest, closed->now);
		closed->earliest = connection->expires;
		assert_null(connections_find(closed->connections, connection->client));
	}
	for (const int64_t until_us = now_us() + closed->busy_us; now_us() < until_us;)
		;
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
	struct closed closed = {.count = 0};
	assert_int_equal(connections_close_expired(&connections, 199, on_close, &closed), 0);
	assert_int_equal(connections_close_expired(&connections, 200, on_close, &closed), 1);
	assert_string_equal(closed.last_id, "second");
	assert_int_equal(connections_close_expired(&connections, INT64_MAX, on_close, &closed), 0);
	assert_int_equal(closed.count, 1);
	connections_free(&connections);
}

static void close_all(struct connections *connections, int64_t now, struct closed *closed)
{
	while (connections_close_expired(connections, now, on_close, closed) > 0)
		;
}

static void expired_in_their_order(void **state)
{
	(void)state;
	struct connections connections;
	struct closed closed = {.connections = &connections, .earliest = 10};
	connections_init(&connections);
	close_all(&connections, INT64_MAX, &closed);
	for (size_t i = 0; i < COUNT; i++) /* 7 and 1000 have no common divisor: each time once */
		assert_int_equal(connections_add(&connections, client(i), "x", (int64_t)(i * 7 % COUNT)), 0);
	/* Those that are gone are not told of, even where one of them was the earliest. */
	for (size_t i = 0; i < COUNT; i++)
		if (i * 7 % COUNT < 10 || i * 7 % COUNT == 500)
			connections_remove(&connections, client(i));
	for (int64_t now = 0; now < (int64_t)COUNT; now += 100) {
		closed.now = now;
		close_all(&connections, now, &closed);
		const size_t gone = now < 10 ? 0 : (size_t)(now + 1 - 10 - (now >= 500));
		assert_int_equal(closed.count, gone);
	}
	connections_free(&connections);
}

/* In any order of coming and going, whatever the heap looks like. */
static void removed_at_any_place(void **state)
{
	(void)state;
	unsigned chance = 1;
	for (int round = 0; round < 20; round++) {
		struct connections connections;
		struct closed closed = {.connections = &connections, .now = 50};
		bool there[COUNT] = {false};
		size_t expected = 0;
		connections_init(&connections);
		for (int step = 0; step < 5000; step++) {
			chance = chance * 1664525 + 1013904223;
			const size_t at = (chance >> 8) % COUNT;
			if (there[at])
				connections_remove(&connections, client(at));
			else
				assert_int_equal(
					connections_add(&connections, client(at), "x", (int64_t)(at % 100)),
					0);
			there[at] = !there[at];
		}
		for (size_t i = 0; i < COUNT; i++)
			expected += there[i] && i % 100 <= 50;
		close_all(&connections, 50, &closed);
		assert_int_equal(closed.count, expected);
		for (size_t i = 0; i < COUNT; i++)
			assert_int_equal(
				connections_find(&connections, client(i)) != NULL, there[i] && i % 100 > 50);
		connections_free(&connections);
	}
}

/* What others wait for is one turn, however many end in one second; and each costs as much as the first. */
static void many_at_once_take_turns(void **state)
{
	(void)state;
	struct connections connections;
	struct closed closed = {.connections = &connections, .now = 100, .busy_us = CONNECTIONS_TURN_US / 10};
	connections_init(&connections);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(connections_add(&connections, client(i), "x", i % 2 == 0 ? 100 : 101), 0);
	size_t turns = 0;
	for (size_t closed_now;
		(closed_now = connections_close_expired(&connections, 100, on_close, &closed)) > 0; turns++)
		assert_in_range(closed_now, 1, 10);
	assert_int_equal(closed.count, COUNT / 2);
	assert_true(turns >= COUNT / 2 / 10);
	/* One that takes longer than a turn has it for itself. */
	closed.busy_us = CONNECTIONS_TURN_US;
	closed.now = 101;
	assert_int_equal(connections_close_expired(&connections, 101, on_close, &closed), 1);
	connections_free(&connections);
}

/* 100,000 of one second, with the price of a walk through all for each this would take a minute. */
static void many_cost_no_more_each(void **state)
{
	(void)state;
	enum { MANY = 100000 };
	struct connections connections;
	struct closed closed = {.connections = &connections, .now = 100};
	char *keys = malloc(MANY);
	assert_non_null(keys);
	connections_init(&connections);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(connections_add(&connections,
					 (const struct mosquitto *)(const void *)&keys[i], "x", 100),
			0);
	const int64_t begin_us = now_us();
	close_all(&connections, 100, &closed);
	assert_int_equal(closed.count, MANY);
	assert_in_range(now_us() - begin_us, 0, 10 * 1000 * 1000);
	connections_free(&connections);
	free(keys);
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
		cmocka_unit_test(removed_at_any_place),
		cmocka_unit_test(many_at_once_take_turns),
		cmocka_unit_test(many_cost_no_more_each),
	};
	return cmocka_run_group_tests_name("broker_connections", tests, NULL, NULL);
}
