/*
 * backlog.c - see backlog.h: what a backlog holds in memory, and how it comes to rest or to its end.
 *
 * A command leaves the memory of its backlog by backlog_give_back(), or in order, when it is done. Here nothing is begun: what is next is
 * parking.c's.
 */
#include "backlog.h"

#include "command.h"
#include "parking_private.h"
#include "place.h"
#include "users.h"
#include <stdlib.h>

/* ---- Lists ---- */

void backlog_list_add(struct backlog_list *list, struct command *command)
{
	if (!list->first)
		list->end = &list->first;
	command->backlog_next = NULL;
	*list->end = command;
	list->end = &command->backlog_next;
	list->count++;
}

struct command *backlog_list_take(struct backlog_list *list)
{
	struct command *command = list->first;
	if (!command)
		return NULL;
	list->first = command->backlog_next;
	if (!list->first)
		list->end = &list->first;
	list->count--;
	command->backlog_next = NULL;
	return command;
}

/* ---- Life ---- */

void backlog_leave_line(struct parking *parking, struct backlog *backlog)
{
	if (!backlog->in_line)
		return;
	struct backlog **at = &parking->line;
	while (*at != backlog)
		at = &(*at)->line_next;
	*at = backlog->line_next;
	if (parking->line_end == &backlog->line_next)
		parking->line_end = at;
	backlog->in_line = false;
}

/* One that has stepped aside holds one command in memory, and may do so for an hour: the others do not wait for that. */
static void count(struct parking *parking, struct backlog *backlog)
{
	const bool counts = backlog->state != BACKLOG_RESTING && !backlog->stepped_aside;
	parking->counted = parking->counted + counts - backlog->counted;
	backlog->counted = counts;
}

void backlog_set_state(struct parking *parking, struct backlog *backlog, enum backlog_state state)
{
	const bool was_claimed = backlog->state != BACKLOG_RESTING, is_claimed = state != BACKLOG_RESTING;
	parking->claimed = parking->claimed + is_claimed - was_claimed;
	backlog->state = state;
	count(parking, backlog);
}

void backlog_steps_back(struct parking *parking, struct backlog *backlog)
{
	backlog->stepped_aside = false;
	count(parking, backlog);
}

void backlog_end(struct parking *parking, struct backlog *backlog)
{
	struct user *user = backlog->user;
	backlog_set_state(parking, backlog, BACKLOG_RESTING);
	backlog_leave_line(parking, backlog);
	if (backlog->after)
		backlog->after->delays = NULL;
	*backlog->link = backlog->next;
	if (backlog->next)
		backlog->next->link = backlog->link;
	parking->backlog_count--;
	user->backlog = NULL;
	free(backlog->lane_id);
	free(backlog);
	parking->options.callbacks->over(parking->options.owner, user);
}

void backlog_rest(struct parking *parking, struct backlog *backlog, int64_t due_ms)
{
	backlog_set_state(parking, backlog, BACKLOG_RESTING);
	backlog->stepped_aside = false;
	backlog->leased = false;
	backlog->more = false;
	backlog->done_since_ms = 0;
	backlog->refused_until_ms = 0;
	backlog->due_ms = due_ms;
	parking_walk_by(parking, due_ms);
}

void backlog_give_back(struct parking *parking, struct backlog *backlog, bool lost)
{
	struct backlog_list memory = backlog->memory;
	const bool busy = backlog->busy;
	backlog->busy = backlog->giving_back = true; /* nothing is begun from within the callbacks */
	backlog->memory = (struct backlog_list){0};
	for (struct command *command; (command = backlog_list_take(&memory));) {
		if (lost || command->state == COMMAND_WAITING) {
			backlog->more = true;
			parking->in_memory--;
			parking->options.callbacks->given_back(parking->options.owner, command);
		} else {
			backlog_list_add(&backlog->memory, command);
		}
	}
	backlog->giving_back = false;
	backlog->busy = busy;
}

void backlog_forget(struct parking *parking, struct backlog *backlog, struct backlog_list *list)
{
	const struct parking_owner *callbacks = parking->options.callbacks;
	struct backlog_list forgotten = *list;
	const bool busy = backlog->busy;
	backlog->busy = true; /* nothing is begun from within the callbacks */
	*list = (struct backlog_list){0};
	for (struct command *command; (command = backlog_list_take(&forgotten));) {
		if (command->stepping)
			callbacks->stored(parking->options.owner, command, true);
		else
			callbacks->given_back(parking->options.owner, command);
	}
	backlog->busy = busy;
}

size_t backlog_count_done(const struct backlog *backlog, size_t count_max)
{
	size_t count = 0;
	for (const struct command *command = backlog->memory.first;
		command && command->state == COMMAND_FINISHING && count < count_max;
		command = command->backlog_next)
		count++;
	return count;
}
