/*
 * command.c - see command.h.
 */
#include "command.h"

#include "record.h"
#include <stdlib.h>

#define TO(state) (1u << COMMAND_##state)

/* The diagram in command.h, as a table: which states may follow which. */
static const unsigned next_states[COMMAND_STATES] = {
	[COMMAND_WAITING] = TO(RUNNING) | TO(RETRYING) | TO(COMMITTING) | TO(STORING) | TO(BURYING) |
			    TO(FINISHING) | TO(SETTLED),
	[COMMAND_RUNNING] =
		TO(RETRYING) | TO(COMMITTING) | TO(STORING) | TO(BURYING) | TO(FINISHING) | TO(SETTLED),
	[COMMAND_RETRYING] = TO(RUNNING) | TO(COMMITTING) | TO(STORING) | TO(BURYING),
	[COMMAND_COMMITTING] = TO(RETRYING) | TO(STORING) | TO(BURYING) | TO(FINISHING) | TO(SETTLED),
	[COMMAND_STORING] = TO(RETRYING) | TO(BURYING) | TO(SETTLED),
	[COMMAND_BURYING] = TO(RETRYING) | TO(COMMITTING) | TO(STORING) | TO(FINISHING) | TO(SETTLED),
	[COMMAND_FINISHING] = TO(SETTLED),
	[COMMAND_SETTLED] = 0,
};

static const char *const state_names[COMMAND_STATES] = {
	[COMMAND_WAITING] = "waiting",
	[COMMAND_RUNNING] = "running",
	[COMMAND_RETRYING] = "retrying",
	[COMMAND_COMMITTING] = "committing",
	[COMMAND_STORING] = "storing",
	[COMMAND_BURYING] = "burying",
	[COMMAND_FINISHING] = "finishing",
	[COMMAND_SETTLED] = "settled",
};

static const char *const end_names[COMMAND_ENDS] = {
	[COMMAND_DONE] = "done",
	[COMMAND_REJECTED] = "rejected",
	[COMMAND_DEAD] = "dead",
	[COMMAND_PARKED] = "parked",
};

void command_move(struct command *command, enum command_state next)
{
	if ((next_states[command->state] & (1u << next)) == 0)
		abort();
	command->state = next;
}

bool command_all_settled(const struct command *command)
{
	const unsigned count = command->route ? command->route->handler_count : 0;
	return count == 0 || command->settled == UINT32_MAX >> (32 - count);
}

void command_settle_all(struct command *command, enum command_end end, const char *reason)
{
	if (command->route)
		command->settled = UINT32_MAX >> (32 - command->route->handler_count);
	command->end = end;
	command->reason = reason;
}

int64_t command_ran_us(const struct command *command, int64_t now_us)
{
	const int64_t begun_us = atomic_load_explicit(&command->begun_us, memory_order_relaxed);
	if (begun_us == 0 || begun_us == INT64_MAX)
		return 0;
	const int64_t ran_us = now_us - begun_us - store_waits_us(&command->waits, now_us);
	return ran_us > 0 ? ran_us : 0;
}

const struct store_id *command_store_id(const struct command *command)
{
	return command->record ? &command->record->written.id : &command->document->id;
}

void command_free(struct command *command)
{
	arena_free(&command->arena);
	free(command->record);
	if (command->document)
		parked_command_free(command->document);
	free(command);
}

const char *command_state_name(enum command_state state)
{
	return state_names[state];
}

const char *command_end_name(enum command_end end)
{
	return end_names[end];
}
