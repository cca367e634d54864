/* scripted_broker.c - see scripted_broker.h. */
#include "scripted_broker.h"
#include "harness_private.h"
#include "panic.h"
#include "port.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 16, READ_SIZE = 65536 };

struct scripted_broker {
	struct harness *harness;
	struct harness_part part;
	int port, listener; /* listener -1: refuses connections */
	struct in_addr address;
	char host[INET_ADDRSTRLEN];
	bool only_mqtt311, raw;
	size_t connections;
	struct scripted_link *links; /* newest first */
};

/* ---- One connection ---- */

static void link_close(struct scripted_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

static void link_write(struct scripted_link *link)
{
	while (link->fd >= 0 && link->output_size > 0) {
		const ssize_t sent = send(link->fd, link->output, link->output_size, MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno != EAGAIN)
				link_close(link);
			return;
		}
		link->output_size -= (size_t)sent;
		memmove(link->output, link->output + sent, link->output_size);
	}
}

static void link_keep(struct scripted_link *link, struct scripted_packet *packet)
{
	if (link->packet_count == link->packet_capacity) {
		link->packet_capacity = link->packet_capacity ? 2 * link->packet_capacity : 64;
		link->packets = panic_if_null(
			reallocarray(link->packets, link->packet_capacity, sizeof(link->packets[0])));
	}
	link->packets[link->packet_count++] = packet;
	if (packet->packet.type == MQTT_CONNECT && packet->packet.protocol == 5 &&
		link->broker->only_mqtt311) {
		link->protocol = 4;
		scripted_connack(link, false, 1);
		link_close(link);
	} else if (packet->packet.type == MQTT_CONNECT) {
		link->connect = &packet->packet;
		link->protocol = packet->packet.protocol;
	} else if (scripted_settles(link, &packet->packet)) {
		packet->taken = true;
		scripted_puback(link, packet->packet.mid, 0);
	} else if (packet->packet.type == MQTT_PINGREQ) {
		scripted_send(link, &(struct mqtt_packet){.type = MQTT_PINGRESP});
	} else if (link->grants && packet->packet.type == MQTT_SUBSCRIBE) {
		scripted_suback(link, &packet->packet, 1);
	} else if (link->grants && packet->packet.type == MQTT_UNSUBSCRIBE) {
		struct mqtt_packet unsuback = {.type = MQTT_UNSUBACK,
			.mid = packet->packet.mid,
			.filter_count = packet->packet.filter_count};
		scripted_send(link, &unsuback);
	}
}

static void link_decode(struct scripted_link *link)
{
	size_t used = 0;
	for (;;) {
		struct scripted_packet *packet = panic_if_null(calloc(1, sizeof(*packet)));
		const long size = mqtt_decode(
			link->input + used, link->input_size - used, link->protocol, &packet->packet);
		if (size <= 0) {
			free(packet);
			if (size < 0)
				harness_fail("the scripted broker got a malformed packet, which begins with "
					     "0x%02x",
					link->input[used]);
			break;
		}
		used += (size_t)size;
		packet->at_ms = harness_now_ms();
		link_keep(link, packet);
	}
	link->input_size -= used;
	if (used > 0)
		memmove(link->input, link->input + used, link->input_size);
}

/* Takes in what has come, without waiting. */
static void link_read(struct scripted_link *link)
{
	while (link->fd >= 0 && !link->silent) {
		link->input = panic_if_null(realloc(link->input, link->input_size + READ_SIZE));
		const ssize_t got = recv(link->fd, link->input + link->input_size, READ_SIZE, 0);
		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0) {
			link_close(link);
			break;
		}
		link->input_size += (size_t)got;
		if (!link->broker->raw)
			link_decode(link);
	}
}

static void link_free(struct scripted_link *link)
{
	link_close(link);
	for (size_t i = 0; i < link->packet_count; i++) {
		mqtt_packet_free(&link->packets[i]->packet);
		free(link->packets[i]);
	}
	free(link->packets);
	free(link->input);
	free(link->output);
}

/* ---- As a part of the harness ---- */

