/*
 * parking.c - see parking.h.
 *
 * What is to be done next for a backlog is decided in next_step(), whenever something of it has changed: one job at a time,
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
	CLAIMED_MAX = 64,    /* backlogs in memory at once, but for those that stepped aside */
	DECLINED_MS = 60000, /* a backlog that nobody here can run */
	SOON_MS = 1000,	     /* a backlog that is due by then lets commands wait in memory */
};

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

/* ---- Backlogs ---- */

int parking_new(const struct parking_options *options, struct parking **ret)
{
	struct parking *parking = calloc(1, sizeof(*parking));
	if (!parking)
		return -ENOMEM;
	parking->options = *options;
	parking->line_end = &parking->line;
	parking->walk_at_ms = INT64_MAX;
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

static void walk_by(struct parking *parking, int64_t at_ms)
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
	user->backlog = backlog;
	walk_by(parking, parking->now_ms + PARKING_WALK_MS);
	return backlog;
}

static void take_out_of_line(struct parking *parking, struct backlog *backlog)
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

static void set_state(struct parking *parking, struct backlog *backlog, enum backlog_state state)
{
	const bool was_claimed = backlog->state != BACKLOG_RESTING, is_claimed = state != BACKLOG_RESTING;
	parking->claimed = parking->claimed + is_claimed - was_claimed;
	backlog->state = state;
}

/* Nothing is left of it. */
static void end(struct parking *parking, struct backlog *backlog)
{
	struct user *user = backlog->user;
	set_state(parking, backlog, BACKLOG_RESTING);
	take_out_of_line(parking, backlog);
	if (backlog->after)
		backlog->after->delays = NULL;
	*backlog->link = backlog->next;
	if (backlog->next)
		backlog->next->link = backlog->link;
	user->backlog = NULL;
	free(backlog->lane_id);
	free(backlog);
	parking->options.callbacks->over(parking->options.owner, user);
}

static void rest(struct parking *parking, struct backlog *backlog, int64_t due_ms)
{
	set_state(parking, backlog, BACKLOG_RESTING);
	backlog->stepped_aside = false;
	backlog->leased = false;
	backlog->more = false;
	backlog->done_since_ms = 0;
	backlog->due_ms = due_ms;
	walk_by(parking, due_ms);
}

/* Gives back what has not begun, or (lost) all that is in memory. */
static void give_back(struct parking *parking, struct backlog *backlog, bool lost)
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

/* ---- What is next ---- */

/* How many of the first in memory are done. */
static size_t count_done(const struct backlog *backlog)
{
	size_t count = 0;
	for (const struct command *command = backlog->memory.first;
		command && command->state == COMMAND_FINISHING && count < PARKED_BATCH_MAX;
		command = command->backlog_next)
		count++;
	return count;
}

static bool finish(struct parking *parking, struct backlog *backlog)
{
	const size_t done = count_done(backlog);
	if (done == 0)
		return false;
	if (backlog->done_since_ms == 0)
		backlog->done_since_ms = parking->now_ms;
	const bool all = done == backlog->memory.count || done == PARKED_BATCH_MAX || backlog->postponed;
	if (!all && parking->now_ms - backlog->done_since_ms < PARKING_FINISH_MS) {
		walk_by(parking, backlog->done_since_ms + PARKING_FINISH_MS);
		return true;
	}
	parking_job_finish(parking, backlog, done);
	return true;
}

/* It is another host's now: what is in memory of it is not ours. What was found again in the store meanwhile stays known. False: something has to be written before it can go. */
static bool forget(struct parking *parking, struct backlog *backlog)
{
	give_back(parking, backlog, true);
	backlog->postponed = NULL;
	if (backlog->to_store.first)
		return false;
	if (backlog->written) {
		backlog->dropped = false;
		rest(parking, backlog, parking->now_ms);
	} else {
		end(parking, backlog);
	}
	return true;
}

