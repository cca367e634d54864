/*
 * window_broker - a broker that keeps exactly so many unacknowledged messages towards each subscriber, as many brokers do and mosquitto
 * does not, and that sends the commands itself: what a host does behind a window of 20.
 *
 * Happy path: one host connects (MQTT 5 or 3.1.1, plain TCP, any token) and subscribes; commands flow to the link that subscribed to
 * them, never more than --window without PUBACK; the events that come back on any link are acknowledged and matched with their commands,
 * user by user. Prints one line of JSON: commands a second, latency of those of --command from the time they were due, of naps apart.
 * Without --rate all users always have a command waiting. With it a command is due on a schedule, and waits here for room in the
 * window. Failure: a message and exit code 1 where the host goes away, breaks MQTT, exceeds the window, or answers nothing for 15 s.
 */
#include "histogram.h"
#include "packet.h"
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	LINKS = 16,
	USERS = 200,
	NAP_USERS = 12,
	RING = 4096,
	BUFFER = 256 * 1024,
	STALL_S = 15,
	OVERHEAD = 16
};
#define SECOND 1000000000ULL

/* Commands of one user whose events have not come: due times, oldest first. */
struct user {
	uint32_t head, tail;
	uint64_t due[RING];
};

struct link {
	struct stream stream; /* fd -1: free */
	bool v5, subscribed, watching_output;
	unsigned unacknowledged;
	uint16_t last_id;
	bool *is_open; /* per packet identifier */
};

static struct options {
	unsigned port, window;
	const char *command, *event;
	double rate, naps, seconds, warmup_s;
	bool only_311;
} options = {.window = 20, .command = "get_apples", .event = "got_apples", .seconds = 5, .warmup_s = 1};

static struct link links[LINKS];
static struct user users[USERS], nap_users[NAP_USERS];
static struct histogram latency;
static uint64_t now, started, last_event, scheduled, naps, answered, napped, highest_window;
static int epoll;

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "window-broker: %s: %s\n", what, why);
	exit(1);
}

