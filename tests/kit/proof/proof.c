/* proof.c - tests of the test kit: see run. */
#include <cashew_test.h>

/* ok */
CASHEW_TEST(event_is_expected)
{
	test_deliver(t, "68946/echo", "{'a':\"it's\",'b':'say \"x\"'}");
	test_event(t, "68946/echoed", "{'b':'say \"x\"','a':'it\\'s'}");
}

/* ok */
CASHEW_TEST(events_of_several_users)
{
	test_deliver(t, "68946/echo", "{'to':'23412'}");
	test_event(t, "23412/echoed", "{'to':'23412'}");
	test_again(t);
	test_again(t);
	test_event(t, "23412/echoed", "{'to':'23412'}");
}

/* FAIL: event 68946/echoed {"a":2}, expected {"a":3} */
CASHEW_TEST(other_payload)
{
	test_deliver(t, "68946/echo", "{'a':2}");
	test_event(t, "68946/echoed", "{'a':3}"); /* here */
}

/* FAIL: event 23412/echoed {"to":"23412"}, expected 68946/echoed {"to":"23412"} */
CASHEW_TEST(other_topic)
{
	test_deliver(t, "68946/echo", "{'to':'23412'}");
	test_event(t, "68946/echoed", "{'to':'23412'}"); /* here */
}

/* FAIL: no event, expected 68946/echoed {} */
CASHEW_TEST(event_only_once)
{
	test_deliver(t, "68946/echo", "{}");
	test_event(t, "68946/echoed", "{}");
	test_event(t, "68946/echoed", "{}"); /* here */
}

/* FAIL: event 68946/echoed {}, expected by no test_event() */
CASHEW_TEST(event_that_nobody_expects)
{
	test_deliver(t, "68946/echo", "{}"); /* here */
	test_deliver(t, "68946/echo", "{'reject':'no'}");
	test_rejected(t, "no");
}

/* FAIL: event 68946/echoed {}, expected by no test_event() */
CASHEW_TEST(event_at_the_end_that_nobody_expects)
{
	test_deliver(t, "68946/echo", "{}"); /* here */
}

/* FAIL: 68946/echo is rejected: you may not */
CASHEW_TEST(rejected_and_nobody_looked)
{
	test_deliver(t, "68946/echo", "{'reject':'you may not'}"); /* here */
}

/* FAIL: 68946/echo is rejected: you may not; expected the event 68946/echoed {} */
CASHEW_TEST(rejected_in_place_of_an_event)
{
	test_deliver(t, "68946/echo", "{'reject':'you may not'}");
	test_event(t, "68946/echoed", "{}"); /* here */
}

/* ok */
CASHEW_TEST(ends)
{
	test_deliver(t, "68946/echo", "{'reject':'you may not'}");
	test_rejected(t, "may not");
	test_deliver(t, "68946/echo", "{'fail':'never'}");
	test_dead(t, "never");
	test_deliver(t, "68946/echo", "{'retry':1}");
	test_retried(t, "");
	test_deliver(t, "68946/echo", "{");
	test_rejected(t, "the payload is not JSON");
}

/* FAIL: 68946/echo is rejected: you may not, expected: you must not */
CASHEW_TEST(rejected_for_another_reason)
{
	test_deliver(t, "68946/echo", "{'reject':'you may not'}");
	test_rejected(t, "you must not"); /* here */
}

/* FAIL: 68946/echo is dead: never, expected that it is to be run again: never */
CASHEW_TEST(another_end)
{
	test_deliver(t, "68946/echo", "{'fail':'never'}");
	test_retried(t, "never"); /* here */
}

/* FAIL: no handler listens on 68946/ehco */
CASHEW_TEST(nobody_listens)
{
	test_deliver(t, "68946/ehco", "{}"); /* here */
}

/* FAIL: {"a" is not JSON: column 4: .. */
CASHEW_TEST(expectation_that_is_no_json)
{
	test_deliver(t, "68946/echo", "{}");
	test_event(t, "68946/echoed", "{'a'"); /* here */
}

