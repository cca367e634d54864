/* Tests of handlers/get_more_apples.c and handlers/get_more_apples_stored.c, which listen on one topic. */
#include <cashew_test.h>

CASHEW_TEST(both_handlers_answer)
{
	test_deliver(t, "68946/get_more_apples", "{}");
	test_event(t, "68946/got_apples", "['green','black','purple']");
	test_event(t, "68946/got_apples", "['orange','pink','white']");
	test_survives(t, "68946/get_more_apples", "{}");
}
