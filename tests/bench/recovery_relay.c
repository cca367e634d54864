/*
 * recovery_relay - stands between the host and the broker, and cuts links as a broker that is restarted or a load balancer does: with
 * a reset, and with the loss of what the host wrote last.
 *
 *	bench-recovery-relay PORT TARGET_PORT	both on 127.0.0.1; prints "ready"
 *
 * Bytes pass unread and in order. A line "cut MS" on standard input waits for the host's next bytes on the link that carries commands
 * (that on which more comes from the broker than from the host: they are PUBACKs), swallows them and all that the host writes on any
 * link for so many milliseconds, while the broker's bytes pass, and then resets all links at both ends. Where the host writes nothing
 * for ARMED_MS, the links are reset without. It ends with standard input. Failure: a message and exit code 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINKS_MAX = 32, PIPE_SIZE = 256 * 1024, HOST = 0, BROKER = 1, ARMED_MS = 400 };

/* What was read from one end and not yet written to the other. */
struct pipe {
	char bytes[PIPE_SIZE];
	size_t start, end;
};

struct link {
	int fds[2];	      /* HOST, BROKER; -1: no link */
	struct pipe pipes[2]; /* from that end */
	size_t carried[2];    /* bytes from that end so far */
};

static struct link links[LINKS_MAX];
static long long cut_at;   /* milliseconds; 0: no cut is under way */
static int cut_ms;	   /* what is swallowed before the cut */
static bool is_swallowing; /* the cut's first bytes have come */

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "recovery-relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void close_link(struct link *link, bool reset)
{
	const struct linger at_once = {.l_onoff = 1};

	for (int end = 0; end < 2; end++) {
		if (reset)
			(void)setsockopt(link->fds[end], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		(void)close(link->fds[end]);
		link->fds[end] = -1;
	}
}

static void set_up(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void accept_link(int listener, int target)
{
	const struct sockaddr_in address = local(target);
	const int host = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	const int broker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (int at = 0; host >= 0 && broker >= 0 && at < LINKS_MAX; at++) {
		struct link *const link = &links[at];
		if (link->fds[HOST] >= 0)
			continue;
		if (connect(broker, (const struct sockaddr *)&address, sizeof(address)) != 0)
			break;
		set_up(host);
		set_up(broker);
		link->fds[HOST] = host;
		link->fds[BROKER] = broker;
		link->carried[HOST] = link->carried[BROKER] = 0;
		link->pipes[HOST].start = link->pipes[HOST].end = link->pipes[BROKER].start =
			link->pipes[BROKER].end = 0;
		return;
	}
	if (host >= 0)
		(void)close(host);
	if (broker >= 0)
		(void)close(broker);
}

/* Reads from one end what there is room for. False where that end is closed. */
static bool read_from(struct link *link, int end)
{
	struct pipe *const pipe = &link->pipes[end];
	const ssize_t got = recv(link->fds[end], pipe->bytes + pipe->end, sizeof(pipe->bytes) - pipe->end, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return false;
	if (got <= 0)
		return true;
	if (end == HOST && cut_at != 0 && !is_swallowing && link->carried[BROKER] > link->carried[HOST]) {
		is_swallowing = true;
		cut_at = now_ms() + cut_ms;
	}
	link->carried[end] += (size_t)got;
	if (end == BROKER || !is_swallowing)
		pipe->end += (size_t)got;
	return true;
}

static bool write_from(struct link *link, int end)
{
	struct pipe *const pipe = &link->pipes[end];

	if (pipe->start == pipe->end)
		return true;
	const ssize_t wrote =
		send(link->fds[!end], pipe->bytes + pipe->start, pipe->end - pipe->start, MSG_NOSIGNAL);
	if (wrote < 0)
		return errno == EAGAIN || errno == EINTR;
	pipe->start += (size_t)wrote;
	if (pipe->start == pipe->end)
		pipe->start = pipe->end = 0;
	return true;
}

static void serve_link(struct link *link, const struct pollfd *polled)
{
	for (int end = 0; end < 2; end++) {
		if ((polled[end].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !read_from(link, end)) {
			(void)write_from(link, end);
			close_link(link, false);
			return;
		}
		if (!write_from(link, end)) {
			close_link(link, false);
			return;
		}
	}
}

static void take_orders(void)
{
	static char line[64];
	int ms = 0;

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	if (sscanf(line, "cut %d", &ms) == 1) {
		cut_ms = ms;
		cut_at = now_ms() + ARMED_MS;
	}
}

static void turn(int listener, int target)
{
	struct pollfd polled[2 + 2 * LINKS_MAX] = {
		{.fd = listener, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	const long long now = now_ms();

	for (int at = 0; at < LINKS_MAX; at++)
		for (int end = 0; end < 2; end++) {
			const struct link *const link = &links[at];
			struct pollfd *const one = &polled[2 + 2 * at + end];
			*one = (struct pollfd){.fd = link->fds[end]};
			if (link->fds[end] < 0)
				continue;
			if (link->pipes[end].end < PIPE_SIZE)
				one->events |= POLLIN;
			if (link->pipes[!end].end > link->pipes[!end].start)
				one->events |= POLLOUT;
		}
	if (poll(polled, sizeof(polled) / sizeof(polled[0]),
		    cut_at == 0	   ? -1
		    : cut_at > now ? (int)(cut_at - now)
				   : 0) < 0 &&
		errno != EINTR)
		die("poll");
	for (int at = 0; at < LINKS_MAX; at++)
		if (links[at].fds[HOST] >= 0)
			serve_link(&links[at], &polled[2 + 2 * at]);
	if (cut_at != 0 && now_ms() >= cut_at) {
		cut_at = 0;
		is_swallowing = false;
		for (int at = 0; at < LINKS_MAX; at++)
			if (links[at].fds[HOST] >= 0)
				close_link(&links[at], true);
	}
	if (polled[0].revents != 0)
		accept_link(listener, target);
	if (polled[1].revents != 0)
		take_orders();
}

int main(int argc, char **argv)
{
	const int on = 1;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: bench-recovery-relay PORT TARGET_PORT\n");
		return 2;
	}
	const struct sockaddr_in address = local(atoi(argv[1]));
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(listener, LINKS_MAX) != 0)
		die("listen");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	for (int at = 0; at < LINKS_MAX; at++)
		links[at].fds[HOST] = links[at].fds[BROKER] = -1;
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;)
		turn(listener, atoi(argv[2]));
}
