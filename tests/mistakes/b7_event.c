/* b7_event.c - events that the host sends itself, or whose name is none. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_STRUCT(command_failed, (text, why));

CASHEW_STRUCT(Washed, (integer, total));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .every_s = 3, .events = CASHEW_EVENTS(command_failed, Washed));
