/*
 * dispatch.c - see dispatch.h.
 *
 * Read from the bottom up: reports come in there. A command whose turn it is starts in start_turn(); what follows a run, or
 * the last PUBACK of its events, is in dispatch_advance(); who comes next is in dispatch_next_of(). Where memory runs out a command stays
 * where it is and is looked at again, as one that waits for a retry or for its place: nothing is lost by it.
 */
#include "dispatch.h"

#include "clock.h"
#include "context.h"
#include "dispatch_private.h"
#include "egress.h"
#include "lane.h"
#include "log.h"
#include "record.h"
#include "settings.h"
#include "unpromised.h"
#include "users.h"

enum {
	RETRY_MIN_MS = 25,    /* of a handler's transient failure, doubling .. */
	RETRY_MAX_MS = 400,   /* .. up to that for a second .. */
	RETRY_LONG_MS = 6400, /* .. and to that while nobody waits for its PUBACK */
	REFUSED_MIN_MS = 100, /* of a refused event, the same */
	REFUSED_MAX_MS = 10000,
	LIGHT_MAX = 4096, /* bytes of a payload that the I/O thread handles itself */
};

_Static_assert((int)COMMAND_ENDS == FIGURES_ENDS, "the figures count all ends");

/* ---- The end ---- */

void dispatch_forget(struct host *host, struct command *command)
{
	if (command->origin == COMMAND_UNPROMISED)
		unpromised_end(command->home);
	if (command->place)
		command->place->command = NULL;
	host->commands--;
	host->bytes -= command->input.payload_size;
	command_free(command);
}

/* Leaves its user's line, and is freed. */
void dispatch_leave_line(struct host *host, struct command *command)
{
	struct user *user = command->user;
	suspects_end(&host->suspects, command, host->now_ms);
	user_remove(user, command);
	dispatch_forget(host, command);
	dispatch_next_of(host, user);
}

/* By handler, and at once: whether and when the broker hears of it is the account's matter. */
static void count_settled(const struct host *host, const struct command *command, enum command_end end)
{
	for (unsigned i = 0; command->route && i < command->route->handler_count; i++)
		figures_add(&host->board->figures.handlers[host->places[command->route->handlers[i]]]
				     .commands[end],
			1);
}

/* Its PUBACK may leave. */
void dispatch_settle_place(struct command *command, enum command_end end)
{
	struct place *place = command->place;
	command->place = NULL;
	if (place)
		lane_settle(command->home->lane, place, end);
}

/* Its end is durable. Frees it. */
void dispatch_settle(struct host *host, struct command *command, enum command_end end)
{
	command_move(command, COMMAND_SETTLED);
	count_settled(host, command, end);
	if (end == COMMAND_DEAD)
		log_error("dead_letter", "a command was given up and kept as a dead letter",
			LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("handler", command->handler), LOG_INT("attempt", command->attempts),
			LOG_TEXT("run", command->schedule ? command->input.id : NULL),
			LOG_TEXT("reason", command->reason));
	if (end != COMMAND_PARKED) {
		if (command->marked && end == COMMAND_DEAD)
			board_mark_buried(host->board, command->fingerprint, host->now_ms);
		else if (command->marked)
			board_mark_clear(host->board, command->fingerprint);
		/* Of no place, which would count it when it is acknowledged. What is done without a promise is in no account. */
		if ((command->origin == COMMAND_FROM_STORE && !command->schedule) ||
			(command->origin == COMMAND_UNPROMISED && end == COMMAND_REJECTED))
			board_count_command(host->board, end);
	}
	dispatch_settle_place(command, end);
	dispatch_leave_line(host, command);
}

/* Nothing is left to do but to be acknowledged, or deleted in the store. */
void dispatch_complete(struct host *host, struct command *command)
{
	if (command->stepping) {
		command_move(command, COMMAND_FINISHING); /* until its document is known to be there */
	} else if (command->origin == COMMAND_FROM_STORE && command->backlog) {
		command_move(command, COMMAND_FINISHING);
		parking_done(host->parking, command);
	} else {
		dispatch_settle(host, command, command->end);
	}
}

static void through(struct host *host, struct command *command)
{
	struct user *user = command->user;
	user_through(user, command);
	dispatch_next_of(host, user);
}

/* ---- Turns ---- */

