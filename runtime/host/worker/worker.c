/*
 * worker.c - see worker.h.
 */
#include "worker.h"

#include "board.h"
#include "call.h"
#include "clock.h"
#include "command.h"
#include "crash.h"
#include "failpoint.h"
#include "log.h"
#include "pool.h"
#include "settings.h"
#include "setup.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

_Static_assert((int)CALL_FAILED + 1 == FIGURES_ENDS, "the figures count all ends");

int worker_states_new(struct worker_context *context)
{
	const struct routes *routes = context->routes;
	context->states = calloc(routes->handler_count, sizeof(*context->states));
	if (!context->states)
		return -ENOMEM;
	for (size_t i = 0; i < routes->handler_count; i++) {
		const struct cashew_handler *handler = routes->handlers[i];
		char reason[SETUP_REASON_SIZE];
		const int error = setup_init(handler, context->settings, &context->states[i], reason);
		if (error != 0) {
			log_error("handler_init_failed", "a handler's init failed: the host does not start",
				LOG_TEXT("handler", handler->name), LOG_TEXT("reason", reason));
			while (i-- > 0)
				setup_fini(routes->handlers[i], context->states[i]);
			free(context->states);
			context->states = NULL;
			return -ECANCELED;
		}
	}
	return 0;
}

void worker_states_free(struct worker_context *context)
{
	if (!context->states)
		return;
	for (size_t i = 0; i < context->routes->handler_count; i++)
		setup_fini(context->routes->handlers[i], context->states[i]);
	free(context->states);
	context->states = NULL;
}

static unsigned deadline_ms(const struct cashew_command *call)
{
	return call->handler->deadline_ms != 0 ? call->handler->deadline_ms
					       : call->settings->handler_timeout_s * 1000;
}

/* A rejection is what a device can cause as often as it likes: dispatch.c logs those, once a second and user. */
static void log_run(const struct command *command, const struct cashew_command *call, enum call_end end)
{
	static const struct {
		enum log_level level;
		const char *event, *message;
	} lines[] = {
		[CALL_DONE] = {LOG_LEVEL_DEBUG, "command_done", "a handler is done"},
		[CALL_RETRY] = {LOG_LEVEL_WARN, "command_retry", "a handler met a transient failure"},
		[CALL_FAILED] = {LOG_LEVEL_ERROR, "command_failed", "a handler failed for good"},
	};
	if (end != CALL_REJECTED)
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
	if (!call->events)
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
		.fingerprint = command->fingerprint,
		.identity = command->identity,
		.crashes = command->crashes,
		.attempt = command->attempts,
		.deadline_ms = deadline_ms(&call),
		.alone = command->alone,
	};
	if (context->slot)
		board_slot_enter(context->slot, &entry);
	failpoint("before_handler");
	const enum call_end end = call_run(&call);
	if (context->slot)
		board_slot_leave(context->slot);
	failpoint("after_effect");
	if (context->runs)
		count_run(&(*context->runs)[context->places[index]], end, call.duration_us);
	log_run(command, &call, end);
	if (end == CALL_RETRY) {
		if (command->end != COMMAND_DEAD) {
			command->reason = call.reason;
			command->handler = call.handler->name;
		}
		command->store_away = command->store_away || call.store_away;
		if (call.retry_after_ms > command->retry_after_ms)
			command->retry_after_ms = call.retry_after_ms;
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
	command->retry_after_ms = 0;
	for (unsigned i = 0; i < command->route->handler_count; i++)
		if ((command->settled & (UINT32_C(1) << i)) == 0)
			run_handler(context, command, i);
}

/* ---- Threads ---- */

struct worker {
	struct worker_context context;
	struct crash_stack stack;
};

static int worker_open(void *owner, unsigned thread, void **ret_context)
{
	const struct worker_context *context = owner;
	struct worker *worker = calloc(1, sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	worker->context = *context;
	worker->context.states = NULL;
	if (context->slot)
		worker->context.slot = context->slot + thread + 1;
	if (context->runs)
		worker->context.runs = context->runs + thread + 1;
	const int error = worker_states_new(&worker->context);
	if (error != 0) {
		free(worker);
		return error;
	}
	*ret_context = worker;
	return 0;
}

static void worker_close(void *owner, void *context)
{
	struct worker *worker = context;
	(void)owner;
	worker_states_free(&worker->context);
	free(worker);
}

static void worker_enter(void *context)
{
	struct worker *worker = context;
	/* Without a stack for signal handlers an overflow kills without saying what it was. */
	if (crash_thread_begin(&worker->stack, worker->context.slot) != 0)
		log_warn("no_signal_stack", "a worker has no memory for a stack for signal handlers");
}

static void worker_leave(void *context)
{
	struct worker *worker = context;
	crash_thread_end(&worker->stack);
}

void worker_job(struct job *job, void *context)
{
	const struct worker *worker = context;
	struct command *command = (struct command *)((char *)job - offsetof(struct command, job));
	atomic_store_explicit(&command->waits.total_us, 0, memory_order_relaxed);
	atomic_store_explicit(&command->begun_us, clock_us(), memory_order_relaxed);
	store_waits_count(&command->waits);
	worker_run(&worker->context, command);
	store_waits_count(NULL);
	command->ran_us = command_ran_us(command, clock_us());
}

int worker_pool_new(struct worker_context *context, unsigned workers, struct pool **ret)
{
	const struct pool_options options = {.threads = workers,
		.owner = context,
		.open = worker_open,
		.close = worker_close,
		.enter = worker_enter,
		.leave = worker_leave};
	return pool_new(&options, ret);
}