static size_t broker_prepare(void *self, struct pollfd *polls, size_t room)
{
	const struct scripted_broker *broker = self;
	size_t count = 0;
	if (broker->listener >= 0 && room > 0)
		polls[count++] = (struct pollfd){.fd = broker->listener, .events = POLLIN};
	for (const struct scripted_link *link = broker->links; link && count < room; link = link->next)
		if (link->fd >= 0 && (!link->silent || link->output_size > 0))
			polls[count++] = (struct pollfd){.fd = link->fd,
				.events = (short)((link->silent ? 0 : POLLIN) |
						  (link->output_size > 0 ? POLLOUT : 0))};
	return count;
}

static void broker_take(struct scripted_broker *broker)
{
	const int fd = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	const int on = 1;
	if (fd < 0)
		return;
	broker->connections++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct scripted_link *link = harness_alloc(broker->harness, sizeof(*link));
	*link = (struct scripted_link){.broker = broker, .next = broker->links, .fd = fd};
	broker->links = link;
}

static void broker_serve(void *self, const struct pollfd *polls, size_t count)
{
	struct scripted_broker *broker = self;
	if (broker->listener >= 0 && count > 0 && polls[0].fd == broker->listener && polls[0].revents != 0)
		broker_take(broker);
	for (struct scripted_link *link = broker->links; link; link = link->next) {
		link_read(link);
		link_write(link);
	}
}

static void broker_free(void *self)
{
	struct scripted_broker *broker = self;
	scripted_close_port(broker);
	for (struct scripted_link *link = broker->links; link; link = link->next)
		link_free(link);
}

struct scripted_broker *scripted_new(struct harness *h)
{
	struct scripted_broker *broker = harness_alloc(h, sizeof(*broker));
	broker->harness = h;
	broker->listener = -1;
	broker->port = port_reserve();
	if (broker->port < 0)
		harness_fail("no port for the scripted broker: %s", strerror(-broker->port));
	/* Linux remembers of an address how TCP went there, and makes send buffers to match. Nobody has
	 * spoken to this one: 127.x.y.z, which is the loopback interface as well. */
	broker->address.s_addr =
		htonl(0x7f000000U | (uint32_t)(1 + getpid() % 250) << 16 | (uint32_t)broker->port);
	if (!inet_ntop(AF_INET, &broker->address, broker->host, sizeof(broker->host)))
		harness_fail("the scripted broker's address: %s", strerror(errno));
	broker->part = (struct harness_part){
		.self = broker, .prepare = broker_prepare, .serve = broker_serve, .free = broker_free};
	harness_add(h, &broker->part);
	scripted_open_port(broker);
	return broker;
}

struct scripted_broker *scripted_new_beside(struct harness *h, const struct scripted_broker *other)
{
	struct scripted_broker *broker = harness_alloc(h, sizeof(*broker));
	broker->harness = h;
	broker->listener = -1;
	broker->port = other->port;
	broker->address.s_addr = htonl(ntohl(other->address.s_addr) ^ 0x100);
	if (!inet_ntop(AF_INET, &broker->address, broker->host, sizeof(broker->host)))
		harness_fail("the scripted broker's address: %s", strerror(errno));
	broker->part = (struct harness_part){
		.self = broker, .prepare = broker_prepare, .serve = broker_serve, .free = broker_free};
	harness_add(h, &broker->part);
	return broker;
}

void scripted_open_port(struct scripted_broker *broker)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)broker->port),
		.sin_addr = broker->address};
	const int on = 1;
	broker->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(broker->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(broker->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(broker->listener, LISTEN_BACKLOG) != 0)
		harness_fail(
			"the scripted broker cannot listen on port %d: %s", broker->port, strerror(errno));
}

void scripted_small_buffers(struct scripted_broker *broker)
{
	/* Small segments keep the peer's send buffer from growing: on the loopback interface it would hold
	 * megabytes. */
	const int segment = 88, buffer = 1;
	if (setsockopt(broker->listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) != 0 ||
		setsockopt(broker->listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) != 0)
		harness_fail("small buffers: %s", strerror(errno));
}

