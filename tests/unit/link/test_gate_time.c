/* test_gate_time.c - gate.c: the keepalive, and output that does not move. Times are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "gate_session.h"

static struct gate_session session;

static int begin(void **state)
{
	(void)state;
	session_begin(&session, true, 10, 1000);
	gate_set_keepalive(session.gate, 10, 1000);
	return 0;
}

static int end(void **state)
{
	(void)state;
	session_end(&session);
	return 0;
}

static void tick(bool reads, int64_t now_ms)
{
	assert_int_equal(gate_tick(session.gate, reads, now_ms), 0);
}

static size_t output(void)
{
	const uint8_t *bytes;
	return gate_output(session.gate, &bytes);
}

static void sends(const char *expected, int64_t now_ms)
{
	const uint8_t *bytes;
	const size_t size = gate_output(session.gate, &bytes);
	assert_int_equal(size, strcmp(expected, "ping") == 0 ? 2 : 0);
	if (size > 0)
		assert_memory_equal(bytes, "\xc0\0", 2);
	if (size > 0)
		gate_sent(session.gate, size, now_ms);
}

static void pong(void)
{
	struct mqtt_bytes bytes = {0};
	mqtt_raw(&bytes, "\xd0\0", 2);
	assert_int_equal(session_receive(&session, &bytes), 0);
	mqtt_bytes_free(&bytes);
}

static void pings_after_half_of_it(void **state)
{
	(void)state;
	assert_int_equal(gate_due_ms(session.gate), 6000);
	tick(true, 5999);
	sends("", 5999);
	tick(true, 6000);
	sends("ping", 6001);
	pong();
	session_tells(&session, "");
	assert_int_equal(gate_due_ms(session.gate), 11001);
	tick(true, 11000);
	sends("", 11000);
	tick(true, 11001);
	sends("ping", 11001);
}

static void output_is_as_good_as_a_ping(void **state)
{
	(void)state;
	static const uint8_t subscribe[] = {0x82, 6, 0, 1, 0, 1, 'a', 1};
	assert_int_equal(gate_written(session.gate, subscribe, sizeof(subscribe)), 0);
	gate_sent(session.gate, sizeof(subscribe), 5000);
	assert_int_equal(gate_due_ms(session.gate), 10000);
	tick(true, 9999);
	sends("", 9999);
	tick(true, 10000);
	sends("ping", 10000);
}

static void no_answer_ends_the_link(void **state)
{
	(void)state;
	tick(true, 6000);
	sends("ping", 6000);
	tick(true, 11000);
	sends("ping", 11000);
	tick(true, 15999);
	assert_int_equal(gate_tick(session.gate, true, 16000), GATE_E_BROKEN);
	assert_string_equal(gate_reason(session.gate),
		"the broker did not answer a PINGREQ within the keepalive of 10 s");
}

/* What is not read cannot be seen: the wait begins when reading does. */
static void no_answer_is_awaited_while_nothing_is_read(void **state)
{
	(void)state;
	tick(true, 6000);
	sends("ping", 6000);
	for (int64_t now_ms = 7000; now_ms <= 100000; now_ms += 1000) {
		tick(false, now_ms);
		if (output() > 0)
			sends("ping", now_ms);
	}
	tick(true, 109999);
	assert_int_equal(gate_tick(session.gate, true, 110000), GATE_E_BROKEN);
}

static void an_answer_in_the_middle_of_a_burst(void **state)
{
	(void)state;
	struct mqtt_bytes bytes = {0};
	tick(true, 6000);
	sends("ping", 6000);
	mqtt_publish(&bytes, 1, false, 1, "t", 3);
	mqtt_publish(&bytes, 0, false, 0, "t", 3);
	mqtt_raw(&bytes, "\xd0\0", 2);
	mqtt_publish(&bytes, 1, false, 2, "t", 3);
	mqtt_raw(&bytes, "\xd0\0\xd0\0", 4);
	mqtt_publish(&bytes, 1, false, 3, "t", 3);
	assert_int_equal(session_receive(&session, &bytes), 0);
	mqtt_bytes_free(&bytes);
	session_tells(&session, "one 1 #0 0 t\nzero 0 - 0 t\none 2 #1 0 t\none 3 #2 0 t\n");
	tick(true, 10999);
	tick(true, 16000);
	sends("ping", 16000);
	tick(true, 25999);
}

