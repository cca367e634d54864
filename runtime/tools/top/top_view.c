/*
 * top_view.c - see top_view.h. Text is collected with marks in it, control characters that no text of others
 * can hold; at the end lines are cut, and the marks become colours or nothing.
 */
#include "top_view.h"

#include "figures.h"
#include "text_line.h"
#include "top_table.h"
#include "top_text.h"
#include "top_view_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On a terminal of less than NAMES_WIDE columns names are cut earlier, so that figures have room. */
enum {
	NAME_WIDTH = 32,
	NAME_WIDTH_NARROW = 20,
	NAMES_WIDE = 100,
	LANES_MIN = 2,
	RUNNING_MIN = 3,
	SCHEDULES_MIN = 2,
	SCHEDULE_LATE_MS = 60000, /* overdue for so long is marked */
	HEADINGS = 6,		  /* of lanes, handlers and runs, with an empty line each */
	SCHEDULE_HEADINGS = 2
};

/* ---- Numbers ---- */

int64_t view_number(const json_t *object, const char *key)
{
	const int64_t value = json_integer_value(json_object_get(object, key));
	return value > 0 ? value : 0;
}

bool view_is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

int64_t view_more(const json_t *now, const json_t *before, const char *key)
{
	const int64_t to = view_number(now, key), from = view_number(before, key);
	return to > from ? to - from : 0;
}

/* The element of that name. */
static const json_t *named(const json_t *array, const json_t *name)
{
	size_t i;
	json_t *element;
	json_array_foreach((json_t *)(uintptr_t)array, i, element)
	{
		if (json_equal(json_object_get(element, "name"), name))
			return element;
	}
	return NULL;
}

static const json_t *counterpart(const struct view *view, const char *key, const json_t *element)
{
	return named(json_object_get(view->before, key), json_object_get(element, "name"));
}

/* ---- Histograms ---- */

static struct figures_times times_between(const json_t *now, const json_t *before)
{
	struct figures_times times = {.count = 0};
	const json_t *counts = json_object_get(now, "counts"), *earlier = json_object_get(before, "counts");
	for (size_t i = 0; i <= FIGURES_BOUNDS; i++) {
		const int64_t to = json_integer_value(json_array_get(counts, i));
		const int64_t from = json_integer_value(json_array_get(earlier, i));
		times.counts[i] = to > from && from >= 0 ? (uint64_t)(to - from) : 0;
		times.count += times.counts[i];
	}
	return times;
}

void view_quantiles(
	const struct view *view, const json_t *now, const json_t *before, struct top_text ret[static 2])
{
	struct figures_times times = times_between(now, before);
	const bool idle = times.count == 0;
	if (idle)
		times = times_between(now, NULL);
	for (int i = 0; i < 2; i++) {
		const double us = figures_quantile_us(&times, i == 0 ? 0.5 : 0.99);
		const bool beyond = us >= figures_bounds_us[FIGURES_BOUNDS - 1];
		if (times.count == 0 || !view->bounds_known) {
			ret[i] = (struct top_text){"-"};
			continue;
		}
		snprintf(ret[i].text, sizeof(ret[i].text), "%s%s%.16s%s", idle ? TOP_DIM : "",
			beyond ? ">" : "", top_text_duration(us / 1000).text, idle ? TOP_PLAIN : "");
	}
}

static bool bounds_known(const json_t *now)
{
	const json_t *bounds = json_object_get(now, "bounds_us");
	bool known = json_array_size(bounds) == FIGURES_BOUNDS;
	for (size_t i = 0; known && i < FIGURES_BOUNDS; i++)
		known = json_integer_value(json_array_get(bounds, i)) == figures_bounds_us[i];
	return known;
}

/* ---- Texts ---- */

char *view_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text_line(text ? text : "?");
}

const char *view_mark(bool bad, const char *mark)
{
	return bad ? mark : "";
}

/* A counter that should not rise: marked while it does. */
static void add_bad(struct top_table *table, const struct view *view, const json_t *now, const json_t *before,
	const char *key, const char *mark)
{
	const bool rose = view->before && view_more(now, before, key) > 0;
	top_table_add(table, "%s%s%s", view_mark(rose, mark), top_text_count(view_number(now, key)).text,
		TOP_PLAIN);
}

/* ---- The tables ---- */

