/*
 * buffer.h - bytes that are added at the end and taken from the beginning. Zero: it is empty. Not thread-safe.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *block;
	size_t begin, end, room;
};

/* Frees its bytes; it is empty then, and can be used again. */
void buffer_free(struct buffer *buffer);

/* Room for so many bytes behind what is there, at *ret_bytes. False when out of memory. buffer_added() says how many have
 * come. */
bool buffer_reserve(struct buffer *buffer, size_t size, uint8_t **ret_bytes);
void buffer_added(struct buffer *buffer, size_t size);

/* Copies them to the end. False when out of memory: nothing is added. */
__attribute__((warn_unused_result)) bool buffer_append(
	struct buffer *buffer, const uint8_t *bytes, size_t size);

/* So many are gone from the beginning. A large block that is empty is given back. */
void buffer_take(struct buffer *buffer, size_t size);

static inline size_t buffer_size(const struct buffer *buffer)
{
	return buffer->end - buffer->begin;
}

/* Never NULL, so that whoever adds 0 to it may. */
static inline const uint8_t *buffer_bytes(const struct buffer *buffer)
{
	static const uint8_t nothing;
	return buffer->block ? buffer->block + buffer->begin : &nothing;
}

#endif
