/*
 * parking.c - see parking.h.
 *
 * What is to be done next for a backlog is decided in parking_next_step(), whenever something of it has changed: one job at a time,
 * and in one order, deletions before anything else. Backlogs that wait for a time are found by a walk over all, of which
 * the next time is known, so that ten thousand that rest cost nothing in between.
 */
#include "parking.h"

#include "command.h"
#include "parking_private.h"
#include "place.h"
#include "record.h"
#include "users.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	DECLINED_MS = 60000, /* a backlog that nobody here can run */
	SOON_MS = 1000,	     /* a backlog that is due by then lets commands wait in memory */
};

/* ---- Backlogs ---- */

int parking_new(const struct parking_options *options, struct parking **ret)
{
	struct parking *parking = calloc(1, sizeof(*parking));
	if (!parking)
		return -ENOMEM;
	parking->options = *options;
	parking->line_end = &parking->line;
	parking->walk_at_ms = parking->repeat_at_ms = INT64_MAX;
	parking->append_max = PARKING_APPEND_MAX;
	parking->finish_max = PARKED_BATCH_MAX;
	*ret = parking;
	return 0;
}

void parking_free(struct parking *parking)
{
	if (!parking)
		return;
	for (struct backlog *backlog = parking->backlogs, *next; backlog; backlog = next) {
		next = backlog->next;
		free(backlog->lane_id);
		free(backlog);
	}
	free(parking);
}

void parking_walk_by(struct parking *parking, int64_t at_ms)
{
	if (at_ms < parking->walk_at_ms)
		parking->walk_at_ms = at_ms;
}

struct backlog *parking_backlog(
	struct parking *parking, struct user *user, struct host_lane *home, const char *lane_id, bool foreign)
{
	if (user->backlog)
		return user->backlog;
	struct backlog *backlog = calloc(1, sizeof(*backlog));
	char *id = strdup(lane_id);
	if (!backlog || !id) {
		free(backlog);
		free(id);
		return NULL;
	}
	*backlog = (struct backlog){.next = parking->backlogs,
		.link = &parking->backlogs,
		.user = user,
		.home = home,
		.lane_id = id,
		.foreign = foreign,
		.due_ms = INT64_MAX};
	if (parking->backlogs)
		parking->backlogs->link = &backlog->next;
	parking->backlogs = backlog;
	parking->backlog_count++;
	user->backlog = backlog;
	parking_walk_by(parking, parking->now_ms + PARKING_WALK_MS);
	return backlog;
}

/* ---- What is next ---- */

/* What the database has refused is not tried again yet. */
static bool is_refused(struct parking *parking, const struct backlog *backlog)
{
	if (parking->now_ms >= backlog->refused_until_ms)
		return false;
	parking_walk_by(parking, backlog->refused_until_ms);
	return true;
}

static bool finish(struct parking *parking, struct backlog *backlog)
{
	const size_t done = backlog_count_done(backlog, parking->finish_max);
	if (done == 0)
		return false;
	if (backlog->done_since_ms == 0)
		backlog->done_since_ms = parking->now_ms;
	if (is_refused(parking, backlog))
		return true;
	const bool all = done == backlog->memory.count || done == parking->finish_max || backlog->postponed;
	/* At the same moments for all, so that they go together. */
	const int64_t due_ms = (backlog->done_since_ms / PARKING_FINISH_MS + 1) * PARKING_FINISH_MS;
	if (!all && parking->now_ms < due_ms) {
		parking_walk_by(parking, due_ms);
		return true;
	}
	parking_job_finish(parking, backlog, done);
	return true;
}

/* What follows others' documents waits for the next walk, and is written with what other users have. Who has nothing else to do does not wait. */
static bool gathers(struct parking *parking, const struct backlog *backlog)
{
	const bool waits = backlog->written && !backlog->to_store.first->stepping && !parking->walking &&
			   !parking->stopping && backlog->to_store.count < parking->append_max &&
			   (backlog->memory.first || backlog->state != BACKLOG_CLAIMED);
	if (waits)
		parking_walk_by(parking, parking->now_ms + PARKING_WALK_MS);
	return waits;
}

/* It is another host's now: what is in memory of it is not ours. What was found again in the store meanwhile stays known. False: something has to be
 * written before it can go. */
