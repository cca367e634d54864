/*
 * websocket.c - see websocket.h; its upgrade is websocket_upgrade.c's.
 *
 * Outgoing bytes go through one buffer, as large as a TLS record, which is filled only when it is empty: so what lies below sees the same bytes again
 * after -EAGAIN. What comes lies in wslay's buffer until it is copied to where the caller wants it, which is its only copy.
 */
#include "websocket.h"

#include "websocket_private.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADER_MAX = 8,	  /* of a masked frame of fewer than 65536 bytes */
	IDLE_FRAMES = 64, /* frames without payload that one read passes over before others get their turn */
};

/* ---- Reasons ---- */

int websocket_fail(struct websocket *websocket, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(websocket->reason, sizeof(websocket->reason), format, arguments);
	va_end(arguments);
	return error;
}

static int violated(struct websocket *websocket, const char *what)
{
	websocket_shutdown(websocket, WEBSOCKET_PROTOCOL);
	return websocket_fail(
		websocket, -EPROTO, "the broker broke the WebSocket protocol: it sent %s", what);
}

/* ---- wslay's callbacks ---- */

static ssize_t on_send(const uint8_t *bytes, size_t size, int flags, void *context)
{
	(void)flags;
	struct websocket *websocket = context;
	memcpy(websocket->out + websocket->out_end, bytes, size);
	websocket->out_end += size;
	return (ssize_t)size;
}

/* First what came behind the answer to the upgrade. */
static ssize_t on_receive(uint8_t *bytes, size_t size, int flags, void *context)
{
	(void)flags;
	struct websocket *websocket = context;
	struct http_answer *answer = &websocket->answer;
	size_t got = answer->size - answer->head;
	if (got > 0) {
		got = got < size ? got : size;
		memcpy(bytes, answer->bytes + answer->head, got);
		answer->head += got;
	} else {
		websocket->came = websocket->below.read(websocket->below.context, bytes, size);
		if (websocket->came <= 0)
			return -1;
		got = (size_t)websocket->came;
	}
	websocket->held += got;
	return (ssize_t)got;
}

static int on_mask(uint8_t *bytes, size_t size, void *context)
{
	(void)context;
	return RAND_bytes(bytes, (int)size) == 1 ? 0 : -1;
}

/* ---- Writing ---- */

int websocket_flush(struct websocket *websocket)
{
	while (websocket->out_begin < websocket->out_end) {
		const ssize_t taken = websocket->below.write(websocket->below.context,
			websocket->out + websocket->out_begin, websocket->out_end - websocket->out_begin);
		if (taken <= 0)
			return taken == 0 ? -EAGAIN : (int)taken;
		websocket->out_begin += (size_t)taken;
	}
	websocket->out_begin = websocket->out_end = 0;
	return 0;
}

static int put(struct websocket *websocket, uint8_t opcode, const void *bytes, size_t size)
{
	struct wslay_frame_iocb frame = {.fin = 1,
		.opcode = opcode,
		.mask = 1,
		.payload_length = size,
		.data = bytes,
		.data_length = size};
	if (wslay_frame_send(websocket->frames, &frame) != (ssize_t)size)
		return websocket_fail(websocket, -EIO, "there are no random bytes to mask a frame with");
	return 0;
}

int websocket_serve(struct websocket *websocket)
{
	int error = websocket_flush(websocket);
	if (error == 0 && websocket->pong_due && !websocket->closed) {
		websocket->pong_due = false;
		error = put(websocket, WSLAY_PONG, websocket->pong, websocket->pong_size);
		if (error == 0)
			error = websocket_flush(websocket);
	}
	return error == -EAGAIN ? 0 : error;
}

ssize_t websocket_write(struct websocket *websocket, const void *bytes, size_t size)
{
	if (websocket->closed)
		return -EPIPE;
	if (websocket->framed == 0) {
		const int error = websocket_serve(websocket);
		if (error != 0)
			return error;
		if (websocket->out_end > 0)
			return -EAGAIN;
		const size_t room = sizeof(websocket->out) - HEADER_MAX;
		const size_t count = size < room ? size : room;
		const int refused = put(websocket, WSLAY_BINARY_FRAME, bytes, count);
		if (refused != 0)
			return refused;
		websocket->framed = count;
	}
	const int error = websocket_flush(websocket);
	if (error != 0)
		return error;
	const size_t taken = websocket->framed;
	websocket->framed = 0;
	return (ssize_t)taken;
}

void websocket_shutdown(struct websocket *websocket, enum websocket_code code)
{
	const unsigned char bytes[] = {(unsigned char)(code >> 8), (unsigned char)code};
	if (websocket->closed || !websocket->frames)
		return;
	const bool free = websocket_flush(websocket) == 0;
	websocket->closed = true;
	if (free && put(websocket, WSLAY_CONNECTION_CLOSE, bytes, sizeof(bytes)) == 0)
		(void)websocket_flush(websocket);
}

/* ---- Reading ---- */

