/*
 * accept_contact - the sender accepts the request of the user {"contact_id": "68946"}.
 *
 * Both become contacts, the request is removed, and the one who asked is sent contact_approved {"contact_id":
 * sender}. Accepting again sends the event again and changes nothing. Accepting what nobody asked, or
 * oneself, is rejected.
 */
#include <cashew.h>
#include <cashew_store.h>
#include <string.h>

static cashew_result accept_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *contact = NULL;
	CASHEW_TRY(cashew_user_id(cmd, "contact_id", &contact));
	if (strcmp(contact, me) == 0)
		return cashew_reject(
			cmd, "contact_id is your own user id: expected that of the user who asked");
	struct store_client *store = cashew_store(cmd);

	const int request_error = contact_request_find(store, contact, me);
	if (request_error == STORE_E_NOT_FOUND) {
		const int contact_error = contact_find(store, me, contact);
		if (contact_error == STORE_E_NOT_FOUND)
			return cashew_reject(cmd, "%s has not asked to be your contact", contact);
		CASHEW_TRY(cashew_stored(cmd, contact_error));
	} else {
		CASHEW_TRY(cashew_stored(cmd, request_error));
		/* the request goes last: while it is there, a redelivery after a crash comes through here and repairs the rest */
		CASHEW_TRY(cashew_stored(cmd, contact_add(store, me, contact)));
		CASHEW_TRY(cashew_stored(cmd, contact_request_remove(store, me, contact)));
		CASHEW_TRY(cashew_stored(cmd, contact_request_remove(store, contact, me)));
	}
	return cashew_send_json(cmd, contact, "contact_approved", json_pack("{s:s}", "contact_id", me));
}

CASHEW_HANDLER(.topic = "+/accept_contact", .handle = accept_contact,
	.collections = "contacts, contact_requests");