void view_connection(const json_t *connection, FILE *out)
{
	char *state = view_text(connection, "state");
	const bool up = state && strcmp(state, "up") == 0;
	if (view_is(connection, "standby"))
		fputs(TOP_YELLOW "standby" TOP_PLAIN, out);
	else
		fprintf(out, "%s%s" TOP_PLAIN, up ? TOP_GREEN : TOP_RED, state ? state : "?");
	if (up)
		fprintf(out, " %s", top_text_duration((double)view_number(connection, "up_ms")).text);
	free(state);
}

static void add_name(const struct view *view, struct top_table *table, const json_t *object, const char *key)
{
	char *name = view_text(object, key);
	const unsigned width = view->options->width;
	top_table_add_cut(
		table, name ? name : "?", width > 0 && width < NAMES_WIDE ? NAME_WIDTH_NARROW : NAME_WIDTH);
	free(name);
}

static void add_age(struct top_table *table, int64_t ms)
{
	top_table_add(table, "%s", ms > 0 ? top_text_duration((double)ms).text : "-");
}

static void fill_lanes(const struct view *view, struct top_table *table)
{
	size_t i;
	json_t *lane;
	json_array_foreach(json_object_get(view->now, "lanes"), i, lane)
	{
		const json_t *before = counterpart(view, "lanes", lane);
		struct top_text hold[2];
		char *state = NULL;
		size_t size;
		FILE *out = open_memstream(&state, &size);
		if (out) {
			view_connection(json_object_get(lane, "connection"), out);
			fclose(out);
		}
		view_quantiles(view, json_object_get(lane, "hold"), json_object_get(before, "hold"), hold);
		add_name(view, table, lane, "name");
		top_table_add(table, "%s", state ? state : "?");
		top_table_add(table, "%s%" PRId64 "/%" PRId64 TOP_PLAIN,
			view_mark(view_number(lane, "granted") < view_number(lane, "filters"), TOP_RED),
			view_number(lane, "granted"), view_number(lane, "filters"));
		add_age(table, view_number(lane, "oldest_ms"));
		add_bad(table, view, lane, before, "dropped", TOP_RED);
		add_bad(table, view, lane, before, "stepped_aside", TOP_YELLOW);
		top_table_add(table, "%s", top_text_count(view_number(lane, "unsettled")).text);
		top_table_add(table, "%s", top_text_count(view_number(lane, "held")).text);
		top_table_add(table, "%s",
			top_text_rate(view_more(lane, before, "acknowledged"), view->seconds).text);
		top_table_add(table, "%s", hold[1].text);
		top_table_add(table, "%s", hold[0].text);
		free(state);
	}
}

/* Those that end the host come first, then those that have run most. */
static int compare_handlers(const void *a, const void *b)
{
	const json_t *const *left = a, *const *right = b;
	const bool kills = view_number(*left, "crashed") + view_number(*left, "hung") > 0;
	const bool other_kills = view_number(*right, "crashed") + view_number(*right, "hung") > 0;
	const int64_t l = view_number(*left, "runs"), r = view_number(*right, "runs");
	if (kills != other_kills)
		return kills ? -1 : 1;
	const char *one = json_string_value(json_object_get(*left, "name"));
	const char *other = json_string_value(json_object_get(*right, "name"));
	if (l != r)
		return l > r ? -1 : 1;
	return strcmp(one ? one : "", other ? other : "");
}

static void add_handler(const struct view *view, const json_t *handler, struct top_table *table)
{
	const json_t *before = counterpart(view, "handlers", handler);
	struct top_text durations[2];
	view_quantiles(
		view, json_object_get(handler, "durations"), json_object_get(before, "durations"), durations);
	add_name(view, table, handler, "name");
	add_bad(table, view, handler, before, "crashed", TOP_RED);
	add_bad(table, view, handler, before, "hung", TOP_RED);
	add_bad(table, view, handler, before, "failed", TOP_RED);
	add_bad(table, view, handler, before, "retried", TOP_YELLOW);
	add_bad(table, view, handler, before, "rejected", TOP_YELLOW);
	top_table_add(table, "%s", durations[1].text);
	top_table_add(table, "%s", top_text_rate(view_more(handler, before, "runs"), view->seconds).text);
	top_table_add(table, "%s", top_text_count(view_number(handler, "running")).text);
	top_table_add(table, "%s", durations[0].text);
	top_table_add(table, "%s", top_text_count(view_number(handler, "done")).text);
}

