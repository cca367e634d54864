/*
 * transfer - "<user>/transfer" {number, command_id}: a coin goes from the sender's pocket into the sender's jar, and "transferred" {number} is replied.
 *
 * Two documents, each written once for each command: whatever is killed between the two, what one has lost the other has in the end.
 */
#include <cashew.h>

CASHEW_COLLECTION(purse, "purses", (user, user_id, .key = true), (text, name, .key = true), (integer, coins));

CASHEW_STRUCT(transfer_input, (integer, number, .min = 1, .max = UINT32_MAX));

CASHEW_STRUCT(transferred, (integer, number));

static cashew_result transfer(cashew_command *cmd)
{
	(void)cashew_update(
		cmd, purse, (key, user_id, cashew_user(cmd)), (key, name, "pocket"), (inc, coins, -1));
	(void)cashew_update(
		cmd, purse, (key, user_id, cashew_user(cmd)), (key, name, "jar"), (inc, coins, 1));
	return cashew_reply(cmd, transferred, .number = cashew_input(cmd, transfer_input)->number);
}

CASHEW_HANDLER(transfer, .needs_id = true, .payload = CASHEW_PAYLOAD(transfer_input),
	.events = CASHEW_EVENTS(transferred), .collections = CASHEW_COLLECTIONS(purse));
