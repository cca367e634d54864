/* t1_undeclared - sends an event that its descriptor does not name. Told by the first test that delivers a command. */
#include "dishes.h"

CASHEW_STRUCT(t1, (integer, n));

static cashew_result h(cashew_command *cmd)
{
	return cashew_reply(cmd, t1, .n = 1);
}

CASHEW_HANDLER(h);
