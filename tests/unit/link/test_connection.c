/* test_connection.c - connection.c and what lies below it, end to end: places, messages that are too large, no memory, and how a link ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "connection.h"
#include "connection_parts.h"
#include "failing_malloc.h"
#include "tiny_broker.h"

static void opens(void)
{
	connection_want(connection, true, tiny_now());
	until(tiny_has("connect5"));
	tiny_say("\x20\3\0\0\0", 5);
	tells("up ");
}

/* ---- Places ---- */

static void places_and_release(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens();
	publish(7, "a", false), publish(8, "b", true), publish(0, "z", false), publish(7, "a", true),
		publish(9, "c", false);
	tells("a:0 b:1d z:- a:-d c:2 ");
	assert_int_equal(connection_held(connection), 3);
	connection_settle(connection, 1);
	linger();
	assert_string_equal(tiny_came(), "connect5");
	connection_settle(connection, 0);
	tells("released-2 ");
	connection_settle(connection, 2);
	until(tiny_has("ack 9"));
	assert_string_equal(tiny_came(), "connect5, ack 7, ack 8, ack 9");
}

static void window_is_back_pressure(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 2, true);
	opens();
	for (unsigned mid = 1; mid <= 5; mid++)
		publish(mid, "t", false);
	tells("t:0 t:1 ");
	connection_settle(connection, 0);
	tells("released-1 t:2 ");
	connection_settle(connection, 1);
	connection_settle(connection, 2);
	tells("released-2 t:3 t:4 ");
}

/* Many more than fit between two drains, or into any buffer, and all of them settled as they come. */
static void thousands(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 65535, true);
	opens();
	struct mqtt_bytes bytes = {0};
	for (unsigned mid = 1; mid <= 5000; mid++)
		mqtt_publish_of(&bytes, true, 1, false, mid, "t", "", 20);
	tiny_send(&bytes);
	until(connection_held(connection) == 5000);
	for (uint64_t place = 0; place < 5000; place++)
		connection_settle(connection, place);
	until(tiny.in.size >= 5000 * 4 + 20);
	until(connection_held(connection) == 0);
	assert_memory_equal(tiny.in.block + tiny.in.size - 4, "\x40\2\x13\x88", 4);
}

/* More than fits anywhere. */
static void send_with_turns(struct mqtt_bytes *bytes)
{
	for (size_t at = 0; at < bytes->size; turn()) {
		const ssize_t sent = send(tiny.fd, bytes->block + at, bytes->size - at, MSG_NOSIGNAL);
		at += sent > 0 ? (size_t)sent : 0;
	}
	mqtt_bytes_free(bytes);
}

static void large_ones_are_skipped(void **state)
{
	(void)state;
	begin_with("PAYLOAD_MAX=16384", NULL, 10, true);
	opens();
	struct mqtt_bytes bytes = {0};
	mqtt_publish_of(&bytes, true, 1, false, 1, "a", "", 10);
	mqtt_publish_of(&bytes, true, 1, true, 2, "b", "", 400000);
	mqtt_publish_of(&bytes, true, 0, false, 0, "z", "", 400000);
	mqtt_publish_of(&bytes, true, 1, false, 3, "c", "", 10);
	send_with_turns(&bytes);
	mqtt_publish_of(&bytes, true, 0, false, 0, "y", "", 400000);
	bytes.block[0] |= 1; /* retained */
	send_with_turns(&bytes);
	tells("a:0 large-b-2:1d large-z-0@0 c:2 large-y-0@0r ");
	for (uint64_t place = 3; place-- > 0;)
		connection_settle(connection, place);
	until(tiny_has("ack 3"));
	assert_string_equal(tiny_came(), "connect5, ack 1, ack 2, ack 3");
}

