/* relay.c - see relay.h. */
#include "relay.h"
#include "harness_private.h"
#include "panic.h"
#include "port.h"
#include "relay_flow.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { PATTERN_MAX = 96 };

enum link_state {
	LINK_READING, /* the client's CONNECT, before the server is connected */
	LINK_OPEN,
	LINK_HALF_OPEN, /* one socket is left, whose peer does not know */
	LINK_CLOSED,
};

struct link {
	struct link *next;
	enum link_state state;
	int client, server;		 /* -1: closed, or not there yet */
	size_t client_poll, server_poll; /* places in the array of this turn; 0: none */
	struct flow up, down;
	bool answered; /* something has come from the server */
	bool trapped;  /* the trap's request has come */
};

struct relay {
	struct harness_part part;
	int listener, timer, port;
	unsigned target;
	enum relay_mode mode;
	int delay_ms;
	bool only_mqtt311;
	struct link *links;
	size_t refused, lost_replies;
	enum relay_trap trap;
	unsigned char pattern[PATTERN_MAX];
	size_t pattern_size, trapped;
	bool pattern_writes; /* it is of a write: the driver's have a flag that a trial of rights has not */
	unsigned char refused_pattern[PATTERN_MAX];
	size_t refused_pattern_size; /* 0: nothing is */
};

/* ---- Sockets ---- */

static int make_socket(unsigned port, bool server)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	const int result = server ? bind(fd, (const struct sockaddr *)&address, sizeof(address))
				  : connect(fd, (const struct sockaddr *)&address, sizeof(address));
	if (fd < 0 || (server && (result != 0 || listen(fd, 64) != 0)))
		harness_fail("the relay has no socket for port %u: %s", port, strerror(errno));
	if (result != 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A reset also throws away what was sent and has not arrived. */
static void close_socket(int *fd, bool reset)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	if (*fd < 0)
		return;
	if (reset)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(*fd);
	*fd = -1;
}

static void link_close(struct link *link, bool reset)
{
	close_socket(&link->client, reset);
	close_socket(&link->server, reset);
	link->state = LINK_CLOSED;
}

/* ---- A link ---- */

/* The protocol level stands behind the fixed header (2 to 5 bytes) and the name "MQTT"; 0: not all of it has
 * come. */
static unsigned protocol_level(const struct flow *up)
{
	static const unsigned char name[] = {0, 4, 'M', 'Q', 'T', 'T'};
	for (size_t at = 2; at + sizeof(name) < up->size && at <= 5; at++)
		if (memcmp(up->bytes + at, name, sizeof(name)) == 0)
			return up->bytes[at + sizeof(name)];
	return 0;
}

static void connect_server(struct relay *relay, struct link *link)
{
	static const unsigned char unacceptable[] = {0x20, 2, 0, 1};
	const unsigned level = relay->only_mqtt311 ? protocol_level(&link->up) : 4;
	if (level == 5) {
		relay->refused++;
		(void)!send(link->client, unacceptable, sizeof(unacceptable), MSG_NOSIGNAL);
		link_close(link, false);
	} else if (level != 0) {
		link->server = make_socket(relay->target, false);
		link->state = LINK_OPEN;
		if (link->server < 0)
			link_close(link, false);
	} else if (link->up.ended) {
		link_close(link, false);
	}
}

/* Nobody hears what the one end says. */
static void swallow(struct link *link)
{
	struct flow *flow = link->client >= 0 ? &link->up : &link->down;
	if (!flow_read(flow, link->client >= 0 ? link->client : link->server, 0) || flow->ended)
		link_close(link, false);
	flow->size = flow->piece_count = 0;
}

/* Whether what has just come from the program is the request that the trap is set for. */
static void look_for_request(struct relay *relay, struct link *link, size_t before)
{
	if (relay->trap == RELAY_NO_TRAP || link->trapped || link->up.size == before)
		return;
	const unsigned char *bytes = link->up.bytes + before;
	const size_t size = link->up.size - before;
	link->trapped = memmem(bytes, size, relay->pattern, relay->pattern_size) &&
			(!relay->pattern_writes || memmem(bytes, size, "\x08ordered", 9));
	relay->trapped += link->trapped;
}

