/* add_badly - adds {"count"} to the sender's total, once for each run: added {"total"}. With {"mute"} the event does not say it. */
#include "counts.h"
#include "stored.h"

static cashew_result add_badly(cashew_command *cmd)
{
	const json_t *in = cashew_json(cmd);
	struct store_client *store = stored_client(cmd);
	int64_t total;
	int error = counts_read(store, cashew_user(cmd), &total);
	if (error)
		return stored_result(cmd, error);
	total += json_integer_value(json_object_get(in, "count"));
	error = counts_write(store, cashew_user(cmd), total, 0);
	if (error)
		return stored_result(cmd, error);
	return cashew_event_json(cmd, NULL, "added",
		json_pack("{s:I}", "total", json_object_get(in, "mute") ? (json_int_t)0 : (json_int_t)total));
}

CASHEW_HANDLER(add_badly, .collections = CASHEW_COLLECTIONS(counts));
