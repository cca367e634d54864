/*
 * load_traffic.c - the commands and events of the load generator; see load_private.h.
 *
 * One thread, one epoll, few connections. After each wake-up everything that has come is read, acknowledged
 * and answered with new commands in the output buffers, and each connection is written once: what it costs
 * per command stays far below what it measures.
 */
#include "load_private.h"
#include "packet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

/* ---- The measured time ---- */

static void begin_measuring(struct load *load)
{
	load->measuring = true;
	load->result->load_cpu_s = -(double)nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
	watch_begin(&load->options->watches);
	load->measured_from = load->now = nanoseconds(CLOCK_MONOTONIC);
}

static void end_measuring(struct load *load)
{
	load->measuring = false;
	load->stopped = true;
	load->now = nanoseconds(CLOCK_MONOTONIC);
	load->result->seconds = (double)(load->now - load->measured_from) / 1e9;
	watch_end(&load->options->watches);
	load->result->load_cpu_s += (double)nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

/* ---- Commands out ---- */

static uint16_t next_id(struct connection *connection)
{
	do {
		if (++connection->last_id == 0)
			connection->last_id = 1;
	} while (connection->id_used[connection->last_id] != 0);
	connection->id_used[connection->last_id] = 1;
	return connection->last_id;
}

/* Whether one more command of the device may be sent now. */
static bool has_room(const struct load *load, unsigned device_index)
{
	const struct device *const device = &load->devices[device_index];
	const struct connection *const connection =
		&load->connections[device_index % load->options->connections];

	return device->tail - device->head < RING && connection->unacknowledged < connection->receive_maximum;
}

static int send_command(struct load *load, unsigned device_index, uint64_t since)
{
	struct device *const device = &load->devices[device_index];
	struct connection *const connection = &load->connections[device_index % load->options->connections];
	const char *payload = load->options->mode->payload;
	uint32_t contact = 0;
	char text[96];

	if (!has_room(load, device_index))
		return fail("too many commands in flight for the broker's Receive Maximum or one device",
			device->topic, device->topic_size);
	if (!payload) {
		contact = device->next_contact++;
		if (contact >= LOAD_CONTACTS)
			return fail(
				"every pair of device and contact has been used", "take a shorter run", 99);
		(void)snprintf(
			text, sizeof(text), "{\"contact_id\":\"c%s-%u\"}", load->options->run, contact);
		payload = text;
	}
	const size_t size = strlen(payload);
	unsigned char *const out =
		stream_room(&connection->stream, PACKET_OVERHEAD + device->topic_size + size);
	stream_wrote(&connection->stream,
		packet_publish(out, next_id(connection), device->topic, device->topic_size, payload, size));
	connection->unacknowledged++;
	device->flights[device->tail++ % RING] = (struct flight){since, contact};
	load->in_flight++;
	return 0;
}

/* Sends what the schedule says is due; what finds no room is sent later and counts from its time on the
 * schedule. */
static int send_due(struct load *load, uint64_t *ret_next)
{
	const uint64_t limit = (uint64_t)load->options->devices * load->options->outstanding;

	for (;;) {
		const uint64_t due =
			load->started + (uint64_t)((double)load->sent * 1e9 / load->options->rate);
		const unsigned device_index = (unsigned)(load->sent % load->options->devices);
		*ret_next = due;
		if (due > load->now || due >= load->stop_sending)
			return 0;
		if (load->in_flight >= limit || !has_room(load, device_index)) {
			*ret_next = UINT64_MAX; /* an event makes room */
			return 0;
		}
		if (load->measuring && load->now - due > NANOSECONDS / 1000)
			load->result->late++;
		if (send_command(load, device_index, due) != 0)
			return -1;
		load->sent++;
	}
}

/* ---- Events in ---- */

/* The number that follows `prefix` in the text: the index of a device or a contact. */
static bool number_after(const char *text, size_t size, const char *prefix, uint32_t *ret_number)
{
	const size_t prefix_size = strlen(prefix);
	const char *at = memmem(text, size, prefix, prefix_size);
	uint32_t number = 0;

	if (!at)
		return false;
	at += prefix_size;
	if (at >= text + size || *at < '0' || *at > '9')
		return false;
	while (at < text + size && *at >= '0' && *at <= '9' && number < 100000000)
		number = number * 10 + (uint32_t)(*at++ - '0');
	*ret_number = number;
	return true;
}

static void answered(struct load *load, const struct flight *flight)
{
	load->in_flight--;
	if (!load->measuring)
		return;
	load->result->commands++;
	histogram_add(&load->result->latency, load->now - flight->since);
}

/* Finds the command that the event answers; *ret_device is whose it was. False for one that nobody waits for. */
static bool match_event(struct load *load, const struct packet *event, uint32_t *ret_device)
{
	const bool by_contact = load->options->mode->match == LOAD_MATCH_CONTACT;
	const char prefix[] = {load->options->prefix, '\0'}, quoted[] = {'"', load->options->prefix, '\0'};
	uint32_t contact = 0, index;

	if (by_contact) {
		if (!number_after((const char *)event->payload, event->payload_size, quoted, &index) ||
			!number_after(event->topic, event->topic_size, "-", &contact))
			return false;
	} else if (!number_after(event->topic, event->topic_size, prefix, &index)) {
		return false;
	}
	if (index >= load->options->devices)
		return false;
	struct device *const device = &load->devices[index];
	*ret_device = index;
	for (uint32_t at = device->head; at != device->tail; at++) {
		struct flight *const flight = &device->flights[at % RING];
		if (flight->contact != contact)
			continue;
		answered(load, flight);
		flight->contact = NO_CONTACT;
		while (device->head != device->tail &&
			device->flights[device->head % RING].contact == NO_CONTACT)
			device->head++;
		return true;
	}
	return false;
}

static int take_event(struct load *load, struct connection *connection, const struct packet *event)
{
	static const char rejected[] = "/command_rejected";
	const size_t rejected_size = sizeof(rejected) - 1;
	uint32_t device;

	if (event->qos != 1)
		return fail("event not at QoS 1", event->topic, event->topic_size);
	if (event->topic_size > rejected_size &&
		memcmp(event->topic + event->topic_size - rejected_size, rejected, rejected_size) == 0)
		return fail("command rejected", (const char *)event->payload, event->payload_size);
	unsigned char *const out = stream_room(&connection->stream, PACKET_OVERHEAD);
	stream_wrote(&connection->stream, packet_puback(out, event->id));
	load->last_event = load->now;
	if (!match_event(load, event, &device)) {
		load->result->extra++;
		return 0;
	}
	if (load->options->commands != 0 && load->result->commands >= load->options->commands &&
		load->measuring)
		end_measuring(load);
	if (load->options->rate > 0 || load->stopped)
		return 0;
	return send_command(load, device, load->now);
}

static int take_packet(struct load *load, struct connection *connection, const struct packet *packet)
{
	switch (packet->type) {
	case PACKET_PUBLISH: return take_event(load, connection, packet);
	case PACKET_PUBACK:
		if (packet->reason >= 0x80)
			return fail("command refused by the broker", "see its log", 99);
		if (packet->reason == 0x10)
			return fail("nobody is subscribed to the command", load->options->mode->name, 99);
		if (connection->id_used[packet->id] == 0)
			return fail("PUBACK for an unknown packet id", "", 0);
		connection->id_used[packet->id] = 0;
		connection->unacknowledged--;
		return 0;
	case PACKET_CONNACK:
		if (packet->reason != 0)
			return fail("connection refused by the broker", "see its log", 99);
		connection->receive_maximum = packet->receive_maximum;
		return 0;
	case PACKET_SUBACK:
		for (size_t at = 0; at < packet->payload_size; at++)
			if (packet->payload[at] != 1)
				return fail("subscription not granted at QoS 1", "", 0);
		connection->subscribed = true;
		return 0;
	default: return fail("unexpected packet from the broker", "", 0);
	}
}

static int take_input(struct load *load, struct connection *connection)
{
	struct stream *const stream = &connection->stream;

	do {
		if (stream_fill(stream) < 0)
			return -1;
		load->now = nanoseconds(CLOCK_MONOTONIC);
		for (;;) {
			struct packet packet;
			const long size = packet_read(
				stream->in + stream->in_start, stream->in_end - stream->in_start, &packet);
			if (size < 0)
				return fail("malformed packet from the broker", "", 0);
			if (size == 0)
				break;
			if (take_packet(load, connection, &packet) != 0)
				return -1;
			stream->in_start += (size_t)size;
		}
		if (stream->in_start == 0 && stream->in_end == stream->in_size)
			return fail("a packet larger than the buffer", "", 0);
	} while (stream->in_end == stream->in_size);
	return 0;
}

/* ---- The loop ---- */

static int flush_all(struct load *load)
{
	for (unsigned at = 0; at < load->options->connections; at++) {
		struct connection *const connection = &load->connections[at];
		if (stream_flush(&connection->stream) != 0)
			return -1;
		if (connection->stream.blocked == connection->watching_output)
			continue;
		struct epoll_event event = {.data.ptr = connection,
			.events = EPOLLIN | (connection->stream.blocked ? EPOLLOUT : 0U)};
		if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, connection->stream.fd, &event) != 0)
			return fail("epoll_ctl", strerror(errno), 99);
		connection->watching_output = connection->stream.blocked;
	}
	return 0;
}

