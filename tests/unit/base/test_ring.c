/* test_ring.c - ring.c: every wrap and every growth, and without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"
#include "ring.h"

struct element {
	uint64_t number;
	uint8_t odd[5]; /* so that its size is no power of two */
};

static void add(struct ring *ring, uint64_t number)
{
	struct element *element = ring_add(ring);
	assert_non_null(element);
	*element = (struct element){.number = number};
}

/* It holds the numbers from `first` on. */
static void check(const struct ring *ring, uint64_t first, size_t count)
{
	assert_int_equal(ring_count(ring), count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(((const struct element *)ring_at(ring, i))->number, first + i);
}

/* Grows to 64, 128, 256 elements while its first stands at each place of the block. */
static void grows_wherever_its_first_is(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 300; shift++) {
		struct ring ring;
		ring_init(&ring, sizeof(struct element));
		uint64_t first = 0, next = 0;
		for (; next < 30; next++)
			add(&ring, next);
		for (size_t i = 0; i < shift; i++) {
			ring_take(&ring), first++;
			add(&ring, next++);
		}
		check(&ring, first, 30);
		while (ring_count(&ring) < 300)
			add(&ring, next++);
		check(&ring, first, 300);
		while (ring_count(&ring) > 0)
			ring_take(&ring), first++;
		add(&ring, first);
		check(&ring, first, 1);
		ring_free(&ring);
		assert_int_equal(ring_count(&ring), 0);
	}
}

/* Freed, it is empty and may be used again. */
static void is_used_again_after_free(void **state)
{
	(void)state;
	struct ring ring;
	ring_init(&ring, sizeof(struct element));
	add(&ring, 7);
	ring_take(&ring);
	ring_free(&ring);
	add(&ring, 8);
	check(&ring, 8, 1);
	ring_free(&ring);
}

static void without_memory_nothing_changes(void **state)
{
	(void)state;
	struct ring ring;
	ring_init(&ring, sizeof(struct element));
	failing_malloc_start(1, true);
	const void *none = ring_add(&ring);
	failing_malloc_stop();
	assert_null(none);
	assert_int_equal(ring_count(&ring), 0);
	for (uint64_t i = 0; i < 40; i++)
		add(&ring, i);
	for (uint64_t i = 0; i < 20; i++)
		ring_take(&ring);
	for (uint64_t i = 40; i < 84; i++)
		add(&ring, i);
	failing_malloc_start(1, true);
	none = ring_add(&ring);
	failing_malloc_stop();
	assert_null(none);
	check(&ring, 20, 64);
	add(&ring, 84);
	check(&ring, 20, 65);
	ring_free(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_wherever_its_first_is),
		cmocka_unit_test(is_used_again_after_free),
		cmocka_unit_test(without_memory_nothing_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
