/*
 * metrics.c - see metrics.h.
 *
 * A metric stands in one block: help, type, then its series. What has no value is left out. A counter is never left out once it has been there. How
 * things stand with a lane is told while the host that lives has it. Where no host lives it is told too, as a lane that is connected to nothing.
 */
#include "metrics.h"

#include "board.h"
#include "clock.h"
#include "http_server.h"
#include "log.h"
#include "metrics_schedules.h"
#include "process.h"
#include "view.h"
#include <inttypes.h>
#include <unistd.h>

enum { LABELS_SIZE = 2 * FIGURES_NAME_SIZE + 64 };

/* ---- The format ---- */

static void begin(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* `name="value"`, with what a value must not hold escaped. */
static const char *label(char ret[static LABELS_SIZE], const char *name, const char *value)
{
	size_t used = (size_t)snprintf(ret, LABELS_SIZE, "%s=\"", name);
	for (; *value != '\0' && used + 4 < LABELS_SIZE; value++) {
		if (*value == '"' || *value == '\\' || *value == '\n')
			ret[used++] = '\\';
		ret[used++] = *value == '\n' ? 'n' : *value;
	}
	snprintf(ret + used, LABELS_SIZE - used, "\"");
	return ret;
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	begin(out, name, type, help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

/* A counter with one more label, whose values are the names of `count` counters. */
static void series(FILE *out, const char *name, const char *labels, const char *key, const char *const *names,
	const uint64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s{%s%s%s=\"%s\"} %" PRIu64 "\n", name, labels, labels[0] != '\0' ? "," : "",
			key, names[i], values[i]);
}

static void histogram(FILE *out, const char *name, const char *labels, const struct figures_times *times)
{
	const char *comma = labels[0] != '\0' ? "," : "";
	uint64_t below = 0;
	for (unsigned i = 0; i < FIGURES_BOUNDS; i++) {
		below += times->counts[i];
		fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma,
			figures_bounds_us[i] / 1e6, below);
	}
	fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, times->count);
	if (labels[0] != '\0')
		fprintf(out, "%s_sum{%s} %.6f\n%s_count{%s} %" PRIu64 "\n", name, labels,
			(double)times->sum_us / 1e6, name, labels, times->count);
	else
		fprintf(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name, (double)times->sum_us / 1e6, name,
			times->count);
}

static double age_s(int64_t since_ms, int64_t now_ms)
{
	return since_ms == 0 || now_ms < since_ms ? 0 : (double)(now_ms - since_ms) / 1000;
}

/* ---- Commands and handlers ---- */

static const char *const command_ends[FIGURES_ENDS] = {"done", "rejected", "dead", "parked"};
static const char *const run_ends[FIGURES_ENDS] = {"done", "rejected", "retry", "failed"};

static void write_account(FILE *out, const struct board_account *account)
{
	const uint64_t ends[FIGURES_ENDS] = {board_read(&account->done), board_read(&account->rejected),
		board_read(&account->dead), board_read(&account->parked)};
	begin(out, "cashewd_commands_total", "counter",
		"Commands whose acknowledgement has left, or that came from parked_commands and are finished there, by end.");
	series(out, "cashewd_commands_total", "", "end", command_ends, ends, FIGURES_ENDS);
	one(out, "cashewd_commands_joined_total", "counter",
		"Redelivered copies of commands that were running or done already, and were not run again.",
		board_read(&account->joined));
	one(out, "cashewd_commands_retained_ignored_total", "counter",
		"Retained commands, which are not run.", board_read(&account->ignored));
	one(out, "cashewd_commands_qos0_total", "counter",
		"Commands that came at QoS 0, which nothing is promised for.", board_read(&account->qos0));
	one(out, "cashewd_commands_qos0_dropped_total", "counter",
		"Commands at QoS 0 that failed or were too many.", board_read(&account->qos0_dropped));
	one(out, "cashewd_commands_left_total", "counter",
		"Commands that were read, and left to the broker when a host stopped.",
		board_read(&account->left));
}

static void write_handler_counters(FILE *out, const struct figures *figures, unsigned count)
{
	static const char *const kinds[] = {"crashed", "hung"};
	char labels[LABELS_SIZE];
	begin(out, "cashewd_handler_commands_total", "counter",
		"Commands settled, by handler and end; one that several handlers want counts for each, and one that comes again for each time.");
	for (unsigned i = 0; i < count; i++) {
		const struct figures_handler *handler = &figures->handlers[i];
		uint64_t ends[FIGURES_ENDS];
		for (unsigned j = 0; j < FIGURES_ENDS; j++)
			ends[j] = FIGURES_GET(handler->commands[j]);
		series(out, "cashewd_handler_commands_total", label(labels, "handler", handler->name), "end",
			command_ends, ends, FIGURES_ENDS);
	}
	begin(out, "cashewd_handler_deaths_total", "counter",
		"Deaths of a host that a handler is to blame for: it crashed, or ran past its deadline.");
	for (unsigned i = 0; i < count; i++) {
		const struct figures_handler *handler = &figures->handlers[i];
		const uint64_t deaths[] = {FIGURES_GET(handler->crashed), FIGURES_GET(handler->hung)};
		series(out, "cashewd_handler_deaths_total", label(labels, "handler", handler->name), "kind",
			kinds, deaths, 2);
	}
}

static void write_runs(FILE *out, const struct figures *figures, unsigned count)
{
	struct figures_run_sum sum;
	char labels[LABELS_SIZE];
	begin(out, "cashewd_handler_runs_total", "counter",
		"Runs of handlers, by what they returned: a retry is run again, failed is for good.");
	for (unsigned i = 0; i < count; i++) {
		figures_read_runs(figures, i, &sum);
		series(out, "cashewd_handler_runs_total", label(labels, "handler", figures->handlers[i].name),
			"end", run_ends, sum.ends, FIGURES_ENDS);
	}
	begin(out, "cashewd_handler_duration_seconds", "histogram",
		"How long handlers ran; 0 where the payload was refused before.");
	for (unsigned i = 0; i < count; i++) {
		figures_read_runs(figures, i, &sum);
		histogram(out, "cashewd_handler_duration_seconds",
			label(labels, "handler", figures->handlers[i].name), &sum.durations);
	}
}

/* From the slots. Returns how many run. */
static uint64_t write_running(FILE *out, const struct board *board, unsigned count)
{
	const struct figures *figures = &board->figures;
	uint64_t running[FIGURES_HANDLERS] = {0}, all = 0;
	char labels[LABELS_SIZE];
	for (unsigned i = 0; i < board_slots_used(board); i++) {
		struct board_run run;
		if (!board_slot_read(&board->slots[i], &run))
			continue;
		const int place = figures_handler_find(figures, run.handler);
		running[place >= 0 ? place : FIGURES_HANDLERS - 1]++;
		all++;
	}
	begin(out, "cashewd_handler_running", "gauge", "Runs of handlers under way.");
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "cashewd_handler_running{%s} %" PRIu64 "\n",
			label(labels, "handler", figures->handlers[i].name), running[i]);
	return all;
}

