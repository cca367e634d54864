/*
 * top_head.c - the lines above the tables of `cashewd top`: the program, its host, the commands, the store, the events.
 *
 * A line is a list of items, the most urgent first. Those that do not fit any more are left out as a whole, and the line says so by an ellipsis.
 */
#include "top_table.h"
#include "top_view_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_WIDTH = 9, ITEMS_MAX = 16 };

/* A line and its items, freed by end_line(). */
struct line {
	const struct view *view;
	const char *label;
	char *items[ITEMS_MAX];
	size_t count;
};

__attribute__((format(printf, 2, 3))) static void item(struct line *line, const char *format, ...)
{
	va_list arguments;
	char *text;
	if (line->count == ITEMS_MAX)
		abort();
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (text)
		line->items[line->count++] = text;
}

/* How many of the items fit: all of them, or some and an ellipsis, and the first one anyway. */
static size_t items_shown(const struct line *line)
{
	const size_t all = line->view->options->width;
	size_t used = LABEL_WIDTH, shown = 0;
	for (size_t i = 0; i < line->count; i++) {
		used += top_table_width(line->items[i]) + (i > 0 ? 2 : 0);
		if (all == 0 || used + (i + 1 < line->count ? 2 : 0) <= all)
			shown = i + 1;
	}
	return shown > 0 || line->count == 0 ? shown : 1;
}

static void end_line(struct line *line)
{
	FILE *out = line->view->out;
	const size_t shown = items_shown(line);
	fprintf(out, TOP_BOLD "%-*s" TOP_PLAIN, LABEL_WIDTH, line->label);
	for (size_t i = 0; i < line->count; i++) {
		if (i < shown)
			fprintf(out, "%s%s", i > 0 ? ", " : "", line->items[i]);
		free(line->items[i]);
	}
	fputs(shown < line->count ? " " TOP_ELLIPSIS "\n" : "\n", out);
}

/* ---- The lines ---- */

static void print_first(const struct view *view)
{
	char *version = view_text(view->now, "cashewd");
	const json_t *supervisor = json_object_get(view->now, "supervisor");
	const int64_t up_ms = view_number(view->now, "clock_ms") - view_number(supervisor, "started_ms");
	struct line line = {.view = view, .label = "cashewd"};
	item(&line, "%s at %s", version ? version : "?", view->options->address);
	item(&line, "figures of %s%s", view->before ? "the last " : "all the time",
		view->before ? top_text_duration(view->seconds * 1000).text : "");
	if (view->options->keys)
		item(&line, "%s", view->options->keys);
	item(&line, "up %s", top_text_duration((double)up_ms).text);
	item(&line, "%s", top_text_clock(view_number(view->now, "unix_ms")).text);
	end_line(&line);
	free(version);
}

/* A counter in a line: where it is 0 only if it is always wanted, marked while it rises. */
struct counter {
	const char *key, *word, *mark;
	bool always;
};

static void add_counters(struct line *line, const json_t *now, const json_t *before,
	const struct counter *counters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct counter *counter = &counters[i];
		const bool rose = line->view->before && view_more(now, before, counter->key) > 0;
		if (counter->always || view_number(now, counter->key) > 0)
			item(line, "%s%s %s%s", view_mark(rose, counter->mark), counter->word,
				top_text_count(view_number(now, counter->key)).text, TOP_PLAIN);
	}
}

static void print_host(const struct view *view)
{
	static const struct counter ends[] = {{"crashed", "crashed", TOP_RED, true},
		{"hung", "hung", TOP_RED, true}, {"killed", "killed", TOP_RED, false},
		{"not_begun", "not begun", TOP_RED, false}, {"too_large", "too large", TOP_YELLOW, false}};
	const json_t *host = json_object_get(view->now, "host");
	const json_t *supervisor = json_object_get(view->now, "supervisor");
	char *state = view_text(host, "state");
	const bool running = state && strcmp(state, "running") == 0, has_pid = view_number(host, "pid") > 0;
	struct line line = {.view = view, .label = "host"};
	item(&line, "%s%s%s%s" TOP_PLAIN "%s%s", running && view_is(host, "ready") ? TOP_GREEN : TOP_RED,
		state ? state : "?", running ? (view_is(host, "ready") ? ", ready" : ", not ready") : "",
		view_is(host, "standby") ? " (standby)" : "", has_pid ? " for " : "",
		has_pid ? top_text_duration((double)view_number(host, "running_ms")).text : "");
	free(state);
	add_counters(
		&line, host, json_object_get(view->before, "host"), ends, sizeof(ends) / sizeof(ends[0]));
	item(&line, "memory %s", top_text_bytes(view_number(host, "rss_bytes")).text);
	item(&line, "supervisor %s", top_text_bytes(view_number(supervisor, "rss_bytes")).text);
	if (has_pid)
		item(&line, "pid %" PRId64, view_number(host, "pid"));
	item(&line, "number %" PRId64, view_number(host, "number"));
	end_line(&line);
}