static void start(struct host *host, struct command *command, bool alone)
{
	command_move(command, COMMAND_RUNNING);
	atomic_store_explicit(&command->begun_us, 0, memory_order_relaxed);
	host->jobs++;
	if (alone)
		pool_submit_now(host->pool, &command->job);
	else
		pool_submit(host->pool, &command->job);
}

/* Its turn has come. */
static void start_turn(struct host *host, struct command *command)
{
	if (command->tried_alone)
		return;
	suspects_pardon(host->board, command);
	switch (suspects_judge(host->board, command, host->settings->crash_limit)) {
	case SUSPECTS_GUILTY: dispatch_die(host, command, command->reason); return;
	case SUSPECTS_TO_BE_PARKED: {
		const unsigned attempts = command->base_attempts + 1;
		/* It is over soon: each new host means a pause for all, and the next one is not far. */
		const unsigned delay_ms = record_delay_ms(command->crashes) / 2;
		if (command->origin == COMMAND_FROM_STORE)
			dispatch_postpone(host, command, attempts, delay_ms);
		else if (command->origin == COMMAND_FROM_BROKER)
			(void)dispatch_park(host, command, attempts, delay_ms); /* or when it can be */
		else
			dispatch_leave_line(host, command);
		return;
	}
	case SUSPECTS_ALONE:
		command->tried_alone = true;
		suspects_add(&host->suspects, command);
		return;
	case SUSPECTS_INNOCENT: break;
	}
	if (!command->route && command->end != COMMAND_DEAD) {
		parking_decline(
			host->parking, command); /* another host's, for which there is no handler here */
	} else if (command_all_settled(command)) {
		through(host, command);
		dispatch_advance(host, command);
	} else {
		if (command->origin == COMMAND_FROM_STORE)
			LOG_EVENT(command->base_attempts > 0 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
				"parked_command_run", "a parked command is run",
				LOG_TEXT("user", command->input.user),
				LOG_TEXT("topic", command->input.topic),
				LOG_INT("attempt", command->base_attempts + 1));
		start(host, command, false);
	}
}

/* Whoever has the turn starts, if he waits for nothing else. */
static void begin_turn(struct host *host, struct user *user, int64_t hold_ms)
{
	struct command *turn = user->turn;
	if (!turn || (turn->backlog && turn->backlog->giving_back))
		return;
	if (user->backlog && (turn->origin != COMMAND_FROM_STORE || turn->state != COMMAND_WAITING))
		dispatch_follow(host, user, hold_ms);
	else if (turn->state == COMMAND_WAITING)
		start_turn(host, turn);
}

/* What begins may end at once, and the next one's turn come: a loop, so that the stack does not grow with the line. */
void dispatch_next_held(struct host *host, struct user *user, int64_t hold_ms)
{
	user->again = true;
	if (user->in_turn)
		return;
	user->in_turn = true;
	while (user->again) {
		user->again = false;
		begin_turn(host, user, hold_ms);
	}
	user->in_turn = false;
	users_drop_idle(user);
}

void dispatch_next_of(struct host *host, struct user *user)
{
	dispatch_next_held(host, user, DISPATCH_HOLD_MS);
}

/* ---- What follows a run ---- */

static void publish(struct host *host, struct command *command, struct call_event *events)
{
	command_move(command, COMMAND_COMMITTING);
	for (struct call_event *event = events, *next; event; event = next) {
		next = event->next;
		command->events_pending++;
		event->owner = command;
		event->correlation = command->correlation;
		event->correlation_size = command->correlation_size;
		event->cause = command->input.topic;
		egress_publish(host->egress, event);
	}
}

static void drop_unpromised(struct host *host, struct command *command)
{
	unpromised_dropped(
		host, command->input.topic, command->input.user, command->attempts, command->reason);
	dispatch_leave_line(host, command);
}

