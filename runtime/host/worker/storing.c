/* storing.c - see storing.h. */
#include "storing.h"

#include "failpoint.h"
#include "log.h"
#include "store.h"
#include <stdlib.h>

static const char *const names[STORING_KINDS] = {
	[STORING_APPEND] = "append",
	[STORING_CLAIM] = "claim",
	[STORING_FINISH] = "finish",
	[STORING_POSTPONE] = "postpone",
	[STORING_RENEW] = "renew",
	[STORING_RELEASE] = "release",
	[STORING_BURY] = "bury",
};

const char *storing_kind_name(enum storing_kind kind)
{
	return names[kind];
}

/* ---- Dead letters ---- */

/* All that the letter says, but for the payload: if it cannot be kept, this is what is left of it. */
static void log_refused(const struct dead_letter *letter, const char *error)
{
	log_error("dead_letter_refused",
		"the database refuses a dead letter: it is tried without its payload",
		LOG_TEXT("user", letter->user), LOG_TEXT("topic", letter->topic),
		LOG_TEXT("handler", letter->handler), LOG_TEXT("reason", letter->reason),
		LOG_INT("attempt", letter->attempts), LOG_INT("payload_bytes", letter->payload_size),
		LOG_TEXT("error", error));
}

/* The server refuses the letter itself: without what a phone put into it there may be room for it. */
static int bury_without_payload(struct store_client *client, const struct dead_letter *letter)
{
	log_refused(letter, store_last_error(client));
	struct dead_letter cut = *letter;
	if (cut.payload_cut_from == 0)
		cut.payload_cut_from = cut.payload_size;
	cut.payload_size = 0;
	cut.correlation = NULL;
	cut.response_topic = NULL;
	return dead_letter_add(client, &cut);
}

static int bury(struct store_client *client, const struct dead_letter *letter)
{
	const int error = dead_letter_add(client, letter);
	return error == STORE_E_PERMANENT ? bury_without_payload(client, letter) : error;
}

/* ---- Schedules ---- */

static struct parked_finish finish_of(const struct storing *storing)
{
	return (struct parked_finish){.user = storing->user,
		.done = storing->done,
		.count = storing->count,
		.next = storing->next,
		.lease = storing->leased ? &storing->lease : NULL};
}

/* How far its schedule is comes before its document goes: should the host die in between, the run is there, and is run once more. */
static int finish(struct storing *storing, struct store_client *client)
{
	if (storing->schedule) {
		const int error = schedule_end(
			client, storing->schedule, &storing->done[0], &storing->schedule_outcome);
		if (error != 0)
			return error;
		failpoint("schedule_ended");
	}
	const struct parked_finish finish = finish_of(storing);
	return parked_commands_finish(client, &finish, 1);
}

/* ---- All kinds ---- */

static int run(struct storing *storing, struct store_client *client)
{
	const struct backlog_lease *lease = &storing->lease;
	switch (storing->kind) {
	case STORING_APPEND:
		return parked_commands_append(client, storing->commands, storing->count,
			storing->leased ? lease : NULL, &storing->failed);
	case STORING_CLAIM:
		return parked_commands_claim(
			client, storing->lane, storing->user, lease, 0, 0, &storing->batch);
	case STORING_FINISH: return finish(storing, client);
	case STORING_POSTPONE:
		return parked_commands_postpone(client, storing->first, lease->owner, storing->delay_ms);
	case STORING_RENEW: return parked_commands_renew(client, storing->user, storing->next, lease);
	case STORING_RELEASE:
		return parked_commands_release(client, storing->user, storing->next, lease->owner);
	case STORING_BURY: return bury(client, storing->letter);
	case STORING_KINDS: break;
	}
	return STORE_E_PERMANENT;
}

/* Whom it is about, for the log. */
static const char *user_of(const struct storing *storing)
{
	if (storing->letter)
		return storing->letter->user;
	if (storing->first)
		return storing->first->user;
	return storing->commands && storing->count > 0 ? storing->commands[0]->user : storing->user;
}

