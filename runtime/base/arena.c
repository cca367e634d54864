/*
 * arena.c - memory for one command: see arena.h.
 *
 * Happy path: the pointer `next` moves through the caller's buffer, and nothing is ever asked of malloc. When
 * the buffer is full, a chunk of CHUNK_SIZE follows; a piece larger than a quarter of that gets a chunk of
 * its own, so that it does not throw away the rest of the current one. Failure: malloc says no, which sets
 * out_of_memory until arena_init().
 */
#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 4096 - 64 }; /* with malloc's own header below one page */

struct arena_chunk {
	struct arena_chunk *older;
	max_align_t bytes[];
};

void arena_init(struct arena *arena, void *buffer, size_t size)
{
	unsigned char *bytes = buffer;
	*arena = (struct arena){.next = bytes, .end = size ? bytes + size : bytes};
}

void arena_free(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks;
	while (chunk) {
		struct arena_chunk *older = chunk->older;
		free(chunk);
		chunk = older;
	}
	*arena = (struct arena){.next = NULL};
}

static unsigned char *chunk_add(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = NULL;
	if (size <= PTRDIFF_MAX - sizeof(*chunk))
		chunk = malloc(sizeof(*chunk) + size);
	if (!chunk) {
		arena->out_of_memory = true;
		return NULL;
	}
	chunk->older = arena->chunks;
	arena->chunks = chunk;
	return (unsigned char *)chunk->bytes;
}

/* As arena_alloc(), not zeroed. */
static void *take(struct arena *arena, size_t size)
{
	if (arena->out_of_memory)
		return NULL;
	const size_t alignment = _Alignof(max_align_t);
	const size_t padding = -(uintptr_t)arena->next & (alignment - 1);
	const size_t room = (size_t)(arena->end - arena->next);
	if (arena->next && padding <= room && size <= room - padding) {
		unsigned char *bytes = arena->next + padding;
		arena->next = bytes + size;
		return bytes;
	}
	if (size > CHUNK_SIZE / 4)
		return chunk_add(arena, size);
	unsigned char *bytes = chunk_add(arena, CHUNK_SIZE);
	if (!bytes)
		return NULL;
	arena->next = bytes + size;
	arena->end = bytes + CHUNK_SIZE;
	return bytes;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *bytes = take(arena, size);
	return bytes ? memset(bytes, 0, size) : NULL;
}

void *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
	unsigned char *copy = size < SIZE_MAX ? take(arena, size + 1) : take(arena, size);
	if (!copy)
		return NULL;
	if (size)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	return copy;
}

char *arena_format_list(struct arena *arena, const char *format, va_list arguments)
{
	va_list again;
	va_copy(again, arguments);
	const int size = vsnprintf(NULL, 0, format, again);
	va_end(again);
	/* vsnprintf only fails on texts of 2 GiB and on bad wide characters: neither fits into memory as asked */
	char *text = size < 0 ? NULL : take(arena, (size_t)size + 1);
	if (!text) {
		arena->out_of_memory = true;
		return NULL;
	}
	vsnprintf(text, (size_t)size + 1, format, arguments);
	return text;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *text = arena_format_list(arena, format, arguments);
	va_end(arguments);
	return text;
}
