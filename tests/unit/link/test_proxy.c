/* Tests of proxy.c below way.c: real sockets, and a proxy whose every byte the test writes. A real one: tests/e2e/test_proxy.c. */
#include "proxy.h"

#include "clock.h"
#include "resolver.h"
#include "tls_server.h"
#include "way_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_MAX = 4096, BROKER_PORT = 8883 };

/* Who looked it up here would fail. */
#define BROKER "broker.invalid"

struct scene {
	int listener, fd;
	unsigned port;
	char url[128];
	struct settings settings;
	struct resolver *resolver;
	struct way *way;
	char request[REQUEST_MAX];
};

/* ---- The proxy ---- */

static int listen_at(unsigned *ret_port)
{
	socklen_t size = sizeof(struct sockaddr_in);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return listener;
}

static void say(struct scene *scene, const void *bytes, size_t size)
{
	assert_int_equal(send(scene->fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void say_text(struct scene *scene, const char *text)
{
	say(scene, text, strlen(text));
}

/* Serves the way until the proxy's end can be read. */
static void serve_until(struct scene *scene, int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	while (poll(&entry, 1, 1) == 0) {
		if (way_state(scene->way) == WAY_FAILED)
			fail_msg("%s", way_reason(scene->way));
		way_serve(scene->way, 0, clock_ms());
	}
}

/* Until a whole request has come. */
static void hear_request(struct scene *scene)
{
	memset(scene->request, 0, sizeof(scene->request));
	for (size_t count = 0; !strstr(scene->request, "\r\n\r\n");) {
		serve_until(scene, scene->fd);
		const ssize_t got = recv(scene->fd, scene->request + count, REQUEST_MAX - 1 - count, 0);
		assert_true(got > 0);
		count += (size_t)got;
	}
}

static void prepare(struct scene *scene, const char *login, const char *broker)
{
	*scene = (struct scene){.fd = -1};
	scene->listener = listen_at(&scene->port);
	snprintf(scene->url, sizeof(scene->url), "http://%sproxy.example:%u", login, scene->port);
	scene->settings = parts_settings(broker, BROKER_PORT, false);
	scene->settings.broker_proxy = scene->url;
}

static void start(struct scene *scene)
{
	assert_int_equal(resolver_new(&scene->settings, &scene->resolver), 0);
	scene->way = parts_start(&scene->settings, scene->resolver);
	serve_until(scene, scene->listener);
	scene->fd = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
	const int on = 1;
	assert_int_equal(setsockopt(scene->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	hear_request(scene);
	assert_int_equal(way_state(scene->way), WAY_OPENING);
}

static void begin(struct scene *scene, const char *login)
{
	prepare(scene, login, BROKER);
	start(scene);
}

static void end(struct scene *scene)
{
	way_free(scene->way);
	resolver_free(scene->resolver);
	if (scene->fd >= 0)
		close(scene->fd);
	close(scene->listener);
}

/* ---- The request ---- */

static void test_requests(void **state)
{
	(void)state;
	static const struct {
		const char *login, *broker, *expected;
	} cases[] = {
		{"", BROKER, "CONNECT broker.invalid:8883 HTTP/1.1\r\nHost: broker.invalid:8883\r\n\r\n"},
		{"", "2001:db8::1",
			"CONNECT [2001:db8::1]:8883 HTTP/1.1\r\nHost: [2001:db8::1]:8883\r\n\r\n"},
		/* The one of RFC 7617, section 2. */
		{"Aladdin:open%20sesame@", BROKER,
			"CONNECT broker.invalid:8883 HTTP/1.1\r\nHost: broker.invalid:8883\r\n"
			"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene;
		prepare(&scene, cases[i].login, cases[i].broker);
		start(&scene);
		assert_string_equal(scene.request, cases[i].expected);
		end(&scene);
	}
}

/* ---- Answers that let through ---- */

static void expect(struct scene *scene, const char *text)
{
	char bytes[64] = "";
	for (size_t count = 0; count < strlen(text);) {
		const ssize_t got = way_read(scene->way, bytes + count, sizeof(bytes) - 1 - count);
		if (got == -EAGAIN)
			(void)parts_await(scene->way, true, false);
		else
			assert_true(got > 0);
		count += got > 0 ? (size_t)got : 0;
	}
	assert_string_equal(bytes, text);
	assert_int_equal(way_read(scene->way, bytes, 1), -EAGAIN);
}

/* One byte after the other, and what is behind the last one comes with it. */
static void test_answers(void **state)
{
	(void)state;
	static const char *const answers[] = {
		"HTTP/1.1 200 Connection established\r\n\r\n",
		"HTTP/1.0 200 OK\r\nProxy-agent: tinyproxy\r\nContent-Length: 1000\r\n\r\n",
		"HTTP/1.1 299\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Soon\r\nX: y\r\n\r\nHTTP/1.1 200 \r\n\r\n",
	};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct scene scene;
		char last[8];
		const size_t size = strlen(answers[i]);
		begin(&scene, "");
		for (size_t at = 0; at + 1 < size; at++) {
			say(&scene, answers[i] + at, 1);
			way_serve(scene.way, parts_await(scene.way, false, false), clock_ms());
			assert_int_equal(way_state(scene.way), WAY_OPENING);
		}
		snprintf(last, sizeof(last), "%cbehind", answers[i][size - 1]);
		say_text(&scene, last);
		assert_int_equal(parts_open(scene.way), WAY_OPEN);
		expect(&scene, "behind");
		assert_int_equal(way_write(scene.way, "there", 5), 5);
		assert_int_equal(recv(scene.fd, last, 5, MSG_WAITALL), 5);
		assert_memory_equal(last, "there", 5);
		end(&scene);
	}
}

/* All at once, that of the WebSocket too, which has not been asked for yet. */
static void test_websocket_follows(void **state)
{
	(void)state;
	struct scene scene;
	prepare(&scene, "", BROKER);
	scene.settings.broker_transport = BROKER_TRANSPORT_WEBSOCKET;
	start(&scene);
	say_text(&scene, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n");
	hear_request(&scene);
	assert_non_null(strstr(
		scene.request, "GET /mqtt HTTP/1.1\r\nHost: broker.invalid:8883\r\nUpgrade: websocket\r\n"));
	assert_null(strstr(scene.request, "Proxy"));
	assert_int_equal(parts_open(scene.way), WAY_FAILED);
	parts_assert_reason(
		"WebSocket", way_reason(scene.way), "the broker answered HTTP 404 to the WebSocket upgrade");
	end(&scene);
}

/* ---- TLS behind it ---- */

static void pump(int from, int to)
{
	char bytes[4096];
	const ssize_t got = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got > 0)
		assert_int_equal(send(to, bytes, (size_t)got, MSG_NOSIGNAL), got);
}

/* Until it has failed, or a byte has been to the broker and back. */
static bool echoes(struct scene *scene, int broker)
{
	const int64_t until_ms = clock_ms() + PARTS_PATIENCE_MS;
	ssize_t written = -EAGAIN;
	char byte;
	while (way_state(scene->way) != WAY_FAILED) {
		struct pollfd entries[] = {
			{.fd = scene->fd, .events = POLLIN}, {.fd = broker, .events = POLLIN}};
		assert_true(clock_ms() < until_ms);
		(void)poll(entries, 2, 1);
		pump(scene->fd, broker);
		pump(broker, scene->fd);
		way_serve(scene->way, 0, clock_ms());
		if (way_state(scene->way) == WAY_OPEN && written == -EAGAIN)
			written = way_write(scene->way, "x", 1);
		if (written == 1 && way_read(scene->way, &byte, 1) == 1)
			return byte == 'x';
	}
	return false;
}

/* The certificate has to be the broker's, not the proxy's. */
static void test_tls_follows(void **state)
{
	(void)state;
	static const struct {
		const char *san, *expected;
	} cases[] = {
		{"DNS:broker.invalid", NULL},
		{"DNS:proxy.example", "the broker's certificate is not for broker.invalid"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct certificate certificate =
			certificate_new(parts_folder, "behind", "x", cases[i].san, &parts_authority, NULL);
		struct server *server = server_start(SERVER_TLS, &certificate, NULL);
		struct sockaddr_in address = {.sin_family = AF_INET,
			.sin_port = htons((uint16_t)server_port(server)),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		const int broker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char name[256];
		struct scene scene;
		assert_int_equal(connect(broker, (struct sockaddr *)&address, sizeof(address)), 0);
		prepare(&scene, "", BROKER);
		scene.settings.broker_tls = true;
		start(&scene);
		say_text(&scene, "HTTP/1.1 200 OK\r\n\r\n");
		assert_int_equal(echoes(&scene, broker), !cases[i].expected);
		parts_assert_reason(cases[i].san, way_reason(scene.way), cases[i].expected);
		end(&scene);
		close(broker);
		server_stop_name(server, name);
		if (!cases[i].expected)
			assert_string_equal(name, BROKER);
	}
}

/* ---- Answers that do not ---- */

#define MANY_X "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *login, *answer, *expected;
} refusals[] = {
	{"", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"a, b\"\r\n\r\n",
		" answered HTTP 407 (Proxy Authentication Required) to CONNECT broker.invalid:8883; it wants a login: set BROKER_PROXY to "
		"http://USER:PASSWORD@HOST:PORT"},
	{"", "HTTP/1.1 407 no\r\n\r\n<html>", "it wants a login"},
	{"u:hunter22@",
		"HTTP/1.1 407 no\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Digest realm=a, basic realm=b\r\n\r\n",
		"it does not take the user and the password in BROKER_PROXY"},
	{"u:hunter22@", "HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"Tinyproxy\"\r\n\r\n",
		"HTTP 401 (Unauthorized) to CONNECT broker.invalid:8883; it does not take the user and the password in BROKER_PROXY"},
	{"u:hunter22@",
		"HTTP/1.1 407 no\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basically\r\n\r\n",
		"it wants a login of another kind than Basic"},
	{"", "HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\n\r\n",
		"answered HTTP 302 (Found) to CONNECT broker.invalid:8883; redirects are not followed"},
	{"", "HTTP/1.1 403 Access violation\r\n\r\n",
		"it must be told to let CONNECT through to this host and port"},
	{"", "HTTP/1.1 405 Method Not Allowed\r\n\r\n", "is CONNECT switched on there?"},
	{"", "HTTP/1.1 400\r\n\r\n",
		"answered HTTP 400 to CONNECT broker.invalid:8883; does BROKER_PROXY name an HTTP proxy"},
	{"", "HTTP/1.1 503 " MANY_X MANY_X "\r\n\r\n",
		"x) to CONNECT broker.invalid:8883; it cannot reach the broker"},
	{"", "HTTP/1.0 500 \x1b[31mUnable\tto connect\r\n\r\n",
		"HTTP 500 (?[31mUnable?to connect) to CONNECT"},
	{"", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "answered HTTP 101 (Switching Protocols)"},
	{"", "HTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 100 on\r\n\r\n",
		"answered HTTP 100 (on)"},
	{"", "\x15\x03\x03\x00\x02\x02\x46",
		"is no HTTP: expected an HTTP proxy without TLS in BROKER_PROXY"},
	{"", "SSH-2.0-OpenSSH\r\n", "is no HTTP"},
	{"", "HTTP/1.1 2x0 y\r\n\r\n", "is no HTTP"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct scene scene;
		char name[64];
		begin(&scene, refusals[i].login);
		say_text(&scene, refusals[i].answer);
		assert_int_equal(parts_open(scene.way), WAY_FAILED);
		parts_assert_reason(refusals[i].answer, way_reason(scene.way), refusals[i].expected);
		snprintf(name, sizeof(name), "the proxy proxy.example:%u", scene.port);
		parts_assert_reason(refusals[i].answer, way_reason(scene.way),
			strstr(refusals[i].expected, "no HTTP") ? name + strlen("the ") : name);
		assert_null(strstr(way_reason(scene.way), "hunter"));
		end(&scene);
	}
}

/* ---- No answer ---- */

static void test_header_without_end(void **state)
{
	(void)state;
	struct scene scene;
	static const char line[] = "X-Line: 0123456789012345678901234567890123456789\r\n";
	begin(&scene, "");
	say_text(&scene, "HTTP/1.1 200 x\r\n");
	for (size_t i = 0; i < 10000 / sizeof(line); i++)
		say_text(&scene, line);
	assert_int_equal(parts_open(scene.way), WAY_FAILED);
	parts_assert_reason("long", way_reason(scene.way), "has more than 8192 bytes");
	end(&scene);
}

static void test_silence(void **state)
{
	(void)state;
	struct scene scene;
	char expected[128];
	for (int gives_up = 0; gives_up <= 1; gives_up++) {
		begin(&scene, "");
		say_text(&scene, "HTTP/1.1 200 x\r\n");
		way_serve(scene.way, 0, clock_ms());
		assert_int_equal(way_state(scene.way), WAY_OPENING);
		assert_true(way_due_ms(scene.way) <= clock_ms() + WAY_SHAKE_MS);
		if (gives_up)
			way_give_up(scene.way);
		else
			way_serve(scene.way, 0, way_due_ms(scene.way));
		assert_int_equal(way_state(scene.way), WAY_FAILED);
		snprintf(expected, sizeof(expected),
			"the proxy proxy.example:%u: it did not answer CONNECT in time", scene.port);
		assert_string_equal(way_reason(scene.way), expected);
		way_give_up(scene.way);
		assert_string_equal(way_reason(scene.way), expected);
		end(&scene);
	}
}

static void test_closed(void **state)
{
	(void)state;
	const struct linger reset = {.l_onoff = 1};
	for (int by_reset = 0; by_reset <= 1; by_reset++) {
		struct scene scene;
		begin(&scene, "");
		if (by_reset)
			assert_int_equal(
				setsockopt(scene.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		else
			say_text(&scene, "HTTP/1.1 200 x\r\n");
		close(scene.fd);
		scene.fd = -1;
		assert_int_equal(parts_open(scene.way), WAY_FAILED);
		parts_assert_reason("closed", way_reason(scene.way),
			"closed the connection instead of answering CONNECT");
		end(&scene);
	}
}

static void test_no_proxy_there(void **state)
{
	(void)state;
	char url[64], reason[TLS_REASON_SIZE], expected[128];
	unsigned port;
	close(listen_at(&port));
	struct settings settings = parts_settings(BROKER, BROKER_PORT, false);
	snprintf(url, sizeof(url), "http://[::ffff:127.0.0.1]:%u", port);
	settings.broker_proxy = url;
	parts_try(&settings, reason);
	snprintf(expected, sizeof(expected), "the proxy [::ffff:127.0.0.1]:%u: Connection refused", port);
	assert_string_equal(reason, expected);
	settings.broker_proxy = "http://u:hunter22@proxy.invalid:3128";
	parts_try(&settings, reason);
	parts_assert_reason("name", reason, "the host in BROKER_PROXY, proxy.invalid cannot be resolved: ");
}

static void test_lookup_hangs(void **state)
{
	(void)state;
	struct settings settings = parts_settings(BROKER, BROKER_PORT, false);
	struct resolver *resolver = NULL;
	settings.broker_proxy = "http://" HANGS ":3128";
	assert_int_equal(resolver_new(&settings, &resolver), 0);
	struct way *way = parts_start(&settings, resolver);
	sem_wait(&parts_lookup_begun);
	way_serve(way, 0, way_due_ms(way));
	assert_int_equal(way_state(way), WAY_FAILED);
	assert_string_equal(way_reason(way), "the host in BROKER_PROXY was not resolved in time");
	way_free(way);
	resolver_free(resolver);
	sem_post(&parts_lookup_goes_on);
	sem_wait(&parts_lookup_over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_websocket_follows),
		cmocka_unit_test(test_tls_follows),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_header_without_end),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_no_proxy_there),
		cmocka_unit_test(test_lookup_hangs),
	};
	return cmocka_run_group_tests(tests, parts_set_up, parts_tear_down);
}
