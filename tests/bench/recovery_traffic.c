/*
 * recovery_traffic.c - the commands and events of recovery_load; see recovery_load.h.
 *
 * After each wake-up everything that has come is read, acknowledged and written down, what is due is put into the output buffers, and
 * each connection that has output is written once.
 */
#include "packet.h"
#include "recovery_load.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { REPEAT_LOOK = 64, PAYLOAD_SIZE = 128, RECEIVE_MAXIMUM = 65535 };

static int fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "recovery-load: %s: %s\n", what, why);
	return -1;
}

/* Room for one more element; aborts where there is no memory. */
static void *grow(void *elements, uint32_t count, uint32_t *room, size_t size)
{
	if (count < *room)
		return elements;
	*room = *room ? 2 * *room : 256;
	void *const grown = reallocarray(elements, *room, size);
	if (!grown)
		abort();
	return grown;
}

/* ---- Commands out ---- */

static uint16_t next_id(struct recovery_device *device)
{
	do {
		device->last_id =
			device->last_id == RECEIVE_MAXIMUM - 1 ? 1 : (uint16_t)(device->last_id + 1);
	} while (device->number_of_id[device->last_id] != 0);
	return device->last_id;
}

static bool can_send(const struct recovery_device *device)
{
	return device->ready && device->unacknowledged < device->receive_maximum &&
	       device->unacknowledged < RECEIVE_MAXIMUM - 1;
}

/* Publishes a command of the device under its next number. */
static void send_command(struct recovery *recovery, struct recovery_device *device, uint32_t index)
{
	struct recovery_command *const command = &device->commands[index];
	char topic[RECOVERY_USER_SIZE + 65], payload[PAYLOAD_SIZE];

	device->command_of_number =
		grow(device->command_of_number, device->numbers + 1, &device->number_room, sizeof(uint32_t));
	command->last_number = ++device->numbers;
	device->command_of_number[device->numbers] = index;
	command->state = RECOVERY_SENT;
	command->acknowledged = false;
	command->sent = recovery->now;
	const int topic_size =
		snprintf(topic, sizeof(topic), "%s/%s", device->user, recovery->options->command);
	const int size = snprintf(payload, sizeof(payload), "{\"list\":\"%s\",\"n\":%u}",
		recovery->options->list, device->numbers);
	unsigned char *const out =
		stream_room(&device->stream, PACKET_OVERHEAD + (size_t)topic_size + (size_t)size);
	const uint16_t id = next_id(device);
	device->number_of_id[id] = device->numbers;
	device->unacknowledged++;
	stream_wrote(
		&device->stream, packet_publish(out, id, topic, (size_t)topic_size, payload, (size_t)size));
	(void)fprintf(recovery->out, "S %s %u %u %llu %llu\n", device->user, device->numbers, index + 1,
		(unsigned long long)command->due, (unsigned long long)command->sent);
}

/* Sends what waits, oldest first, as far as the broker's Receive Maximum allows. */
static void send_waiting(struct recovery *recovery, struct recovery_device *device)
{
	for (; device->waiting < device->command_count && can_send(device); device->waiting++)
		if (device->commands[device->waiting].state == RECOVERY_WAITING)
			send_command(recovery, device, device->waiting);
}

static void add_command(struct recovery *recovery, struct recovery_device *device, uint64_t due)
{
	device->commands = grow(
		device->commands, device->command_count, &device->command_room, sizeof(*device->commands));
	device->commands[device->command_count++] = (struct recovery_command){.due = due};
	recovery->unanswered++;
	send_waiting(recovery, device);
}

/* When command number `scheduled` is due; UINT64_MAX behind the schedule's end. */
static uint64_t due_at(const struct recovery *recovery)
{
	double before = 0, start_s = 0;

	for (unsigned at = 0; at < recovery->options->segment_count; at++) {
		const struct recovery_segment *const segment = &recovery->options->segments[at];
		const double in_it = segment->seconds * segment->rate;
		if ((double)recovery->scheduled < before + in_it)
			return recovery->started +
			       (uint64_t)((start_s + ((double)recovery->scheduled - before) / segment->rate) *
					  1e9);
		before += in_it;
		start_s += segment->seconds;
	}
	return UINT64_MAX;
}

/* Sends what the schedule says is due; returns when the next one is, and stops where there is none. */
static uint64_t send_due(struct recovery *recovery)
{
	for (;;) {
		const uint64_t due = due_at(recovery);
		if (due == UINT64_MAX) {
			recovery->stopped = true;
			recovery->stop_sending = recovery->now;
		}
		if (due > recovery->now)
			return due;
		add_command(recovery, &recovery->devices[recovery->scheduled % recovery->device_count], due);
		recovery->scheduled++;
	}
}

