/* crash - reads through a pointer that is NULL, one call further down. */
#include <cashew.h>

__attribute__((noinline)) static int64_t read_through(const int64_t *pointer)
{
	return pointer[1];
}

static cashew_result crash(cashew_command *cmd)
{
	const int64_t *nothing = (const int64_t *)((uintptr_t)cashew_attempt(cmd) - 1);
	return cashew_event_json(cmd, NULL, "crashed", json_integer(read_through(nothing)));
}

CASHEW_HANDLER(crash);
