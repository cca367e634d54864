/* get_apples - answers "<user>/get_apples" with three apples. */
#include <cashew.h>

CASHEW_ANY_EVENT(got_apples, "A list of colours.");

static cashew_result get_apples(cashew_command *cmd)
{
	return cashew_event_text(cmd, NULL, "got_apples", "[\"red\",\"yellow\",\"blue\"]");
}

CASHEW_HANDLER(get_apples, .light = true, .events = CASHEW_EVENTS(got_apples));
