/*
 * schedule_watch.c - see schedule_watch.h.
 *
 * A run is begun in the database first, then parked: what is begun has its slot and since for good. That it is parked is remembered here, and looked after
 * again when it has been open for long, or was begun by another supervisor that may have died (ENSURE_MS): to park it twice is to park it once, by its id.
 * It is parked for hosts of a client id. Where none of these comes to it, because they are gone or have got another one, it is moved to this host's.
 */
#include "schedule_watch.h"

#include "cashew.h"
#include "clock.h"
#include "failpoint.h"
#include "figures.h"
#include "log.h"
#include "parked_commands.h"
#include "schedules.h"
#include "timetable.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LATE_MS = 60000, /* a slot counts as missed after that time */
	ENSURE_MS =
		60000, /* between looks whether an open run is parked, and how long one is due that nobody comes to */
};

struct plan {
	const char *name;
	const struct cashew_handler *handler;
	struct timetable timetable;
	struct figures_schedule *figures;
	struct store_id parked; /* the run that is known to be parked .. */
	int64_t parked_ms;	/* .. when that was looked after, by clock_ms() */
	int64_t skipped_ms;	/* the last slot that was left out, and counted */
	bool told_damaged;
};

struct schedule_watch {
	struct schedule_watch_options options;
	bool told_refused;
	size_t count;
	const char **names;
	struct schedule_state *states; /* as they were read last */
	struct plan plans[];
};

/* ---- Life ---- */

static void tell_plan(const struct plan *plan)
{
	if (plan->handler->cron)
		log_info("schedule", "a schedule of this host's, UTC", LOG_TEXT("handler", plan->name),
			LOG_TEXT("cron", plan->handler->cron),
			LOG_TEXT("missed", plan->handler->skip_missed ? "skipped" : "run once"));
	else
		log_info("schedule", "a schedule of this host's, UTC", LOG_TEXT("handler", plan->name),
			LOG_INT("every_s", plan->handler->every_s),
			LOG_TEXT("missed", plan->handler->skip_missed ? "skipped" : "run once"));
}

/* select_handlers() has refused what cannot be used. */
static void add_plan(struct schedule_watch *watch, const struct cashew_handler *handler)
{
	struct plan *plan = &watch->plans[watch->count];
	char reason[TIMETABLE_REASON_SIZE];
	*plan = (struct plan){.name = handler->name, .handler = handler};
	if (timetable_of(handler, &plan->timetable, reason) != 0)
		abort();
	struct figures *figures = watch->options.figures;
	plan->figures = &figures->schedules[figures_schedule_place(figures, plan->name)];
	watch->names[watch->count++] = plan->name;
	tell_plan(plan);
}

int schedule_watch_new(const struct schedule_watch_options *options, struct schedule_watch **ret)
{
	size_t count = 0;
	for (size_t i = 0; options->handlers[i]; i++)
		count += options->handlers[i]->scheduled;
	*ret = NULL;
	if (count == 0)
		return 0;
	struct schedule_watch *watch = calloc(1, sizeof(*watch) + count * sizeof(watch->plans[0]));
	if (!watch)
		return -ENOMEM;
	watch->options = *options;
	watch->names = calloc(count, sizeof(*watch->names));
	watch->states = calloc(count, sizeof(*watch->states));
	if (!watch->names || !watch->states) {
		schedule_watch_free(watch);
		return -ENOMEM;
	}
	for (size_t i = 0; options->handlers[i]; i++)
		if (options->handlers[i]->scheduled)
			add_plan(watch, options->handlers[i]);
	*ret = watch;
	return 0;
}

void schedule_watch_free(struct schedule_watch *watch)
{
	if (!watch)
		return;
	free(watch->names);
	free(watch->states);
	free(watch);
}

/* ---- Figures ---- */

static enum figures_schedule_end end_of(const struct schedule_state *state)
{
	if (strcmp(state->end, "done") == 0)
		return FIGURES_RUN_DONE;
	return state->end[0] != '\0' ? FIGURES_RUN_DEAD : FIGURES_NO_RUN;
}

