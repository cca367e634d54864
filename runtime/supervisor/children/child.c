/*
 * child.c - see child.h.
 */
#include "child.h"

#include "clock.h"
#include "exit_codes.h"
#include <stdlib.h>

#define TO(state) (1u << CHILD_##state)

/* The diagram in child.h, as a table: which states may follow which. */
static const unsigned next_states[CHILD_STATES] = {
	[CHILD_WAITING] = TO(STARTING) | TO(ENDED),
	[CHILD_STARTING] = TO(RUNNING) | TO(WAITING) | TO(REPLACING) | TO(STOPPING) | TO(ENDED),
	[CHILD_RUNNING] = TO(WAITING) | TO(REPLACING) | TO(STOPPING),
	[CHILD_REPLACING] = TO(WAITING) | TO(STOPPING),
	[CHILD_STOPPING] = TO(ENDED),
	[CHILD_ENDED] = 0,
};

static const char *const state_names[CHILD_STATES] = {
	[CHILD_WAITING] = "waiting",
	[CHILD_STARTING] = "starting",
	[CHILD_RUNNING] = "running",
	[CHILD_REPLACING] = "replacing",
	[CHILD_STOPPING] = "stopping",
	[CHILD_ENDED] = "ended",
};

static void move(struct child *child, enum child_state next)
{
	if ((next_states[child->state] & (1u << next)) == 0)
		abort();
	child->state = next;
}

void child_init(struct child *child, int64_t now_ms)
{
	*child = (struct child){.state = CHILD_WAITING, .start_at_ms = now_ms, .kill_at_ms = INT64_MAX};
}

void child_spawned(struct child *child, pid_t pid, int64_t now_ms)
{
	move(child, CHILD_STARTING);
	child->pid = pid;
	child->started_ms = now_ms;
	child->kill_at_ms = INT64_MAX;
}

static int64_t pause_ms(struct child *child)
{
	return backoff_ms(child->failures++, CHILD_BACKOFF_MIN_MS, CHILD_BACKOFF_MAX_MS);
}

void child_not_spawned(struct child *child, int64_t now_ms)
{
	child->start_at_ms = now_ms + pause_ms(child);
}

void child_up(struct child *child)
{
	child->ever_up = true;
	if (child->state == CHILD_STARTING)
		move(child, CHILD_RUNNING);
}

bool child_replace(struct child *child, int64_t now_ms, int64_t limit_ms)
{
	if (child->state == CHILD_WAITING)
		child->start_at_ms = now_ms;
	if (child->state != CHILD_STARTING && child->state != CHILD_RUNNING)
		return false;
	move(child, CHILD_REPLACING);
	child->kill_at_ms = now_ms + limit_ms;
	return true;
}

bool child_stop(struct child *child, int64_t now_ms, int64_t limit_ms)
{
	if (child->state == CHILD_WAITING) {
		move(child, CHILD_ENDED);
		return false;
	}
	if (child->state != CHILD_STOPPING)
		move(child, CHILD_STOPPING);
	child->kill_at_ms = now_ms + limit_ms;
	return true;
}

void child_died(struct child *child, const struct child_death *death, int64_t now_ms)
{
	const bool refused = child->state == CHILD_STARTING && !child->ever_up && death->exited &&
			     death->code != EXIT_OK && death->code != EXIT_TEMPORARY;
	child->pid = 0;
	child->kill_at_ms = INT64_MAX;
	if (child->state == CHILD_STOPPING || refused) {
		child->exit_code = death->exited ? death->code : EXIT_SOFTWARE;
		move(child, CHILD_ENDED);
		return;
	}
	const bool wanted = child->state == CHILD_REPLACING;
	move(child, CHILD_WAITING);
	child->start_at_ms = now_ms;
	if (wanted || death->released || now_ms - child->started_ms >= CHILD_LONG_LIFE_MS)
		child->failures = 0;
	if (wanted || death->released || death->blamed)
		return;
	if (++child->failures > 1)
		child->start_at_ms +=
			backoff_ms(child->failures - 2, CHILD_BACKOFF_MIN_MS, CHILD_BACKOFF_MAX_MS);
}

const char *child_state_name(enum child_state state)
{
	return state_names[state];
}
