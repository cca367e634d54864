/*
 * documents_writes_contract.c - what documents.h promises of adding, putting, removing and changing documents, as cases that the stand-in and the real
 * store both pass.
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
#include <stdio.h>

CASHEW_COLLECTION(wallet, "wallets", (user, user_id, .key = true), (integer, coins), (integer, apples));

/* ---- add, put, remove ---- */

static void test_first_add_stays(void **state)
{
	(void)state;
	assert_good(ADD(name, .name = "rex", .owner = "1"));
	assert_good(ADD(name, .name = "rex", .owner = "2"));
	assert_string_equal(FOUND(name, .name = "rex")->owner, "1");
	assert_good(REMOVE(name, .name = "rex"));
	assert_good(REMOVE(name, .name = "rex"));
	assert_good(ADD(name, .name = "rex", .owner = "3"));
	assert_good(ADD(name, .name = "max", .owner = "4"));
	assert_string_equal(FOUND(name, .name = "rex")->owner, "3");
	assert_string_equal(FOUND(name, .name = "max")->owner, "4");
}

/* What waits is dropped with the run that failed, and is in its order otherwise. */
static void test_writes_are_in_order(void **state)
{
	const void *put = NULL;
	(void)state;
	assert_good(ADD(dishes, .user_id = "1", .total = 1));
	assert_string_equal(raw("dishes", "1"), "");
	run_as("x/1/2");
	assert_null(FOUND(dishes, .user_id = "1"));
	run_as("x/1/3");
	for (int i = 0; i < 3; i++) {
		assert_good(ADD(dishes, .user_id = "1", .total = 1));
		assert_good(documents_put(&d, &dishes_collection,
			&(const struct dishes){.user_id = "1", .total = 2 + i}, false, &put));
		assert_good(ADD(name, .name = "n", .owner = "1"));
		assert_good(REMOVE(dishes, .user_id = "2"));
		assert_good(ADD(dishes, .user_id = "2", .total = i));
		assert_good(REMOVE(name, .name = "n"));
	}
	assert_int_equal(FOUND(dishes, .user_id = "1")->total, 4);
	assert_int_equal(FOUND(dishes, .user_id = "2")->total, 2);
	assert_null(FOUND(name, .name = "n"));
}

static void others_remove(const struct cashew_collection *collection, const void *keys)
{
	struct documents other;
	struct arena arena;
	arena_init(&arena, NULL, 0);
	documents_begin(&other, &arena, NULL, 500);
	other.client = store_acquire(store);
	assert_int_equal(documents_remove(&other, collection, keys), 0);
	assert_int_equal(documents_flush(&other), 0);
	store_release(other.client);
	documents_end(&other);
	arena_free(&arena);
}

/* What was there when it was read, what others did then, and what becomes of the put. */
static void test_put_of_what_was_read(void **state)
{
	static const struct {
		const char *name;
		bool there, versioned;
		enum { NOTHING, PUT, GONE } others;
		int error;
	} cases[] = {
		{"nobody", true, true, NOTHING, 0},
		{"nobody, of an old document", true, false, NOTHING, 0},
		{"nobody, of none", false, false, NOTHING, 0},
		{"somebody put it", true, true, PUT, DOCUMENTS_E_CHANGED},
		{"somebody put an old one", true, false, PUT, DOCUMENTS_E_CHANGED},
		{"somebody made it", false, false, PUT, DOCUMENTS_E_CHANGED},
		{"somebody removed it", true, true, GONE, DOCUMENTS_E_CHANGED},
		{"somebody removed an old one", true, false, GONE, DOCUMENTS_E_CHANGED},
	};
	(void)state;
	for (size_t once = 0; once < 2; once++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			char user[16], json[64], note[32];
			const void *put = NULL;
			snprintf(user, sizeof(user), "%zu-%zu", once, i);
			snprintf(note, sizeof(note), "x/%s/1", user);
			snprintf(json, sizeof(json), "{\"_id\":\"%s\",\"total\":4%s}", user,
				cases[i].versioned ? ",\"_v\":3" : "");
			if (cases[i].there)
				stored("dishes", json);
			run_as(note);
			const struct dishes *read = FOUND(dishes, .user_id = user);
			assert_int_equal(read ? read->total : -1, cases[i].there ? 4 : -1);
			if (cases[i].others == PUT)
				others_put(&dishes_collection,
					&(const struct dishes){.user_id = user, .total = 50});
			if (cases[i].others == GONE)
				others_remove(&dishes_collection, &(const struct dishes){.user_id = user});
			int error = documents_put(&d, &dishes_collection,
				&(const struct dishes){.user_id = user, .total = 8}, once == 1, &put);
			if (error == 0)
				error = documents_flush(&d);
			if (error != cases[i].error)
				fail_msg("%s: %d, %s", cases[i].name, error, d.reason ? d.reason : "");
			run_as(NULL);
			read = FOUND(dishes, .user_id = user);
			assert_int_equal(read ? read->total : -1, cases[i].error == 0	   ? 8
								  : cases[i].others == PUT ? 50
											   : -1);
		}
}

