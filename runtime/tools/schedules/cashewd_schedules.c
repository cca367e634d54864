/*
 * cashewd_schedules.c - shows how far the schedules are, and has the active host run one: see schedule_help().
 *
 * Happy path: read the options, then the few settings that are needed, open the store, read the schedules' documents. To run one, leave a question there,
 * which the active host finds within a second, and wait for the end of the run that answers it. It needs no broker, and runs no handler itself. Failure:
 * a question that no host takes up is taken back; a run that does not end in time goes on.
 */
#include "cashewd_schedules.h"

#include "cashew.h"
#include "clock.h"
#include "exit_codes.h"
#include "nearest.h"
#include "output.h"
#include "schedule_options.h"
#include "schedules.h"
#include "timetable.h"
#include "tool_store.h"

#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 100, WHEN_SIZE = 96 };

struct work {
	const struct schedule_options *options;
	struct tool_store database;
	const struct cashew_handler **handlers; /* the schedules */
	const char **names;			/* theirs, ended by NULL */
	struct schedule_state *states;
	size_t count;
};

static void work_free(struct work *work)
{
	free(work->handlers);
	free(work->names);
	free(work->states);
	tool_store_close(&work->database);
}

/* ---- List ---- */

/* What select_handlers() would refuse is refused here too, by its line. */
static int timetable(const struct cashew_handler *handler, struct timetable *ret)
{
	char reason[TIMETABLE_REASON_SIZE];
	if (timetable_of(handler, ret, reason) == 0)
		return 0;
	fprintf(stderr, "%s:%d: handler %s: %s\n", handler->file, handler->line, handler->name, reason);
	return EXIT_CONFIG;
}

static void write_when(const struct cashew_handler *handler, char ret[static WHEN_SIZE])
{
	if (handler->cron)
		snprintf(ret, WHEN_SIZE, "%s", handler->cron);
	else
		snprintf(ret, WHEN_SIZE, "every %u s", handler->every_s);
}

/* When it is due next; where a slot has come and nobody has begun its run, that one. */
static int64_t next_of(const struct cashew_handler *handler, const struct timetable *table,
	const struct schedule_state *state, int64_t now_ms)
{
	const bool counts = state->known && !state->damaged && !handler->skip_missed;
	return timetable_after(table, counts ? state->slot_ms : now_ms);
}

/* Of its last run. */
static const char *end_of(const struct schedule_state *state)
{
	if (!state->known)
		return "unknown to the database";
	if (state->damaged)
		return "its document is damaged";
	if (state->open)
		return "running";
	return state->end[0] != '\0' ? state->end : "not run yet";
}

static void print_rows(const struct work *work, const struct timetable *tables, int64_t now_ms)
{
	int name_width = (int)strlen("schedule"), when_width = (int)strlen("when (UTC)");
	char when[WHEN_SIZE], slot[CLOCK_ISO_SIZE], next[CLOCK_ISO_SIZE];
	for (size_t i = 0; i < work->count; i++) {
		write_when(work->handlers[i], when);
		name_width =
			(int)strlen(work->names[i]) > name_width ? (int)strlen(work->names[i]) : name_width;
		when_width = (int)strlen(when) > when_width ? (int)strlen(when) : when_width;
	}
	printf("%-*s  %-*s  %-20s  %-20s  end\n", name_width, "schedule", when_width, "when (UTC)",
		"last run", "next");
	for (size_t i = 0; i < work->count; i++) {
		const struct schedule_state *state = &work->states[i];
		write_when(work->handlers[i], when);
		snprintf(slot, sizeof(slot), "-");
		if (state->begun_ms != INT64_MIN && !state->damaged)
			clock_iso(state->slot_ms, slot);
		clock_iso(next_of(work->handlers[i], &tables[i], state, now_ms), next);
		printf("%-*s  %-*s  %-20s  %-20s  %s\n", name_width, work->names[i], when_width, when, slot,
			next, end_of(state));
	}
}