/* FAIL: the handler of 68946/crash has crashed at tests/kit/proof/handlers/crash.c:6 read_through(): Segmentation fault, address 0x8 */
CASHEW_TEST(handler_crashes)
{
	test_deliver(t, "68946/crash", "{}"); /* here */
}

/* FAIL: the handler of 68946/crash has crashed at tests/kit/proof/handlers/crash.c:6 read_through(): Segmentation fault, address 0x8 */
CASHEW_TEST(handler_crashes_in_a_run_of_its_own)
{
	test_survives(t, "68946/crash", "{}"); /* here */
}

/* ok */
CASHEW_TEST(documents)
{
	test_no_document(t, "counts", "68946");
	test_store(t, "counts", "{'user_id':'68946','total':4,'at':'2026-01-30T00:00:00.250Z'}");
	test_document(t, "counts", "68946", "{'at':'2026-01-30T00:00:00.250Z','total':4}");
	test_document(t, "counts", "68946", "{}");
	test_no_document(t, "counts", "6894");
	test_store(t, "counts", "{'user_id':'68946','total':5}");
	test_document(t, "counts", "68946", "{'at':'2026-01-30T00:00:00.250Z','total':5}");
}

/* FAIL: document counts 68946 {"total":4}, expected {"total":5} */
CASHEW_TEST(document_is_otherwise)
{
	test_store(t, "counts", "{'user_id':'68946','total':4}");
	test_document(t, "counts", "68946", "{'total':5}"); /* here */
}

/* FAIL: no document counts 68946, expected {"total":5} */
CASHEW_TEST(document_is_missing)
{
	test_document(t, "counts", "68946", "{'total':5}"); /* here */
}

/* FAIL: document counts 68946 is there: {"total":4,"user_id":"68946"}, expected none */
CASHEW_TEST(document_is_there)
{
	test_store(t, "counts", "{'user_id':'68946','total':4}");
	test_no_document(t, "counts", "68946"); /* here */
}

/* FAIL: no handler has a collection "count": expected one of a CASHEW_COLLECTION() that a handler names */
CASHEW_TEST(collection_that_nobody_has)
{
	test_store(t, "count", "{'user_id':'68946'}"); /* here */
}

/* FAIL: "counts" has no member "totla": ..counts.h:.. declares it */
CASHEW_TEST(member_that_is_not_declared)
{
	test_store(t, "counts", "{'user_id':'68946','totla':4}"); /* here */
}

/* FAIL: total is "4": expected an integer */
CASHEW_TEST(member_of_another_kind)
{
	test_store(t, "counts", "{'user_id':'68946','total':'4'}"); /* here */
}

/* FAIL: the document has no user_id, which is part of the _id of "counts" */
CASHEW_TEST(document_without_its_key)
{
	test_store(t, "counts", "{'total':4}"); /* here */
}

/* ok: 4 ways to fail, each repaired */
CASHEW_TEST(survives)
{
	test_store(t, "counts", "{'user_id':'68946','total':4}");
	test_survives(t, "68946/set_total", "{'count':3}");
	test_document(t, "counts", "68946", "{'total':3,'at':'2026-01-31T12:00:00.000Z'}");
	test_event(t, "68946/total_set", "{'total':3}");
}

/* ok: 4 ways to fail, each repaired */
CASHEW_TEST(survives_an_empty_store)
{
	test_survives(t, "68946/set_total", "{'count':3}");
	test_document(t, "counts", "68946", "{'total':3}");
	test_deliver(t, "68946/set_total", "{'count':4}");
	test_event(t, "68946/total_set", "{'total':4}");
}

/* FAIL: the answer is lost at operation 2 of 2, then the command comes again. Documents:
       counts 68946  {"total":6}
       expected      {"total":3}
       What this command writes depends on what it read. Count with (inc, ..), or set .needs_id. */
CASHEW_TEST(counts_twice)
{
	test_survives(t, "68946/add_badly", "{'count':3,'mute':true}"); /* here */
}

/* FAIL: the answer is lost at operation 2 of 2, then the command comes again. Events:
       found     68946/added {"total":6}
       expected  68946/added {"total":3} */
