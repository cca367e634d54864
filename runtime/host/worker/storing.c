/* storing.c - see storing.h. */
#include "storing.h"

#include "log.h"
#include "store.h"
#include <stdint.h>

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
	case STORING_FINISH:
		return parked_commands_finish(client, storing->user, storing->done, storing->count,
			storing->next, storing->leased ? lease : NULL);
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

void storing_run(struct storing *storing, struct store_client *client)
{
	storing->error = run(storing, client);
	if (storing->error == 0 || storing->error == PARKED_E_NONE || storing->error == PARKED_E_LATER)
		return;
	log_error("store_write_failed",
		"what was to be written to the store, or read from it, is not known to be done: it is tried again",
		LOG_TEXT("kind", names[storing->kind]), LOG_TEXT("user", user_of(storing)),
		LOG_TEXT("reason", store_last_error(client)));
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

int storing_pool_new(struct store *store, unsigned threads, struct pool **ret)
{
	const struct pool_options options = {.threads = threads, .owner = store, .open = storing_open};
	return pool_new(&options, ret);
}