int load_turn(struct load *load, uint64_t until)
{
	struct epoll_event events[64];
	struct timespec timeout = {0};

	if (flush_all(load) != 0)
		return -1;
	load->now = nanoseconds(CLOCK_MONOTONIC);
	if (until > load->now) {
		timeout.tv_sec = (time_t)((until - load->now) / NANOSECONDS);
		timeout.tv_nsec = (long)((until - load->now) % NANOSECONDS);
	}
	if (load->options->nap_us > 0) {
		const struct timespec nap = {.tv_nsec = (long)load->options->nap_us * 1000};
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	}
	const int count = epoll_pwait2(load->epoll, events, 64, &timeout, NULL);
	if (count < 0 && errno != EINTR)
		return fail("epoll_pwait2", strerror(errno), 99);
	for (int at = 0; at < count; at++)
		if (take_input(load, events[at].data.ptr) != 0)
			return -1;
	load->now = nanoseconds(CLOCK_MONOTONIC);
	return 0;
}

static int start_sending(struct load *load)
{
	const struct load_options *const options = load->options;

	load->started = load->last_event = load->now = nanoseconds(CLOCK_MONOTONIC);
	load->measured_from = load->started + (uint64_t)(options->warmup_s * 1e9);
	load->stop_sending = load->measured_from + (uint64_t)(options->seconds * 1e9);
	for (unsigned depth = 0; options->rate <= 0 && depth < options->outstanding; depth++)
		for (unsigned device = 0; device < options->devices; device++)
			if (send_command(load, device, load->now) != 0)
				return -1;
	return 0;
}

int load_traffic(struct load *load)
{
	if (start_sending(load) != 0)
		return -1;
	for (;;) {
		const uint64_t stop = load->stop_sending;
		uint64_t until = load->measuring || load->stopped ? stop : load->measured_from;

		if (!load->stopped && !load->measuring && load->now >= load->measured_from)
			begin_measuring(load);
		if (load->measuring && load->now >= stop)
			end_measuring(load);
		if (load->stopped) {
			until = load->last_event + LOAD_DRAIN_S * NANOSECONDS;
			if (load->in_flight == 0 || load->now >= until)
				break;
		} else if (load->options->rate > 0) {
			uint64_t next;
			if (send_due(load, &next) != 0)
				return -1;
			until = next < until ? next : until;
		}
		if (load->in_flight > 0 && load->now - load->last_event > LOAD_STALL_S * NANOSECONDS)
			return fail("no event came for too long", "does the host run, is it subscribed?", 99);
		if (load_turn(load, until) != 0)
			return -1;
	}
	load->result->lost = load->in_flight;
	return 0;
}
