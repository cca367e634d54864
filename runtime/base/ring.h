/*
 * ring.h - a queue of elements of one size, in one block that grows: added at the end, taken from the beginning, read by
 * number. Not thread-safe.
 */
#ifndef RING_H
#define RING_H

#include <stddef.h>

struct ring {
	unsigned char *block;
	size_t element, room; /* room: a power of two, in elements */
	size_t first, count;
};

/* Empty; nothing is allocated yet. element_size: in bytes. ring_free() frees the elements, not what they point to. */
void ring_init(struct ring *ring, size_t element_size);
void ring_free(struct ring *ring);

/* Room for one more, not initialised; NULL when out of memory. */
void *ring_add(struct ring *ring);

/* The first is gone. */
void ring_take(struct ring *ring);

static inline size_t ring_count(const struct ring *ring)
{
	return ring->count;
}

/* That one, from 0 on. Valid until the next ring_add(). */
static inline void *ring_at(const struct ring *ring, size_t number)
{
	return ring->block + ((ring->first + number) & (ring->room - 1)) * ring->element;
}

#endif
