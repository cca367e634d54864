/* test_gate_large.c - gate.c: packets that are larger than they may be, of every type and QoS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "gate_parts.h"
#include "gate_session.h"

/* ---- Large packets ---- */

static void publish_of_the_largest_size_passes(void **state)
{
	(void)state;
	begin(true, 10);
	mqtt_publish(&broker, 1, false, 3, "t", MAX - 8);
	assert_int_equal(broker.size, MAX);
	receive();
	session_tells(&session, "one 3 #0 0 t\n");
}

/* Its PUBACK is made by the gate, in order; those before and behind it pass. */
static void larger_publish_is_skipped(void **state)
{
	(void)state;
	static const size_t fills[] = {MAX - 7, 2 * MAX, 70000, 300000};
	static const size_t steps[] = {0, 1000, 13, 65536};
	for (size_t i = 0; i < sizeof(fills) / sizeof(*fills); i++) {
		for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
			size_t left;
			begin(true, 10);
			one(1, false);
			mqtt_publish(&broker, 1, true, 2, "user/large", fills[i] - 9);
			one(3, false);
			assert_int_equal(
				session_receive_some(&session, broker.block, broker.size, steps[j], &left),
				0);
			assert_int_equal(left, 0);
			session_tells(&session, "one 1 #0 0 t\nlarge 2 #1 1 user/large\none 3 #2 0 t\n");
			gate_settle(session.gate, 1);
			gate_settle(session.gate, 2);
			assert_int_equal(gate_release(session.gate), 0);
			gate_settle(session.gate, 0);
			assert_int_equal(gate_release(session.gate), 3);
			session_sends(&session, "ack 1, ack 2, ack 3");
			session_end(&session);
		}
	}
	begin(true, 10);
}

static void skipped_ones_take_the_window_too(void **state)
{
	(void)state;
	begin(true, 2);
	mqtt_publish(&broker, 1, false, 1, "a", 2 * MAX);
	mqtt_publish(&broker, 1, false, 2, "b", 2 * MAX);
	mqtt_publish(&broker, 1, false, 3, "c", 2 * MAX);
	size_t left;
	assert_int_equal(session_receive_some(&session, broker.block, broker.size, 100, &left), 0);
	session_tells(&session, "large 1 #0 0 a\nlarge 2 #1 0 b\n");
	gate_settle(session.gate, 0);
	assert_int_equal(gate_release(session.gate), 1);
	assert_int_equal(
		session_receive_some(&session, broker.block + broker.size - left, left, 100, &left), 0);
	session_tells(&session, "large 3 #2 0 c\n");
	assert_int_equal(left, 0);
}

/* While its place is held: it takes none, and nobody is told twice. */
static void skipped_once_more(void **state)
{
	(void)state;
	begin(true, 10);
	mqtt_publish(&broker, 1, false, 1, "a", 2 * MAX);
	mqtt_publish(&broker, 1, true, 1, "a", 2 * MAX);
	one(2, false);
	receive();
	session_tells(&session, "large 1 #0 0 a\none 2 #1 0 t\n");
	gate_settle(session.gate, 0);
	gate_settle(session.gate, 1);
	assert_int_equal(gate_release(session.gate), 2);
	session_sends(&session, "ack 1, ack 2");
}

static void skipped_at_qos_0(void **state)
{
	(void)state;
	begin(true, 10);
	mqtt_publish(&broker, 0, false, 0, "a", 200000);
	one(2, false);
	receive();
	session_tells(&session, "large 0 - 0 a\none 2 #0 0 t\n");
}

/* It is answered when all of it has come, between the PUBRECs of those before and behind it, and the PUBREL passes. */
static void skipped_at_qos_2(void **state)
{
	(void)state;
	static const size_t fills[] = {MAX - 7, 2 * MAX, 70000, 300000};
	static const size_t steps[] = {0, 1000, 13, 65536};
	for (size_t i = 0; i < sizeof(fills) / sizeof(*fills); i++) {
		for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
			size_t left;
			begin(true, 10);
			mqtt_publish(&broker, 2, false, 1, "t", 3);
			mqtt_publish(&broker, 2, true, 700, "user/large", fills[i]);
			const size_t come = broker.size - 1;
			assert_int_equal(
				session_receive_some(&session, broker.block, come, steps[j], &left), 0);
			assert_int_equal(left, 0);
			session_tells(&session, "two 1 - 0 t\nlarge 700 - 1 user/large\n");
			session_sends(&session, "rec 1");
			mqtt_publish(&broker, 2, false, 3, "t", 3);
			mqtt_with_mid(&broker, 0x62, 700);
			assert_int_equal(session_receive_some(&session, broker.block + come,
						 broker.size - come, steps[j], &left),
				0);
			session_sends(&session, "rec 700, rec 3");
			session_tells(&session, "two 3 - 0 t\npacket 6 - 0 \n");
			assert_int_equal(gate_held(session.gate), 0);
			session_end(&session);
		}
	}
	begin(true, 10);
}

/* A PUBLISH is skipped; all else that is too large ends the link before it has come. */
static void too_large_packets_of_every_type(void **state)
{
	(void)state;
	for (unsigned type = 1; type < 16; type++) {
		char reason[100];
		if (type == PACKET_PUBLISH)
			continue;
		begin(true, 10);
		mqtt_head(&broker, type << 4, MAX);
		mqtt_raw(&broker, "\0\1t\0\7", 5);
		snprintf(reason, sizeof(reason),
			"the broker sent a packet of type %u with %d bytes: %d at most", type, MAX + 3, MAX);
		breaks(reason);
		session_end(&session);
	}
	begin(true, 10);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		CASE(publish_of_the_largest_size_passes),
		CASE(larger_publish_is_skipped),
		CASE(skipped_ones_take_the_window_too),
		CASE(skipped_once_more),
		CASE(skipped_at_qos_0),
		CASE(skipped_at_qos_2),
		CASE(too_large_packets_of_every_type),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
