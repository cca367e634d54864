/* test_crash_light - the same as test_crash, on "<user>/test_crash_light" and the I/O thread. */
#include "test_crash.h"

static cashew_result test_crash_light(cashew_command *cmd)
{
	return crash_on_request(cmd);
}

CASHEW_HANDLER(test_crash_light, .payload = CASHEW_PAYLOAD(crash), .light = true, .deadline_ms = 1000,
	.settings = crash_settings);
