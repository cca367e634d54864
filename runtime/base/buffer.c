/*
 * buffer.c - see buffer.h.
 */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 1024, KEPT_MAX = 256 * 1024 };

void buffer_free(struct buffer *buffer)
{
	free(buffer->block);
	*buffer = (struct buffer){.block = NULL};
}

bool buffer_reserve(struct buffer *buffer, size_t size, uint8_t **ret_bytes)
{
	const size_t used = buffer->end - buffer->begin;
	if (buffer->room - buffer->end < size && buffer->begin > 0) {
		memmove(buffer->block, buffer->block + buffer->begin, used);
		buffer->begin = 0;
		buffer->end = used;
	}
	if (buffer->room - buffer->end < size) {
		size_t room = buffer->room > 0 ? buffer->room : ROOM_MIN;
		while (room - used < size)
			room *= 2;
		uint8_t *block = realloc(buffer->block, room);
		if (!block)
			return false;
		buffer->block = block;
		buffer->room = room;
	}
	*ret_bytes = buffer->block + buffer->end;
	return true;
}

void buffer_added(struct buffer *buffer, size_t size)
{
	buffer->end += size;
}

bool buffer_append(struct buffer *buffer, const uint8_t *bytes, size_t size)
{
	uint8_t *to;
	if (size == 0)
		return true;
	if (!buffer_reserve(buffer, size, &to))
		return false;
	memcpy(to, bytes, size);
	buffer->end += size;
	return true;
}

void buffer_take(struct buffer *buffer, size_t size)
{
	buffer->begin += size;
	if (buffer->begin < buffer->end)
		return;
	buffer->begin = buffer->end = 0;
	if (buffer->room > KEPT_MAX)
		buffer_free(buffer);
}
