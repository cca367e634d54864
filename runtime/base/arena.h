/*
 * arena.h - memory for one command: many small allocations, freed all at once.
 *
 * The first bytes come from a buffer of the caller's (the tail of the command's own block), further ones from
 * chunks of malloc. Out of memory is sticky: after one failure every later call fails, so straight-line code
 * is right. Not thread-safe: one owner at a time.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct arena {
	unsigned char *next, *end;  /* free bytes of the current chunk */
	struct arena_chunk *chunks; /* malloc'ed chunks, newest first */
	bool out_of_memory;
};

/* Starts with `buffer` of `size` bytes (may be 0), which outlives the arena. */
void arena_init(struct arena *arena, void *buffer, size_t size);

/* Frees every chunk; the arena may be initialised again. */
void arena_free(struct arena *arena);

/* size bytes, zeroed, aligned for any type; NULL when out of memory. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((alloc_size(2)));

/* A copy of size bytes, followed by a NUL that is not counted. NULL when out of memory. */
void *arena_copy(struct arena *arena, const void *bytes, size_t size);

/* printf into the arena. NULL when out of memory. */
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_format_list(struct arena *arena, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

#endif
