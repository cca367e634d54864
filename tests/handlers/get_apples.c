/* Tests of handlers/get_apples.c. */
#include <cashew_test.h>

CASHEW_TEST(three_apples_come)
{
	test_deliver(t, "68946/get_apples", "{}");
	test_event(t, "68946/got_apples", "['red','yellow','blue']");
	test_deliver(t, "68946/get_apples", " {'whatever':[1]} ");
	test_event(t, "68946/got_apples", "['red','yellow','blue']");
}

CASHEW_TEST(refuses_what_is_no_object)
{
	test_deliver(t, "68946/get_apples", "");
	test_rejected(t, "the payload is empty: expected a JSON object");
	test_deliver(t, "68946/get_apples", "[]");
	test_rejected(t, "the payload is a list: expected a JSON object");
	test_deliver(t, "68946/get_apples", "'{}'");
	test_rejected(t, "the payload is a text: expected a JSON object");
	test_deliver(t, "68946/get_apples", "{");
	test_rejected(t, "the payload is not JSON: line 1, column 1: it ends too early");
}
