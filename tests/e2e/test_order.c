/* test_order.c - the check that every ledger makes of a user's effects (order.h), with sequences made up and sequences seen. */
#include "order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { EFFECTS_MAX = 8000 };

static const struct {
	const char *effects; /* numbers, and runs of numbers: "1..55 31..38" */
	unsigned count;
	bool with_kills, without_kills; /* whether it holds */
	const char *reason;		/* a part of what is said; NULL: it holds either way */
} cases[] = {
	/* Nothing happened. */
	{"", 0, true, true, NULL},
	{"1", 1, true, true, NULL},
	{"1..250", 250, true, true, NULL},
	/* Whole suffixes again. */
	{"1 1 1", 1, true, true, NULL},
	{"1 2 1 2", 2, true, true, NULL},
	{"1 2 1 1 2", 2, true, true, NULL},
	{"1..55 31..55 31..250", 250, true, true, NULL},
	{"1..3 2 2 2..4 4 1..4", 4, true, true, NULL},
	/* The end of the first time and the second time side by side, as a kill leaves them. */
	{"1 2 3 1 4 2 3 4", 4, true, false, "skips ahead"},
	{"1 2 3 1 3 2 3", 3, true, false, "effect 5 is 3, right after 1"},
	/* A torn suffix: some is known and dropped, while what was sent before is run again. */
	{"1 2 1", 2, false, false, "effect 2 is the last of 2, and 1 has one after it"},
	{"1..55 31..38 31..37 39..54 56..250", 250, false, false,
		"is the last of 38, and 31 has one after it"},
	{"1..55 31..38 31..37 39..250", 250, false, false, "is the last of 38, and 31 has one after it"},
	{"1..55 4..6 56..57 4..4 58..80 4..22 81..500 73..270 501..647 155..423 648..700", 700, false, false,
		"is the last of"},
	{"1..55 4..6 56..500 73..270", 500, false, false, "is the last of"},
	/* Overtaken. */
	{"2 1", 2, false, false, "effect 2 is the first of 1, and 2 had one before"},
	{"1 3 2 3", 3, false, false, "is the first of 2"},
	{"1 2 4 3 4", 4, false, false, "is the first of 3"},
	/* Lost, and from nowhere. */
	{"", 1, false, false, "there is no effect of 1"},
	{"1 2 4", 4, false, false, "there is no effect of 3"},
	{"1..249", 250, false, false, "there is no effect of 250"},
	{"1 2 3", 2, false, false, "effect 3 is 3, of 2 that were sent"},
	{"0", 1, false, false, "effect 1 is 0"},
};

static size_t read_effects(const char *text, unsigned effects[static EFFECTS_MAX])
{
	size_t count = 0;
	char *end;
	for (; *text != '\0'; text = end + (*end == ' ')) {
		const unsigned first = (unsigned)strtoul(text, &end, 10);
		const unsigned last =
			strncmp(end, "..", 2) == 0 ? (unsigned)strtoul(end + 2, &end, 10) : first;
		for (unsigned number = first; number <= last && count < EFFECTS_MAX; number++)
			effects[count++] = number;
	}
	return count;
}

static void check(size_t i, enum order_rules rules, bool expected)
{
	unsigned effects[EFFECTS_MAX];
	char reason[ORDER_REASON_SIZE] = "";
	const size_t size = read_effects(cases[i].effects, effects);
	if (order_holds(effects, size, cases[i].count, rules, reason) != expected)
		fail_msg("\"%s\" of %u %s: %s", cases[i].effects, cases[i].count,
			expected ? "holds" : "does not hold", reason);
	if (!expected && !strstr(reason, cases[i].reason))
		fail_msg("of \"%s\" it says \"%s\", where \"%s\" is wrong", cases[i].effects, reason,
			cases[i].reason);
}

static void order_is_told_from_disorder(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(i, 0, cases[i].with_kills);
		check(i, ORDER_STEPS, cases[i].without_kills);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(order_is_told_from_disorder)};
	return cmocka_run_group_tests_name("test_order", tests, NULL, NULL);
}