static int set_time(json_t *json, const char *key, int64_t ms)
{
	char text[CLOCK_ISO_SIZE];
	clock_iso_ms(ms, text);
	return json_object_set_new(json, key, ms == INT64_MIN ? json_null() : json_string(text));
}

static json_t *row_json(const struct work *work, size_t i, int64_t next_ms)
{
	const struct cashew_handler *handler = work->handlers[i];
	const struct schedule_state *state = &work->states[i];
	const bool known = state->known && !state->damaged, ran = known && state->begun_ms != INT64_MIN;
	json_t *json = json_object();
	int error = json_object_set_new(json, "name", json_string(handler->name));
	if (handler->cron)
		error |= json_object_set_new(json, "cron", json_string(handler->cron));
	else
		error |= json_object_set_new(json, "every_s", json_integer(handler->every_s));
	error |= json_object_set_new(json, "skip_missed", json_boolean(handler->skip_missed));
	error |= json_object_set_new(json, "known", json_boolean(known));
	error |= json_object_set_new(json, "running", json_boolean(known && state->open));
	error |= set_time(json, "slot", ran ? state->slot_ms : INT64_MIN);
	error |= set_time(json, "since", ran ? state->since_ms : INT64_MIN);
	error |= set_time(json, "begun_at", ran ? state->begun_ms : INT64_MIN);
	error |= set_time(json, "ended_at", ran ? state->ended_ms : INT64_MIN);
	error |= json_object_set_new(
		json, "end", state->end[0] != '\0' ? json_string(state->end) : json_null());
	error |= json_object_set_new(json, "events", json_integer(state->events));
	error |= json_object_set_new(json, "ms", json_integer(state->ran_ms));
	error |= set_time(json, "next", next_ms);
	if (error == 0)
		return json;
	json_decref(json);
	return NULL;
}

