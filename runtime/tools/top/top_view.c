/*
 * top_view.c - see top_view.h. Text is collected with marks in it, control characters that no text of others
 * can hold; at the end lines are cut, and the marks become colours or nothing.
 */
#include "top_view.h"

#include "figures.h"
#include "text_line.h"
#include "top_table.h"
#include "top_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH = 32, LANES_MIN = 2, RUNNING_MIN = 3, HEADER_LINES = 5, HEADINGS = 6 };

struct view {
	const json_t *now, *before; /* before: of the same supervisor, or NULL */
	double seconds;		    /* between them, or since the start */
	bool bounds_known;
	const struct top_view_options *options;
	FILE *out;
};

/* ---- Numbers ---- */

static int64_t number(const json_t *object, const char *key)
{
	const int64_t value = json_integer_value(json_object_get(object, key));
	return value > 0 ? value : 0;
}

static bool is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* What was added since; a counter that fell says nothing. */
static int64_t more(const json_t *now, const json_t *before, const char *key)
{
	const int64_t to = number(now, key), from = number(before, key);
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

/* Two cells: the median, and what one in a hundred exceeds. */
static void quantiles(
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

/* A text of the document; to be freed, NULL when out of memory. */
static char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text_line(text ? text : "?");
}

static const char *count_mark(bool bad, const char *mark)
{
	return bad ? mark : "";
}

/* A counter that should not rise: marked while it does. */
static void add_bad(struct top_table *table, const struct view *view, const json_t *now, const json_t *before,
	const char *key, const char *mark)
{
	const bool rose = view->before && more(now, before, key) > 0;
	top_table_add(
		table, "%s%s%s", count_mark(rose, mark), top_text_count(number(now, key)).text, TOP_PLAIN);
}

/* ---- The head ---- */

static void label(const struct view *view, const char *text)
{
	fprintf(view->out, TOP_BOLD "%-9s" TOP_PLAIN, text);
}

static void print_first(const struct view *view)
{
	char *version = text_of(view->now, "cashewd");
	const json_t *supervisor = json_object_get(view->now, "supervisor");
	label(view, "cashewd");
	fprintf(view->out, "%s at %s, figures of %s%s, up %s, %s\n", version ? version : "?",
		view->options->address, view->before ? "the last " : "all the time",
		view->before ? top_text_duration(view->seconds * 1000).text : "",
		top_text_duration((double)(number(view->now, "clock_ms") - number(supervisor, "started_ms")))
			.text,
		top_text_clock(number(view->now, "unix_ms")).text);
	free(version);
}

/* A counter in a line: where it is 0 only if it is always wanted, marked while it rises. */
struct counter {
	const char *key, *word, *mark;
	bool always;
};

static void print_counters(const struct view *view, const json_t *now, const json_t *before,
	const struct counter *counters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct counter *counter = &counters[i];
		const bool rose = view->before && more(now, before, counter->key) > 0;
		if (counter->always || number(now, counter->key) > 0)
			fprintf(view->out, ", %s%s %s%s", count_mark(rose, counter->mark), counter->word,
				top_text_count(number(now, counter->key)).text, TOP_PLAIN);
	}
	fputc('\n', view->out);
}

static void print_host(const struct view *view)
{
	static const struct counter ends[] = {{"crashed", "crashed", TOP_RED, true},
		{"hung", "hung", TOP_RED, true}, {"killed", "killed", TOP_RED, false},
		{"not_begun", "not begun", TOP_RED, false}, {"too_large", "too large", TOP_YELLOW, false}};
	const json_t *host = json_object_get(view->now, "host");
	const json_t *supervisor = json_object_get(view->now, "supervisor");
	char *state = text_of(host, "state");
	const bool running = state && strcmp(state, "running") == 0;
	label(view, "host");
	fprintf(view->out, "%s%s%s%s" TOP_PLAIN, running && is(host, "ready") ? TOP_GREEN : TOP_RED,
		state ? state : "?", running ? (is(host, "ready") ? ", ready" : ", not ready") : "",
		is(host, "standby") ? " (standby)" : "");
	free(state);
	if (number(host, "pid") > 0)
		fprintf(view->out, " for %s, pid %" PRId64,
			top_text_duration((double)number(host, "running_ms")).text, number(host, "pid"));
	fprintf(view->out, ", number %" PRId64 ", memory %s (supervisor %s)", number(host, "number"),
		top_text_bytes(number(host, "rss_bytes")).text,
		top_text_bytes(number(supervisor, "rss_bytes")).text);
	print_counters(
		view, host, json_object_get(view->before, "host"), ends, sizeof(ends) / sizeof(ends[0]));
}

