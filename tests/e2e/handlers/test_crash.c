/* test_crash - "<user>/test_crash" {how, times?}: takes the host with it, as a bug would; then replies
 * "calm". */
#include "test_crash.h"

static cashew_result test_crash(cashew_command *cmd)
{
	return crash_on_request(cmd);
}

CASHEW_HANDLER(test_crash, .payload = CASHEW_PAYLOAD(crash), .deadline_ms = 1000, .settings = crash_settings);
