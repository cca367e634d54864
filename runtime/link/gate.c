/*
 * gate.c - see gate.h.
 *
 * What comes from the broker stands in one buffer and is fed from there in spans of whole packets: nothing is copied but
 * where a PINGRESP or a skipped PUBLISH interrupts a span. Places and what was fed are rings that grow; packet identifiers
 * that are held are bits.
 */
#include "gate.h"

#include "buffer.h"
#include "packet.h"
#include "ring.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROOM = 64 * 1024, /* for one read */
	REASON_SIZE = 160,
	MIDS = 65536,
	MID_BITS = 64,
};

struct place {
	uint16_t mid;
	bool acknowledged; /* by libmosquitto */
	bool settled;	   /* by the owner */
};

/* A PUBLISH at QoS 1 that libmosquitto has been fed. */
struct fed {
	uint64_t number; /* of its place, or GATE_NO_PLACE */
	uint16_t mid;
	bool dup;
};

struct gate {
	bool holds;
	size_t window, packet_max;

	struct buffer in;      /* from the broker */
	size_t span;	       /* of its beginning, found to be fed */
	unsigned span_packets; /* that end in it */
	size_t skip;	       /* of a PUBLISH that is skipped: still to come */
	char *skipped_topic;
	uint16_t skipped_mid; /* of one at QoS 2 that has not been answered; 0: none */

	struct buffer cut; /* from libmosquitto: a packet that is not whole yet */
	struct buffer out; /* to the broker */

	struct ring places; /* struct place; the first is number `first` */
	uint64_t first;	    /* the number of the oldest place held */
	struct ring fed;    /* struct fed: acknowledged by libmosquitto in that order */
	size_t delivered;   /* of these, from the first on */
	uint64_t held_mids[MIDS / MID_BITS];

	int64_t keepalive_ms;
	int64_t sent_ms;    /* when output last moved */
	int64_t blocked_ms; /* since when the broker takes nothing; 0: it does */
	int64_t pinged_ms;  /* the last PINGREQ, since which no packet has come; 0: nothing is awaited */
	char reason[REASON_SIZE];
};

static bool is_held(const struct gate *gate, uint16_t mid)
{
	return (gate->held_mids[mid / MID_BITS] >> (mid % MID_BITS) & 1) != 0;
}

static void mark_held(struct gate *gate, uint16_t mid, bool held)
{
	const uint64_t bit = UINT64_C(1) << (mid % MID_BITS);
	if (held)
		gate->held_mids[mid / MID_BITS] |= bit;
	else
		gate->held_mids[mid / MID_BITS] &= ~bit;
}

__attribute__((format(printf, 2, 3))) static int broken(struct gate *gate, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(gate->reason, sizeof(gate->reason), format, arguments);
	va_end(arguments);
	return GATE_E_BROKEN;
}

int gate_new(bool holds, size_t window, size_t packet_max, struct gate **ret)
{
	struct gate *gate = calloc(1, sizeof(*gate));
	if (!gate)
		return -ENOMEM;
	gate->holds = holds;
	gate->window = window;
	gate->packet_max = packet_max;
	ring_init(&gate->places, sizeof(struct place));
	ring_init(&gate->fed, sizeof(struct fed));
	*ret = gate;
	return 0;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	buffer_free(&gate->in);
	buffer_free(&gate->cut);
	buffer_free(&gate->out);
	ring_free(&gate->places);
	ring_free(&gate->fed);
	free(gate->skipped_topic);
	free(gate);
}

/* ---- From the broker ---- */

size_t gate_room(struct gate *gate, uint8_t **ret_bytes)
{
	/* What cannot be fed now is not read on: TCP tells the broker. */
	if (gate->span > 0 || buffer_size(&gate->in) > gate->packet_max + ROOM)
		return 0;
	return buffer_reserve(&gate->in, ROOM, ret_bytes) ? ROOM : 0;
}

void gate_received(struct gate *gate, size_t size)
{
	const size_t skipped = size < gate->skip ? size : gate->skip;
	buffer_added(&gate->in, size);
	/* While something is skipped nothing else is in the buffer. */
	if (skipped > 0) {
		buffer_take(&gate->in, skipped);
		gate->skip -= skipped;
		if (gate->skip == 0)
			gate->pinged_ms = 0;
	}
}