static void write_now(FILE *out, const struct board *board, uint64_t running)
{
	const struct figures_now *now = &board->figures.now;
	const uint64_t jobs = FIGURES_GET(now->jobs);
	one(out, "cashewd_commands_in_flight", "gauge",
		"Commands in the host's memory, from their arrival until their acknowledgement.",
		FIGURES_GET(now->commands));
	one(out, "cashewd_queue_depth", "gauge", "Commands that wait for a free worker.",
		jobs > running ? jobs - running : 0);
	one(out, "cashewd_workers", "gauge", "Threads that run handlers.", FIGURES_GET(now->workers));
	one(out, "cashewd_parked_in_flight", "gauge",
		"Parked commands that were taken from the store and are run.", FIGURES_GET(now->parked));
	one(out, "cashewd_backlogs", "gauge",
		"Users of whom commands wait in parked_commands, as far as the host knows: all of them where it is active.",
		FIGURES_GET(now->backlogs));
}

/* ---- Lanes, connections, events ---- */

static bool is_shown(const struct board *board, const struct figures_lane *lane)
{
	return FIGURES_GET(lane->here) || FIGURES_GET(board->figures.hosts.pid) == 0 ||
	       atomic_load(&board->host_up) == 0;
}

typedef double (*lane_gauge)(const struct figures_lane *lane, int64_t now_ms);

static double lane_held(const struct figures_lane *lane, int64_t now_ms)
{
	(void)now_ms;
	return (double)FIGURES_GET(lane->held);
}

static double lane_unsettled(const struct figures_lane *lane, int64_t now_ms)
{
	(void)now_ms;
	return (double)FIGURES_GET(lane->unsettled);
}

static double lane_oldest_s(const struct figures_lane *lane, int64_t now_ms)
{
	return age_s(FIGURES_GET(lane->oldest_ms), now_ms);
}

static double lane_filters(const struct figures_lane *lane, int64_t now_ms)
{
	(void)now_ms;
	return FIGURES_GET(lane->filters);
}

static double lane_granted(const struct figures_lane *lane, int64_t now_ms)
{
	(void)now_ms;
	return FIGURES_GET(lane->granted);
}

