/* test_garbage - "<user>/test_garbage": replies, then returns what is no result. */
#include <cashew.h>

static cashew_result test_garbage(cashew_command *cmd)
{
	CASHEW_TRY(cashew_reply(cmd, "never_seen", "{}"));
	int garbage = 42;
	return *(cashew_result *)(void *)&garbage;
}

CASHEW_HANDLER(.topic = "+/test_garbage", .handle = test_garbage);
