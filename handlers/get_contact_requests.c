/*
 * get_contact_requests - answers "<user>/get_contact_requests" {"after"?: user id, "limit"?: 1 to 500} with
 * those who asked the sender and have no answer yet.
 *
 * The event is contact_requests {"contact_requests": [{"user_id": "68946", "requested_at":
 * "2026-01-31T12:00:00.000Z"}, ..], "next": null}, ordered by user id; "next" is what to pass as "after" when
 * there are more.
 */
#include "contacts.h"

CASHEW_PAGE(contact_requests, contact_request);

static cashew_result get_contact_requests(cashew_command *cmd)
{
	return cashew_reply_page(cmd, contact_requests, contact_request, (key, user_id, cashew_user(cmd)));
}

CASHEW_HANDLER(get_contact_requests, .payload = CASHEW_PAYLOAD(cashew_page),
	.events = CASHEW_EVENTS(contact_requests), .reads = CASHEW_COLLECTIONS(contact_request));
