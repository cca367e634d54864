/*
 * test_gate_random.c - gate.c: the same stream in every way to cut it, in both directions, and chance against a model.
 *
 * The model knows nothing of buffers: a row of places, each with its packet identifier, whether it is acknowledged and whether it is settled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "gate_session.h"

enum { MAX = 60, ROUNDS = 300, PACKETS = 400, WINDOW = 7 };

/* ---- Cuts ---- */

/* One of each that passes, is held, is skipped or is swallowed. */
static void make_stream(struct mqtt_bytes *bytes)
{
	mqtt_raw(bytes, "\x20\2\0\0", 4);
	mqtt_publish(bytes, 1, false, 1, "a", 2);
	mqtt_raw(bytes, "\xd0\0", 2);
	mqtt_publish(bytes, 1, false, 2, "bb", 70);
	mqtt_publish(bytes, 0, false, 0, "c", 1);
	mqtt_publish(bytes, 1, true, 1, "a", 2);
	mqtt_publish(bytes, 1, true, 2, "bb", 70);
	mqtt_publish(bytes, 2, false, 9, "d", 3);
	mqtt_publish(bytes, 1, false, 300, "e", 0);
	mqtt_raw(bytes, "\xd0\0", 2);
	mqtt_publish(bytes, 0, false, 0, "ff", 80);
	mqtt_publish(bytes, 2, true, 10, "hh", 70);
	mqtt_publish(bytes, 1, false, 4, "g", 2);
}

static const char stream_told[] =
	"packet 2 - 0 \none 1 #0 0 a\nlarge 2 #1 0 bb\nzero 0 - 0 c\none 1 - 1 a\ntwo 9 - 0 d\none 300 #2 0 e\n"
	"large 0 - 0 ff\nlarge 10 - 1 hh\none 4 #3 0 g\n";

static void check_cut(const struct mqtt_bytes *stream, size_t first, size_t second, size_t step, size_t most)
{
	struct gate_session session;
	size_t left;
	session_begin(&session, true, 100, MAX);
	session.most = most;
	assert_int_equal(session_receive_some(&session, stream->block, first, step, &left), 0);
	assert_int_equal(
		session_receive_some(&session, stream->block + first, second - first, step, &left), 0);
	assert_int_equal(
		session_receive_some(&session, stream->block + second, stream->size - second, step, &left),
		0);
	session_tells(&session, stream_told);
	for (uint64_t number = 4; number-- > 0;)
		gate_settle(session.gate, number);
	assert_int_equal(gate_release(session.gate), 4);
	session_sends(&session, "rec 9, rec 10, ack 1, ack 2, ack 300, ack 4");
	session_end(&session);
}

static void cut_at_every_two_bytes(void **state)
{
	(void)state;
	struct mqtt_bytes stream = {0};
	make_stream(&stream);
	for (size_t first = 0; first <= stream.size; first++)
		for (size_t second = first; second <= stream.size; second++)
			check_cut(&stream, first, second, 0, 0);
	for (size_t step = 1; step < 100; step++)
		for (size_t most = 0; most < 40; most += 1 + most / 8)
			check_cut(&stream, 0, 0, step, most);
	mqtt_bytes_free(&stream);
}

/* What libmosquitto writes, cut anywhere: the broker gets the same. */
static void writes_cut_at_every_two_bytes(void **state)
{
	(void)state;
	struct mqtt_bytes stream = {0}, wrote = {0};
	mqtt_publish(&stream, 1, false, 1, "a", 2);
	mqtt_publish(&stream, 1, false, 513, "a", 2);
	mqtt_publish(&stream, 1, false, 3, "a", 2);
	mqtt_raw(&wrote, "\x10\x0d\0\4MQTT\4\0\0\12\0\1x", 15);
	mqtt_with_mid(&wrote, 0x40, 1);
	mqtt_raw(&wrote, "\x82\6\0\1\0\1a\1", 8);
	mqtt_raw(&wrote, "\x40\4\2\1\x10\0", 6);
	mqtt_with_mid(&wrote, 0x40, 3);
	mqtt_with_mid(&wrote, 0x50, 77);
	mqtt_head(&wrote, 0x30, 200);
	mqtt_raw(&wrote, "\0\1z", 3);
	for (size_t i = 0; i < 197; i++)
		mqtt_raw(&wrote, "p", 1);
	mqtt_raw(&wrote, "\xe0\0", 2);
	for (size_t first = 0; first <= wrote.size; first++) {
		for (size_t second = first; second <= wrote.size; second++) {
			struct gate_session session;
			session_begin(&session, true, 100, MAX);
			session.quiet = true;
			assert_int_equal(session_receive(&session, &stream), 0);
			assert_int_equal(gate_written(session.gate, wrote.block, first), 0);
			assert_int_equal(gate_written(session.gate, wrote.block + first, second - first), 0);
			assert_int_equal(
				gate_written(session.gate, wrote.block + second, wrote.size - second), 0);
			for (uint64_t number = 3; number-- > 0;)
				gate_settle(session.gate, number);
			assert_int_equal(gate_release(session.gate), 3);
			session_sends(&session, "1, 8, rec 77, 3, 14, ack 1, ack 513, ack 3");
			session_end(&session);
		}
	}
	mqtt_bytes_free(&stream);
	mqtt_bytes_free(&wrote);
}

