/* ping - answers "<user>/ping" with "<user>/pong" and the same payload, which may be any JSON. */
#include <cashew.h>

CASHEW_ANY_EVENT(pong, "The command's payload.");

static cashew_result ping(cashew_command *cmd)
{
	size_t size;
	const void *payload = cashew_payload(cmd, &size);
	return cashew_event_bytes(cmd, NULL, "pong", payload, size);
}

CASHEW_HANDLER(ping, .light = true, .payload = CASHEW_ANY_JSON, .events = CASHEW_EVENTS(pong));