static bool forget(struct parking *parking, struct backlog *backlog)
{
	backlog_give_back(parking, backlog, true);
	backlog->postponed = NULL;
	if (backlog->to_store.first)
		return false;
	if (backlog->written) {
		backlog->dropped = false;
		backlog_rest(parking, backlog, parking->now_ms);
	} else {
		backlog_end(parking, backlog);
	}
	return true;
}

/* It stays in memory until its first documents are written, and is claimed when it is due. */
void parking_next_step(struct parking *parking, struct backlog *backlog)
{
	if (backlog->busy)
		return;
	if (backlog->dropped && forget(parking, backlog))
		return;
	if (finish(parking, backlog) && backlog->busy)
		return;
	if (backlog->postponed && backlog->postponed == backlog->memory.first &&
		!is_refused(parking, backlog)) {
		parking_job_postpone(parking, backlog);
		return;
	}
	if (backlog->to_store.first) {
		if (!gathers(parking, backlog))
			parking_job_append(parking, backlog);
		return;
	}
	if (backlog->declined) {
		parking_job_release(parking, backlog);
		return;
	}
	if (backlog->state == BACKLOG_CLAIMED && !backlog->memory.first) {
		if (!backlog->more) {
			backlog_end(parking, backlog);
		} else if (!parking->stopping) {
			parking_job_claim(parking, backlog);
		} else if (backlog->leased) {
			parking_job_release(parking, backlog);
		} else {
			backlog_rest(parking, backlog, INT64_MAX);
		}
		return;
	}
	if (backlog->state == BACKLOG_RESTING && !backlog->written)
		backlog_end(parking, backlog);
	else if (backlog->leased && parking->now_ms >= backlog->renew_at_ms)
		parking_job_renew(parking, backlog);
	else if (backlog->leased)
		parking_walk_by(parking, backlog->renew_at_ms);
}

/* ---- Public ---- */

void parking_store(struct parking *parking, struct backlog *backlog, struct command *command)
{
	backlog_list_add(&backlog->to_store, command);
	parking_next_step(parking, backlog);
}

void parking_add(struct parking *parking, struct backlog *backlog, struct command *command)
{
	command->backlog = backlog;
	backlog_list_add(&backlog->memory, command);
	parking->in_memory++;
}

void parking_done(struct parking *parking, struct command *command)
{
	parking_next_step(parking, command->backlog);
}

void parking_postpone(struct parking *parking, struct command *command, unsigned delay_ms)
{
	struct backlog *backlog = command->backlog;
	backlog->postponed = command;
	backlog->postpone_ms = delay_ms;
	parking_next_step(parking, backlog);
}

void parking_decline(struct parking *parking, struct command *command)
{
	struct backlog *backlog = command->backlog;
	backlog->declined = true;
	backlog->declined_until_ms = parking->now_ms + DECLINED_MS;
	backlog_give_back(parking, backlog, true);
	parking_next_step(parking, backlog);
}

void parking_found(struct parking *parking, struct backlog *backlog, int64_t due_ms)
{
	backlog->written = true;
	if (backlog->state != BACKLOG_RESTING || due_ms >= backlog->due_ms ||
		parking->now_ms < backlog->declined_until_ms)
		return;
	backlog->due_ms = due_ms;
	parking_walk_by(parking, due_ms);
}

void parking_place_freed(struct parking *parking, struct backlog *backlog)
{
	backlog->after = NULL;
	parking_walk_by(parking, backlog->due_ms);
}

static void walk(struct parking *parking)
{
	parking->walk_at_ms = INT64_MAX;
	parking->walking = true;
	for (struct backlog *backlog = parking->backlogs, *next; backlog; backlog = next) {
		next = backlog->next;
		if (backlog->state != BACKLOG_RESTING || backlog->to_store.first || backlog->dropped ||
			!backlog->written) {
			parking_next_step(parking, backlog);
			continue;
		}
		if (backlog->in_line || backlog->after || backlog->busy)
			continue;
		if (parking->now_ms < backlog->due_ms) {
			parking_walk_by(parking, backlog->due_ms);
			continue;
		}
		backlog->in_line = true;
		backlog->line_next = NULL;
		*parking->line_end = backlog;
		parking->line_end = &backlog->line_next;
	}
	parking->walking = false;
	/* Not more often than a person would notice. */
	if (parking->walk_at_ms < parking->now_ms + PARKING_WALK_MS)
		parking->walk_at_ms = parking->now_ms + PARKING_WALK_MS;
}

