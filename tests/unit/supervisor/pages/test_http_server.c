/*
 * test_http_server.c - http_server.c, over real sockets: what is answered, and clients that mean no
 * good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "http_server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_SIZE = 256 * 1024, WAIT_MS = 60000, LARGE = 100 * 1024 };

static unsigned write_hello(struct view *view, FILE *out)
{
	(void)view;
	fputs("hello\n", out);
	return HTTP_OK;
}

static unsigned write_trouble(struct view *view, FILE *out)
{
	(void)view;
	fputs("trouble\n", out);
	return HTTP_UNAVAILABLE;
}

static unsigned write_large(struct view *view, FILE *out)
{
	(void)view;
	for (int i = 0; i < LARGE; i++)
		fputc('x', out);
	return HTTP_OK;
}

static const struct http_page pages[] = {
	{.path = "/hello", .content_type = "text/plain; version=7", .write = write_hello},
	{.path = "/trouble", .content_type = "text/plain", .write = write_trouble},
	{.path = "/large", .content_type = "text/plain", .write = write_large},
	{.path = "/local", .content_type = "text/plain", .local_only = true, .write = write_hello},
	{.path = NULL},
};

static struct http_server *http;
static char answer[ANSWER_SIZE];

static int begin(void **state)
{
	(void)state;
	return http_server_open(
		&(const struct http_options){
			.address = "127.0.0.1:0", .names = "good.example.com", .pages = pages},
		&http);
}

static int end(void **state)
{
	(void)state;
	http_server_close(http);
	http = NULL;
	return 0;
}

/* ---- A client ---- */

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int dial(unsigned port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((in_port_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Reads until the other side closes, or resets. Returns how much came. */
static size_t drain(int fd)
{
	size_t size = 0;
	for (;;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
		const ssize_t got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0);
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	answer[size] = '\0';
	close(fd);
	return size;
}

static void ask(const char *request)
{
	const int fd = dial(http_server_port(http));
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	(void)drain(fd);
}

/* ---- What is answered ---- */

static void test_answers(void **state)
{
	(void)state;
	static const struct {
		const char *name, *request, *status, *holds, *holds_not;
	} cases[] = {
		{"a page", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "200", "\r\n\r\nhello\n", NULL},
		{"its type", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "200",
			"Content-Type: text/plain; version=7\r\n", NULL},
		{"nobody keeps a copy", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "200",
			"Cache-Control: no-store\r\n", NULL},
		{"one request each",
			"GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "200",
			"Connection: close\r\n", NULL},
		{"HTTP/1.0", "GET /hello HTTP/1.0\r\n\r\n", "200", "hello\n", NULL},
		{"a query is not looked at", "GET /hello?a=b HTTP/1.1\r\nHost: x\r\n\r\n", "200", "hello\n",
			NULL},
		{"the head alone", "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n", "200", "Content-Length: 6\r\n",
			"hello\n"},
		{"its own status", "GET /trouble HTTP/1.1\r\nHost: x\r\n\r\n", "503", "trouble\n", NULL},
		{"no such page", "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "404",
			"/hello\n/trouble\n/large\n", NULL},
		{"no root either", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404", "there is no such page", NULL},
		{"no way round", "GET /../hello HTTP/1.1\r\nHost: x\r\n\r\n", "404", "there is no such page",
			NULL},
		{"POST", "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "405",
			"Allow: GET, HEAD\r\n", NULL},
		{"DELETE", "DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n", "405", "only GET and HEAD", NULL},
		{"a word of its own", "BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n", "405", "only GET and HEAD",
			NULL},
		{"for this machine", "GET /local HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", "200", "hello\n",
			NULL},
		{"asked by another name", "GET /local HTTP/1.1\r\nHost: x\r\n\r\n", "403",
			"clients on the same machine", NULL},
		{"forwarded by a proxy",
			"GET /local HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n", "403",
			"a proxy passes this request on", NULL},
		{"forwarded, as RFC 7239 has it",
			"GET /local HTTP/1.1\r\nHost: 127.0.0.1\r\nForwarded: for=10.0.0.1\r\n\r\n", "403",
			"a proxy passes this request on", NULL},
		{"forwarded, without a name", "GET /local HTTP/1.1\r\nHost: 127.0.0.1\r\nforwarded:\r\n\r\n",
			"403", "a proxy passes this request on", NULL},
		{"a page for all, forwarded",
			"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n", "200",
			"hello\n", NULL},
		{"a stranger's name for us", "GET /hello HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", "403",
			"METRICS_HOSTS", "hello\n"},
		{"a stranger's name for us, and a port",
			"GET /trouble HTTP/1.1\r\nHost: evil.example.com:9883\r\n\r\n", "403",
			"METRICS_HOSTS", "trouble\n"},
		{"a stranger learns of no page", "GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", "403",
			"METRICS_HOSTS", "/hello"},
		{"a name that we have given", "GET /hello HTTP/1.1\r\nHost: good.example.com:9883\r\n\r\n",
			"200", "hello\n", NULL},
		{"it is no way to what is local", "GET /local HTTP/1.1\r\nHost: good.example.com\r\n\r\n",
			"403", "clients on the same machine", NULL},
		{"no HTTP at all", "hello\r\n\r\n", "", NULL, "hello\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char status[32] = "";
		print_message("  %s\n", cases[i].name);
		ask(cases[i].request);
		if (cases[i].status[0] != '\0')
			snprintf(status, sizeof(status), "HTTP/1.1 %s ", cases[i].status);
		assert_memory_equal(answer, status, strlen(status));
		if (cases[i].holds)
			assert_non_null(strstr(answer, cases[i].holds));
		if (cases[i].holds_not)
			assert_null(strstr(answer, cases[i].holds_not));
	}
}

static void test_large_page(void **state)
{
	(void)state;
	ask("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
	const char *body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(strlen(body + 4), LARGE);
}

static void test_endless_head(void **state)
{
	(void)state;
	const int fd = dial(http_server_port(http));
	static const char first[] = "GET /hello HTTP/1.1\r\n",
			  line[] = "X-More: and more and more and more\r\n";
	ssize_t sent = send(fd, first, strlen(first), MSG_NOSIGNAL);
	for (int i = 0; i < 100000 && sent > 0; i++)
		sent = send(fd, line, strlen(line), MSG_NOSIGNAL);
	(void)drain(fd);
	assert_null(strstr(answer, "hello\n"));
	ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(answer, "hello\n"));
}

/* ---- Clients that stay ---- */

/* Until the last byte was sent so many milliseconds ago. */
static void wait_idle(int fd, unsigned idle_ms)
{
	struct tcp_info info = {.tcpi_state = 0};
	socklen_t size = sizeof(info);
	while (info.tcpi_last_data_sent < idle_ms) {
		(void)poll(NULL, 0, 5);
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	}
}

/* As many as there may be, who send a byte and no more: each that comes then is answered, and closes the one that was idle for longest. */
static void test_the_longest_idle_makes_room(void **state)
{
	(void)state;
	enum { MORE = 16, LAST = 3 };
	int guests[HTTP_CONNECTIONS];
	for (int i = 0; i < HTTP_CONNECTIONS; i++) {
		if (i ==
			HTTP_CONNECTIONS -
				LAST) /* the kernel counts in jiffies, and one may pass while the server looks from one to the next */
			wait_idle(guests[i - 1], 50);
		guests[i] = dial(http_server_port(http));
		assert_int_equal(send(guests[i], "G", 1, MSG_NOSIGNAL), 1);
	}
	wait_idle(guests[HTTP_CONNECTIONS - 1], 50);
	/* Who came first says something more: so it is not the longest idle one. */
	assert_int_equal(send(guests[0], "ET /hello HTTP/1.1\r\n", 20, MSG_NOSIGNAL), 20);
	for (int i = 0; i < MORE; i++) {
		ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_non_null(strstr(answer, "hello\n"));
	}
	/* One that was answered has left by itself, or is about to: of the silent ones some went, those who came last not. */
	assert_int_equal(drain(guests[1]), 0);
	for (int i = HTTP_CONNECTIONS - 1; i > 0 && i >= HTTP_CONNECTIONS - LAST; i--) {
		struct pollfd readable = {.fd = guests[i], .events = POLLIN};
		assert_int_equal(poll(&readable, 1, 0), 0);
	}
	assert_int_equal(send(guests[0], "Host: x\r\n\r\n", 11, MSG_NOSIGNAL), 11);
	assert_true(drain(guests[0]) > 0);
	assert_non_null(strstr(answer, "hello\n"));
	for (int i = 2; i < HTTP_CONNECTIONS; i++)
		close(guests[i]);
}

/* Who sends a byte now and then is never idle: the caller's clock ends it. */
static void test_the_old_are_cut_off(void **state)
{
	(void)state;
	const int fd = dial(http_server_port(http));
	assert_int_equal(send(fd, "G", 1, MSG_NOSIGNAL), 1);
	bool closed = false;
	for (int64_t until_ms = now_ms() + WAIT_MS; !closed && now_ms() < until_ms;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		http_server_look(http, now_ms() + HTTP_AGE_MS);
		closed = poll(&readable, 1, 10) == 1;
		(void)send(fd, "G", 1, MSG_NOSIGNAL);
	}
	assert_true(closed);
	assert_int_equal(drain(fd), 0);
}

static void test_one_that_is_young_stays(void **state)
{
	(void)state;
	const int fd = dial(http_server_port(http));
	assert_int_equal(send(fd, "GET /hello HT", 13, MSG_NOSIGNAL), 13);
	ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	http_server_look(http, now_ms());
	assert_int_equal(send(fd, "TP/1.1\r\nHost: x\r\n\r\n", 19, MSG_NOSIGNAL), 19);
	(void)drain(fd);
	assert_non_null(strstr(answer, "hello\n"));
}

static void test_close_with_guests(void **state)
{
	(void)state;
	const int fd = dial(http_server_port(http));
	assert_int_equal(send(fd, "GET /hello HT", 13, MSG_NOSIGNAL), 13);
	ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	http_server_close(http);
	http = NULL;
	assert_int_equal(drain(fd), 0);
}

/* ---- The address ---- */

static void test_port_is_taken(void **state)
{
	(void)state;
	struct http_server *second = NULL;
	char address[HTTP_ADDRESS_TEXT_SIZE];
	const unsigned port = http_server_port(http);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	const struct http_options options = {.address = address, .pages = pages};
	assert_int_equal(http_server_open(&options, &second), 0);
	assert_int_equal(http_server_port(second), 0);
	/* Not tried before its time, then in vain, then it is free. */
	http_server_look(second, now_ms());
	http_server_look(second, now_ms() + HTTP_AGAIN_MS);
	assert_int_equal(http_server_port(second), 0);
	http_server_close(http);
	http = second;
	http_server_look(http, now_ms() + 3 * HTTP_AGAIN_MS);
	assert_int_equal(http_server_port(http), port);
	ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(answer, "hello\n"));
}

static void test_off(void **state)
{
	(void)state;
	static const char *const texts[] = {"off", ""};
	for (size_t i = 0; i < 2; i++) {
		struct http_server *off = NULL;
		const struct http_options options = {.address = texts[i], .pages = pages};
		assert_int_equal(http_server_open(&options, &off), 0);
		http_server_look(off, now_ms() + 10 * HTTP_AGAIN_MS);
		assert_int_equal(http_server_port(off), 0);
		http_server_close(off);
	}
	http_server_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, begin, end),
		cmocka_unit_test_setup_teardown(test_large_page, begin, end),
		cmocka_unit_test_setup_teardown(test_endless_head, begin, end),
		cmocka_unit_test_setup_teardown(test_the_longest_idle_makes_room, begin, end),
		cmocka_unit_test_setup_teardown(test_the_old_are_cut_off, begin, end),
		cmocka_unit_test_setup_teardown(test_one_that_is_young_stays, begin, end),
		cmocka_unit_test_setup_teardown(test_close_with_guests, begin, end),
		cmocka_unit_test_setup_teardown(test_port_is_taken, begin, end),
		cmocka_unit_test(test_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
