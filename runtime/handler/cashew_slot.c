/* cashew_slot.c - what the handler of a schedule is told of its run: see cashew.h. */
#include "call.h"

cashew_time cashew_slot(const cashew_command *cmd)
{
	return cmd->input->slot_ms;
}

cashew_time cashew_since(const cashew_command *cmd)
{
	return cmd->input->since_ms;
}
