/*
 * fuzz_gate.c - MQTT packets, as the gate cuts them (runtime/link/gate.c, packet.c). Fed in one piece or byte by byte, the same messages are told,
 * with the same places, and the same PUBACKs leave in the order of the places; what ends the link ends it both ways, for the same reason.
 *
 * Input: a byte of options, a byte that says how large the pieces are, then what the broker sends; or, if an option says so, what libmosquitto
 * writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka, which gate_session.h checks with, wants those first */
#include <cmocka.h>

#include "fuzz.h"
#include "gate_session.h"

enum {
	OPTION_WINDOW = 0x0f, /* and one more */
	OPTION_HOLDS = 0x10,
	OPTION_WRITTEN = 0x20,
	PACKET_SIZE_MAX = 300,
	STREAM_SIZE_MAX = 32 * 1024, /* within what the gate reads ahead */
};

/* A link, and what came of it. */
struct link {
	struct gate_session session;
	size_t window;
	uint64_t released; /* places */
	int error;
};

/* ---- A link's life ---- */

static void release_all(struct link *link)
{
	struct gate *gate = link->session.gate;
	const size_t held = gate_held(gate);
	for (size_t i = 0; i < held; i++)
		gate_settle(gate, link->released + i);
	link->released += gate_release(gate);
	session_send(&link->session, 1);
}

/* The owner settles when nothing more can be fed, at the same place of what the broker sends, however it comes. */
static void serve(struct link *link)
{
	link->error = session_pump(&link->session);
	while (link->error == 0 && gate_held(link->session.gate) >= link->window) {
		const uint64_t before = link->released;
		release_all(link);
		FUZZ_NEED(link->released > before);
		link->error = session_pump(&link->session);
	}
}

static void run(struct link *link, const uint8_t *bytes, size_t size, size_t piece)
{
	link->error = 0;
	while (link->error == 0 && size > 0) {
		const size_t now = size < piece ? size : piece;
		size_t left = 0;
		link->error = session_receive_some(&link->session, bytes, now, 0, &left);
		if (link->error == 0)
			serve(link);
		FUZZ_NEED(link->error != 0 || left < now);
		bytes += now - left;
		size -= now - left;
	}
	if (link->error == 0)
		release_all(link);
	FUZZ_NEED(link->error != 0 || gate_held(link->session.gate) == 0);
}

/* ---- What leaves ---- */

/* The packet identifiers of what the broker got of one type, a line each. */
static void collect(const struct mqtt_bytes *sent, enum packet_type type, struct mqtt_bytes *ret)
{
	struct packet packet;
	for (size_t at = 0; at < sent->size; at += packet.size) {
		FUZZ_NEED(packet_read(sent->block + at, sent->size - at, &packet) == 0 &&
			  packet.size <= sent->size - at);
		if (packet.type == type)
			mqtt_raw(ret, sent->block + at + packet.header_size, 2);
	}
}

static void check_same(const struct link *a, const struct link *b, enum packet_type type)
{
	struct mqtt_bytes first = {0}, second = {0};
	collect(&a->session.sent, type, &first);
	collect(&b->session.sent, type, &second);
	FUZZ_NEED(first.size == second.size &&
		  (first.size == 0 || memcmp(first.block, second.block, first.size) == 0));
	mqtt_bytes_free(&first);
	mqtt_bytes_free(&second);
}

/* The PUBACKs are those of the places, which are told one by one, from 0 on. */
static void check_pubacks(struct link *link)
{
	struct mqtt_bytes pubacks = {0};
	uint64_t expected = 0;
	collect(&link->session.sent, PACKET_PUBACK, &pubacks);
	char *copy = strdup(session_told(&link->session));
	FUZZ_NEED(copy);
	char *line_end = NULL;
	for (char *line = strtok_r(copy, "\n", &line_end); line; line = strtok_r(NULL, "\n", &line_end)) {
		unsigned mid;
		unsigned long long number;
		if (sscanf(line, "one %u #%llu ", &mid, &number) != 2 &&
			sscanf(line, "large %u #%llu ", &mid, &number) != 2)
			continue;
		FUZZ_NEED(number == expected && 2 * number + 1 < pubacks.size);
		FUZZ_NEED((unsigned)(pubacks.block[2 * number] << 8 | pubacks.block[2 * number + 1]) == mid);
		expected++;
	}
	FUZZ_NEED(expected == link->released && pubacks.size == 2 * expected);
	free(copy);
	mqtt_bytes_free(&pubacks);
}

/* Whether these are whole packets. */
static bool ends_whole(const uint8_t *bytes, size_t size)
{
	struct packet packet;
	size_t at = 0;
	while (at < size && packet_read(bytes + at, size - at, &packet) == 0)
		at += packet.size;
	return at == size;
}

/* Where all is released each packet identifier is free: what comes next with that of the first place gets a place. */
static void check_free(struct link *link)
{
	unsigned mid, again;
	unsigned long long number;
	if (sscanf(session_told(&link->session), "one %u #0 ", &mid) != 1)
		return;
	struct mqtt_bytes next = {0};
	size_t left = 0;
	link->session.told.size = 0;
	mqtt_publish(&next, 1, false, mid, "1/next", 0);
	FUZZ_NEED(session_receive_some(&link->session, next.block, next.size, 0, &left) == 0 && left == 0);
	FUZZ_NEED(sscanf(session_told(&link->session), "one %u #%llu ", &again, &number) == 2);
	FUZZ_NEED(again == mid && number == link->released);
	mqtt_bytes_free(&next);
}

