/*
 * parking.c - see host_parking.h.
 */
#include "parking.h"

#include "backlogs.h"
#include "board.h"
#include "clock.h"
#include "command.h"
#include "context.h"
#include "fingerprint.h"
#include "lane.h"
#include "log.h"
#include "pool.h"
#include "settings.h"
#include "store.h"
#include "suspects.h"
#include "users.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DELAY_DOUBLINGS_MAX = 9, ASLEEP_MS = 60000 };

/* What is left of a backlog when its first has come back. */
enum rest { REST_NONE, REST_MORE, REST_LATER };

static struct host *host_of(const struct command *command)
{
	return lane_host(command->lane);
}

/* ---- Into the store ---- */

bool parking_wanted(const struct command *command)
{
	if (command->origin != COMMAND_FROM_BROKER || (command->ahead && command->crashes == 0))
		return false;
	return command->suspect || parked_find(&host_of(command)->parked, lane_client_id(command->lane),
					   command->input.user) != NULL;
}

static int64_t delay_after(unsigned attempts)
{
	return clock_jitter_ms(backoff_ms(attempts - 1, PARKING_DELAY_MS, PARKING_DELAY_MAX_MS));
}

/* The handlers that are through with it. Where events were refused it is not known whose they are, so those
 * of before count. */
static bool record_progress(struct command *command, struct parked_command *record)
{
	if (command->refused != NULL)
		return true;
	const struct route *route = command->route;
	const unsigned count = route != NULL ? route->handler_count : 0;
	const char **names = arena_alloc(&command->arena, (count + 1) * sizeof(*names));
	if (names == NULL)
		return false;
	record->settled_count = 0;
	for (unsigned i = 0; i < count; i++)
		if ((command->settled & (UINT32_C(1) << i)) != 0)
			names[record->settled_count++] =
				host_of(command)->routes.handlers[route->handlers[i]]->name;
	record->settled = names;
	record->end = command_end_name(command->end);
	return true;
}

/* In the command's arena; NULL when out of memory. */
static struct parked_command *new_record(struct command *command)
{
	struct parked_command *record = arena_alloc(&command->arena, sizeof(*record));
	if (record == NULL)
		return NULL;
	if (command->parked != NULL)
		*record = *command->parked;
	else
		*record = (struct parked_command){
			.lane = lane_client_id(command->lane),
			.user = command->input.user,
			.topic = command->input.topic,
			.payload = command->input.payload,
			.payload_size = command->input.payload_size,
			.correlation = command->correlation,
			.correlation_size = command->correlation_size,
			.response_topic = command->input.response_topic,
			.mid = command->mid,
			.key = command->key,
			.end = command_end_name(COMMAND_DONE),
		};
	record->crashes = command->crashes;
	record->handler = command->handler;
	record->reason = command->reason;
	return record_progress(command, record) ? record : NULL;
}

static void log_parked(const struct command *command, const struct parked_command *record)
{
	char text[CLOCK_ISO_SIZE];
	clock_iso(record->not_before_ms, text);
	/* Those behind it are as many as its user sends. */
	const bool follower = record->attempts == 0;
	LOG_EVENT(follower ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "command_parked",
		"a command is kept in the store and tried again later", LOG_TEXT("user", command->input.user),
		LOG_TEXT("topic", command->input.topic), LOG_TEXT("handler", command->handler),
		LOG_INT("attempts", record->attempts), LOG_TEXT("reason", command->reason),
		LOG_TEXT("not_before", text));
}

/* Its user's backlog begins with it: those that were run before it must be known when they come again. False
 * when out of memory. */
static bool record_before(struct command *command, struct parked_command *record)
{
	const size_t count = lane_before(command->lane, command, NULL, 0);
	if (count == 0)
		return true;
	unsigned char *before = arena_alloc(&command->arena, count * PARKED_BEFORE_SIZE);
	if (before == NULL)
		return false;
	(void)lane_before(command->lane, command, before, count);
	record->before = before;
	record->before_size = count * PARKED_BEFORE_SIZE;
	return true;
}

