/* test_gate.c - gate.c: each of its rules by name. Large packets: test_gate_large.c; time: test_gate_time.c; every way to cut what passes through it, and
 * chance: test_gate_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "gate_parts.h"
#include "gate_session.h"
#include <errno.h>

/* ---- Places ---- */

static void pubacks_are_held_and_leave_in_order(void **state)
{
	(void)state;
	begin(true, 10);
	one(5, false), one(9, true), one(7, false);
	receive();
	session_tells(&session, "one 5 #0 0 t\none 9 #1 1 t\none 7 #2 0 t\n");
	assert_int_equal(gate_held(session.gate), 3);
	gate_settle(session.gate, 2);
	gate_settle(session.gate, 1);
	assert_false(gate_releasable(session.gate));
	assert_int_equal(gate_release(session.gate), 0);
	session_sends(&session, "");
	gate_settle(session.gate, 0);
	assert_true(gate_releasable(session.gate));
	assert_int_equal(gate_release(session.gate), 3);
	session_sends(&session, "ack 5, ack 9, ack 7");
	assert_int_equal(gate_held(session.gate), 0);
	assert_int_equal(gate_release(session.gate), 0);
}

/* Settled before libmosquitto has acknowledged it: its PUBACK waits for that. */
static void waits_for_libmosquitto_too(void **state)
{
	(void)state;
	begin(true, 10);
	session.quiet = true;
	one(5, false);
	receive();
	gate_settle(session.gate, 0);
	assert_int_equal(gate_release(session.gate), 0);
	session.quiet = false;
	assert_int_equal(session_written(&session), 0);
	assert_int_equal(gate_release(session.gate), 1);
	session_sends(&session, "ack 5");
}

static void all_else_passes_at_once(void **state)
{
	(void)state;
	begin(true, 10);
	mqtt_raw(&broker, "\x20\x02\0\0", 4);
	one(1, false);
	mqtt_publish(&broker, 0, false, 0, "zero", 0);
	mqtt_publish(&broker, 2, false, 2, "two", 0);
	mqtt_raw(&broker, "\x90\x03\0\1\1", 5);
	mqtt_with_mid(&broker, 0x62, 2);
	receive();
	session_tells(&session,
		"packet 2 - 0 \none 1 #0 0 t\nzero 0 - 0 zero\ntwo 2 - 0 two\npacket 9 - 0 \npacket 6 - 0 \n");
	session_sends(&session, "rec 2");
	assert_int_equal(gate_held(session.gate), 1);
}

static void holds_nothing_where_it_need_not(void **state)
{
	(void)state;
	begin(false, 10);
	one(1, false), one(2, false);
	receive();
	assert_int_equal(gate_release(session.gate), 2);
	session_sends(&session, "ack 1, ack 2");
}

/* Once more while its place is held, with DUP or without: told again, no place, and its PUBACK leaves once. */
static void same_identifier_while_held(void **state)
{
	(void)state;
	begin(true, 10);
	one(5, false), one(6, false), one(5, true), one(5, false);
	receive();
	session_tells(&session, "one 5 #0 0 t\none 6 #1 0 t\none 5 - 1 t\none 5 - 0 t\n");
	assert_int_equal(gate_held(session.gate), 2);
	gate_settle(session.gate, 0);
	gate_settle(session.gate, 1);
	assert_int_equal(gate_release(session.gate), 2);
	session_sends(&session, "ack 5, ack 6");
}

static void identifier_is_used_again_after_release(void **state)
{
	(void)state;
	begin(true, 10);
	for (uint64_t number = 0; number < 500; number++) {
		char told[32];
		one(7, false);
		receive();
		snprintf(told, sizeof(told), "one 7 #%llu 0 t\n", (unsigned long long)number);
		session_tells(&session, told);
		gate_settle(session.gate, number);
		assert_int_equal(gate_release(session.gate), 1);
		session_sends(&session, "ack 7");
	}
}

/* Its second was told without a place, and libmosquitto acknowledges it only after the first has left: swallowed all the same. */
static void second_puback_after_release_is_swallowed(void **state)
{
	(void)state;
	begin(true, 10);
	session.quiet = true;
	one(5, false), one(5, true);
	receive();
	session.wrote.size = 0;
	static const uint8_t ack[] = {0x40, 2, 0, 5};
	assert_int_equal(gate_written(session.gate, ack, sizeof(ack)), 0);
	gate_settle(session.gate, 0);
	assert_int_equal(gate_release(session.gate), 1);
	assert_int_equal(gate_written(session.gate, ack, sizeof(ack)), 0);
	session_sends(&session, "ack 5");
	session.quiet = false;
	one(5, false);
	session.told.size = 0;
	receive();
	session_tells(&session, "one 5 #1 0 t\n");
}

/* ---- Window ---- */