static void test_two_puts_of_one_run(void **state)
{
	const void *put = NULL;
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct dishes *read = FOUND(dishes, .user_id = "1");
		struct dishes one = read ? *read : (struct dishes){.user_id = "1"};
		one.total = 10 * i + 1;
		assert_good(documents_put(&d, &dishes_collection, &one, false, &put));
		one.total++;
		assert_good(documents_put(&d, &dishes_collection, &one, false, &put));
		one.total++;
		assert_good(documents_put(&d, &dishes_collection, &one, false, &put));
		assert_int_equal(FOUND(dishes, .user_id = "1")->total, 10 * i + 3);
	}
	assert_good(REMOVE(dishes, .user_id = "1"));
	assert_good(
		documents_put(&d, &dishes_collection, &(const struct dishes){.user_id = "1"}, false, &put));
	assert_good(documents_flush(&d));
}

static void test_put_of_what_was_listed(void **state)
{
	const struct dishes *list;
	const void *put = NULL;
	size_t count;
	(void)state;
	stored("dishes", "{\"_id\":\"1\",\"total\":4,\"last_at\":{\"$date\":\"2026-01-31T12:00:00Z\"}}");
	stored("dishes",
		"{\"_id\":\"2\",\"total\":4,\"_v\":6,\"last_at\":{\"$date\":\"2026-01-31T12:00:00Z\"}}");
	assert_good(LIST(dishes, 10, &list, &count, (from, last_at, 1)));
	assert_int_equal(count, 2);
	others_put(&dishes_collection, &(const struct dishes){.user_id = "2", .total = 50});
	assert_good(documents_put(&d, &dishes_collection, &list[0], false, &put));
	assert_good(documents_put(&d, &dishes_collection, &list[1], false, &put));
	assert_refused(documents_flush(&d), DOCUMENTS_E_CHANGED, "dishes");
}

/* ---- update ---- */

static void test_update_that_can_be_repeated(void **state)
{
	const struct everything *e = NULL;
	(void)state;
	run_as(NULL);
	for (int i = 0; i < 2; i++) {
		assert_good(UPDATE(everything, &e, (key, user_id, "1"), (set, a_text, "x"),
			(max, an_integer, 5), (min, a_number, 2.5), (init, a_boolean, true),
			(init, another, 9), (max, a_time, 77)));
		assert_non_null(e);
		assert_string_equal(e->a_text, "x");
		assert_true(e->an_integer == 5 && e->a_number == 2.5 && e->a_boolean && e->another == 9 &&
			    e->a_time == 77);
	}
	assert_good(UPDATE(everything, &e, (key, user_id, "1"), (set, a_text, NULL), (max, an_integer, 4),
		(min, a_number, 3), (init, another, 1)));
	assert_null(e->a_text);
	assert_true(e->an_integer == 5 && e->a_number == 2.5 && e->another == 9);
	assert_good(UPDATE(everything, &e, (key, user_id, "1"), (max, an_integer, 6), (min, a_number, -3)));
	assert_true(e->an_integer == 6 && e->a_number == -3);
	const struct contact *c = NULL;
	assert_good(UPDATE(contact, &c, (key, user_id, "1"), (key, contact_id, "2"), (init, since, 5)));
	assert_raw("contacts", "1/2", "\"contact_id\" : \"2\"");
}

static void test_counts_once(void **state)
{
	const struct dishes *dish = NULL;
	(void)state;
	for (int i = 0; i < 3; i++) {
		run_as("wash/1/w1");
		assert_good(
			UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 3), (max, last_at, 50 + i)));
		assert_int_equal(dish->total, 3);
		assert_int_equal(dish->last_at, 50);
	}
	run_as("wash/1/w2");
	assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 4)));
	assert_int_equal(dish->total, 7);
	run_as("wash/1/w1");
	assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 3)));
	assert_int_equal(dish->total, 7);
	/* another user's, and another handler's command of that id */
	run_as("wash/2/w1");
	assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)));
	run_as("dry/1/w1");
	assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)));
	assert_int_equal(dish->total, 9);
}

static void test_keeps_its_last_notes(void **state)
{
	const struct dishes *dish = NULL;
	char note[32];
	(void)state;
	for (int i = 0; i < 8; i++) {
		snprintf(note, sizeof(note), "wash/1/%d", i);
		run_as(note);
		d.notes_max = 5;
		assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)));
	}
	bson_t document;
	bson_iter_t notes, element;
	assert_true(backend_get(store, "dishes", "1", &document));
	assert_true(bson_iter_init_find(&notes, &document, "_once") && bson_iter_recurse(&notes, &element));
	size_t count = 0;
	while (bson_iter_next(&element))
		count++;
	assert_int_equal(count, 5);
	bson_destroy(&document);
	run_as("wash/1/3");
	assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)));
	assert_int_equal(dish->total, 8);
}

