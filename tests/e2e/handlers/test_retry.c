/* test_retry - "<user>/test_retry" {attempts}: replies "retry_replied" each time, and asks to be run again
 * until that attempt. */
#include <cashew.h>

CASHEW_STRUCT(retry_input, (integer, attempts, .min = 1, .max = INT32_MAX));

CASHEW_STRUCT(retry_replied, (integer, attempt));

static cashew_result test_retry(cashew_command *cmd)
{
	const unsigned attempt = cashew_attempt(cmd);
	cashew_reply(cmd, retry_replied, .attempt = attempt);
	return attempt < cashew_input(cmd, retry_input)->attempts ? CASHEW_RETRY : CASHEW_DONE;
}

CASHEW_HANDLER(test_retry, .payload = CASHEW_PAYLOAD(retry_input), .events = CASHEW_EVENTS(retry_replied));
