/* tcp.c - see tcp.h. */
#include "tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct attempt {
	struct sockaddr_storage address;
	socklen_t size;
	int socket; /* -1: not begun or over */
};

struct tcp {
	struct attempt attempts[TCP_ADDRESSES_MAX];
	size_t count;
	size_t begun;
	size_t running;
	size_t winner; /* its number, or `count` */
	int epoll;
	int error; /* errno of the attempt that failed last */
	int64_t next_ms;
	int64_t deadline_ms;
};

/* ---- Order ---- */

static const struct addrinfo *next_of(const struct addrinfo *entry, int family, bool same)
{
	while (entry && (entry->ai_family == family) != same)
		entry = entry->ai_next;
	return entry;
}

/* The families take turns, beginning with that of the first address; within a family the order stays (RFC 8305, section 4). */
static void interleave(struct tcp *tcp, const struct addrinfo *addresses)
{
	const int family = addresses ? addresses->ai_family : AF_UNSPEC;
	const struct addrinfo *turns[2] = {addresses, next_of(addresses, family, false)};
	for (unsigned turn = 0; (turns[0] || turns[1]) && tcp->count < TCP_ADDRESSES_MAX; turn = !turn) {
		const struct addrinfo *entry = turns[turn];
		if (!entry)
			continue;
		turns[turn] = next_of(entry->ai_next, family, turn == 0);
		if (entry->ai_addrlen > sizeof(struct sockaddr_storage))
			continue;
		struct attempt *attempt = &tcp->attempts[tcp->count++];
		memcpy(&attempt->address, entry->ai_addr, entry->ai_addrlen);
		attempt->size = entry->ai_addrlen;
	}
}

/* ---- Attempts ---- */

/* That this machine has no IPv6, say, is not what keeps the broker from being reached by IPv4. */
static bool says_little(int error)
{
	return error == ENETUNREACH || error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

static void fail(struct tcp *tcp, struct attempt *attempt, int error, int64_t now_ms)
{
	if (attempt->socket >= 0) {
		close(attempt->socket);
		attempt->socket = -1;
		tcp->running--;
	}
	if (tcp->error == 0 || says_little(tcp->error) || !says_little(error))
		tcp->error = error;
	tcp->next_ms = now_ms;
}

/* A port of this machine that nobody listens on may be the one that the kernel has given to the very socket that tries it: then it is connected with
 * itself. */
static bool is_itself(int socket)
{
	struct sockaddr_storage own = {0}, peer = {0};
	socklen_t own_size = sizeof(own), peer_size = sizeof(peer);
	return getsockname(socket, (struct sockaddr *)&own, &own_size) == 0 &&
	       getpeername(socket, (struct sockaddr *)&peer, &peer_size) == 0 && own_size == peer_size &&
	       memcmp(&own, &peer, own_size) == 0;
}

static void check(struct tcp *tcp, size_t number, int64_t now_ms)
{
	struct attempt *attempt = &tcp->attempts[number];
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(attempt->socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error == 0 && is_itself(attempt->socket))
		error = ECONNREFUSED;
	if (error != 0)
		fail(tcp, attempt, error, now_ms);
	else if (tcp->winner == tcp->count)
		tcp->winner = number;
}

static void begin(struct tcp *tcp, int64_t now_ms)
{
	const size_t number = tcp->begun++;
	struct attempt *attempt = &tcp->attempts[number];
	attempt->socket =
		socket(attempt->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (attempt->socket < 0) {
		fail(tcp, attempt, errno, now_ms);
		return;
	}
	tcp->running++;
	tcp->next_ms = now_ms + TCP_NEXT_MS;
	const int one = 1;
	(void)setsockopt(attempt->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	const bool connected =
		connect(attempt->socket, (const struct sockaddr *)&attempt->address, attempt->size) == 0;
	if (!connected && errno != EINPROGRESS) {
		fail(tcp, attempt, errno, now_ms);
		return;
	}
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = number};
	if (epoll_ctl(tcp->epoll, EPOLL_CTL_ADD, attempt->socket, &event) != 0)
		fail(tcp, attempt, errno, now_ms);
	else if (connected)
		check(tcp, number, now_ms);
}

/* ---- Interface ---- */

int tcp_new(const struct addrinfo *addresses, int64_t now_ms, struct tcp **ret)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	if (!tcp)
		return -ENOMEM;
	for (size_t i = 0; i < TCP_ADDRESSES_MAX; i++)
		tcp->attempts[i].socket = -1;
	tcp->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (tcp->epoll < 0) {
		const int error = errno;
		free(tcp);
		return -error;
	}
	interleave(tcp, addresses);
	tcp->winner = tcp->count;
	tcp->error = tcp->count == 0 ? EADDRNOTAVAIL : 0;
	tcp->next_ms = now_ms;
	tcp->deadline_ms = now_ms + TCP_OPEN_MS;
	if (tcp->count > 0)
		begin(tcp, now_ms);
	*ret = tcp;
	return 0;
}

void tcp_free(struct tcp *tcp)
{
	if (!tcp)
		return;
	for (size_t i = 0; i < tcp->begun; i++)
		if (tcp->attempts[i].socket >= 0)
			close(tcp->attempts[i].socket);
	close(tcp->epoll);
	free(tcp);
}

int tcp_serve(struct tcp *tcp, int64_t now_ms, int *ret_socket)
{
	struct epoll_event events[TCP_ADDRESSES_MAX];
	const int ready = epoll_wait(tcp->epoll, events, TCP_ADDRESSES_MAX, 0);
	for (int i = 0; i < ready; i++)
		check(tcp, (size_t)events[i].data.u64, now_ms);
	while (tcp->winner == tcp->count && tcp->begun < tcp->count && tcp->next_ms <= now_ms)
		begin(tcp, now_ms);
	if (tcp->winner < tcp->count) {
		struct attempt *winner = &tcp->attempts[tcp->winner];
		(void)epoll_ctl(tcp->epoll, EPOLL_CTL_DEL, winner->socket, NULL);
		*ret_socket = winner->socket;
		winner->socket = -1;
		return 0;
	}
	if (tcp->running == 0 && tcp->begun == tcp->count)
		return -tcp->error;
	return now_ms >= tcp->deadline_ms ? TCP_E_LATE : -EAGAIN;
}

int tcp_poll_fd(const struct tcp *tcp)
{
	return tcp->epoll;
}

int64_t tcp_due_ms(const struct tcp *tcp)
{
	const bool more = tcp->begun < tcp->count;
	/* What has come to an end already is told of at once. */
	if (tcp->winner < tcp->count || (tcp->running == 0 && !more))
		return 0;
	return more && tcp->next_ms < tcp->deadline_ms ? tcp->next_ms : tcp->deadline_ms;
}
