/*
 * store_watch_parts.h - a watch over the stand-in store, and what it has told: for tests of store_watch.c.
 *
 * UNTIL() is the I/O thread's part: it takes the news whenever it is woken, until what is waited for holds.
 *
 * Include it in one source file.
 */
#ifndef STORE_WATCH_PARTS_H
#define STORE_WATCH_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those first */
#include <cmocka.h>

#include <semaphore.h>
#include <time.h>

#include "board.h"
#include "clock.h"
#include "collections.h"
#include "fake_store.h"
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

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, begin, end)

#endif
