/* Tests of handlers/remove_contact.c. */
#include <cashew_test.h>

CASHEW_TEST(removes_both_ways_and_nothing_else)
{
	test_store(t, "contacts", "{'user_id':'68946','contact_id':'23412'}");
	test_store(t, "contacts", "{'user_id':'23412','contact_id':'68946'}");
	test_store(t, "contacts", "{'user_id':'68946','contact_id':'5'}");
	test_store(t, "contact_requests", "{'user_id':'23412','from':'68946'}");
	test_survives(t, "68946/remove_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_removed", "{'contact_id':'68946'}");
	test_no_document(t, "contacts", "68946/23412");
	test_no_document(t, "contacts", "23412/68946");
	test_document(t, "contacts", "68946/5", "{}");
	test_document(t, "contact_requests", "23412/68946", "{}");
}

CASHEW_TEST(removing_again_tells_again)
{
	test_survives(t, "68946/remove_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_removed", "{'contact_id':'68946'}");
}

CASHEW_TEST(refuses_bad_ids)
{
	test_deliver(t, "68946/remove_contact", "{'contact_id':'68946'}");
	test_rejected(t, "contact_id is your own user id: expected a contact's");
	test_deliver(t, "68946/remove_contact", "{'contact_id':7}");
	test_rejected(t, "contact_id");
}
