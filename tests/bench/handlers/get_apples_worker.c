/* get_apples_worker - get_apples without .light: what a command costs that goes through a worker thread. */
#include <cashew.h>

static cashew_result get_apples_worker(cashew_command *cmd)
{
	return cashew_event_text(cmd, NULL, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
}

CASHEW_HANDLER(get_apples_worker);
