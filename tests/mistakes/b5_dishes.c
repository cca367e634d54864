/* b5_dishes.c - "dishes" as b5_other_dishes.c declares it otherwise. */
#include "dishes.h"

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .collections = CASHEW_COLLECTIONS(dishes));