static void report(const struct storing *storing, struct store_client *client)
{
	if (storing->error == 0 || storing->error == PARKED_E_NONE || storing->error == PARKED_E_LATER)
		return;
	log_error("store_write_failed",
		"what was to be written to the store, or read from it, is not known to be done: it is tried again",
		LOG_TEXT("kind", names[storing->kind]), LOG_TEXT("user", user_of(storing)),
		LOG_TEXT("reason", store_last_error(client)));
}

/* ---- Several together ---- */

enum { JOINS_MAX = 16 }; /* documents of one that joins others: a larger one is an operation of its own */

static bool goes_together(const struct storing *storing)
{
	return !storing->alone && storing->count <= JOINS_MAX &&
	       ((storing->kind == STORING_APPEND && !storing->leased) ||
		       (storing->kind == STORING_FINISH && !storing->schedule));
}

bool storing_joins(const struct storing *first, const struct storing *other)
{
	return first->kind == other->kind && goes_together(first) && goes_together(other);
}

static struct storing *next_of(const struct storing *storing)
{
	return (struct storing *)storing->job.next;
}

static int append_together(const struct storing *first, struct store_client *client)
{
	size_t count = 0, failed;
	for (const struct storing *storing = first; storing; storing = next_of(storing))
		count += storing->count;
	const struct parked_command **commands = calloc(count, sizeof(*commands));
	if (!commands)
		return STORE_E_PERMANENT;
	count = 0;
	for (const struct storing *storing = first; storing; storing = next_of(storing))
		for (size_t i = 0; i < storing->count; i++)
			commands[count++] = storing->commands[i];
	const int error = parked_commands_append(client, commands, count, NULL, &failed);
	free(commands);
	return error;
}

static int finish_together(const struct storing *first, struct store_client *client)
{
	size_t count = 0;
	for (const struct storing *storing = first; storing; storing = next_of(storing))
		count++;
	struct parked_finish *finishes = calloc(count, sizeof(*finishes));
	if (!finishes)
		return STORE_E_PERMANENT;
	count = 0;
	for (const struct storing *storing = first; storing; storing = next_of(storing))
		finishes[count++] = finish_of(storing);
	const int error = parked_commands_finish(client, finishes, count);
	free(finishes);
	return error;
}

/* Which of them the database refuses is found by asking for each; what of them is done already does no harm. Where it does not answer, none is
 * known to be done. */
static void run_together(struct storing *first, struct store_client *client)
{
	const int error = first->kind == STORING_APPEND ? append_together(first, client)
							: finish_together(first, client);
	for (struct storing *storing = first; storing; storing = next_of(storing)) {
		storing->error = error == STORE_E_PERMANENT ? run(storing, client) : error;
		if (storing == first || error == STORE_E_PERMANENT)
			report(storing, client);
	}
}

void storing_run(struct storing *storing, struct store_client *client)
{
	if (storing->job.next) {
		run_together(storing, client);
		return;
	}
	storing->error = run(storing, client);
	report(storing, client);
}

/* ---- Threads ---- */

static int storing_open(void *owner, unsigned thread, void **ret_context)
{
	(void)thread;
	*ret_context = owner;
	return 0;
}

/* A client for each job: while nothing is to be done the store has all of them. */
static void storing_job(struct job *job, void *context)
{
	struct store_client *client = store_acquire(context);
	storing_run((struct storing *)job, client);
	store_release(client);
}

void storing_begin(struct storing *storing, enum storing_kind kind, void *owner)
{
	*storing = (struct storing){.job = {.run = storing_job}, .kind = kind, .owner = owner};
}

static bool jobs_join(const struct job *first, const struct job *other)
{
	return storing_joins((const struct storing *)first, (const struct storing *)other);
}

int storing_pool_new(struct store *store, unsigned threads, struct pool **ret)
{
	const struct pool_options options = {
		.threads = threads, .owner = store, .open = storing_open, .joins = jobs_join};
	return pool_new(&options, ret);
}
