/* test_host_takeover.c - takeover.c: which losses are another host's doing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "takeover.h"
#include <stdio.h>

enum { WITHIN = 1000 };

/* One loss, judged a little later. */
struct loss {
	int64_t at, witness_since;
	bool taken_over;
};

static const struct {
	const char *name;
	struct loss losses[5];
} cases[] = {
	{"once is an accident", {{100, 0, false}}},
	{"twice is a takeover", {{100, 0, false}, {200, 0, true}}},
	{"each one after that too", {{100, 0, false}, {200, 0, true}, {900, 0, true}, {1900, 0, true}}},
	{"twice within a while", {{100, 0, false}, {1100, 0, true}}},
	{"twice, far from each other", {{100, 0, false}, {1101, 0, false}, {1200, 0, true}}},
	{"the broker was away: no witness",
		{{100, INT64_MAX, false}, {200, INT64_MAX, false}, {300, INT64_MAX, false}}},
	{"the broker was away: the witness came back before",
		{{100, 150, false}, {200, 250, false}, {300, 300, false}, {400, 350, false},
			{500, 350, true}}},
	{"a broker that was away in between", {{100, 0, false}, {200, INT64_MAX, false}, {300, 250, true}}},
};

static void test_losses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct takeover takeover = {0};
		assert_false(takeover_happened(&takeover, 0, WITHIN));
		for (size_t k = 0; k < 5 && cases[i].losses[k].at != 0; k++) {
			const struct loss *loss = &cases[i].losses[k];
			takeover_lost(&takeover, loss->at);
			if (takeover_happened(&takeover, loss->witness_since, WITHIN) != loss->taken_over)
				fail_msg("%s: loss %zu", cases[i].name, k);
			/* It is judged once. */
			assert_false(takeover_happened(&takeover, 0, WITHIN));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_losses)};
	return cmocka_run_group_tests_name("host_takeover", tests, NULL, NULL);
}
