/*
 * takeover.h - notices that another host has taken a session over, where the broker does not say so.
 *
 * MQTT 5 has a reason code for it, but mosquitto 2.0.11 does not use it, and under 3.1.1 every broker just
 * closes the first connection. The sign is then that the broker closed this connection without a word while
 * another one of this host's, with a client id of its own, lived on: its witness. A broker that goes away
 * ends both. Once may be an accident, and the host connects again at once; the second time within a while it
 * is a takeover: two hosts that both came back at once would drop each other for ever. Plain data, any
 * thread.
 */
#ifndef TAKEOVER_H
#define TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

struct takeover {
	bool lost;   /* and not judged yet */
	bool before; /* it has been lost alone before, at before_ms */
	int64_t lost_ms, before_ms;
};

/* The broker has closed the connection without a word. */
void takeover_lost(struct takeover *takeover, int64_t now_ms);

/*
 * Judges the last loss, once, when the connection is due to be opened again: by then a broker that went away
 * has ended the witness as well. witness_since_ms: since when that is up, INT64_MAX: it is not. within_ms:
 * how long ago the loss before may be.
 */
bool takeover_happened(struct takeover *takeover, int64_t witness_since_ms, int64_t within_ms);

#endif
