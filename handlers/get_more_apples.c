/* get_more_apples - answers "<user>/get_more_apples" with three more apples; get_more_apples_stored adds others. */
#include <cashew.h>

CASHEW_ANY_EVENT(got_apples, "A list of colours.");

static cashew_result get_more_apples(cashew_command *cmd)
{
	return cashew_event_text(cmd, NULL, "got_apples", "[\"green\",\"black\",\"purple\"]");
}

CASHEW_HANDLER(get_more_apples, .light = true, .events = CASHEW_EVENTS(got_apples));
