/*
 * Tests of tcp.c: which address is tried when, and which one wins. Addresses of 127.0.0.0/8, each of which has ports of its own.
 *
 * A listener whose queue is full stands for an address that does not answer: the kernel drops what comes.
 */
#include "tcp.h"

#include "clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ADDRESSES_MAX = 4, FILLERS = 4, PATIENCE_MS = 20000 };

/* ---- Help ---- */

struct listener {
	int socket;
	int fillers[FILLERS];
	struct sockaddr_in address;
};

static void listen_at(struct listener *listener, const char *address, in_port_t port, int queue)
{
	*listener = (struct listener){.address = {.sin_family = AF_INET, .sin_port = port}};
	memset(listener->fillers, 0xff, sizeof(listener->fillers));
	socklen_t size = sizeof(listener->address);
	assert_int_equal(inet_pton(AF_INET, address, &listener->address.sin_addr), 1);
	listener->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener->socket, (struct sockaddr *)&listener->address, size), 0);
	assert_int_equal(listen(listener->socket, queue), 0);
	assert_int_equal(getsockname(listener->socket, (struct sockaddr *)&listener->address, &size), 0);
}

/* Until nobody else can connect. */
static void fill(struct listener *listener)
{
	for (unsigned i = 0; i < FILLERS; i++) {
		listener->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(listener->fillers[i], (struct sockaddr *)&listener->address,
			sizeof(listener->address));
	}
	struct pollfd entry = {.fd = listener->fillers[0], .events = POLLOUT};
	assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
}

static void stop(struct listener *listener)
{
	for (unsigned i = 0; i < FILLERS; i++)
		if (listener->fillers[i] >= 0)
			close(listener->fillers[i]);
	close(listener->socket);
}

/* A list as getaddrinfo() makes it, of up to four addresses with one port. */
struct list {
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	struct addrinfo entries[ADDRESSES_MAX];
};

static const struct addrinfo *list_of(struct list *list, const char *const *addresses, in_port_t port)
{
	memset(list, 0, sizeof(*list));
	unsigned i = 0;
	for (; i < ADDRESSES_MAX && addresses[i]; i++) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&list->addresses[i];
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&list->addresses[i];
		const bool is_v4 = inet_pton(AF_INET, addresses[i], &v4->sin_addr) == 1;
		if (!is_v4)
			assert_int_equal(inet_pton(AF_INET6, addresses[i], &v6->sin6_addr), 1);
		list->addresses[i].ss_family = is_v4 ? AF_INET : AF_INET6;
		*(is_v4 ? &v4->sin_port : &v6->sin6_port) = port;
		list->entries[i] = (struct addrinfo){.ai_family = is_v4 ? AF_INET : AF_INET6,
			.ai_socktype = SOCK_STREAM,
			.ai_addr = (struct sockaddr *)&list->addresses[i],
			.ai_addrlen = is_v4 ? sizeof(*v4) : sizeof(*v6)};
		if (i > 0)
			list->entries[i - 1].ai_next = &list->entries[i];
	}
	return i > 0 ? list->entries : NULL;
}

/* Until it is over, as an owner does. */
static int finish(struct tcp *tcp, int *ret_socket)
{
	const int64_t until_ms = clock_ms() + PATIENCE_MS;
	int rc;
	while ((rc = tcp_serve(tcp, clock_ms(), ret_socket)) == -EAGAIN) {
		struct pollfd entry = {.fd = tcp_poll_fd(tcp), .events = POLLIN};
		const int64_t wait_ms = tcp_due_ms(tcp) - clock_ms();
		(void)poll(&entry, 1, wait_ms > 0 ? (int)wait_ms : 0);
		assert_true(clock_ms() < until_ms);
	}
	return rc;
}

static void assert_peer(const char *name, int socket, const char *expected)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	char text[NI_MAXHOST];
	assert_int_equal(getpeername(socket, (struct sockaddr *)&peer, &size), 0);
	assert_int_equal(
		getnameinfo((struct sockaddr *)&peer, size, text, sizeof(text), NULL, 0, NI_NUMERICHOST), 0);
	if (strcmp(text, expected) != 0)
		fail_msg("%s: connected to %s where %s is expected", name, text, expected);
}

static bool has_ipv6(void)
{
	const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe >= 0)
		close(probe);
	return probe >= 0;
}

/* ---- Tests ---- */

struct race {
	const char *name, *addresses[ADDRESSES_MAX + 1], *expected;
	int rc;
	int64_t min_ms, max_ms; /* how long it takes; 0: not looked at */
	bool needs_ipv6;
};

