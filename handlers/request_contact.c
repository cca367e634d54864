/*
 * request_contact - the sender asks another user, {"contact_id": "23412"}, to be a contact.
 *
 * The request is stored, and the other user is sent contact_requested {"user_id": sender}. Those who are
 * contacts already need no request, and when the other user had asked too, both want it and become contacts
 * at once: in both cases both are sent contact_approved {"contact_id": the other}. Asking twice leaves one
 * request. Asking oneself is rejected.
 */
#include "contacts.h"
#include <string.h>

/* Whether they are in each other's list. One way only is a half-done accept or remove, whose command will be run again. */
static bool are_contacts(cashew_command *cmd, const char *a, const char *b)
{
	return cashew_find(cmd, contact, .user_id = a, .contact_id = b) &&
	       cashew_find(cmd, contact, .user_id = b, .contact_id = a);
}

static cashew_result tell_both(cashew_command *cmd, const char *me, const char *other)
{
	cashew_send(cmd, other, contact_approved, .contact_id = me);
	return cashew_reply(cmd, contact_approved, .contact_id = other);
}

static cashew_result request_contact(cashew_command *cmd)
{
	const char *me = cashew_user(cmd), *other = cashew_input(cmd, contact_input)->contact_id;
	if (strcmp(other, me) == 0)
		return cashew_reject(cmd, "contact_id is your own user id: expected another user's");

	/*
	 * Insert first, look then: accept_contact, which may be running at the same time, adds the contact
	 * before it removes the request. So either it removes this request, or its contact is seen here: no
	 * request outlives its contact. And of two users who ask each other at once, at least the one who
	 * looks last sees the other's request.
	 */
	cashew_add(cmd, contact_request, .user_id = other, .from = me, .requested_at = cashew_now(cmd));
	if (cashew_find(cmd, contact_request, .user_id = me, .from = other)) {
		/* the other's request goes last: while it is there, a run after a crash comes through here again */
		cashew_add(cmd, contact, .user_id = me, .contact_id = other, .since = cashew_now(cmd));
		cashew_add(cmd, contact, .user_id = other, .contact_id = me, .since = cashew_now(cmd));
		contacts_agree(cmd, me, other);
		cashew_remove(cmd, contact_request, .user_id = other, .from = me);
		cashew_remove(cmd, contact_request, .user_id = me, .from = other);
		cashew_send(cmd, other, contact_requested, .user_id = me);
		return tell_both(cmd, me, other);
	}
	if (are_contacts(cmd, me, other)) {
		/* both, because this may be the run after that of a command that made them contacts and told nobody */
		cashew_remove(cmd, contact_request, .user_id = other, .from = me);
		return tell_both(cmd, me, other);
	}
	return cashew_send(cmd, other, contact_requested, .user_id = me);
}

CASHEW_HANDLER(request_contact, .payload = CASHEW_PAYLOAD(contact_input),
	.events = CASHEW_EVENTS(contact_requested, contact_approved),
	.collections = CASHEW_COLLECTIONS(contact, contact_request));
