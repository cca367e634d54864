/* t5_null - takes it that there is a document. Told by the first test that delivers a command. */
#include "dishes.h"

CASHEW_STRUCT(t5, (integer, total));

static cashew_result h(cashew_command *cmd)
{
	return cashew_reply(cmd, t5, .total = cashew_find(cmd, dishes, .user_id = cashew_user(cmd))->total);
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(dishes), .events = CASHEW_EVENTS(t5));
