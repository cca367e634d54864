/* test_garbage - "<user>/test_garbage": replies, then returns what is no result. */
#include <cashew.h>

static cashew_result test_garbage(cashew_command *cmd)
{
	cashew_event_text(cmd, NULL, "never_seen", "{}");
	int garbage = 42;
	return *(cashew_result *)(void *)&garbage;
}

CASHEW_HANDLER(test_garbage);
