/* Tests of handlers/accept_contact.c. */
#include <cashew_test.h>

CASHEW_TEST(makes_contacts_whatever_happens)
{
	test_store(t, "contact_requests", "{'user_id':'68946','from':'23412'}");
	test_survives(t, "68946/accept_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_approved", "{'contact_id':'68946'}");
	test_document(t, "contacts", "68946/23412", "{'contact_id':'23412'}");
	test_document(t, "contacts", "23412/68946", "{'contact_id':'68946'}");
	test_no_document(t, "contact_requests", "68946/23412");
}

CASHEW_TEST(both_had_asked)
{
	test_store(t, "contact_requests", "{'user_id':'68946','from':'23412'}");
	test_store(t, "contact_requests", "{'user_id':'23412','from':'68946'}");
	test_survives(t, "68946/accept_contact", "{'contact_id':'23412'}");
	test_document(t, "contacts", "68946/23412", "{'contact_id':'23412'}");
	test_no_document(t, "contact_requests", "68946/23412");
	test_no_document(t, "contact_requests", "23412/68946");
}

CASHEW_TEST(accepting_again_tells_again)
{
	test_store(
		t, "contacts", "{'user_id':'68946','contact_id':'23412','since':'2026-01-01T00:00:00.000Z'}");
	test_store(
		t, "contacts", "{'user_id':'23412','contact_id':'68946','since':'2026-01-01T00:00:00.000Z'}");
	test_survives(t, "68946/accept_contact", "{'contact_id':'23412'}");
	test_event(t, "23412/contact_approved", "{'contact_id':'68946'}");
	test_document(t, "contacts", "68946/23412", "{'since':'2026-01-01T00:00:00.000Z'}");
}

/* A crash came between adding the contact and removing the request. */
CASHEW_TEST(ends_what_a_crash_has_left)
{
	test_store(
		t, "contacts", "{'user_id':'68946','contact_id':'23412','since':'2026-01-01T00:00:00.000Z'}");
	test_store(t, "contact_requests", "{'user_id':'68946','from':'23412'}");
	test_survives(t, "68946/accept_contact", "{'contact_id':'23412'}");
	test_document(t, "contacts", "23412/68946", "{}");
	test_no_document(t, "contact_requests", "68946/23412");
}

CASHEW_TEST(refuses_what_nobody_asked)
{
	/* others ask, also the other way round: that is no request of 23412 to 68946 */
	test_store(t, "contact_requests", "{'user_id':'23412','from':'68946'}");
	test_store(t, "contact_requests", "{'user_id':'5','from':'23412'}");
	test_store(t, "contact_requests", "{'user_id':'68946','from':'5'}");
	test_deliver(t, "68946/accept_contact", "{'contact_id':'23412'}");
	test_rejected(t, "23412 has not asked to be your contact");
	test_document(t, "contact_requests", "23412/68946", "{}");
	test_no_document(t, "contacts", "68946/23412");
}

CASHEW_TEST(refuses_bad_ids)
{
	test_deliver(t, "68946/accept_contact", "{'contact_id':'68946'}");
	test_rejected(t, "contact_id is your own user id: expected that of the user who asked");
	test_deliver(t, "68946/accept_contact", "{'contact_id':'a/b'}");
	test_rejected(t, "contact_id has other characters in it");
	test_deliver(t, "68946/accept_contact", "{}");
	test_rejected(t, "contact_id is missing");
}