/*
 * Answers a request that has just come, alone and whole, in place of the server: MongoDB's manual, "MongoDB Wire Protocol", OP_MSG. A driver waits for the
 * answer before it says more.
 */
static void refuse(const struct relay *relay, struct link *link, size_t before, int64_t now_ms)
{
	enum { REQUEST_AT = 4, ANSWERS_AT = 8 };
	static const unsigned char answer[] = "\x4b\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0"
					      "\x36\0\0\0\1ok\0\0\0\0\0\0\0\0\0\x10"
					      "code\0\x0d\0\0\0\2"
					      "errmsg\0\x0f\0\0\0not authorized\0";
	_Static_assert(sizeof(answer) == 0x4b, "it says how long it is");
	struct flow *up = &link->up, *down = &link->down;
	const size_t size = up->size - before;
	if (relay->refused_pattern_size == 0 || size <= ANSWERS_AT || up->piece_count == 0 ||
		!memmem(up->bytes + before, size, relay->refused_pattern, relay->refused_pattern_size))
		return;
	if (down->size + sizeof(answer) > FLOW_SIZE || down->piece_count == PIECES_MAX)
		harness_fail("the relay has no room for an answer");
	unsigned char *place = down->bytes + down->size;
	memcpy(place, answer, sizeof(answer));
	memcpy(place + ANSWERS_AT, up->bytes + before + REQUEST_AT, sizeof(int32_t));
	down->size += sizeof(answer);
	down->pieces[down->piece_count++] = (struct piece){.size = sizeof(answer), .due_ms = now_ms};
	up->size = before;
	up->piece_count--;
}

static bool loses_reply(struct relay *relay, const struct link *link, bool has_reply)
{
	const bool by_trap = relay->trap == RELAY_LOSE_REPLY && link->trapped;
	if (!has_reply || (!by_trap && !(relay->mode == RELAY_LOSE_REPLIES && link->answered)))
		return false;
	relay->lost_replies++;
	if (by_trap)
		relay->trap = RELAY_NO_TRAP;
	return true;
}

static void pass_on(struct relay *relay, struct link *link, int64_t now_ms)
{
	const int64_t later_ms = now_ms + relay->delay_ms;
	const int64_t up_due_ms =
		relay->mode == RELAY_DELAY || relay->mode == RELAY_DELAY_UP ? later_ms : now_ms;
	const int64_t down_due_ms = relay->mode == RELAY_DELAY ? later_ms : now_ms;
	const bool bytewise = relay->mode == RELAY_BYTES;
	const size_t up = link->up.size, down = link->down.size;
	if (!flow_read(&link->up, link->client, up_due_ms) ||
		!flow_read(&link->down, link->server, down_due_ms)) {
		link_close(link, false);
		return;
	}
	look_for_request(relay, link, up);
	if (link->up.size > up)
		refuse(relay, link, up, now_ms);
	if (loses_reply(relay, link, link->down.size > down)) {
		link_close(link, false);
		return;
	}
	link->answered |= link->down.size > down;
	const bool no_request = link->trapped && relay->trap == RELAY_WITHHOLD_REQUEST;
	const bool no_reply = link->trapped && relay->trap == RELAY_WITHHOLD_REPLY;
	if ((!no_request && !flow_write(&link->up, link->server, now_ms, bytewise)) ||
		(!no_reply && !flow_write(&link->down, link->client, now_ms, bytewise))) {
		link_close(link, false);
		return;
	}
	if (!no_request)
		flow_end(&link->up, link->server);
	if (!no_reply)
		flow_end(&link->down, link->client);
	if (link->up.closed && link->down.closed)
		link_close(link, false);
}

static bool has_word(const struct pollfd *polls, size_t place)
{
	return place != 0 && polls[place].revents != 0;
}

static void link_serve(struct relay *relay, struct link *link, const struct pollfd *polls, int64_t now_ms)
{
	/* What is delayed is due without a word of poll(). */
	const bool due = relay->mode != RELAY_BLACK_HOLE && link->state == LINK_OPEN && !link->trapped &&
			 (flow_due(&link->up, now_ms) > 0 || flow_due(&link->down, now_ms) > 0);
	if (!due && !has_word(polls, link->client_poll) && !has_word(polls, link->server_poll))
		return;
	switch (link->state) {
	case LINK_READING:
		if (!flow_read(&link->up, link->client, now_ms))
			link_close(link, false);
		else
			connect_server(relay, link);
		break;
	case LINK_OPEN: pass_on(relay, link, now_ms); break;
	case LINK_HALF_OPEN: swallow(link); break;
	case LINK_CLOSED: break;
	}
}