static void test_guards(void **state)
{
	const struct wallet *w = NULL;
	(void)state;
	run_as("buy/1/0");
	assert_good(UPDATE(wallet, &w, (key, user_id, "1"), (if_least, coins, 10), (inc, coins, -10)));
	assert_null(w); /* there is none */
	assert_string_equal(raw("wallets", "1"), "");
	stored("wallets", "{\"_id\":\"1\",\"coins\":15}");
	for (int i = 0; i < 2; i++) {
		run_as("buy/1/1");
		assert_good(UPDATE(wallet, &w, (key, user_id, "1"), (if_least, coins, 10), (inc, coins, -10),
			(inc, apples, 1)));
		assert_non_null(w);
		assert_true(w->coins == 5 && w->apples == 1);
	}
	run_as("buy/1/2");
	assert_good(UPDATE(wallet, &w, (key, user_id, "1"), (if_least, coins, 10), (inc, coins, -10)));
	assert_null(w);
	/* what is missing is read as 0 */
	stored("wallets", "{\"_id\":\"2\"}");
	run_as("buy/2/1");
	assert_good(UPDATE(wallet, &w, (key, user_id, "2"), (if_equal, coins, 0), (if_least, apples, 0),
		(inc, coins, 1)));
	assert_non_null(w);
	run_as("buy/2/2");
	assert_good(UPDATE(wallet, &w, (key, user_id, "2"), (if_equal, coins, 0), (inc, coins, 1)));
	assert_null(w);
	run_as("buy/2/3");
	assert_good(UPDATE(wallet, &w, (key, user_id, "2"), (if_equal, coins, 1), (set, coins, 8)));
	assert_int_equal(w->coins, 8);
	run_as("buy/2/4");
	assert_good(UPDATE(wallet, &w, (key, user_id, "2"), (if_least, apples, -1), (set, coins, 9)));
	assert_int_equal(w->coins, 9);
}

static void test_put_once(void **state)
{
	(void)state;
	stored("dishes", "{\"_id\":\"1\",\"total\":4}");
	for (int i = 0; i < 3; i++) {
		const void *put = NULL;
		run_as("boost/1/x");
		struct dishes dish = *FOUND(dishes, .user_id = "1");
		dish.total *= 2;
		assert_good(documents_put(&d, &dishes_collection, &dish, true, &put));
		assert_int_equal(((const struct dishes *)put)->total, 8);
	}
	for (int i = 0; i < 2; i++) {
		const void *put = NULL;
		run_as("boost/2/x");
		assert_good(documents_put(&d, &dishes_collection,
			&(const struct dishes){.user_id = "2", .total = 5 + i}, true, &put));
		assert_int_equal(((const struct dishes *)put)->total, 5);
	}
}

static void test_mistakes_of_updates(void **state)
{
	const struct dishes *dish = NULL;
	const struct everything *e = NULL;
	const struct contact *c = NULL;
	(void)state;
	run_as(NULL);
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)), DOCUMENTS_E_MISTAKE,
		".needs_id = true");
	run_as("wash/1/1");
	assert_refused(UPDATE(dishes, &dish, (inc, total, 1)), DOCUMENTS_E_MISTAKE, "all keys first");
	assert_refused(UPDATE(contact, &c, (key, user_id, "1"), (set, since, 1)), DOCUMENTS_E_MISTAKE,
		"(key, contact_id, ..)");
	assert_refused(UPDATE(contact, &c, (key, contact_id, "1"), (key, user_id, "2")), DOCUMENTS_E_MISTAKE,
		"(key, user_id, ..)");
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "1"), (set, user_id, "2")), DOCUMENTS_E_MISTAKE,
		"changes a key");
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1), (set, total, 2)),
		DOCUMENTS_E_MISTAKE, "(set, total, ..): names a member for the second time");
	assert_refused(UPDATE(everything, &e, (key, user_id, "1"), (inc, a_number, 1)), DOCUMENTS_E_MISTAKE,
		"everything, (inc, a_number, ..): is for integers");
	assert_refused(UPDATE(everything, &e, (key, user_id, "1"), (max, a_text, "x")), DOCUMENTS_E_MISTAKE,
		"integers, numbers and times");
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "1"), (from, total, 1)), DOCUMENTS_E_MISTAKE,
		"cashew_list()");
	assert_good(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)));
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "1"), (inc, total, 1)), DOCUMENTS_E_MISTAKE,
		"all its changes in one call");
	/* the server's objection */
	stored("dishes", "{\"_id\":\"3\",\"total\":\"4\"}");
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "3"), (inc, total, 1)), STORE_E_PERMANENT, "");
	stored("dishes", "{\"_id\":\"4\",\"total\":{\"$numberLong\":\"9223372036854775807\"}}");
	assert_refused(UPDATE(dishes, &dish, (key, user_id, "4"), (inc, total, 1)), STORE_E_PERMANENT, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_first_add_stays),
		CASE(test_writes_are_in_order),
		CASE(test_put_of_what_was_read),
		CASE(test_two_puts_of_one_run),
		CASE(test_put_of_what_was_listed),
		CASE(test_update_that_can_be_repeated),
		CASE(test_counts_once),
		CASE(test_keeps_its_last_notes),
		CASE(test_guards),
		CASE(test_put_once),
		CASE(test_mistakes_of_updates),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
