/* b5_other_dishes.c - a collection that another handler declares with other members. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_COLLECTION(plate, "dishes", (user, user_id, .key = true), (text, total));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(plate));
