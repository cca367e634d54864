/* test_child.c - child.c: what follows each end of a host, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "child.h"
#include <signal.h>

enum { NOW = 1000000, PID = 77 };

static struct child child_in(enum child_state state)
{
	struct child child;
	child_init(&child, NOW);
	if (state == CHILD_WAITING)
		return child;
	child_spawned(&child, PID, NOW);
	if (state == CHILD_STARTING)
		return child;
	child_up(&child);
	if (state == CHILD_REPLACING)
		assert_true(child_replace(&child, NOW, 500));
	else if (state == CHILD_STOPPING)
		assert_true(child_stop(&child, NOW, 500));
	return child;
}

static void test_deaths(void **state)
{
	static const struct {
		const char *name;
		enum child_state from;
		struct child_death death;
		enum child_state to;
		int delay_ms;  /* of WAITING */
		int exit_code; /* of ENDED */
	} cases[] = {
		{"first start refused", CHILD_STARTING, {.exited = true, .code = 78}, CHILD_ENDED, 0, 78},
		{"first start failed", CHILD_STARTING, {.exited = true, .code = 70}, CHILD_ENDED, 0, 70},
		{"first start without a thread", CHILD_STARTING, {.exited = true, .code = 75}, CHILD_WAITING,
			0, 0},
		{"first start killed", CHILD_STARTING, {.code = SIGKILL}, CHILD_WAITING, 0, 0},
		{"first start stopped by somebody", CHILD_STARTING, {.exited = true}, CHILD_WAITING, 0, 0},
		{"killed", CHILD_RUNNING, {.code = SIGKILL}, CHILD_WAITING, 0, 0},
		{"crashed by a command", CHILD_RUNNING, {.code = SIGSEGV, .blamed = true}, CHILD_WAITING, 0,
			0},
		{"crashed by a command that is run for ever", CHILD_RUNNING, {.code = SIGSEGV}, CHILD_WAITING,
			0, 0},
		{"exited", CHILD_RUNNING, {.exited = true, .code = 3}, CHILD_WAITING, 0, 0},
		{"to be replaced", CHILD_REPLACING, {.exited = true}, CHILD_WAITING, 0, 0},
		{"to be replaced, killed", CHILD_REPLACING, {.code = SIGKILL}, CHILD_WAITING, 0, 0},
		{"stopped", CHILD_STOPPING, {.exited = true}, CHILD_ENDED, 0, 0},
		{"stopped with a complaint", CHILD_STOPPING, {.exited = true, .code = 23}, CHILD_ENDED, 0,
			23},
		{"stopped, killed", CHILD_STOPPING, {.code = SIGKILL}, CHILD_ENDED, 0, 70},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct child child = child_in(cases[i].from);
		child_died(&child, &cases[i].death, NOW + 10);
		if (child.state != cases[i].to)
			fail_msg("%s: %s", cases[i].name, child_state_name(child.state));
		if (child.state == CHILD_WAITING && child.start_at_ms != NOW + 10 + cases[i].delay_ms)
			fail_msg(
				"%s: starts after %d ms", cases[i].name, (int)(child.start_at_ms - NOW - 10));
		if (child.state == CHILD_ENDED && child.exit_code != cases[i].exit_code)
			fail_msg("%s: exit code %d", cases[i].name, child.exit_code);
		assert_int_equal(child.pid, 0);
	}
}

/* For as long as it takes, and ever more slowly. */
static void test_what_may_pass_is_tried_again(void **state)
{
	static const int delays_ms[] = {0, 100, 200, 400};
	(void)state;
	struct child child = child_in(CHILD_WAITING);
	for (size_t i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
		const int64_t begun_ms = child.start_at_ms;
		child_spawned(&child, PID, begun_ms);
		child_died(&child, &(struct child_death){.exited = true, .code = 75}, begun_ms + 50);
		assert_int_equal(child.state, CHILD_WAITING);
		assert_int_equal(child.start_at_ms - begun_ms - 50, delays_ms[i]);
	}
}

