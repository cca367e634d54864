/* test_store_watch.c - store_watch.c: what the I/O thread is told of the store, of the lease and of what is parked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "clock.h"
#include "collections.h"
#include "fake_store.h"
#include "log.h"
#include "store_watch.h"

enum { HANG_S = 60 }; /* nothing here takes that long unless it was forgotten */

static const char *const lanes[] = {"cashewd", "cashewd-slow"};
static struct store *store;
static struct board board;
static sem_t woken;

static void wake(void *context)
{
	sem_post(context);
}

static int begin(void **state)
{
	(void)state;
	memset(&board, 0, sizeof(board));
	store = fake_store_new();
	return sem_init(&woken, 0, 0);
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	return sem_destroy(&woken);
}

static const struct collections needed = {
	.count = 3, .needs = {{"hosts", true}, {"contacts", true}, {"apples", false}}};

static struct store_watch *new_watch_that_tries(const char *owner, unsigned every_ms)
{
	const struct store_watch_options options = {.store = store,
		.needed = &needed,
		.try_every_ms = every_ms,
		.wake = wake,
		.context = &woken,
		.lanes = lanes,
		.lane_count = 2,
		.group = "",
		.host = "cashewd",
		.owner = owner,
		.board = &board};
	struct store_watch *watch = NULL;
	assert_int_equal(store_watch_new(&options, &watch), 0);
	return watch;
}

static struct store_watch *new_watch(const char *owner)
{
	return new_watch_that_tries(owner, 0);
}

/* What came by now: lists are put together. */
struct told {
	struct store_news news;
	size_t loaded;	   /* lanes */
	size_t backlogs;   /* of all of them */
	int64_t due_in_ms; /* of the last of those */
	int64_t last_position;
	size_t due;
	char user[16]; /* of what is due */
};

static void look(struct store_watch *watch, struct told *told)
{
	store_watch_news(watch, &told->news);
	for (const struct store_backlogs *lane = told->news.backlogs; lane; lane = lane->next) {
		told->loaded++;
		told->backlogs += lane->count;
		for (size_t i = 0; i < lane->count; i++)
			told->due_in_ms = lane->backlogs[i].due_in_ms;
		if (lane->last_position > told->last_position)
			told->last_position = lane->last_position;
	}
	for (size_t i = 0; i < told->news.due_count; i++)
		strncpy(told->user, told->news.due[i].user, sizeof(told->user) - 1);
	told->due += told->news.due_count;
	store_backlogs_free(told->news.backlogs);
	parked_users_free(told->news.due, told->news.due_count);
	told->news.backlogs = NULL;
	told->news.due = NULL;
}