/* ---- As a part of the harness ---- */

static size_t add_poll(struct pollfd *polls, size_t *count, int fd, bool read, bool write)
{
	if (fd < 0 || (!read && !write))
		return 0;
	polls[*count] =
		(struct pollfd){.fd = fd, .events = (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0))};
	return (*count)++;
}

static int64_t link_next_due(const struct link *link, int64_t next_ms)
{
	if (link->up.piece_count > 0 && link->up.pieces[0].due_ms < next_ms)
		next_ms = link->up.pieces[0].due_ms;
	if (link->down.piece_count > 0 && link->down.pieces[0].due_ms < next_ms)
		next_ms = link->down.pieces[0].due_ms;
	return next_ms;
}

static void set_timer(const struct relay *relay, int64_t next_ms)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = next_ms / 1000, .tv_nsec = next_ms % 1000 * 1000000}};
	const struct itimerspec never = {.it_value = {.tv_sec = 0}};
	if (timerfd_settime(relay->timer, TFD_TIMER_ABSTIME, next_ms == INT64_MAX ? &never : &when, NULL) !=
		0)
		harness_fail("the relay's timer: %s", strerror(errno));
}

static size_t relay_prepare(void *self, struct pollfd *polls, size_t room)
{
	struct relay *relay = self;
	const int64_t now_ms = harness_now_ms();
	const bool hole = relay->mode == RELAY_BLACK_HOLE;
	int64_t next_ms = INT64_MAX;
	size_t count = 0;
	if (room < 2)
		harness_fail("too many descriptors to wait for");
	polls[count++] = (struct pollfd){.fd = hole ? -1 : relay->listener, .events = POLLIN};
	polls[count++] = (struct pollfd){.fd = relay->timer, .events = POLLIN};
	for (struct link *link = relay->links; link; link = link->next) {
		const bool open = link->state == LINK_OPEN, mute = open && hole;
		const bool no_request = link->trapped && relay->trap == RELAY_WITHHOLD_REQUEST;
		const bool no_reply = link->trapped && relay->trap == RELAY_WITHHOLD_REPLY;
		link->client_poll = link->server_poll = 0;
		if (count + 2 > room)
			harness_fail("too many descriptors to wait for");
		link->client_poll = add_poll(polls, &count, link->client, !mute && flow_has_room(&link->up),
			open && !mute && !no_reply && flow_due(&link->down, now_ms) > 0);
		link->server_poll = add_poll(polls, &count, link->server, !mute && flow_has_room(&link->down),
			open && !mute && !no_request && flow_due(&link->up, now_ms) > 0);
		if (open && !mute && flow_due(&link->up, now_ms) + flow_due(&link->down, now_ms) == 0)
			next_ms = link_next_due(link, next_ms);
	}
	set_timer(relay, next_ms);
	return count;
}

static void take_connections(struct relay *relay)
{
	const int on = 1;
	int client;
	while ((client = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct link *link = panic_if_null(calloc(1, sizeof(*link)));
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		*link = (struct link){.client = client, .server = -1, .next = relay->links};
		relay->links = link;
		if (!relay->only_mqtt311)
			connect_server(relay, link);
	}
}

static void relay_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct relay *relay = self;
	const int64_t now_ms = harness_now_ms();
	if (count == 0)
		return;
	for (struct link *link = relay->links; link; link = link->next)
		link_serve(relay, link, polls, now_ms);
	for (struct link **place = &relay->links; *place;) {
		struct link *link = *place;
		if (link->state == LINK_CLOSED) {
			*place = link->next;
			free(link);
		} else {
			place = &link->next;
		}
	}
	if (polls[0].revents != 0)
		take_connections(relay);
}

static void relay_free(void *self)
{
	struct relay *relay = self;
	while (relay->links) {
		struct link *link = relay->links;
		relay->links = link->next;
		link_close(link, false);
		free(link);
	}
	close(relay->listener);
	close(relay->timer);
}

