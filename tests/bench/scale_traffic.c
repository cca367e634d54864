/*
 * scale_traffic.c - the commands and events of the load of `run scale`; see scale_load.h.
 *
 * Commands are sent when they are due, whatever has become of those before, and a latency counts from that time. After each wake-up all that has
 * come is read and acknowledged, and each connection that has something to write is written once. Failure: a message on standard error and -1: a
 * connection that ends, a refused command, an event of another user's.
 */
#include "packet.h"
#include "scale_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS = 1024, FLIGHTS_FIRST = 65536, TOPIC_SIZE = SCALE_USER_SIZE + 32 };

int scale_fail(const char *what, const char *detail)
{
	(void)fprintf(stderr, "scale-load: %s: %s\n", what, detail);
	return -1;
}

static int fail_sized(const char *what, const void *detail, size_t size)
{
	(void)fprintf(
		stderr, "scale-load: %s: %.*s\n", what, (int)(size < 300 ? size : 300), (const char *)detail);
	return -1;
}

/* ---- Commands that wait for their events ---- */

static uint32_t take_flight(struct scale *scale)
{
	if (scale->flight_free == 0) {
		const uint32_t old = scale->flight_room, room = old ? 2 * old : FLIGHTS_FIRST;
		struct scale_flight *const flights =
			reallocarray(scale->flights, room, sizeof(*scale->flights));
		if (!flights)
			abort();
		scale->flights = flights;
		scale->flight_room = room;
		for (uint32_t at = room - 1; at >= old && at > 0; at--) {
			flights[at].next = scale->flight_free;
			scale->flight_free = at;
		}
	}
	const uint32_t index = scale->flight_free;
	scale->flight_free = scale->flights[index].next;
	return index;
}

static void push_flight(struct scale *scale, struct scale_slot *slot, uint64_t due)
{
	const uint32_t index = take_flight(scale);

	scale->flights[index] = (struct scale_flight){.due = due};
	if (slot->last != 0)
		scale->flights[slot->last].next = index;
	else
		slot->first = index;
	slot->last = index;
	scale->in_flight++;
}

static bool pop_flight(struct scale *scale, struct scale_slot *slot, uint64_t *ret_due)
{
	const uint32_t index = slot->first;

	if (index == 0)
		return false;
	struct scale_flight *const flight = &scale->flights[index];
	*ret_due = flight->due;
	slot->first = flight->next;
	if (slot->first == 0)
		slot->last = 0;
	flight->next = scale->flight_free;
	scale->flight_free = index;
	scale->in_flight--;
	return true;
}

static void count_latency(struct scale *scale, uint64_t due)
{
	if (due < scale->from || due >= scale->until)
		return;
	scale->result.due++;
	histogram_add(&scale->result.latency, scale->now - due);
}

/* ---- Commands out ---- */

void scale_mark(struct scale *scale, struct scale_device *device)
{
	if (device->dirty)
		return;
	device->dirty = true;
	scale->dirty[scale->dirty_count++] = device->index;
}

static void send_command(
	struct scale *scale, struct scale_device *device, unsigned subscription, uint64_t due)
{
	static const char payload[] = "{}";
	char topic[TOPIC_SIZE], response[TOPIC_SIZE];
	const size_t topic_size = (size_t)snprintf(topic, sizeof(topic), "%s/get_apples", device->user);
	const size_t response_size =
		(size_t)snprintf(response, sizeof(response), "%s/apples/%u", device->user, subscription);

	/* It is free: far fewer are unacknowledged, and the oldest are acknowledged first. */
	if (++device->last_id == 0)
		device->last_id = 1;
	unsigned char *const out =
		stream_room(&device->stream, PACKET_OVERHEAD + topic_size + response_size + sizeof(payload));
	stream_wrote(&device->stream, packet_publish_respond(out, device->last_id, topic, topic_size,
					      response, response_size, payload, sizeof(payload) - 1));
	device->unacknowledged++;
	push_flight(scale, &scale->slots[(size_t)device->index * scale->options.each + subscription], due);
	scale_mark(scale, device);
}

static uint64_t due_of(const struct scale *scale, const struct scale_step *step, uint64_t started)
{
	return started + (uint64_t)((double)scale->sent * 1e9 / step->rate);
}

/* Sends what is due. A device that may not send, as the broker owes it acknowledgements, holds up the others: what is sent late counts from its
 * time all the same. *ret_next: when to come again; UINT64_MAX: when something has come. False: all of the step is sent. */
