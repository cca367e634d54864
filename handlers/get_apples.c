/* get_apples - answers "<user>/get_apples" with three apples. */
#include <cashew.h>

static cashew_result get_apples(cashew_command *cmd)
{
	return cashew_reply(cmd, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
}

CASHEW_HANDLER(.topic = "+/get_apples", .handle = get_apples, .light = true);