/* In both versions of MQTT the broker gets what it needs to forget it, and the link stays; a small one behind it is told. */
static void large_ones_at_qos_2(void **state)
{
	(void)state;
	for (unsigned old = 0; old < 2; old++) {
		begin_with("PAYLOAD_MAX=16384", NULL, 10, true);
		connection_want(connection, true, tiny_now());
		until(tiny_has("connect5"));
		if (old == 1) {
			tiny_say("\x20\2\0\1", 4);
			until(tiny.closed);
			tiny_close();
			until(tiny_has("connect4"));
			owner.text[0] = '\0';
		}
		tiny_say(old == 1 ? "\x20\2\0\0" : "\x20\3\0\0\0", old == 1 ? 4 : 5);
		tells("up ");
		struct mqtt_bytes bytes = {0};
		mqtt_publish_of(&bytes, old == 0, 2, false, 7, "a", "", 400000);
		mqtt_publish_of(&bytes, old == 0, 2, false, 8, "b", "", 10);
		send_with_turns(&bytes);
		tells("large-a-7@2 ");
		until(tiny_has("rec 8"));
		mqtt_with_mid(&bytes, 0x62, 7);
		mqtt_with_mid(&bytes, 0x62, 8);
		tiny_send(&bytes);
		tells("b:- ");
		until(tiny_has("comp 8"));
		assert_string_equal(strchr(tiny_came(), ','), ", rec 7, rec 8, comp 7, comp 8");
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

/* ---- Without memory ---- */

/* Waits as a loop does, for what it is told to, that long. Returns how many turns that took. */
static unsigned turns_in(int64_t wait_ms)
{
	unsigned turns = 0;
	for (const int64_t end_ms = clock_ms() + wait_ms; clock_ms() < end_ms; turns++) {
		struct pollfd entry;
		connection_poll(connection, reads, &entry);
		int64_t due_ms = connection_due_ms(connection) - tiny_now();
		if (connection_pending(connection) || due_ms < 0)
			due_ms = 0;
		const int64_t left_ms = end_ms - clock_ms();
		assert_true(
			poll(&entry, 1, left_ms <= 0 ? 0 : (int)(due_ms < left_ms ? due_ms : left_ms)) >= 0);
		connection_serve(connection, entry.revents, tiny_now());
		if (connection_state(connection) != CONNECTION_UP)
			continue;
		if ((entry.revents & POLLIN) != 0 || connection_pending(connection))
			(void)connection_read(connection);
		if (connection_state(connection) == CONNECTION_UP)
			connection_flush(connection);
	}
	return turns;
}

/* No memory to read into: it waits, and looks now and then, and goes on when there is some. */
static void reads_without_memory(void **state)
{
	(void)state;
	begin_with("PAYLOAD_MAX=1048576", NULL, 10, true);
	opens();
	struct mqtt_bytes bytes = {0};
	mqtt_publish_of(&bytes, true, 1, false, 1, "a", "", 300000);
	const ssize_t sent = send(tiny.fd, bytes.block, bytes.size, MSG_NOSIGNAL);
	assert_true(sent > 100000);
	failing_malloc_start(1, true);
	const unsigned turns = turns_in(300);
	assert_true(failing_malloc_stop());
	assert_in_range(turns, 5, 100);
	assert_string_equal(owner.text, "");
	mqtt_gone(&bytes, (size_t)sent);
	send_with_turns(&bytes);
	tells("a:0 ");
}

/* The same before the CONNACK. */
static void opens_without_memory(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	connection_want(connection, true, tiny_now());
	until(tiny_has("connect5"));
	tiny_say("\x20\3\0\0\0", 5);
	failing_malloc_start(1, true);
	const unsigned turns = turns_in(300);
	assert_true(failing_malloc_stop());
	assert_in_range(turns, 5, 100);
	tells("up ");
}

/* No memory for all PUBACKs at once: the others are tried again, without anything that happens. */
static void releases_without_memory(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 1000, true);
	opens();
	for (unsigned mid = 1; mid <= 600; mid++)
		publish(mid, "t", false);
	until(connection_held(connection) == 600);
	for (uint64_t place = 0; place < 600; place++)
		connection_settle(connection, place);
	failing_malloc_start(1, true);
	connection_flush(connection);
	assert_in_range(connection_held(connection), 1, 599);
	const unsigned turns = turns_in(300);
	assert_true(failing_malloc_stop());
	assert_in_range(turns, 2, 100);
	assert_int_equal(connection_held(connection), 0);
}

/* ---- Ends ---- */

/* PUBACKs that were written are read by the broker, none after them, and no DISCONNECT. */
static void farewell(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens();
	publish(7, "a", false), publish(8, "b", false);
	tells("a:0 b:1 ");
	connection_settle(connection, 0);
	connection_flush(connection);
	connection_settle(connection, 1);
	connection_leave(connection, tiny_now());
	assert_int_equal(connection_state(connection), CONNECTION_CLOSING);
	publish(9, "c", false);
	until(tiny.closed);
	linger();
	assert_string_equal(tiny_came(), "connect5, ack 7");
	assert_int_equal(connection_state(connection), CONNECTION_CLOSING);
	tiny_close();
	tells("released-1 down ");
	assert_int_equal(connection_state(connection), CONNECTION_IDLE);
	assert_int_equal(tiny.connections, 1);
}

static void farewell_that_is_not_answered(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens();
	connection_leave(connection, tiny_now());
	linger();
	assert_int_equal(connection_state(connection), CONNECTION_CLOSING);
	tiny.skipped_ms += CONNECTION_FAREWELL_MS;
	tells("down ");
	assert_int_equal(connection_state(connection), CONNECTION_IDLE);
}

/* Dropped: the same, and then the next link, on which places count from 0. */
static void drop_opens_again(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens();
	publish(7, "a", false);
	tells("a:0 ");
	connection_drop(connection, tiny_now());
	until(tiny.closed);
	assert_string_equal(tiny_came(), "connect5");
	tiny_close();
	until(tiny.connections == 2 && tiny_has("connect5"));
	tiny_say("\x20\3\1\0\0\x32\6\0\1a\0\7\0", 13);
	tells("down up again a:0 ");
}

static void disconnect_in_order(void **state)
{
	(void)state;
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		begin_with(NULL, NULL, 10, persistent == 1);
		opens();
		publish(7, "a", false);
		tells("a:0 ");
		connection_settle(connection, 0);
		connection_flush(connection);
		connection_disconnect(connection);
		until(tiny.closed);
		assert_string_equal(tiny_came(), "connect5, ack 7, disconnect");
		tiny_close();
		until(connection_state(connection) == CONNECTION_IDLE);
		tells("released-1 down ");
		if (persistent == 0)
			end(NULL);
	}
}

