/*
 * get_contact_requests - answers "<user>/get_contact_requests" {"after"?: user id, "limit"?: 1 to 500} with
 * those who asked the sender and have no answer yet.
 *
 * The event is contact_requests {"contact_requests": [{"user_id": "68946", "requested_at":
 * "2026-01-31T12:00:00.000Z"}, ..], "next": null}, ordered by user id; "next" is a user id to pass as "after"
 * when there are more.
 */
#include "contact_page.h"

static cashew_result get_contact_requests(cashew_command *cmd)
{
	struct contact_page page;
	CASHEW_TRY(contact_page_begin(&page, cmd, "contact_requests", "user_id", "requested_at"));
	CASHEW_TRY(cashew_stored(cmd, contact_request_list(cashew_store(cmd), cashew_user(cmd), page.after,
					      page.limit + 1, contact_page_add, &page)));
	return contact_page_reply(&page, "contact_requests");
}

CASHEW_HANDLER(.topic = "+/get_contact_requests", .handle = get_contact_requests,
	.collections = "contact_requests:read");
