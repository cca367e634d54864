/* t4_not_repeatable - reads, adds, writes: twice, where the command comes twice. Told by the first test_survives(). */
#include "dishes.h"

CASHEW_STRUCT(t4, (integer, total));

static cashew_result h(cashew_command *cmd)
{
	const struct dishes *old = cashew_find(cmd, dishes, .user_id = cashew_user(cmd));
	struct dishes d = old ? *old : (struct dishes){.user_id = cashew_user(cmd)};
	d.total += 3;
	cashew_put(cmd, dishes, &d);
	return cashew_reply(cmd, t4, .total = 0);
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(dishes), .events = CASHEW_EVENTS(t4));
