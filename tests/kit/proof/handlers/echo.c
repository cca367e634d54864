/* echo - sends the payload back as the event echoed; {"to": user} to that user; {"reject"}, {"retry"}, {"fail"}: ends so, for that reason. */
#include <cashew.h>

static cashew_result echo(cashew_command *cmd)
{
	const json_t *in = cashew_json(cmd);
	size_t size;
	const char *reason, *payload = cashew_payload(cmd, &size);
	if ((reason = json_string_value(json_object_get(in, "reject"))))
		return cashew_reject(cmd, "%s", reason);
	if ((reason = json_string_value(json_object_get(in, "fail"))))
		return cashew_fail(cmd, "%s", reason);
	if (json_object_get(in, "retry"))
		return CASHEW_RETRY;
	return cashew_event_bytes(cmd, json_string_value(json_object_get(in, "to")), "echoed", payload, size);
}

CASHEW_HANDLER(echo, .payload = CASHEW_ANY_JSON);
