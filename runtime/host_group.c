/*
 * host_group.c - see host_group.h.
 */
#include "host_group.h"

#include "board.h"
#include "command.h"
#include "context.h"
#include "settings.h"
#include <errno.h>
#include <stdlib.h>

enum {
	LINGER_DOUBLINGS_MAX = 6,
	BYTES_MAX = 8 * 1024 * 1024, /* of payloads; the group grows to twice that at most, beside what one
					read brings */
	UNSETTLED_MAX = 1000,	     /* while it fills: what drains soon, and a megabyte of commands */
	PAUSE_COUNT = 64,
	BLOCK_COUNT = 63,
};

/* Room for many at once: nothing is allocated for a command, and what stands between two commands' memory
 * does not keep it from being used again. */
struct held_block {
	struct held_block *next;
	struct held held[BLOCK_COUNT];
};

/* ---- Memory ---- */

static bool grow(struct group *group)
{
	struct held_block *block = malloc(sizeof(*block));
	if (block == NULL)
		return false;
	block->next = group->blocks;
	group->blocks = block;
	for (size_t i = BLOCK_COUNT; i-- > 0;) {
		block->held[i].table_next = group->unused;
		group->unused = &block->held[i];
	}
	return true;
}

static struct held *take(struct group *group)
{
	if (group->unused == NULL && !grow(group))
		return NULL;
	struct held *held = group->unused;
	group->unused = held->table_next;
	group->used++;
	return held;
}

/* If nothing holds it any more. */
static void put_back(struct group *group, struct held *held)
{
	if (held->attached || held->listed)
		return;
	if (held->command != NULL)
		held->command->held = NULL;
	held->table_next = group->unused;
	group->unused = held;
	group->used--;
}

static void reset(struct group *group)
{
	group->first = NULL;
	group->end = &group->first;
	group->oldest = NULL;
	group->count = 0;
	group->unsettled = 0;
	group->bytes = 0;
	group->round = 0;
	group->round_unsettled = 0;
	group->reads_at_ms = 0;
	group->phase = GROUP_EMPTY;
}

void group_init(struct group *group, const struct host *host, unsigned limit_ms)
{
	group->host = host;
	group->limit_ms = limit_ms;
	reset(group);
}

