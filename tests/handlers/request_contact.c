/* Tests of handlers/request_contact.c. */
#include <cashew_test.h>

CASHEW_TEST(asks)
{
	test_survives(t, "68946/request_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_requested", "{'user_id':'68946'}");
	test_document(t, "contact_requests", "23412/68946", "{'from':'68946'}");
	test_no_document(t, "contacts", "68946/23412");
}

CASHEW_TEST(contacts_already)
{
	test_store(t, "contacts", "{'user_id':'68946','contact_id':'23412'}");
	test_store(t, "contacts", "{'user_id':'23412','contact_id':'68946'}");
	test_survives(t, "68946/request_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_approved", "{'contact_id':'68946'}");
	test_event(t, "68946/contact_approved", "{'contact_id':'23412'}");
	test_no_document(t, "contact_requests", "23412/68946");
}

/* An accept_contact that a crash has cut in two will be run again, and needs the request to stand. */
CASHEW_TEST(half_a_pair_is_no_contact)
{
	test_store(t, "contacts", "{'user_id':'23412','contact_id':'68946'}");
	test_survives(t, "68946/request_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_requested", "{'user_id':'68946'}");
	test_document(t, "contact_requests", "23412/68946", "{}");
}

/* When the command comes again after the pair was made, there is no request any more to tell of. */
CASHEW_TEST(both_want_it)
{
	test_store(t, "contact_requests", "{'user_id':'68946','from':'23412'}");
	test_deliver(t, "68946/request_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_requested", "{'user_id':'68946'}");
	test_event(t, "23412/contact_approved", "{'contact_id':'68946'}");
	test_event(t, "68946/contact_approved", "{'contact_id':'23412'}");
	test_again(t);
	test_event(t, "23412/contact_approved", "{'contact_id':'68946'}");
	test_event(t, "68946/contact_approved", "{'contact_id':'23412'}");
	test_document(t, "contacts", "68946/23412", "{}");
	test_document(t, "contacts", "23412/68946", "{}");
	test_no_document(t, "contact_requests", "68946/23412");
	test_no_document(t, "contact_requests", "23412/68946");
}

CASHEW_TEST(refuses_bad_ids)
{
	test_deliver(t, "68946/request_contact", "{'contact_id':'68946'}");
	test_rejected(t, "contact_id is your own user id: expected another user's");
	test_deliver(t, "68946/request_contact",
		"{'contact_id':'01234567890123456789012345678901234567890123456789012345678901234'}");
	test_rejected(t, "contact_id");
}
