/* t2_collections - writes to a collection that its descriptor does not name. Told by the first test that delivers a command. */
#include "dishes.h"

static cashew_result h(cashew_command *cmd)
{
	cashew_remove(cmd, dishes, .user_id = cashew_user(cmd));
	return CASHEW_DONE;
}

CASHEW_HANDLER(h, .deadline_ms = 1000);