void scripted_only_mqtt311(struct scripted_broker *broker)
{
	broker->only_mqtt311 = true;
}

void scripted_raw(struct scripted_broker *broker)
{
	broker->raw = true;
}

const struct scripted_link *scripted_newest(const struct scripted_broker *broker)
{
	return broker->links;
}

size_t scripted_connections(const struct scripted_broker *broker)
{
	return broker->connections;
}

void scripted_close_port(struct scripted_broker *broker)
{
	if (broker->listener >= 0)
		close(broker->listener);
	broker->listener = -1;
}

const char *scripted_host(const struct scripted_broker *broker)
{
	return broker->host;
}

unsigned scripted_port(const struct scripted_broker *broker)
{
	return (unsigned)broker->port;
}

void scripted_use(struct host *host, const struct scripted_broker *broker)
{
	host_set(host, "BROKER_HOST", broker->host);
	host_set(host, "BROKER_PORT", harness_format(broker->harness, "%d", broker->port));
	host_set(host, "BROKER_TLS", "off");
	host_set(host, "BROKER_CA_FILE", NULL);
}

/* ---- Sending ---- */

void scripted_send_bytes(struct scripted_link *link, const void *bytes, size_t size)
{
	link->output = panic_if_null(realloc(link->output, link->output_size + size));
	memcpy(link->output + link->output_size, bytes, size);
	link->output_size += size;
	link_write(link);
}

void scripted_send(struct scripted_link *link, const struct mqtt_packet *packet)
{
	size_t size;
	uint8_t *bytes = mqtt_encode(packet, link->protocol, &size);
	scripted_send_bytes(link, bytes, size);
	free(bytes);
}

void scripted_connack(struct scripted_link *link, bool session_present, uint8_t reason)
{
	scripted_send(
		link, &(struct mqtt_packet){
			      .type = MQTT_CONNACK, .session_present = session_present, .reason = reason});
}

void scripted_suback(struct scripted_link *link, const struct mqtt_packet *subscribe, uint8_t code)
{
	struct mqtt_packet packet = {
		.type = MQTT_SUBACK, .mid = subscribe->mid, .filter_count = subscribe->filter_count};
	memset(packet.codes, code, sizeof(packet.codes));
	scripted_send(link, &packet);
}

void scripted_suback_codes(
	struct scripted_link *link, const struct mqtt_packet *subscribe, const uint8_t *codes, size_t count)
{
	struct mqtt_packet packet = {.type = MQTT_SUBACK, .mid = subscribe->mid, .filter_count = count};
	memcpy(packet.codes, codes, count);
	scripted_send(link, &packet);
}

void scripted_publish(struct scripted_link *link, const struct scripted_publish *publish)
{
	struct mqtt_packet packet = {.type = MQTT_PUBLISH,
		.mid = publish->mid,
		.qos = publish->qos < 0	   ? 0
		       : publish->qos == 2 ? 2
					   : 1,
		.duplicate = publish->duplicate,
		.retain = publish->retain,
		/* Only read from: the encoder does not write to the payload. */
		.payload = (uint8_t *)(uintptr_t)publish->payload,
		.payload_size = publish->payload_size ? publish->payload_size : strlen(publish->payload)};
	snprintf(packet.topic, sizeof(packet.topic), "%s", publish->topic);
	if (publish->response_topic)
		mqtt_add_text(&packet, 0x08, publish->response_topic);
	if (publish->correlation)
		mqtt_add_text(&packet, 0x09, publish->correlation);
	scripted_send(link, &packet);
	free(packet.properties);
}

void scripted_puback(struct scripted_link *link, uint16_t mid, uint8_t reason)
{
	scripted_send(link, &(struct mqtt_packet){.type = MQTT_PUBACK, .mid = mid, .reason = reason});
}

void scripted_disconnect(struct scripted_link *link, uint8_t reason)
{
	scripted_send(link, &(struct mqtt_packet){.type = MQTT_DISCONNECT, .reason = reason});
	scripted_close(link);
}

