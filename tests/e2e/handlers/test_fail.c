/* test_fail - "<user>/test_fail": replies, then fails for good. */
#include <cashew.h>

static cashew_result test_fail(cashew_command *cmd)
{
	cashew_event_text(cmd, NULL, "never_seen", "{}");
	return cashew_fail(cmd, "told to fail");
}

CASHEW_HANDLER(test_fail);
