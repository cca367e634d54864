/* websocket_private.h - what websocket.c and websocket_upgrade.c share. */
#ifndef WEBSOCKET_PRIVATE_H
#define WEBSOCKET_PRIVATE_H

#include "http_answer.h"
#include "websocket.h"
#include <stdint.h>
#include <wslay/wslay.h>

enum {
	WEBSOCKET_OUT_SIZE = 16384, /* a TLS record */
	WEBSOCKET_CONTROL_MAX = 125,
	WEBSOCKET_ACCEPT_SIZE = 29, /* a SHA-1 in base64, with its zero */
};

struct websocket {
	struct websocket_below below;
	const struct settings *settings; /* of the upgrade */
	struct wslay_frame_context *frames;
	char accept[WEBSOCKET_ACCEPT_SIZE]; /* what the broker has to answer */
	bool closed;			    /* a close frame was sent: no other frame may follow */
	/* what comes */
	ssize_t came; /* of the last read from below */
	bool starved; /* wslay can say nothing before more is read from below */
	size_t held;  /* bytes in wslay's buffer */
	const unsigned char *rest;
	size_t rest_size;    /* of a piece that is being handed out */
	bool in_frame;	     /* a frame's first piece was seen, not its last one */
	bool in_message;     /* the last data frame was no last fragment */
	uint64_t frame_left; /* payload of the frame that has not come */
	size_t control_size;
	unsigned char control[WEBSOCKET_CONTROL_MAX];
	/* what goes */
	bool pong_due;
	size_t pong_size;
	unsigned char pong[WEBSOCKET_CONTROL_MAX];
	size_t framed; /* the caller's bytes in the frame that is being written */
	size_t out_begin, out_end;
	unsigned char out[WEBSOCKET_OUT_SIZE];
	char reason[WEBSOCKET_REASON_SIZE];
	struct http_answer answer; /* head: from there on it is frames */
};

/* Keeps the reason, and returns the error. */
__attribute__((format(printf, 3, 4))) int websocket_fail(
	struct websocket *websocket, int error, const char *format, ...);

/* Writes what is in the buffer. 0: all of it; -EAGAIN; another negative errno: over. */
int websocket_flush(struct websocket *websocket);

/* Puts the request into the buffer. 0 or -EIO. */
int websocket_upgrade_begin(struct websocket *websocket);

#endif
