/* b1_ours.c - a collection of the host's own. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_COLLECTION(letter, "dead_letters", (user, user_id, .key = true), (integer, n));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(letter));
