/* cc_many_members.c - 25 members. Does not compile. */
#include <cashew.h>

CASHEW_STRUCT(many, (integer, m1), (integer, m2), (integer, m3), (integer, m4), (integer, m5), (integer, m6),
	(integer, m7), (integer, m8), (integer, m9), (integer, m10), (integer, m11), (integer, m12),
	(integer, m13), (integer, m14), (integer, m15), (integer, m16), (integer, m17), (integer, m18),
	(integer, m19), (integer, m20), (integer, m21), (integer, m22), (integer, m23), (integer, m24),
	(integer, m25));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .payload = CASHEW_PAYLOAD(many));
