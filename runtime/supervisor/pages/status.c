/*
 * status.c - see status.h. Each function that puts something together notices what could not be allocated, and returns NULL for all of it.
 */
#include "status.h"

#include "board.h"
#include "child.h"
#include "clock.h"
#include "http_server.h"
#include "log_secret.h"
#include "process.h"
#include "text_line.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

static json_t *done(json_t *json, int error)
{
	if (json && error == 0)
		return json;
	json_decref(json);
	return NULL;
}

static int set_number(json_t *json, const char *key, int64_t value)
{
	return json_object_set_new(json, key, json_integer(value));
}

static int set_flag(json_t *json, const char *key, bool value)
{
	return json_object_set_new(json, key, json_boolean(value));
}

/* The text of a topic may have been cut within a character. */
static int set_text(json_t *json, const char *key, const char *text)
{
	size_t size = strlen(text);
	for (int i = 0; i < 4 && size > 0 && !text_is_utf8(text, size); i++)
		size--;
	if (text_is_utf8(text, size))
		return json_object_set_new(json, key, json_stringn(text, size));
	char *line = text_line(text);
	const int error = line ? json_object_set_new(json, key, json_string(line)) : -1;
	free(line);
	return error;
}

static int64_t age(int64_t since_ms, int64_t now_ms)
{
	return since_ms > 0 && now_ms > since_ms ? now_ms - since_ms : 0;
}

/* ---- Histograms ---- */

static json_t *times_json(const struct figures_times *times)
{
	json_t *json = json_object(), *counts = json_array();
	int error = set_number(json, "sum_us", (int64_t)times->sum_us);
	for (size_t i = 0; i <= FIGURES_BOUNDS; i++)
		error |= json_array_append_new(counts, json_integer((json_int_t)times->counts[i]));
	error |= json_object_set_new(json, "counts", counts);
	return done(json, error);
}

static int set_times(json_t *json, const char *key, const struct figures_histogram *histogram)
{
	struct figures_times times;
	figures_read_times(histogram, &times);
	return json_object_set_new(json, key, times_json(&times));
}

static json_t *bounds_json(void)
{
	json_t *bounds = json_array();
	int error = 0;
	for (size_t i = 0; i < FIGURES_BOUNDS; i++)
		error |= json_array_append_new(bounds, json_integer(figures_bounds_us[i]));
	return done(bounds, error);
}

/* ---- Lanes, egress, store ---- */

static json_t *connection_json(const struct figures_connection *connection, int64_t now_ms)
{
	json_t *json = json_object();
	int error = set_text(json, "state", figures_connection_state_name(FIGURES_GET(connection->state)));
	error |= set_flag(json, "standby", FIGURES_GET(connection->standby));
	error |= set_number(json, "up_ms", age(FIGURES_GET(connection->since_ms), now_ms));
	error |= set_number(json, "opened", (int64_t)FIGURES_GET(connection->opened));
	error |= set_number(json, "lost", (int64_t)FIGURES_GET(connection->lost));
	return done(json, error);
}

static json_t *lane_json(const struct figures_lane *lane, int64_t now_ms)
{
	json_t *json = json_object();
	int error = set_text(json, "name", lane->name);
	error |= json_object_set_new(json, "connection", connection_json(&lane->connection, now_ms));
	error |= set_number(json, "filters", FIGURES_GET(lane->filters));
	error |= set_number(json, "granted", FIGURES_GET(lane->granted));
	error |= set_number(json, "held", (int64_t)FIGURES_GET(lane->held));
	error |= set_number(json, "unsettled", (int64_t)FIGURES_GET(lane->unsettled));
	error |= set_number(json, "oldest_ms", age(FIGURES_GET(lane->oldest_ms), now_ms));
	error |= set_number(json, "dropped", (int64_t)FIGURES_GET(lane->dropped));
	error |= set_number(json, "acknowledged", (int64_t)FIGURES_GET(lane->acknowledged));
	error |= set_number(json, "stepped_aside", (int64_t)FIGURES_GET(lane->stepped_aside));
	error |= set_times(json, "hold", &lane->hold);
	return done(json, error);
}

