/*
 * remove_contact - the sender and the user {"contact_id": "23412"} are no longer contacts.
 *
 * Each goes from the other's list, and the other is sent contact_removed {"contact_id": sender}. Removing
 * again sends the event again and changes nothing. Removing oneself is rejected.
 */
#include <cashew.h>
#include <cashew_store.h>
#include <string.h>

static cashew_result remove_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *contact = NULL;
	CASHEW_TRY(cashew_user_id(cmd, "contact_id", &contact));
	if (strcmp(contact, me) == 0)
		return cashew_reject(cmd, "contact_id is your own user id: expected a contact's");
	CASHEW_TRY(cashew_stored(cmd, contact_remove(cashew_store(cmd), me, contact)));
	return cashew_send_json(cmd, contact, "contact_removed", json_pack("{s:s}", "contact_id", me));
}

CASHEW_HANDLER(.topic = "+/remove_contact", .handle = remove_contact, .collections = "contacts");
