/* test_store_clock.c - store_clock.c: which of the answers tells the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it */
#include "store_clock.h"
#include <cmocka.h>
#include <time.h>

enum { HALF_MS_US = 500 };

/* How far the clock is from ours, in milliseconds. */
static int64_t ahead_ms(struct store_clock *clock)
{
	const int64_t us = store_clock_now_us(clock) - store_clock_here_us();
	return (us - HALF_MS_US) / 1000;
}

static void test_unknown(void **state)
{
	struct store_clock clock;
	struct timespec now;

	(void)state;
	store_clock_init(&clock);
	assert_false(store_clock_known(&clock));
	clock_gettime(CLOCK_REALTIME, &now);
	assert_in_range(store_clock_now_us(&clock) / 1000000, now.tv_sec, now.tv_sec + 10);
	store_clock_destroy(&clock);
}

/* Answers that took `took` ms, came `at` ms after the first, and said that the server is `ahead` ms ahead at the middle. */
struct answer {
	int64_t at, took, ahead;
};

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		struct answer answers[3];
		int64_t expected;
	} cases[] = {
		{"one", {{0, 2, 5000}}, 5000},
		{"behind", {{0, 2, -70000}}, -70000},
		{"a better one", {{0, 100, 5000}, {1000, 2, 5030}}, 5030},
		{"a worse one that agrees", {{0, 2, 5000}, {1000, 100, 5030}}, 5000},
		{"a worse one that does not", {{0, 2, 5000}, {1000, 100, 9000}}, 9000},
		{"as good, and it drifts", {{0, 2, 5000}, {1000, 2, 5001}}, 5001},
		{"a worse one, but the best is old", {{0, 2, 5000}, {61000, 100, 5020}}, 5020},
		{"the server's clock was set back", {{0, 2, 5000}, {1000, 2, 5000}, {2000, 4, -300}}, -300},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* The last of them is by now. */
		const int64_t start_us = (store_clock_here_us() / 1000) * 1000;
		struct store_clock clock;

		print_message("  %s\n", cases[i].name);
		store_clock_init(&clock);
		for (size_t n = 0; n < 3 && (n == 0 || cases[i].answers[n].took > 0); n++) {
			const struct answer *answer = &cases[i].answers[n];
			const int64_t asked_us = start_us + answer->at * 1000;
			const int64_t middle_ms = (asked_us + answer->took * 500) / 1000;

			store_clock_note(
				&clock, asked_us, asked_us + answer->took * 1000, middle_ms + answer->ahead);
			assert_true(store_clock_known(&clock));
		}
		assert_in_range(ahead_ms(&clock) - cases[i].expected + 2, 0, 4);
		store_clock_destroy(&clock);
	}
}

/* A better answer says that it is earlier: time stands still, and does not go back. */
static void test_not_back(void **state)
{
	const int64_t here_us = store_clock_here_us();
	struct store_clock clock;

	(void)state;
	store_clock_init(&clock);
	store_clock_note(&clock, here_us - 600000, here_us, here_us / 1000 + 500);
	const int64_t first_us = store_clock_now_us(&clock);
	assert_true(first_us > here_us + 700000);
	store_clock_note(&clock, here_us - 2000, here_us, here_us / 1000);
	assert_int_equal(store_clock_now_us(&clock), first_us);
	assert_int_equal(store_clock_now_us(&clock), first_us);
	/* Nor where the first answer, which a server gave that had just begun, leaves more open than a step; however often better ones come. */
	store_clock_note(&clock, here_us - 3000000, here_us, here_us / 1000 + 30000);
	const int64_t slow_us = store_clock_now_us(&clock);
	assert_true(slow_us > here_us + 31400000);
	for (int i = 0; i < 3; i++) {
		store_clock_note(&clock, here_us - 2000, here_us, here_us / 1000 + 31500 - 1490);
		assert_int_equal(store_clock_now_us(&clock), slow_us);
	}
	/* It was set: nobody waits for that. */
	store_clock_note(&clock, here_us - 2000, here_us, here_us / 1000 - 60000);
	assert_true(store_clock_now_us(&clock) < first_us - 50000000);
	store_clock_destroy(&clock);
}

/* Of this machine's wall clock: what an answer says of it. */
static void test_wall_clock(void **state)
{
	static const struct {
		const char *name;
		int64_t took_ms, ahead_ms; /* took_ms 0: no answer */
		bool known;
		int64_t least_ms, most_ms;
	} cases[] = {
		{"no answer", 0, 0, false, 0, 0},
		{"the same", 2, 0, true, 0, 0},
		{"two hours ahead", 2, 7200000, true, 7199990, 7200000},
		{"120 days behind", 2, -10368000000, true, -10368000000, -10367999990},
		{"less than the way leaves open", 1000, 400, true, 0, 0},
		{"more than that", 1000, 6000, true, 5490, 5500},
		{"more than that, behind", 1000, -6000, true, -5500, -5490},
		{"the way takes too long", STORE_CLOCK_FAR_MS, 6000, false, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_clock clock;
		struct timespec now;
		int64_t ahead_us = -1;

		print_message("  %s\n", cases[i].name);
		store_clock_init(&clock);
		clock_gettime(CLOCK_REALTIME, &now);
		const int64_t here_us = store_clock_here_us();
		const int64_t middle_ms =
			(int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - cases[i].took_ms / 2;
		if (cases[i].took_ms > 0)
			store_clock_note(&clock, here_us - cases[i].took_ms * 1000, here_us,
				middle_ms - cases[i].ahead_ms);
		assert_int_equal(store_clock_wall_ahead_us(&clock, &ahead_us), cases[i].known);
		if (!cases[i].known)
			assert_int_equal(ahead_us, -1);
		else if (ahead_us < cases[i].least_ms * 1000 || ahead_us > cases[i].most_ms * 1000)
			fail_msg("%lld us", (long long)ahead_us);
		store_clock_destroy(&clock);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_unknown), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_not_back), cmocka_unit_test(test_wall_clock)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
