/*
 * contacts.h - who is whose contact, one document for each direction, and who has asked and has no answer yet; and what
 * the handlers of contacts take and send.
 */
#ifndef CONTACTS_H
#define CONTACTS_H

#include <cashew.h>

CASHEW_COLLECTION(
	contact, "contacts", (user, user_id, .key = true), (user, contact_id, .key = true), (time, since));

CASHEW_COLLECTION(contact_request, "contact_requests", (user, user_id, .key = true, .help = "Who is asked."),
	(user, from, .key = true, .as = "user_id", .help = "Who asks."), (time, requested_at));

CASHEW_STRUCT(contact_input, (user, contact_id, .help = "The other user."));

CASHEW_STRUCT(contact_requested, (user, user_id, .help = "Who asks."));
CASHEW_STRUCT(contact_approved, (user, contact_id, .help = "The new contact."));
CASHEW_STRUCT(contact_declined, (user, contact_id, .help = "Who does not want to be one."));
CASHEW_STRUCT(contact_removed, (user, contact_id, .help = "Who is none any more."));

/*
 * Both directions are there, or none. Two commands of one pair may run at once, one that adds and one that removes, and the writes of one fall between
 * those of the other. So each looks when it has written: who wrote last sees what is left, and what goes one way only goes. What is added is added both
 * ways by one command, so whoever has added and finds one missing knows that it was removed meanwhile.
 */
static inline void contacts_agree(cashew_command *cmd, const char *a, const char *b)
{
	while ((cashew_find(cmd, contact, .user_id = a, .contact_id = b) != NULL) !=
		(cashew_find(cmd, contact, .user_id = b, .contact_id = a) != NULL)) {
		cashew_remove(cmd, contact, .user_id = a, .contact_id = b);
		cashew_remove(cmd, contact, .user_id = b, .contact_id = a);
	}
}

#endif
