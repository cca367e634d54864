/* Tests of websocket.c and http_answer.c below way.c: a real socket, and a broker whose every byte the test writes. TLS below it: tests/e2e/test_websocket.c. */
#include "websocket.h"

#include "clock.h"
#include "resolver.h"
#include "way_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_MAX = 4096, LARGE = 1000000, PINGS = 20000, PING_SIZE = 100, SMALL_BUFFER = 4096 };

#define GOOD                                                                                            \
	"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n" \
	"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

struct scene {
	int listener, fd;
	struct settings settings;
	struct resolver *resolver;
	struct way *way;
	char request[REQUEST_MAX], accept[32];
};

/* ---- The broker ---- */

static void say(struct scene *scene, const void *bytes, size_t size)
{
	assert_int_equal(send(scene->fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void answer_key(struct scene *scene)
{
	char both[128];
	unsigned char digest[EVP_MAX_MD_SIZE];
	const char *key = strstr(scene->request, "Sec-WebSocket-Key: ");
	assert_non_null(key);
	const int size = snprintf(both, sizeof(both), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
		key + strlen("Sec-WebSocket-Key: "));
	unsigned digest_size = 0;
	assert_int_equal(EVP_Digest(both, (size_t)size, digest, &digest_size, EVP_sha1(), NULL), 1);
	(void)EVP_EncodeBlock((unsigned char *)scene->accept, digest, (int)digest_size);
}

/* Serves the way until the broker's end can be read: what was sent there comes a little later. */
static void serve_until(struct scene *scene, struct pollfd *entry)
{
	while (poll(entry, 1, 1) == 0)
		way_serve(scene->way, 0, clock_ms());
}

/* Until the whole request has come. */
static void begin(struct scene *scene)
{
	socklen_t size = sizeof(struct sockaddr_in);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	*scene = (struct scene){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	const int buffer = SMALL_BUFFER;
	assert_int_equal(setsockopt(scene->listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)), 0);
	assert_int_equal(bind(scene->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(scene->listener, 4), 0);
	assert_int_equal(getsockname(scene->listener, (struct sockaddr *)&address, &size), 0);
	scene->settings = parts_settings("127.0.0.1", ntohs(address.sin_port), false);
	scene->settings.broker_transport = BROKER_TRANSPORT_WEBSOCKET;
	scene->settings.broker_path = "/mqtt?a=b";
	assert_int_equal(resolver_new(&scene->settings, &scene->resolver), 0);
	scene->way = parts_start(&scene->settings, scene->resolver);
	struct pollfd entry = {.fd = scene->listener, .events = POLLIN};
	serve_until(scene, &entry);
	scene->fd = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
	const int on = 1;
	assert_int_equal(setsockopt(scene->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	entry.fd = scene->fd;
	for (size_t count = 0; !strstr(scene->request, "\r\n\r\n");) {
		serve_until(scene, &entry);
		const ssize_t got = recv(scene->fd, scene->request + count, REQUEST_MAX - 1 - count, 0);
		assert_true(got > 0);
		count += (size_t)got;
	}
	answer_key(scene);
	assert_int_equal(way_state(scene->way), WAY_OPENING);
}

static void begin_open(struct scene *scene)
{
	char answer[REQUEST_MAX];
	begin(scene);
	const int size = snprintf(answer, sizeof(answer), GOOD, scene->accept);
	say(scene, answer, (size_t)size);
	assert_int_equal(parts_open(scene->way), WAY_OPEN);
}

static void end(struct scene *scene)
{
	way_free(scene->way);
	resolver_free(scene->resolver);
	close(scene->fd);
	close(scene->listener);
}

static void hear(struct scene *scene, unsigned char *bytes, size_t size)
{
	assert_int_equal(recv(scene->fd, bytes, size, MSG_WAITALL), (ssize_t)size);
}

/* A frame of the client's, unmasked; its opcode with the FIN bit. */
static unsigned hear_frame(struct scene *scene, unsigned char *ret, size_t room, size_t *ret_size)
{
	unsigned char head[2], length[2], mask[4];
	hear(scene, head, 2);
	assert_true((head[1] & 0x80) != 0);
	size_t size = head[1] & 0x7f;
	assert_true(size < 127);
	if (size == 126) {
		hear(scene, length, 2);
		size = (size_t)length[0] * 256 + length[1];
	}
	hear(scene, mask, 4);
	assert_true(size <= room);
	if (size > 0)
		hear(scene, ret, size);
	for (size_t i = 0; i < size; i++)
		ret[i] ^= mask[i % 4];
	*ret_size = size;
	return head[0];
}

/* ---- The client ---- */

static ssize_t read_once(struct scene *scene, void *bytes, size_t size)
{
	ssize_t got;
	while ((got = way_read(scene->way, bytes, size)) == -EAGAIN)
		if (!way_pending(scene->way))
			way_serve(scene->way, parts_await(scene->way, true, false), clock_ms());
	return got;
}

static void expect(struct scene *scene, const char *text)
{
	char bytes[64] = "";
	for (size_t count = 0; count < strlen(text);) {
		const ssize_t got = read_once(scene, bytes + count, strlen(text) - count);
		assert_true(got > 0);
		count += (size_t)got;
	}
	assert_string_equal(bytes, text);
	assert_int_equal(way_read(scene->way, bytes, 1), -EAGAIN);
	assert_false(way_pending(scene->way));
}

/* ---- The upgrade ---- */

static void test_upgrade(void **state)
{
	(void)state;
	struct scene scene;
	char bytes[REQUEST_MAX], expected[128];
	begin(&scene);
	snprintf(expected, sizeof(expected), "GET /mqtt?a=b HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n",
		scene.settings.broker_port);
	assert_memory_equal(scene.request, expected, strlen(expected));
	assert_non_null(strstr(scene.request, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
	assert_non_null(strstr(scene.request, "\r\nSec-WebSocket-Version: 13\r\n"));
	assert_non_null(strstr(scene.request, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
	/* One byte after the other, and the first frame at once behind the last. */
	size_t size = (size_t)snprintf(bytes, sizeof(bytes), GOOD, scene.accept);
	for (size_t i = 0; i + 1 < size; i++) {
		say(&scene, bytes + i, 1);
		way_serve(scene.way, parts_await(scene.way, false, false), clock_ms());
		assert_int_equal(way_state(scene.way), WAY_OPENING);
	}
	memcpy(bytes + size, "\x82\x05hello", 7);
	say(&scene, bytes + size - 1, 8);
	assert_int_equal(parts_open(scene.way), WAY_OPEN);
	assert_true(way_pending(scene.way));
	expect(&scene, "hello");
	end(&scene);
}

static const struct {
	const char *answer; /* %s: the right Sec-WebSocket-Accept */
	const char *expected;
} refusals[] = {
	{"HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\n\r\n",
		"the broker answered HTTP 301 to the WebSocket upgrade at /mqtt?a=b; redirects are not followed"},
	{"HTTP/1.1 200 OK\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		"HTTP 200 to the WebSocket upgrade at /mqtt?a=b; what answers is a web server"},
	{"HTTP/1.1 404 Not Found\r\n\r\nnothing",
		"HTTP 404 to the WebSocket upgrade at /mqtt?a=b; no WebSocket is there: set BROKER_PATH"},
	{"HTTP/1.0 502 Bad Gateway\r\n\r\n", "HTTP 502 to"},
	{"HTTP/1.1 426\r\n\r\n", "HTTP 426 to"},
	{"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	 "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		"Sec-WebSocket-Accept is wrong"},
	{"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		"does not take the subprotocol mqtt"},
	{"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqttv3.1\r\n\r\n",
		"does not take the subprotocol mqtt"},
	{"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		"without the fields of a WebSocket upgrade"},
	{"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		"without the fields of a WebSocket upgrade"},
	{"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n"
	 "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		"a WebSocket extension"},
	{"\x20\x02\x01\x05", "is no HTTP"},
	{"HTTP/1.1 1x1 y\r\n\r\n", "is no HTTP"},
	{"SSH-2.0-OpenSSH\r\n", "is no HTTP"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct scene scene;
		char bytes[REQUEST_MAX];
		begin(&scene);
		const char *place = strstr(refusals[i].answer, "%s");
		const int before =
			place ? (int)(place - refusals[i].answer) : (int)strlen(refusals[i].answer);
		const int size = snprintf(bytes, sizeof(bytes), "%.*s%s%s", before, refusals[i].answer,
			place ? scene.accept : "", place ? place + 2 : "");
		say(&scene, bytes, (size_t)size);
		assert_int_equal(parts_open(scene.way), WAY_FAILED);
		parts_assert_reason(refusals[i].answer, way_reason(scene.way), refusals[i].expected);
		end(&scene);
	}
}

static void test_header_without_end(void **state)
{
	(void)state;
	struct scene scene;
	static const char line[] = "X-Line: 0123456789012345678901234567890123456789\r\n";
	begin(&scene);
	say(&scene, "HTTP/1.1 101 x\r\n", 16);
	for (size_t i = 0; i < 10000 / sizeof(line); i++)
		say(&scene, line, sizeof(line) - 1);
	assert_int_equal(parts_open(scene.way), WAY_FAILED);
	parts_assert_reason("long", way_reason(scene.way), "has more than 8192 bytes");
	end(&scene);
	begin(&scene);
	say(&scene, "HTTP/1.1 101 x\r\n", 16);
	way_serve(scene.way, 0, clock_ms());
	assert_int_equal(way_state(scene.way), WAY_OPENING);
	way_serve(scene.way, 0, way_due_ms(scene.way));
	assert_int_equal(way_state(scene.way), WAY_FAILED);
	assert_string_equal(way_reason(scene.way), "the broker did not answer the WebSocket upgrade in time");
	end(&scene);
	begin(&scene);
	shutdown(scene.fd, SHUT_WR);
	assert_int_equal(parts_open(scene.way), WAY_FAILED);
	parts_assert_reason("closed", way_reason(scene.way), "instead of answering the WebSocket upgrade");
	end(&scene);
}

/* ---- Frames that come ---- */

static void test_fragments(void **state)
{
	(void)state;
	struct scene scene;
	unsigned char pong[128];
	size_t size;
	/* Three fragments with a ping and an unasked pong between them, one of no bytes, and the next message. */
	static const char frames[] = "\x02\x02he\x89\x03you\x00\x00\x8a\x00\x80\x03llo\x82\x01!";
	begin_open(&scene);
	say(&scene, frames, sizeof(frames) - 1);
	expect(&scene, "hello!");
	assert_int_equal(hear_frame(&scene, pong, sizeof(pong), &size), 0x8a);
	assert_int_equal(size, 3);
	assert_memory_equal(pong, "you", 3);
	/* And one byte after the other. */
	char text[7] = "";
	size_t count = 0;
	for (size_t i = 0; i < sizeof(frames) - 1; i++) {
		say(&scene, frames + i, 1);
		const ssize_t got = way_read(scene.way, text + count, 1);
		assert_true(got == 1 || got == -EAGAIN);
		count += got == 1;
	}
	expect(&scene, &"hello!"[count]);
	assert_memory_equal(text, "hello!", count);
	end(&scene);
}

static const struct {
	const char *bytes;
	size_t size;
	const char *expected;
	unsigned code; /* of the close frame that answers */
} bad_frames[] = {
	{"\x82\x81\1\2\3\4x", 7, "a masked frame", WEBSOCKET_PROTOCOL},
	{"\x81\x01x", 3, "a text frame", WEBSOCKET_PROTOCOL},
	{"\xc2\x01x", 3, "reserved bits", WEBSOCKET_PROTOCOL},
	{"\x83\x01x", 3, "unknown kind", WEBSOCKET_PROTOCOL},
	{"\x8b\x01x", 3, "unknown kind", WEBSOCKET_PROTOCOL},
	{"\x80\x01x", 3, "a continuation of nothing", WEBSOCKET_PROTOCOL},
	{"\x02\x01x\x82\x01y", 6, "a message within another", WEBSOCKET_PROTOCOL},
	{"\x82\x7f\x80\0\0\0\0\0\0\0x", 11, "a length of 2^63", WEBSOCKET_PROTOCOL},
	{"\x82\x7e\0\x01x", 5, "not in its shortest form", WEBSOCKET_PROTOCOL},
	{"\x82\x7f\0\0\0\0\x20\0\0\0x", 11, "larger than any MQTT packet", WEBSOCKET_PROTOCOL},
	{"\x89\x7e\0\x7e", 4, "control frame of more than 125 bytes", WEBSOCKET_PROTOCOL},
	{"\x09\x01x", 3, "or in fragments", WEBSOCKET_PROTOCOL},
	{"\x88\x01x", 3, "a close frame of one byte", WEBSOCKET_PROTOCOL},
	{"\x88\x0a\x03\xe9"
	 "go\taway\n",
		12, "the broker closed the WebSocket with code 1001: go?away?", WEBSOCKET_NORMAL},
	{"\x88\x00", 2, "the broker closed the WebSocket without a code", WEBSOCKET_NORMAL},
};

static void test_bad_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_frames) / sizeof(bad_frames[0]); i++) {
		struct scene scene;
		unsigned char bytes[16];
		size_t size;
		ssize_t got;
		begin_open(&scene);
		say(&scene, bad_frames[i].bytes, bad_frames[i].size);
		while ((got = read_once(&scene, bytes, sizeof(bytes))) > 0)
			continue;
		assert_true(got < 0);
		assert_int_equal(way_state(scene.way), WAY_FAILED);
		parts_assert_reason("frame", way_reason(scene.way), bad_frames[i].expected);
		assert_int_equal(hear_frame(&scene, bytes, sizeof(bytes), &size), 0x88);
		assert_int_equal(size, 2);
		assert_int_equal(bytes[0] * 256U + bytes[1], bad_frames[i].code);
		end(&scene);
	}
}

/* The broker does not read the answers: then the newest ping is answered, once there is room, and what comes is read all the same. */
static void test_ping_flood(void **state)
{
	(void)state;
	struct scene scene;
	unsigned char ping[2 + PING_SIZE] = {0x89, PING_SIZE}, byte, pong[128];
	const int buffer = SMALL_BUFFER;
	begin_open(&scene);
	assert_int_equal(
		setsockopt(way_socket(scene.way), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
	for (uint32_t i = 1; i <= PINGS; i++) {
		memcpy(ping + 2, &i, sizeof(i));
		say(&scene, ping, sizeof(ping));
		assert_int_equal(way_read(scene.way, &byte, 1), -EAGAIN);
	}
	say(&scene, "\x82\x01x", 3);
	expect(&scene, "x");
	uint32_t last = 0, count = 0;
	struct pollfd entry = {.fd = scene.fd, .events = POLLIN};
	for (size_t size; last < PINGS; count++) {
		serve_until(&scene, &entry);
		assert_int_equal(hear_frame(&scene, pong, sizeof(pong), &size), 0x8a);
		assert_int_equal(size, PING_SIZE);
		uint32_t number;
		memcpy(&number, pong, sizeof(number));
		assert_true(number > last);
		last = number;
	}
	assert_true(count < PINGS);
	assert_false(way_pending(scene.way));
	end(&scene);
}

/* ---- Frames that go ---- */

/* Takes what has come, a byte stream of masked frames, into `stream`. */
static size_t hear_some(struct scene *scene, unsigned char *stream, size_t room)
{
	const ssize_t got = recv(scene->fd, stream, room, MSG_DONTWAIT);
	assert_true(got > 0 || errno == EAGAIN);
	return got > 0 ? (size_t)got : 0;
}

/* Unmasks the frames of a stream in their places, and puts their payloads one behind the other. */
static size_t unframe(unsigned char *stream, size_t size)
{
	size_t at = 0, count = 0;
	while (at < size) {
		size_t header = 2, length = stream[at + 1] & 0x7f;
		assert_int_equal(stream[at], 0x82);
		assert_true(length < 127);
		if (length == 126) {
			length = (size_t)stream[at + 2] * 256 + stream[at + 3];
			header = 4;
		}
		const unsigned char mask[4] = {stream[at + header], stream[at + header + 1],
			stream[at + header + 2], stream[at + header + 3]};
		at += header + 4;
		for (size_t i = 0; i < length; i++)
			stream[count++] = stream[at + i] ^ mask[i % 4];
		at += length;
	}
	assert_int_equal(at, size);
	return count;
}

/* More than the sockets hold: the writer waits, and its bytes move meanwhile. At the end: close frame, then FIN. */
static void test_writing(void **state)
{
	(void)state;
	struct scene scene;
	static unsigned char sent[LARGE], places[2][LARGE], stream[LARGE + LARGE / 8];
	const int buffer = SMALL_BUFFER;
	begin_open(&scene);
	assert_int_equal(
		setsockopt(way_socket(scene.way), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
	for (size_t i = 0; i < LARGE; i++)
		sent[i] = (unsigned char)(i * 7 + i / 251);
	size_t heard = 0;
	bool waited = false, turn = false;
	for (size_t out = 0; out < LARGE;) {
		turn = !turn;
		memcpy(places[turn], sent + out, LARGE - out);
		const ssize_t taken = way_write(scene.way, places[turn], LARGE - out);
		memset(places[turn], 0, LARGE - out);
		assert_true(taken > 0 || taken == -EAGAIN);
		out += taken > 0 ? (size_t)taken : 0;
		waited |= taken == -EAGAIN;
		if (taken == -EAGAIN)
			heard += hear_some(&scene, stream + heard, sizeof(stream) - heard);
	}
	assert_true(waited);
	/* A close frame goes where there is room for it. */
	for (int queued = 1; queued > 0;) {
		heard += hear_some(&scene, stream + heard, sizeof(stream) - heard);
		assert_int_equal(ioctl(way_socket(scene.way), SIOCOUTQ, &queued), 0);
	}
	way_shutdown(scene.way);
	way_shutdown(scene.way);
	ssize_t got;
	while ((got = recv(scene.fd, stream + heard, sizeof(stream) - heard, 0)) > 0)
		heard += (size_t)got;
	assert_int_equal(got, 0);
	/* FIN, FIN bit and "close", masked, two bytes: 1000. */
	assert_true(heard > 8);
	const unsigned char *last = stream + heard - 8;
	assert_int_equal(last[0], 0x88);
	assert_int_equal(last[1], 0x82);
	assert_int_equal((last[6] ^ last[2]) * 256 + (last[7] ^ last[3]), WEBSOCKET_NORMAL);
	assert_int_equal(unframe(stream, heard - 8), LARGE);
	assert_memory_equal(stream, sent, LARGE);
	end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_header_without_end),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_ping_flood),
		cmocka_unit_test(test_writing),
	};
	return cmocka_run_group_tests(tests, parts_set_up, parts_tear_down);
}
