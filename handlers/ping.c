/* ping - answers "<user>/ping" with "<user>/pong" and the same payload, which may be any JSON. */
#include <cashew.h>

static cashew_result ping(cashew_command *cmd)
{
	size_t size;
	const void *payload = cashew_payload(cmd, &size);
	return cashew_reply_bytes(cmd, "pong", payload, size);
}

CASHEW_HANDLER(.topic = "+/ping", .handle = ping, .light = true, .payload = CASHEW_ANY_JSON);
