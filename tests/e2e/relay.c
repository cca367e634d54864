/* relay.c - see relay.h. */
#include "relay.h"
#include "harness_private.h"
#include "port.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK_SIZE = 65536 };

/* Bytes on their way in one direction. */
struct flow {
	unsigned char bytes[CHUNK_SIZE];
	size_t size;
};

struct relayed {
	struct relayed *next;
	int client, server; /* -1: closed; the server is connected once the CONNECT is read */
	struct flow up, down;
};

struct relay {
	struct harness *harness;
	struct harness_part part;
	int listener, port;
	unsigned target;
	struct relayed *links;
	size_t refused;
};

static int make_socket(unsigned port, bool server)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	const int result = server ? bind(fd, (const struct sockaddr *)&address, sizeof(address))
				  : connect(fd, (const struct sockaddr *)&address, sizeof(address));
	if (fd < 0 || (result != 0 && errno != EINPROGRESS) || (server && listen(fd, 16) != 0))
		harness_fail("the relay has no socket for port %u: %s", port, strerror(errno));
	return fd;
}

static void relayed_close(struct relayed *link)
{
	if (link->client >= 0)
		close(link->client);
	if (link->server >= 0)
		close(link->server);
	link->client = link->server = -1;
}

/* Moves bytes from one socket to the other, as far as both go along. */
static bool flow_on(struct flow *flow, int from, int to)
{
	if (flow->size < CHUNK_SIZE) {
		const ssize_t got = recv(from, flow->bytes + flow->size, CHUNK_SIZE - flow->size, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got > 0)
			flow->size += (size_t)got;
	}
	if (flow->size == 0 || to < 0)
		return true;
	const ssize_t sent = send(to, flow->bytes, flow->size, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN;
	flow->size -= (size_t)sent;
	memmove(flow->bytes, flow->bytes + sent, flow->size);
	return true;
}

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

static void relayed_serve(struct relay *relay, struct relayed *link)
{
	static const unsigned char unacceptable[] = {0x20, 2, 0, 1};
	if (link->client < 0)
		return;
	if (!flow_on(&link->up, link->client, link->server)) {
		relayed_close(link);
		return;
	}
	if (link->server < 0) {
		const unsigned level = protocol_level(&link->up);
		if (level == 5) {
			relay->refused++;
			(void)!send(link->client, unacceptable, sizeof(unacceptable), MSG_NOSIGNAL);
			relayed_close(link);
		} else if (level != 0) {
			link->server = make_socket(relay->target, false);
		}
	} else if (!flow_on(&link->down, link->server, link->client)) {
		relayed_close(link);
	}
}

static size_t relay_prepare(void *self, struct pollfd *polls, size_t room)
{
	const struct relay *relay = self;
	size_t count = 0;
	if (room > 0)
		polls[count++] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
	for (const struct relayed *link = relay->links; link != NULL && count + 2 <= room;
		link = link->next) {
		if (link->client < 0)
			continue;
		polls[count++] = (struct pollfd){
			.fd = link->client, .events = (short)(POLLIN | (link->down.size > 0 ? POLLOUT : 0))};
		if (link->server >= 0)
			polls[count++] = (struct pollfd){.fd = link->server,
				.events = (short)(POLLIN | (link->up.size > 0 ? POLLOUT : 0))};
	}
	return count;
}

static void relay_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct relay *relay = self;
	if (count > 0 && polls[0].revents != 0) {
		const int client = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client >= 0) {
			struct relayed *link = harness_alloc(relay->harness, sizeof(*link));
			link->client = client;
			link->server = -1;
			link->next = relay->links;
			relay->links = link;
		}
	}
	for (struct relayed *link = relay->links; link != NULL; link = link->next)
		relayed_serve(relay, link);
}

static void relay_free(void *self)
{
	struct relay *relay = self;
	for (struct relayed *link = relay->links; link != NULL; link = link->next)
		relayed_close(link);
	close(relay->listener);
}

struct relay *relay_new(struct harness *h, unsigned target_port)
{
	struct relay *relay = harness_alloc(h, sizeof(*relay));
	relay->harness = h;
	relay->target = target_port;
	relay->port = port_reserve();
	if (relay->port < 0)
		harness_fail("no port for the relay: %s", strerror(-relay->port));
	relay->listener = make_socket((unsigned)relay->port, true);
	relay->part = (struct harness_part){
		.self = relay, .prepare = relay_prepare, .serve = relay_serve, .free = relay_free};
	harness_add(h, &relay->part);
	return relay;
}

unsigned relay_port(const struct relay *relay)
{
	return (unsigned)relay->port;
}

size_t relay_refused(const struct relay *relay)
{
	return relay->refused;
}
