/* test_connection_opening.c - connection.c and what lies below it: how a link is opened, how long it waits, and what keeps it alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "connection.h"
#include "connection_parts.h"
#include "tiny_broker.h"
#include <netinet/tcp.h>

/* ---- Opening ---- */

static void refused(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	connection_want(connection, true, tiny_now());
	until(tiny_has("connect5"));
	tiny_say("\x20\3\0\x87\0", 5);
	until(owner.text[0] != '\0');
	assert_string_equal(owner.text, "not-up ");
	assert_int_equal(connection_state(connection), CONNECTION_WAITING);
	until(tiny.closed);
	tiny_close();
	until(tiny.connections == 2 && tiny_has("connect5"));
}

static void falls_back_to_311(void **state)
{
	(void)state;
	static const struct {
		const char *name, *bytes;
		size_t size, first; /* of these, so many at first */
		unsigned tries;
	} cases[] = {
		{"unsupported protocol version", "\x20\3\0\x84\0", 5, 5, 1},
		{"return code 1 of 3.1.1", "\x20\2\0\1", 4, 4, 1},
		{"the same, in pieces", "\x20\2\0\1", 4, 1, 1},
		{"the same, the return code alone", "\x20\2\0\1", 4, 3, 1},
		{"return code 5 of 3.1.1", "\x20\2\0\5", 4, 4, 1},
		{"return code 0 of 3.1.1", "\x20\2\0\0", 4, 4, 1},
		{"something else that is no CONNACK, twice", "\x30\3\0\1t", 5, 5, 2},
		{"closes without a word, twice", "", 0, 0, 2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin_with(NULL, NULL, 10, true);
		connection_want(connection, true, tiny_now());
		for (unsigned j = 1; j <= cases[i].tries; j++) {
			until(tiny.connections == j && tiny_has("connect5"));
			tiny_say(cases[i].bytes, cases[i].first);
			if (cases[i].first < cases[i].size) {
				linger();
				tiny_say(cases[i].bytes + cases[i].first, cases[i].size - cases[i].first);
			}
			if (cases[i].size == 0)
				shutdown(tiny.fd, SHUT_WR);
			until(tiny.closed);
			tiny_close();
		}
		until(tiny.connections == cases[i].tries + 1 && tiny_has("connect4"));
		tiny_say("\x20\2\1\0\x32\5\0\1t\0\5", 11);
		until(strstr(owner.text, "up again t:0 "));
		assert_false(owner.terms.mqtt5);
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

/* Jitter: half of it to all of it. The delays double to a second, after a minute to ten. */
static void reconnect_delays(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	tiny_shut();
	connection_want(connection, true, tiny_now());
	const int64_t begun_ms = tiny_now();
	int64_t most_ms = CONNECTION_DELAY_MIN_MS, longest_ms = 0;
	for (unsigned i = 0; i < 120; i++) {
		until(connection_state(connection) == CONNECTION_WAITING && owner.text[0] != '\0');
		assert_string_equal(owner.text, "not-up ");
		owner.text[0] = '\0';
		const int64_t now_ms = tiny_now(), delay_ms = connection_due_ms(connection) - now_ms;
		/* The link ended some milliseconds ago. */
		assert_in_range(delay_ms + 1000, 1000 + most_ms / 2 - 40, 1000 + most_ms);
		longest_ms = delay_ms > longest_ms ? delay_ms : longest_ms;
		tiny.skipped_ms += delay_ms;
		const bool late = now_ms + delay_ms - begun_ms >= 60000;
		most_ms = late					  ? CONNECTION_DELAY_LATER_MS
			  : most_ms * 2 < CONNECTION_DELAY_MAX_MS ? most_ms * 2
								  : CONNECTION_DELAY_MAX_MS;
		turn();
		if (late && longest_ms > CONNECTION_DELAY_LATER_MS / 2)
			break;
	}
	assert_true(longest_ms > CONNECTION_DELAY_MAX_MS);
	tiny_listen();
	until(tiny_has("connect5"));
}

/* The next attempt fails, whenever it is due. Returns the delay after it, and skips that. */
static int64_t next_delay_ms(void)
{
	until(connection_state(connection) == CONNECTION_WAITING && owner.text[0] != '\0');
	owner.text[0] = '\0';
	const int64_t delay_ms = connection_due_ms(connection) - tiny_now();
	tiny.skipped_ms += delay_ms;
	turn();
	return delay_ms;
}

/* After a long outage a link that was of use, but did not last: its end is the first minute of another outage. */
static void delays_after_a_link_that_served(void **state)
{
	(void)state;
	for (unsigned served = 0; served < 2; served++) {
		int64_t longest_ms = 0;
		begin_with(NULL, NULL, 10, true);
		tiny_shut();
		connection_want(connection, true, tiny_now());
		for (const int64_t begun_ms = tiny_now(); tiny_now() - begun_ms < 90000;)
			(void)next_delay_ms();
		tiny_listen();
		until(tiny_has("connect5"));
		owner.text[0] = '\0';
		tiny_say("\x20\3\0\0\0", 5);
		until(strcmp(owner.text, "up ") == 0);
		if (served == 1)
			connection_served(connection);
		tiny_shut();
		tiny_close();
		until(strcmp(owner.text, "up down ") == 0);
		const int64_t first_ms = next_delay_ms();
		for (unsigned i = 0; i < 6; i++) {
			const int64_t delay_ms = next_delay_ms();
			longest_ms = delay_ms > longest_ms ? delay_ms : longest_ms;
		}
		assert_true((first_ms <= CONNECTION_DELAY_MIN_MS) == (served == 1));
		assert_true((longest_ms <= CONNECTION_DELAY_MAX_MS) == (served == 1));
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

static void no_connack_in_time(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	connection_want(connection, true, tiny_now());
	until(tiny_has("connect5"));
	tiny.skipped_ms += CONNECTION_OPEN_MS;
	tells("not-up ");
}

/* ---- Keepalive ---- */

static unsigned peer_timeout_ms(void)
{
	struct pollfd entry;
	unsigned timeout_ms = 0;
	socklen_t size = sizeof(timeout_ms);
	connection_poll(connection, reads, &entry);
	assert_int_equal(getsockopt(entry.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size), 0);
	return timeout_ms;
}

static void opens_with_server_keep_alive(void)
{
	connection_want(connection, true, tiny_now());
	until(tiny_has("connect5"));
	tiny_say("\x20\6\0\0\3\x13\0\12", 8);
	tells("up ");
	assert_int_equal(owner.terms.keepalive_s, 10);
}

static void pings(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens_with_server_keep_alive();
	for (unsigned i = 0; i < 5; i++) {
		linger();
		assert_false(tiny_has("ping"));
		tiny.skipped_ms += 5000;
		until(tiny_has("ping"));
		tiny.in.size = 0;
		tiny_say("\xd0\0", 2);
		linger();
	}
	tiny.skipped_ms += 5000;
	linger();
	tiny.skipped_ms += 10000;
	tells("down ");
}

/* A broker that is busy with other things. */
static void whatever_comes_is_an_answer(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 100, true);
	opens_with_server_keep_alive();
	for (unsigned i = 1; i <= 8; i++) {
		tiny.skipped_ms += 5000;
		until(tiny_has("ping"));
		tiny.in.size = 0;
		publish(i, "a", false);
		until(owner.text[0] != '\0');
		owner.text[0] = '\0';
	}
	assert_int_equal(connection_state(connection), CONNECTION_UP);
}

/* What the owner does not read cannot be seen: a broker that answers is not given up because its answers wait to be read. */
static void pings_while_the_owner_does_not_read(void **state)
{
	(void)state;
	begin_with(NULL, NULL, 10, true);
	opens_with_server_keep_alive();
	reads = false;
	for (unsigned i = 0; i < 8; i++) {
		tiny.skipped_ms += 5000;
		until(tiny_has("ping"));
		tiny.in.size = 0;
		tiny_say("\xd0\0", 2);
		linger();
	}
	assert_string_equal(owner.text, "");
	assert_int_equal(connection_state(connection), CONNECTION_UP);
	reads = true;
	linger();
	assert_int_equal(connection_state(connection), CONNECTION_UP);
}

/* What TCP waits for: 1.5 times the keepalive, from the first byte on that of the setting, then the one that the broker has chosen. */
static void peer_is_watched(void **state)
{
	(void)state;
	static const struct {
		const char *name, *connack;
		size_t size;
		unsigned timeout_ms;
	} cases[] = {
		{"none of the broker's", "\x20\3\0\0\0", 5, 60000},
		{"shorter", "\x20\6\0\0\3\x13\0\12", 8, 15000},
		{"longer", "\x20\6\0\0\3\x13\2\x58", 8, 900000},
		{"the longest", "\x20\6\0\0\3\x13\xff\xff", 8, 98302500},
		{"the broker wants none", "\x20\6\0\0\3\x13\0\0", 8, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin_with("KEEPALIVE=40", NULL, 10, true);
		connection_want(connection, true, tiny_now());
		until(tiny_has("connect5"));
		assert_int_equal(peer_timeout_ms(), 60000);
		tiny_say(cases[i].connack, cases[i].size);
		tells("up ");
		if (peer_timeout_ms() != cases[i].timeout_ms)
			fail_msg("%s: %u ms", cases[i].name, peer_timeout_ms());
		end(NULL);
	}
	begin_with(NULL, NULL, 10, true);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		CASE(refused),
		CASE(falls_back_to_311),
		CASE(reconnect_delays),
		CASE(delays_after_a_link_that_served),
		CASE(no_connack_in_time),
		CASE(pings),
		CASE(whatever_comes_is_an_answer),
		CASE(pings_while_the_owner_does_not_read),
		CASE(peer_is_watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