/* ---- Chance ---- */

static uint64_t seed;

static size_t chance(size_t below)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (size_t)(seed % below);
}

struct model_place {
	unsigned mid;
	bool acknowledged, settled;
};

static struct {
	struct model_place places[PACKETS];
	size_t first, next;			/* held: from first to next */
	size_t owed[PACKETS], owes, owed_count; /* libmosquitto's PUBACKs to come: the place, or SIZE_MAX */
	struct mqtt_bytes expected;		/* for the broker */
	struct mqtt_bytes wrote;		/* by libmosquitto, to be cut */
	struct mqtt_bytes local;
	unsigned unanswered; /* a PUBLISH at QoS 2 that is skipped: the gate's PUBREC is to come; 0: none */
} model;

static size_t model_held(unsigned mid)
{
	for (size_t i = model.first; i < model.next; i++)
		if (model.places[i].mid == mid)
			return i;
	return SIZE_MAX;
}

/* A PUBLISH at QoS 1 passes the gate: which place is its? */
static size_t model_place(unsigned mid, bool skipped)
{
	const size_t held = model_held(mid);
	if (held == SIZE_MAX)
		model.places[model.next] = (struct model_place){.mid = mid, .acknowledged = skipped};
	const size_t place = held == SIZE_MAX ? model.next++ : SIZE_MAX;
	if (!skipped)
		model.owed[model.owed_count++] = place;
	assert_in_range(model.next - model.first, 0, WINDOW);
	return place;
}

static void random_stream(struct mqtt_bytes *bytes)
{
	for (size_t i = 0; i < PACKETS; i++) {
		const unsigned mid = 1 + (unsigned)chance(9);
		switch (chance(8)) {
		case 0: mqtt_raw(bytes, "\xd0\0", 2); break;
		case 1: mqtt_publish(bytes, 0, chance(2) == 0, 0, "zero", chance(90)); break;
		case 2: mqtt_publish(bytes, 1, chance(2) == 0, mid, "one", 50 + chance(200)); break;
		case 3:
			mqtt_publish(bytes, 2, false, mid, "two", chance(2) == 0 ? chance(20) : chance(200));
			break;
		default: mqtt_publish(bytes, 1, chance(2) == 0, mid, "one", chance(20)); break;
		}
	}
}

/* The model sees a whole span when it is found, as the gate does: its packets are walked here, before the gate is told that any is fed. */
static void model_span(const uint8_t *bytes, size_t size)
{
	struct packet packet;
	struct packet_publish publish;
	for (size_t at = 0; at < size; at += packet.size) {
		assert_int_equal(packet_read(bytes + at, size - at, &packet), 0);
		assert_in_range(packet.size, 2, size - at);
		assert_int_equal(packet.type, PACKET_PUBLISH);
		assert_int_equal(packet_read_publish(&packet, bytes + at, size - at, &publish), 0);
		if (publish.qos == 1)
			model_place(publish.mid, false);
	}
}

/* A PUBLISH is skipped. */
static void model_skip(const struct gate_oversized *oversized)
{
	if (oversized->qos == 1) {
		assert_int_equal(model_place(oversized->mid, true), oversized->number);
		return;
	}
	assert_true(oversized->number == GATE_NO_PLACE);
	assert_int_equal(model.unanswered, 0);
	model.unanswered = oversized->qos == 2 ? oversized->mid : 0;
}

/* The gate has looked for something to feed, and has so much more for the broker. Returns how much of that remains to be explained. */
static size_t model_answer(size_t output)
{
	if (output == 0 || model.unanswered == 0)
		return output;
	mqtt_with_mid(&model.expected, 0x50, model.unanswered);
	model.unanswered = 0;
	return output - 4;
}

/* libmosquitto reads: QoS 1 is told, and its PUBACK written; *ret_told counts the messages at QoS 1. */
static void model_local(struct gate *gate, size_t *told)
{
	struct packet packet;
	struct packet_publish publish;
	size_t at = 0;
	for (; at < model.local.size; at += packet.size) {
		const uint8_t *bytes = model.local.block + at;
		if (packet_read(bytes, model.local.size - at, &packet) != 0 ||
			packet.size > model.local.size - at)
			break;
		assert_int_equal(packet_read_publish(&packet, bytes, packet.size, &publish), 0);
		struct gate_delivery delivery;
		if (publish.qos == 2) {
			mqtt_with_mid(&model.wrote, 0x50, publish.mid);
		} else if (publish.qos == 1) {
			mqtt_with_mid(&model.wrote, 0x40, publish.mid);
			assert_int_equal(gate_deliver(gate, publish.mid, &delivery), 0);
			const size_t place = model.owed[(*told)++];
			assert_int_equal(delivery.number, place == SIZE_MAX ? GATE_NO_PLACE : place);
			assert_int_equal(delivery.dup, publish.dup);
		}
	}
	mqtt_gone(&model.local, at);
}

