/* b2_no_key.c - a collection without a key. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_COLLECTION(thing, "keyless", (user, user_id), (integer, n));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(thing));
