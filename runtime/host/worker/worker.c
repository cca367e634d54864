/*
 * worker.c - see worker_run.h.
 */
#include "worker.h"

#include "backlogs.h"
#include "board.h"
#include "call.h"
#include "clock.h"
#include "command.h"
#include "failpoint.h"
#include "lane.h"
#include "log.h"
#include "settings.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>

_Static_assert((int)CALL_FAILED + 1 == FIGURES_ENDS, "the figures count all ends");

/* What no init has made, no fini is called for. */
static void state_end(const struct cashew_handler *handler, void *state)
{
	if (handler->init != NULL && handler->fini != NULL)
		handler->fini(state);
}

int worker_states_new(struct worker_context *context)
{
	const struct routes *routes = context->routes;
	context->states = calloc(routes->handler_count, sizeof(*context->states));
	if (context->states == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < routes->handler_count; i++) {
		const struct cashew_handler *handler = routes->handlers[i];
		if (handler->init == NULL)
			continue;
		const int rc = handler->init(&context->states[i]);
		if (rc != 0) {
			log_error("handler_init_failed", "a handler's init failed: the host does not start",
				LOG_TEXT("handler", handler->name), LOG_INT("returned", rc));
			while (i-- > 0)
				state_end(routes->handlers[i], context->states[i]);
			free(context->states);
			context->states = NULL;
			return -ECANCELED;
		}
	}
	return 0;
}

void worker_states_free(struct worker_context *context)
{
	if (context->states == NULL)
		return;
	for (size_t i = 0; i < context->routes->handler_count; i++)
		state_end(context->routes->handlers[i], context->states[i]);
	free(context->states);
	context->states = NULL;
}

static unsigned deadline_ms(const struct cashew_command *call)
{
	return call->handler->deadline_ms != 0 ? call->handler->deadline_ms
					       : call->settings->handler_timeout_s * 1000;
}

static void log_run(const struct command *command, const struct cashew_command *call, enum call_end end)
{
	static const struct {
		enum log_level level;
		const char *event, *message;
	} lines[] = {
		[CALL_DONE] = {LOG_LEVEL_DEBUG, "command_done", "a handler is done"},
		[CALL_REJECTED] = {LOG_LEVEL_INFO, "command_rejected", "a handler rejected the command"},
		[CALL_RETRY] = {LOG_LEVEL_WARN, "command_retry", "a handler met a transient failure"},
		[CALL_FAILED] = {LOG_LEVEL_ERROR, "command_failed", "a handler failed for good"},
	};
	LOG_EVENT(lines[end].level, lines[end].event, lines[end].message,
		LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
		LOG_TEXT("handler", call->handler->name), LOG_INT("attempt", command->attempts),
		LOG_REAL("ms", call->duration_us / 1000.0),
		LOG_TEXT("reason", end == CALL_DONE ? NULL : call->reason),
		LOG_TEXT("payload", call->settings->log_payloads ? command->input.payload : NULL));
	if (call->duration_us / 1000 > deadline_ms(call))
		log_warn("deadline_missed", "a handler ran longer than its deadline",
			LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("handler", call->handler->name), LOG_REAL("ms", call->duration_us / 1000.0),
			LOG_INT("deadline_ms", deadline_ms(call)));
}

static void take_events(struct command *command, struct cashew_command *call)
{
	if (call->events == NULL)
		return;
	*command->events_end = call->events;
	command->events_end = call->events_end;
}

static void worsen(struct command *command, enum command_end end, const struct cashew_command *call)
{
	if (end <= command->end)
		return;
	command->end = end;
	command->reason = call->reason;
	command->handler = call->handler->name;
}

static void count_run(struct figures_runs *runs, enum call_end end, unsigned duration_us)
{
	figures_add(&runs->ends[end], 1);
	figures_observe(&runs->durations, duration_us);
}

static void run_handler(const struct worker_context *context, struct command *command, unsigned position)
{
	const unsigned index = command->route->handlers[position];
	struct cashew_command call = {
		.input = &command->input,
		.handler = context->routes->handlers[index],
		.settings = context->settings,
		.arena = &command->arena,
		.store = context->store,
		.state = context->states[index],
		.event_max = atomic_load_explicit(context->event_max, memory_order_relaxed),
	};
	const struct board_entry entry = {
		.handler = call.handler->name,
		.topic = command->input.topic,
		.fingerprint = command->key,
		.identity = command->key, /* until commands have one of their own */
		.crashes = command->crashes,
		.attempt = command->attempts,
		.deadline_ms = deadline_ms(&call),
		.alone = command->alone,
	};
	if (context->slot != NULL)
		board_slot_enter(context->slot, &entry);
	failpoint("before_handler");
	const enum call_end end = call_run(&call);
	if (context->slot != NULL)
		board_slot_leave(context->slot);
	failpoint("after_effect");
	if (context->runs != NULL)
		count_run(&(*context->runs)[context->places[index]], end, call.duration_us);
	log_run(command, &call, end);
	if (end == CALL_RETRY) {
		if (command->end != COMMAND_DEAD) {
			command->reason = call.reason;
			command->handler = call.handler->name;
		}
		command->store_away = command->store_away || call.store_away;
		return;
	}
	command->settled |= UINT32_C(1) << position;
	if (end == CALL_DONE || end == CALL_REJECTED)
		take_events(command, &call);
	if (end == CALL_REJECTED)
		worsen(command, COMMAND_REJECTED, &call);
	else if (end == CALL_FAILED)
		worsen(command, COMMAND_DEAD, &call);
}