static int fill_handlers(const struct view *view, struct top_table *table)
{
	const json_t *handlers = json_object_get(view->now, "handlers");
	const size_t count = json_array_size(handlers);
	const json_t **sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(handlers, i);
	qsort(sorted, count, sizeof(*sorted), compare_handlers);
	for (size_t i = 0; i < count; i++)
		add_handler(view, sorted[i], table);
	free(sorted);
	return 0;
}

static void fill_running(const struct view *view, struct top_table *table)
{
	size_t i;
	json_t *run;
	json_array_foreach(json_object_get(view->now, "running"), i, run)
	{
		const int64_t ms = view_number(run, "running_ms"), deadline = view_number(run, "deadline_ms");
		const char *mark = view_is(run, "overdue") ? TOP_RED : (2 * ms > deadline ? TOP_YELLOW : "");
		char *topic = view_text(run, "topic");
		top_table_add(table, "%s%s" TOP_PLAIN, mark, top_text_duration((double)ms).text);
		top_table_add(table, "%s", top_text_duration((double)deadline).text);
		top_table_add(table, "%" PRId64, view_number(run, "attempt"));
		add_name(view, table, run, "handler");
		top_table_add(table, "%s", topic ? topic : "?");
		free(topic);
	}
}

/* Those that are overdue come first, then those that are due first. */
static int compare_schedules(const void *a, const void *b)
{
	const json_t *const *left = a, *const *right = b;
	const int64_t late = view_number(*left, "overdue_ms"), other_late = view_number(*right, "overdue_ms");
	const int64_t next = view_number(*left, "next_ms"), other_next = view_number(*right, "next_ms");
	if (late != other_late)
		return late > other_late ? -1 : 1;
	return (next > other_next) - (next < other_next);
}

static void add_schedule(const struct view *view, const json_t *schedule, struct top_table *table)
{
	const int64_t late_ms = view_number(schedule, "overdue_ms");
	const bool running = view_is(schedule, "running");
	char *end = view_text(schedule, "end");
	const bool dead = end && strcmp(end, "dead") == 0;
	add_name(view, table, schedule, "name");
	top_table_add(table, "%s%s" TOP_PLAIN, view_mark(late_ms >= SCHEDULE_LATE_MS, TOP_RED),
		late_ms > 0 ? top_text_duration((double)late_ms).text : "-");
	top_table_add(table, "%s%s" TOP_PLAIN, view_mark(dead, TOP_RED),
		running ? "running"
		: end	? end
			: "?");
	top_table_add(table, "%s", top_text_count(view_number(schedule, "begun")).text);
	top_table_add(table, "%s", top_text_count(view_number(schedule, "skipped")).text);
	top_table_add(table, "%s", top_text_clock(view_number(schedule, "next_ms")).text);
	top_table_add(table, "%s", top_text_clock(view_number(schedule, "slot_ms")).text);
	free(end);
}

static int fill_schedules(const struct view *view, struct top_table *table)
{
	const json_t *schedules = json_object_get(view->now, "schedules");
	const size_t count = json_array_size(schedules);
	const json_t **sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(schedules, i);
	qsort(sorted, count, sizeof(*sorted), compare_schedules);
	for (size_t i = 0; i < count; i++)
		add_schedule(view, sorted[i], table);
	free(sorted);
	return 0;
}

static size_t take(size_t wanted, size_t *left)
{
	const size_t taken = wanted < *left ? wanted : *left;
	*left -= taken;
	return taken;
}

/* How many rows of lanes, handlers, runs and schedules fit: a few of each before one has the rest. */
static void share_out(unsigned height, const size_t counts[static 4], size_t ret[static 4])
{
	const unsigned heads = TOP_HEAD_LINES + HEADINGS + (counts[3] > 0 ? SCHEDULE_HEADINGS : 0);
	size_t left = height > heads ? height - heads : 0;
	if (height == 0)
		left = SIZE_MAX;
	ret[0] = take(counts[0] < LANES_MIN ? counts[0] : LANES_MIN, &left);
	ret[2] = take(counts[2] < RUNNING_MIN ? counts[2] : RUNNING_MIN, &left);
	ret[3] = take(counts[3] < SCHEDULES_MIN ? counts[3] : SCHEDULES_MIN, &left);
	ret[1] = take(counts[1], &left);
	ret[2] += take(counts[2] - ret[2], &left);
	ret[0] += take(counts[0] - ret[0], &left);
	ret[3] += take(counts[3] - ret[3], &left);
}

