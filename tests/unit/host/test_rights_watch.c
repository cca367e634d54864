/* test_rights_watch.c - rights_watch.c: which collections are tried when, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "collections.h"
#include "fake_case.h"
#include "fake_store.h"
#include "figures.h"
#include "rights_watch.h"
#include <string.h>

enum { SELDOM_MS = 3600 * 1000 };

static const struct collections needed = {
	.count = 3, .needs = {{"hosts", true}, {"contacts", true}, {"apples", false}}};

static struct figures figures;
static struct rights_watch watch;

static int begin(void **state)
{
	memset(&figures, 0, sizeof(figures));
	for (size_t i = 0; i < needed.count; i++)
		figures_need_collection(&figures, i, needed.needs[i].name);
	watch = (struct rights_watch){.needed = &needed, .figures = &figures, .every_ms = SELDOM_MS};
	return fake_case_begin(state);
}

/* Asks once; how many collections were tried for it. */
static unsigned ask(bool granted)
{
	const unsigned before = fake_store_trials(store);
	assert_int_equal(rights_watch_ask(&watch, client), granted);
	return fake_store_trials(store) - before;
}

static void come_to_the_time(void)
{
	watch.try_at_ms = 0;
}

static void expect_refused(const char *name)
{
	const char *refused = figures_refused_collection(&figures);
	assert_string_equal(refused ? refused : "(none)", name);
}

static void test_all_and_then_one_by_one(void **state)
{
	(void)state;
	assert_int_equal(ask(true), 3);
	assert_int_equal(ask(true), 0);
	for (unsigned i = 0; i < 7; i++) {
		come_to_the_time();
		assert_int_equal(ask(true), 1);
		assert_int_equal(ask(true), 0);
	}
}

/* The round goes on with the one that was refused, and all are tried until none is. */
static void test_one_after_the_other_is_refused(void **state)
{
	(void)state;
	fake_store_refuse(store, "contacts");
	assert_int_equal(ask(false), 2);
	expect_refused("contacts");
	assert_int_equal(ask(false), 0);
	fake_store_refuse(store, "hosts");
	come_to_the_time();
	assert_int_equal(ask(false), 3);
	expect_refused("hosts");
	fake_store_refuse(store, NULL);
	come_to_the_time();
	assert_int_equal(ask(true), 3);
	expect_refused("(none)");
	come_to_the_time();
	assert_int_equal(ask(true), 1);
}

/* What was refused to others leads to one trial of all, and not to another one soon. */
static void test_refusals_of_others(void **state)
{
	(void)state;
	assert_int_equal(ask(true), 3);
	fake_store_note_refusal();
	assert_int_equal(ask(true), 3);
	fake_store_note_refusal();
	assert_int_equal(ask(true), 0);
	watch.hear_at_ms = 0;
	fake_store_refuse(store, "apples");
	assert_int_equal(ask(false), 3);
	expect_refused("apples");
}

/* No answer is no refusal, and no grant. */
static void test_unanswered(void **state)
{
	(void)state;
	static const int errors[] = {STORE_E_AWAY, STORE_E_TRANSIENT};
	for (size_t i = 0; i < 2; i++) {
		fake_store_fail_at(store, 1, errors[i]);
		assert_int_equal(ask(true), 1);
		expect_refused("(none)");
		come_to_the_time();
		assert_int_equal(ask(true), 3);
		fake_store_refuse(store, "apples");
		watch.all_granted = false;
		come_to_the_time();
		(void)ask(false);
		fake_store_fail_at(store, 0, errors[i]);
		come_to_the_time();
		assert_int_equal(ask(false), 0);
		expect_refused("apples");
		fake_store_refuse(store, NULL);
		come_to_the_time();
		assert_int_equal(ask(true), 3);
		watch = (struct rights_watch){.needed = &needed, .figures = &figures, .every_ms = SELDOM_MS};
	}
}

static void test_nothing_is_needed(void **state)
{
	(void)state;
	watch.needed = NULL;
	fake_store_refuse(store, "hosts");
	assert_int_equal(ask(true), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, fake_case_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_and_then_one_by_one),
		TEST(test_one_after_the_other_is_refused),
		TEST(test_refusals_of_others),
		TEST(test_unanswered),
		TEST(test_nothing_is_needed),
	};
	return cmocka_run_group_tests_name("rights_watch", tests, NULL, NULL);
}
