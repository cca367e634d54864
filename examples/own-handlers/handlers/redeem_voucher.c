/*
 * redeem_voucher - the sender redeems {"code": "1207-29c7e2da"}: a number, and its CRC-32 in hexadecimal.
 *
 * Answers voucher_redeemed {"code", "redeemed_at"}. Whoever is first keeps a code, and may ask again; others are rejected. What is mistyped is rejected
 * before the database is asked.
 *
 * Link: zlib
 */
#include <cashew.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

CASHEW_COLLECTION(
	voucher, "vouchers", (text, code, .key = true, .max = 40), (user, user_id), (time, redeemed_at));
CASHEW_STRUCT(redeem, (text, code, .min = 10, .max = 40));
CASHEW_STRUCT(voucher_redeemed, (text, code), (time, redeemed_at));

static bool is_genuine(const char *code)
{
	const char *sum = strrchr(code, '-');
	if (!sum)
		return false;
	char expected[9];
	snprintf(expected, sizeof(expected), "%08lx",
		crc32(0, (const Bytef *)code, (uInt)(sum - code)) & 0xffffffff);
	return strcmp(sum + 1, expected) == 0;
}

static cashew_result redeem_voucher(cashew_command *cmd)
{
	const char *me = cashew_user(cmd);
	const char *code = cashew_input(cmd, redeem)->code;
	if (!is_genuine(code))
		return cashew_reject(cmd, "there is no voucher %s", code);
	cashew_add(cmd, voucher, .code = code, .user_id = me, .redeemed_at = cashew_now(cmd));
	const struct voucher *v = cashew_find(cmd, voucher, .code = code);
	if (!v)
		return cashew_done(cmd); /* the database is away: the command runs again */
	if (strcmp(v->user_id, me) != 0)
		return cashew_reject(cmd, "%s has been redeemed by somebody else", code);
	return cashew_reply(cmd, voucher_redeemed, .code = code, .redeemed_at = v->redeemed_at);
}

CASHEW_HANDLER(redeem_voucher, .payload = CASHEW_PAYLOAD(redeem), .events = CASHEW_EVENTS(voucher_redeemed),
	.collections = CASHEW_COLLECTIONS(voucher));
