/* test_quota_table.c - quota_table.c of the broker's plugin: who is in the table, who goes when it is full, and who is swept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "failing_malloc.h"

/* A plugin is loaded, not linked: so its source is part of the test. */
#include "quota_table.c"

struct item {
	struct quota_node node;
	int value;
};

static unsigned dropped;

static void drop(void *node)
{
	(void)node;
	dropped++;
}

static struct item *get(struct quota_table *table, unsigned number, int64_t now_ms)
{
	char name[32];
	snprintf(name, sizeof(name), "user-%u", number);
	return quota_table_get(table, name, now_ms);
}

static struct item *find(struct quota_table *table, unsigned number)
{
	char name[32];
	snprintf(name, sizeof(name), "user-%u", number);
	return quota_table_find(table, name);
}

static struct quota_table table_new(size_t max)
{
	struct quota_table table;
	dropped = 0;
	assert_int_equal(quota_table_init(&table, max, sizeof(struct item), drop), 0);
	return table;
}

static void what_is_got_again_is_the_same(void **state)
{
	(void)state;
	struct quota_table table = table_new(1000);
	for (unsigned i = 0; i < 1000; i++) {
		struct item *item = get(&table, i, 5);
		assert_non_null(item);
		assert_int_equal(item->value, 0);
		item->value = (int)i + 1;
	}
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(get(&table, i, 7)->value, i + 1);
		assert_int_equal(find(&table, i)->node.used_ms, 7);
	}
	assert_null(find(&table, 1000));
	assert_int_equal(table.count, 1000);
	quota_table_free(&table);
	assert_int_equal(dropped, 1000);
}

static void names_that_begin_alike_are_others(void **state)
{
	(void)state;
	struct quota_table table = table_new(16);
	struct item *longer = quota_table_get(&table, "ab", 0), *shorter = quota_table_get(&table, "a", 0);
	assert_ptr_not_equal(longer, shorter);
	assert_ptr_equal(quota_table_find(&table, "ab"), longer);
	assert_ptr_equal(quota_table_find(&table, "a"), shorter);
	assert_null(quota_table_find(&table, ""));
	assert_null(quota_table_find(&table, "abc"));
	quota_table_free(&table);
}

static void a_full_table_forgets_who_was_used_longest_ago(void **state)
{
	(void)state;
	struct quota_table table = table_new(100);
	for (unsigned i = 0; i < 100; i++)
		assert_non_null(get(&table, i, i));
	assert_non_null(get(&table, 0, 100));
	assert_non_null(get(&table, 100, 101));
	assert_null(find(&table, 1));
	assert_non_null(find(&table, 0));
	/* A flood of names. */
	for (unsigned i = 1000; i < 100000; i++)
		assert_non_null(get(&table, i, i));
	assert_int_equal(table.count, 100);
	assert_non_null(find(&table, 99999));
	assert_non_null(find(&table, 99900));
	assert_null(find(&table, 99899));
	quota_table_free(&table);
}

static void pinned_entries_stay(void **state)
{
	(void)state;
	struct quota_table table = table_new(50);
	for (unsigned i = 0; i < 49; i++)
		get(&table, i, 0)->node.pins = 1;
	for (unsigned i = 100; i < 10000; i++)
		assert_non_null(get(&table, i, i));
	for (unsigned i = 0; i < 49; i++)
		assert_non_null(find(&table, i));
	assert_int_equal(table.count, 50);
	get(&table, 9999, 0)->node.pins = 1;
	assert_null(get(&table, 10000, 0));
	assert_non_null(get(&table, 9999, 0));
	quota_table_free(&table);
}

static bool is_odd(void *node, void *context)
{
	const struct item *item = node;
	(*(unsigned *)context)++;
	return item->value % 2 == 1;
}

static void a_minute_of_sweeps_visits_everyone_once(void **state)
{
	(void)state;
	struct quota_table table = table_new(2000);
	for (unsigned i = 0; i < 2000; i++) {
		struct item *item = get(&table, i, 0);
		item->value = (int)i;
		item->node.pins = i == 10;
	}
	unsigned visits = 0;
	for (unsigned i = 0; i < SWEEPS; i++)
		quota_table_sweep(&table, is_odd, &visits);
	assert_in_range(visits, 2000, 2100);
	assert_int_equal(table.count, 1001);
	assert_non_null(find(&table, 10));
	assert_null(find(&table, 12));
	assert_non_null(find(&table, 13));
	assert_int_equal(dropped, 999);
	quota_table_free(&table);
}

static void without_memory_there_is_no_entry(void **state)
{
	(void)state;
	struct quota_table table;
	failing_malloc_start(1, true);
	assert_int_equal(quota_table_init(&table, 100, sizeof(struct item), drop), -ENOMEM);
	assert_true(failing_malloc_stop());
	quota_table_free(&table);
	table = table_new(100);
	failing_malloc_start(1, true);
	assert_null(get(&table, 1, 0));
	assert_true(failing_malloc_stop());
	assert_non_null(get(&table, 1, 0));
	quota_table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_got_again_is_the_same),
		cmocka_unit_test(names_that_begin_alike_are_others),
		cmocka_unit_test(a_full_table_forgets_who_was_used_longest_ago),
		cmocka_unit_test(pinned_entries_stay),
		cmocka_unit_test(a_minute_of_sweeps_visits_everyone_once),
		cmocka_unit_test(without_memory_there_is_no_entry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
