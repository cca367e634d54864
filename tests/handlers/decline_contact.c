/* Tests of handlers/decline_contact.c. */
#include <cashew_test.h>

CASHEW_TEST(removes_the_request_and_nothing_else)
{
	test_store(t, "contact_requests", "{'user_id':'68946','from':'23412'}");
	test_store(t, "contact_requests", "{'user_id':'23412','from':'68946'}");
	test_survives(t, "68946/decline_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_declined", "{'contact_id':'68946'}");
	test_no_document(t, "contact_requests", "68946/23412");
	test_document(t, "contact_requests", "23412/68946", "{}");
}

CASHEW_TEST(refuses_bad_ids)
{
	test_deliver(t, "68946/decline_contact", "{'contact_id':'68946'}");
	test_rejected(t, "contact_id is your own user id: expected that of the user who asked");
}
