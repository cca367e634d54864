/* b8_document.c - members that a document cannot have. Refused by `cashewd --check-handlers`. */
#include <cashew.h>

CASHEW_COLLECTION(odd_document, "system.odd", (user, user_id, .key = true, .optional = true), (integer, _v),
	(bytes, data, .index = CASHEW_ACROSS), (integer, until, .expires = true), (integer, n, .index = 7));

static cashew_result h(cashew_command *cmd)
{
	return cashew_done(cmd);
}

CASHEW_HANDLER(h, .reads = CASHEW_COLLECTIONS(odd_document), .payload = CASHEW_BYTES, .needs_id = true);