/* Some of what libmosquitto wrote comes to the gate. The model takes whole packets as they are complete. */
static void model_write(struct gate *gate)
{
	const size_t size = chance(model.wrote.size + 1);
	assert_int_equal(gate_written(gate, model.wrote.block, size), 0);
	static struct mqtt_bytes seen;
	mqtt_raw(&seen, model.wrote.block, size);
	mqtt_gone(&model.wrote, size);
	size_t at = 0;
	for (; seen.size - at >= 4; at += 4) {
		if (seen.block[at] == 0x50) {
			mqtt_raw(&model.expected, seen.block + at, 4);
			continue;
		}
		const size_t place = model.owed[model.owes++];
		if (place != SIZE_MAX)
			model.places[place].acknowledged = true;
	}
	mqtt_gone(&seen, at);
}

static void model_release(struct gate *gate)
{
	size_t count = 0;
	for (; model.first < model.next && model.places[model.first].acknowledged &&
		model.places[model.first].settled;
		count++)
		mqtt_with_mid(&model.expected, 0x40, model.places[model.first++].mid);
	assert_int_equal(gate_releasable(gate), count > 0);
	assert_int_equal(gate_release(gate), count);
	assert_int_equal(gate_held(gate), model.next - model.first);
}

/* Some of the stream comes; nothing while a packet that was told of is not fed yet. at: how much of it has come. */
static void model_receive(struct gate *gate, const struct mqtt_bytes *stream, size_t *at, size_t span)
{
	uint8_t *to;
	size_t size = gate_room(gate, &to);
	if (span > 0)
		assert_int_equal(size, 0);
	size = size < stream->size - *at ? size : stream->size - *at;
	size = size > 0 ? chance(chance(2) ? size + 1 : (size < 40 ? size : 40) + 1) : 0;
	if (size > 0)
		memcpy(to, stream->block + *at, size);
	gate_received(gate, size);
	*at += size;
}

/* libmosquitto takes some of what there is for it. span: what is left of what was told. */
static void model_feed(struct gate *gate, size_t *span)
{
	const uint8_t *bytes, *unused;
	unsigned packets;
	struct gate_oversized oversized;
	size_t size, output = gate_output(gate, &bytes);
	assert_int_equal(gate_feed(gate, &bytes, &size, &packets, &oversized), 0);
	output = model_answer(gate_output(gate, &unused) - output);
	if (*span > 0) {
		assert_int_equal(size, *span);
		assert_null(oversized.topic);
	} else {
		if (oversized.topic && size == 0)
			model_skip(&oversized);
		else
			assert_null(oversized.topic);
		model_span(bytes, size);
	}
	assert_int_equal(model_answer(output), 0);
	*span = size;
	size = chance(size + 1);
	mqtt_raw(&model.local, bytes, size);
	if (size > 0)
		gate_fed(gate, size);
	*span -= size;
}

static void one_step(struct gate *gate, const struct mqtt_bytes *stream, size_t *at, size_t *span,
	size_t *told, struct mqtt_bytes *sent)
{
	const uint8_t *bytes;
	size_t size;
	switch (chance(7)) {
	case 0: model_receive(gate, stream, at, *span); break;
	case 1:
	case 2: model_feed(gate, span); break;
	case 3: model_local(gate, told); break;
	case 4: model_write(gate); break;
	case 5:
		if (model.next > model.first) {
			const size_t place = model.first + chance(model.next - model.first);
			model.places[place].settled = true;
			gate_settle(gate, place);
		}
		break;
	case 6:
		model_release(gate);
		size = gate_output(gate, &bytes);
		size = chance(size + 1);
		mqtt_raw(sent, bytes, size);
		gate_sent(gate, size, 1);
		break;
	}
}

static void one_round(void)
{
	struct mqtt_bytes stream = {0}, sent = {0};
	struct gate *gate;
	size_t at = 0, told = 0, span = 0;
	model.first = model.next = model.owes = model.owed_count = 0;
	model.expected.size = model.wrote.size = model.local.size = model.unanswered = 0;
	random_stream(&stream);
	assert_int_equal(gate_new(true, WINDOW, MAX, &gate), 0);
	for (size_t turns = 0;
		at < stream.size || span > 0 || model.next > model.first || model.wrote.size > 0 ||
		model.local.size > 0 || gate_hungry(gate) || model.unanswered != 0;
		turns++) {
		assert_true(turns < 1000000); /* it gets stuck */
		one_step(gate, &stream, &at, &span, &told, &sent);
	}
	const uint8_t *bytes;
	const size_t size = gate_output(gate, &bytes);
	mqtt_raw(&sent, bytes, size);
	assert_int_equal(at, stream.size);
	assert_int_equal(told, model.owed_count);
	assert_int_equal(sent.size, model.expected.size);
	assert_memory_equal(sent.block, model.expected.block, sent.size);
	gate_free(gate);
	mqtt_bytes_free(&stream);
	mqtt_bytes_free(&sent);
}

static void chance_against_a_model(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		seed = round * 0x9e3779b97f4a7c15u;
		one_round();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_two_bytes),
		cmocka_unit_test(writes_cut_at_every_two_bytes),
		cmocka_unit_test(chance_against_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
