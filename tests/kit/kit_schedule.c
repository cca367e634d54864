/*
 * kit_schedule.c - see cashew_test.h, test_run(): runs of schedules, due by the test's clock.
 *
 * Happy path: the last slot that is not after the clock, since the slot of the run before; as the host has it, one run for all that was missed. The
 * first run of a test follows one that was in time. Failure: a name that no schedule has, or a run that is not due, is a mistake in the test and told.
 */
#include "clock.h"
#include "handler_table.h"
#include "kit_private.h"
#include "nearest.h"
#include "timetable.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 64 }; /* to say what was meant */

static const struct cashew_handler *schedule_find(struct kit_place place, const char *name)
{
	const char *names[NAMES_MAX + 1] = {NULL};
	size_t count = 0;
	for (size_t i = 0; handler_table[i]; i++) {
		if (!handler_table[i]->scheduled)
			continue;
		if (strcmp(handler_table[i]->name, name) == 0)
			return handler_table[i];
		if (count < NAMES_MAX)
			names[count++] = handler_table[i]->name;
	}
	const char *near = nearest_name(name, names);
	kit_fail(place, "%s is no schedule of this build%s%s", name, near ? ": did you mean " : "",
		near ? near : "");
}

static struct kit_slot *slot_of(struct kit *t, const struct cashew_handler *schedule)
{
	struct kit_slot *slot = t->slots;
	while (slot && slot->schedule != schedule)
		slot = slot->next;
	if (slot)
		return slot;
	slot = kit_memory(calloc(1, sizeof(*slot)));
	slot->schedule = schedule;
	slot->next = t->slots;
	t->slots = slot;
	return slot;
}

void cashew_test_run_(cashew_test *t, const char *file, int line, const char *schedule)
{
	const struct kit_place place = {file, line};
	t->board->place = place;
	const struct cashew_handler *handler = schedule_find(place, schedule);
	struct timetable timetable;
	char reason[TIMETABLE_REASON_SIZE];
	if (timetable_of(handler, &timetable, reason) != 0)
		kit_fail(place, "%s: %s", schedule, reason);
	struct kit_slot *slot = slot_of(t, handler);
	const int64_t due_ms = timetable_latest(&timetable, kit_clock());
	const int64_t before_ms = slot->slot_ms ? slot->slot_ms : timetable_latest(&timetable, due_ms - 1);
	if (due_ms <= before_ms) {
		char next[CLOCK_ISO_SIZE];
		clock_iso_ms(timetable_after(&timetable, kit_clock()), next);
		kit_fail(place, "%s is not due before %s: expected a test_clock()", schedule, next);
	}
	slot->since_ms = before_ms;
	slot->slot_ms = due_ms;
	kit_take_run(t, place, slot);
	kit_deliver(t);
}

void kit_slots_free(struct kit *t)
{
	for (struct kit_slot *slot = t->slots, *next; slot; slot = next) {
		next = slot->next;
		free(slot);
	}
}