static int print_json(const struct work *work, const struct timetable *tables, int64_t now_ms)
{
	json_t *rows = json_array();
	int error = rows ? 0 : -1;
	for (size_t i = 0; i < work->count && error == 0; i++)
		error = json_array_append_new(rows,
			row_json(work, i, next_of(work->handlers[i], &tables[i], &work->states[i], now_ms)));
	if (error == 0)
		error = json_dumpf(rows, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(rows);
	return error == 0 ? 0 : output_no_memory("cashewd");
}

static int list(struct work *work)
{
	struct timetable *tables = calloc(work->count + 1, sizeof(*tables));
	int code = tables ? 0 : output_no_memory("cashewd");
	for (size_t i = 0; i < work->count && code == 0; i++)
		code = timetable(work->handlers[i], &tables[i]);
	if (code == 0 &&
		(store_ping(work->database.client) != 0 || schedules_read(work->database.client, work->names,
								   work->count, "", work->states) != 0))
		code = tool_store_failed(&work->database);
	const int64_t now_ms = store_now_ms(work->database.store);
	if (code == 0 && work->options->json)
		code = print_json(work, tables, now_ms);
	else if (code == 0 && work->count == 0)
		puts("No handler is a schedule: see CASHEW_SCHEDULE() in cashew.h.");
	else if (code == 0)
		print_rows(work, tables, now_ms);
	free(tables);
	return code;
}

/* ---- Run ---- */

static int no_such(const struct work *work)
{
	const char *near = nearest_name(work->options->name, work->names);
	fprintf(stderr, "cashewd: there is no schedule %s.%s%s%s\n", work->options->name,
		near ? " Did you mean " : "", near ? near : " `cashewd schedules list` shows them",
		near ? "?" : "");
	return EXIT_USAGE;
}

static int tell_end(const struct schedule_state *state)
{
	char slot[CLOCK_ISO_SIZE];
	const bool done = strcmp(state->end, "done") == 0;
	clock_iso_ms(state->slot_ms, slot);
	if (done)
		printf("run for %s: done, %u %s, %u ms\n", slot, state->events,
			state->events == 1 ? "event" : "events", state->ran_ms);
	else
		printf("run for %s: given up; `cashewd dead-letters list --handler %s` says why\n", slot,
			state->name);
	return done ? 0 : EXIT_FAILED;
}

static bool same(const struct store_id *a, const struct store_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Its time is over: whatever has not begun is not to come as a surprise. */
static int give_up(const struct work *work, const struct store_id *question)
{
	const unsigned wait_s = work->options->wait_s;
	bool taken = false;
	if (schedule_unask(work->database.client, work->options->name, question, &taken) != 0)
		return tool_store_failed(&work->database);
	if (taken) {
		fprintf(stderr,
			"cashewd: no host has begun it in %u s: is one active that has this schedule, or does an earlier run of it take long? "
			"(cashewd schedules list)\n",
			wait_s);
		return EXIT_UNAVAILABLE;
	}
	fprintf(stderr, "cashewd: the run has begun, and not ended in %u s: it goes on\n", wait_s);
	return EXIT_TEMPORARY;
}

/* The run that answers may itself be followed by the next one, which answers nothing: then it has ended. */
static int wait_for_end(const struct work *work, const struct store_id *question)
{
	const int64_t until_ms = clock_ms() + (int64_t)work->options->wait_s * 1000;
	struct schedule_state state;
	bool answered = false;
	while (clock_ms() < until_ms) {
		if (schedules_read(work->database.client, &work->options->name, 1, "", &state) != 0)
			return tool_store_failed(&work->database);
		const bool answers = same(&state.question, question);
		if (answers && !state.open)
			return tell_end(&state);
		if (answered && !answers) {
			puts("the run has ended, and the next one has begun");
			return 0;
		}
		answered = answered || answers;
		(void)poll(NULL, 0, LOOK_MS);
	}
	return give_up(work, question);
}

static int run(struct work *work)
{
	const struct store_id question = store_new_id();
	bool known = false;
	for (size_t i = 0; i < work->count; i++)
		known = known || strcmp(work->names[i], work->options->name) == 0;
	if (!known)
		return no_such(work);
	const int error = schedule_ask(work->database.client, work->options->name, &question);
	if (error == STORE_E_NOT_FOUND) {
		fputs("cashewd: no host that has this schedule has been active on this database yet: start cashewd first\n",
			stderr);
		return EXIT_UNAVAILABLE;
	}
	return error == 0 ? wait_for_end(work, &question) : tool_store_failed(&work->database);
}

/* ---- The program ---- */

static int find_schedules(struct work *work, const struct cashew_handler *const *handlers)
{
	size_t count = 0;
	while (handlers[count])
		count++;
	work->handlers = calloc(count + 1, sizeof(*work->handlers));
	work->names = calloc(count + 1, sizeof(*work->names));
	work->states = calloc(count + 1, sizeof(*work->states));
	if (!work->handlers || !work->names || !work->states)
		return output_no_memory("cashewd");
	for (size_t i = 0; i < count; i++) {
		if (!handlers[i]->scheduled)
			continue;
		work->handlers[work->count] = handlers[i];
		work->names[work->count++] = handlers[i]->name;
	}
	return 0;
}

int cashewd_schedules(
	int count, char **values, const struct cashew_handler *const *handlers, void (*forget_secrets)(void))
{
	static const char *const names[] = {"MONGO_DB_URL", "MONGO_DB_NAME", NULL};
	struct schedule_options options;
	__attribute__((cleanup(work_free))) struct work work = {.options = &options};
	if (schedule_options_read(count, values, stderr, &options) != 0)
		return EXIT_USAGE;
	if (options.action == SCHEDULE_HELP) {
		schedule_help(stdout);
		return output_flush("cashewd", 0);
	}
	int code = tool_store_settings(&work.database, options.env_file, options.env_file_given, names);
	forget_secrets();
	if (code == 0)
		code = find_schedules(&work, handlers);
	if (code == 0)
		code = tool_store_open(&work.database, "cashewd schedules");
	if (code == 0)
		code = options.action == SCHEDULE_LIST ? list(&work) : run(&work);
	return output_flush("cashewd", code);
}
