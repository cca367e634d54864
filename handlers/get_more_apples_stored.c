/*
 * get_more_apples_stored - a second handler of "<user>/get_more_apples": answers with the apples in the
 * store.
 *
 * The command is done when both handlers are; each answers with an event of its own.
 */
#include <cashew.h>
#include <cashew_store.h>

enum { APPLES_MAX = 100 };

static bool add_colour(const char *colour, void *context)
{
	json_t **colours = context;
	if (json_array_append_new(*colours, json_string(colour)) == 0)
		return true;
	/* cashew_reply_json() takes NULL for out of memory */
	json_decref(*colours);
	*colours = NULL;
	return false;
}

static cashew_result get_more_apples_stored(cashew_command *cmd)
{
	json_t *colours = json_array();
	const int error = apple_list(cashew_store(cmd), APPLES_MAX, add_colour, &colours);
	if (error) {
		json_decref(colours);
		return cashew_stored(cmd, error);
	}
	return cashew_reply_json(cmd, "got_apples", colours);
}

CASHEW_HANDLER(.topic = "+/get_more_apples", .handle = get_more_apples_stored, .collections = "apples:read");
