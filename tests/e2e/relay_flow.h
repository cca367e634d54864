/* relay_flow.h - bytes on their way through a relay in one direction, each piece with the time when it is due. See relay.h. */
#ifndef RELAY_FLOW_H
#define RELAY_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOW_SIZE = 65536, PIECES_MAX = 256 };

/* What came at one time. */
struct piece {
	size_t size;
	int64_t due_ms;
};

/* Bytes on their way in one direction. */
struct flow {
	unsigned char bytes[FLOW_SIZE];
	size_t size;
	struct piece pieces[PIECES_MAX];
	size_t piece_count;
	bool ended;  /* nothing more comes */
	bool closed; /* and the other side was told */
};

/* Whether it takes more. */
bool flow_has_room(const struct flow *flow);

/* Takes what has come at that socket. false: the link is broken. */
bool flow_read(struct flow *flow, int from, int64_t due_ms);

/* How many bytes are due. */
size_t flow_due(const struct flow *flow, int64_t now_ms);

/* Writes what is due, each byte as a packet of its own if `bytewise`. false: the link is broken. */
bool flow_write(struct flow *flow, int to, int64_t now_ms, bool bytewise);

/* Tells the other side of the end, once all before it has passed. A close would also throw away what the other side is still to read. */
void flow_end(struct flow *flow, int to);

#endif
