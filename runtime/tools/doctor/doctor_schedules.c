/*
 * doctor_schedules.c - the handlers that run by the clock: when each has run last, and when it is due.
 *
 * Happy path: what the database knows of them is read, and nothing else. Failure: one that is overdue, was given up last, or has a document that
 * somebody has changed, is named.
 */
#include "doctor.h"

#include "cashew.h"
#include "clock.h"
#include "configuration.h"
#include "schedules.h"
#include "timetable.h"
#include <stdlib.h>
#include <string.h>

enum { LATE_MS = 60000 };

static void tell_overdue(
	struct doctor *doctor, const char *name, int64_t due_ms, int64_t now_ms, const char *what)
{
	char due[CLOCK_ISO_SIZE];
	clock_iso(due_ms, due);
	doctor_warn(doctor, "%s is overdue: it was due at %s, %lld s ago, and %s", name, due,
		(long long)((now_ms - due_ms) / 1000), what);
	doctor_advise(doctor,
		"is a host active that has this schedule, and does its log say why not (schedules_refused, command_retry)?");
}

static void tell_run(struct doctor *doctor, const struct cashew_handler *handler,
	const struct schedule_state *state, int64_t next_ms)
{
	char slot[CLOCK_ISO_SIZE], next[CLOCK_ISO_SIZE];
	clock_iso(state->slot_ms, slot);
	clock_iso(next_ms, next);
	if (state->open)
		doctor_ok(doctor, "%s: the run of %s has not ended yet; next due %s", handler->name, slot,
			next);
	else if (state->end[0] == '\0')
		doctor_ok(doctor, "%s has not run yet; next due %s", handler->name, next);
	else
		doctor_ok(doctor, "%s: last run %s, %s; next due %s", handler->name, slot, state->end, next);
}

static void tell(struct doctor *doctor, const struct cashew_handler *handler,
	const struct schedule_state *state, int64_t now_ms)
{
	const unsigned timeout_ms = doctor->configuration->settings.handler_timeout_s * 1000;
	const unsigned deadline_ms = handler->deadline_ms != 0 ? handler->deadline_ms : timeout_ms;
	char reason[TIMETABLE_REASON_SIZE], slot[CLOCK_ISO_SIZE];
	struct timetable timetable;
	if (timetable_of(handler, &timetable, reason) != 0)
		abort(); /* select_handlers() has refused it */
	if (!state->known) {
		doctor_ok(doctor, "%s: the database does not know it yet: cashewd tells it at its next start",
			handler->name);
		return;
	}
	if (state->damaged) {
		doctor_fail(doctor,
			"%s: its document in the collection schedules has no dates slot and since, or no ObjectId run",
			handler->name);
		doctor_advise(doctor, "remove the document: the schedule then counts from its last slot on");
		return;
	}
	const int64_t next_ms = timetable_after(&timetable, handler->skip_missed ? now_ms : state->slot_ms);
	if (state->open && now_ms - state->begun_ms > LATE_MS + (int64_t)deadline_ms)
		tell_overdue(doctor, handler->name, state->slot_ms, now_ms, "its run has not ended");
	else if (!state->open && now_ms - next_ms > LATE_MS)
		tell_overdue(doctor, handler->name, next_ms, now_ms, "no host has begun its run");
	else
		tell_run(doctor, handler, state, next_ms);
	if (strcmp(state->end, "dead") == 0) {
		clock_iso(state->slot_ms, slot);
		doctor_warn(doctor, "%s: a run was given up%s%s", handler->name,
			state->open ? "" : ", the last one, of ", state->open ? "" : slot);
		doctor_advise(doctor,
			"cashewd dead-letters list --handler %s says why, and replay runs it once more",
			handler->name);
	}
}

void doctor_check_schedules(struct doctor *doctor)
{
	const struct cashew_handler *const *handlers = doctor->configuration->handlers;
	size_t count = 0;
	for (size_t i = 0; handlers[i]; i++)
		count += handlers[i]->scheduled;
	if (count == 0) {
		doctor_ok(doctor, "no handler runs by the clock");
		return;
	}
	const char **names = calloc(count, sizeof(*names));
	struct schedule_state *states = calloc(count, sizeof(*states));
	size_t at = 0;
	for (size_t i = 0; names && handlers[i]; i++)
		if (handlers[i]->scheduled)
			names[at++] = handlers[i]->name;
	const int error = names && states ? schedules_read(doctor->client, names, count, "", states) : 0;
	at = 0;
	if (error != 0)
		doctor_store_fails(doctor, "the schedules cannot be read", error);
	else
		for (size_t i = 0; names && states && handlers[i]; i++)
			if (handlers[i]->scheduled)
				tell(doctor, handlers[i], &states[at++], store_now_ms(doctor->store));
	free(names);
	free(states);
}
