/*
 * get_more_apples_stored - a second handler of "<user>/get_more_apples": answers with the apples in the
 * store.
 *
 * The command is done when both handlers are; each answers with an event of its own. Where the store has no apples, it is
 * given three.
 */
#include "apples.h"

CASHEW_ANY_EVENT(got_apples, "A list of colours.");

enum { APPLES_MAX = 100 };

static const struct apple *find_apples(cashew_command *cmd, size_t *ret_count)
{
	return cashew_list(cmd, apple, APPLES_MAX, ret_count, (from, position, INT64_MIN));
}

static cashew_result get_more_apples_stored(cashew_command *cmd)
{
	size_t count;
	const struct apple *apples = find_apples(cmd, &count);
	if (count == 0) {
		cashew_add(cmd, apple, .colour = "orange", .position = 1);
		cashew_add(cmd, apple, .colour = "pink", .position = 2);
		cashew_add(cmd, apple, .colour = "white", .position = 3);
		apples = find_apples(cmd, &count);
	}
	json_t *colours = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(colours, json_string(apples[i].colour)) != 0)
			return json_decref(colours), cashew_event_json(cmd, NULL, "got_apples", NULL);
	return cashew_event_json(cmd, NULL, "got_apples", colours);
}

CASHEW_HANDLER(get_more_apples_stored, .topic = "+/get_more_apples", .events = CASHEW_EVENTS(got_apples),
	.collections = CASHEW_COLLECTIONS(apple));