static json_t *lanes_json(const struct figures *figures, int64_t now_ms)
{
	json_t *lanes = json_array();
	int error = 0;
	for (unsigned i = 0; i < figures_lane_count(figures); i++)
		if (FIGURES_GET(figures->lanes[i].here))
			error |= json_array_append_new(lanes, lane_json(&figures->lanes[i], now_ms));
	return done(lanes, error);
}

static json_t *egress_json(const struct figures_egress *egress, int64_t now_ms)
{
	json_t *json = json_object();
	int error = json_object_set_new(json, "connection", connection_json(&egress->connection, now_ms));
	error |= set_number(json, "unsent", (int64_t)FIGURES_GET(egress->unsent));
	error |= set_number(json, "awaiting", (int64_t)FIGURES_GET(egress->awaiting));
	error |= set_number(json, "published", (int64_t)FIGURES_GET(egress->published));
	error |= set_number(json, "refused", (int64_t)FIGURES_GET(egress->refused));
	error |= set_number(json, "repeated", (int64_t)FIGURES_GET(egress->repeated));
	return done(json, error);
}

static json_t *store_json(const struct figures *figures)
{
	json_t *json = json_object();
	int error = set_flag(json, "up", FIGURES_GET(figures->now.store_up));
	error |= set_flag(json, "writable", FIGURES_GET(figures->store.writable));
	const char *refused = figures_refused_collection(figures);
	if (refused)
		error |= set_text(json, "refused", refused);
	error |= set_number(json, "failed", (int64_t)FIGURES_GET(figures->store.failed));
	error |= set_times(json, "latency", &figures->store.latency);
	return done(json, error);
}

/* ---- Schedules ---- */

static json_t *schedule_json(const struct figures_schedule *schedule, int64_t now_ms)
{
	json_t *json = json_object();
	int error = set_text(json, "name", schedule->name);
	error |= set_number(json, "slot_ms", FIGURES_GET(schedule->slot_ms));
	error |= set_number(json, "next_ms", FIGURES_GET(schedule->next_ms));
	error |= set_flag(json, "running", FIGURES_GET(schedule->open));
	error |= set_text(json, "end", figures_schedule_end_name(FIGURES_GET(schedule->end)));
	error |= set_number(json, "overdue_ms", age(FIGURES_GET(schedule->overdue_ms), now_ms));
	error |= set_number(json, "begun", (int64_t)FIGURES_GET(schedule->begun));
	error |= set_number(json, "skipped", (int64_t)FIGURES_GET(schedule->skipped));
	return done(json, error);
}

static json_t *schedules_json(const struct figures *figures, int64_t now_ms)
{
	json_t *schedules = json_array();
	int error = 0;
	for (unsigned i = 0; i < figures_schedule_count(figures); i++)
		if (FIGURES_GET(figures->schedules[i].here))
			error |= json_array_append_new(
				schedules, schedule_json(&figures->schedules[i], now_ms));
	return done(schedules, error);
}

/* ---- What runs now ---- */

struct run {
	struct board_run what;
	bool overdue;
};

struct runs {
	struct run *items;
	size_t count;
	unsigned of_handler[FIGURES_HANDLERS];
};

static int compare_runs(const void *a, const void *b)
{
	const struct run *one = a, *other = b;
	return (one->what.started_ms > other->what.started_ms) -
	       (one->what.started_ms < other->what.started_ms);
}

/* Those of a host that lives. */
static int find_runs(const struct board *board, struct runs *ret)
{
	struct runs runs = {.items = calloc(BOARD_SLOTS, sizeof(struct run))};
	const unsigned slots = FIGURES_GET(board->figures.hosts.pid) != 0 ? board_slots_used(board) : 0;
	if (!runs.items)
		return -1;
	for (unsigned i = 0; i < slots; i++) {
		const struct board_slot *slot = &board->slots[i];
		struct run *run = &runs.items[runs.count];
		if (!board_slot_read(slot, &run->what))
			continue;
		run->overdue = board_slot_state(slot) == BOARD_SLOT_OVERDUE;
		runs.count++;
		const int handler = figures_handler_find(&board->figures, run->what.handler);
		if (handler >= 0)
			runs.of_handler[handler]++;
	}
	qsort(runs.items, runs.count, sizeof(*runs.items), compare_runs);
	*ret = runs;
	return 0;
}

