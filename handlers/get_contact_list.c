/*
 * get_contact_list - answers "<user>/get_contact_list" {"after"?: user id, "limit"?: 1 to 500} with the
 * sender's contacts.
 *
 * The event is contact_list {"contacts": [{"contact_id": "23412", "since": "2026-01-31T12:00:00.000Z"}, ..],
 * "next": null}, ordered by user id; "next" is a user id to pass as "after" when there are more.
 */
#include "contact_page.h"

static cashew_result get_contact_list(cashew_command *cmd)
{
	struct contact_page page;
	CASHEW_TRY(contact_page_begin(&page, cmd, "contacts", "contact_id", "since"));
	CASHEW_TRY(cashew_stored(cmd, contact_list(cashew_store(cmd), cashew_user(cmd), page.after,
					      page.limit + 1, contact_page_add, &page)));
	return contact_page_reply(&page, "contact_list");
}

CASHEW_HANDLER(.topic = "+/get_contact_list", .handle = get_contact_list, .collections = "contacts:read");