static void full_window_goes_on_after_release(void **state)
{
	(void)state;
	begin(true, 2);
	one(1, false), one(2, false), one(3, false);
	mqtt_publish(&broker, 0, false, 0, "zero", 0);
	one(4, false), one(5, false);
	receive();
	session_tells(&session, "one 1 #0 0 t\none 2 #1 0 t\n");
	assert_false(gate_hungry(session.gate));
	gate_settle(session.gate, 1);
	assert_int_equal(gate_release(session.gate), 0);
	assert_false(gate_hungry(session.gate));
	gate_settle(session.gate, 0);
	assert_int_equal(gate_release(session.gate), 2);
	assert_true(gate_hungry(session.gate));
	assert_int_equal(session_pump(&session), 0);
	session_tells(&session, "one 3 #2 0 t\nzero 0 - 0 zero\none 4 #3 0 t\n");
	session_sends(&session, "ack 1, ack 2");
}

static void ten_thousand_held(void **state)
{
	(void)state;
	begin(true, 65535);
	for (unsigned mid = 1; mid <= 10000; mid++)
		one(mid, false);
	receive();
	assert_int_equal(gate_held(session.gate), 10000);
	for (uint64_t number = 9999; number > 0; number--)
		gate_settle(session.gate, number);
	assert_int_equal(gate_release(session.gate), 0);
	gate_settle(session.gate, 0);
	assert_int_equal(gate_release(session.gate), 10000);
	session_send(&session, 1);
	assert_int_equal(session.sent.size, 40000);
	for (unsigned mid = 1; mid <= 10000; mid++) {
		const uint8_t *bytes = session.sent.block + 4 * (mid - 1);
		assert_int_equal(
			bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3], 0x40020000 | (int)mid);
	}
}

/* All packet identifiers that there are. */
static void every_identifier_is_held(void **state)
{
	(void)state;
	begin(true, 65535);
	for (unsigned mid = 65535; mid > 0; mid--)
		one(mid, false);
	receive();
	assert_int_equal(gate_held(session.gate), 65535);
	for (uint64_t number = 0; number < 65535; number++)
		gate_settle(session.gate, number);
	assert_int_equal(gate_release(session.gate), 65535);
	one(65535, false), one(1, false);
	receive();
	assert_int_equal(gate_held(session.gate), 2);
}

/* No more than GATE_FEED_PACKETS between two looks at what libmosquitto writes: session_pump() checks each span. */
static void many_small_packets_in_one_read(void **state)
{
	(void)state;
	begin(true, 65535);
	for (unsigned i = 0; i < 1000; i++)
		mqtt_publish(&broker, 0, false, 0, "z", 0);
	uint8_t *to;
	const uint8_t *bytes;
	size_t size;
	unsigned packets;
	struct gate_oversized oversized;
	assert_true(gate_room(session.gate, &to) >= broker.size);
	memcpy(to, broker.block, broker.size);
	gate_received(session.gate, broker.size);
	assert_int_equal(gate_feed(session.gate, &bytes, &size, &packets, &oversized), 0);
	assert_int_equal(packets, GATE_FEED_PACKETS);
	assert_int_equal(size, broker.size / 5);
	gate_fed(session.gate, 3);
	assert_int_equal(gate_room(session.gate, &to), 0);
	assert_int_equal(gate_feed(session.gate, &bytes, &size, &packets, &oversized), 0);
	assert_int_equal(size, broker.size / 5 - 3);
}

/* ---- What ends the link ---- */

static void what_is_not_mqtt(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
		const char *reason;
	} cases[] = {
		{"\0\0", 2, "what the broker sends is not MQTT"},
		{"\xd0\xff\xff\xff\xff", 5, "what the broker sends is not MQTT"},
		{"\x36\5\0\1t\0\1", 7, "the broker sent a PUBLISH that is malformed"},
		{"\x32\5\0\1t\0\0", 7, "the broker sent a PUBLISH that is malformed"},
		{"\x32\1\0", 3, "the broker sent a PUBLISH that is malformed"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(true, 10);
		one(1, false);
		mqtt_raw(&broker, cases[i].bytes, cases[i].size);
		breaks(cases[i].reason);
		session_end(&session);
	}
	begin(true, 10);
}