static json_t *run_json(const struct run *run, int64_t now_ms)
{
	json_t *json = json_object();
	char topic[BOARD_TOPIC_SIZE];
	snprintf(topic, sizeof(topic), "%s", run->what.topic);
	/* A device may call a command as it likes. */
	log_secret_hide(topic);
	int error = set_text(json, "handler", run->what.handler);
	error |= set_text(json, "topic", topic);
	error |= set_number(json, "attempt", run->what.attempt);
	error |= set_number(json, "running_ms", age(run->what.started_ms, now_ms));
	error |= set_number(json, "deadline_ms", run->what.deadline_ms);
	error |= set_flag(json, "alone", run->what.alone);
	error |= set_flag(json, "overdue", run->overdue);
	return done(json, error);
}

static json_t *runs_json(const struct runs *runs, int64_t now_ms)
{
	json_t *json = json_array();
	int error = 0;
	for (size_t i = 0; i < runs->count && i < STATUS_RUNNING_MAX; i++)
		error |= json_array_append_new(json, run_json(&runs->items[i], now_ms));
	return done(json, error);
}

/* ---- Handlers ---- */

static json_t *handler_json(const struct figures *figures, unsigned place, unsigned running)
{
	/* enum call_end */
	static const char *const ends[FIGURES_ENDS] = {"done", "rejected", "retried", "failed"};
	const struct figures_handler *handler = &figures->handlers[place];
	struct figures_run_sum sum;
	json_t *json = json_object();
	uint64_t all = 0;
	figures_read_runs(figures, place, &sum);
	int error = set_text(json, "name", handler->name);
	error |= set_flag(json, "here", FIGURES_GET(handler->here));
	error |= set_number(json, "running", running);
	for (size_t i = 0; i < FIGURES_ENDS; i++) {
		error |= set_number(json, ends[i], (int64_t)sum.ends[i]);
		all += sum.ends[i];
	}
	error |= set_number(json, "runs", (int64_t)all);
	error |= set_number(json, "crashed", (int64_t)FIGURES_GET(handler->crashed));
	error |= set_number(json, "hung", (int64_t)FIGURES_GET(handler->hung));
	error |= json_object_set_new(json, "durations", times_json(&sum.durations));
	return done(json, error);
}

static json_t *handlers_json(const struct figures *figures, const struct runs *runs)
{
	json_t *handlers = json_array();
	int error = 0;
	for (unsigned i = 0; i < figures_handler_count(figures); i++)
		error |= json_array_append_new(handlers, handler_json(figures, i, runs->of_handler[i]));
	return done(handlers, error);
}

/* ---- The whole ---- */

static json_t *supervisor_json(const struct board *board, const struct status_facts *facts)
{
	json_t *json = json_object();
	int error = set_number(json, "pid", board->supervisor);
	error |= set_number(json, "started_ms", facts->supervisor_started_ms);
	error |= set_number(json, "rss_bytes", (int64_t)facts->supervisor_rss);
	return done(json, error);
}

static json_t *host_json(const struct board *board, const struct status_facts *facts)
{
	const struct figures *figures = &board->figures;
	const struct figures_hosts *hosts = &figures->hosts;
	const int32_t pid = FIGURES_GET(hosts->pid);
	json_t *json = json_object();
	int error = set_text(json, "state", facts->host_state);
	error |= set_flag(json, "ready", FIGURES_GET(figures->now.ready));
	error |= set_flag(json, "standby", figures_standby(figures));
	error |= set_number(json, "pid", pid);
	error |= set_number(json, "number", FIGURES_GET(board->hosts));
	error |= set_number(json, "running_ms", pid != 0 ? age(facts->host_started_ms, facts->now_ms) : 0);
	error |= set_number(json, "rss_bytes", (int64_t)facts->host_rss);
	error |= set_number(json, "workers", (int64_t)FIGURES_GET(figures->now.workers));
	error |= set_number(json, "stopped", (int64_t)FIGURES_GET(hosts->stopped));
	error |= set_number(json, "crashed", (int64_t)FIGURES_GET(hosts->crashed));
	error |= set_number(json, "hung", (int64_t)FIGURES_GET(hosts->hung));
	error |= set_number(json, "killed", (int64_t)FIGURES_GET(hosts->killed));
	error |= set_number(json, "not_begun", (int64_t)FIGURES_GET(hosts->not_begun));
	error |= set_number(json, "too_large", (int64_t)FIGURES_GET(hosts->too_large));
	return done(json, error);
}

