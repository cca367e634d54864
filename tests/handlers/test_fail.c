/* test_fail - "<user>/test_fail": replies, then fails for good. */
#include <cashew.h>

static cashew_result test_fail(cashew_command *cmd)
{
	CASHEW_TRY(cashew_reply(cmd, "never_seen", "{}"));
	return cashew_fail(cmd, "told to fail");
}

CASHEW_HANDLER(.topic = "+/test_fail", .handle = test_fail);
