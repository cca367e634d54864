/*
 * documents_races_contract.c - what documents.h promises when others write meanwhile, as cases that the stand-in and the real store both pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "backend.h"
#include "documents.h"
#include "documents_indexes.h"
#include "documents_parts.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

/* ---- races ---- */

enum { COUNTERS = 4, COUNTED = 15 };

/* Each counts with ids of its own, each command twice, in a document that is everybody's, and in one that they make. */
static void *count_often(void *context)
{
	const int number = *(int *)context;
	for (int i = 0; i < 2 * COUNTED; i++) {
		struct documents own;
		struct arena arena;
		char note[32];
		const void *made;
		const char *user = "1", *name = i / 2 % 3 == 0 ? "2" : "3";
		const int64_t by = 1;
		const struct cashew_change changes[] = {{CASHEW_V_key, offsetof(struct dishes, user_id),
								&user},
			{CASHEW_V_inc, offsetof(struct dishes, total), &by}},
					   others[] = {
						   {CASHEW_V_key, offsetof(struct dishes, user_id), &name},
						   {CASHEW_V_inc, offsetof(struct dishes, total), &by}};
		snprintf(note, sizeof(note), "wash/%d/%d", number, i / 2);
		arena_init(&arena, NULL, 0);
		documents_begin(&own, &arena, note, 500);
		own.client = store_acquire(store);
		int error = documents_update(&own, &dishes_collection, 2, changes, &made);
		if (error == 0)
			error = documents_update(&own, &dishes_collection, 2, others, &made);
		if (error == DOCUMENTS_E_CHANGED || error == STORE_E_TRANSIENT)
			i--; /* it comes again */
		else if (error != 0)
			fail_msg("%d: %s", error, own.reason);
		store_release(own.client);
		documents_end(&own);
		arena_free(&arena);
	}
	return NULL;
}

static void test_many_count_exactly(void **state)
{
	pthread_t threads[COUNTERS];
	int numbers[COUNTERS];
	(void)state;
	for (int i = 0; i < COUNTERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, count_often, &numbers[i]), 0);
	}
	for (int i = 0; i < COUNTERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(FOUND(dishes, .user_id = "1")->total, COUNTERS * COUNTED);
	assert_int_equal(FOUND(dishes, .user_id = "2")->total + FOUND(dishes, .user_id = "3")->total,
		COUNTERS * COUNTED);
}

/* What the other one's command does, between this one's look and its insert. */
static void other_counts(void *context)
{
	struct documents other;
	struct arena arena;
	const void *made;
	const char *user = "1", *contact_id = "2";
	const int64_t by = 5;
	(void)context, (void)contact_id;
	const struct cashew_change changes[] = {{CASHEW_V_key, offsetof(struct dishes, user_id), &user},
		{CASHEW_V_inc, offsetof(struct dishes, total), &by}};
	arena_init(&arena, NULL, 0);
	documents_begin(&other, &arena, "wash/2/other", 500);
	other.client = store_acquire(store);
	assert_int_equal(documents_update(&other, &dishes_collection, 2, changes, &made), 0);
	store_release(other.client);
	documents_end(&other);
	arena_free(&arena);
}

static void other_takes_name(void *context)
{
	(void)context;
	others_put(&name_collection, &(const struct name){.name = "rex", .owner = "2"});
}

/* Two first commands of one document: both count. */
static void test_first_commands_collide(void **state)
{
	const struct dishes *dish = NULL;
	(void)state;
	for (int i = 0; i < 2; i++) {
		if (i == 0 && !backend_collide(store, "findAndModify", other_counts, NULL))
			skip();
		run_as("wash/1/w1");
		assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 3)));
		assert_int_equal(dish->total, 8);
	}
}

static void test_put_once_collides(void **state)
{
	const void *put = NULL;
	(void)state;
	if (!backend_collide(store, "findAndModify", other_counts, NULL))
		skip();
	run_as("boost/1/w1");
	assert_good(documents_put(
		&d, &dishes_collection, &(const struct dishes){.user_id = "1", .total = 7}, true, &put));
	assert_int_equal(((const struct dishes *)put)->total, 7);
	/* it had looked, and there was none */
	run_as(NULL);
	assert_good(REMOVE(dishes, .user_id = "1"));
	assert_good(documents_flush(&d));
	run_as("boost/1/w2");
	assert_null(FOUND(dishes, .user_id = "1"));
	assert_true(backend_collide(store, "findAndModify", other_counts, NULL));
	assert_refused(documents_put(&d, &dishes_collection,
			       &(const struct dishes){.user_id = "1", .total = 7}, true, &put),
		DOCUMENTS_E_CHANGED, "dishes 1 was changed");
}

/* The statements behind the one that met a duplicate key are done. */
static void test_adds_and_puts_collide(void **state)
{
	const void *put = NULL;
	(void)state;
	if (!backend_collide(store, "update", other_takes_name, NULL))
		skip();
	assert_good(ADD(name, .name = "rex", .owner = "1"));
	assert_good(ADD(name, .name = "max", .owner = "1"));
	assert_string_equal(FOUND(name, .name = "rex")->owner, "2");
	assert_string_equal(FOUND(name, .name = "max")->owner, "1");
	assert_good(REMOVE(name, .name = "rex"));
	assert_good(documents_flush(&d));
	assert_true(backend_collide(store, "update", other_takes_name, NULL));
	assert_good(documents_put(
		&d, &name_collection, &(const struct name){.name = "rex", .owner = "1"}, false, &put));
	assert_good(ADD(name, .name = "moritz", .owner = "1"));
	assert_string_equal(FOUND(name, .name = "rex")->owner, "1");
	assert_string_equal(FOUND(name, .name = "moritz")->owner, "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_many_count_exactly),
		CASE(test_first_commands_collide),
		CASE(test_put_once_collides),
		CASE(test_adds_and_puts_collide),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
