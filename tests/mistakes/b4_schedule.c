/* b4_schedule.c - a schedule that wants its sender's id and does not say when it runs. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_SCHEDULE(h, .needs_id = true);