static void test_later_refusal_is_tried_again(void **state)
{
	(void)state;
	struct child child = child_in(CHILD_RUNNING);
	child_died(&child, &(struct child_death){.code = SIGKILL}, NOW);
	child_spawned(&child, PID, NOW + 100);
	child_died(&child, &(struct child_death){.exited = true, .code = 78}, NOW + 110);
	assert_int_equal(child.state, CHILD_WAITING);
	assert_int_equal(child.start_at_ms, NOW + 110 + 100);
}

/* Each life lasts 50 ms from when it may start, and ends like that. */
static void live(struct child *child, const struct child_death *death, int delay_ms)
{
	const int64_t begun_ms = child->start_at_ms;
	child_spawned(child, PID, begun_ms);
	child_up(child);
	child_died(child, death, begun_ms + 50);
	assert_int_equal(child->start_at_ms - begun_ms - 50, delay_ms);
}

static const struct child_death killed = {.code = SIGKILL};

static void test_backoff(void **state)
{
	static const int delays_ms[] = {
		0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
	(void)state;
	struct child child = child_in(CHILD_WAITING);
	for (size_t i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++)
		live(&child, &killed, delays_ms[i]);
	/* One that lived long is no repetition. */
	const int64_t now_ms = child.start_at_ms;
	child_spawned(&child, PID, now_ms);
	child_up(&child);
	child_died(&child, &killed, now_ms + CHILD_LONG_LIFE_MS);
	assert_int_equal(child.start_at_ms, now_ms + CHILD_LONG_LIFE_MS);
	live(&child, &killed, 100);
	/* What cannot be spawned waits as well, from the first time on. */
	child_not_spawned(&child, now_ms);
	assert_int_equal(child.start_at_ms - now_ms, 400);
	child = child_in(CHILD_WAITING);
	child_not_spawned(&child, NOW);
	assert_int_equal(child.start_at_ms, NOW + 100);
}

/* Only what dies again and again before anything was released is throttled. */
static void test_throttle(void **state)
{
	static const struct child_death released = {.code = SIGKILL, .released = true},
					blamed = {.code = SIGSEGV, .blamed = true};
	(void)state;
	struct child child = child_in(CHILD_WAITING);
	for (int i = 0; i < 20; i++)
		live(&child, &released, 0);
	live(&child, &killed, 0);
	live(&child, &killed, 100);
	/* That is a new row. */
	live(&child, &released, 0);
	live(&child, &killed, 0);
	/* A command that is dealt with costs no delay, and no other host's either. */
	live(&child, &blamed, 0);
	live(&child, &blamed, 0);
	live(&child, &killed, 100);
	live(&child, &killed, 200);
}

static void test_stop(void **state)
{
	static const enum child_state states[] = {CHILD_STARTING, CHILD_RUNNING, CHILD_REPLACING};
	(void)state;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct child child = child_in(states[i]);
		assert_true(child_stop(&child, NOW, 3000));
		assert_int_equal(child.state, CHILD_STOPPING);
		assert_int_equal(child.kill_at_ms, NOW + 3000);
		/* The second one hurries. */
		assert_true(child_stop(&child, NOW + 1, 100));
		assert_int_equal(child.kill_at_ms, NOW + 101);
		/* It is not replaced any more. */
		assert_false(child_replace(&child, NOW, 500));
		assert_int_equal(child.state, CHILD_STOPPING);
	}
	struct child child = child_in(CHILD_WAITING);
	assert_false(child_stop(&child, NOW, 3000));
	assert_int_equal(child.state, CHILD_ENDED);
	assert_int_equal(child.exit_code, 0);
}

static void test_replace(void **state)
{
	(void)state;
	struct child child = child_in(CHILD_RUNNING);
	assert_true(child_replace(&child, NOW, 500));
	assert_int_equal(child.kill_at_ms, NOW + 500);
	assert_false(child_replace(&child, NOW, 500));
	/* It says that it is up though it is to go. */
	child_up(&child);
	assert_int_equal(child.state, CHILD_REPLACING);
	/* One that waits does not wait any longer. */
	child = child_in(CHILD_RUNNING);
	child_died(&child, &(struct child_death){.code = SIGKILL}, NOW);
	assert_false(child_replace(&child, NOW + 1, 500));
	assert_int_equal(child.start_at_ms, NOW + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_what_may_pass_is_tried_again),
		cmocka_unit_test(test_later_refusal_is_tried_again),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_throttle),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_replace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
