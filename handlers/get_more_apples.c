/* get_more_apples - answers "<user>/get_more_apples" with three more apples; get_more_apples_stored adds others. */
#include <cashew.h>

static cashew_result get_more_apples(cashew_command *cmd)
{
	return cashew_reply(cmd, "got_apples", "[\"green\",\"black\",\"purple\"]");
}

CASHEW_HANDLER(.topic = "+/get_more_apples", .handle = get_more_apples, .light = true);
