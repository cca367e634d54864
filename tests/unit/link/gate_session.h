/*
 * gate_session.h - a gate between a broker that is a row of bytes and a libmosquitto that is twenty lines: it reads whole packets, tells each message
 * in one line of a text, and acknowledges it. What the gate has for the broker is collected.
 */
#ifndef GATE_SESSION_H
#define GATE_SESSION_H

#include "gate.h"
#include "mqtt_bytes.h"
#include "packet.h"
#include <cmocka.h>
#include <stdio.h>

struct gate_session {
	struct gate *gate;
	struct mqtt_bytes local; /* fed to libmosquitto, which has not read it */
	struct mqtt_bytes wrote; /* what libmosquitto has written, and the gate has not taken */
	struct mqtt_bytes told;	 /* a text, ended by a NUL where session_told() has been called */
	struct mqtt_bytes sent;	 /* what the broker has got */
	size_t most;		 /* bytes that libmosquitto's socket takes at a time; 0: all */
	bool quiet;		 /* libmosquitto writes, but the gate does not get it */
};

static inline void session_begin(struct gate_session *session, bool holds, size_t window, size_t packet_max)
{
	*session = (struct gate_session){0};
	assert_int_equal(gate_new(holds, window, packet_max, &session->gate), 0);
}

static inline void session_end(struct gate_session *session)
{
	gate_free(session->gate);
	mqtt_bytes_free(&session->local);
	mqtt_bytes_free(&session->wrote);
	mqtt_bytes_free(&session->told);
	mqtt_bytes_free(&session->sent);
}

static inline void session_tell(struct gate_session *session, const char *what, unsigned mid, uint64_t number,
	bool dup, const char *topic, size_t topic_size)
{
	char line[160];
	const int told = topic_size < 100 ? (int)topic_size : 100;
	int size = number == GATE_NO_PLACE
			   ? snprintf(line, sizeof(line), "%s %u - %d %.*s", what, mid, dup, told, topic)
			   : snprintf(line, sizeof(line), "%s %u #%llu %d %.*s", what, mid,
				     (unsigned long long)number, dup, told, topic);
	/* One line each, whatever is in the topic. */
	for (int i = 0; i < size; i++)
		line[i] = line[i] == '\n' ? '?' : line[i];
	line[size++] = '\n';
	mqtt_raw(&session->told, line, (size_t)size);
}

/* libmosquitto reads what is there. */
static inline int session_local(struct gate_session *session)
{
	size_t at = 0;
	struct packet packet;
	struct packet_publish publish;
	for (; at < session->local.size; at += packet.size) {
		const uint8_t *bytes = session->local.block + at;
		const size_t left = session->local.size - at;
		if (packet_read(bytes, left, &packet) != 0 || packet.size > left)
			break;
		if (packet.type != PACKET_PUBLISH) {
			session_tell(session, "packet", packet.type, GATE_NO_PLACE, false, "", 0);
			continue;
		}
		assert_int_equal(packet_read_publish(&packet, bytes, left, &publish), 0);
		struct gate_delivery delivery = {.number = GATE_NO_PLACE, .dup = publish.dup};
		if (publish.qos == 1) {
			mqtt_with_mid(&session->wrote, 0x40, publish.mid);
			const int error = gate_deliver(session->gate, publish.mid, &delivery);
			if (error != 0)
				return error;
		} else if (publish.qos == 2) {
			mqtt_with_mid(&session->wrote, 0x50, publish.mid);
		}
		session_tell(session,
			publish.qos == 1   ? "one"
			: publish.qos == 2 ? "two"
					   : "zero",
			publish.mid, delivery.number, delivery.dup, publish.topic, publish.topic_size);
	}
	mqtt_gone(&session->local, at);
	return 0;
}

static inline int session_written(struct gate_session *session)
{
	if (session->quiet || session->wrote.size == 0)
		return 0;
	const int error = gate_written(session->gate, session->wrote.block, session->wrote.size);
	session->wrote.size = 0;
	return error;
}

