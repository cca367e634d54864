/* test_skips - runs at each midnight when somebody is there, and leaves its line. */
#include "test_ticks.h"

static cashew_result test_skips(cashew_command *cmd)
{
	return tick_leave(cmd, "test_skips") ? CASHEW_DONE : cashew_fail(cmd, "the ticks' folder is gone");
}

CASHEW_SCHEDULE(test_skips, .every_s = 86400, .skip_missed = true, .settings = tick_settings);
