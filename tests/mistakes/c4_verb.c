/* c4_verb.c - a verb that there is not. Does not compile. */
#include "dishes.h"

CASHEW_STRUCT(wash, (integer, count, .min = 1, .max = 100));
CASHEW_STRUCT(dishes_washed, (integer, total));

static cashew_result wash_dishes(cashew_command *cmd)
{
	const struct wash *in = cashew_input(cmd, wash);
	const struct dishes *d =
		cashew_update(cmd, dishes, (key, user_id, cashew_user(cmd)), (incr, total, in->count));
	return cashew_reply(cmd, dishes_washed, .total = d->total);
}

CASHEW_HANDLER(wash_dishes, .needs_id = true, .payload = CASHEW_PAYLOAD(wash),
	.events = CASHEW_EVENTS(dishes_washed), .collections = CASHEW_COLLECTIONS(dishes));
