/* b3_late_key.c - keys behind members that are none, and of a kind that is none. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_COLLECTION(thing, "things", (user, user_id, .key = true), (integer, n), (text, part, .key = true),
	(boolean, b, .key = true));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .light = true, .topic = "things/#", .collections = CASHEW_COLLECTIONS(thing));
