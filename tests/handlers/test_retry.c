/* test_retry - "<user>/test_retry" {attempts}: replies "retry_replied" each time, and asks to be run again
 * until that attempt. */
#include <cashew.h>

static cashew_result test_retry(cashew_command *cmd)
{
	int64_t attempts;
	CASHEW_TRY(cashew_integer(cmd, "attempts", 1, INT32_MAX, &attempts));
	CASHEW_TRY(cashew_reply_json(
		cmd, "retry_replied", json_pack("{s:i}", "attempt", (int)cashew_attempt(cmd))));
	return cashew_attempt(cmd) < attempts ? CASHEW_RETRY : CASHEW_DONE;
}

CASHEW_HANDLER(.topic = "+/test_retry", .handle = test_retry);
