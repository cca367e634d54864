/* cd_member_twice.c - a struct that names a member twice. Does not compile. */
#include <cashew.h>

CASHEW_STRUCT(twice, (integer, count), (text, count));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .payload = CASHEW_PAYLOAD(twice));