static void put(struct command *command, int64_t delay_ms, unsigned attempts)
{
	struct host *host = host_of(command);
	struct lane *lane = command->lane;
	struct parked_command *record = new_record(command);
	const bool begins = parked_find(&host->parked, lane_client_id(lane), command->input.user) == NULL;
	if (record != NULL && begins && !record_before(command, record))
		record = NULL;
	struct parked_backlog *backlog = record == NULL
						 ? NULL
						 : parked_add(&host->parked, lane, lane_client_id(lane),
							   command->input.user, clock_unix_ms() + delay_ms);
	if (backlog == NULL) {
		command_leave(command, "out of memory");
		return;
	}
	parked_command_new_id(record->id);
	command->position = lane_next_position(lane);
	record->position = command->position;
	record->attempts = attempts;
	record->not_before_ms = backlog->not_before_ms;
	if (record->before != NULL)
		backlog->held_position = record->position;
	command->record = record;
	command->backlog = backlog;
	backlog->parking++;
	command_move(command, COMMAND_PARKING);
	command_submit(command);
}

void parking_put(struct command *command, int64_t delay_ms)
{
	if (command->reason == NULL)
		command->reason = "an earlier command of its user is parked";
	/* A suspect has been run before. */
	put(command, delay_ms, command->suspect ? 1 : 0);
}

static void postpone(struct command *command, int64_t delay_ms)
{
	struct parked_command *record = new_record(command);
	if (record == NULL) {
		parking_forget(command);
		return;
	}
	record->attempts = command->attempts;
	record->not_before_ms = clock_unix_ms() + delay_ms;
	command->record = record;
	command_move(command, COMMAND_PARKING);
	command_submit(command);
}

/* Its turn has ended when only its events were left to do, and those were refused. It can have it back only
 * if no later command of its user has begun: else its handlers would run again after that one's. */
static bool take_turn_back(struct command *command)
{
	bool turn = false;
	return command->user != NULL ||
	       (!lane_overtaken(command->lane, command) &&
		       users_enqueue(lane_users(command->lane), command, 1, &turn) == 0);
}

void parking_retry(struct command *command)
{
	const bool ours = command->origin == COMMAND_FROM_STORE;
	const unsigned attempts = ours ? command->attempts : 1;
	if (attempts >= host_of(command)->settings->max_attempts) {
		command->refused = NULL;
		command_end_turn(command);
		command_die(command, command->reason);
	} else if (ours) {
		postpone(command, delay_after(command->attempts));
	} else if (!take_turn_back(command)) {
		command_leave(command, "an event is refused, and a later command of its user has begun");
	} else {
		put(command, delay_after(attempts), attempts);
	}
}

/* All its handlers are settled and its end is dead, so the next attempt is the burial alone. */
void parking_bury_later(struct command *command)
{
	const int64_t delay_ms = clock_jitter_ms(PARKING_DELAY_MAX_MS);
	if (command->origin == COMMAND_FROM_STORE)
		postpone(command, delay_ms);
	else
		put(command, delay_ms, command->attempts);
}

/* The database refuses the document itself, and always will. */
static void bury_refused(struct command *command)
{
	const char *reason = arena_format(
		&command->arena, "%s; and the database refuses to keep it for later", command->reason);
	command_end_turn(command);
	command_die(command, reason != NULL ? reason : "the database refuses to keep it for later");
}

static void stored_again(struct command *command)
{
	if (command->store_error == STORE_E_PERMANENT) {
		bury_refused(command);
	} else if (command->store_error != 0) {
		host_store_away(host_of(command));
		parking_forget(command);
	} else {
		command->backlog->not_before_ms = command->record->not_before_ms;
		if (command->route != NULL)
			log_parked(command, command->record);
		command->end = COMMAND_PARKED;
		command_settle(command);
	}
}

