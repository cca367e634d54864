/* tests_of_mistakes.c - what the test kit says of t*.c: see tests/kit/proof/run. */
#include <cashew_test.h>

/* FAIL: 1/t1_undeclared is dead: tests/mistakes/t1_undeclared.c:8: event t1 is not among those that handler t1_undeclared says it sends: expected .events = CASHEW_EVENTS(t1) */
CASHEW_TEST(undeclared_event)
{
	test_deliver(t, "1/t1_undeclared", "{}"); /* here */
}

/* FAIL: 1/t2_collections is dead: tests/mistakes/t2_collections.c:6: collection dishes is not among those that handler t2_collections says it writes: expected .collections = CASHEW_COLLECTIONS(dishes) */
CASHEW_TEST(undeclared_collection)
{
	test_deliver(t, "1/t2_collections", "{}"); /* here */
}

/* FAIL: 1/t3_inc is dead: tests/mistakes/t3_inc.c:6: dishes is to be counted once for each command: expected .needs_id = true in CASHEW_HANDLER() */
CASHEW_TEST(inc_without_id)
{
	test_deliver(t, "1/t3_inc", "{}"); /* here */
}

/* FAIL: the answer is lost at operation 2 of 2, then the command comes again. Documents:
       dishes 1  {"total":6}
       expected  {"total":3}
       What this command writes depends on what it read. Count with (inc, ..), or set .needs_id. */
CASHEW_TEST(read_add_write)
{
	test_survives(t, "1/t4_not_repeatable", "{'command_id':'x'}"); /* here */
}

/* FAIL: the handler of 1/t5_null has crashed at tests/mistakes/t5_null.c:8 h(): Segmentation fault, address 0x8 */
CASHEW_TEST(null)
{
	test_deliver(t, "1/t5_null", "{}"); /* here */
}
