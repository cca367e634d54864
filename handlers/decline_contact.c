/*
 * decline_contact - the sender declines the request of the user {"contact_id": "68946"}.
 *
 * The request is removed, and the one who asked is sent contact_declined {"contact_id": sender}. Declining
 * again sends the event again and changes nothing. Declining oneself is rejected.
 */
#include "contacts.h"
#include <string.h>

static cashew_result decline_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *other = cashew_input(cmd, contact_input)->contact_id;
	if (strcmp(other, me) == 0)
		return cashew_reject(
			cmd, "contact_id is your own user id: expected that of the user who asked");
	cashew_remove(cmd, contact_request, .user_id = me, .from = other);
	return cashew_send(cmd, other, contact_declined, .contact_id = me);
}

CASHEW_HANDLER(decline_contact, .payload = CASHEW_PAYLOAD(contact_input),
	.events = CASHEW_EVENTS(contact_declined), .collections = CASHEW_COLLECTIONS(contact_request));
