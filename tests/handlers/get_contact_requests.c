/* Tests of handlers/get_contact_requests.c. */
#include <cashew_test.h>

CASHEW_TEST(lists_who_asks)
{
	test_store(t, "contact_requests",
		"{'user_id':'68946','from':'23412','requested_at':'2026-01-30T00:00:00.000Z'}");
	test_store(t, "contact_requests",
		"{'user_id':'23412','from':'68946','requested_at':'2026-01-30T00:00:00.000Z'}");
	test_survives(t, "68946/get_contact_requests", "{}");
	test_event(t, "68946/contact_requests",
		"{'contact_requests':[{'user_id':'23412','requested_at':'2026-01-30T00:00:00.000Z'}],'next':null}");
}
