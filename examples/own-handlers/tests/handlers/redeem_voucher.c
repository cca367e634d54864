/* Tests of handlers/redeem_voucher.c. */
#include <cashew_test.h>

CASHEW_TEST(first_one_keeps_it)
{
	test_survives(t, "68946/redeem_voucher", "{'code':'1207-29c7e2da'}");
	test_document(t, "vouchers", "1207-29c7e2da",
		"{'user_id':'68946','redeemed_at':'2026-01-31T12:00:00.000Z'}");
	test_deliver(t, "23412/redeem_voucher", "{'code':'1207-29c7e2da'}");
	test_rejected(t, "redeemed by somebody else");
}

CASHEW_TEST(may_be_asked_again)
{
	test_store(t, "vouchers",
		"{'code':'1207-29c7e2da','user_id':'68946','redeemed_at':'2026-01-30T12:00:00.000Z'}");
	test_deliver(t, "68946/redeem_voucher", "{'code':'1207-29c7e2da'}");
	test_event(t, "68946/voucher_redeemed",
		"{'code':'1207-29c7e2da','redeemed_at':'2026-01-30T12:00:00.000Z'}");
}

CASHEW_TEST(mistyped_code)
{
	test_deliver(t, "68946/redeem_voucher", "{'code':'1270-29c7e2da'}");
	test_rejected(t, "there is no voucher 1270-29c7e2da");
	test_no_document(t, "vouchers", "1270-29c7e2da");
}