/* A place for a PUBLISH at QoS 1, unless its packet identifier has one. */
static int add_place(
	struct gate *gate, const struct packet_publish *publish, bool skipped, uint64_t *ret_number)
{
	*ret_number = GATE_NO_PLACE;
	if (is_held(gate, publish->mid))
		return 0;
	struct place *place = ring_add(&gate->places);
	if (!place)
		return -ENOMEM;
	*place = (struct place){.mid = publish->mid, .acknowledged = skipped, .settled = !gate->holds};
	mark_held(gate, publish->mid, true);
	*ret_number = gate->first + ring_count(&gate->places) - 1;
	return 0;
}

static int take_publish(struct gate *gate, const struct packet_publish *publish)
{
	uint64_t number;
	if (publish->qos != 1)
		return 0;
	if (add_place(gate, publish, false, &number) != 0)
		return broken(gate, "out of memory");
	struct fed *fed = ring_add(&gate->fed);
	if (!fed)
		return broken(gate, "out of memory");
	*fed = (struct fed){.number = number, .mid = publish->mid, .dup = publish->dup};
	return 0;
}

/* When all of it has come. A PUBREC without a reason code is one in both versions; a PUBREC that refuses is none in MQTT 3.1.1. */
static int answer_skipped(struct gate *gate)
{
	const uint8_t pubrec[] = {
		PACKET_PUBREC << 4, 2, (uint8_t)(gate->skipped_mid >> 8), (uint8_t)gate->skipped_mid};
	if (gate->skipped_mid == 0 || gate->skip > 0)
		return 0;
	if (!buffer_append(&gate->out, pubrec, sizeof(pubrec)))
		return broken(gate, "out of memory");
	gate->skipped_mid = 0;
	return 0;
}

/* Larger than it may be: nothing but its topic and its packet identifier is kept. Only at the beginning of the buffer. */
static int skip_publish(struct gate *gate, const struct packet *packet, const struct packet_publish *publish,
	struct gate_oversized *ret)
{
	uint64_t number = GATE_NO_PLACE;
	free(gate->skipped_topic);
	gate->skipped_topic = malloc(publish->topic_size + 1);
	if (gate->skipped_topic) {
		memcpy(gate->skipped_topic, publish->topic, publish->topic_size);
		gate->skipped_topic[publish->topic_size] = '\0';
	}
	if (!gate->skipped_topic || (publish->qos == 1 && add_place(gate, publish, true, &number) != 0))
		return broken(gate, "out of memory");
	if (publish->qos != 1 || number != GATE_NO_PLACE)
		*ret = (struct gate_oversized){.topic = gate->skipped_topic,
			.size = packet->size,
			.number = number,
			.mid = publish->mid,
			.qos = publish->qos,
			.dup = publish->dup,
			.retain = publish->retain};
	const size_t there = buffer_size(&gate->in) < packet->size ? buffer_size(&gate->in) : packet->size;
	buffer_take(&gate->in, there);
	gate->skip = packet->size - there;
	gate->skipped_mid = publish->qos == 2 ? publish->mid : 0;
	return answer_skipped(gate);
}

/* What one packet means for the span that is being found. */
enum step { STEP_PASSES, STEP_ENDS_SPAN, STEP_TAKEN };

static int look_at_packet(struct gate *gate, const uint8_t *bytes, size_t size, enum step *ret_step,
	size_t *ret_size, struct gate_oversized *ret_oversized)
{
	struct packet packet;
	struct packet_publish publish;
	*ret_step = STEP_ENDS_SPAN;
	int error = packet_read(bytes, size, &packet);
	if (error != 0)
		return error == PACKET_E_INCOMPLETE ? 0 : broken(gate, "what the broker sends is not MQTT");
	const bool too_large = packet.size > gate->packet_max;
	if (packet.type == PACKET_PUBLISH) {
		if (ring_count(&gate->places) >= gate->window)
			return 0;
		error = packet_read_publish(&packet, bytes, size, &publish);
		if (error != 0)
			return error == PACKET_E_INCOMPLETE
				       ? 0
				       : broken(gate, "the broker sent a PUBLISH that is malformed");
	} else if (too_large) {
		return broken(gate, "the broker sent a packet of type %u with %zu bytes: %zu at most",
			(unsigned)packet.type, packet.size, gate->packet_max);
	}
	if (gate->span > 0 && (too_large || packet.type == PACKET_PINGRESP))
		return 0; /* when what is before it has been fed */
	if (too_large) {
		*ret_step = STEP_TAKEN;
		return skip_publish(gate, &packet, &publish, ret_oversized);
	}
	if (packet.size > size)
		return 0;
	/* Any packet is as good as a PINGRESP, which may stand behind megabytes. Half a packet is not: what follows may be all that a
	 * broker says for ever. */
	gate->pinged_ms = 0;
	if (packet.type == PACKET_PINGRESP) {
		buffer_take(&gate->in, packet.size);
		*ret_step = STEP_TAKEN;
		return 0;
	}
	*ret_step = STEP_PASSES;
	*ret_size = packet.size;
	return packet.type == PACKET_PUBLISH ? take_publish(gate, &publish) : 0;
}

