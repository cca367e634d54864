/* remind - each full hour, sends 68946 and 23412 when it was due, since when, and its id: reminded {"since", "slot", "id"}. */
#include <cashew.h>

CASHEW_STRUCT(reminded, (time, since), (time, slot), (text, id));

static cashew_result remind(cashew_command *cmd)
{
	static const char *const users[] = {"68946", "23412"};
	for (size_t i = 0; i < 2; i++)
		cashew_send(cmd, users[i], reminded, .since = cashew_since(cmd), .slot = cashew_slot(cmd),
			.id = cashew_id(cmd));
	return cashew_done(cmd);
}

CASHEW_SCHEDULE(remind, .every_s = 3600, .events = CASHEW_EVENTS(reminded));