static void print_commands(const struct view *view)
{
	static const struct counter ends[] = {{"done", "done", "", true},
		{"rejected", "rejected", TOP_YELLOW, true}, {"parked", "parked", TOP_YELLOW, true},
		{"dead", "dead", TOP_RED, true}, {"suspects", "suspects", TOP_RED, false},
		{"joined", "joined", "", false}, {"left", "left", "", false},
		{"qos0_dropped", "QoS 0 dropped", TOP_RED, false}};
	enum { ACKNOWLEDGED = 4 };
	const json_t *now = json_object_get(view->now, "commands");
	const json_t *before = json_object_get(view->before, "commands");
	int64_t acknowledged = 0;
	for (size_t i = 0; i < ACKNOWLEDGED; i++)
		acknowledged += more(now, before, ends[i].key);
	label(view, "commands");
	fprintf(view->out, "%s/s acked, in flight %s (workers %s)",
		top_text_rate(acknowledged, view->seconds).text,
		top_text_count(number(now, "in_flight")).text,
		top_text_count(number(now, "with_workers")).text);
	print_counters(view, now, before, ends, sizeof(ends) / sizeof(ends[0]));
}

static void print_store(const struct view *view)
{
	const json_t *now = json_object_get(view->now, "store");
	const json_t *before = json_object_get(view->before, "store");
	struct top_text latency[2];
	quantiles(view, json_object_get(now, "latency"), json_object_get(before, "latency"), latency);
	label(view, "store");
	fprintf(view->out, "%s" TOP_PLAIN ", p50 %s, p99 %s, failed %s; log lines dropped %s\n",
		!is(now, "up")	       ? TOP_RED "away"
		: !is(now, "writable") ? TOP_RED "not writable"
				       : TOP_GREEN "up",
		latency[0].text, latency[1].text, top_text_count(number(now, "failed")).text,
		top_text_count(number(view->now, "log_dropped")).text);
}

/* State, and for how long it is up. */
static void connection_text(const json_t *connection, FILE *out)
{
	char *state = text_of(connection, "state");
	const bool up = state && strcmp(state, "up") == 0;
	if (is(connection, "standby"))
		fputs(TOP_YELLOW "standby" TOP_PLAIN, out);
	else
		fprintf(out, "%s%s" TOP_PLAIN, up ? TOP_GREEN : TOP_RED, state ? state : "?");
	if (up)
		fprintf(out, " %s", top_text_duration((double)number(connection, "up_ms")).text);
	free(state);
}

static void print_egress(const struct view *view)
{
	static const struct counter ends[] = {{"published", "sent", "", true},
		{"refused", "refused", TOP_RED, false}, {"repeated", "repeated", TOP_YELLOW, false}};
	const json_t *now = json_object_get(view->now, "egress");
	const json_t *before = json_object_get(view->before, "egress");
	const json_t *connection = json_object_get(now, "connection");
	label(view, "events");
	connection_text(connection, view->out);
	if (number(connection, "lost") > 0)
		fprintf(view->out, ", lost %s times", top_text_count(number(connection, "lost")).text);
	fprintf(view->out, ", %s/s, to send %s, without PUBACK %s",
		top_text_rate(more(now, before, "published"), view->seconds).text,
		top_text_count(number(now, "unsent")).text, top_text_count(number(now, "awaiting")).text);
	print_counters(view, now, before, ends, sizeof(ends) / sizeof(ends[0]));
}

/* ---- The tables ---- */

static void add_name(struct top_table *table, const json_t *object, const char *key)
{
	char *name = text_of(object, key);
	top_table_add_cut(table, name ? name : "?", NAME_WIDTH);
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
			connection_text(json_object_get(lane, "connection"), out);
			fclose(out);
		}
		quantiles(view, json_object_get(lane, "hold"), json_object_get(before, "hold"), hold);
		add_name(table, lane, "name");
		top_table_add(table, "%s", state ? state : "?");
		top_table_add(table, "%s%" PRId64 "/%" PRId64 TOP_PLAIN,
			count_mark(number(lane, "granted") < number(lane, "filters"), TOP_RED),
			number(lane, "granted"), number(lane, "filters"));
		top_table_add(table, "%s", top_text_count(number(lane, "held")).text);
		top_table_add(table, "%s", top_text_count(number(lane, "unsettled")).text);
		add_age(table, number(lane, "oldest_ms"));
		top_table_add(
			table, "%s", top_text_rate(more(lane, before, "acknowledged"), view->seconds).text);
		top_table_add(table, "%s", hold[0].text);
		top_table_add(table, "%s", hold[1].text);
		add_bad(table, view, lane, before, "stepped_aside", TOP_YELLOW);
		add_bad(table, view, lane, before, "dropped", TOP_RED);
		free(state);
	}
}