static void owner_fails_it(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens();
	owner.fails = true;
	publish(1, "a", false), publish(2, "b", false);
	until(connection_state(connection) != CONNECTION_UP);
	assert_string_equal(owner.text, "a:0 down ");
	assert_int_equal(connection_state(connection), CONNECTION_WAITING);
	until(tiny.closed);
	assert_string_equal(tiny_came(), "connect5");
}

/* The broker closes, or resets. */
static void hang_up(bool resets)
{
	if (resets)
		tiny_reset();
	else
		shutdown(tiny.fd, SHUT_WR);
}

/* It is noticed, soon, and the loop sleeps meanwhile. */
static void hung_up_while_nothing_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		unsigned messages;
		bool reads, resets;
	} cases[] = {
		{"closed, the owner does not read", 0, false, false},
		{"closed, and it leaves something unread", 3, false, false},
		{"closed, and the window is full", 2, true, false},
		{"closed, and more stands behind a full window", 5, true, false},
		{"reset, the owner does not read", 0, false, true},
		{"reset, and it leaves something unread", 3, false, true},
		{"reset, and the window is full", 2, true, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin_with(NULL, NULL, 2, true);
		opens();
		reads = cases[i].reads;
		for (unsigned mid = 1; mid <= cases[i].messages; mid++)
			publish(mid, "t", false);
		if (reads)
			tells("t:0 t:1 ");
		linger();
		tiny_shut();
		hang_up(cases[i].resets);
		const unsigned turns = turns_in(400);
		if (strncmp(owner.text, "down ", 5) != 0 || turns > 100)
			fail_msg("%s: %u turns, told %s", cases[i].name, turns, owner.text);
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

/* Who reads on in time gets what came before the end, and hears of the end by reading. */
static void hung_up_and_read_on(void **state)
{
	(void)state;
	for (unsigned resets = 0; resets < 2; resets++) {
		begin_with(NULL, NULL, 10, true);
		opens();
		reads = false;
		publish(1, "a", false), publish(2, "b", false);
		linger();
		tiny_shut();
		hang_up(resets == 1);
		turn();
		/* However slow this machine is. */
		tiny.skipped_ms -= PATIENCE_MS;
		linger();
		assert_string_equal(owner.text, "");
		reads = true;
		until(strlen(owner.text) >= strlen("a:0 b:1 down "));
		assert_memory_equal(owner.text, "a:0 b:1 down ", strlen("a:0 b:1 down "));
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

/* Whatever the broker says that it should not: the link ends, once. */
static void bad_brokers(void **state)
{
	(void)state;
	static const struct {
		const char *name, *bytes;
		size_t size;
	} cases[] = {
		{"DISCONNECT: session taken over", "\xe0\1\x8e", 3},
		{"DISCONNECT: server shutting down", "\xe0\2\x8b\0", 4},
		{"no MQTT", "\0\0", 2},
		{"a second CONNACK", "\x20\3\0\0\0", 5},
		{"packet identifier 0", "\x32\6\0\1t\0\0\0", 8},
		{"QoS 3", "\x36\6\0\1t\0\1\0", 8},
		{"a packet of 256 MB", "\x90\xff\xff\xff\x7f", 5},
		{"CONNECT", "\x10\x0e\0\4MQTT\4\0\0\12\0\2xy", 16},
		{"a topic that is no UTF-8", "\x32\6\0\1\xff\0\1\0", 8},
		{"properties that are none", "\x32\x08\0\1t\0\1\2\xff\xff", 10},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin_with(NULL, NULL, 10, true);
		opens();
		tiny_say(cases[i].bytes, cases[i].size);
		for (int64_t end_ms = clock_ms() + PATIENCE_MS; connection_state(connection) == CONNECTION_UP;
			turn())
			if (clock_ms() > end_ms)
				fail_msg("%s: still up, told %s", cases[i].name, owner.text);
		if (strcmp(owner.text, "down ") != 0)
			fail_msg("%s: %s", cases[i].name, owner.text);
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		CASE(places_and_release),
		CASE(window_is_back_pressure),
		CASE(thousands),
		CASE(large_ones_are_skipped),
		CASE(large_ones_at_qos_2),
		CASE(reads_without_memory),
		CASE(opens_without_memory),
		CASE(releases_without_memory),
		CASE(farewell),
		CASE(farewell_that_is_not_answered),
		CASE(drop_opens_again),
		CASE(disconnect_in_order),
		CASE(owner_fails_it),
		CASE(hung_up_while_nothing_is_read),
		CASE(hung_up_and_read_on),
		CASE(bad_brokers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
