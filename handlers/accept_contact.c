/*
 * accept_contact - the sender accepts the request of the user {"contact_id": "68946"}.
 *
 * Both become contacts, the request is removed, and the one who asked is sent contact_approved {"contact_id":
 * sender}. Accepting again sends the event again and changes nothing. Accepting what nobody asked, or
 * oneself, is rejected.
 */
#include "contacts.h"
#include <string.h>

static cashew_result accept_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *other = cashew_input(cmd, contact_input)->contact_id;
	if (strcmp(other, me) == 0)
		return cashew_reject(
			cmd, "contact_id is your own user id: expected that of the user who asked");
	if (cashew_find(cmd, contact_request, .user_id = me, .from = other)) {
		/* the requests go last: while they are there, a run after a crash comes through here and repairs the rest */
		cashew_add(cmd, contact, .user_id = me, .contact_id = other, .since = cashew_now(cmd));
		cashew_add(cmd, contact, .user_id = other, .contact_id = me, .since = cashew_now(cmd));
		contacts_agree(cmd, me, other);
		cashew_remove(cmd, contact_request, .user_id = other, .from = me);
		cashew_remove(cmd, contact_request, .user_id = me, .from = other);
	} else if (!cashew_find(cmd, contact, .user_id = me, .contact_id = other)) {
		return cashew_reject(cmd, "%s has not asked to be your contact", other);
	}
	return cashew_send(cmd, other, contact_approved, .contact_id = me);
}

CASHEW_HANDLER(accept_contact, .payload = CASHEW_PAYLOAD(contact_input),
	.events = CASHEW_EVENTS(contact_approved),
	.collections = CASHEW_COLLECTIONS(contact, contact_request));