/* One command that has had no event for too long, the oldest such; one a second at most, since what is merely late is not to become more. */
static void repeat_late(struct recovery *recovery, struct recovery_device *device)
{
	if (recovery->now < device->repeat_at || !can_send(device))
		return;
	for (uint32_t at = device->oldest; at < device->command_count && at < device->oldest + REPEAT_LOOK;
		at++) {
		struct recovery_command *const command = &device->commands[at];
		const double wait_s = recovery->options->repeat_s * (double)(1U << command->repeats);
		if (command->state != RECOVERY_SENT || (double)(recovery->now - command->sent) < wait_s * 1e9)
			continue;
		command->repeats = command->repeats < 10 ? command->repeats + 1 : 10;
		recovery->repeated++;
		device->repeat_at = recovery->now + RECOVERY_SECOND;
		send_command(recovery, device, at);
		return;
	}
}

/* ---- The connection ends, and comes back ---- */

void recovery_disconnect(struct recovery *recovery, struct recovery_device *device)
{
	(void)epoll_ctl(recovery->epoll, EPOLL_CTL_DEL, device->stream.fd, NULL);
	stream_close(&device->stream);
	device->connected = device->ready = false;
	device->reconnect_at = recovery->now + RECOVERY_RETRY_MS * (RECOVERY_SECOND / 1000);
	device->unacknowledged = 0;
	memset(device->number_of_id, 0, 65536 * sizeof(uint32_t));
	/* As a client library does: what the broker has not acknowledged goes out again, in order. */
	for (uint32_t at = device->oldest; at < device->command_count; at++) {
		struct recovery_command *const command = &device->commands[at];
		if (command->state == RECOVERY_SENT && !command->acknowledged)
			command->state = RECOVERY_WAITING;
	}
	device->waiting = device->oldest;
}

static void look_after(struct recovery *recovery)
{
	if (recovery->now < recovery->looked_at + RECOVERY_SECOND / 20)
		return;
	recovery->looked_at = recovery->now;
	for (unsigned at = 0; at < recovery->device_count; at++) {
		struct recovery_device *const device = &recovery->devices[at];
		if (device->connected)
			repeat_late(recovery, device);
		else if (recovery->now >= device->reconnect_at && recovery_connect(recovery, device) != 0)
			device->reconnect_at = recovery->now + RECOVERY_RETRY_MS * (RECOVERY_SECOND / 1000);
	}
	if (recovery->now >= recovery->flushed_at + RECOVERY_SECOND / 5) {
		recovery->flushed_at = recovery->now;
		(void)fflush(recovery->out);
	}
}

/* ---- Events in ---- */

static bool number_in(const struct packet *event, uint32_t *ret_number)
{
	static const char name[] = "\"n\":";
	const char *at = memmem(event->payload, event->payload_size, name, sizeof(name) - 1);
	const char *const end = (const char *)event->payload + event->payload_size;
	uint32_t number = 0;

	if (!at)
		return false;
	for (at += sizeof(name) - 1; at < end && *at == ' ';)
		at++;
	for (; at < end && *at >= '0' && *at <= '9' && number < 100000000; at++)
		number = number * 10 + (uint32_t)(*at - '0');
	*ret_number = number;
	return true;
}

static bool is_event(const struct recovery_device *device, const struct packet *event, const char *name)
{
	const size_t user_size = strlen(device->user), size = strlen(name);

	return event->topic_size == user_size + 1 + size &&
	       memcmp(event->topic + user_size + 1, name, size) == 0;
}

static void take_event(struct recovery *recovery, struct recovery_device *device, const struct packet *event)
{
	uint32_t number = 0;

	if (event->qos == 1) {
		unsigned char *const out = stream_room(&device->stream, PACKET_OVERHEAD);
		stream_wrote(&device->stream, packet_puback(out, event->id));
	}
	if (is_event(device, event, "command_failed") || is_event(device, event, "command_rejected")) {
		recovery->refused++;
		(void)fprintf(recovery->out, "X %s %.*s\n", device->user, (int)event->payload_size,
			(const char *)event->payload);
	}
	if (!is_event(device, event, recovery->options->event) || !number_in(event, &number) || number == 0 ||
		number > device->numbers)
		return;
	const uint32_t index = device->command_of_number[number];
	struct recovery_command *const command = &device->commands[index];
	if (command->state == RECOVERY_ANSWERED)
		return;
	command->state = RECOVERY_ANSWERED;
	recovery->answered++;
	recovery->unanswered--;
	(void)fprintf(recovery->out, "A %s %u %llu %llu\n", device->user, index + 1,
		(unsigned long long)command->due, (unsigned long long)recovery->now);
	while (device->oldest < device->command_count &&
		device->commands[device->oldest].state == RECOVERY_ANSWERED)
		device->oldest++;
	if (recovery->options->outstanding > 0 && !recovery->stopped)
		add_command(recovery, device, recovery->now);
}

static void take_puback(struct recovery_device *device, const struct packet *packet)
{
	const uint32_t number = device->number_of_id[packet->id];

	if (number == 0)
		return;
	device->number_of_id[packet->id] = 0;
	device->unacknowledged--;
	struct recovery_command *const command = &device->commands[device->command_of_number[number]];
	if (command->last_number == number)
		command->acknowledged = true;
}