static json_t *commands_json(const struct board *board)
{
	const struct board_account *account = &board->account;
	const struct figures_now *now = &board->figures.now;
	const struct {
		const char *key;
		const _Atomic uint64_t *value;
	} counters[] = {{"done", &account->done}, {"rejected", &account->rejected}, {"dead", &account->dead},
		{"parked", &account->parked}, {"joined", &account->joined}, {"ignored", &account->ignored},
		{"qos0", &account->qos0}, {"qos0_dropped", &account->qos0_dropped}, {"left", &account->left},
		{"in_flight", &now->commands}, {"with_workers", &now->jobs}, {"from_store", &now->parked}};
	json_t *json = json_object();
	int error = set_number(json, "suspects", FIGURES_GET(board->mark_count));
	error |= set_number(json, "near", FIGURES_GET(board->near_count));
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		error |= set_number(json, counters[i].key, (int64_t)board_read(counters[i].value));
	return done(json, error);
}

json_t *status_document(const struct board *board, const struct status_facts *facts)
{
	const struct figures *figures = &board->figures;
	struct runs runs;
	json_t *json = json_object();
	if (!json || find_runs(board, &runs) != 0)
		return done(json, -1);
	int error = set_text(json, "cashewd", facts->version);
	error |= set_number(json, "unix_ms", facts->unix_ms);
	error |= set_number(json, "clock_ms", facts->now_ms);
	error |= json_object_set_new(json, "bounds_us", bounds_json());
	error |= json_object_set_new(json, "supervisor", supervisor_json(board, facts));
	error |= json_object_set_new(json, "host", host_json(board, facts));
	error |= json_object_set_new(json, "commands", commands_json(board));
	error |= json_object_set_new(json, "store", store_json(figures));
	error |= json_object_set_new(json, "egress", egress_json(&figures->egress, facts->now_ms));
	error |= json_object_set_new(json, "lanes", lanes_json(figures, facts->now_ms));
	error |= json_object_set_new(json, "handlers", handlers_json(figures, &runs));
	error |= json_object_set_new(json, "schedules", schedules_json(figures, facts->now_ms));
	error |= json_object_set_new(json, "running", runs_json(&runs, facts->now_ms));
	error |= set_number(json, "log_dropped", (int64_t)FIGURES_GET(figures->log_dropped));
	free(runs.items);
	return done(json, error);
}

/* ---- The page ---- */

unsigned status_write(struct view *view, FILE *out)
{
	const pid_t pid = FIGURES_GET(view->board->figures.hosts.pid);
	struct process_figures own, host;
	enum child_state state = (enum child_state)FIGURES_GET(view->child_state);
	/* The supervisor looks only now and then. */
	if (state == CHILD_STARTING && atomic_load(&view->board->host_up) != 0)
		state = CHILD_RUNNING;
	struct status_facts facts = {.version = view->version,
		.host_state = child_state_name(state),
		.now_ms = clock_ms(),
		.supervisor_started_ms = view->started_ms,
		.unix_ms = clock_unix_ms()};
	if (process_read(view->board->supervisor, &own) == 0)
		facts.supervisor_rss = own.resident_bytes;
	if (pid != 0 && process_read(pid, &host) == 0) {
		facts.host_rss = host.resident_bytes;
		facts.host_started_ms = facts.now_ms - (facts.unix_ms - (int64_t)(host.started_s * 1000));
	}
	json_t *json = status_document(view->board, &facts);
	const bool written = json && json_dumpf(json, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF;
	json_decref(json);
	return written ? HTTP_OK : HTTP_UNAVAILABLE;
}
