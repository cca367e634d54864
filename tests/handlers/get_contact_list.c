/* Tests of handlers/get_contact_list.c. */
#include <cashew_test.h>

CASHEW_TEST(pages)
{
	test_store(t, "contacts", "{'user_id':'68946','contact_id':'a','since':'2026-01-01T00:00:00.000Z'}");
	test_store(t, "contacts", "{'user_id':'68946','contact_id':'b','since':'2026-01-02T00:00:00.000Z'}");
	test_store(t, "contacts", "{'user_id':'689460','contact_id':'c','since':'2026-01-02T00:00:00.000Z'}");
	test_deliver(t, "68946/get_contact_list", "{'limit':1}");
	test_event(t, "68946/contact_list",
		"{'contacts':[{'contact_id':'a','since':'2026-01-01T00:00:00.000Z'}],'next':'a'}");
	test_deliver(t, "68946/get_contact_list", "{'after':'a'}");
	test_event(t, "68946/contact_list",
		"{'contacts':[{'contact_id':'b','since':'2026-01-02T00:00:00.000Z'}],'next':null}");
}

CASHEW_TEST(nobody)
{
	test_survives(t, "68946/get_contact_list", "{}");
	test_event(t, "68946/contact_list", "{'contacts':[],'next':null}");
}

CASHEW_TEST(refuses_a_bad_limit)
{
	test_deliver(t, "68946/get_contact_list", "{'limit':0}");
	test_rejected(t, "limit is 0: expected an integer from 1 to 500");
	test_deliver(t, "68946/get_contact_list", "{'after':1}");
	test_rejected(t, "after");
}
