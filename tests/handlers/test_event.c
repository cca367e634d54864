/* test_event - "<user>/test_event" {user, event, size}: sends that user an event with a payload of that many
 * bytes. */
#include <cashew.h>
#include <string.h>

static cashew_result test_event(cashew_command *cmd)
{
	const char *user = cashew_user(cmd), *event = "big";
	int64_t size = 1;
	CASHEW_TRY(cashew_user_id_optional(cmd, "user", &user));
	CASHEW_TRY(cashew_text_optional(cmd, "event", &event));
	CASHEW_TRY(cashew_integer_optional(cmd, "size", 0, 268435456, &size));
	char *bytes = cashew_alloc(cmd, (size_t)size + 1);
	if (!bytes)
		return CASHEW_RETRY;
	memset(bytes, 'x', (size_t)size);
	return cashew_send_bytes(cmd, user, event, bytes, (size_t)size);
}

CASHEW_HANDLER(.topic = "+/test_event", .handle = test_event);