void scripted_close(struct scripted_link *link)
{
	/* What came in before would otherwise turn the closing into a reset. */
	link_read(link);
	link_close(link);
}

void scripted_reset(struct scripted_link *link)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};
	setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	link_close(link);
}

/* ---- What came in ---- */

struct scripted_wait {
	struct scripted_broker *broker;
	struct scripted_link *link;
	enum mqtt_type type;
	int mid; /* -1: any */
	size_t count;
	struct scripted_packet *found;
};

static bool connection_came(void *context)
{
	struct scripted_wait *wait = context;
	wait->link = NULL;
	/* The list has the newest first: the last that fits came first. */
	for (struct scripted_link *link = wait->broker->links; link; link = link->next)
		if (!link->accepted && link->connect)
			wait->link = link;
	return wait->link;
}

struct scripted_link *scripted_accept_at(const char *file, int line, struct scripted_broker *broker)
{
	struct scripted_wait wait = {.broker = broker};
	harness_wait_at(file, line, broker->harness, connection_came, &wait, HARNESS_TIMEOUT_MS,
		"a CONNECT at the scripted broker");
	wait.link->accepted = true;
	return wait.link;
}

static bool packet_came(void *context)
{
	struct scripted_wait *wait = context;
	struct scripted_link *link = wait->link;
	while (link->taken_count < link->packet_count && link->packets[link->taken_count]->taken)
		link->taken_count++;
	for (size_t i = link->taken_count; i < link->packet_count; i++) {
		struct scripted_packet *packet = link->packets[i];
		if (!packet->taken && packet->packet.type == wait->type &&
			(wait->mid < 0 || packet->packet.mid == wait->mid)) {
			wait->found = packet;
			return true;
		}
	}
	return false;
}

const struct mqtt_packet *scripted_expect_at(
	const char *file, int line, struct scripted_link *link, enum mqtt_type type)
{
	struct scripted_wait wait = {.link = link, .type = type, .mid = -1};
	harness_wait_at(file, line, link->broker->harness, packet_came, &wait, HARNESS_TIMEOUT_MS,
		"%s at the scripted broker%s", mqtt_type_name(type),
		link->fd < 0 ? " on a closed connection" : "");
	wait.found->taken = true;
	return &wait.found->packet;
}

const struct scripted_packet *scripted_expect_puback_at(
	const char *file, int line, struct scripted_link *link, uint16_t mid)
{
	struct scripted_wait wait = {.link = link, .type = MQTT_PUBACK, .mid = mid};
	harness_wait_at(file, line, link->broker->harness, packet_came, &wait, HARNESS_TIMEOUT_MS,
		"the PUBACK of packet identifier %u at the scripted broker%s", (unsigned)mid,
		link->fd < 0 ? " on a closed connection" : "");
	wait.found->taken = true;
	return wait.found;
}

size_t scripted_count(struct scripted_link *link, enum mqtt_type type)
{
	size_t count = 0;
	link_read(link);
	for (size_t i = 0; i < link->packet_count; i++)
		count += link->packets[i]->packet.type == type;
	return count;
}

static bool enough_came(void *context)
{
	const struct scripted_wait *wait = context;
	return scripted_count(wait->link, wait->type) >= wait->count;
}

void scripted_wait_count_at(
	const char *file, int line, struct scripted_link *link, enum mqtt_type type, size_t count)
{
	struct scripted_wait wait = {.link = link, .type = type, .count = count};
	harness_wait_at(file, line, link->broker->harness, enough_came, &wait, HARNESS_TIMEOUT_MS,
		"%zu %s at the scripted broker, where %zu came", count, mqtt_type_name(type),
		scripted_count(link, type));
}

static bool link_closed(void *context)
{
	const struct scripted_link *link = context;
	return link->fd < 0;
}

void scripted_expect_close_at(const char *file, int line, struct scripted_link *link)
{
	harness_wait_at(file, line, link->broker->harness, link_closed, link, HARNESS_TIMEOUT_MS,
		"the host to close a connection of the scripted broker");
}