/* A packet of any type, and one that is skipped. */
static void whatever_comes_is_an_answer(void **state)
{
	(void)state;
	static const struct {
		const char *name, *bytes;
		size_t size;
	} cases[] = {
		{"PINGRESP", "\xd0\0", 2},
		{"PUBLISH", "\x32\5\0\1t\0\7", 7},
		{"SUBACK", "\x90\3\0\1\1", 5},
		{"PUBACK", "\x40\2\0\1", 4},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t left;
		tick(true, 6000);
		sends("ping", 6000);
		assert_int_equal(session_receive_some(
					 &session, (const uint8_t *)cases[i].bytes, cases[i].size, 0, &left),
			0);
		gate_release(session.gate);
		tick(true, 11000);
		sends("ping", 11000);
		if (gate_tick(session.gate, true, 20999) != 0)
			fail_msg("%s: %s", cases[i].name, gate_reason(session.gate));
		/* The second one is not answered. */
		assert_int_equal(gate_tick(session.gate, true, 21000), GATE_E_BROKEN);
		end(NULL);
		begin(NULL);
	}
}

/* What a broker answers may stand in a packet that never ends. One that ends is an answer, skipped or not. */
static void half_a_packet_is_no_answer(void **state)
{
	(void)state;
	static const size_t sizes[] = {900, 100000};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (unsigned ends = 0; ends < 2; ends++) {
			struct mqtt_bytes bytes = {0};
			size_t left;
			tick(true, 6000);
			sends("ping", 6000);
			mqtt_publish(&bytes, 0, false, 0, "t", sizes[i]);
			assert_int_equal(
				session_receive_some(&session, bytes.block, bytes.size - 1 + ends, 0, &left),
				0);
			mqtt_bytes_free(&bytes);
			tick(true, 11000);
			sends("ping", 11000);
			assert_int_equal(gate_tick(session.gate, true, 16000), ends == 0 ? GATE_E_BROKEN : 0);
			end(NULL);
			begin(NULL);
		}
	}
}

/* The window is full, and the answer stands behind what waits for it. */
static void an_answer_behind_a_full_window(void **state)
{
	(void)state;
	struct mqtt_bytes bytes = {0};
	for (unsigned mid = 1; mid <= 11; mid++)
		mqtt_publish(&bytes, 1, false, mid, "t", 3);
	mqtt_raw(&bytes, "\xd0\0", 2);
	tick(true, 6000);
	sends("ping", 6000);
	assert_int_equal(session_receive(&session, &bytes), 0);
	mqtt_bytes_free(&bytes);
	assert_int_equal(gate_held(session.gate), 10);
	for (int64_t now_ms = 7000; now_ms <= 60000; now_ms += 1000) {
		tick(false, now_ms);
		session_send(&session, now_ms);
	}
	for (uint64_t number = 0; number < 10; number++)
		gate_settle(session.gate, number);
	assert_int_equal(gate_release(session.gate), 10);
	session_send(&session, 61000);
	assert_int_equal(session_pump(&session), 0);
	tick(true, 65000);
	sends("", 65000);
	tick(true, 66000);
	sends("ping", 66000);
	tick(true, 75999);
}

static void no_keepalive(void **state)
{
	(void)state;
	gate_set_keepalive(session.gate, 0, 1000);
	assert_int_equal(gate_due_ms(session.gate), INT64_MAX);
	tick(true, 1000000000);
	sends("", 1000000000);
}

static void output_that_does_not_move(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0x82, 6, 0, 1, 0, 1, 'a', 1};
	gate_set_keepalive(session.gate, 600, 1000);
	assert_int_equal(gate_written(session.gate, bytes, sizeof(bytes)), 0);
	gate_sent(session.gate, 0, 2000);
	assert_int_equal(gate_due_ms(session.gate), 12000);
	/* It moves, and gets stuck again: the time begins anew. */
	tick(true, 11999);
	gate_sent(session.gate, 3, 11999);
	gate_sent(session.gate, 0, 15000);
	assert_int_equal(gate_due_ms(session.gate), 21999);
	tick(true, 21998);
	assert_int_equal(gate_tick(session.gate, true, 21999), GATE_E_BROKEN);
	assert_string_equal(gate_reason(session.gate), "the broker has taken nothing for 10 s");
}

static void output_that_moves_on(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0x82, 6, 0, 1, 0, 1, 'a', 1};
	assert_int_equal(gate_written(session.gate, bytes, sizeof(bytes)), 0);
	gate_sent(session.gate, 0, 2000);
	gate_sent(session.gate, sizeof(bytes), 3000);
	assert_int_equal(gate_due_ms(session.gate), 8000);
	tick(true, 7999);
	sends("", 7999);
	tick(true, 50000);
	sends("ping", 50000);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(pings_after_half_of_it),
		CASE(output_is_as_good_as_a_ping),
		CASE(no_answer_ends_the_link),
		CASE(no_answer_is_awaited_while_nothing_is_read),
		CASE(an_answer_in_the_middle_of_a_burst),
		CASE(whatever_comes_is_an_answer),
		CASE(half_a_packet_is_no_answer),
		CASE(an_answer_behind_a_full_window),
		CASE(no_keepalive),
		CASE(output_that_does_not_move),
		CASE(output_that_moves_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