void parking_stored(struct command *command)
{
	struct host *host = host_of(command);
	struct parked_backlog *backlog = command->backlog;
	if (command->origin == COMMAND_FROM_STORE) {
		stored_again(command);
		return;
	}
	backlog->parking--;
	if (command->store_error != 0) {
		/* Whether it is there is not known, so the store is asked when it answers. */
		parked_line(&host->parked, backlog);
		if (command->store_error == STORE_E_PERMANENT) {
			bury_refused(command);
			return;
		}
		host_store_away(host);
		command_leave(command, "a parked command cannot be written");
		return;
	}
	log_parked(command, command->record);
	backlog->added = true;
	if (backlog->not_before_ms <= clock_unix_ms())
		parked_line(&host->parked, backlog);
	command->end = COMMAND_PARKED;
	command_end_turn(command);
	command_settle(command);
}

/* ---- Out of the store ---- */

static struct lane *lane_of(const struct host *host, const char *lane_id)
{
	for (size_t i = 0; i < host->lane_count; i++)
		if (strcmp(lane_client_id(host->lanes[i]), lane_id) == 0)
			return host->lanes[i];
	return NULL;
}

/* Backlogs of other hosts' lanes of which nothing was heard any more. */
static void drop_asleep(struct host *host)
{
	for (size_t i = 0; i < PARKED_BUCKETS; i++) {
		for (struct parked_backlog *backlog = host->parked.buckets[i], *next; backlog != NULL;
			backlog = next) {
			next = backlog->next;
			if (backlog->lane == NULL && !backlog->in_line && !backlog->running &&
				host->now_ms >= backlog->asleep_until_ms)
				parked_drop(&host->parked, backlog);
		}
	}
}

void parking_due(struct host *host, const struct parked_user *users, size_t count)
{
	drop_asleep(host);
	const int64_t now_ms = clock_unix_ms();
	for (size_t i = 0; i < count; i++) {
		struct lane *lane = lane_of(host, users[i].lane);
		struct parked_backlog *backlog =
			parked_add(&host->parked, lane, users[i].lane, users[i].user, now_ms);
		if (backlog != NULL && host->now_ms >= backlog->asleep_until_ms)
			parked_line(&host->parked, backlog);
	}
}

static void claim(struct host *host, struct parked_backlog *backlog)
{
	struct command *command = calloc(1, sizeof(*command) + COMMAND_ARENA_SIZE);
	if (command == NULL)
		return;
	command->origin = COMMAND_FROM_STORE;
	command->state = COMMAND_CLAIMING;
	command->lane = backlog->lane != NULL ? backlog->lane : host->lanes[0];
	command->backlog = backlog;
	command->input =
		(struct call_input){.topic = "", .user = backlog->user, .command = "", .payload = ""};
	command->handler = "";
	command->events_end = &command->events;
	arena_init(&command->arena, command + 1, COMMAND_ARENA_SIZE);
	backlog->running = true;
	backlog->added = false;
	host->commands++;
	host->parked_running++;
	command_submit(command);
}

void parking_serve(struct host *host)
{
	const size_t room = (host->settings->workers + 1) / 2;
	while (host->store_up && !host->stopping && !suspects_quiet(host) && host->parked_running < room) {
		struct parked_backlog *backlog = parked_next(&host->parked);
		if (backlog == NULL)
			return;
		if (backlog->lane != NULL && lane_holds(backlog->lane, backlog->held_position))
			parked_hold(&host->parked, backlog);
		else
			claim(host, backlog);
	}
}

/* It is this host's no more: its user is free to be claimed again. */
static void release(struct command *command, enum rest rest)
{
	struct host *host = host_of(command);
	struct parked_backlog *backlog = command->backlog;
	command->backlog = NULL;
	backlog->running = false;
	host->parked_running--;
	suspects_end(host, command);
	if (rest == REST_MORE || (rest == REST_NONE && backlog->added))
		parked_line(&host->parked, backlog);
	else if (rest == REST_NONE && backlog->parking == 0)
		parked_drop(&host->parked, backlog);
}

void parking_forget(struct command *command)
{
	release(command, REST_LATER);
	command_destroy(command);
}

/* Its lane's; or that of another one of this host's, where the handler has moved to a lane of its own, or the
 * command is another host's. */
