/*
 * gate_parts.h - a gate between a session and the test, and what the tests of its rules ask of it.
 *
 * Include it in one source file.
 */
#ifndef GATE_PARTS_H
#define GATE_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "gate_session.h"

enum { MAX = 1000 }; /* packet_max */

static struct gate_session session;
static struct mqtt_bytes broker;

static void begin(bool holds, size_t window)
{
	session_begin(&session, holds, window, MAX);
	broker.size = 0;
}

static int end(void **state)
{
	(void)state;
	session_end(&session);
	mqtt_bytes_free(&broker);
	return 0;
}

static void one(unsigned mid, bool dup)
{
	mqtt_publish(&broker, 1, dup, mid, "t", 3);
}

/* What was made is received. */
static void receive(void)
{
	assert_int_equal(session_receive(&session, &broker), 0);
	broker.size = 0;
}

static void breaks(const char *reason)
{
	size_t left;
	assert_int_equal(session_receive_some(&session, broker.block, broker.size, 0, &left), GATE_E_BROKEN);
	assert_string_equal(gate_reason(session.gate), reason);
}

#endif
