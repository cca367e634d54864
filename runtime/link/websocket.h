/*
 * websocket.h - a stream of bytes in WebSocket frames (RFC 6455), as MQTT has it (MQTT 5, section 6): the upgrade by HTTP, binary frames, the subprotocol
 * "mqtt". It lies on what reads and writes bytes, TCP or TLS, and holds no socket.
 *
 * Happy path: websocket_new(), websocket_shake() until it returns 0, then websocket_read() and websocket_write(), whose contracts are way.h's. Where frames
 * and fragments begin means nothing. Failure modes: an answer that is no upgrade, a frame that a broker must not send, its close frame: a negative errno,
 * and websocket_reason() says why in words; an error from below is handed on, and the reason is "".
 *
 * Pings are answered as soon as that can be written, the newest only if there were more: a flood of them takes no memory. A frame goes to what lies below
 * in one write, header and payload. Framing is wslay's; the upgrade, control frames and all rules for clients are here. One thread. Nothing blocks.
 */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct settings;
struct websocket;

enum {
	WEBSOCKET_REASON_SIZE = 320,
	WEBSOCKET_FRAME_MAX = 268435460, /* the largest MQTT packet; no broker puts more into a frame */
};

enum websocket_code { WEBSOCKET_NORMAL = 1000, WEBSOCKET_PROTOCOL = 1002 }; /* RFC 6455, section 7.4 */

/* What it lies on. Their contracts are tls_read()'s and tls_write()'s. */
struct websocket_below {
	ssize_t (*read)(void *context, void *bytes, size_t size);
	ssize_t (*write)(void *context, const void *bytes, size_t size);
	void *context;
};

/* BROKER_HOST, BROKER_PORT, BROKER_TLS and BROKER_PATH make the request. Sends nothing yet. 0 and *ret; -ENOMEM; -EIO: no random bytes. */
__attribute__((warn_unused_result)) int websocket_new(
	const struct settings *settings, const struct websocket_below *below, struct websocket **ret);

/* Says nothing; NULL is fine. */
void websocket_free(struct websocket *websocket);

/* Goes on with the upgrade. 0: it is one; -EAGAIN: wait; another negative errno: over. */
__attribute__((warn_unused_result)) int websocket_shake(struct websocket *websocket);

/* Whether it waits for what lies below to take bytes: of the upgrade, or answers to pings. */
bool websocket_wants_write(const struct websocket *websocket);

/* Writes what it has to say itself. 0, also where that could not be written yet; another negative errno: over. */
__attribute__((warn_unused_result)) int websocket_serve(struct websocket *websocket);

/* As way_read(), but that the peer's close frame is -ECONNRESET, with its code and text as the reason. */
ssize_t websocket_read(struct websocket *websocket, void *bytes, size_t size);

/* As way_write(). Bytes are taken once their frame is written. */
ssize_t websocket_write(struct websocket *websocket, const void *bytes, size_t size);

/* Whether websocket_read() has something without reading from below. */
bool websocket_pending(const struct websocket *websocket);

/* Sends a close frame, once, if that can be written at once. */
void websocket_shutdown(struct websocket *websocket, enum websocket_code code);

/* Why it is over; "": what lies below knows. Valid until websocket_free(). */
const char *websocket_reason(const struct websocket *websocket);

#endif