/* All that the gate can feed now. */
static inline int session_pump(struct gate_session *session)
{
	for (;;) {
		const uint8_t *bytes;
		size_t size;
		unsigned packets;
		struct gate_oversized oversized;
		int error = gate_feed(session->gate, &bytes, &size, &packets, &oversized);
		if (error != 0)
			return error;
		assert_in_range(packets, 0, GATE_FEED_PACKETS);
		if (oversized.topic)
			session_tell(session, "large", oversized.mid, oversized.number, oversized.dup,
				oversized.topic, strlen(oversized.topic));
		if (size == 0 && !oversized.topic)
			return 0;
		if (session->most > 0 && size > session->most)
			size = session->most;
		mqtt_raw(&session->local, bytes, size);
		gate_fed(session->gate, size);
		error = session_local(session);
		if (error == 0)
			error = session_written(session);
		if (error != 0)
			return error;
	}
}

/* The broker has sent these bytes, `most` at a time; 0: as many as fit. *ret_left: how many the gate did not read. */
static inline int session_receive_some(
	struct gate_session *session, const uint8_t *bytes, size_t size, size_t most, size_t *ret_left)
{
	int error = session_pump(session);
	while (error == 0 && size > 0) {
		uint8_t *to;
		size_t room = gate_room(session->gate, &to);
		if (room == 0)
			break;
		if (most > 0 && room > most)
			room = most;
		if (room > size)
			room = size;
		memcpy(to, bytes, room);
		gate_received(session->gate, room);
		bytes += room;
		size -= room;
		error = session_pump(session);
	}
	*ret_left = size;
	return error;
}

static inline int session_receive(struct gate_session *session, const struct mqtt_bytes *bytes)
{
	size_t left;
	const int error = session_receive_some(session, bytes->block, bytes->size, 0, &left);
	if (error == 0)
		assert_int_equal(left, 0);
	return error;
}

/* The broker takes what there is for it. */
static inline void session_send(struct gate_session *session, int64_t now_ms)
{
	const uint8_t *bytes;
	const size_t size = gate_output(session->gate, &bytes);
	mqtt_raw(&session->sent, bytes, size);
	gate_sent(session->gate, size, now_ms);
}

static inline const char *session_told(struct gate_session *session)
{
	mqtt_raw(&session->told, "", 1);
	session->told.size--;
	return (const char *)session->told.block;
}

/* Checks what was told since the last time. */
static inline void session_tells(struct gate_session *session, const char *expected)
{
	assert_string_equal(session_told(session), expected);
	session->told.size = 0;
}

/* Checks what the broker has got since the last time, in words: "ack 7, rec 8, ping, 6". */
static inline void session_sends(struct gate_session *session, const char *expected)
{
	char text[512] = "";
	struct packet packet;
	session_send(session, 1);
	for (size_t at = 0; at < session->sent.size; at += packet.size) {
		const uint8_t *bytes = session->sent.block + at;
		assert_int_equal(packet_read(bytes, session->sent.size - at, &packet), 0);
		assert_in_range(packet.size, 2, session->sent.size - at);
		const unsigned mid = packet.size >= 4 ? (unsigned)(bytes[2] << 8 | bytes[3]) : 0;
		char *end = text + strlen(text);
		const size_t room = sizeof(text) - (size_t)(end - text);
		const char *comma = at > 0 ? ", " : "";
		if (packet.type == PACKET_PUBACK || packet.type == 5)
			snprintf(end, room, "%s%s %u", comma, packet.type == PACKET_PUBACK ? "ack" : "rec",
				mid);
		else if (packet.type == PACKET_PINGREQ)
			snprintf(end, room, "%sping", comma);
		else
			snprintf(end, room, "%s%u", comma, (unsigned)packet.type);
	}
	assert_string_equal(text, expected);
	session->sent.size = 0;
}

#endif