static int take_packet(struct recovery *recovery, struct recovery_device *device, const struct packet *packet)
{
	switch (packet->type) {
	case PACKET_PUBLISH: take_event(recovery, device, packet); return 0;
	case PACKET_PUBACK: take_puback(device, packet); return 0;
	case PACKET_CONNACK:
		device->receive_maximum = packet->receive_maximum;
		return packet->reason == 0 ? 0 : -1;
	case PACKET_SUBACK:
		device->ready = packet->payload_size > 0 && packet->payload[0] <= 1;
		return device->ready ? 0 : -1;
	default: return -1;
	}
}

/* Takes what has come; -1 where the connection is to end. */
static int take_input(struct recovery *recovery, struct recovery_device *device)
{
	struct stream *const stream = &device->stream;

	do {
		if (stream_fill(stream) < 0)
			return -1;
		recovery->now = recovery_clock();
		for (;;) {
			struct packet packet;
			const long size = packet_read(
				stream->in + stream->in_start, stream->in_end - stream->in_start, &packet);
			if (size < 0)
				return -1;
			if (size == 0)
				break;
			if (take_packet(recovery, device, &packet) != 0)
				return -1;
			stream->in_start += (size_t)size;
		}
		if (stream->in_start == 0 && stream->in_end == stream->in_size)
			return -1;
	} while (stream->in_end == stream->in_size);
	return 0;
}

/* ---- The loop ---- */

static int flush(struct recovery *recovery, struct recovery_device *device)
{
	if (stream_flush(&device->stream) != 0)
		return -1;
	if (device->stream.blocked == device->watching_output)
		return 0;
	struct epoll_event event = {
		.data.ptr = device, .events = EPOLLIN | (device->stream.blocked ? EPOLLOUT : 0U)};
	device->watching_output = device->stream.blocked;
	return epoll_ctl(recovery->epoll, EPOLL_CTL_MOD, device->stream.fd, &event);
}

int recovery_turn(struct recovery *recovery, uint64_t until)
{
	struct epoll_event events[64];
	struct timespec timeout = {0};

	for (unsigned at = 0; at < recovery->device_count; at++) {
		struct recovery_device *const device = &recovery->devices[at];
		if (!device->connected)
			continue;
		send_waiting(recovery, device);
		if (device->stream.out_end > device->stream.out_start && flush(recovery, device) != 0)
			recovery_disconnect(recovery, device);
	}
	recovery->now = recovery_clock();
	if (until > recovery->now) {
		timeout.tv_sec = (time_t)((until - recovery->now) / RECOVERY_SECOND);
		timeout.tv_nsec = (long)((until - recovery->now) % RECOVERY_SECOND);
	}
	const int count = epoll_pwait2(recovery->epoll, events, 64, &timeout, NULL);
	if (count < 0 && errno != EINTR)
		return fail("epoll_pwait2", strerror(errno));
	recovery->now = recovery_clock();
	for (int at = 0; at < count; at++) {
		struct recovery_device *const device = events[at].data.ptr;
		if (device->connected && take_input(recovery, device) != 0)
			recovery_disconnect(recovery, device);
	}
	return 0;
}

/* Standard input: "stop" ends the sending, its end ends everything. 0, or 1 at its end. */
static int take_order(struct recovery *recovery)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char order[64];

	if (poll(&input, 1, 0) <= 0)
		return 0;
	if (read(STDIN_FILENO, order, sizeof(order)) <= 0)
		return 1;
	if (!recovery->stopped)
		recovery->stop_sending = recovery->now;
	recovery->stopped = true;
	return 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int recovery_traffic(struct recovery *recovery)
{
	const struct recovery_options *const options = recovery->options;
	const uint64_t tick = RECOVERY_SECOND / 20;

	recovery->started = recovery->now = recovery_clock();
	(void)fprintf(recovery->out, "B %llu\n", (unsigned long long)recovery->started);
	for (unsigned depth = 0; depth < options->outstanding; depth++)
		for (unsigned at = 0; at < recovery->device_count; at++)
			add_command(recovery, &recovery->devices[at], recovery->now);
	for (;;) {
		uint64_t until = recovery->now + tick;

		if (!recovery->stopped && options->segment_count > 0)
			until = earlier(until, send_due(recovery));
		else if (!recovery->stopped &&
			 recovery->now >= recovery->started + (uint64_t)(options->seconds * 1e9))
			recovery->stopped = true, recovery->stop_sending = recovery->now;
		if (recovery->stopped &&
			(recovery->unanswered == 0 ||
				recovery->now >= recovery->stop_sending + (uint64_t)(options->drain_s * 1e9)))
			break;
		if (recovery->now >= recovery->looked_at + tick && take_order(recovery) != 0)
			break;
		look_after(recovery);
		if (recovery_turn(recovery, until) != 0)
			return -1;
	}
	(void)fprintf(recovery->out, "E %llu %llu %llu\n",
		(unsigned long long)(recovery->answered + recovery->unanswered),
		(unsigned long long)recovery->answered, (unsigned long long)recovery->repeated);
	return 0;
}