CASHEW_TEST(says_another_thing_the_second_time)
{
	test_survives(t, "68946/add_badly", "{'count':3}"); /* here */
}

/* FAIL: operation 1 of 2 fails, and 68946/set_total is rejected: you have none. Expected that it is run again */
CASHEW_TEST(takes_a_failure_for_an_answer)
{
	test_survives(t, "68946/set_total", "{'count':3,'blind':true}"); /* here */
}

/* FAIL: 68946/echo is rejected: no */
CASHEW_TEST(survives_nothing_that_is_rejected)
{
	test_survives(t, "68946/echo", "{'reject':'no'}"); /* here */
}

/* ok */
CASHEW_TEST(service)
{
	test_service(t, "ASK_URL", 201, "{'ok':true}");
	test_deliver(t, "68946/ask", "{'name':'Rex'}");
	test_asked(t, "{'name':'Rex'}");
	test_event(t, "68946/asked", "{'status':201,'body':'{\"ok\":true}'}");
	test_service(t, "ASK_URL", 503, "");
	test_again(t);
	test_event(t, "68946/asked", "{'status':503,'body':''}");
}

/* FAIL: the service of ASK_URL was asked {"name":"Rex"}, expected {"name":"Max"} */
CASHEW_TEST(service_is_asked_otherwise)
{
	test_service(t, "ASK_URL", 200, "{}");
	test_deliver(t, "68946/ask", "{'name':'Rex'}");
	test_asked(t, "{'name':'Max'}"); /* here */
}

/* FAIL: the service of ASK_URL was not asked, expected {} */
CASHEW_TEST(service_is_not_asked)
{
	test_service(t, "ASK_URL", 200, "{}");
	test_asked(t, "{}"); /* here */
}

/* FAIL: ASK_ULR is a setting of no handler: expected one of those in a handler's .settings */
CASHEW_TEST(setting_that_nobody_has)
{
	test_set(t, "ASK_ULR", "http://127.0.0.1:1/"); /* here */
}

/* FAIL: 12:00 is no time: expected one as 2026-01-31T12:00:00Z */
CASHEW_TEST(clock_that_is_no_time)
{
	test_clock(t, "12:00"); /* here */
}

/* FAIL: there is no command that could come again: expected a test_deliver() before */
CASHEW_TEST(nothing_comes_again)
{
	test_again(t); /* here */
}

#define HOUR(hour) "2026-01-31T" hour ":00:00.000Z"

static void reminded(cashew_test *t, const char *event)
{
	test_event(t, "68946/reminded", event);
	test_event(t, "23412/reminded", event);
}

/* ok */
CASHEW_TEST(runs_join)
{
	test_run(t, "remind");
	reminded(t, "{'since':'" HOUR("11") "','slot':'" HOUR("12") "','id':'remind/" HOUR("12") "'}");
	test_again(t);
	reminded(t, "{'since':'" HOUR("11") "','slot':'" HOUR("12") "','id':'remind/" HOUR("12") "'}");
	test_clock(t, "2026-01-31T17:05:00Z");
	test_run(t, "remind");
	reminded(t, "{'since':'" HOUR("12") "','slot':'" HOUR("17") "','id':'remind/" HOUR("17") "'}");
}

/* FAIL: remind is not due before 2026-01-31T13:00:00.000Z: expected a test_clock() */
CASHEW_TEST(run_that_is_not_due)
{
	test_run(t, "remind");
	reminded(t, "{'since':'" HOUR("11") "','slot':'" HOUR("12") "','id':'remind/" HOUR("12") "'}");
	test_clock(t, "2026-01-31T12:59:59Z");
	test_run(t, "remind"); /* here */
}

/* FAIL: remnid is no schedule of this build: did you mean remind */
CASHEW_TEST(run_of_nothing)
{
	test_run(t, "remnid"); /* here */
}

/* FAIL: no handler listens on 68946/remind */
CASHEW_TEST(schedule_is_no_command)
{
	test_deliver(t, "68946/remind", "{}"); /* here */
}
