/*
 * gate.h - between the broker and libmosquitto: PUBACKs are held, by packet identifier and in order; all else passes.
 *
 *      broker --> gate_room(), gate_received() --> gate_feed(), gate_fed() --> libmosquitto
 *      broker <-- gate_output(), gate_sent()   <-- gate_written()          <-- libmosquitto
 *
 * Every PUBLISH at QoS 1 takes a *place*, in order of arrival; places are numbered from 0 on. libmosquitto queues a PUBACK
 * before it calls on_message; the gate keeps it. When the owner has settled all places up to one, gate_release() puts their
 * PUBACKs into the output, in that order ([MQTT-4.6.0-2]). The same packet identifier once more while its place is held takes
 * no place, and its second PUBACK is swallowed. QoS 2 passes. A PUBLISH that is larger than allowed is skipped: the owner
 * hears of its topic, and its PUBACK or PUBREC is the gate's: without one the broker would send it again for ever. To the PUBREL
 * libmosquitto answers, though it knows of no message. The keepalive is the gate's, too: libmosquitto's would wait for nobody.
 *
 * Bytes in, bytes out: it knows no socket, no libmosquitto and no thread. Failure modes: what is not MQTT, a packet that is
 * too large and no PUBLISH, a PUBACK for what nobody has sent, a peer that takes or answers nothing for too long: the function
 * returns GATE_E_BROKEN, and gate_reason() says why. A full buffer is no failure: the peer waits. Not thread-safe.
 */
#ifndef GATE_H
#define GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate;

enum gate_error { GATE_E_BROKEN = 1 };

#define GATE_NO_PLACE UINT64_MAX

enum {
	GATE_FEED_PACKETS =
		200, /* between two looks at what libmosquitto has written: its socket takes 278 small writes */
	GATE_SILENCE_MS = 10000, /* output that has not moved for that long ends the link */
};

/* A PUBLISH that was skipped. */
struct gate_oversized {
	char *topic;	 /* ended by a NUL; lives until the next gate_feed() */
	size_t size;	 /* of the packet */
	uint64_t number; /* of its place; GATE_NO_PLACE at QoS 0 and 2 */
	uint16_t mid;	 /* 0 at QoS 0 */
	unsigned qos;
	bool dup, retain;
};

/* What libmosquitto tells as a message. */
struct gate_delivery {
	uint64_t number; /* of its place, or GATE_NO_PLACE */
	bool dup;
};

/* holds: PUBACKs are held; else nothing is. window: places at most, then nothing more is fed. packet_max: of what comes, in
 * bytes. 0 and *ret, or -ENOMEM. */
__attribute__((warn_unused_result)) int gate_new(
	bool holds, size_t window, size_t packet_max, struct gate **ret);
void gate_free(struct gate *gate); /* NULL is fine */

/* ---- From the broker ---- */

/* Where to put what the broker has sent, and how much fits; 0: nothing may be read now. */
size_t gate_room(struct gate *gate, uint8_t **ret_bytes);
void gate_received(struct gate *gate, size_t size);

/* The next bytes for libmosquitto, and how many packets end in them, GATE_FEED_PACKETS at most; *ret_size 0: nothing now. A
 * skipped PUBLISH is told by *ret_oversized, with topic NULL where there is none; not one at QoS 1 whose packet identifier has a
 * place: it was told before. 0 or GATE_E_BROKEN. */
__attribute__((warn_unused_result)) int gate_feed(struct gate *gate, const uint8_t **ret_bytes,
	size_t *ret_size, unsigned *ret_packets, struct gate_oversized *ret_oversized);

/* libmosquitto's socket has taken so many of them. */
void gate_fed(struct gate *gate, size_t size);

/* Whether gate_feed() has something, as far as is known. */
bool gate_hungry(const struct gate *gate);

/* libmosquitto tells of a message at QoS 1: which one that is. 0, or GATE_E_BROKEN where it is none that was fed. */
__attribute__((warn_unused_result)) int gate_deliver(
	struct gate *gate, uint16_t mid, struct gate_delivery *ret);

/* ---- From libmosquitto ---- */

/* It has written these bytes. 0, GATE_E_BROKEN, or -ENOMEM. */
__attribute__((warn_unused_result)) int gate_written(struct gate *gate, const uint8_t *bytes, size_t size);

/* ---- Places ---- */

/* The command of that place has settled. */
void gate_settle(struct gate *gate, uint64_t number);

/* Places that are held, and of these the first ones whose PUBACK may leave now. */
size_t gate_held(const struct gate *gate);
bool gate_releasable(const struct gate *gate);

/* Puts the PUBACKs of these into the output. Returns how many. Without memory for them they stay. */
size_t gate_release(struct gate *gate);

/* ---- To the broker ---- */

/* What is to be written; 0: nothing. gate_sent(): the broker has taken so much of it, or (0) nothing. */
size_t gate_output(const struct gate *gate, const uint8_t **ret_bytes);
void gate_sent(struct gate *gate, size_t size, int64_t now_ms);

/* ---- Time ---- */

/* The keepalive in force, in seconds; 0: none. */
void gate_set_keepalive(struct gate *gate, unsigned keepalive_s, int64_t now_ms);

/* Pings when it is time. reads: whether the broker is read, so that its answer would be seen: any whole packet is one. 0 or
 * GATE_E_BROKEN. */
__attribute__((warn_unused_result)) int gate_tick(struct gate *gate, bool reads, int64_t now_ms);
int64_t gate_due_ms(const struct gate *gate);

/* After GATE_E_BROKEN: why, for the log. Lives as long as the gate. */
const char *gate_reason(const struct gate *gate);

#endif