/* The I/O thread's part: looks whenever it is woken, until it holds. */
#define UNTIL(watch, told, condition)                                                 \
	do {                                                                          \
		look(watch, told);                                                    \
		while (!(condition)) {                                                \
			struct timespec until;                                        \
			clock_gettime(CLOCK_REALTIME, &until);                        \
			until.tv_sec += HANG_S;                                       \
			if (sem_timedwait(&woken, &until) != 0)                       \
				fail_msg("nobody is woken, and not: %s", #condition); \
			look(watch, told);                                            \
		}                                                                     \
	} while (0)

static void park(const char *lane, const char *user, int64_t position, int64_t due_in_ms,
	const struct backlog_lease *lease)
{
	const struct parked_command command = {.id = store_new_id(),
		.lane = lane,
		.user = user,
		.topic = "1/x",
		.position = position,
		.end = "done",
		.handler = "",
		.reason = "",
		.due_in_ms = due_in_ms};
	const struct parked_command *const commands[] = {&command};
	struct store_client *client = store_acquire(store);
	size_t failed;
	assert_int_equal(parked_commands_append(client, commands, 1, lease, &failed), 0);
	store_release(client);
}

static bool hold(const char *owner)
{
	struct store_client *client = store_acquire(store);
	struct host_lease lease;
	assert_int_equal(host_lease_hold(client, "cashewd", owner, STORE_WATCH_LEASE_MS, &lease), 0);
	store_release(client);
	return lease.ours;
}

/* It becomes active, and is told of what its lanes have, of the last host's leases too. */
static void test_active(void **state)
{
	(void)state;
	const struct backlog_lease own = {"me", 20000}, others = {"other", 20000};
	struct told told = {.due = 0};
	park("cashewd", "1", 70, 5000, NULL);
	park("cashewd", "1", 80, 0, NULL);
	const int64_t position = store_now_us(store);
	park("cashewd-slow", "2", position, 0, &own);
	park("another", "3", 100, 0, &others);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	assert_true(told.news.up);
	assert_int_equal(told.loaded, 2);
	assert_int_equal(told.backlogs, 2);
	assert_int_equal(told.due_in_ms, 0);
	assert_int_equal(told.last_position, position);
	assert_true(told.news.ours_until_ms > clock_ms());
	assert_true(told.news.ours_until_ms <= clock_ms() + STORE_WATCH_LEASE_MS);
	assert_true(atomic_load(&board.figures.store.writable));
	/* Once more, when it is asked for. */
	store_watch_load(watch);
	UNTIL(watch, &told, told.loaded == 4);
	store_watch_free(watch, false);
	/* A stop that is not meant to last keeps it: the next host has it at once, and is told all anew. */
	assert_string_equal(fake_store_active_host(store, "cashewd"), "me");
	watch = new_watch("me");
	told = (struct told){.due = 0};
	UNTIL(watch, &told, told.news.ours);
	assert_int_equal(told.backlogs, 2);
	store_watch_free(watch, true);
	assert_null(fake_store_active_host(store, "cashewd"));
	store_watch_free(NULL, true);
}

static void test_standby(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	assert_true(hold("other"));
	park("cashewd", "1", 1, 0, NULL);
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.up);
	assert_false(told.news.ours);
	assert_in_range(told.news.free_in_ms, 1, STORE_WATCH_LEASE_MS);
	/* What is parked is no matter of one that stands by. */
	assert_int_equal(told.loaded, 0);
	assert_int_equal(told.due, 0);
	fake_store_pass(store, STORE_WATCH_LEASE_MS);
	UNTIL(watch, &told, told.news.ours);
	assert_int_equal(told.loaded, 2);
	assert_false(hold("other"));
	/* Another took it: it stands by again, and is told anew when it is back. The watch may be quicker, and renew it. */
	do
		fake_store_pass(store, STORE_WATCH_LEASE_MS + 1);
	while (!hold("other"));
	UNTIL(watch, &told, !told.news.ours);
	fake_store_pass(store, STORE_WATCH_LEASE_MS);
	UNTIL(watch, &told, told.news.ours);
	assert_int_equal(told.loaded, 4);
	store_watch_free(watch, true);
}

/* Its lease after another turn. */
static int64_t renewed_ms(struct store_watch *watch, struct told *told)
{
	const size_t loaded = told->loaded;
	store_watch_load(watch);
	UNTIL(watch, told, told->loaded > loaded);
	return told->news.ours_until_ms;
}

/* A standby shortens the lease for as long as it asks, so that it need not wait for long. */
static void test_awaited(void **state)
{
	(void)state;
	struct told told = {.due = 0};
	struct store_watch *watch = new_watch("me");
	UNTIL(watch, &told, told.news.ours);
	assert_true(renewed_ms(watch, &told) > clock_ms() + STORE_WATCH_AWAITED_MS);
	assert_false(hold("other"));
	(void)renewed_ms(watch, &told);
	assert_true(renewed_ms(watch, &told) < clock_ms() + STORE_WATCH_AWAITED_MS);
	assert_true(told.news.ours);
	fake_store_pass(store, HOST_STANDBY_SEEN_MS);
	(void)renewed_ms(watch, &told);
	assert_true(renewed_ms(watch, &told) > clock_ms() + STORE_WATCH_AWAITED_MS);
	store_watch_free(watch, true);
}

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

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_active),
		WITH_STORE(test_standby),
		WITH_STORE(test_awaited),
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
