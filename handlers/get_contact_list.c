/*
 * get_contact_list - answers "<user>/get_contact_list" {"after"?: user id, "limit"?: 1 to 500} with the
 * sender's contacts.
 *
 * The event is contact_list {"contacts": [{"contact_id": "23412", "since": "2026-01-31T12:00:00.000Z"}, ..],
 * "next": null}, ordered by user id; "next" is what to pass as "after" when there are more.
 */
#include "contacts.h"

CASHEW_PAGE(contact_list, contact);

static cashew_result get_contact_list(cashew_command *cmd)
{
	return cashew_reply_page(cmd, contact_list, contact, (key, user_id, cashew_user(cmd)));
}

CASHEW_HANDLER(get_contact_list, .payload = CASHEW_PAYLOAD(cashew_page),
	.events = CASHEW_EVENTS(contact_list), .reads = CASHEW_COLLECTIONS(contact));
