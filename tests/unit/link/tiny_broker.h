/*
 * tiny_broker.h - the broker's side of one TCP connection, in the test's own thread: it says what the test says, and what came is told in words.
 *
 * Time is the real one, and what the test skips: tiny_now(). So a minute's outage takes no minute.
 */
#ifndef TINY_BROKER_H
#define TINY_BROKER_H

#include "clock.h"
#include "log.h"
#include "mqtt_bytes.h"
#include "packet.h"
#include "resolver.h"
#include "settings.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	int listener, fd; /* -1: none */
	unsigned port;
	bool closed; /* the peer has */
	unsigned connections;
	struct mqtt_bytes in;
	int64_t skipped_ms;
	struct settings settings;
	struct resolver *resolver;
} tiny;

static inline int64_t tiny_now(void)
{
	return clock_ms() + tiny.skipped_ms;
}

static inline void tiny_listen(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)tiny.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	tiny.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(setsockopt(tiny.listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0);
	assert_int_equal(bind(tiny.listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(tiny.listener, 8), 0);
	assert_int_equal(getsockname(tiny.listener, (struct sockaddr *)&address, &size), 0);
	tiny.port = ntohs(address.sin_port);
}

static inline void tiny_shut(void)
{
	close(tiny.listener);
	tiny.listener = -1;
}

static inline void tiny_close(void)
{
	close(tiny.fd);
	tiny.fd = -1;
	tiny.in.size = 0;
}

/* By a RST: the peer hears of it even if it does not read. */
static inline void tiny_reset(void)
{
	const struct linger now = {.l_onoff = 1};
	assert_int_equal(setsockopt(tiny.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	tiny_close();
}

/* With these settings ("WINDOW=2"), and those of the broker. */
static inline void tiny_begin(const char *first, const char *second)
{
	char port[40], host[] = "BROKER_HOST=127.0.0.1", tls[] = "BROKER_TLS=off",
		       secret[] = "JWT_SECRET=0123456789abcdef0123456789abcdef";
	char database[] = "MONGO_DB_URL=mongodb://127.0.0.1";
	tiny.fd = -1;
	tiny.port = tiny.connections = 0;
	tiny.skipped_ms = 0;
	tiny_listen();
	snprintf(port, sizeof(port), "BROKER_PORT=%u", tiny.port);
	char *environment[] = {
		host, port, tls, secret, database, (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL};
	static const struct cashew_handler *const none[] = {NULL};
	assert_int_equal(settings_read(NULL, environment, none, stderr, stderr, &tiny.settings), 0);
	assert_int_equal(resolver_new(&tiny.settings, &tiny.resolver), 0);
}

static inline void tiny_end(void)
{
	if (tiny.fd >= 0)
		tiny_close();
	if (tiny.listener >= 0)
		tiny_shut();
	resolver_free(tiny.resolver);
	settings_free(&tiny.settings);
	mqtt_bytes_free(&tiny.in);
}

/* Takes a connection, reads what is there. */
static inline void tiny_serve(void)
{
	uint8_t bytes[65536];
	if (tiny.fd < 0 && tiny.listener >= 0) {
		tiny.fd = accept4(tiny.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (tiny.fd >= 0) {
			tiny.connections++;
			tiny.closed = false;
			tiny.in.size = 0;
		}
	}
	ssize_t got = 1;
	while (tiny.fd >= 0 && got > 0) {
		got = recv(tiny.fd, bytes, sizeof(bytes), 0);
		if (got > 0)
			mqtt_raw(&tiny.in, bytes, (size_t)got);
		else if (got == 0 || errno != EAGAIN)
			tiny.closed = true;
	}
}

static inline void tiny_send(struct mqtt_bytes *bytes)
{
	for (size_t at = 0; at < bytes->size;) {
		const ssize_t sent = send(tiny.fd, bytes->block + at, bytes->size - at, MSG_NOSIGNAL);
		if (sent < 0)
			assert_int_equal(errno, EAGAIN);
		at += sent > 0 ? (size_t)sent : 0;
	}
	mqtt_bytes_free(bytes);
}

static inline void tiny_say(const char *bytes, size_t size)
{
	struct mqtt_bytes copy = {0};
	mqtt_raw(&copy, bytes, size);
	tiny_send(&copy);
}

/* The packets that came on this connection: "connect5, sub 1, ack 7, ping, disconnect". */
static inline const char *tiny_came(void)
{
	static char text[2000];
	struct packet packet;
	text[0] = '\0';
	for (size_t at = 0; at < tiny.in.size; at += packet.size) {
		const uint8_t *bytes = tiny.in.block + at;
		if (packet_read(bytes, tiny.in.size - at, &packet) != 0 || packet.size > tiny.in.size - at)
			break;
		char *end = text + strlen(text);
		const size_t room = sizeof(text) - (size_t)(end - text);
		const uint8_t *body = bytes + packet.header_size;
		const unsigned mid =
			packet.size >= packet.header_size + 2 ? (unsigned)(body[0] << 8 | body[1]) : 0;
		const char *comma = at > 0 ? ", " : "";
		switch ((unsigned)packet.type) {
		case PACKET_CONNECT: snprintf(end, room, "%sconnect%u", comma, body[6]); break;
		case PACKET_PUBACK: snprintf(end, room, "%sack %u", comma, mid); break;
		case PACKET_PUBREC: snprintf(end, room, "%srec %u", comma, mid); break;
		case 7: snprintf(end, room, "%scomp %u", comma, mid); break;
		case 8: snprintf(end, room, "%ssub %u", comma, mid); break;
		case PACKET_PINGREQ: snprintf(end, room, "%sping", comma); break;
		case 14: snprintf(end, room, "%sdisconnect", comma); break;
		default: snprintf(end, room, "%s%u", comma, (unsigned)packet.type); break;
		}
	}
	return text;
}

static inline bool tiny_has(const char *text)
{
	return strstr(tiny_came(), text);
}

#endif
