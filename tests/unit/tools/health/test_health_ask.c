/* Tests of health_ask.c: a server that answers as the case says, or not at all. */
#include "health_ask.h"

#include "http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MARGIN_MS = 10000 /* a machine that has much else to do */ };

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Listens on a free port of that host, as METRICS_ADDR has it. */
static int listen_at(int family, const char *host, struct http_address *ret)
{
	struct sockaddr_in six_or_four;
	struct http_address free_port;
	char text[64];
	socklen_t size = sizeof(struct sockaddr_storage);
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1; /* no IPv6 here */
	snprintf(text, sizeof(text), "%s:0", host);
	assert_int_equal(http_address_read(text, &free_port), 0);
	if (bind(fd, (const struct sockaddr *)&free_port.socket, free_port.size) != 0) {
		close(fd);
		return -1;
	}
	assert_return_code(listen(fd, 4), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&free_port.socket, &size), errno);
	memcpy(&six_or_four, &free_port.socket, sizeof(six_or_four)); /* the port is at the same place */
	snprintf(text, sizeof(text), "%s:%u", host, (unsigned)ntohs(six_or_four.sin_port));
	assert_int_equal(http_address_read(text, ret), 0);
	return fd;
}

/* Serves one connection: reads the request, which must begin so, and writes the answer. A process of its own. */
static pid_t serve(int listener, const char *request, const char *answer)
{
	const pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid != 0)
		return pid;
	char got[1024];
	const int fd = accept(listener, NULL, NULL);
	const ssize_t size = fd >= 0 ? read(fd, got, sizeof(got) - 1) : -1;
	if (size < 0)
		_exit(1);
	got[size] = '\0';
	if (strncmp(got, request, strlen(request)) != 0)
		_exit(2);
	if (write(fd, answer, strlen(answer)) != (ssize_t)strlen(answer))
		_exit(3);
	close(fd);
	_exit(0);
}

static void reap(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		int family;
		const char *address, *path, *request, *answer, *text; /* text: a part of what is said */
		bool good;
	} cases[] = {
		{"well", AF_INET, "127.0.0.1", "/healthz", "GET /healthz HTTP/1.1\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", "ok", true},
		{"ready, at all addresses", AF_INET, "0.0.0.0", "/readyz", "GET /readyz HTTP/1.1\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n", "ready", true},
		{"IPv6", AF_INET6, "[::1]", "/healthz", "GET /healthz HTTP/1.1\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", "ok", true},
		{"IPv6, at all addresses", AF_INET6, "[::]", "/healthz", "GET /healthz HTTP/1.1\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", "ok", true},
		{"not ready", AF_INET, "127.0.0.1", "/readyz", "GET /readyz HTTP/1.1\r\n",
			"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 24\r\n\r\nhost: it is starting\n...",
			"/readyz answers 503: host: it is starting\n...", false},
		{"something else listens there", AF_INET, "127.0.0.1", "/healthz",
			"GET /healthz HTTP/1.1\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "/healthz: ", false},
		{"a page that leads away", AF_INET, "127.0.0.1", "/healthz", "GET /healthz HTTP/1.1\r\n",
			"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
			"/healthz answers 302: ", false},
	};
	(void)state;
	/* Nothing that is set for others leads the question elsewhere. */
	assert_return_code(setenv("http_proxy", "http://127.0.0.1:1", 1), errno);
	assert_return_code(setenv("all_proxy", "http://127.0.0.1:1", 1), errno);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[HEALTH_TEXT_SIZE];
		struct http_address address;
		print_message("  %s\n", cases[i].name);
		const int listener = listen_at(cases[i].family, cases[i].address, &address);
		if (listener < 0 && cases[i].family == AF_INET6)
			continue;
		assert_return_code(listener, errno);
		const pid_t server = serve(listener, cases[i].request, cases[i].answer);
		const bool good = health_ask(&address, cases[i].path, text);
		reap(server);
		close(listener);
		if (good != cases[i].good)
			fail_msg("%s", text);
		if (good)
			assert_string_equal(text, cases[i].text);
		else if (!strstr(text, cases[i].text))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].text, text);
	}
}

static void test_long_answer(void **state)
{
	(void)state;
	enum { SIZE = 100 * 1024 };
	static char answer[SIZE + 128];
	char text[HEALTH_TEXT_SIZE];
	struct http_address address;
	const int begun =
		snprintf(answer, sizeof(answer), "HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n", SIZE);
	memset(answer + begun, 'x', SIZE);
	const int listener = listen_at(AF_INET, "127.0.0.1", &address);
	assert_return_code(listener, errno);
	const pid_t server = serve(listener, "GET /healthz ", answer);
	assert_false(health_ask(&address, "/healthz", text));
	reap(server);
	close(listener);
	assert_in_range(strlen(text), 1000, HEALTH_TEXT_SIZE - 1);
}

static void test_nothing_listens(void **state)
{
	(void)state;
	char text[HEALTH_TEXT_SIZE];
	struct http_address address;
	const int listener = listen_at(AF_INET, "127.0.0.1", &address);
	assert_return_code(listener, errno);
	close(listener);
	assert_false(health_ask(&address, "/healthz", text));
	assert_non_null(strstr(text, "/healthz: "));
	assert_non_null(strstr(text, "connect"));
}

/* The kernel takes the connection, and nobody answers. */
static void test_silence(void **state)
{
	(void)state;
	char text[HEALTH_TEXT_SIZE];
	struct http_address address;
	const int listener = listen_at(AF_INET, "127.0.0.1", &address);
	assert_return_code(listener, errno);
	const int64_t from_ms = now_ms();
	assert_false(health_ask(&address, "/healthz", text));
	assert_in_range(now_ms() - from_ms, HEALTH_MS - 100, HEALTH_MS + MARGIN_MS);
	close(listener);
	assert_non_null(strstr(text, "timed out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_nothing_listens),
		cmocka_unit_test(test_silence),
	};
	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
