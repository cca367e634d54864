/* test_duration.c - duration.c: which texts are a duration, and how long they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "duration.h"

static void durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t expected;
	} cases[] = {
		{"1s", 1},
		{"90s", 90},
		{"15m", 900},
		{"1h", 3600},
		{"030d", 30 * 86400},
		{"36500d", INT64_C(36500) * 86400},
		{"3153600000s", INT64_C(36500) * 86400},
		{"3153600001s", 0},
		{"36501d", 0},
		{"9999999999d", 0},
		{"99999999999999999999s", 0},
		{"0s", 0},
		{"", 0},
		{"h", 0},
		{"1", 0},
		{"1w", 0},
		{"1H", 0},
		{"1.5h", 0},
		{"-1h", 0},
		{"+1h", 0},
		{" 1h", 0},
		{"1 h", 0},
		{"1hh", 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (duration_read(cases[i].text) != cases[i].expected)
			fail_msg("\"%s\": %lld", cases[i].text, (long long)duration_read(cases[i].text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(durations)};
	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