static bool send_due(struct scale *scale, const struct scale_step *step, uint64_t started, uint64_t *ret_next)
{
	for (;;) {
		const uint64_t due = due_of(scale, step, started);
		struct scale_device *const device = &scale->devices[scale->sent % scale->device_count];

		*ret_next = UINT64_MAX;
		if (due >= scale->until)
			return false;
		if (due > scale->now)
			*ret_next = due;
		if (due > scale->now || device->unacknowledged >= device->receive_maximum)
			return true;
		if (scale->now - due > NANOSECONDS / 1000 && due >= scale->from)
			scale->result.late++;
		send_command(scale, device,
			(unsigned)(scale->sent / scale->device_count % scale->options.each), due);
		scale->sent++;
	}
}

/* ---- Events in ---- */

/* The number of the subscription at the topic's end: false for a topic that is not one of the device's. */
static bool read_topic(const struct scale *scale, const struct scale_device *device,
	const struct packet *event, unsigned *ret_subscription)
{
	static const char middle[] = "/apples/";
	const size_t user_size = strlen(device->user), middle_size = sizeof(middle) - 1;
	unsigned number = 0;

	if (event->topic_size <= user_size + middle_size ||
		memcmp(event->topic, device->user, user_size) != 0 ||
		memcmp(event->topic + user_size, middle, middle_size) != 0)
		return false;
	for (size_t at = user_size + middle_size; at < event->topic_size; at++) {
		if (event->topic[at] < '0' || event->topic[at] > '9' || number > SCALE_EACH_MAX)
			return false;
		number = number * 10 + (unsigned)(event->topic[at] - '0');
	}
	*ret_subscription = number;
	return number < scale->options.each;
}

static int take_event(struct scale *scale, struct scale_device *device, const struct packet *event)
{
	unsigned subscription;
	uint64_t due;

	if (event->qos != 1)
		return fail_sized("event not at QoS 1", event->topic, event->topic_size);
	if (!read_topic(scale, device, event, &subscription))
		return fail_sized("event that is not this device's", event->topic, event->topic_size);
	if (event->payload_size < 2 || memcmp(event->payload, "[\"", 2) != 0)
		return fail_sized("event that brings no apples", event->payload, event->payload_size);
	unsigned char *const out = stream_room(&device->stream, PACKET_OVERHEAD);
	stream_wrote(&device->stream, packet_puback(out, event->id));
	scale_mark(scale, device);
	scale->last_event = scale->now;
	if (!pop_flight(
		    scale, &scale->slots[(size_t)device->index * scale->options.each + subscription], &due)) {
		scale->result.extra++;
		return 0;
	}
	scale->result.answered += scale->measuring;
	count_latency(scale, due);
	return 0;
}

static int take_packet(struct scale *scale, struct scale_device *device, const struct packet *packet)
{
	switch (packet->type) {
	case PACKET_PUBLISH: return take_event(scale, device, packet);
	case PACKET_PUBACK:
		if (packet->reason >= 0x80)
			return scale_fail("command refused by the broker, see its log", device->user);
		if (packet->reason == 0x10)
			return scale_fail("nobody is subscribed to the command of", device->user);
		if (device->unacknowledged == 0)
			return scale_fail("PUBACK of nothing", device->user);
		device->unacknowledged--;
		return 0;
	case PACKET_CONNACK:
		if (packet->reason != 0)
			return scale_fail("connection refused by the broker, see its log", device->user);
		device->receive_maximum = packet->receive_maximum;
		return 0;
	case PACKET_SUBACK:
		for (size_t at = 0; at < packet->payload_size; at++)
			if (packet->payload[at] != 1)
				return scale_fail("subscription not granted at QoS 1", device->user);
		device->subscribed = packet->payload_size == scale->options.each;
		return 0;
	default: return scale_fail("unexpected packet from the broker", device->user);
	}
}

static int take_input(struct scale *scale, struct scale_device *device)
{
	struct stream *const stream = &device->stream;

	if (stream_fill(stream) < 0)
		return scale_fail("connection lost", device->user);
	scale->now = nanoseconds(CLOCK_MONOTONIC);
	for (;;) {
		struct packet packet;
		const long size = packet_read(
			stream->in + stream->in_start, stream->in_end - stream->in_start, &packet);
		if (size < 0)
			return scale_fail("malformed packet from the broker", device->user);
		if (size == 0)
			break;
		if (take_packet(scale, device, &packet) != 0)
			return -1;
		stream->in_start += (size_t)size;
	}
	if (stream->in_start == 0 && stream->in_end == stream->in_size)
		return scale_fail("a packet larger than the buffer", device->user);
	return 0;
}

