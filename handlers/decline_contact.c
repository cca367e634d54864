/*
 * decline_contact - the sender declines the request of the user {"contact_id": "68946"}.
 *
 * The request is removed, and the one who asked is sent contact_declined {"contact_id": sender}. Declining
 * again sends the event again and changes nothing. Declining oneself is rejected.
 */
#include <cashew.h>
#include <cashew_store.h>
#include <string.h>

static cashew_result decline_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *contact = NULL;
	CASHEW_TRY(cashew_user_id(cmd, "contact_id", &contact));
	if (strcmp(contact, me) == 0)
		return cashew_reject(
			cmd, "contact_id is your own user id: expected that of the user who asked");
	CASHEW_TRY(cashew_stored(cmd, contact_request_remove(cashew_store(cmd), contact, me)));
	return cashew_send_json(cmd, contact, "contact_declined", json_pack("{s:s}", "contact_id", me));
}

CASHEW_HANDLER(.topic = "+/decline_contact", .handle = decline_contact, .collections = "contact_requests");