int gate_feed(struct gate *gate, const uint8_t **ret_bytes, size_t *ret_size, unsigned *ret_packets,
	struct gate_oversized *ret_oversized)
{
	*ret_oversized = (struct gate_oversized){.topic = NULL};
	if (answer_skipped(gate) != 0)
		return GATE_E_BROKEN;
	enum step step = STEP_PASSES;
	for (bool finds = gate->span == 0 && gate->skip == 0; finds && step != STEP_ENDS_SPAN;) {
		size_t size = 0;
		const int error = look_at_packet(gate, buffer_bytes(&gate->in) + gate->span,
			buffer_size(&gate->in) - gate->span, &step, &size, ret_oversized);
		if (error != 0)
			return error;
		if (step == STEP_PASSES) {
			gate->span += size;
			gate->span_packets++;
		}
		finds = gate->span_packets < GATE_FEED_PACKETS && !ret_oversized->topic && gate->skip == 0;
	}
	*ret_bytes = buffer_bytes(&gate->in);
	*ret_size = gate->span;
	*ret_packets = gate->span_packets;
	return 0;
}

void gate_fed(struct gate *gate, size_t size)
{
	buffer_take(&gate->in, size);
	gate->span -= size;
	if (gate->span == 0)
		gate->span_packets = 0;
}

bool gate_hungry(const struct gate *gate)
{
	return gate->span > 0 || (buffer_size(&gate->in) > 0 && ring_count(&gate->places) < gate->window);
}

int gate_deliver(struct gate *gate, uint16_t mid, struct gate_delivery *ret)
{
	const struct fed *fed =
		gate->delivered < ring_count(&gate->fed) ? ring_at(&gate->fed, gate->delivered) : NULL;
	if (!fed || fed->mid != mid)
		return broken(gate,
			"a message with packet identifier %u was told that the broker has not sent", mid);
	gate->delivered++;
	*ret = (struct gate_delivery){.number = fed->number, .dup = fed->dup};
	return 0;
}

/* ---- From libmosquitto ---- */

/* It acknowledges in the order in which it was fed. */
static int take_puback(struct gate *gate, uint16_t mid)
{
	const struct fed *fed = ring_count(&gate->fed) > 0 ? ring_at(&gate->fed, 0) : NULL;
	if (!fed || fed->mid != mid)
		return broken(gate, "a PUBACK for packet identifier %u, which the broker has not sent", mid);
	if (fed->number != GATE_NO_PLACE && fed->number >= gate->first) {
		struct place *place = ring_at(&gate->places, (size_t)(fed->number - gate->first));
		place->acknowledged = true;
	}
	ring_take(&gate->fed);
	if (gate->delivered > 0)
		gate->delivered--;
	return 0;
}

/* Looks at the packets at the beginning of these bytes: PUBACKs are taken, all else goes on. Returns how much that was. */
static int cut(struct gate *gate, const uint8_t *bytes, size_t size, size_t *ret_taken)
{
	size_t at = 0, passes = 0; /* from `passes` to `at` is to be passed on */
	struct packet packet;
	uint16_t mid;
	for (; at < size; at += packet.size) {
		const int error = packet_read(bytes + at, size - at, &packet);
		if (error == PACKET_E_INCOMPLETE || (error == 0 && packet.size > size - at))
			break;
		if (error != 0)
			return broken(gate, "what libmosquitto writes is not MQTT");
		if (packet.type != PACKET_PUBACK)
			continue;
		if (!buffer_append(&gate->out, bytes + passes, at - passes))
			return -ENOMEM;
		passes = at + packet.size;
		if (packet_read_puback(&packet, bytes + at, &mid) != 0)
			return broken(gate, "libmosquitto wrote a PUBACK that is malformed");
		const int taken = take_puback(gate, mid);
		if (taken != 0)
			return taken;
	}
	*ret_taken = at;
	return buffer_append(&gate->out, bytes + passes, at - passes) ? 0 : -ENOMEM;
}