static void retry_handlers(struct host *host, struct command *command)
{
	if (host->forgotten && command->origin == COMMAND_FROM_BROKER) {
		/* Another host is active: it comes again there. */
		dispatch_leave_line(host, command);
		return;
	}
	if (command->store_away) {
		command->attempts--;
		dispatch_shelve(host, command);
		dispatch_store_away(host);
		return;
	}
	const unsigned tries = command->attempts > command->base_attempts
				       ? command->attempts - command->base_attempts - 1
				       : 0;
	if (command->failing_since_ms == 0)
		command->failing_since_ms = host->now_ms;
	const bool is_new = command->origin == COMMAND_FROM_BROKER;
	const int64_t held_ms =
		is_new ? dispatch_held_ms(host, command) : host->now_ms - command->failing_since_ms;
	unsigned delay_ms = (unsigned)clock_jitter_ms(
		backoff_ms(tries, RETRY_MIN_MS, held_ms < DISPATCH_HOLD_MS ? RETRY_MAX_MS : RETRY_LONG_MS));
	if (command->retry_after_ms > delay_ms)
		delay_ms = command->retry_after_ms;
	const bool spent = held_ms + (int64_t)delay_ms > DISPATCH_HOLD_MS;
	if (spent && command->origin == COMMAND_UNPROMISED)
		drop_unpromised(host, command);
	else if (!spent || (is_new && !dispatch_hinders(host, command)) || !dispatch_run_later(host, command))
		dispatch_wait(host, command, delay_ms);
}

/* The same each time the command is buried, should the host die before it is deleted in the store; and not that of the command
 * itself. An ObjectId holds a random number in its bytes 4 to 8: the letter has the next one. */
static struct store_id letter_id_of(const struct store_id *id)
{
	struct store_id letter = *id;
	for (size_t i = 8; i >= 4 && ++letter.bytes[i] == 0; i--)
		continue;
	return letter;
}

static void bury(struct host *host, struct command *command)
{
	command_move(command, COMMAND_BURYING);
	struct dead_letter letter = {
		.topic = command->input.topic,
		.payload = command->input.payload,
		.payload_size = command->input.payload_size,
		.payload_cut_from = command->payload_cut_from,
		.correlation = command->correlation,
		.correlation_size = command->correlation_size,
		.response_topic = command->input.response_topic,
		.user = command->schedule ? command->document->user : command->input.user,
		.handler = command->handler,
		.reason = command->reason,
		.attempts = command->attempts,
		.crashes = command->crashes,
		.host = host->settings->client_id,
		.keep_days = host->settings->dead_letter_days,
	};
	letter.id = command->origin == COMMAND_FROM_STORE ? letter_id_of(command_store_id(command))
							  : store_new_id();
	if (parking_bury(host->parking, command, &letter) != 0)
		dispatch_wait(host, command, RETRY_MAX_MS);
}

/* What follows a run, the last PUBACK of its events, or a retry that needs no run. */
void dispatch_advance(struct host *host, struct command *command)
{
	if (command->events) {
		struct call_event *events = command->events;
		command->events = NULL;
		command->events_end = &command->events;
		if (command->schedule)
			for (const struct call_event *event = events; event; event = event->next)
				command->events_sent++;
		publish(host, command, events);
	} else if (command->refused) {
		dispatch_wait(host, command,
			clock_jitter_ms(backoff_ms(command->refusals++, REFUSED_MIN_MS, REFUSED_MAX_MS)));
	} else if (!command_all_settled(command)) {
		retry_handlers(host, command);
	} else if (command->end == COMMAND_DEAD && !command->buried) {
		bury(host, command);
	} else {
		dispatch_complete(host, command);
	}
}

void dispatch_try_again(struct host *host, struct command *command)
{
	if (command->refused) {
		struct call_event *events = command->refused;
		command->refused = NULL;
		publish(host, command, events);
	} else if ((command->route || command->end == COMMAND_DEAD) && command_all_settled(command)) {
		dispatch_advance(host, command);
	} else if (command->attempts == command->base_attempts ||
		   (command->marked && command->begun_us == 0)) {
		start_turn(host, command); /* it has not run yet: as if its turn had come now */
	} else {
		start(host, command, false);
	}
}

void dispatch_start_alone(struct host *host, struct command *command)
{
	start(host, command, true);
}

/* handler: NULL: none was run. */
static void log_rejected(
	struct host *host, const struct command *command, const char *handler, const char *reason)
{
	const unsigned count = rejections_count(&host->rejections, command->input.user, host->now_ms);
	if (count > 0)
		log_info("command_rejected",
			handler ? "a handler rejected the command"
				: "a command was rejected before any handler ran",
			LOG_TEXT("user", command->input.user), LOG_TEXT("topic", command->input.topic),
			LOG_TEXT("handler", handler), LOG_INT("attempt", command->attempts),
			LOG_TEXT("reason", reason), LOG_INT("count", count),
			LOG_TEXT("payload",
				handler && host->settings->log_payloads ? command->input.payload : NULL));
}

