/*
 * count_up - "<user>/count_up" {number, command_id}: adds 1 to the sender's counter, and replies "counted" {number}.
 *
 * Whatever is killed and however often the command comes, the counter is in the end as many as the sender has sent.
 */
#include <cashew.h>

CASHEW_COLLECTION(counter, "counters", (user, user_id, .key = true), (integer, total));

CASHEW_STRUCT(count_up_input, (integer, number, .min = 1, .max = UINT32_MAX));

CASHEW_STRUCT(counted, (integer, number));

static cashew_result count_up(cashew_command *cmd)
{
	(void)cashew_update(cmd, counter, (key, user_id, cashew_user(cmd)), (inc, total, 1));
	return cashew_reply(cmd, counted, .number = cashew_input(cmd, count_up_input)->number);
}

CASHEW_HANDLER(count_up, .needs_id = true, .payload = CASHEW_PAYLOAD(count_up_input),
	.events = CASHEW_EVENTS(counted), .collections = CASHEW_COLLECTIONS(counter));