/* Those that have run most come first. */
static int compare_handlers(const void *a, const void *b)
{
	const json_t *const *left = a, *const *right = b;
	const int64_t l = number(*left, "runs"), r = number(*right, "runs");
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
	quantiles(
		view, json_object_get(handler, "durations"), json_object_get(before, "durations"), durations);
	add_name(table, handler, "name");
	top_table_add(table, "%s", top_text_rate(more(handler, before, "runs"), view->seconds).text);
	top_table_add(table, "%s", durations[0].text);
	top_table_add(table, "%s", durations[1].text);
	top_table_add(table, "%s", top_text_count(number(handler, "running")).text);
	top_table_add(table, "%s", top_text_count(number(handler, "done")).text);
	add_bad(table, view, handler, before, "rejected", TOP_YELLOW);
	add_bad(table, view, handler, before, "retried", TOP_YELLOW);
	add_bad(table, view, handler, before, "failed", TOP_RED);
	add_bad(table, view, handler, before, "crashed", TOP_RED);
	add_bad(table, view, handler, before, "hung", TOP_RED);
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
		const int64_t ms = number(run, "running_ms"), deadline = number(run, "deadline_ms");
		const char *mark = is(run, "overdue") ? TOP_RED : (2 * ms > deadline ? TOP_YELLOW : "");
		char *topic = text_of(run, "topic");
		top_table_add(table, "%s%s" TOP_PLAIN, mark, top_text_duration((double)ms).text);
		top_table_add(table, "%s", top_text_duration((double)deadline).text);
		top_table_add(table, "%" PRId64, number(run, "attempt"));
		add_name(table, run, "handler");
		top_table_add(table, "%s", topic ? topic : "?");
		free(topic);
	}
}

static size_t take(size_t wanted, size_t *left)
{
	const size_t taken = wanted < *left ? wanted : *left;
	*left -= taken;
	return taken;
}

/* How many rows of lanes, handlers and runs fit: a few of each before one has the rest. */
static void share_out(unsigned height, const size_t counts[static 3], size_t ret[static 3])
{
	size_t left = height > HEADER_LINES + HEADINGS ? height - HEADER_LINES - HEADINGS : 0;
	if (height == 0)
		left = SIZE_MAX;
	ret[0] = take(counts[0] < LANES_MIN ? counts[0] : LANES_MIN, &left);
	ret[2] = take(counts[2] < RUNNING_MIN ? counts[2] : RUNNING_MIN, &left);
	ret[1] = take(counts[1], &left);
	ret[2] += take(counts[2] - ret[2], &left);
	ret[0] += take(counts[0] - ret[0], &left);
}

static int print_tables(const struct view *view)
{
	static const char *const lanes[] = {"LANE", "CONNECTION", "FILTERS", "HELD", "OPEN", "OLDEST",
		"ACKED/S", "P50", "P99", "ASIDE", "DROPS", NULL};
	static const char *const handlers[] = {"HANDLER", "RUNS/S", "P50", "P99", "NOW", "DONE", "REJECT",
		"RETRY", "FAIL", "CRASH", "HANG", NULL};
	static const char *const running[] = {"RUNNING", "DEADLINE", "ATTEMPT", "HANDLER", "COMMAND", NULL};
	struct top_table tables[3] = {{.headings = lanes, .left = 3}, {.headings = handlers, .left = 1},
		{.headings = running, .left = 0x18}};
	size_t counts[3], rows[3];
	fill_lanes(view, &tables[0]);
	int error = fill_handlers(view, &tables[1]);
	fill_running(view, &tables[2]);
	for (size_t i = 0; i < 3; i++)
		counts[i] = top_table_rows(&tables[i]);
	share_out(view->options->height, counts, rows);
	for (size_t i = 0; i < 3; i++) {
		fputc('\n', view->out);
		if (error == 0)
			error = top_table_print(&tables[i], rows[i], view->out);
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
	return before && number(one, "pid") == number(other, "pid") &&
	       number(one, "started_ms") == number(other, "started_ms") &&
	       number(now, "clock_ms") > number(before, "clock_ms");
}

int top_view(const json_t *now, const json_t *before, const struct top_view_options *options, char **ret)
{
	struct view view = {.now = now, .bounds_known = bounds_known(now), .options = options};
	char *text = NULL;
	size_t size;
	view.before = is_same_supervisor(now, before) ? before : NULL;
	const int64_t since = view.before ? number(before, "clock_ms")
					  : number(json_object_get(now, "supervisor"), "started_ms");
	view.seconds = (double)(number(now, "clock_ms") - since) / 1000;
	view.out = open_memstream(&text, &size);
	if (!view.out)
		return -ENOMEM;
	print_first(&view);
	print_host(&view);
	print_commands(&view);
	print_store(&view);
	print_egress(&view);
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