/* It stays in memory until its first documents are written, and is claimed when it is due. */
static void next_step(struct parking *parking, struct backlog *backlog)
{
	if (backlog->busy)
		return;
	if (backlog->dropped && forget(parking, backlog))
		return;
	if (finish(parking, backlog) && backlog->busy)
		return;
	if (backlog->postponed && backlog->postponed == backlog->memory.first) {
		parking_job_postpone(parking, backlog);
		return;
	}
	if (backlog->to_store.first) {
		parking_job_append(parking, backlog);
		return;
	}
	if (backlog->declined) {
		parking_job_release(parking, backlog);
		return;
	}
	if (backlog->state == BACKLOG_CLAIMED && !backlog->memory.first) {
		if (!backlog->more) {
			end(parking, backlog);
		} else if (!parking->stopping) {
			parking_job_claim(parking, backlog);
		} else if (backlog->leased) {
			parking_job_release(parking, backlog);
		} else {
			rest(parking, backlog, INT64_MAX);
		}
		return;
	}
	if (backlog->state == BACKLOG_RESTING && !backlog->written)
		end(parking, backlog);
	else if (backlog->leased && parking->now_ms - backlog->leased_ms >= PARKING_LEASE_MS / 2)
		parking_job_renew(parking, backlog);
	else if (backlog->leased)
		walk_by(parking, backlog->leased_ms + PARKING_LEASE_MS / 2);
}

/* ---- What a job came to ---- */

static void lease_held(struct parking *parking, struct backlog *backlog, const struct store_id *id)
{
	backlog->leased = true;
	backlog->leased_id = *id;
	backlog->leased_ms = parking->now_ms;
	walk_by(parking, parking->now_ms + PARKING_LEASE_MS / 2);
}

static void appended(struct parking *parking, struct backlog *backlog, struct parking_job *job)
{
	const struct parking_owner *callbacks = parking->options.callbacks;
	const size_t written = job->storing.error == 0 ? job->list.count : job->storing.failed;
	for (size_t i = 0; i < written; i++) {
		struct command *command = backlog_list_take(&job->list);
		backlog->written = true;
		if (command->stepping) {
			set_state(parking, backlog, BACKLOG_CLAIMED);
			lease_held(parking, backlog, command_store_id(command));
		} else if (backlog->state == BACKLOG_RESTING) {
			const int64_t due_ms = parking->now_ms + command->record->written.due_in_ms;
			if (backlog->due_ms == INT64_MAX)
				backlog->due_ms = due_ms;
			walk_by(parking, backlog->due_ms);
		} else {
			backlog->more = true;
		}
		callbacks->stored(parking->options.owner, command, false);
	}
	struct command *refused = backlog_list_take(&job->list);
	if (!refused)
		return;
	/* Those behind it are written by the next job, before what has come since. */
	for (struct command *command; (command = backlog_list_take(&backlog->to_store));)
		backlog_list_add(&job->list, command);
	backlog->to_store = job->list;
	if (refused->stepping)
		backlog->stepped_aside = false;
	callbacks->stored(parking->options.owner, refused, true);
}

static void claimed(struct parking *parking, struct backlog *backlog, struct parking_job *job)
{
	struct storing *storing = &job->storing;
	if (storing->error == PARKED_E_NONE) {
		backlog->written = false;
		rest(parking, backlog, INT64_MAX);
		return;
	}
	if (storing->error != 0) {
		rest(parking, backlog,
			parking->now_ms + (storing->error == PARKED_E_LATER ? storing->batch.later_ms
									    : PARKING_RETRY_MS));
		return;
	}
	if (backlog->dropped) {
		parked_batch_free(&storing->batch);
		rest(parking, backlog, INT64_MAX);
		return;
	}
	set_state(parking, backlog, BACKLOG_CLAIMED);
	backlog->more = storing->batch.more;
	lease_held(parking, backlog, &storing->batch.commands[0]->id);
	for (size_t i = 0; i < storing->batch.count; i++) {
		if (!parking->options.callbacks->read(
			    parking->options.owner, backlog, storing->batch.commands[i])) {
			backlog->more = true;
			break;
		}
		storing->batch.commands[i] = NULL;
	}
	parked_batch_free(&storing->batch);
	if (parking->stopping)
		give_back(parking, backlog, false);
	else
		parking->options.callbacks->claimed(parking->options.owner, backlog);
}

