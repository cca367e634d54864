/*
 * parking_outcome.c - what the storing jobs of parking.h came to, and what that means for their backlogs.
 *
 * Happy path: parking_returned() gives each job to the function of its kind, and its backlog goes on. Failure: what the store answered that it cannot
 * do now is repeated after a pause; what it did not answer, when it answers again; neither where another host may have taken over since. What it
 * refuses changes nothing.
 */
#include "parking_private.h"

#include "clock.h"
#include "command.h"
#include "log.h"
#include "record.h"
#include "users.h"
#include <stdlib.h>

enum { REPEAT_MIN_MS = 50, REPEAT_MAX_MS = 1000 };

static void lease_held(struct parking *parking, struct backlog *backlog, const struct store_id *id)
{
	backlog->leased = true;
	backlog->leased_id = *id;
	backlog->leased_ms = parking->now_ms;
	backlog->renew_at_ms = parking->now_ms + PARKING_LEASE_MS / 2;
	parking_walk_by(parking, backlog->renew_at_ms);
}

/* The database has answered that it will not: a rule of the collection, or a right that is missing. Nothing was written; it is tried again, as
 * somebody may put that right. What runs into it again and again is told once. */
static bool refused(struct parking *parking, const struct parking_job *job)
{
	const bool refused = job->storing.error == STORE_E_PERMANENT;
	bool *told = &parking->told_refused[job->storing.kind];
	if (refused && !*told)
		log_error("parked_refused",
			"the database refuses to delete parked commands, or to change them: they stay as they are, and it is tried again",
			LOG_TEXT("kind", storing_kind_name(job->storing.kind)),
			LOG_TEXT("user", job->backlog->user->name));
	*told = refused;
	return refused;
}

/* So many were done in time. */
static void more_at_once(size_t *max, size_t count, size_t most)
{
	if (count >= *max)
		*max = count + PARKING_JOB_MIN;
	if (*max > most)
		*max = most;
}

static void appended(struct parking *parking, struct backlog *backlog, struct parking_job *job)
{
	const struct parking_owner *callbacks = parking->options.callbacks;
	const size_t written = job->storing.error == 0 ? job->list.count : job->storing.failed;
	for (size_t i = 0; i < written; i++) {
		struct command *command = backlog_list_take(&job->list);
		backlog->written = true;
		if (command->stepping) {
			backlog_set_state(parking, backlog, BACKLOG_CLAIMED);
			lease_held(parking, backlog, command_store_id(command));
		} else if (backlog->state == BACKLOG_RESTING) {
			const int64_t due_ms = parking->now_ms + command->record->written.due_in_ms;
			if (backlog->due_ms == INT64_MAX)
				backlog->due_ms = due_ms;
			parking_walk_by(parking, backlog->due_ms);
		} else {
			backlog->more = true;
		}
		callbacks->stored(parking->options.owner, command, false);
	}
	struct command *refused = backlog_list_take(&job->list);
	if (!refused) {
		more_at_once(&parking->append_max, written, PARKING_APPEND_MAX);
		return;
	}
	/* Those behind it are written by the next job, before what has come since. */
	for (struct command *command; (command = backlog_list_take(&backlog->to_store));)
		backlog_list_add(&job->list, command);
	backlog->to_store = job->list;
	if (refused->stepping)
		backlog_steps_back(parking, backlog);
	callbacks->stored(parking->options.owner, refused, true);
}

static void claimed(struct parking *parking, struct backlog *backlog, struct parking_job *job)
{
	struct storing *storing = &job->storing;
	if (storing->error == PARKED_E_NONE) {
		backlog->written = false;
		backlog_rest(parking, backlog, INT64_MAX);
		return;
	}
	if (storing->error != 0) {
		backlog_rest(parking, backlog,
			parking->now_ms + (storing->error == PARKED_E_LATER ? storing->batch.later_ms
									    : PARKING_RETRY_MS));
		return;
	}
	if (backlog->dropped) {
		parked_batch_free(&storing->batch);
		backlog_rest(parking, backlog, INT64_MAX);
		return;
	}
	backlog_set_state(parking, backlog, BACKLOG_CLAIMED);
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
		backlog_give_back(parking, backlog, false);
	else
		parking->options.callbacks->claimed(parking->options.owner, backlog);
}

static void finished(struct parking *parking, struct backlog *backlog, struct parking_job *job)
{
	if (refused(parking, job)) { /* what counted as deleted would run again at the next start */
		backlog->refused_until_ms = parking->now_ms + PARKING_REFUSED_MS;
		return;
	}
	if (job->storing.leased)
		lease_held(parking, backlog, &job->first);
	else
		backlog->leased = false;
	backlog->done_since_ms = 0;
	backlog->feared = false;
	more_at_once(&parking->finish_max, job->storing.count, PARKED_BATCH_MAX);
	for (size_t i = 0; i < job->storing.count; i++) {
		parking->in_memory--;
		parking->options.callbacks->finished(
			parking->options.owner, backlog_list_take(&backlog->memory));
	}
	/* What has stepped aside is through: new commands may wait in memory again. */
	if (!backlog->memory.first)
		backlog_steps_back(parking, backlog);
}

