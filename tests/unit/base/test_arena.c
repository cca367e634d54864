/* test_arena.c - arena.c: where memory comes from, alignment, what happens when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "arena.h"
#include "failing_malloc.h"

static bool within(const void *pointer, const void *start, size_t size)
{
	const uintptr_t p = (uintptr_t)pointer, s = (uintptr_t)start;
	return p >= s && p < s + size;
}

static void buffer_comes_first(void **state)
{
	(void)state;
	unsigned char buffer[256];
	memset(buffer, 0xee, sizeof(buffer));
	struct arena arena;
	/* an odd start: the pieces are aligned all the same */
	arena_init(&arena, buffer + 1, sizeof(buffer) - 1);
	unsigned char *first = arena_alloc(&arena, 20), *second = arena_alloc(&arena, 3);
	assert_true(within(first, buffer, sizeof(buffer)) && within(second, buffer, sizeof(buffer)));
	assert_true(second >= first + 20);
	assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
	assert_int_equal((uintptr_t)second % _Alignof(max_align_t), 0);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(first[i], 0);
	assert_null(arena.chunks);
	arena_free(&arena);
}

static void chunks_follow(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t buffer, pieces, piece;
	} cases[] = {
		{"no buffer, one byte", 0, 1, 1},
		{"no buffer, nothing", 0, 3, 0},
		{"buffer too small", 8, 1, 9},
		{"buffer exactly full", 64, 4, 16},
		{"many small pieces over many chunks", 100, 5000, 24},
		{"a quarter of a chunk and one more byte", 0, 10, 1009},
		{"larger than a chunk", 10, 3, 100000},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char buffer[128];
		unsigned char *pieces[5000];
		struct arena arena;
		arena_init(&arena, cases[i].buffer ? buffer : NULL, cases[i].buffer);
		for (size_t n = 0; n < cases[i].pieces; n++) {
			pieces[n] = arena_alloc(&arena, cases[i].piece);
			if (!pieces[n])
				fail_msg("%s: piece %zu is NULL", cases[i].name, n);
			memset(pieces[n], (int)(n & 0xff), cases[i].piece);
		}
		for (size_t n = 0; n < cases[i].pieces; n++) {
			for (size_t b = 0; b < cases[i].piece; b++)
				if (pieces[n][b] != (n & 0xff))
					fail_msg("%s: piece %zu was overwritten", cases[i].name, n);
		}
		assert_false(arena.out_of_memory);
		arena_free(&arena);
		assert_null(arena.chunks);
	}
}

static void a_large_piece_keeps_the_current_chunk(void **state)
{
	(void)state;
	unsigned char buffer[256];
	struct arena arena;
	arena_init(&arena, buffer, sizeof(buffer));
	assert_non_null(arena_alloc(&arena, 16));
	assert_non_null(arena_alloc(&arena, 100000));
	assert_true(within(arena_alloc(&arena, 16), buffer, sizeof(buffer)));
	arena_free(&arena);
}

static void copies_and_formats(void **state)
{
	(void)state;
	char buffer[64];
	struct arena arena;
	arena_init(&arena, buffer, sizeof(buffer));
	char *copy = arena_copy(&arena, "ab\0cd", 5);
	assert_memory_equal(copy, "ab\0cd\0", 6);
	assert_string_equal(arena_copy(&arena, NULL, 0), "");
	assert_string_equal(arena_format(&arena, "%s is %d", "seven", 7), "seven is 7");
	assert_string_equal(arena_format(&arena, "%s", ""), "");
	char *wide = arena_format(&arena, "%5000d", 1);
	assert_int_equal(strlen(wide), 5000);
	assert_memory_equal(copy, "ab\0cd\0", 6);
	arena_free(&arena);
}

static void out_of_memory_is_sticky(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t size;
	} cases[] = {
		{"more than there is", PTRDIFF_MAX}, {"all of it", SIZE_MAX}, {"nearly all", SIZE_MAX - 8}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char buffer[64];
		struct arena arena;
		arena_init(&arena, buffer, sizeof(buffer));
		/* volatile: the compiler would refuse the size */
		volatile size_t size = cases[i].size;
		if (arena_alloc(&arena, size))
			fail_msg("%s: gave memory", cases[i].name);
		assert_true(arena.out_of_memory);
		assert_null(arena_alloc(&arena, 1));
		assert_null(arena_copy(&arena, "x", 1));
		assert_null(arena_format(&arena, "x"));
		arena_free(&arena);
		arena_init(&arena, buffer, sizeof(buffer));
		assert_non_null(arena_alloc(&arena, 1));
		arena_free(&arena);
	}
	char buffer[64];
	struct arena arena;
	arena_init(&arena, buffer, sizeof(buffer));
	volatile size_t size = SIZE_MAX;
	assert_null(arena_copy(&arena, buffer, size));
	assert_true(arena.out_of_memory);
	arena_free(&arena);
}

/* Each chunk fails: what was given before stays, and nothing is given afterwards, small as it may be. */
static void each_chunk_fails(void **state)
{
	(void)state;
	enum { PIECES = 300, SIZE = 24 };
	bool failed = true;
	size_t n = 1;
	for (; failed; n++) {
		unsigned char buffer[64];
		char *pieces[PIECES];
		struct arena arena;
		arena_init(&arena, buffer, sizeof(buffer));
		size_t given = 0;
		failing_malloc_start(n, false);
		for (size_t i = 0; i < PIECES; i++) {
			char text[SIZE] = "";
			snprintf(text, sizeof(text), "%zu", i);
			char *piece = arena_copy(&arena, text, sizeof(text) - 1);
			if (piece)
				pieces[given++] = piece;
		}
		failed = failing_malloc_stop();
		assert_int_equal(arena.out_of_memory, failed);
		assert_int_equal(given == PIECES, !failed);
		assert_true(given >= sizeof(buffer) / 32);
		for (size_t i = 0; i < given; i++)
			assert_int_equal(strtol(pieces[i], NULL, 10), i);
		arena_free(&arena);
	}
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_comes_first),
		cmocka_unit_test(chunks_follow),
		cmocka_unit_test(a_large_piece_keeps_the_current_chunk),
		cmocka_unit_test(copies_and_formats),
		cmocka_unit_test(out_of_memory_is_sticky),
		cmocka_unit_test(each_chunk_fails),
	};
	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
