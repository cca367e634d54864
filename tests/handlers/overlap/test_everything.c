/* test_everything - wants every command of every user, and so overlaps with all other handlers: cashewd must
 * not start. */
#include <cashew.h>

static cashew_result test_everything(cashew_command *cmd)
{
	return cashew_reply(cmd, "seen_everything", "{}");
}

CASHEW_HANDLER(.topic = "+/#", .handle = test_everything, .light = true);
