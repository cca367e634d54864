/* test_daily - runs at each midnight, or once for those that were missed, and leaves its line. */
#include "test_ticks.h"

static cashew_result test_daily(cashew_command *cmd)
{
	return tick_leave(cmd, "test_daily") ? CASHEW_DONE : cashew_fail(cmd, "the ticks' folder is gone");
}

CASHEW_SCHEDULE(test_daily, .cron = "0 0 * * *", .settings = tick_settings);
