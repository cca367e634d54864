/*
 * remove_contact - the sender and the user {"contact_id": "23412"} are no longer contacts.
 *
 * Each goes from the other's list, and the other is sent contact_removed {"contact_id": sender}. Removing
 * again sends the event again and changes nothing. Removing oneself is rejected.
 */
#include "contacts.h"
#include <string.h>

static cashew_result remove_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *other = cashew_input(cmd, contact_input)->contact_id;
	if (strcmp(other, me) == 0)
		return cashew_reject(cmd, "contact_id is your own user id: expected a contact's");
	cashew_remove(cmd, contact, .user_id = me, .contact_id = other);
	cashew_remove(cmd, contact, .user_id = other, .contact_id = me);
	contacts_agree(cmd, me, other);
	return cashew_send(cmd, other, contact_removed, .contact_id = me);
}

CASHEW_HANDLER(remove_contact, .payload = CASHEW_PAYLOAD(contact_input),
	.events = CASHEW_EVENTS(contact_removed), .collections = CASHEW_COLLECTIONS(contact));