/* ---- Public ---- */

struct relay *relay_new(struct harness *h, unsigned target_port)
{
	struct relay *relay = harness_alloc(h, sizeof(*relay));
	relay->target = target_port;
	relay->port = port_reserve();
	if (relay->port < 0)
		harness_fail("no port for the relay: %s", strerror(-relay->port));
	relay->listener = make_socket((unsigned)relay->port, true);
	relay->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (relay->timer < 0)
		harness_fail("no timer for the relay: %s", strerror(errno));
	relay->part = (struct harness_part){
		.self = relay, .prepare = relay_prepare, .serve = relay_serve, .free = relay_free};
	harness_add(h, &relay->part);
	return relay;
}

unsigned relay_port(const struct relay *relay)
{
	return (unsigned)relay->port;
}

void relay_set(struct relay *relay, enum relay_mode mode, int delay_ms)
{
	relay->mode = mode;
	relay->delay_ms = delay_ms;
}

size_t relay_cut(struct relay *relay, bool reset)
{
	size_t count = 0;
	for (struct link *link = relay->links; link; link = link->next) {
		count += link->state == LINK_OPEN;
		link_close(link, reset);
	}
	return count;
}

void relay_set_trap(struct relay *relay, enum relay_trap trap, const char *command, const char *collection)
{
	relay->trap = trap;
	if (trap == RELAY_NO_TRAP) {
		for (struct link *link = relay->links; link; link = link->next)
			link->trapped = false;
		return;
	}
	const size_t size = strlen(collection) + 1;
	/* The first element of a command's document: {<command>: "<collection>"}, as BSON. */
	const int written = snprintf((char *)relay->pattern, PATTERN_MAX, "\x02%s%c%c%c%c%c%s", command, 0,
		(int)size, 0, 0, 0, collection);
	relay->pattern_size = (size_t)written;
	relay->pattern_writes = strcmp(command, "insert") == 0 || strcmp(command, "delete") == 0;
	if (written < 0 || written >= PATTERN_MAX)
		harness_fail("too long for a trap: %s, %s", command, collection);
}

void relay_refuse(struct relay *relay, const char *collection)
{
	/* The end of a command's name, and its collection as BSON. */
	const int written = !collection
				    ? 0
				    : snprintf((char *)relay->refused_pattern, PATTERN_MAX, "%c%c%c%c%c%s", 0,
					      (int)strlen(collection) + 1, 0, 0, 0, collection);
	if (written < 0 || written >= PATTERN_MAX)
		harness_fail("too long to be refused: %s", collection);
	relay->refused_pattern_size = (size_t)written;
}

size_t relay_trapped(const struct relay *relay)
{
	return relay->trapped;
}

size_t relay_half_open(struct relay *relay, enum relay_end closed)
{
	size_t count = 0;
	for (struct link *link = relay->links; link; link = link->next) {
		if (link->state != LINK_OPEN)
			continue;
		close_socket(closed == RELAY_PROGRAM ? &link->client : &link->server, false);
		link->up.size = link->up.piece_count = link->down.size = link->down.piece_count = 0;
		link->state = LINK_HALF_OPEN;
		/* It was about to end: whoever is left has closed already, and says nothing more. */
		if (closed == RELAY_PROGRAM ? link->down.ended : link->up.ended)
			link_close(link, false);
		else
			count++;
	}
	return count;
}

void relay_end_half_open(struct relay *relay)
{
	for (struct link *link = relay->links; link; link = link->next)
		if (link->state == LINK_HALF_OPEN)
			link_close(link, true);
}

static size_t count_links(const struct relay *relay, enum link_state state)
{
	size_t count = 0;
	for (const struct link *link = relay->links; link; link = link->next)
		count += link->state == state;
	return count;
}

size_t relay_links(const struct relay *relay)
{
	return count_links(relay, LINK_OPEN);
}

size_t relay_half_open_links(const struct relay *relay)
{
	return count_links(relay, LINK_HALF_OPEN);
}

size_t relay_lost_replies(const struct relay *relay)
{
	return relay->lost_replies;
}

void relay_allow_only_mqtt311(struct relay *relay)
{
	relay->only_mqtt311 = true;
}

size_t relay_refused(const struct relay *relay)
{
	return relay->refused;
}
