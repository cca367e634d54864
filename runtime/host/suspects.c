/*
 * suspects.c - see host_suspects.h.
 */
#include "suspects.h"

#include "board.h"
#include "command.h"
#include "context.h"
#include "lane.h"
#include "settings.h"
#include <string.h>

/* The reason why it is kept apart, or given up. */
static void blame(struct command *command, const char *handler, const char *what)
{
	const char *name = arena_copy(&command->arena, handler, strlen(handler));
	const char *reason =
		command->crashes > 0
			? arena_format(&command->arena, "handler %s killed the host %u time%s: %s", handler,
				  command->crashes, command->crashes > 1 ? "s" : "", what)
			: "it was being run when the host was killed";
	command->handler = name != NULL ? name : "";
	command->reason = reason != NULL ? reason : "it killed the host";
}

bool suspects_judge(struct command *command)
{
	const struct host *host = lane_host(command->lane);
	const struct board_mark *suspect = board_mark_find(host->board, command->key);
	command->suspect = suspect != NULL || command->crashes > 0 ||
			   board_near_deaths(host->board, command->key) >= host->settings->crash_limit;
	if (suspect != NULL) {
		if (suspect->crashes > command->crashes)
			command->crashes = suspect->crashes;
		blame(command, suspect->handler, suspect->what);
	}
	if (command->crashes < host->settings->crash_limit)
		return false;
	command_die(command, command->reason);
	return true;
}

void suspects_add(struct host *host, struct command *command)
{
	struct command **end = &host->suspects.waiting;
	while (*end != NULL)
		end = &(*end)->user_next;
	command->user_next = NULL;
	*end = command;
}

void suspects_end(struct host *host, const struct command *command)
{
	struct suspects *suspects = &host->suspects;
	if (suspects->alone != command)
		return;
	/* This turn at least is the others'. */
	const int64_t quiet_ms = host->now_ms - suspects->begun_ms + 1;
	suspects->alone = NULL;
	suspects->rest_until_ms =
		host->now_ms + (quiet_ms < SUSPECTS_QUIET_MS ? quiet_ms : SUSPECTS_QUIET_MS);
}

void suspects_serve(struct host *host)
{
	struct suspects *suspects = &host->suspects;
	if (suspects->alone == NULL && suspects->waiting != NULL && host->now_ms >= suspects->rest_until_ms) {
		suspects->alone = suspects->waiting;
		suspects->waiting = suspects->alone->user_next;
		suspects->alone->user_next = NULL;
		suspects->started = false;
		suspects->begun_ms = host->now_ms;
		suspects->quiet_until_ms = host->now_ms + SUSPECTS_QUIET_MS;
	}
	struct command *alone = suspects->alone;
	if (alone == NULL)
		return;
	if (!suspects->started && (host->jobs == 0 || host->now_ms >= suspects->quiet_until_ms)) {
		suspects->started = true;
		suspects->quiet_until_ms = host->now_ms + SUSPECTS_QUIET_MS;
		alone->alone = host->jobs == 0;
		command_start(alone);
	} else if (suspects->started && alone->alone && host->now_ms >= suspects->quiet_until_ms) {
		/* From here on others run beside it. */
		alone->alone = false;
		board_not_alone(host->board);
	}
}

bool suspects_quiet(const struct host *host)
{
	return host->suspects.alone != NULL && host->now_ms < host->suspects.quiet_until_ms;
}

int64_t suspects_due_ms(const struct host *host)
{
	const struct suspects *suspects = &host->suspects;
	if (suspects->alone != NULL && host->now_ms < suspects->quiet_until_ms)
		return suspects->quiet_until_ms;
	return suspects->alone == NULL && suspects->waiting != NULL ? suspects->rest_until_ms : INT64_MAX;
}
