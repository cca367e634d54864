/* test_everything - wants every command of every user, and so overlaps with all other handlers: cashewd must
 * not start. */
#include <cashew.h>

static cashew_result test_everything(cashew_command *cmd)
{
	return cashew_event_text(cmd, NULL, "seen_everything", "{}");
}

CASHEW_HANDLER(test_everything, .topic = "+/#", .light = true);
