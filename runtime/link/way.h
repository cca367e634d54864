/*
 * way.h - one attempt to reach the broker, and the bytes to and from it: name, TCP, proxy, TLS, WebSocket. No MQTT in it.
 *
 *	resolver (name, certificates, token) -> tcp (RFC 8305) -> proxy, if BROKER_PROXY is set -> tls, unless BROKER_TLS=off
 *	-> websocket, if BROKER_TRANSPORT=websocket
 *
 * With a proxy it is the proxy that is looked up and connected to; it looks the broker up.
 *
 * Happy path: way_new() starts; the owner waits for what way_poll() and way_due_ms() say and calls way_serve() until way_state() is WAY_OPEN; then it
 * reads and writes. Failure modes: WAY_FAILED, or a read or write that returns an error other than -EAGAIN; way_reason() says why in words. A way
 * that is over is freed, and the next one is a new one: name, certificate files and token are read anew. The name is given 20 s, TCP, the
 * proxy, TLS and the upgrade to a WebSocket 8 s each; an owner that has less patience says so by way_give_up().
 *
 * One thread. Nothing here blocks. SIGPIPE must be ignored.
 */
#ifndef WAY_H
#define WAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct resolver;
struct settings;
struct way;

enum way_state { WAY_OPENING, WAY_OPEN, WAY_FAILED };

enum way_limit {
	WAY_RESOLVE_MS = 20000, /* more than one name server that does not answer */
	WAY_SHAKE_MS = 8000,
};

struct way_options {
	const struct settings *settings; /* outlives the way; of BROKER_HOST one name, that of this attempt */
	struct resolver
		*resolver; /* of the same settings; it may be freed before the way, which then fails */
	const char *label; /* whose way it is, for the log; outlives the way */
};

/* Starts. 0 and *ret; -ENOMEM. Whatever else goes wrong at once is told of as WAY_FAILED. */
__attribute__((warn_unused_result)) int way_new(
	const struct way_options *options, int64_t now_ms, struct way **ret);

/* Closes at once, whatever it is at, and says no more to the broker than a close frame and close_notify, where it can at once; NULL is fine. */
void way_free(struct way *way);

enum way_state way_state(const struct way *way);

/*
 * One descriptor and the events to wait for: while it opens, what way_serve() waits for (several addresses race behind an epoll descriptor of their
 * own); once open, whether it can be read and written, as is wanted. The descriptor changes while it opens: ask before each poll(). Of WAY_FAILED:
 * -1, which poll() passes over.
 */
void way_poll(const struct way *way, bool read, bool write, struct pollfd *ret_poll);

/* When way_serve() is due whatever poll() says, on clock_ms(); INT64_MAX: nothing. */
int64_t way_due_ms(const struct way *way);

/* Goes on with opening. May be called at any time, also with `revents` of 0. Once it is open, a WebSocket writes answers to
 * pings here that could not be written when they came; call it in each turn. Does nothing once it has failed. */
void way_serve(struct way *way, short revents, int64_t now_ms);

/* Whoever waits for it to open has no more time: it is WAY_FAILED, and way_reason() says what did not come. Does nothing once it is open or has failed. */
void way_give_up(struct way *way);

/* Up to `size` bytes. > 0; 0: the peer has closed; -EAGAIN: wait; another negative errno: over, WAY_FAILED. Only of a way that was opened. */
ssize_t way_read(struct way *way, void *bytes, size_t size);

/*
 * Bytes taken, which may be fewer than `size`; -EAGAIN: wait, and begin the next call with the same bytes, no fewer of them (they may have moved, and
 * more may follow); another negative errno: over, WAY_FAILED. Only of a way that was opened.
 */
ssize_t way_write(struct way *way, const void *bytes, size_t size);

/* Whether way_read() has bytes that poll() cannot tell of: then it is called again before waiting. */
bool way_pending(const struct way *way);

/* The handler's token, made for this attempt; "" before WAY_OPEN. The way's. */
const char *way_token(const struct way *way);

/* Why it is over, in words for the log: of WAY_FAILED, of a read or write that failed, and of a read that returned 0. The way's. */
const char *way_reason(const struct way *way);

/* The TCP socket to the broker, for socket options only; -1 before WAY_OPEN. The way's. */
int way_socket(const struct way *way);

/* No more is written: the close frame of a WebSocket, close_notify over TLS, then FIN. What comes can still be read. */
void way_shutdown(struct way *way);

#endif
