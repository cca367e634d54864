/*
 * parking_job.c - the storing jobs of parking.h: how each is made of a backlog.
 */
#include "parking_private.h"

#include "command.h"
#include "record.h"
#include "users.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void parking_submit(struct parking *parking, struct parking_job *job)
{
	parking->jobs++;
	pool_submit(parking->options.pool, &job->storing.job);
}

/* With room for so many bytes of inputs. NULL when out of memory: then the walk tries again. */
static struct parking_job *new_job(
	struct parking *parking, struct backlog *backlog, enum storing_kind kind, size_t inputs_size)
{
	struct parking_job *job = calloc(1, sizeof(*job) + inputs_size);
	if (!job) {
		if (parking->now_ms + PARKING_WALK_MS < parking->walk_at_ms)
			parking->walk_at_ms = parking->now_ms + PARKING_WALK_MS;
		return NULL;
	}
	storing_begin(&job->storing, kind, job);
	job->backlog = backlog;
	if (backlog) {
		backlog->busy = true;
		job->storing.lane = backlog->lane_id;
		job->storing.user =
			backlog->foreign ? strchr(backlog->user->name, '/') + 1 : backlog->user->name;
		job->storing.lease = (struct backlog_lease){
			.owner = parking->options.lease_owner, .lease_ms = PARKING_LEASE_MS};
	}
	return job;
}

/* A command that steps aside goes by itself, as it takes a lease. */
void parking_job_append(struct parking *parking, struct backlog *backlog)
{
	const bool steps = backlog->to_store.first->stepping;
	const size_t waiting = backlog->to_store.count;
	const size_t count = steps ? 1 : waiting < parking->append_max ? waiting : parking->append_max;
	struct parking_job *job = new_job(parking, backlog, STORING_APPEND, count * sizeof(void *));
	if (!job)
		return;
	for (size_t i = 0; i < count; i++) {
		struct command *command = backlog_list_take(&backlog->to_store);
		backlog_list_add(&job->list, command);
		job->inputs[i] = &command->record->written;
	}
	job->storing.commands = (const struct parked_command *const *)job->inputs;
	job->storing.count = count;
	job->storing.leased = steps;
	parking_submit(parking, job);
}

void parking_job_claim(struct parking *parking, struct backlog *backlog)
{
	struct parking_job *job = new_job(parking, backlog, STORING_CLAIM, 0);
	if (!job)
		return;
	backlog_set_state(parking, backlog, BACKLOG_CLAIMING);
	backlog->more = false;
	parking_submit(parking, job);
}

void parking_job_finish(struct parking *parking, struct backlog *backlog, size_t count)
{
	const struct command *first = backlog->memory.first;
	if (first->schedule)
		count = 1; /* each has an end of its own */
	struct parking_job *job = new_job(parking, backlog, STORING_FINISH, count * sizeof(struct store_id));
	if (!job)
		return;
	job->storing.schedule = first->schedule;
	if (first->schedule)
		job->storing.schedule_outcome = (struct schedule_outcome){
			.end = command_end_name(first->end),
			.events = first->events_sent,
			.ran_ms = (unsigned)(first->ran_us / 1000),
		};
	struct store_id *ids = (struct store_id *)job->inputs;
	const struct command *command = backlog->memory.first;
	for (size_t i = 0; i < count; i++, command = command->backlog_next)
		ids[i] = *command_store_id(command);
	job->storing.done = ids;
	job->storing.count = count;
	if (command) {
		job->first = *command_store_id(command);
		job->storing.next = &job->first;
		job->storing.leased = true;
	}
	parking_submit(parking, job);
}

static void keep_first(struct parking_job *job, size_t count)
{
	struct backlog *backlog = job->backlog;
	struct backlog_list kept = {0};
	while (kept.count < count)
		backlog_list_add(&kept, backlog_list_take(&job->list));
	for (struct command *command; (command = backlog_list_take(&backlog->to_store));)
		backlog_list_add(&job->list, command);
	backlog->to_store = job->list;
	job->list = kept;
}

void parking_job_halve(struct parking_job *job)
{
	struct storing *storing = &job->storing;
	storing->count = storing->count / 2 > PARKING_JOB_MIN ? storing->count / 2 : PARKING_JOB_MIN;
	if (storing->kind == STORING_APPEND) {
		keep_first(job, storing->count);
		return;
	}
	job->first = storing->done[storing->count];
	storing->next = &job->first;
	storing->leased = true;
}

void parking_job_postpone(struct parking *parking, struct backlog *backlog)
{
	struct parking_job *job = new_job(parking, backlog, STORING_POSTPONE, 0);
	if (!job)
		return;
	job->storing.first = &backlog->postponed->record->written;
	job->storing.delay_ms = backlog->postpone_ms;
	parking_submit(parking, job);
}

static void submit_leased(struct parking *parking, struct backlog *backlog, enum storing_kind kind)
{
	struct parking_job *job = new_job(parking, backlog, kind, 0);
	if (!job)
		return;
	job->first = backlog->leased_id;
	job->storing.next = &job->first;
	parking_submit(parking, job);
}

void parking_job_renew(struct parking *parking, struct backlog *backlog)
{
	submit_leased(parking, backlog, STORING_RENEW);
}

void parking_job_release(struct parking *parking, struct backlog *backlog)
{
	submit_leased(parking, backlog, STORING_RELEASE);
}

int parking_bury(struct parking *parking, struct command *command, const struct dead_letter *letter)
{
	struct parking_job *job = new_job(parking, NULL, STORING_BURY, 0);
	if (!job)
		return -ENOMEM;
	job->buried = command;
	job->letter = *letter;
	job->storing.letter = &job->letter;
	parking_submit(parking, job);
	return 0;
}