static double lane_session_expiry_s(const struct figures_lane *lane, int64_t now_ms)
{
	(void)now_ms;
	return FIGURES_GET(lane->session_expiry_s);
}

static const struct {
	const char *name, *help;
	lane_gauge read;
} lane_gauges[] = {
	{"cashewd_held_commands",
		"Commands whose acknowledgement is held: they have no end yet, or one that came before has none.",
		lane_held},
	{"cashewd_unsettled_commands", "Of those, the commands that have no end yet.", lane_unsettled},
	{"cashewd_oldest_unsettled_seconds",
		"How old the oldest command without an end is; 0: there is none.", lane_oldest_s},
	{"cashewd_subscriptions", "Filters that the lane subscribes to.", lane_filters},
	{"cashewd_subscriptions_granted", "Filters that the broker has granted at QoS 1.", lane_granted},
	{"cashewd_session_expiry_seconds",
		"How long the broker keeps the session while no host is there: SESSION_EXPIRY, or less where the broker says so.",
		lane_session_expiry_s},
};

static void write_lane_gauges(FILE *out, const struct board *board, unsigned count, int64_t now_ms)
{
	char labels[LABELS_SIZE];
	for (size_t i = 0; i < sizeof(lane_gauges) / sizeof(lane_gauges[0]); i++) {
		begin(out, lane_gauges[i].name, "gauge", lane_gauges[i].help);
		for (unsigned j = 0; j < count; j++) {
			const struct figures_lane *lane = &board->figures.lanes[j];
			if (is_shown(board, lane))
				fprintf(out, "%s{%s} %g\n", lane_gauges[i].name,
					label(labels, "lane", lane->name), lane_gauges[i].read(lane, now_ms));
		}
	}
}

static const struct {
	const char *name, *help;
	size_t offset; /* of the counter in struct figures_lane */
} lane_counters[] = {
	{"cashewd_acknowledgements_total", "Acknowledgements that have left.",
		offsetof(struct figures_lane, acknowledged)},
	{"cashewd_stepped_aside_total",
		"Commands that took longer than a second and held others up: they are acknowledged, and go on from the database.",
		offsetof(struct figures_lane, stepped_aside)},
	{"cashewd_lane_drops_total",
		"Connections that were given up with the acknowledgements that they held.",
		offsetof(struct figures_lane, dropped)},
	{"cashewd_sessions_lost_total",
		"How often the broker had no session for a lane that has had one before: what waited in it is gone.",
		offsetof(struct figures_lane, sessions_lost)},
};

static void write_lanes(FILE *out, const struct board *board, int64_t now_ms)
{
	const struct figures *figures = &board->figures;
	const unsigned count = figures_lane_count(figures);
	char labels[LABELS_SIZE];
	write_lane_gauges(out, board, count, now_ms);
	begin(out, "cashewd_hold_seconds", "histogram",
		"How long a command's acknowledgement was held, from the command's arrival.");
	for (unsigned i = 0; i < count; i++) {
		struct figures_times times;
		figures_read_times(&figures->lanes[i].hold, &times);
		histogram(out, "cashewd_hold_seconds", label(labels, "lane", figures->lanes[i].name), &times);
	}
	for (size_t k = 0; k < sizeof(lane_counters) / sizeof(lane_counters[0]); k++) {
		begin(out, lane_counters[k].name, "counter", lane_counters[k].help);
		for (unsigned i = 0; i < count; i++) {
			const struct figures_lane *lane = &figures->lanes[i];
			const _Atomic uint64_t *counter =
				(const _Atomic uint64_t *)((const char *)lane + lane_counters[k].offset);
			fprintf(out, "%s{%s} %" PRIu64 "\n", lane_counters[k].name,
				label(labels, "lane", lane->name), FIGURES_GET(*counter));
		}
	}
}

static void write_state(FILE *out, const char *name, const struct figures_connection *connection)
{
	const bool standby = FIGURES_GET(connection->standby);
	const uint32_t state = FIGURES_GET(connection->state);
	char labels[LABELS_SIZE];
	label(labels, "connection", name);
	for (uint32_t i = 0; i < FIGURES_CONNECTION_STATES; i++)
		fprintf(out, "cashewd_connection_state{%s,state=\"%s\"} %d\n", labels,
			figures_connection_state_name(i), !standby && state == i);
	fprintf(out, "cashewd_connection_state{%s,state=\"standby\"} %d\n", labels, standby);
}

