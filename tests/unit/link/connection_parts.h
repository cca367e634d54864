/*
 * connection_parts.h - a connection over a real libmosquitto and real sockets, and the turns that it and the test's own broker take.
 *
 * Include it in one source file.
 */
#ifndef CONNECTION_PARTS_H
#define CONNECTION_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "connection.h"
#include "tiny_broker.h"

enum { PATIENCE_MS = 10000 };

static struct connection *connection;
static bool reads; /* the owner wants to */

/* What the owner was told. */
static struct {
	char text[4000];
	struct connection_terms terms;
	bool fails; /* at the next message */
} owner;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	va_list arguments;
	const size_t size = strlen(owner.text);
	va_start(arguments, format);
	vsnprintf(owner.text + size, sizeof(owner.text) - size, format, arguments);
	va_end(arguments);
}

static void on_up(void *object, const struct connection_terms *terms)
{
	assert_ptr_equal(object, &owner);
	owner.terms = *terms;
	note("up%s ", terms->session_present ? " again" : "");
}

static void on_down(void *object, bool was_up)
{
	assert_ptr_equal(object, &owner);
	note(was_up ? "down " : "not-up ");
}

static void on_message(void *object, const struct mosquitto_message *message,
	const mosquitto_property *properties, uint64_t place, bool dup)
{
	(void)object;
	(void)properties;
	if (place == CONNECTION_NO_PLACE)
		note("%s:-%s ", message->topic, dup ? "d" : "");
	else
		note("%s:%llu%s ", message->topic, (unsigned long long)place, dup ? "d" : "");
	if (owner.fails)
		connection_fail(connection, "the owner has had enough");
}

static void on_oversized(void *object, const struct mosquitto_message *message, uint64_t place, bool dup)
{
	(void)object;
	assert_true((size_t)message->payloadlen > tiny.settings.payload_max);
	assert_null(message->payload);
	assert_true((place == CONNECTION_NO_PLACE) == (message->qos != 1));
	note("large-%s-%d", message->topic, message->mid);
	if (message->qos == 1)
		note(":%llu", (unsigned long long)place);
	else
		note("@%d", message->qos);
	note("%s%s ", dup ? "d" : "", message->retain ? "r" : "");
}

static void on_released(void *object, size_t count)
{
	(void)object;
	note("released-%zu ", count);
}

static const struct connection_owner callbacks = {
	.up = on_up,
	.down = on_down,
	.message = on_message,
	.oversized = on_oversized,
	.released = on_released,
};

static void begin_with(const char *first, const char *second, unsigned window, bool persistent)
{
	memset(&owner, 0, sizeof(owner));
	reads = true;
	tiny_begin(first, second);
	const struct connection_options options = {.label = "test",
		.client_id = "c",
		.persistent = persistent,
		.holds = true,
		.window = window,
		.settings = &tiny.settings,
		.resolver = tiny.resolver,
		.callbacks = &callbacks,
		.owner = &owner};
	assert_int_equal(connection_new(&options, &connection), 0);
}

static int end(void **state)
{
	(void)state;
	connection_free(connection);
	tiny_end();
	return 0;
}

/* One turn of the loop: 5 ms at most. */
static void turn(void)
{
	struct pollfd fds[3];
	const bool is_up = connection_state(connection) == CONNECTION_UP;
	connection_poll(connection, reads, &fds[0]);
	fds[1] = (struct pollfd){.fd = tiny.fd, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = tiny.listener, .events = POLLIN};
	assert_true(poll(fds, 3, connection_pending(connection) && reads ? 0 : 5) >= 0);
	connection_serve(connection, fds[0].revents, tiny_now());
	for (unsigned i = 0; i < 4 && is_up && reads && connection_state(connection) == CONNECTION_UP; i++)
		if ((fds[0].revents & POLLIN) == 0 && !connection_pending(connection))
			break;
		else if (!connection_read(connection))
			break;
	if (connection_state(connection) == CONNECTION_UP)
		connection_flush(connection);
	tiny_serve();
}

#define until(condition)                                                        \
	for (int64_t until_ms = clock_ms() + PATIENCE_MS; !(condition); turn()) \
		if (clock_ms() > until_ms)                                      \
	fail_msg("%s: never so; told %s; came %s", #condition, owner.text, tiny_came())

/* Turns in which nothing should happen. */
static void linger(void)
{
	for (unsigned i = 0; i < 20; i++)
		turn();
}

static void tells(const char *text)
{
	until(strlen(owner.text) >= strlen(text));
	linger();
	assert_string_equal(owner.text, text);
	owner.text[0] = '\0';
}

static void publish(unsigned mid, const char *topic, bool dup)
{
	struct mqtt_bytes bytes = {0};
	mqtt_publish_of(&bytes, true, mid > 0 ? 1 : 0, dup, mid, topic, "{}", 0);
	tiny_send(&bytes);
}

#endif
