/* test_store_watch.c - store_watch.c: what the I/O thread is told of the store, of its rights there, of clocks and of what is parked. */
#include "store_watch_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

static void test_due(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	park("cashewd-slow", "7", 1, 0, NULL);
	UNTIL(watch, &told, told.due > 0);
	assert_string_equal(told.user, "7");
	store_watch_free(watch, true);
}

/* What a host that died has left on a lane that nobody has any more. */
static void test_overdue(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	park("gone", "8", 1, 0, NULL);
	fake_store_pass(store, 61000);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.due > 0);
	assert_string_equal(told.user, "8");
	store_watch_free(watch, true);
}

/* ---- Away ---- */

static void test_away(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	fake_store_fail_next(store, STORE_E_AWAY, 3);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.up);
	assert_true(atomic_load(&board.figures.store.failed) >= 3);
	UNTIL(watch, &told, told.news.ours);
	/* While it is away the lease goes on until its end. */
	fake_store_fail_next(store, STORE_E_AWAY, 1000);
	UNTIL(watch, &told, !told.news.up);
	assert_true(told.news.ours);
	assert_false(atomic_load(&board.figures.store.writable));
	fake_store_fail_next(store, 0, 0);
	UNTIL(watch, &told, told.news.up);
	assert_true(told.news.ours);
	/* It was in our name all the time: nothing is told anew. */
	assert_int_equal(told.loaded, 2);
	store_watch_free(watch, true);
}

/* A suspicion holds until a question that was asked after it is answered. */
static void test_suspect(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	for (unsigned i = 0; i < 20; i++) {
		const unsigned before = fake_store_operations(store);
		store_watch_suspect(watch);
		look(watch, &told);
		if (told.news.up)
			assert_true(fake_store_operations(store) > before);
		UNTIL(watch, &told, told.news.up);
		assert_true(fake_store_operations(store) > before);
	}
	store_watch_free(watch, true);
}

/* The database answers, but takes no writes: then nobody can say that he is active. */
static void test_refused(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	fake_store_fail_at(store, 1 + (unsigned)needed.count, STORE_E_TRANSIENT); /* the first lease */
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.up);
	assert_false(told.news.ours);
	UNTIL(watch, &told, told.news.ours);
	store_watch_free(watch, true);
}

/* A collection that the database does not let the host at: not active, until it does. */
static void test_collection_refused(void **state)
{
	(void)state;
	static const char *const names[] = {"hosts", "contacts", "apples"};
	for (size_t i = 0; i < 3; i++) {
		print_message("  %s\n", names[i]);
		assert_int_equal(begin(NULL), 0);
		for (size_t k = 0; k < 3; k++)
			figures_need_collection(&board.figures, k, needed.needs[k].name);
		struct told told = {.due = 0};
		fake_store_refuse(store, names[i]);
		struct store_watch *watch = new_watch_that_tries("me", 1);
		UNTIL(watch, &told, told.news.up);
		assert_false(told.news.ours);
		assert_string_equal(figures_refused_collection(&board.figures), names[i]);
		/* It did not take the lease either: another host may have it. */
		assert_null(fake_store_active_host(store, "cashewd"));
		fake_store_refuse(store, NULL);
		UNTIL(watch, &told, told.news.ours);
		assert_null(figures_refused_collection(&board.figures));
		/* Later one is tried at a time. */
		fake_store_refuse(store, names[i]);
		UNTIL(watch, &told, !told.news.ours);
		assert_string_equal(figures_refused_collection(&board.figures), names[i]);
		store_watch_free(watch, true);
		end(NULL);
	}
}

/* Somebody has met it: all are tried, else it would take the longer the more there are. */
static void test_refusal_is_heard_of(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	const int64_t begun_ms = clock_ms();
	figures_need_collection(&board.figures, 2, "apples");
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	fake_store_refuse(store, "apples");
	fake_store_note_refusal();
	UNTIL(watch, &told, !told.news.ours);
	assert_string_equal(figures_refused_collection(&board.figures), "apples");
	assert_true(clock_ms() - begun_ms < STORE_WATCH_TRY_MS);
	store_watch_free(watch, true);
}

/* All at the start; then one now and then, however often the database is asked. */
static void test_trials_are_few(void **state)
{
	(void)state;
	enum { LOADS = 20 };
	struct told told = {.due = 0};
	const int64_t begun_ms = clock_ms();
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	/* Refusals that no trial finds: all are tried once. */
	for (unsigned i = 0; i < LOADS; i++) {
		fake_store_note_refusal();
		const size_t loaded = told.loaded;
		store_watch_load(watch);
		UNTIL(watch, &told, told.loaded > loaded);
	}
	const size_t more = needed.count * (size_t)((clock_ms() - begun_ms) / STORE_WATCH_TRY_MS);
	assert_in_range(fake_store_trials(store), 2 * needed.count, 2 * needed.count + more);
	store_watch_free(watch, true);
}