static void finished(struct parking *parking, struct backlog *backlog, struct parking_job *job)
{
	if (job->storing.leased)
		lease_held(parking, backlog, &job->first);
	else
		backlog->leased = false;
	backlog->done_since_ms = 0;
	for (size_t i = 0; i < job->storing.count; i++) {
		parking->in_memory--;
		parking->options.callbacks->finished(
			parking->options.owner, backlog_list_take(&backlog->memory));
	}
	/* What has stepped aside is through: new commands may wait in memory again. */
	backlog->stepped_aside = backlog->stepped_aside && backlog->memory.first;
}

static void postponed(struct parking *parking, struct backlog *backlog)
{
	backlog->postponed = NULL;
	give_back(parking, backlog, true);
	rest(parking, backlog, parking->now_ms + backlog->postpone_ms);
}

static void renewed(struct parking *parking, struct backlog *backlog, const struct parking_job *job)
{
	if (job->storing.error == 0) {
		backlog->leased_ms = parking->now_ms;
		return;
	}
	give_back(parking, backlog, true);
	backlog->postponed = NULL;
	rest(parking, backlog, parking->now_ms + PARKING_LEASE_MS);
}

static void come_back(struct parking *parking, struct parking_job *job)
{
	struct backlog *backlog = job->backlog; /* busy: nothing is begun from within the callbacks */
	switch (job->storing.kind) {
	case STORING_APPEND: appended(parking, backlog, job); break;
	case STORING_CLAIM: claimed(parking, backlog, job); break;
	case STORING_FINISH: finished(parking, backlog, job); break;
	case STORING_POSTPONE: postponed(parking, backlog); break;
	case STORING_RENEW: renewed(parking, backlog, job); break;
	case STORING_RELEASE:
		backlog->declined = false;
		rest(parking, backlog, INT64_MAX);
		break;
	case STORING_BURY:
	case STORING_KINDS: abort();
	}
	backlog->busy = false;
	next_step(parking, backlog);
}

/* Answers that say nothing of what became of it. */
static bool unanswered(const struct storing *storing)
{
	return storing->error != 0 && storing->error != PARKED_E_NONE && storing->error != PARKED_E_LATER &&
	       storing->error != STORE_E_PERMANENT;
}

void parking_returned(struct parking *parking, struct job *jobs)
{
	for (struct job *next; jobs; jobs = next) {
		next = jobs->next;
		struct parking_job *job = (struct parking_job *)jobs;
		parking->jobs--;
		if (unanswered(&job->storing)) {
			job->next = parking->repeated;
			parking->repeated = job;
			parking->options.callbacks->away(parking->options.owner);
			continue;
		}
		if (job->backlog)
			come_back(parking, job);
		else
			parking->options.callbacks->buried(
				parking->options.owner, job->buried, job->storing.error);
		free(job);
	}
}

/* ---- Public ---- */

void parking_store(struct parking *parking, struct backlog *backlog, struct command *command)
{
	backlog_list_add(&backlog->to_store, command);
	next_step(parking, backlog);
}

void parking_add(struct parking *parking, struct backlog *backlog, struct command *command)
{
	command->backlog = backlog;
	backlog_list_add(&backlog->memory, command);
	parking->in_memory++;
}

void parking_done(struct parking *parking, struct command *command)
{
	next_step(parking, command->backlog);
}

void parking_postpone(struct parking *parking, struct command *command, unsigned delay_ms)
{
	struct backlog *backlog = command->backlog;
	backlog->postponed = command;
	backlog->postpone_ms = delay_ms;
	next_step(parking, backlog);
}