static void print_commands(const struct view *view)
{
	static const struct counter bad[] = {{"dead", "dead", TOP_RED, true},
		{"suspects", "suspects", TOP_RED, false}, {"qos0_dropped", "QoS 0 dropped", TOP_RED, false},
		{"parked", "parked", TOP_YELLOW, true}, {"rejected", "rejected", TOP_YELLOW, true}},
				    good[] = {{"done", "done", "", true}, {"left", "left", "", false},
					    {"joined", "joined", "", false}};
	static const char *const acknowledged_ends[] = {"done", "rejected", "parked", "dead"};
	const json_t *now = json_object_get(view->now, "commands");
	const json_t *before = json_object_get(view->before, "commands");
	int64_t acknowledged = 0;
	for (size_t i = 0; i < sizeof(acknowledged_ends) / sizeof(acknowledged_ends[0]); i++)
		acknowledged += view_more(now, before, acknowledged_ends[i]);
	struct line line = {.view = view, .label = "commands"};
	add_counters(&line, now, before, bad, sizeof(bad) / sizeof(bad[0]));
	item(&line, "%s/s acked", top_text_rate(acknowledged, view->seconds).text);
	item(&line, "in flight %s", top_text_count(view_number(now, "in_flight")).text);
	item(&line, "workers %s", top_text_count(view_number(now, "with_workers")).text);
	add_counters(&line, now, before, good, sizeof(good) / sizeof(good[0]));
	end_line(&line);
}

static void print_store(const struct view *view)
{
	const json_t *now = json_object_get(view->now, "store");
	const json_t *before = json_object_get(view->before, "store");
	struct top_text latency[2];
	view_quantiles(view, json_object_get(now, "latency"), json_object_get(before, "latency"), latency);
	struct line line = {.view = view, .label = "store"};
	item(&line, "%s" TOP_PLAIN,
		!view_is(now, "up")	    ? TOP_RED "away"
		: !view_is(now, "writable") ? TOP_RED "not writable"
					    : TOP_GREEN "up");
	item(&line, "failed %s", top_text_count(view_number(now, "failed")).text);
	item(&line, "log lines dropped %s", top_text_count(view_number(view->now, "log_dropped")).text);
	item(&line, "p99 %s", latency[1].text);
	item(&line, "p50 %s", latency[0].text);
	end_line(&line);
}

static void print_egress(const struct view *view)
{
	static const struct counter bad[] = {{"refused", "refused", TOP_RED, false},
		{"repeated", "repeated", TOP_YELLOW, false}},
				    good[] = {{"published", "sent", "", true}};
	const json_t *now = json_object_get(view->now, "egress");
	const json_t *before = json_object_get(view->before, "egress");
	const json_t *connection = json_object_get(now, "connection");
	char *state = NULL;
	size_t size;
	FILE *out = open_memstream(&state, &size);
	if (out) {
		view_connection(connection, out);
		fclose(out);
	}
	struct line line = {.view = view, .label = "events"};
	item(&line, "%s", state ? state : "?");
	free(state);
	add_counters(&line, now, before, bad, sizeof(bad) / sizeof(bad[0]));
	if (view_number(connection, "lost") > 0)
		item(&line, "lost %s times", top_text_count(view_number(connection, "lost")).text);
	item(&line, "to send %s", top_text_count(view_number(now, "unsent")).text);
	item(&line, "without PUBACK %s", top_text_count(view_number(now, "awaiting")).text);
	item(&line, "%s/s", top_text_rate(view_more(now, before, "published"), view->seconds).text);
	add_counters(&line, now, before, good, sizeof(good) / sizeof(good[0]));
	end_line(&line);
}

void top_head(const struct view *view)
{
	print_first(view);
	print_host(view);
	print_commands(view);
	print_store(view);
	print_egress(view);
}
