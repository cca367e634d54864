/* set_total - sets the sender's total to {"count"}: set {"total"}. {"blind"}: takes the database's failure for a no. */
#include "counts.h"
#include "stored.h"

static cashew_result set_total(cashew_command *cmd)
{
	const json_t *in = cashew_json(cmd);
	struct store_client *store = stored_client(cmd);
	const int64_t total = json_integer_value(json_object_get(in, "count"));
	int64_t before;
	int error = counts_read(store, cashew_user(cmd), &before);
	if (error && json_object_get(in, "blind"))
		return cashew_reject(cmd, "you have none");
	if (!error)
		error = counts_write(
			store, cashew_user(cmd), total, 1769860800000 /* 2026-01-31T12:00:00Z */);
	if (error)
		return stored_result(cmd, error);
	return cashew_event_json(cmd, NULL, "total_set", json_pack("{s:I}", "total", (json_int_t)total));
}

CASHEW_HANDLER(set_total, .collections = CASHEW_COLLECTIONS(counts));