void parking_decline(struct parking *parking, struct command *command)
{
	struct backlog *backlog = command->backlog;
	backlog->declined = true;
	backlog->declined_until_ms = parking->now_ms + DECLINED_MS;
	give_back(parking, backlog, true);
	next_step(parking, backlog);
}

void parking_found(struct parking *parking, struct backlog *backlog, int64_t due_ms)
{
	backlog->written = true;
	if (backlog->state != BACKLOG_RESTING || due_ms >= backlog->due_ms ||
		parking->now_ms < backlog->declined_until_ms)
		return;
	backlog->due_ms = due_ms;
	walk_by(parking, due_ms);
}

void parking_place_freed(struct parking *parking, struct backlog *backlog)
{
	backlog->after = NULL;
	walk_by(parking, backlog->due_ms);
}

static void walk(struct parking *parking)
{
	parking->walk_at_ms = INT64_MAX;
	for (struct backlog *backlog = parking->backlogs, *next; backlog; backlog = next) {
		next = backlog->next;
		if (backlog->state != BACKLOG_RESTING || backlog->to_store.first || backlog->dropped ||
			!backlog->written) {
			next_step(parking, backlog);
			continue;
		}
		if (backlog->in_line || backlog->after || backlog->busy)
			continue;
		if (parking->now_ms < backlog->due_ms) {
			walk_by(parking, backlog->due_ms);
			continue;
		}
		backlog->in_line = true;
		backlog->line_next = NULL;
		*parking->line_end = backlog;
		parking->line_end = &backlog->line_next;
	}
	/* Not more often than a person would notice. */
	if (parking->walk_at_ms < parking->now_ms + PARKING_WALK_MS)
		parking->walk_at_ms = parking->now_ms + PARKING_WALK_MS;
}

void parking_serve(struct parking *parking, bool may_claim, int64_t now_ms)
{
	parking->now_ms = now_ms;
	if (now_ms >= parking->walk_at_ms)
		walk(parking);
	while (may_claim && !parking->stopping && parking->line && parking->claimed < CLAIMED_MAX) {
		struct backlog *backlog = parking->line;
		take_out_of_line(parking, backlog);
		if (!backlog->busy && !backlog->to_store.first)
			parking_job_claim(parking, backlog);
		else
			walk_by(parking, now_ms + PARKING_WALK_MS);
	}
}

int64_t parking_due_ms(const struct parking *parking)
{
	return parking->walk_at_ms;
}

void parking_store_back(struct parking *parking)
{
	struct parking_job *job = parking->repeated, *next;
	parking->repeated = NULL;
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
		if (backlog->state != BACKLOG_CLAIMED)
			continue;
		give_back(parking, backlog, false);
		next_step(parking, backlog);
	}
}

bool parking_idle(const struct parking *parking)
{
	return parking->jobs == 0 && parking->claimed == 0 && !parking->repeated;
}

void parking_drop_all(struct parking *parking)
{
	for (struct backlog *backlog = parking->backlogs, *next; backlog; backlog = next) {
		next = backlog->next;
		/* A job that is under way needs what it was made of. */
		give_back(parking, backlog, !backlog->busy);
		backlog->dropped = true;
		backlog->written = false;
		next_step(parking, backlog);
	}
}

bool parking_lets_wait(const struct parking *parking, const struct backlog *backlog)
{
	if (parking->stopping || backlog->dropped || backlog->stepped_aside || backlog->postponed ||
		backlog->more || backlog->memory.count + backlog->to_store.count >= PARKING_WAITING_MAX)
		return false;
	/* What has been due for as long waits for others, who are slow. */
	return backlog->state != BACKLOG_RESTING ||
	       (backlog->due_ms <= parking->now_ms + SOON_MS &&
		       backlog->due_ms >= parking->now_ms - SOON_MS && !backlog->after);
}

size_t parking_claimed_count(const struct parking *parking)
{
	return parking->in_memory;
}