static void find_route(struct command *command)
{
	const struct host *host = host_of(command);
	command->route = routes_find(lane_routes(command->lane), command->input.topic);
	for (size_t i = 0; command->route == NULL && i < host->lane_count; i++) {
		command->route = routes_find(lane_routes(host->lanes[i]), command->input.topic);
		if (command->route != NULL)
			command->lane = host->lanes[i];
	}
}

static bool is_settled(const struct parked_command *parked, const char *handler)
{
	for (size_t i = 0; i < parked->settled_count; i++)
		if (strcmp(parked->settled[i], handler) == 0)
			return true;
	return false;
}

static void read_progress(struct command *command)
{
	const struct parked_command *parked = command->parked;
	const struct route *route = command->route;
	for (unsigned i = 0; route != NULL && i < route->handler_count; i++)
		if (is_settled(parked, host_of(command)->routes.handlers[route->handlers[i]]->name))
			command->settled |= UINT32_C(1) << i;
	for (enum command_end end = COMMAND_DONE; end <= COMMAND_DEAD; end++)
		if (strcmp(parked->end, command_end_name(end)) == 0)
			command->end = end;
	/* The claim has counted this attempt, and the run will. */
	command->attempts = parked->attempts > 0 ? parked->attempts - 1 : 0;
	command->crashes = parked->crashes;
	command->handler = parked->handler;
	command->reason = parked->reason;
}

/* Another host's command, for which there is no handler here: it is given back as it was. */
static void give_back(struct command *command)
{
	struct parked_command *record = arena_alloc(&command->arena, sizeof(*record));
	command->backlog->asleep_until_ms = host_of(command)->now_ms + ASLEEP_MS;
	if (record == NULL) {
		parking_forget(command);
		return;
	}
	*record = *command->parked;
	record->attempts = command->attempts;
	command->record = record;
	command_move(command, COMMAND_PARKING);
	command_submit(command);
}

static void begin(struct command *command)
{
	const struct parked_command *parked = command->parked;
	const char *slash = strchr(parked->topic, '/');
	command->input.topic = parked->topic;
	command->input.user = parked->user;
	command->input.command = slash != NULL ? slash + 1 : parked->topic;
	command->input.payload_size = parked->payload_size;
	command->input.response_topic = parked->response_topic;
	command->input.attempt = 1;
	command->correlation = parked->correlation;
	command->correlation_size = (uint16_t)parked->correlation_size;
	command->key = fingerprint(command->input.topic, command->input.payload, command->input.payload_size,
		command->correlation, command->correlation_size);
	find_route(command);
	read_progress(command);
	command_move(command, COMMAND_WAITING);
	if (command->route == NULL && command->backlog->lane == NULL) {
		give_back(command);
		return;
	}
	log_info("parked_command_run", "a parked command is run", LOG_TEXT("user", command->input.user),
		LOG_TEXT("topic", command->input.topic), LOG_INT("attempt", command->attempts + 1));
	if (command->route == NULL)
		command_die(command, "no handler wants the topic any more");
	else if (suspects_judge(command))
		return;
	else if (command->suspect)
		suspects_add(host_of(command), command);
	else
		command_resume(command);
}

void parking_claimed(struct command *command)
{
	const int error = command->store_error;
	if (error == 0) {
		begin(command);
		return;
	}
	if (error != PARKED_E_NONE && error != PARKED_E_LATER && error != -ENOMEM)
		host_store_away(host_of(command));
	release(command, error == PARKED_E_NONE ? REST_NONE : REST_LATER);
	command_destroy(command);
}

void parking_finish(struct command *command)
{
	command_move(command, COMMAND_FINISHING);
	command_submit(command);
}

void parking_finished(struct command *command)
{
	if (command->store_error != 0) {
		host_store_away(host_of(command));
		parking_forget(command);
		return;
	}
	command_settle(command);
}

void parking_settled(struct command *command)
{
	release(command, command->end == COMMAND_PARKED ? REST_LATER : command->more ? REST_MORE : REST_NONE);
}

bool parking_idle(const struct host *host)
{
	return host->parked_running == 0;
}