/* ---- The loop ---- */

static int flush_dirty(struct scale *scale)
{
	for (uint32_t at = 0; at < scale->dirty_count; at++) {
		struct scale_device *const device = &scale->devices[scale->dirty[at]];
		device->dirty = false;
		if (stream_flush(&device->stream) != 0)
			return scale_fail("connection lost", device->user);
		if (device->stream.blocked == device->watching_output)
			continue;
		struct epoll_event event = {
			.data.ptr = device, .events = EPOLLIN | (device->stream.blocked ? EPOLLOUT : 0U)};
		if (epoll_ctl(scale->epoll, EPOLL_CTL_MOD, device->stream.fd, &event) != 0)
			return scale_fail("epoll_ctl", strerror(errno));
		device->watching_output = device->stream.blocked;
	}
	scale->dirty_count = 0;
	return 0;
}

int scale_turn(struct scale *scale, uint64_t until)
{
	static struct epoll_event events[EVENTS];
	struct timespec timeout = {0};

	if (flush_dirty(scale) != 0)
		return -1;
	scale->now = nanoseconds(CLOCK_MONOTONIC);
	if (until > scale->now) {
		timeout.tv_sec = (time_t)((until - scale->now) / NANOSECONDS);
		timeout.tv_nsec = (long)((until - scale->now) % NANOSECONDS);
	}
	const int count = epoll_pwait2(scale->epoll, events, EVENTS, &timeout, NULL);
	if (count < 0 && errno != EINTR)
		return scale_fail("epoll_pwait2", strerror(errno));
	for (int at = 0; at < count; at++) {
		if (events[at].events & EPOLLOUT)
			scale_mark(scale, events[at].data.ptr);
		if (events[at].events & ~(uint32_t)EPOLLOUT && take_input(scale, events[at].data.ptr) != 0)
			return -1;
	}
	scale->now = nanoseconds(CLOCK_MONOTONIC);
	return 0;
}

static void begin_measuring(struct scale *scale)
{
	scale->measuring = true;
	watch_begin(&scale->options.watches);
	scale->result.load_cpu_s = -(double)nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
	scale->result.seconds = -(double)nanoseconds(CLOCK_MONOTONIC) / 1e9;
}

static void end_measuring(struct scale *scale)
{
	scale->measuring = false;
	scale->result.seconds += (double)nanoseconds(CLOCK_MONOTONIC) / 1e9;
	scale->result.load_cpu_s += (double)nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
	watch_end(&scale->options.watches);
	scale->result.waiting = scale->in_flight;
}

/* What still waits is lost, also what could not be sent; its latency is that of now at least. */
static void give_up(struct scale *scale, const struct scale_step *step, uint64_t started)
{
	uint64_t due;

	scale->result.lost = scale->in_flight;
	for (size_t at = 0; at < (size_t)scale->device_count * scale->options.each; at++)
		while (pop_flight(scale, &scale->slots[at], &due))
			count_latency(scale, due);
	for (; (due = due_of(scale, step, started)) < scale->until; scale->sent++, scale->result.lost++)
		count_latency(scale, due);
}

int scale_run_step(struct scale *scale, const struct scale_step *step)
{
	const uint64_t started = nanoseconds(CLOCK_MONOTONIC);
	const uint64_t drain = (uint64_t)(scale->options.drain_s * 1e9);
	bool measured = false;

	scale->result = (struct scale_result){0};
	scale->now = scale->last_event = started;
	scale->from = started + (uint64_t)(step->warmup_s * 1e9);
	scale->until = scale->from + (uint64_t)(step->seconds * 1e9);
	scale->sent = 0;
	for (;;) {
		uint64_t next, border = scale->now < scale->from ? scale->from : scale->until;
		if (!scale->measuring && !measured && scale->now >= scale->from)
			begin_measuring(scale);
		if (scale->measuring && scale->now >= scale->until) {
			end_measuring(scale);
			measured = true;
			scale->last_event = scale->now;
		}
		const bool sending = send_due(scale, step, started, &next);
		if (measured) {
			border = scale->last_event + drain;
			if ((scale->in_flight == 0 && !sending) || scale->now >= border)
				break;
		}
		if (scale_turn(scale, next < border ? next : border) != 0)
			return -1;
	}
	give_up(scale, step, started);
	return 0;
}