static uint64_t clock_ns(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static bool measuring(void)
{
	return now >= started + (uint64_t)(options.warmup_s * 1e9);
}

/* ---- Commands out ---- */

static void publish(
	struct link *link, struct user *user, char prefix, unsigned number, const char *command, uint64_t due)
{
	char topic[96];
	const size_t topic_size = (size_t)snprintf(topic, sizeof(topic), "%c%u/%s", prefix, number, command);
	unsigned char *const out = stream_room(&link->stream, OVERHEAD + topic_size);
	size_t used = 0;

	do
		link->last_id = link->last_id == 65535 ? 1 : (uint16_t)(link->last_id + 1);
	while (link->is_open[link->last_id]);
	link->is_open[link->last_id] = true;
	out[used++] = 0x32;
	used += packet_length(out + used, 2 + topic_size + 2 + (link->v5 ? 1 : 0) + 2);
	used += packet_u16(out + used, topic_size);
	memcpy(out + used, topic, topic_size);
	used += topic_size;
	used += packet_u16(out + used, link->last_id);
	if (link->v5)
		out[used++] = 0;
	out[used++] = '{';
	out[used++] = '}';
	stream_wrote(&link->stream, used);
	if (++link->unacknowledged > highest_window)
		highest_window = link->unacknowledged;
	if (user->tail - user->head == RING)
		die("a user", "has more commands under way than there is room for");
	user->due[user->tail++ % RING] = due;
}

/* The next command, as far as the window and the schedule allow. Returns when the next one is due. */
static uint64_t send_commands(struct link *link)
{
	while (link->unacknowledged < options.window) {
		const uint64_t nap_due = options.naps > 0
						 ? started + (uint64_t)((double)naps * 1e9 / options.naps)
						 : UINT64_MAX;
		const uint64_t due =
			options.rate > 0 ? started + (uint64_t)((double)scheduled * 1e9 / options.rate) : now;
		if (due > now && nap_due > now)
			return due < nap_due ? due : nap_due;
		if (nap_due <= due) {
			publish(link, &nap_users[naps % NAP_USERS], 'n', (unsigned)(naps % NAP_USERS), "nap",
				nap_due);
			naps++;
		} else {
			publish(link, &users[scheduled % USERS], 'w', (unsigned)(scheduled % USERS),
				options.command, due);
			scheduled++;
		}
	}
	return UINT64_MAX;
}

/* ---- What the host sends ---- */

static void answer(struct link *link, const void *bytes, size_t size)
{
	memcpy(stream_room(&link->stream, size), bytes, size);
	stream_wrote(&link->stream, size);
}

static size_t u16_at(const unsigned char *in)
{
	return (size_t)in[0] << 8 | in[1];
}

static void take_connect(struct link *link, const unsigned char *body, size_t size)
{
	static const unsigned char accepted_5[] = {0x20, 3, 0, 0, 0}, accepted_311[] = {0x20, 2, 0, 0},
				   refused_311[] = {0x20, 2, 0, 1};

	if (size < 10 || u16_at(body) != 4)
		die("CONNECT", "is malformed");
	link->v5 = body[6] == 5;
	if (link->v5 && options.only_311)
		answer(link, refused_311, sizeof(refused_311));
	else if (link->v5)
		answer(link, accepted_5, sizeof(accepted_5));
	else
		answer(link, accepted_311, sizeof(accepted_311));
}

/* Grants QoS 1 to each filter of a SUBSCRIBE, or says of each of an UNSUBSCRIBE that it is gone. */
static void take_filters(struct link *link, const unsigned char *body, size_t size, bool subscribe)
{
	unsigned char out[512];
	size_t at = 2, count = 0;

	if (link->v5) /* properties of less than 128 bytes */
		at += 1 + (size > 2 ? body[2] : 0);
	unsigned char codes[256];
	while (at + 2 <= size && count < sizeof(codes)) {
		const size_t filter_size = u16_at(body + at);
		const char *const filter = (const char *)body + at + 2;
		at += 2 + filter_size + (subscribe ? 1 : 0);
		if (at > size)
			die("SUBSCRIBE", "is malformed");
		if (subscribe && filter_size == 2 + strlen(options.command) &&
			memcmp(filter + 2, options.command, filter_size - 2) == 0) {
			link->subscribed = true;
			started = last_event = now;
		}
		codes[count++] = subscribe ? 1 : 0;
	}
	size_t used = 0;
	const size_t codes_size = subscribe || link->v5 ? count : 0;
	out[used++] = subscribe ? 0x90 : 0xB0;
	used += packet_length(out + used, 2 + (link->v5 ? 1 : 0) + codes_size);
	out[used++] = body[0];
	out[used++] = body[1];
	if (link->v5)
		out[used++] = 0;
	memcpy(out + used, codes, codes_size);
	answer(link, out, used + codes_size);
}

/* "w17/got_apples": the user's oldest command is answered. */
static void take_event(const char *topic, size_t size)
{
	const char *const slash = memchr(topic, '/', size);
	const bool is_nap = topic[0] == 'n';

	if (!slash || (topic[0] != 'w' && !is_nap))
		return;
	const size_t name_size = size - (size_t)(slash + 1 - topic);
	const char *const expected = is_nap ? "napped" : options.event;
	if (name_size != strlen(expected) || memcmp(slash + 1, expected, name_size) != 0)
		die("an event that nobody expects", "is the handler built in?");
	const unsigned number = (unsigned)strtoul(topic + 1, NULL, 10);
	if (number >= (is_nap ? NAP_USERS : USERS))
		return;
	struct user *const user = is_nap ? &nap_users[number] : &users[number];
	if (user->head == user->tail)
		return; /* a copy */
	const uint64_t due = user->due[user->head++ % RING];
	last_event = now;
	if (!measuring())
		return;
	if (is_nap) {
		napped++;
		return;
	}
	answered++;
	histogram_add(&latency, now - due);
}

static void take_publish(struct link *link, unsigned flags, const unsigned char *body, size_t size)
{
	const size_t topic_size = size >= 2 ? u16_at(body) : size;

	if (topic_size + 4 > size || ((flags >> 1) & 3) != 1)
		die("PUBLISH", "is malformed, or not at QoS 1");
	const unsigned char puback[] = {0x40, 2, body[2 + topic_size], body[3 + topic_size]};
	answer(link, puback, sizeof(puback));
	take_event((const char *)body + 2, topic_size);
}

static void take_puback(struct link *link, const unsigned char *body, size_t size)
{
	if (size < 2 || !link->is_open[u16_at(body)])
		die("PUBACK", "for what was not sent");
	link->is_open[u16_at(body)] = false;
	link->unacknowledged--;
}

/* One packet; false where the link ends. */
static bool take_packet(struct link *link, unsigned first, const unsigned char *body, size_t size)
{
	static const unsigned char pingresp[] = {0xD0, 0};

	switch (first >> 4) {
	case 1: take_connect(link, body, size); return true;
	case 3: take_publish(link, first & 15, body, size); return true;
	case 4: take_puback(link, body, size); return true;
	case 8: take_filters(link, body, size, true); return true;
	case 10: take_filters(link, body, size, false); return true;
	case 12: answer(link, pingresp, sizeof(pingresp)); return true;
	default: return false;
	}
}

static bool take_packets(struct link *link)
{
	struct stream *const stream = &link->stream;

	for (;;) {
		const unsigned char *const in = stream->in + stream->in_start;
		const size_t there = stream->in_end - stream->in_start;
		size_t length = 0, used = 1;
		for (unsigned shift = 0; used < 5 && used < there; shift += 7) {
			length |= (size_t)(in[used] & 127) << shift;
			if ((in[used++] & 128) == 0)
				break;
		}
		if (there < 2 || (in[used - 1] & 128) != 0 || there < used + length)
			return true;
		if (!take_packet(link, in[0], in + used, length))
			return false;
		stream->in_start += used + length;
	}
}

static bool take_input(struct link *link)
{
	do {
		if (stream_fill(&link->stream) < 0)
			return false;
		if (!take_packets(link))
			return false;
	} while (link->stream.in_end == link->stream.in_size);
	return true;
}

/* ---- Links ---- */

static void accept_link(int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	for (unsigned at = 0; fd >= 0 && at < LINKS; at++) {
		struct link *const link = &links[at];
		struct epoll_event event = {.data.ptr = link, .events = EPOLLIN};
		if (link->stream.fd >= 0)
			continue;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		*link = (struct link){.stream = {.fd = fd,
					      .in_size = BUFFER,
					      .out_size = BUFFER,
					      .in = malloc(BUFFER),
					      .out = malloc(BUFFER)},
			.is_open = calloc(65536, 1)};
		if (!link->stream.in || !link->stream.out || !link->is_open ||
			epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
			die("accept", "out of memory or descriptors");
		return;
	}
	if (fd >= 0)
		(void)close(fd);
}

static void end_link(struct link *link)
{
	/* A host that was refused, or looks what the broker can do, comes again; one that served does not go away. */
	if (link->subscribed)
		die("the host", "is gone");
	stream_close(&link->stream);
	free(link->is_open);
}

static uint64_t serve_links(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned at = 0; at < LINKS; at++) {
		struct link *const link = &links[at];
		if (link->stream.fd < 0)
			continue;
		if (link->subscribed) {
			const uint64_t due = send_commands(link);
			next = due < next ? due : next;
		}
		if (stream_flush(&link->stream) != 0) {
			end_link(link);
			continue;
		}
		if (link->stream.blocked == link->watching_output)
			continue;
		struct epoll_event event = {
			.data.ptr = link, .events = EPOLLIN | (link->stream.blocked ? EPOLLOUT : 0U)};
		link->watching_output = link->stream.blocked;
		(void)epoll_ctl(epoll, EPOLL_CTL_MOD, link->stream.fd, &event);
	}
	return next;
}

static void turn(int listener)
{
	struct epoll_event events[LINKS + 1];
	const uint64_t next = serve_links();
	const uint64_t wait = next == UINT64_MAX ? SECOND / 10 : next > now ? next - now : 0;
	const struct timespec timeout = {.tv_nsec = (long)(wait < SECOND / 10 ? wait : SECOND / 10)};
	const int count = epoll_pwait2(epoll, events, LINKS + 1, &timeout, NULL);

	now = clock_ns();
	for (int at = 0; at < count; at++) {
		if (!events[at].data.ptr)
			accept_link(listener);
		else if (!take_input(events[at].data.ptr))
			end_link(events[at].data.ptr);
	}
}

static void print_result(void)
{
	const double seconds = (double)(now - started) / 1e9 - options.warmup_s;

	printf("{\"commands\":%llu,\"per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"naps\":%llu,\"window\":%llu}\n",
		(unsigned long long)answered, (double)answered / seconds,
		(double)histogram_quantile(&latency, 0.50) / 1e6,
		(double)histogram_quantile(&latency, 0.99) / 1e6, (double)latency.max / 1e6,
		(unsigned long long)napped, (unsigned long long)highest_window);
}

static int listen_on(unsigned port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event event = {.events = EPOLLIN};
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(listener, LINKS) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
		die("listen", strerror(errno));
	return listener;
}

static bool take_option(int option, const char *value)
{
	switch (option) {
	case 'p': options.port = (unsigned)atoi(value); return options.port > 0 && options.port < 65536;
	case 'w': options.window = (unsigned)atoi(value); return options.window > 0 && options.window < 65536;
	case 'c': options.command = value; return strlen(value) <= 64;
	case 'e': options.event = value; return strlen(value) <= 64;
	case 'r': options.rate = atof(value); return options.rate > 0;
	case 'n': options.naps = atof(value); return options.naps > 0;
	case 's': options.seconds = atof(value); return options.seconds > 0;
	case 'u': options.warmup_s = atof(value); return options.warmup_s >= 0;
	case '3': options.only_311 = true; return true;
	default: return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option known[] = {{"port", required_argument, NULL, 'p'},
		{"window", required_argument, NULL, 'w'}, {"command", required_argument, NULL, 'c'},
		{"event", required_argument, NULL, 'e'}, {"rate", required_argument, NULL, 'r'},
		{"naps", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
		{"warmup", required_argument, NULL, 'u'}, {"only-311", no_argument, NULL, '3'}, {0}};
	bool good = true;

	for (int option; good && (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		good = take_option(option, optarg);
	if (!good || options.port == 0 || optind < argc) {
		(void)fprintf(stderr,
			"usage: bench-window-broker --port N [--window 20] [--command get_apples --event got_apples] [--rate R] "
			"[--naps N a second]\n\t[--seconds S] [--warmup S] [--only-311]\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	stream_silent = true;
	for (unsigned at = 0; at < LINKS; at++)
		links[at].stream.fd = -1;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	const int listener = listen_on(options.port);
	const uint64_t began = now = clock_ns();
	while (started == 0 || now < started + (uint64_t)((options.warmup_s + options.seconds) * 1e9)) {
		if (now - (started ? last_event : began) > STALL_S * SECOND)
			die("the host", started ? "answers nothing" : "does not subscribe");
		turn(listener);
	}
	print_result();
	return 0;
}