static void tell_figures(const struct plan *plan, const struct schedule_state *state, int64_t now_ms)
{
	struct figures_schedule *figures = plan->figures;
	const int64_t next_ms = timetable_after(&plan->timetable,
		state->slot_ms > now_ms || !plan->handler->skip_missed ? state->slot_ms : now_ms);
	const int64_t due_ms = state->open ? state->slot_ms : next_ms;
	FIGURES_SET(figures->open, state->open);
	FIGURES_SET(figures->slot_ms, state->slot_ms);
	FIGURES_SET(figures->end, (uint32_t)end_of(state));
	FIGURES_SET(figures->next_ms, next_ms);
	FIGURES_SET(figures->overdue_ms, due_ms < now_ms ? clock_ms() - (now_ms - due_ms) : 0);
	FIGURES_SET(figures->here, true);
}

void schedule_watch_rest(struct schedule_watch *watch)
{
	for (size_t i = 0; watch && i < watch->count; i++) {
		FIGURES_SET(watch->plans[i].figures->here, false);
		FIGURES_SET(watch->plans[i].figures->overdue_ms, 0);
	}
}

/* ---- Runs ---- */

static bool same_run(const struct store_id *a, const struct store_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Its run as a command. again: somebody has asked for it, so it runs also where a copy of it has just died. */
static int park(struct schedule_watch *watch, struct store_client *client, struct plan *plan,
	const struct schedule_state *state)
{
	static const struct store_id none;
	char topic[TIMETABLE_TOPIC_SIZE], payload[TIMETABLE_PAYLOAD_SIZE];
	timetable_topic(plan->name, topic);
	timetable_payload(state->slot_ms, state->since_ms, payload);
	const struct parked_command command = {
		.id = state->run,
		.lane = watch->options.lane,
		.user = topic,
		.topic = topic,
		.position = store_now_us(watch->options.store),
		.payload = payload,
		.payload_size = strlen(payload),
		.end = "done",
		.replayed = !same_run(&state->question, &none),
		.handler = "",
		.reason = "",
	};
	const struct parked_command *const commands[] = {&command};
	size_t failed;
	const int error = parked_commands_append(client, commands, 1, NULL, &failed);
	if (error == 0) {
		plan->parked = state->run;
		plan->parked_ms = clock_ms();
		failpoint("schedule_parked");
	}
	return error;
}

static int take_over(struct schedule_watch *watch, struct store_client *client, const struct plan *plan,
	const struct schedule_state *state)
{
	char topic[TIMETABLE_TOPIC_SIZE], slot[CLOCK_ISO_SIZE];
	bool moved;
	timetable_topic(plan->name, topic);
	clock_iso_ms(state->slot_ms, slot);
	const int error =
		parked_commands_move(client, topic, &state->run, watch->options.lane, ENSURE_MS, &moved);
	if (error == 0 && moved)
		log_warn("schedule_moved",
			"a run is done here that was begun under another client id, whose hosts have not come to it for a minute",
			LOG_TEXT("handler", plan->name), LOG_TEXT("slot", slot),
			LOG_TEXT("client_id", watch->options.lane));
	return error;
}

/* An open run is parked, as far as anybody knows; it is looked after where it need not be. */
static int ensure(struct schedule_watch *watch, struct store_client *client, struct plan *plan,
	const struct schedule_state *state, int64_t now_ms)
{
	const bool known = same_run(&plan->parked, &state->run);
	if (known && clock_ms() - plan->parked_ms < ENSURE_MS)
		return 0;
	if (!known && !state->ours && now_ms - state->begun_ms < ENSURE_MS)
		return 0;
	const int error = park(watch, client, plan, state);
	return error != 0 ? error : take_over(watch, client, plan, state);
}

static void log_begun(const struct plan *plan, const struct schedule_run *run, bool asked, int64_t now_ms)
{
	char slot[CLOCK_ISO_SIZE], since[CLOCK_ISO_SIZE];
	const bool late = now_ms - run->slot_ms > LATE_MS ||
			  timetable_after(&plan->timetable, run->since_ms) != run->slot_ms;
	clock_iso_ms(run->slot_ms, slot);
	clock_iso_ms(run->since_ms, since);
	LOG_EVENT(late || asked ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "schedule_begun",
		asked  ? "a schedule is run, as somebody has asked for"
		: late ? "a schedule is run, late, for all that was missed"
		       : "a schedule is run",
		LOG_TEXT("handler", plan->name), LOG_TEXT("slot", slot), LOG_TEXT("since", since));
}

/* A run that is due, or, where somebody asks and none is, the last one again. */
static int begin(struct schedule_watch *watch, struct store_client *client, struct plan *plan,
	struct schedule_state *state, int64_t slot_ms, int64_t now_ms)
{
	const struct schedule_run run = {
		.name = plan->name,
		.before = state,
		.slot_ms = slot_ms,
		.since_ms = slot_ms > state->slot_ms ? state->slot_ms : state->since_ms,
		.id = store_new_id(),
		.owner = watch->options.owner,
	};
	const int error = schedule_begin(client, &run);
	if (error == SCHEDULE_E_TAKEN)
		return 0;
	if (error != 0)
		return error;
	failpoint("schedule_begun");
	figures_add(&plan->figures->begun, 1);
	log_begun(plan, &run, state->asked, now_ms);
	state->question = state->asked ? state->asks : (struct store_id){{0}};
	state->asked = false;
	state->open = true;
	state->run = run.id;
	state->slot_ms = run.slot_ms;
	state->since_ms = run.since_ms;
	return park(watch, client, plan, state);
}

static void tell_damaged(struct plan *plan)
{
	if (!plan->told_damaged)
		log_error("schedule_damaged",
			"the schedule's document in the collection schedules has no dates slot and since, or no ObjectId run: it does not run until "
			"somebody mends that or removes the document",
			LOG_TEXT("handler", plan->name));
	plan->told_damaged = true;
}

/* The slots that it has left out, as declared. */
static void count_skipped(struct plan *plan, int64_t slot_ms)
{
	if (plan->skipped_ms < slot_ms)
		figures_add(&plan->figures->skipped, 1);
	plan->skipped_ms = slot_ms;
}

static int serve(struct schedule_watch *watch, struct store_client *client, struct plan *plan,
	struct schedule_state *state)
{
	const int64_t now_ms = store_now_ms(watch->options.store);
	const int64_t latest_ms = timetable_latest(&plan->timetable, now_ms);
	if (!state->known) {
		/* It counts from the slot before: its first run begins there. */
		state->slot_ms = latest_ms;
		state->since_ms = timetable_latest(&plan->timetable, latest_ms - 1);
		tell_figures(plan, state, now_ms);
		return schedule_found(client, plan->name, state->slot_ms, state->since_ms);
	}
	if (state->damaged) {
		tell_damaged(plan);
		return 0;
	}
	plan->told_damaged = false;
	int error = 0;
	if (state->open) {
		error = ensure(watch, client, plan, state, now_ms);
	} else if (latest_ms > state->slot_ms &&
		   (!plan->handler->skip_missed || now_ms - latest_ms <= LATE_MS || state->asked)) {
		error = begin(watch, client, plan, state, latest_ms, now_ms);
	} else if (state->asked) {
		error = begin(watch, client, plan, state, state->slot_ms, now_ms);
	} else if (latest_ms > state->slot_ms) {
		count_skipped(plan, latest_ms);
	}
	tell_figures(plan, state, now_ms);
	return error;
}

/* ---- Turns ---- */

/* No answer is the store watch's matter. Each change is told once. */
static void tell_refused(struct schedule_watch *watch, int error, const struct store_client *client)
{
	if (error == STORE_E_AWAY)
		return;
	if (error != 0 && !watch->told_refused)
		log_error("schedules_refused",
			"the database does not do what schedules need: none is run, until it does",
			LOG_TEXT("reason", store_last_error(client)));
	else if (error == 0 && watch->told_refused)
		log_info("schedules_granted", "the database does what schedules need again");
	watch->told_refused = error != 0;
}

/* When the first of them is due. One that is overdue is looked at each second. */
static long rest_ms(const struct schedule_watch *watch, long max_ms)
{
	const int64_t now_ms = store_now_ms(watch->options.store);
	long rest = max_ms;
	for (size_t i = 0; i < watch->count; i++) {
		const int64_t due_in_ms = timetable_after(&watch->plans[i].timetable, now_ms) - now_ms;
		if (due_in_ms < rest)
			rest = (long)due_in_ms;
	}
	return rest;
}

long schedule_watch_turn(struct schedule_watch *watch, struct store_client *client, long max_ms)
{
	if (!watch)
		return max_ms;
	int error = schedules_read(client, watch->names, watch->count, watch->options.owner, watch->states);
	/* What one of them is refused is not the others' fault. */
	const bool read = error == 0;
	for (size_t i = 0; read && error != STORE_E_AWAY && i < watch->count; i++) {
		const int one = serve(watch, client, &watch->plans[i], &watch->states[i]);
		error = one != 0 ? one : error;
	}
	tell_refused(watch, error, client);
	return rest_ms(watch, max_ms);
}