void worker_run(const struct worker_context *context, struct command *command)
{
	command->attempts++;
	command->input.attempt = command->attempts;
	command->store_away = false;
	for (unsigned i = 0; i < command->route->handler_count; i++)
		if ((command->settled & (UINT32_C(1) << i)) == 0)
			run_handler(context, command, i);
}

/* All that the letter says, but for the payload: if it cannot be kept, this is what is left of it. */
static void log_refused(const struct dead_letter *letter, const char *message, const char *error)
{
	log_error("dead_letter_refused", message, LOG_TEXT("user", letter->user),
		LOG_TEXT("topic", letter->topic), LOG_TEXT("handler", letter->handler),
		LOG_TEXT("reason", letter->reason), LOG_INT("attempt", letter->attempts),
		LOG_INT("payload_bytes", letter->payload_size), LOG_TEXT("error", error));
}

/* The server refuses the letter itself: without what a phone put into it there may be room for it. */
static int bury_without_payload(struct store_client *client, struct dead_letter *letter)
{
	log_refused(letter, "the database refuses a dead letter: it is tried without its payload",
		store_last_error(client));
	struct dead_letter cut = *letter;
	if (cut.payload_cut_from == 0)
		cut.payload_cut_from = cut.payload_size;
	cut.payload_size = 0;
	cut.correlation = NULL;
	cut.response_topic = NULL;
	return dead_letter_add(client, &cut);
}

/* What was to be written keeps its words for the log. */
static void end_write(struct store_client *client, const struct command *command, const char *message)
{
	if (command->store_error != 0)
		log_error("store_write_failed", message, LOG_TEXT("user", command->input.user),
			LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("reason", store_last_error(client)));
	store_release(client);
}

static void bury(const struct worker_context *context, struct command *command)
{
	struct store_client *client = store_acquire(context->store);
	command->store_error = dead_letter_add(client, &command->letter);
	if (command->store_error == STORE_E_PERMANENT)
		command->store_error = bury_without_payload(client, &command->letter);
	if (command->store_error != 0)
		log_error("dead_letter_failed",
			"a dead letter cannot be written: the command is not acknowledged",
			LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("reason", store_last_error(client)));
	store_release(client);
}

static void park(const struct worker_context *context, struct command *command)
{
	struct store_client *client = store_acquire(context->store);
	command->store_error = command->origin == COMMAND_FROM_STORE
				       ? parked_command_postpone(client, command->record)
				       : parked_command_add(client, command->record);
	end_write(client, command, "a command cannot be parked: it is not acknowledged");
}

static void claim(const struct worker_context *context, struct command *command)
{
	struct store_client *client = store_acquire(context->store);
	const struct parked_backlog *backlog = command->backlog;
	const int64_t now_ms = clock_unix_ms();
	command->store_error = parked_command_claim(client, backlog->lane_id, backlog->user, context->owner,
		now_ms, now_ms + context->lease_ms, &command->parked);
	if (command->store_error == 0) {
		/* Handlers find a NUL behind it. */
		const struct parked_command *parked = command->parked;
		command->input.payload = arena_copy(&command->arena,
			parked->payload != NULL ? parked->payload : "", parked->payload_size);
		if (command->input.payload == NULL)
			command->store_error = -ENOMEM;
	}
	store_release(client);
}

static void finish(const struct worker_context *context, struct command *command)
{
	struct store_client *client = store_acquire(context->store);
	command->store_error = parked_command_finish(client, command->parked, &command->more);
	end_write(client, command,
		"a parked command is not known to be finished in the store: if it is not, it is run again");
}

void worker_do(const struct worker_context *context, struct command *command)
{
	switch (command->state) {
	case COMMAND_RUNNING: worker_run(context, command); break;
	case COMMAND_PARKING: park(context, command); break;
	case COMMAND_BURYING: bury(context, command); break;
	case COMMAND_CLAIMING: claim(context, command); break;
	case COMMAND_FINISHING: finish(context, command); break;
	case COMMAND_WAITING:
	case COMMAND_RETRYING:
	case COMMAND_COMMITTING:
	case COMMAND_SETTLED:
	case COMMAND_STATES: abort();
	}
}
