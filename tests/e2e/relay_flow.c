/* relay_flow.c - see relay_flow.h. */
#include "relay_flow.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { BYTES_PER_TURN = 64 }; /* where each is a packet */

bool flow_has_room(const struct flow *flow)
{
	return !flow->ended && flow->size < FLOW_SIZE && flow->piece_count < PIECES_MAX;
}

bool flow_read(struct flow *flow, int from, int64_t due_ms)
{
	if (!flow_has_room(flow))
		return true;
	const ssize_t got = recv(from, flow->bytes + flow->size, FLOW_SIZE - flow->size, 0);
	if (got < 0)
		return errno == EAGAIN;
	flow->ended = got == 0;
	if (got > 0) {
		flow->size += (size_t)got;
		flow->pieces[flow->piece_count++] = (struct piece){.size = (size_t)got, .due_ms = due_ms};
	}
	return true;
}

size_t flow_due(const struct flow *flow, int64_t now_ms)
{
	size_t due = 0;
	for (size_t i = 0; i < flow->piece_count && flow->pieces[i].due_ms <= now_ms; i++)
		due += flow->pieces[i].size;
	return due;
}

static void flow_drop(struct flow *flow, size_t size)
{
	size_t gone = 0, left = size;
	flow->size -= size;
	memmove(flow->bytes, flow->bytes + size, flow->size);
	while (gone < flow->piece_count && flow->pieces[gone].size <= left)
		left -= flow->pieces[gone++].size;
	flow->piece_count -= gone;
	memmove(flow->pieces, flow->pieces + gone, flow->piece_count * sizeof(flow->pieces[0]));
	if (left > 0)
		flow->pieces[0].size -= left;
}

bool flow_write(struct flow *flow, int to, int64_t now_ms, bool bytewise)
{
	for (int turn = 0; turn < (bytewise ? BYTES_PER_TURN : 1); turn++) {
		const size_t due = flow_due(flow, now_ms);
		if (due == 0)
			return true;
		const ssize_t sent = send(to, flow->bytes, bytewise ? 1 : due, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN;
		flow_drop(flow, (size_t)sent);
	}
	return true;
}

void flow_end(struct flow *flow, int to)
{
	if (flow->ended && flow->size == 0 && !flow->closed)
		flow->closed = shutdown(to, SHUT_WR) == 0 || errno == ENOTCONN;
}