static void postponed(struct parking *parking, struct backlog *backlog, const struct parking_job *job)
{
	if (refused(parking, job)) { /* an attempt that is not written down would never be the last one */
		backlog->refused_until_ms = parking->now_ms + PARKING_REFUSED_MS;
		return;
	}
	backlog->postponed = NULL;
	backlog_give_back(parking, backlog, true);
	backlog_rest(parking, backlog, parking->now_ms + backlog->postpone_ms);
}

static void renewed(struct parking *parking, struct backlog *backlog, const struct parking_job *job)
{
	if (refused(parking, job) && parking->now_ms - backlog->leased_ms < PARKING_LEASE_MS) {
		backlog->renew_at_ms = parking->now_ms + PARKING_RETRY_MS;
		return;
	}
	if (job->storing.error == 0) {
		lease_held(parking, backlog, &job->first);
		return;
	}
	backlog_give_back(parking, backlog, true);
	backlog->postponed = NULL;
	backlog_rest(parking, backlog, parking->now_ms + PARKING_LEASE_MS);
}

static void come_back(struct parking *parking, struct parking_job *job)
{
	struct backlog *backlog = job->backlog; /* busy: nothing is begun from within the callbacks */
	switch (job->storing.kind) {
	case STORING_APPEND: appended(parking, backlog, job); break;
	case STORING_CLAIM: claimed(parking, backlog, job); break;
	case STORING_FINISH: finished(parking, backlog, job); break;
	case STORING_POSTPONE: postponed(parking, backlog, job); break;
	case STORING_RENEW: renewed(parking, backlog, job); break;
	case STORING_RELEASE: /* refused: the lease ends by itself */
		backlog->declined = false;
		backlog_rest(parking, backlog, INT64_MAX);
		break;
	case STORING_BURY:
	case STORING_KINDS: abort();
	}
	backlog->busy = false;
	parking_next_step(parking, backlog);
}

/* An append may have been written, or be written yet: so long as that is not known the user has a backlog, and nothing of his overtakes it. */
void parking_forget_job(struct parking *parking, struct parking_job *job)
{
	struct backlog *backlog = job->backlog;
	backlog_forget(parking, backlog, &job->list);
	if (job->storing.kind == STORING_APPEND)
		backlog->written = true;
	else if (job->storing.kind == STORING_RELEASE)
		backlog->declined = false;
	backlog->busy = false;
	free(job);
}

/* Answers that say nothing of what became of it. */
static bool unanswered(const struct storing *storing)
{
	return storing->error != 0 && storing->error != PARKED_E_NONE && storing->error != PARKED_E_LATER &&
	       storing->error != STORE_E_PERMANENT;
}

/* Fewer at once may be what the database can do in time. */
static void less_at_once(struct parking *parking, struct parking_job *job)
{
	size_t *max = job->storing.kind == STORING_APPEND ? &parking->append_max : &parking->finish_max;
	parking_job_halve(job);
	if (job->storing.count < *max)
		*max = job->storing.count;
}

static void repeat_later(struct parking *parking, struct parking_job *job)
{
	const bool many = job->storing.kind == STORING_APPEND || job->storing.kind == STORING_FINISH;
	if (many && job->storing.count > PARKING_JOB_MIN)
		less_at_once(parking, job);
	job->storing.alone = true;
	job->next = parking->repeated;
	parking->repeated = job;
	if (job->storing.error == STORE_E_TRANSIENT) {
		job->pause_ms = clock_jitter_ms(backoff_ms(job->failures++, REPEAT_MIN_MS, REPEAT_MAX_MS));
		parking->repeat_at_ms = INT64_MIN; /* the next turn knows what time it is */
		return;
	}
	job->failures = 0;
	job->pause_ms = 0;
	job->at_ms = INT64_MAX;
}

void parking_returned(struct parking *parking, struct job *jobs)
{
	for (struct job *next; jobs; jobs = next) {
		next = jobs->next;
		struct parking_job *job = (struct parking_job *)jobs;
		parking->jobs--;
		if (unanswered(&job->storing)) {
			const bool answered = job->storing.error == STORE_E_TRANSIENT;
			struct backlog *backlog = job->backlog;
			if (backlog && backlog->dropped) {
				parking_forget_job(parking, job);
				parking_next_step(parking, backlog);
			} else {
				repeat_later(parking, job);
			}
			if (!answered)
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
