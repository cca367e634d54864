/* t3_inc - counts, and does not want a command's id. Told by the first test that delivers a command. */
#include "dishes.h"

static cashew_result h(cashew_command *cmd)
{
	cashew_update(cmd, dishes, (key, user_id, cashew_user(cmd)), (inc, total, 1));
	return CASHEW_DONE;
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(dishes));