/* The first piece of a frame. 0, or what is wrong with it. */
static int begin_frame(struct websocket *websocket, const struct wslay_frame_iocb *frame)
{
	const uint64_t length = frame->payload_length;
	websocket->held -= (length < 126 ? 2U : length < 65536 ? 4U : 10U) + (frame->mask ? 4U : 0U);
	websocket->frame_left = length;
	websocket->control_size = 0;
	if (frame->mask)
		return violated(websocket, "a masked frame");
	if (frame->rsv != 0)
		return violated(websocket, "a frame with reserved bits");
	if (length > WEBSOCKET_FRAME_MAX)
		return violated(websocket, "a frame larger than any MQTT packet");
	switch (frame->opcode) {
	case WSLAY_PING:
	case WSLAY_PONG:
	case WSLAY_CONNECTION_CLOSE: return 0;
	case WSLAY_BINARY_FRAME:
		if (websocket->in_message)
			return violated(websocket, "a message within another");
		break;
	case WSLAY_CONTINUATION_FRAME:
		if (!websocket->in_message)
			return violated(websocket, "a continuation of nothing");
		break;
	case WSLAY_TEXT_FRAME: return violated(websocket, "a text frame, and MQTT has binary ones only");
	default: return violated(websocket, "a frame of an unknown kind");
	}
	websocket->in_message = !frame->fin;
	return 0;
}

static int close_frame(struct websocket *websocket)
{
	char text[WEBSOCKET_CONTROL_MAX + 1];
	const unsigned char *bytes = websocket->control;
	const size_t size = websocket->control_size;
	if (size == 1)
		return violated(websocket, "a close frame of one byte");
	size_t count = 0;
	for (size_t i = 2; i < size; i++)
		text[count++] = (char)(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '?');
	text[count] = '\0';
	websocket_shutdown(websocket, WEBSOCKET_NORMAL);
	if (size == 0)
		return websocket_fail(
			websocket, -ECONNRESET, "the broker closed the WebSocket without a code");
	return websocket_fail(websocket, -ECONNRESET, "the broker closed the WebSocket with code %u%s%s",
		bytes[0] * 256U + bytes[1], count > 0 ? ": " : "", text);
}

/* Payload of a control frame, of 125 bytes at most, as wslay sees to. */
static int control(struct websocket *websocket, const struct wslay_frame_iocb *frame)
{
	memcpy(websocket->control + websocket->control_size, frame->data, frame->data_length);
	websocket->control_size += frame->data_length;
	if (websocket->frame_left > 0)
		return 0;
	if (frame->opcode == WSLAY_CONNECTION_CLOSE)
		return close_frame(websocket);
	if (frame->opcode == WSLAY_PONG)
		return 0;
	memcpy(websocket->pong, websocket->control, websocket->control_size);
	websocket->pong_size = websocket->control_size;
	websocket->pong_due = true;
	return websocket_serve(websocket);
}

/* The next piece of a frame. 0: it is taken, and may be one of no bytes for the caller; else as websocket_read(), 1 for an end from below. */
static int receive(struct websocket *websocket)
{
	struct wslay_frame_iocb frame;
	websocket->came = 1;
	const ssize_t result = wslay_frame_recv(websocket->frames, &frame);
	websocket->starved = false;
	if (result == WSLAY_ERR_WANT_READ) {
		/* A part of a header: there may be more. */
		if (websocket->came > 0)
			return 0;
		websocket->starved = true;
		return websocket->came == 0 ? 1 : (int)websocket->came;
	}
	if (result < 0)
		return violated(websocket,
			"a frame with a header that RFC 6455 forbids: a length of 2^63 or not in its shortest form, or a control frame of more than 125 "
			"bytes or in fragments");
	const bool begins = !websocket->in_frame;
	const int error = begins ? begin_frame(websocket, &frame) : 0;
	if (error != 0)
		return error;
	websocket->held -= frame.data_length;
	websocket->frame_left -= frame.data_length;
	websocket->in_frame = websocket->frame_left > 0;
	if (frame.opcode >= WSLAY_CONNECTION_CLOSE)
		return control(websocket, &frame);
	websocket->rest = frame.data;
	websocket->rest_size = frame.data_length;
	return 0;
}

ssize_t websocket_read(struct websocket *websocket, void *bytes, size_t size)
{
	for (unsigned idle = 0; websocket->rest_size == 0; idle++) {
		if (idle == IDLE_FRAMES)
			return -EAGAIN;
		const int error = receive(websocket);
		if (error != 0)
			return error > 0 ? 0 : error;
	}
	const size_t count = size < websocket->rest_size ? size : websocket->rest_size;
	memcpy(bytes, websocket->rest, count);
	websocket->rest += count;
	websocket->rest_size -= count;
	return (ssize_t)count;
}

/* ---- Interface ---- */

int websocket_new(
	const struct settings *settings, const struct websocket_below *below, struct websocket **ret)
{
	static const struct wslay_frame_callbacks callbacks = {
		.send_callback = on_send, .recv_callback = on_receive, .genmask_callback = on_mask};
	struct websocket *websocket = calloc(1, sizeof(*websocket));
	if (!websocket)
		return -ENOMEM;
	websocket->below = *below;
	websocket->settings = settings;
	int error = wslay_frame_context_init(&websocket->frames, &callbacks, websocket) == 0 ? 0 : -ENOMEM;
	if (error == 0)
		error = websocket_upgrade_begin(websocket);
	if (error != 0) {
		websocket_free(websocket);
		return error;
	}
	*ret = websocket;
	return 0;
}

void websocket_free(struct websocket *websocket)
{
	if (!websocket)
		return;
	if (websocket->frames)
		wslay_frame_context_free(websocket->frames);
	free(websocket);
}

bool websocket_wants_write(const struct websocket *websocket)
{
	return websocket->out_end > 0 || (websocket->pong_due && !websocket->closed);
}

bool websocket_pending(const struct websocket *websocket)
{
	const size_t behind_answer = websocket->answer.size - websocket->answer.head;
	return websocket->rest_size > 0 || (!websocket->starved && websocket->held + behind_answer > 0);
}

const char *websocket_reason(const struct websocket *websocket)
{
	return websocket->reason;
}