static void run_race(const struct race *race, in_port_t port)
{
	struct list list;
	struct tcp *tcp = NULL;
	int socket = -1;
	const int64_t begun_ms = clock_ms();
	assert_int_equal(tcp_new(list_of(&list, race->addresses, port), begun_ms, &tcp), 0);
	const int rc = finish(tcp, &socket);
	const int64_t took_ms = clock_ms() - begun_ms;
	tcp_free(tcp);
	if (rc != race->rc)
		fail_msg("%s: %d where %d is expected", race->name, rc, race->rc);
	if (took_ms < race->min_ms || (race->max_ms != 0 && took_ms >= race->max_ms))
		fail_msg("%s: took %d ms", race->name, (int)took_ms);
	if (!race->expected)
		return;
	assert_peer(race->name, socket, race->expected);
	int delayed = 1;
	socklen_t size = sizeof(delayed);
	assert_int_equal(getsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &delayed, &size), 0);
	assert_int_not_equal(delayed, 0);
	char byte;
	assert_int_equal(recv(socket, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(socket);
}

/* Somebody listens on 127.0.0.1 and 127.0.0.4; nobody on 127.0.0.2; 127.0.0.3 does not answer. */
static void test_race(void **state)
{
	(void)state;
	static const struct race cases[] = {
		{"one", {"127.0.0.1"}, "127.0.0.1", 0, 0, 0},
		{"first of two", {"127.0.0.4", "127.0.0.1"}, "127.0.0.4", 0, 0, 0},
		{"nobody at the first", {"127.0.0.2", "127.0.0.1"}, "127.0.0.1", 0, 0, TCP_NEXT_MS},
		{"no answer from the first", {"127.0.0.3", "127.0.0.1"}, "127.0.0.1", 0, TCP_NEXT_MS, 0},
		{"no answer, nobody, somebody", {"127.0.0.3", "127.0.0.2", "127.0.0.4"}, "127.0.0.4", 0,
			TCP_NEXT_MS, 2 * TCP_NEXT_MS},
		{"nobody of IPv6", {"::1", "127.0.0.1"}, "127.0.0.1", 0, 0, TCP_NEXT_MS},
		{"families take turns", {"127.0.0.3", "127.0.0.3", "127.0.0.3", "::ffff:127.0.0.4"},
			"::ffff:127.0.0.4", 0, TCP_NEXT_MS, 2 * TCP_NEXT_MS, true},
		{"each once", {"127.0.0.3", "::ffff:127.0.0.3", "127.0.0.4"}, "127.0.0.4", 0, 2 * TCP_NEXT_MS,
			3 * TCP_NEXT_MS, true},
		{"nobody", {"127.0.0.2"}, NULL, -ECONNREFUSED, 0, TCP_NEXT_MS},
		{"nobody anywhere", {"127.0.0.2", "127.0.0.5"}, NULL, -ECONNREFUSED, 0, TCP_NEXT_MS},
		{"no address", {NULL}, NULL, -EADDRNOTAVAIL, 0, 0},
	};
	struct listener first, second, full;
	listen_at(&first, "127.0.0.1", 0, 64);
	listen_at(&second, "127.0.0.4", first.address.sin_port, 64);
	listen_at(&full, "127.0.0.3", first.address.sin_port, 0);
	fill(&full);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (has_ipv6() || !cases[i].needs_ipv6)
			run_race(&cases[i], first.address.sin_port);
	stop(&first);
	stop(&second);
	stop(&full);
}

/* The clock goes on, the address does not answer. */
static void test_late(void **state)
{
	(void)state;
	static const char *const addresses[] = {"127.0.0.3", "127.0.0.3", NULL};
	struct listener full;
	listen_at(&full, "127.0.0.3", 0, 0);
	fill(&full);
	struct list list;
	struct tcp *tcp = NULL;
	int socket = -1;
	assert_int_equal(tcp_new(list_of(&list, addresses, full.address.sin_port), 1000, &tcp), 0);
	assert_int_equal(tcp_due_ms(tcp), 1000 + TCP_NEXT_MS);
	assert_int_equal(tcp_serve(tcp, 1000 + TCP_NEXT_MS, &socket), -EAGAIN);
	assert_int_equal(tcp_due_ms(tcp), 1000 + TCP_OPEN_MS);
	assert_int_equal(tcp_serve(tcp, 1000 + TCP_OPEN_MS - 1, &socket), -EAGAIN);
	assert_int_equal(tcp_serve(tcp, 1000 + TCP_OPEN_MS, &socket), TCP_E_LATE);
	tcp_free(tcp);
	tcp_free(NULL);
	stop(&full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
