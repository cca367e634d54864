/* test_event - "<user>/test_event" {user, event, size}: sends that user an event with a payload of that many
 * bytes. */
#include <cashew.h>
#include <string.h>

CASHEW_STRUCT(wanted, (user, user, .optional = true), (text, event, .min = 0, .optional = true),
	(integer, size, .min = 0, .max = 268435456, .optional = true, .otherwise = 1));

static cashew_result test_event(cashew_command *cmd)
{
	const struct wanted *in = cashew_input(cmd, wanted);
	const char *user = in->user ? in->user : cashew_user(cmd), *event = in->event ? in->event : "big";
	char *bytes = cashew_alloc(cmd, (size_t)in->size + 1);
	if (!bytes)
		return CASHEW_RETRY;
	memset(bytes, 'x', (size_t)in->size);
	return cashew_event_bytes(cmd, user, event, bytes, (size_t)in->size);
}

CASHEW_HANDLER(test_event, .payload = CASHEW_PAYLOAD(wanted));