void group_free(struct group *group)
{
	if (group->used > 0)
		abort();
	for (struct held_block *block = group->blocks, *next; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	group->blocks = NULL;
	group->unused = NULL;
}

/* ---- The in-flight table ---- */

uint64_t group_user_key(const char *user)
{
	return board_key(user, NULL, 0, NULL, 0);
}

struct held *group_in_flight(const struct group *group, uint16_t mid)
{
	struct held *held = group->in_flight[mid % GROUP_BUCKETS];
	while (held != NULL && held->mid != mid)
		held = held->table_next;
	return held;
}

static void list(struct group *group, struct held *held)
{
	struct held **bucket = &group->in_flight[held->mid % GROUP_BUCKETS];
	held->table_next = *bucket;
	*bucket = held;
	held->listed = true;
}

static void unlist(struct group *group, struct held *held)
{
	if (!held->listed)
		return;
	struct held **at = &group->in_flight[held->mid % GROUP_BUCKETS];
	while (*at != held)
		at = &(*at)->table_next;
	*at = held->table_next;
	held->listed = false;
}

void group_unlist(struct group *group, struct held *held)
{
	unlist(group, held);
	put_back(group, held);
}

void group_unlist_detached(struct group *group, bool running)
{
	for (size_t i = 0; i < GROUP_BUCKETS; i++) {
		for (struct held *held = group->in_flight[i], *next; held != NULL; held = next) {
			next = held->table_next;
			if (!held->attached && (running || held->command == NULL))
				group_unlist(group, held);
		}
	}
}

/* ---- The group ---- */

static void attach(struct group *group, struct held *held)
{
	if (group->count == 0) {
		group->started_ms = group->host->now_ms;
		group->phase = GROUP_FILLING;
	}
	held->attached = true;
	held->round = group->round;
	held->arrived_ms = (uint32_t)group->host->now_ms;
	if (group->oldest == NULL)
		group->oldest = held;
	held->group_next = NULL;
	*group->end = held;
	group->end = &held->group_next;
	group->count++;
	if (held->command != NULL) {
		group->unsettled++;
		group->bytes += held->command->input.payload_size;
	}
}

int group_add(struct group *group, struct command *command)
{
	struct held *held = take(group);
	if (held == NULL)
		return -ENOMEM;
	*held = (struct held){
		.key = command->key,
		.user = group_user_key(command->input.user),
		.command = command,
		.mid = command->mid,
	};
	command->held = held;
	list(group, held);
	attach(group, held);
	return 0;
}

void group_join(struct group *group, struct held *held)
{
	if (!held->attached)
		attach(group, held);
}

void group_settle(struct group *group, struct held *held)
{
	struct command *command = held->command;
	command->held = NULL;
	held->command = NULL;
	held->end = (uint8_t)command->end;
	held->position = command->position;
	if (!held->attached)
		return;
	group->unsettled--;
	group->bytes -= command->input.payload_size;
	if (held->round == group->round)
		return;
	/* What made the group linger is done: stop reading again, so that the rest can drain. */
	if (--group->round_unsettled == 0 && group->phase == GROUP_LINGERING) {
		group->phase = GROUP_DRAINING;
		group->drain_started_ms = group->host->now_ms;
	}
}

void group_forget(struct group *group, struct held *held)
{
	if (held->attached)
		abort();
	group_unlist(group, held);
}

void group_detach(struct group *group, void (*detached)(struct command *command))
{
	struct held *held = group->first, *next;
	reset(group);
	for (; held != NULL; held = next) {
		next = held->group_next;
		struct command *command = held->command;
		held->attached = false;
		put_back(group, held);
		if (command != NULL)
			detached(command);
	}
}

/* The number of commands at which reading stops. */
static size_t target(const struct group *group)
{
	const size_t count = group->host->settings->window / 2 >> group->halvings;
	return count > 0 ? count : 1;
}

/* The number that a lingering group grows to at most. */
static size_t window(const struct group *group)
{
	const size_t count = group->host->settings->window >> group->halvings;
	return count > 0 ? count : 1;
}

void group_release(struct group *group, void (*leaves)(void *context, const struct held *held), void *context)
{
	struct held *held = group->first, *next;
	if (group->halvings > 0 && group->count >= target(group))
		group->halvings--;
	reset(group);
	for (; held != NULL; held = next) {
		next = held->group_next;
		leaves(context, held);
		held->attached = false;
		group_unlist(group, held);
	}
}

int64_t group_oldest_ms(struct group *group)
{
	while (group->oldest != NULL && group->oldest->command == NULL)
		group->oldest = group->oldest->group_next;
	const int64_t now_ms = group->host->now_ms;
	return group->oldest != NULL ? now_ms - (uint32_t)((uint32_t)now_ms - group->oldest->arrived_ms) : 0;
}

void group_flushed(struct group *group, bool all)
{
	if (all) {
		group->phase = GROUP_EMPTY;
	} else if (group->phase != GROUP_FLUSHING) {
		group->phase = GROUP_FLUSHING;
		group->started_ms = group->host->now_ms;
	}
}

void group_shrink(struct group *group)
{
	while (target(group) > 1 && target(group) > group->count / 2)
		group->halvings++;
}

/* ---- Time ---- */

/* Draining lasts longer each time it did not help, so that a stream of slowish commands comes to an end as
 * well. */
static int64_t linger_at_ms(const struct group *group)
{
	const unsigned doublings = group->round < LINGER_DOUBLINGS_MAX ? group->round : LINGER_DOUBLINGS_MAX;
	return group->drain_started_ms + ((int64_t)GROUP_LINGER_MS << doublings);
}

static int64_t age_ms(const struct group *group)
{
	return group->host->now_ms - group->started_ms;
}

/* It has not drained. Reading on helps while workers are free: however many commands wait behind a slow one
 * of their user, those of others need not; but not so late that the rest cannot drain before the age limit.
 */
static void end_draining(struct group *group)
{
	if (age_ms(group) >= group->limit_ms / 2) {
		group->phase = GROUP_FULL;
	} else if (group->host->jobs < group->host->settings->workers) {
		group->phase = GROUP_LINGERING;
		group->round++;
		group->round_unsettled = group->unsettled;
	} else {
		group->drain_started_ms = group->host->now_ms;
	}
}

/* Whether a filling group has as many as it may have, or enough to do until reads_at_ms: two for each worker,
 * and those whose events wait for a PUBACK. */
static bool pauses(const struct group *group)
{
	const size_t enough = PAUSE_COUNT + 2 * (size_t)group->host->settings->workers;
	return group->phase == GROUP_FILLING &&
	       (group->unsettled >= UNSETTLED_MAX ||
		       (group->unsettled >= enough && group->host->now_ms < group->reads_at_ms));
}

void group_caught_up(struct group *group)
{
	group->reads_at_ms = group->host->now_ms + GROUP_PAUSE_MS;
}

bool group_reads(struct group *group)
{
	const int64_t now_ms = group->host->now_ms;
	const bool enough = group->count >= target(group) || group->bytes >= BYTES_MAX ||
			    age_ms(group) >= 250;
	if (group->phase == GROUP_FILLING && enough) {
		group->phase = GROUP_DRAINING;
		group->drain_started_ms = now_ms;
	}
	if (group->phase == GROUP_DRAINING && now_ms >= linger_at_ms(group))
		end_draining(group);
	if (group->phase == GROUP_LINGERING &&
		(group->count >= window(group) || group->bytes >= 2 * (size_t)BYTES_MAX))
		group->phase = GROUP_FULL;
	return group->phase == GROUP_EMPTY || group->phase == GROUP_LINGERING ||
	       (group->phase == GROUP_FILLING && !pauses(group));
}

bool group_drained(const struct group *group, bool reads_on)
{
	const bool awaits_company = reads_on && group->phase == GROUP_FILLING &&
				    group->count < GROUP_COMPANY_COUNT && age_ms(group) < GROUP_COMPANY_MS;
	return group->unsettled == 0 && !awaits_company;
}

bool group_too_old(const struct group *group)
{
	return (group->count > 0 || group->phase == GROUP_FLUSHING) && age_ms(group) >= group->limit_ms;
}

int64_t group_due_ms(const struct group *group, bool reads_on)
{
	if (group->count == 0 && group->phase != GROUP_FLUSHING)
		return INT64_MAX;
	int64_t due_ms = group->started_ms + group->limit_ms;
	if (group->phase == GROUP_FILLING && group->unsettled == 0 &&
		group->started_ms + GROUP_COMPANY_MS < due_ms)
		due_ms = group->started_ms + GROUP_COMPANY_MS;
	if (pauses(group) && group->unsettled < UNSETTLED_MAX && reads_on && group->reads_at_ms < due_ms)
		due_ms = group->reads_at_ms;
	if (group->phase == GROUP_DRAINING && reads_on && linger_at_ms(group) < due_ms)
		due_ms = linger_at_ms(group);
	return due_ms;
}

bool group_waits(const struct group *group)
{
	return group->phase == GROUP_DRAINING || group->phase == GROUP_FULL || pauses(group);
}