static void write_connections(FILE *out, const struct board *board)
{
	const struct figures *figures = &board->figures;
	const unsigned count = figures_lane_count(figures);
	char labels[LABELS_SIZE];
	begin(out, "cashewd_connection_state", "gauge",
		"1 for the state that a connection to the broker is in: a lane's, or that for events, which is named egress.");
	for (unsigned i = 0; i < count; i++)
		if (is_shown(board, &figures->lanes[i]))
			write_state(out, figures->lanes[i].name, &figures->lanes[i].connection);
	write_state(out, "egress", &figures->egress.connection);
	static const char *const names[] = {
		"cashewd_connections_opened_total", "cashewd_connections_lost_total"};
	static const char *const helps[] = {
		"How often a connection to the broker has come up.", "How often one that was up has ended."};
	for (unsigned k = 0; k < 2; k++) {
		begin(out, names[k], "counter", helps[k]);
		for (unsigned i = 0; i <= count; i++) {
			const struct figures_connection *connection =
				i < count ? &figures->lanes[i].connection : &figures->egress.connection;
			label(labels, "connection", i < count ? figures->lanes[i].name : "egress");
			fprintf(out, "%s{%s} %" PRIu64 "\n", names[k], labels,
				k == 0 ? FIGURES_GET(connection->opened) : FIGURES_GET(connection->lost));
		}
	}
}

static void write_events(FILE *out, const struct figures_egress *egress)
{
	static const char *const ends[] = {"acknowledged", "refused"};
	const uint64_t counts[] = {FIGURES_GET(egress->published), FIGURES_GET(egress->refused)};
	begin(out, "cashewd_events_total", "counter", "Events that the broker has acknowledged, or refused.");
	series(out, "cashewd_events_total", "", "end", ends, counts, 2);
	one(out, "cashewd_events_repeated_total", "counter",
		"Events that were sent again because their connection was lost.",
		FIGURES_GET(egress->repeated));
	one(out, "cashewd_events_unsent", "gauge", "Events that wait to be sent.",
		FIGURES_GET(egress->unsent));
	one(out, "cashewd_events_awaiting", "gauge",
		"Events that were sent, and wait for the broker's acknowledgement.",
		FIGURES_GET(egress->awaiting));
}

/* ---- Store, hosts, log ---- */

static void write_store(FILE *out, const struct board *board)
{
	const struct figures_store *store = &board->figures.store;
	struct figures_times times;
	one(out, "cashewd_store_up", "gauge", "Whether the database answers.",
		FIGURES_GET(board->figures.now.store_up));
	one(out, "cashewd_store_writable", "gauge", "Whether the database has taken the last trial write.",
		FIGURES_GET(store->writable));
	one(out, "cashewd_store_refused", "gauge",
		"Whether the database refuses the host a collection that it needs.",
		figures_refused_collection(&board->figures) != NULL);
	one(out, "cashewd_store_failures_total", "counter",
		"Questions, one a second, that the database has not answered well.",
		FIGURES_GET(store->failed));
	figures_read_times(&store->latency, &times);
	begin(out, "cashewd_store_latency_seconds", "histogram",
		"How long the database took to answer the smallest question, one a second.");
	histogram(out, "cashewd_store_latency_seconds", "", &times);
}

static void write_hosts(FILE *out, const struct board *board)
{
	static const char *const names[] = {"stopped", "crashed", "hung", "killed", "not_begun"};
	const struct figures_hosts *hosts = &board->figures.hosts;
	const uint64_t ends[] = {FIGURES_GET(hosts->stopped), FIGURES_GET(hosts->crashed),
		FIGURES_GET(hosts->hung), FIGURES_GET(hosts->killed), FIGURES_GET(hosts->not_begun)};
	one(out, "cashewd_hosts_started_total", "counter", "Processes that run handlers, started so far.",
		atomic_load(&board->hosts));
	begin(out, "cashewd_host_ends_total", "counter",
		"How they ended: stopped in order, crashed, hung in a handler, killed by others, or not begun.");
	series(out, "cashewd_host_ends_total", "", "how", names, ends, 5);
	one(out, "cashewd_hosts_too_large_total", "counter",
		"Hosts that were replaced for the memory they took.", FIGURES_GET(hosts->too_large));
	one(out, "cashewd_host_up", "gauge", "Whether a host runs and has begun.",
		FIGURES_GET(hosts->pid) != 0 && atomic_load(&board->host_up) != 0);
	one(out, "cashewd_ready", "gauge",
		"Whether the host says that it is connected, subscribed, and its store answers.",
		FIGURES_GET(board->figures.now.ready));
	one(out, "cashewd_suspects", "gauge",
		"Commands that have killed a host and not ended since, or ended as dead letters less than ten minutes ago.",
		FIGURES_GET(board->mark_count));
}