static void after_run(struct host *host, struct command *command)
{
	if (command_all_settled(command)) {
		if (command->end == COMMAND_REJECTED)
			log_rejected(host, command, command->handler, command->reason);
		if (command->identity != 0 && board_near_any(host->board))
			board_near_forget(host->board, command->identity);
		if (command->failing_since_ms != 0 &&
			host->now_ms - command->failing_since_ms >= DISPATCH_HOLD_MS)
			dispatch_retry_now(host, command->route);
		through(host, command);
	}
	dispatch_advance(host, command);
}

void dispatch_returned(struct host *host, struct command *command)
{
	host->jobs--;
	suspects_end(&host->suspects, command, host->now_ms);
	command->tried_alone = false;
	command->user->active_us += command->ran_us;
	atomic_store_explicit(&command->begun_us, INT64_MAX, memory_order_relaxed);
	after_run(host, command);
}

/* Runs it here and now. */
static void run_light(struct host *host, struct command *command)
{
	command_move(command, COMMAND_RUNNING);
	worker_run(&host->light, command);
	after_run(host, command);
}

/* ---- Reports ---- */

void dispatch_begin(struct host *host, struct command *command)
{
	struct user *user = command->user;
	if (user->turn != command) {
		if (user->backlog)
			dispatch_next_of(host, user);
		return;
	}
	const bool light = command->route->light && !user->backlog &&
			   command->input.payload_size <= LIGHT_MAX && host->store_up &&
			   !suspects_quiet(&host->suspects, host->now_ms) &&
			   suspects_innocent(host->board, command, host->settings->crash_limit);
	if (light)
		run_light(host, command);
	else
		dispatch_next_of(host, user);
}

void dispatch_die(struct host *host, struct command *command, const char *reason)
{
	command_settle_all(command, COMMAND_DEAD, reason);
	through(host, command);
	dispatch_advance(host, command);
}

/* A run of no handler, for an event of the host's own. */
static struct cashew_command call_of(const struct host *host, struct command *command)
{
	return (struct cashew_command){
		.input = &command->input,
		.settings = host->settings,
		.arena = &command->arena,
		.event_max = host->settings->event_max,
	};
}

void dispatch_buried(struct host *host, struct command *command)
{
	struct cashew_command call = call_of(host, command);
	command->buried = true;
	if (command->schedule) { /* nobody has sent it */
		dispatch_complete(host, command);
		return;
	}
	/* Where there is no memory or no room for the event, the letter is what is left of the command. */
	if (call_tell_dead(&call) == CALL_DONE)
		publish(host, command, call.events);
	else
		dispatch_complete(host, command);
}

void dispatch_reject(struct host *host, struct command *command, const char *reason)
{
	struct cashew_command call = call_of(host, command);
	command_settle_all(command, COMMAND_REJECTED, reason);
	log_rejected(host, command, NULL, reason);
	const enum call_end end = call_reject(&call, reason);
	if (end == CALL_DONE || end == CALL_REJECTED) {
		command->events = call.events;
		command->events_end = call.events_end;
		through(host, command);
		dispatch_advance(host, command);
		return;
	}
	/* The event is too large, and would be the next time, or there is no memory for it. */
	dispatch_die(host, command, end == CALL_FAILED ? call.reason : reason);
}

void dispatch_event_ended(void *owner, struct call_event *event, const char *reason, bool permanent)
{
	struct host *host = owner;
	struct command *command = event->owner;
	command->events_pending--;
	if (reason && permanent && command->end != COMMAND_DEAD) {
		command->end = COMMAND_DEAD;
		command->reason = arena_format(&command->arena, "event %s: %s", event->topic, reason);
		if (!command->reason)
			command->reason = "an event was refused";
		if (command->route && command->route->handler_count == 1)
			command->handler = host->routes.handlers[command->route->handlers[0]]->name;
	} else if (reason && !permanent) {
		/* Behind the others: they are sent again in their order. */
		struct call_event **end = &command->refused;
		while (*end)
			end = &(*end)->next;
		event->next = NULL;
		*end = event;
	}
	if (!reason)
		command->refusals = 0;
	if (command->events_pending == 0)
		dispatch_advance(host, command);
}

void dispatch_place_freed(struct host *host, const struct place *place, bool released)
{
	if (place->command)
		place->command->place = NULL;
	if (place->delays)
		parking_place_freed(host->parking, place->delays);
	if (!released || place->ignored)
		return;
	board_count_command(host->board, place->end);
	board_count(&host->board->released, 1);
}
