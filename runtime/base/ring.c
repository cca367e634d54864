/*
 * ring.c - see ring.h.
 */
#include "ring.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64 };

void ring_init(struct ring *ring, size_t element_size)
{
	*ring = (struct ring){.element = element_size};
}

void ring_free(struct ring *ring)
{
	free(ring->block);
	ring->block = NULL;
	ring->room = ring->count = ring->first = 0;
}

void *ring_add(struct ring *ring)
{
	if (ring->count == ring->room) {
		const size_t room = ring->room > 0 ? ring->room * 2 : ROOM_MIN;
		unsigned char *block = realloc(ring->block, room * ring->element);
		if (!block)
			return NULL;
		/* What stood before the first goes behind the rest. */
		memcpy(block + ring->room * ring->element, block, ring->first * ring->element);
		ring->block = block;
		ring->room = room;
	}
	return ring_at(ring, ring->count++);
}

void ring_take(struct ring *ring)
{
	ring->first = (ring->first + 1) & (ring->room - 1);
	ring->count--;
}
