/* test_buffer.c - buffer.c: against a plain array, at the borders of growing, moving and giving back, and without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "buffer.h"
#include "failing_malloc.h"

enum { LARGE = 1024 * 1024 };

/* The byte that stands at that place of the stream. */
static uint8_t byte_at(size_t place)
{
	return (uint8_t)(place * 31 + (place >> 8));
}

static void check(const struct buffer *buffer, size_t taken, size_t added)
{
	assert_int_equal(buffer_size(buffer), added - taken);
	for (size_t i = taken; i < added; i++)
		assert_int_equal(buffer_bytes(buffer)[i - taken], byte_at(i));
}

static void starts_empty(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	assert_int_equal(buffer_size(&buffer), 0);
	assert_true(buffer_append(&buffer, NULL, 0));
	assert_null(buffer.block);
	buffer_free(&buffer);
}

/* Whatever is added and taken, in steps of any size: what is left is the stream. */
static void is_a_stream(void **state)
{
	(void)state;
	static const size_t adds[] = {1, 1023, 1024, 1025, 7, 4096, 300000, 2, 65536},
			    takes[] = {1, 900, 2000, 0, 5000, 299000, 3};
	struct buffer buffer = {0};
	size_t added = 0, taken = 0;
	for (size_t i = 0; i < 200; i++) {
		const size_t size = adds[i % (sizeof(adds) / sizeof(*adds))];
		uint8_t *to;
		assert_true(buffer_reserve(&buffer, size + 10, &to));
		for (size_t j = 0; j < size; j++)
			to[j] = byte_at(added + j);
		buffer_added(&buffer, size);
		added += size;
		size_t take = takes[i % (sizeof(takes) / sizeof(*takes))];
		if (take > added - taken || i % 11 == 10)
			take = added - taken;
		buffer_take(&buffer, take);
		taken += take;
		if (i % 20 == 0)
			check(&buffer, taken, added);
	}
	check(&buffer, taken, added);
	buffer_free(&buffer);
	assert_int_equal(buffer_size(&buffer), 0);
}

/* What is taken from the beginning makes room: no block grows for ever. */
static void room_is_used_again(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	uint8_t bytes[700] = {0};
	assert_true(buffer_append(&buffer, bytes, sizeof(bytes)));
	const size_t room = buffer.room;
	for (size_t i = 0; i < 1000; i++) {
		buffer_take(&buffer, 600);
		assert_true(buffer_append(&buffer, bytes, 600));
		assert_int_equal(buffer_size(&buffer), sizeof(bytes));
	}
	assert_true(buffer.room <= 2 * room);
	buffer_free(&buffer);
}

static void large_block_is_given_back(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	uint8_t *to;
	assert_true(buffer_reserve(&buffer, LARGE, &to));
	memset(to, 1, LARGE);
	buffer_added(&buffer, LARGE);
	buffer_take(&buffer, LARGE - 1);
	assert_non_null(buffer.block);
	buffer_take(&buffer, 1);
	assert_null(buffer.block);
	assert_true(buffer_append(&buffer, (const uint8_t *)"ab", 2));
	assert_memory_equal(buffer_bytes(&buffer), "ab", 2);
	buffer_free(&buffer);
}

static void without_memory_nothing_changes(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	uint8_t bytes[1000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = byte_at(i);
	failing_malloc_start(1, true);
	const bool first = buffer_append(&buffer, bytes, 10);
	failing_malloc_stop();
	assert_false(first);
	assert_int_equal(buffer_size(&buffer), 0);
	assert_true(buffer_append(&buffer, bytes, sizeof(bytes)));
	buffer_take(&buffer, 500);
	failing_malloc_start(1, true);
	const bool second = buffer_append(&buffer, bytes, sizeof(bytes));
	failing_malloc_stop();
	assert_false(second);
	check(&buffer, 500, 1000);
	buffer_free(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_empty),
		cmocka_unit_test(is_a_stream),
		cmocka_unit_test(room_is_used_again),
		cmocka_unit_test(large_block_is_given_back),
		cmocka_unit_test(without_memory_nothing_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