static int print_tables(const struct view *view)
{
	/* The most urgent columns first: where a terminal has no room for all, the last ones go. */
	static const char *const lanes[] = {"LANE", "LINK", "TOPICS", "OLDEST", "DROP", "ASIDE", "OPEN",
		"HELD", "ACK/S", "P99", "P50", NULL};
	static const char *const handlers[] = {"HANDLER", "CRASH", "HANG", "FAIL", "RETRY", "REJECT", "P99",
		"RUNS/S", "NOW", "P50", "DONE", NULL};
	static const char *const running[] = {"RUNNING", "DEADLINE", "ATTEMPT", "HANDLER", "COMMAND", NULL};
	static const char *const schedules[] = {
		"SCHEDULE", "OVERDUE", "LAST", "BEGUN", "SKIP", "NEXT", "LAST SLOT", NULL};
	struct top_table tables[4] = {{.headings = lanes, .left = 3}, {.headings = handlers, .left = 1},
		{.headings = running, .left = 0x18}, {.headings = schedules, .left = 1}};
	size_t counts[4], rows[4];
	fill_lanes(view, &tables[0]);
	int error = fill_handlers(view, &tables[1]);
	fill_running(view, &tables[2]);
	if (error == 0)
		error = fill_schedules(view, &tables[3]);
	for (size_t i = 0; i < 4; i++)
		counts[i] = top_table_rows(&tables[i]);
	share_out(view->options->height, counts, rows);
	for (size_t i = 0; i < 4; i++) {
		/* Where nothing runs by the clock there is no such table. */
		const bool shown = i < 3 || counts[i] > 0;
		if (shown)
			fputc('\n', view->out);
		if (error == 0 && shown)
			error = top_table_print(&tables[i], rows[i], view->options->width, view->out);
		top_table_free(&tables[i]);
	}
	return error;
}

/* ---- The whole ---- */

/* The text with its marks, as it goes to the terminal. */
static int finish(const char *text, const struct top_view_options *options, char **ret)
{
	char *result = NULL;
	size_t size;
	FILE *out = open_memstream(&result, &size);
	if (!out)
		return -ENOMEM;
	top_table_cut(text, options->width, options->height, options->colours, out);
	if (fclose(out) != 0) {
		free(result);
		return -ENOMEM;
	}
	*ret = result;
	return 0;
}

bool top_view_is_status(const json_t *document)
{
	return json_is_string(json_object_get(document, "cashewd")) &&
	       json_is_object(json_object_get(document, "host"));
}

static bool is_same_supervisor(const json_t *now, const json_t *before)
{
	const json_t *one = json_object_get(now, "supervisor"),
		     *other = json_object_get(before, "supervisor");
	return before && view_number(one, "pid") == view_number(other, "pid") &&
	       view_number(one, "started_ms") == view_number(other, "started_ms") &&
	       view_number(now, "clock_ms") > view_number(before, "clock_ms");
}

int top_view(const json_t *now, const json_t *before, const struct top_view_options *options, char **ret)
{
	struct view view = {.now = now, .bounds_known = bounds_known(now), .options = options};
	char *text = NULL;
	size_t size;
	view.before = is_same_supervisor(now, before) ? before : NULL;
	const int64_t since = view.before ? view_number(before, "clock_ms")
					  : view_number(json_object_get(now, "supervisor"), "started_ms");
	view.seconds = (double)(view_number(now, "clock_ms") - since) / 1000;
	view.out = open_memstream(&text, &size);
	if (!view.out)
		return -ENOMEM;
	top_head(&view);
	int error = print_tables(&view);
	if (fclose(view.out) != 0 && error == 0)
		error = -ENOMEM;
	if (error == 0)
		error = finish(text, options, ret);
	free(text);
	return error;
}

int top_view_away(const struct top_away *away, const struct top_view_options *options, char **ret)
{
	char *reason = text_line(away->reason), *text = NULL;
	if (!reason || asprintf(&text,
			       TOP_RED "No answer from cashewd at %s" TOP_PLAIN "\n"
				       "since %s, for %s: %s\n\n"
				       "The address is from %s. It is asked again every %s; q leaves.\n",
			       options->address, top_text_clock(away->since_ms).text,
			       top_text_duration((double)(away->now_ms - away->since_ms)).text, reason,
			       away->source, top_text_duration(away->interval_ms).text) < 0)
		text = NULL;
	free(reason);
	const int error = text ? finish(text, options, ret) : -ENOMEM;
	free(text);
	return error;
}