int gate_written(struct gate *gate, const uint8_t *bytes, size_t size)
{
	size_t taken = 0;
	if (buffer_size(&gate->cut) == 0) {
		const int error = cut(gate, bytes, size, &taken);
		if (error != 0)
			return error;
		return buffer_append(&gate->cut, bytes + taken, size - taken) ? 0 : -ENOMEM;
	}
	if (!buffer_append(&gate->cut, bytes, size))
		return -ENOMEM;
	const int error = cut(gate, buffer_bytes(&gate->cut), buffer_size(&gate->cut), &taken);
	if (error == 0)
		buffer_take(&gate->cut, taken);
	return error;
}

/* ---- Places ---- */

void gate_settle(struct gate *gate, uint64_t number)
{
	if (number < gate->first || number - gate->first >= ring_count(&gate->places))
		abort();
	struct place *place = ring_at(&gate->places, (size_t)(number - gate->first));
	place->settled = true;
}

size_t gate_held(const struct gate *gate)
{
	return ring_count(&gate->places);
}

bool gate_releasable(const struct gate *gate)
{
	const struct place *place = ring_count(&gate->places) > 0 ? ring_at(&gate->places, 0) : NULL;
	return place && place->settled && place->acknowledged;
}

size_t gate_release(struct gate *gate)
{
	size_t count = 0;
	for (; gate_releasable(gate); count++) {
		const struct place *place = ring_at(&gate->places, 0);
		const uint8_t puback[] = {
			PACKET_PUBACK << 4, 2, (uint8_t)(place->mid >> 8), (uint8_t)place->mid};
		if (!buffer_append(&gate->out, puback, sizeof(puback)))
			break;
		mark_held(gate, place->mid, false);
		ring_take(&gate->places);
		gate->first++;
	}
	return count;
}

/* ---- To the broker ---- */

size_t gate_output(const struct gate *gate, const uint8_t **ret_bytes)
{
	*ret_bytes = buffer_bytes(&gate->out);
	return buffer_size(&gate->out);
}

void gate_sent(struct gate *gate, size_t size, int64_t now_ms)
{
	buffer_take(&gate->out, size);
	if (size > 0) {
		gate->sent_ms = now_ms;
		gate->blocked_ms = 0;
	}
	if (buffer_size(&gate->out) > 0 && gate->blocked_ms == 0)
		gate->blocked_ms = now_ms;
}

/* ---- Time ---- */

void gate_set_keepalive(struct gate *gate, unsigned keepalive_s, int64_t now_ms)
{
	gate->keepalive_ms = (int64_t)keepalive_s * 1000;
	gate->sent_ms = now_ms;
}

int gate_tick(struct gate *gate, bool reads, int64_t now_ms)
{
	if (gate->blocked_ms != 0)
		return now_ms - gate->blocked_ms < GATE_SILENCE_MS
			       ? 0
			       : broken(gate, "the broker has taken nothing for %d s",
					 GATE_SILENCE_MS / 1000);
	if (gate->keepalive_ms == 0)
		return 0;
	if (gate->pinged_ms != 0 && !reads)
		gate->pinged_ms = now_ms;
	if (gate->pinged_ms != 0 && now_ms - gate->pinged_ms >= gate->keepalive_ms)
		return broken(gate, "the broker did not answer a PINGREQ within the keepalive of %d s",
			(int)(gate->keepalive_ms / 1000));
	static const uint8_t pingreq[] = {PACKET_PINGREQ << 4, 0};
	if (now_ms - gate->sent_ms < gate->keepalive_ms / 2)
		return 0;
	if (buffer_append(&gate->out, pingreq, sizeof(pingreq)) && gate->pinged_ms == 0)
		gate->pinged_ms = now_ms;
	gate->sent_ms = now_ms;
	return 0;
}

int64_t gate_due_ms(const struct gate *gate)
{
	if (gate->blocked_ms != 0)
		return gate->blocked_ms + GATE_SILENCE_MS;
	return gate->keepalive_ms > 0 ? gate->sent_ms + gate->keepalive_ms / 2 : INT64_MAX;
}

const char *gate_reason(const struct gate *gate)
{
	return gate->reason;
}