/* ---- From the broker ---- */

static void check_received(unsigned options, size_t piece, const uint8_t *bytes, size_t size)
{
	struct link whole = {.window = 1 + (options & OPTION_WINDOW)}, cut = {.window = whole.window};
	session_begin(&whole.session, (options & OPTION_HOLDS) != 0, whole.window, PACKET_SIZE_MAX);
	session_begin(&cut.session, (options & OPTION_HOLDS) != 0, cut.window, PACKET_SIZE_MAX);
	cut.session.most = piece;
	run(&whole, bytes, size, STREAM_SIZE_MAX);
	run(&cut, bytes, size, piece);
	FUZZ_NEED(whole.error == cut.error && (whole.error == 0 || whole.error == GATE_E_BROKEN));
	const char *first = session_told(&whole.session), *second = session_told(&cut.session);
	if (whole.error == 0) {
		FUZZ_NEED(strcmp(first, second) == 0);
		check_same(&whole, &cut, PACKET_PUBACK);
		check_same(&whole, &cut, PACKET_PUBREC);
		check_pubacks(&whole);
		if (ends_whole(bytes, size))
			check_free(&whole);
	} else {
		/* What was found before it, and not fed yet, is not told; how much that is hangs on the pieces. */
		const size_t both = strlen(first) < strlen(second) ? strlen(first) : strlen(second);
		FUZZ_NEED(strncmp(first, second, both) == 0);
		FUZZ_NEED(strcmp(gate_reason(whole.session.gate), gate_reason(cut.session.gate)) == 0);
		fuzz_need_reason(gate_reason(whole.session.gate), 160);
	}
	session_end(&whole.session);
	session_end(&cut.session);
}

/* ---- From libmosquitto ---- */

static void check_written(size_t piece, const uint8_t *bytes, size_t size)
{
	struct gate *gates[2];
	int errors[2] = {0, 0};
	const size_t pieces[2] = {size > 0 ? size : 1, piece};
	const uint8_t *output[2];
	size_t output_size[2];
	for (size_t i = 0; i < 2; i++) {
		FUZZ_NEED(gate_new(true, 8, PACKET_SIZE_MAX, &gates[i]) == 0);
		for (size_t at = 0; at < size && errors[i] == 0; at += pieces[i])
			errors[i] = gate_written(
				gates[i], bytes + at, size - at < pieces[i] ? size - at : pieces[i]);
		output_size[i] = gate_output(gates[i], &output[i]);
	}
	FUZZ_NEED(errors[0] == errors[1] && strcmp(gate_reason(gates[0]), gate_reason(gates[1])) == 0);
	if (errors[0] == 0)
		FUZZ_NEED(output_size[0] == output_size[1] &&
			  (output_size[0] == 0 || memcmp(output[0], output[1], output_size[0]) == 0));
	else
		fuzz_need_reason(gate_reason(gates[0]), 160);
	gate_free(gates[0]);
	gate_free(gates[1]);
}

/* ---- A packet ---- */

/* Of a part of it there is nothing to say yet, or the same. */
static void check_packet(const uint8_t *bytes, size_t size)
{
	struct packet whole, part;
	struct packet_publish publish, early;
	const int error = packet_read(bytes, size, &whole);
	const int read = error == 0 && whole.type == PACKET_PUBLISH
				 ? packet_read_publish(&whole, bytes, size, &publish)
				 : -1;
	FUZZ_NEED(error != 0 || (whole.header_size >= 2 && whole.header_size <= PACKET_HEADER_MAX &&
					whole.size >= whole.header_size));
	if (read == 0)
		FUZZ_NEED(publish.qos <= 2 && (publish.qos == 0) == (publish.mid == 0) &&
			  (const uint8_t *)publish.topic + publish.topic_size <= bytes + size);
	for (size_t some = 0; some < size && some < 64; some++) {
		uint8_t *copy = fuzz_copy(bytes, some);
		const int now = packet_read(copy, some, &part);
		FUZZ_NEED(now == PACKET_E_INCOMPLETE || now == error);
		FUZZ_NEED(now != 0 || (part.size == whole.size && part.type == whole.type));
		if (now == 0 && part.type == PACKET_PUBLISH) {
			const int publish_now = packet_read_publish(&part, copy, some, &early);
			FUZZ_NEED(publish_now == PACKET_E_INCOMPLETE || publish_now == read);
			FUZZ_NEED(publish_now != 0 ||
				  (early.mid == publish.mid && early.topic_size == publish.topic_size));
		}
		free(copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 2 || size > STREAM_SIZE_MAX)
		return 0;
	const unsigned options = bytes[0];
	const size_t piece = 1 + bytes[1] % 16;
	uint8_t *stream = fuzz_copy(bytes + 2, size - 2);
	check_packet(stream, size - 2);
	if ((options & OPTION_WRITTEN) != 0)
		check_written(piece, stream, size - 2);
	else
		check_received(options, piece, stream, size - 2);
	free(stream);
	return 0;
}