/* Why it is not used, and which database is, once it is. */
static void test_what_is_logged(void **state)
{
	(void)state;
	static const struct {
		int error;
		const char *words;
	} cases[] = {{STORE_E_AWAY, "the store does not answer"},
		{STORE_E_TRANSIENT, "the store answers, and cannot be used"},
		{STORE_E_PERMANENT, "the store answers, and cannot be used"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int fd = memfd_create("log", 0);
		const struct log_options log = {.fd = fd, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO};
		struct told told = {.due = 0};
		char text[8192];
		assert_true(fd >= 0);
		assert_int_equal(log_open(&log), 0);
		fake_store_fail_next(store, cases[i].error, 1);
		struct store_watch *watch = new_watch("me");
		UNTIL(watch, &told, told.news.up);
		store_watch_free(watch, true);
		log_close(1000);
		const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
		assert_true(size > 0);
		text[size] = '\0';
		close(fd);
		if (!strstr(text, cases[i].words) || !strstr(text, "\"database\":\"" STORE_DATABASE "\""))
			fail_msg("%s", text);
	}
}

static const struct clock_step {
	int64_t ahead_ms;     /* of this machine's clock, from now on */
	const char *expected; /* NULL: nothing is told */
} clock_steps[] = {
	{0, NULL},
	{-4900, NULL},
	{-5100, "clocks_differ behind 5100"},
	{-5100, NULL},
	{-9000, NULL},
	{-10200, "clocks_differ behind 10200"},
	{-4000, NULL},
	{-5100, "clocks_differ behind 5100"},
	{-2000, "clocks_agree"},
	{0, NULL},
	{7200000, "clocks_differ ahead 7200000"},
	{7201000, NULL},
	{-7200000, "clocks_differ behind 7200000"},
	{0, "clocks_agree"},
};
enum { CLOCK_STEPS = sizeof(clock_steps) / sizeof(clock_steps[0]) };

/* Event, direction and difference of the record that begins here, in one line. */
static void write_told(const char *record, char *ret, size_t size)
{
	static const char direction[] = "\"this_clock\":\"", difference[] = "\"by_ms\":";
	const char *which = strstr(record, direction), *by = strstr(record, difference);
	if (strncmp(record, "clocks_differ", strlen("clocks_differ")) == 0 && which && by)
		snprintf(ret, size, "clocks_differ %.*s %lld", (int)strcspn(which + strlen(direction), "\""),
			which + strlen(direction), strtoll(by + strlen(difference), NULL, 10));
	else
		snprintf(ret, size, "%.*s", (int)strcspn(record, "\""), record);
}

/* The log has what is expected, in that order, and nothing else of clocks. */
static void assert_clocks_told(const char *text)
{
	static const char event[] = "\"event\":\"";
	const char *at = strstr(text, "\"event\":\"clocks_");
	for (size_t i = 0; i < CLOCK_STEPS; i++) {
		char found[64] = "nothing";
		if (!clock_steps[i].expected)
			continue;
		print_message("  ahead by %lld ms\n", (long long)clock_steps[i].ahead_ms);
		if (at) {
			write_told(at + strlen(event), found, sizeof(found));
			at = strstr(at + 1, "\"event\":\"clocks_");
		}
		assert_string_equal(found, clock_steps[i].expected);
	}
	assert_null(at);
}

/* Each change is told once, whatever the number of questions between. */
static void test_clocks_differ(void **state)
{
	(void)state;
	static char text[64 * 1024];
	const int fd = memfd_create("log", 0);
	const struct log_options log = {.fd = fd, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO};
	struct told told = {.due = 0};
	int64_t ahead_ms = 0;
	assert_true(fd >= 0);
	assert_int_equal(log_open(&log), 0);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.up);
	for (size_t i = 0; i < CLOCK_STEPS; i++) {
		fake_store_pass(store, ahead_ms - clock_steps[i].ahead_ms);
		ahead_ms = clock_steps[i].ahead_ms;
		/* A suspicion is a question at once. */
		for (int times = 0; times < 3; times++) {
			store_watch_suspect(watch);
			UNTIL(watch, &told, told.news.up);
		}
	}
	store_watch_free(watch, true);
	log_close(1000);
	const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
	assert_in_range(size, 1, sizeof(text) - 2);
	text[size] = '\0';
	close(fd);
	assert_clocks_told(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_due),
		WITH_STORE(test_overdue),
		WITH_STORE(test_away),
		WITH_STORE(test_suspect),
		WITH_STORE(test_refused),
		cmocka_unit_test(test_collection_refused),
		WITH_STORE(test_refusal_is_heard_of),
		WITH_STORE(test_trials_are_few),
		WITH_STORE(test_what_is_logged),
		WITH_STORE(test_clocks_differ),
	};
	return cmocka_run_group_tests_name("store_watch", tests, NULL, NULL);
}