static void pubacks_nobody_asked_for(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t bytes[8];
		size_t size;
		const char *reason;
	} cases[] = {
		{"for an identifier that never came", {0x40, 2, 0, 9}, 4,
			"a PUBACK for packet identifier 9, which the broker has not sent"},
		{"out of turn", {0x40, 2, 0, 2}, 4,
			"a PUBACK for packet identifier 2, which the broker has not sent"},
		{"twice", {0x40, 2, 0, 1, 0x40, 2, 0, 1}, 8,
			"a PUBACK for packet identifier 1, which the broker has not sent"},
		{"malformed", {0x40, 1, 0}, 3, "libmosquitto wrote a PUBACK that is malformed"},
		{"no MQTT", {0, 1, 0}, 3, "what libmosquitto writes is not MQTT"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(true, 10);
		session.quiet = true;
		one(1, false), one(2, false);
		receive();
		assert_int_equal(gate_written(session.gate, cases[i].bytes, cases[i].size), GATE_E_BROKEN);
		assert_string_equal(gate_reason(session.gate), cases[i].reason);
		session_end(&session);
	}
	begin(true, 10);
	static const uint8_t ack[] = {0x40, 2, 0, 1};
	assert_int_equal(gate_written(session.gate, ack, sizeof(ack)), GATE_E_BROKEN);
}

static void messages_nobody_sent(void **state)
{
	(void)state;
	struct gate_delivery delivery;
	begin(true, 10);
	assert_int_equal(gate_deliver(session.gate, 4, &delivery), GATE_E_BROKEN);
	one(4, false);
	receive();
	assert_int_equal(gate_deliver(session.gate, 4, &delivery), GATE_E_BROKEN);
	assert_string_equal(gate_reason(session.gate),
		"a message with packet identifier 4 was told that the broker has not sent");
}

/* Half a packet, for ever: nothing is fed, nothing grows, the gate is not at fault. */
static void half_a_packet_waits(void **state)
{
	(void)state;
	begin(true, 10);
	mqtt_publish(&broker, 1, false, 3, "t", 500);
	size_t left;
	assert_int_equal(session_receive_some(&session, broker.block, broker.size - 1, 1, &left), 0);
	assert_int_equal(left, 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(session_pump(&session), 0);
	session_tells(&session, "");
	assert_int_equal(gate_held(session.gate), 0);
	assert_int_equal(session_receive_some(&session, broker.block + broker.size - 1, 1, 1, &left), 0);
	session_tells(&session, "one 3 #0 0 t\n");
}

/* ---- Memory ---- */

/* Whatever call fails: the function says so, or it waits; nothing is lost or acknowledged that should not be. */
static void without_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (size_t n = 1; failed; n++) {
		struct mqtt_bytes made = {0};
		/* So that the test's own blocks need not grow meanwhile. */
		begin(true, 500);
		for (struct mqtt_bytes **each = (struct mqtt_bytes *[]){&session.local, &session.wrote,
			     &session.told, &session.sent, NULL};
			*each; each++) {
			(*each)->room = 1 << 20;
			(*each)->block = malloc((*each)->room);
		}
		for (unsigned mid = 1; mid < 200; mid++) {
			mqtt_publish(&made, 1, false, mid, "t", 3);
			if (mid % 50 == 0)
				mqtt_publish(&made, 1, false, 1000 + mid, "large", 5000);
			if (mid == 120)
				mqtt_publish(&made, 2, false, 2000, "large", 5000);
		}
		size_t left;
		failing_malloc_start(n, false);
		int error = session_receive_some(&session, made.block, made.size, 0, &left);
		if (error == 0 && left > 0) /* gate_room() had none: later it has */
			error = session_receive_some(&session, made.block + made.size - left, left, 0, &left);
		size_t released = 0;
		if (error == 0) {
			assert_int_equal(left, 0);
			for (uint64_t number = 0; number < 202; number++)
				gate_settle(session.gate, number);
			released = gate_release(session.gate);
			released += gate_release(session.gate);
		}
		failed = failing_malloc_stop();
		if (error == 0) {
			assert_int_equal(released, 202);
			session_send(&session, 1);
			assert_int_equal(session.sent.size, 203 * 4);
		} else {
			assert_true(failed);
			assert_true(
				error == -ENOMEM || strcmp(gate_reason(session.gate), "out of memory") == 0);
		}
		session_end(&session);
		mqtt_bytes_free(&made);
	}
	struct gate *gate;
	failing_malloc_start(1, false);
	const int error = gate_new(true, 1, 1, &gate);
	failing_malloc_stop();
	assert_int_equal(error, -ENOMEM);
	begin(true, 10);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		CASE(pubacks_are_held_and_leave_in_order),
		CASE(waits_for_libmosquitto_too),
		CASE(all_else_passes_at_once),
		CASE(holds_nothing_where_it_need_not),
		CASE(same_identifier_while_held),
		CASE(identifier_is_used_again_after_release),
		CASE(second_puback_after_release_is_swallowed),
		CASE(full_window_goes_on_after_release),
		CASE(ten_thousand_held),
		CASE(every_identifier_is_held),
		CASE(many_small_packets_in_one_read),
		CASE(what_is_not_mqtt),
		CASE(pubacks_nobody_asked_for),
		CASE(messages_nobody_sent),
		CASE(half_a_packet_waits),
		CASE(without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