static void write_log(FILE *out, struct view *view)
{
	static const char *const processes[] = {"host", "supervisor"};
	static const char *const places[] = {"memory", "spool", "disk", "killed"};
	const uint64_t dropped[] = {FIGURES_GET(view->board->figures.log_dropped), log_dropped()};
	struct loggly_figures loggly;
	const bool shipping = view_loggly(view, &loggly);
	const uint64_t lost[] = {loggly.lost_memory, loggly.lost_spool, loggly.lost_disk, loggly.lost_killed};
	begin(out, "cashewd_log_lines_dropped_total", "counter",
		"Lines of the log that its output did not take.");
	series(out, "cashewd_log_lines_dropped_total", "", "process", processes, dropped, 2);
	one(out, "cashewd_loggly_on", "gauge", "Whether the log is shipped to Loggly.", shipping);
	one(out, "cashewd_loggly_events_emitted_total", "counter",
		"Events that were to go to Loggly, since the spool was made.", loggly.emitted);
	one(out, "cashewd_loggly_events_shipped_total", "counter", "Events that Loggly has taken.",
		loggly.shipped);
	begin(out, "cashewd_loggly_events_lost_total", "counter",
		"Events that were lost, by where there was no room.");
	series(out, "cashewd_loggly_events_lost_total", "", "where", places, lost, 4);
	one(out, "cashewd_loggly_events_in_memory", "gauge", "Events in memory or under way.",
		loggly.in_memory);
	one(out, "cashewd_loggly_events_spooled", "gauge", "Events in LOG_SPOOL_DIR that wait to be sent.",
		loggly.spooled);
	one(out, "cashewd_loggly_spool_bytes", "gauge", "What LOG_SPOOL_DIR takes on disk.",
		loggly.spool_bytes);
	one(out, "cashewd_loggly_events_aside", "gauge",
		"Events in LOG_SPOOL_DIR that Loggly has refused as bad.", loggly.aside);
}

/* ---- Processes ---- */

/* Of all hosts together, so that it does not fall when one ends; what trials of settings took is in it. A
 * host that ends while this is read is missing for a moment: then the last figure stands. */
static double hosts_cpu_s(struct view *view, const struct process_figures *host)
{
	const double now_s = process_children_cpu_s() + (host ? host->cpu_s : 0);
	if (now_s > view->hosts_cpu_s)
		view->hosts_cpu_s = now_s;
	return view->hosts_cpu_s;
}

static void write_processes(FILE *out, struct view *view)
{
	struct process_figures own = {.cpu_s = 0}, host;
	const pid_t pid = FIGURES_GET(view->board->figures.hosts.pid);
	const bool lives = pid != 0 && process_read(pid, &host) == 0;
	if (process_read(getpid(), &own) != 0)
		return;
	begin(out, "process_cpu_seconds_total", "counter", "CPU time, of the supervisor and of all hosts.");
	fprintf(out, "process_cpu_seconds_total{process=\"supervisor\"} %.2f\n", own.cpu_s);
	fprintf(out, "process_cpu_seconds_total{process=\"host\"} %.2f\n",
		hosts_cpu_s(view, lives ? &host : NULL));
	begin(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
	fprintf(out, "process_resident_memory_bytes{process=\"supervisor\"} %" PRIu64 "\n",
		own.resident_bytes);
	if (lives)
		fprintf(out, "process_resident_memory_bytes{process=\"host\"} %" PRIu64 "\n",
			host.resident_bytes);
	begin(out, "process_start_time_seconds", "gauge", "Start time, since the Unix epoch.");
	fprintf(out, "process_start_time_seconds{process=\"supervisor\"} %.2f\n", own.started_s);
	if (lives)
		fprintf(out, "process_start_time_seconds{process=\"host\"} %.2f\n", host.started_s);
}

unsigned metrics_write(struct view *view, FILE *out)
{
	const struct board *board = view->board;
	const unsigned handlers = figures_handler_count(&board->figures);
	begin(out, "cashewd_build_info", "gauge", "1, with what was built.");
	fprintf(out, "cashewd_build_info{version=\"%s\"} 1\n", view->version);
	write_account(out, &board->account);
	write_handler_counters(out, &board->figures, handlers);
	write_runs(out, &board->figures, handlers);
	write_now(out, board, write_running(out, board, handlers));
	write_lanes(out, board, clock_ms());
	write_connections(out, board);
	write_events(out, &board->figures.egress);
	write_store(out, board);
	metrics_schedules(out, &board->figures, clock_ms());
	write_hosts(out, board);
	write_log(out, view);
	write_processes(out, view);
	return HTTP_OK;
}
