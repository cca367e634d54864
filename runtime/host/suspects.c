/*
 * suspects.c - see suspects.h.
 */
#include "suspects.h"

#include "board.h"
#include "command.h"
#include "record.h"
#include <string.h>

/* The reason why it is kept apart, or given up. */
static void blame(struct command *command, const struct board_mark *mark)
{
	const char *name = arena_copy(&command->arena, mark->handler, strlen(mark->handler));
	const char *reason = arena_format(&command->arena, "handler %s killed the host %u time%s: %s",
		mark->handler, command->crashes, command->crashes > 1 ? "s" : "", mark->what);
	if (reason && mark->buried_until_ms != 0)
		reason = arena_format(&command->arena,
			"%s; this is a copy that came less than %d minutes after that, and was not run: it is when it is replayed, and further copies are "
			"then, or when cashewd was started anew, with a mended program for one",
			reason, BOARD_BURIED_MS / 60000);
	command->handler = name ? name : "";
	command->reason = reason ? reason : "it killed the host";
}

/* Whether it was there when hosts died so often that it has to be tried, or is known to kill them without a trace: for that it need not be
 * near to any other death first. */
static bool to_be_tried(const struct board *board, const struct command *command,
	const struct board_mark *mark, unsigned crash_limit)
{
	if (mark && mark->silent)
		return true;
	return command->identity != 0 && board_near_any(board) &&
	       board_near_deaths(board, command->identity) >= crash_limit;
}

bool suspects_innocent(const struct board *board, const struct command *command, unsigned crash_limit)
{
	const struct board_mark *mark = board_mark_find(board, command->fingerprint);
	return !mark && command->crashes < crash_limit && !to_be_tried(board, command, NULL, crash_limit);
}

enum suspects_verdict suspects_judge(const struct board *board, struct command *command, unsigned crash_limit)
{
	const struct board_mark *mark =
		board_marks_any(board) ? board_mark_find(board, command->fingerprint) : NULL;
	/* By what is written: it may be judged again before that could be done. */
	unsigned written = command->document ? command->document->crashes : 0;
	if (command->record)
		written = command->record->written.crashes;
	const bool news = mark && mark->crashes > written;
	if (mark) {
		command->marked = true;
		if (mark->crashes > command->crashes)
			command->crashes = mark->crashes;
		if (news)
			command->attempts = command->base_attempts + 1;
		if (command->attempts < command->crashes)
			command->attempts = command->crashes;
		blame(command, mark);
	}
	if (command->crashes >= crash_limit) {
		if (!command->reason)
			command->reason = "it killed the host";
		return SUSPECTS_GUILTY;
	}
	if (news)
		return SUSPECTS_TO_BE_PARKED;
	return to_be_tried(board, command, mark, crash_limit) ? SUSPECTS_ALONE : SUSPECTS_INNOCENT;
}

void suspects_pardon(struct board *board, const struct command *command)
{
	if (command->document && command->document->replayed)
		board_mark_unbury(board, command->fingerprint);
}

void suspects_add(struct suspects *suspects, struct command *command)
{
	struct command **end = &suspects->waiting;
	while (*end)
		end = &(*end)->retry_next;
	command->retry_next = NULL;
	*end = command;
}

void suspects_end(struct suspects *suspects, struct command *command, int64_t now_ms)
{
	if (suspects->alone == command) {
		/* This turn at least is the others'. */
		const int64_t quiet_ms = now_ms - suspects->begun_ms + 1;
		suspects->alone = NULL;
		command->alone = false; /* others run beside its next run */
		suspects->rest_until_ms =
			now_ms + (quiet_ms < SUSPECTS_QUIET_MS ? quiet_ms : SUSPECTS_QUIET_MS);
		return;
	}
	struct command **at = &suspects->waiting;
	while (*at && *at != command)
		at = &(*at)->retry_next;
	if (*at) {
		*at = command->retry_next;
		command->retry_next = NULL;
	}
}

struct command *suspects_serve(struct suspects *suspects, struct board *board, bool busy, int64_t now_ms)
{
	if (!suspects->alone && suspects->waiting && now_ms >= suspects->rest_until_ms) {
		suspects->alone = suspects->waiting;
		suspects->waiting = suspects->alone->retry_next;
		suspects->alone->retry_next = NULL;
		suspects->started = false;
		suspects->begun_ms = now_ms;
		suspects->quiet_until_ms = now_ms + SUSPECTS_QUIET_MS;
	}
	struct command *alone = suspects->alone;
	if (!alone)
		return NULL;
	if (!suspects->started && (!busy || now_ms >= suspects->quiet_until_ms)) {
		suspects->started = true;
		suspects->quiet_until_ms = now_ms + SUSPECTS_QUIET_MS;
		alone->alone = !busy;
		return alone;
	}
	if (suspects->started && alone->alone && now_ms >= suspects->quiet_until_ms) {
		/* From here on others run beside it. */
		alone->alone = false;
		board_not_alone(board);
	}
	return NULL;
}

bool suspects_quiet(const struct suspects *suspects, int64_t now_ms)
{
	return suspects->alone && now_ms < suspects->quiet_until_ms;
}

int64_t suspects_due_ms(const struct suspects *suspects, int64_t now_ms)
{
	if (suspects->alone && now_ms < suspects->quiet_until_ms)
		return suspects->quiet_until_ms;
	return !suspects->alone && suspects->waiting ? suspects->rest_until_ms : INT64_MAX;
}
