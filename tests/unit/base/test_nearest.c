/* test_nearest.c - nearest.c: which name is offered for a mistyped one, and when none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "nearest.h"

static void nearest_is_found(void **state)
{
	(void)state;
	static const char *const names[] = {"KEEPALIVE", "WORKERS", "WINDOW", "TTL", NULL};
	static const struct {
		const char *mistyped, *nearest;
	} cases[] = {{"KEEP_ALIVE", "KEEPALIVE"}, {"worker", "WORKERS"}, {"WINDWO", "WINDOW"}, {"PATH", NULL},
		{"", NULL}, {"A", NULL}, {"TZ", NULL}, {"TLL", "TTL"},
		{"KEEPALIVEKEEPALIVEKEEPALIVEKEEPALIVEKEEPALIVEKEEPALIVEKEEPALIVEKEEPALIVE", NULL}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = nearest_name(cases[i].mistyped, names);
		assert_string_equal(got ? got : "none", cases[i].nearest ? cases[i].nearest : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nearest_is_found)};
	return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
