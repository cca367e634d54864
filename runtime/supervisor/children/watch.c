/*
 * watch.c - see watch.h.
 */
#include "watch.h"

#include "board.h"
#include "process.h"
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	GAP_MS = 3000,		/* a look that late: something was asleep */
	STORE_SILENT_MS = 4000, /* it is asked every second */
	KILL_MS = 1000,
	LOOKS_LARGE = 10,
	REPLACE_MS = 60000,
};

void watch_init(struct watch *watch)
{
	*watch = (struct watch){.kill_at_ms = INT64_MAX};
}

void watch_begin(struct watch *watch, int64_t now_ms)
{
	watch->looked_ms = watch->since_ms = now_ms;
	watch->kill_at_ms = INT64_MAX;
	watch->large = 0;
	watch->frozen = false;
}

void watch_freeze(struct watch *watch, bool frozen, int64_t now_ms)
{
	watch->frozen = frozen;
	watch->since_ms = now_ms;
}

static void end_thread(struct watch *watch, pid_t pid, const struct board_slot *slot, int64_t now_ms)
{
	(void)syscall(SYS_tgkill, pid, slot->run.tid, SIGABRT);
	if (watch->kill_at_ms == INT64_MAX)
		watch->kill_at_ms = now_ms + KILL_MS;
}

void watch_deadlines(struct watch *watch, struct board *board, pid_t pid, bool enforce, int64_t now_ms)
{
	/* What the slots are measured against: a question that the store has answered since. */
	const int64_t seen_ms = atomic_load(&board->store_seen_ms);
	const int64_t back_ms = atomic_load(&board->store_back_ms);
	if (watch->frozen || now_ms - watch->looked_ms > GAP_MS || now_ms - seen_ms > STORE_SILENT_MS)
		watch->since_ms = now_ms;
	/* What waited for the store goes on now, and may have to connect again first. */
	if (back_ms > watch->since_ms)
		watch->since_ms = back_ms;
	watch->looked_ms = now_ms;
	for (unsigned i = 0; i < board_slots_used(board) && enforce; i++) {
		bool first;
		if (board_slot_expire(&board->slots[i], seen_ms, watch->since_ms, &first) && first)
			end_thread(watch, pid, &board->slots[i], now_ms);
	}
	/* One that is writing its last words may hang in them. */
	if (board->crash.claimed != 0 && watch->kill_at_ms == INT64_MAX)
		watch->kill_at_ms = now_ms + KILL_MS;
	if (now_ms >= watch->kill_at_ms)
		kill(pid, SIGKILL);
}

bool watch_memory(struct watch *watch, pid_t pid, size_t limit, int64_t now_ms, size_t *ret_bytes)
{
	struct process_figures process = {.resident_bytes = 0};
	if (limit > 0 && process_read(pid, &process) != 0)
		process.resident_bytes = 0;
	watch->large = process.resident_bytes > limit ? watch->large + 1 : 0;
	if (watch->large < LOOKS_LARGE || now_ms < watch->may_replace_ms)
		return false;
	watch->may_replace_ms = now_ms + REPLACE_MS;
	*ret_bytes = process.resident_bytes;
	return true;
}
