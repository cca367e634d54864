/* Tests of handlers/ping.c. */
#include <cashew_test.h>

CASHEW_TEST(pong_is_the_same_json)
{
	test_deliver(t, "68946/ping", "{'n':1}");
	test_event(t, "68946/pong", "{'n':1}");
	test_deliver(t, "68946/ping", "'caf\xc3\xa9'");
	test_event(t, "68946/pong", "'caf\xc3\xa9'");
	test_deliver(t, "68946/ping", " 1.50 ");
	test_again(t);
	test_event(t, "68946/pong", "1.5");
}

CASHEW_TEST(refuses_what_is_no_json)
{
	test_deliver(t, "68946/ping", "");
	test_rejected(t, "the payload is empty: expected JSON");
	test_deliver(t, "68946/ping", "hello");
	test_rejected(t, "the payload is not JSON: line 1, column 5: unexpected characters");
	test_deliver(t, "68946/ping", "{}}");
	test_rejected(t, "the payload is not JSON: line 1, column 3: something follows the value");
}