/* Those whose pause is over. */
static void repeat(struct parking *parking)
{
	struct parking_job **at = &parking->repeated;
	parking->repeat_at_ms = INT64_MAX;
	for (struct parking_job *job; (job = *at);) {
		if (job->pause_ms > 0)
			job->at_ms = parking->now_ms + job->pause_ms;
		job->pause_ms = 0;
		if (job->at_ms <= parking->now_ms) {
			*at = job->next;
			parking_submit(parking, job);
			continue;
		}
		if (job->at_ms < parking->repeat_at_ms)
			parking->repeat_at_ms = job->at_ms;
		at = &job->next;
	}
}

void parking_serve(struct parking *parking, bool may_claim, int64_t now_ms)
{
	parking->now_ms = now_ms;
	if (now_ms >= parking->repeat_at_ms)
		repeat(parking);
	if (now_ms >= parking->walk_at_ms)
		walk(parking);
	while (may_claim && !parking->stopping && parking->line &&
		parking->counted < parking->options.claimed_max) {
		struct backlog *backlog = parking->line;
		backlog_leave_line(parking, backlog);
		if (!backlog->busy && !backlog->to_store.first)
			parking_job_claim(parking, backlog);
		else
			parking_walk_by(parking, now_ms + PARKING_WALK_MS);
	}
}

int64_t parking_due_ms(const struct parking *parking)
{
	return parking->walk_at_ms < parking->repeat_at_ms ? parking->walk_at_ms : parking->repeat_at_ms;
}

void parking_store_back(struct parking *parking)
{
	struct parking_job *job = parking->repeated, *next;
	parking->repeated = NULL;
	parking->repeat_at_ms = INT64_MAX;
	for (; job; job = next) {
		next = job->next;
		parking_submit(parking, job);
	}
}

void parking_stop(struct parking *parking)
{
	parking->stopping = true;
	for (struct backlog *backlog = parking->backlogs, *next; backlog; backlog = next) {
		next = backlog->next;
		if (backlog->state == BACKLOG_CLAIMED)
			backlog_give_back(parking, backlog, false);
		if (backlog->state == BACKLOG_CLAIMED || backlog->to_store.first)
			parking_next_step(parking, backlog);
	}
}

bool parking_idle(const struct parking *parking)
{
	return parking->jobs == 0 && parking->claimed == 0 && !parking->repeated;
}

/* Dead letters are written all the same: one too many tells people of what they know. */
static void forget_repeated(struct parking *parking)
{
	struct parking_job *job = parking->repeated, *next;
	parking->repeated = NULL;
	for (; job; job = next) {
		next = job->next;
		if (job->backlog) {
			parking_forget_job(parking, job);
			continue;
		}
		job->next = parking->repeated;
		parking->repeated = job;
	}
}

void parking_drop_all(struct parking *parking)
{
	for (struct backlog *backlog = parking->backlogs; backlog; backlog = backlog->next) {
		backlog->dropped = true;
		backlog->written = false;
	}
	forget_repeated(parking);
	for (struct backlog *backlog = parking->backlogs, *next; backlog; backlog = next) {
		next = backlog->next;
		backlog_forget(parking, backlog, &backlog->to_store);
		/* A job that is under way needs what it was made of. */
		backlog_give_back(parking, backlog, !backlog->busy);
		parking_next_step(parking, backlog);
	}
}

bool parking_lets_wait(const struct parking *parking, const struct backlog *backlog)
{
	if (parking->stopping || backlog->dropped || backlog->stepped_aside || backlog->feared ||
		backlog->postponed || backlog->more ||
		backlog->memory.count + backlog->to_store.count >= PARKING_WAITING_MAX)
		return false;
	/* What has been due for as long waits for others, who are slow. */
	return backlog->state != BACKLOG_RESTING ||
	       (backlog->due_ms <= parking->now_ms + SOON_MS &&
		       backlog->due_ms >= parking->now_ms - SOON_MS && !backlog->after);
}

bool parking_is_due(const struct parking *parking, const struct backlog *backlog)
{
	return backlog->state != BACKLOG_RESTING || backlog->due_ms <= parking->now_ms + SOON_MS;
}

size_t parking_claimed_count(const struct parking *parking)
{
	return parking->in_memory;
}

size_t parking_backlog_count(const struct parking *parking)
{
	return parking->backlog_count;
}
