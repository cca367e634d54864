/* test_setup.c - setup.c: what a handler makes before it runs, and why it could not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "cashew.h"
#include "settings.h"
#include "setup.h"

static const struct cashew_setting own[] = {
	{.name = "DOG_URL", .default_value = "http://dogs", .help = "Where."}, {0}};

static int answer;
static const char *words; /* NULL: it gives no reason */
static char read_url[100];
static unsigned finis;

static int prepare(cashew_setup *setup)
{
	snprintf(read_url, sizeof(read_url), "%s", cashew_setup_setting(setup, "DOG_URL"));
	return words ? cashew_setup_failed(setup, "no dogs at %s: %s", read_url, words) : answer;
}

static int prepare_thread(cashew_setup *setup, void **ret_state)
{
	*ret_state = read_url;
	return prepare(setup);
}

static void finish(void *state)
{
	assert_ptr_equal(state, read_url);
	finis++;
}

static const struct cashew_handler full = {.name = "full",
					   .settings = own,
					   .load = prepare,
					   .init = prepare_thread,
					   .fini = finish},
				   empty = {.name = "empty"};

static void read_settings(struct settings *ret)
{
	/* settings_read() takes environ */
	static const char *const environment[] = {"JWT_SECRET=a secret for tests, long enough for the check",
		"BROKER_HOST=localhost", "MONGO_DB_URL=mongodb://localhost", "DOG_URL=http://kennel", NULL};
	static const struct cashew_handler *const handlers[] = {&full, &empty, NULL};
	assert_int_equal(
		settings_read("", (char *const *)(uintptr_t)environment, handlers, stderr, stderr, ret), 0);
}

static void test_both(void **state)
{
	(void)state;
	static const struct {
		int answer;
		const char *words, *load_reason, *init_reason; /* NULL: 0 */
	} cases[] = {
		{0, NULL, NULL, NULL},
		{3, NULL, ".load returned 3 and gave no reason", ".init returned 3 and gave no reason"},
		{0, "they sleep", "no dogs at http://kennel: they sleep",
			"no dogs at http://kennel: they sleep"},
	};
	struct settings settings;
	read_settings(&settings);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char load_reason[SETUP_REASON_SIZE] = "", init_reason[SETUP_REASON_SIZE] = "";
		void *made = &settings;
		answer = cases[i].answer;
		words = cases[i].words;
		assert_int_equal(setup_load(&full, &settings, load_reason) == 0, !cases[i].load_reason);
		assert_int_equal(
			setup_init(&full, &settings, &made, init_reason) == 0, !cases[i].init_reason);
		assert_string_equal(read_url, "http://kennel");
		assert_string_equal(load_reason, cases[i].load_reason ? cases[i].load_reason : "");
		assert_string_equal(init_reason, cases[i].init_reason ? cases[i].init_reason : "");
		assert_ptr_equal(made, cases[i].init_reason ? (void *)&settings : read_url);
	}
	setup_fini(&full, read_url);
	assert_int_equal(finis, 1);
	settings_free(&settings);
}

static void test_neither(void **state)
{
	(void)state;
	struct settings settings;
	char reason[SETUP_REASON_SIZE] = "";
	void *made = &settings;
	read_settings(&settings);
	assert_int_equal(setup_load(&empty, &settings, reason), 0);
	assert_int_equal(setup_init(&empty, &settings, &made, reason), 0);
	assert_null(made);
	setup_fini(&empty, NULL);
	settings_free(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_both), cmocka_unit_test(test_neither)};
	return cmocka_run_group_tests_name("setup", tests, NULL, NULL);
}
