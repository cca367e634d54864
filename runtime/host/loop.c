/*
 * loop.c - the I/O thread: one poll() over every broker connection, the workers' results, and the
 * signals.
 *
 * A turn of the loop: take what workers have finished, serve what is readable or due, hand new commands to
 * the workers, send the collected events, and release the acknowledgements of groups that have drained. Then
 * sleep until something happens.
 */
#include "clock.h"
#include "exit_codes.h"
#include "host.h"

#include "context.h"
#include "egress.h"
#include "lane.h"
#include "log.h"
#include "parking.h"
#include "pool.h"
#include "settings.h"
#include "store.h"
#include "store_watch.h"
#include "tls.h"
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The places in the array for poll(); the lanes follow. */
enum { POLL_SIGNALS, POLL_SUPERVISOR, POLL_WORKERS, POLL_EGRESS, POLL_LANES };

enum { LOG_CLOSE_MS = 1000, CLOSE_S = 2 };

void host_store_away(struct host *host)
{
	host->store_up = false;
	store_watch_suspect(host->store_watch);
}

/* ---- One turn of the loop ---- */

static void collect_finished(struct host *host)
{
	struct command *command = worker_pool_collect(host->pool), *next;
	for (; command != NULL; command = next) {
		next = command->job_next;
		command_returned(command);
	}
}

static void run_retries(struct host *host)
{
	if (suspects_quiet(host))
		return;
	struct command *command = host->retrying, *next;
	for (; command != NULL; command = next) {
		next = command->retry_next;
		if (host->now_ms >= command->retry_at_ms)
			command_retry(command);
	}
}

static void watch_readiness(struct host *host)
{
	bool ready = host->store_up && !host->stopping && egress_up(host->egress);
	for (size_t i = 0; i < host->lane_count && ready; i++)
		ready = lane_ready(host->lanes[i]);
	if (ready == host->ready)
		return;
	host->ready = ready;
	if (ready)
		log_info("ready", "ready: connected, subscribed, and the store answers",
			LOG_INT("handlers", host->routes.handler_count), LOG_INT("lanes", host->lane_count),
			LOG_INT("workers", host->settings->workers));
	else if (!host->stopping)
		log_warn("not_ready", "not ready: commands wait at the broker");
}

static int timeout_ms(const struct host *host, int64_t stop_at_ms)
{
	int64_t due_ms = egress_due_ms(host->egress);
	for (size_t i = 0; i < host->lane_count; i++) {
		const int64_t lane_ms = lane_due_ms(host->lanes[i]);
		due_ms = lane_ms < due_ms ? lane_ms : due_ms;
	}
	const int64_t suspects_ms = suspects_due_ms(host);
	due_ms = suspects_ms < due_ms ? suspects_ms : due_ms;
	for (const struct command *command = host->retrying; command != NULL; command = command->retry_next)
		due_ms = command->retry_at_ms < due_ms && !suspects_quiet(host) ? command->retry_at_ms
										: due_ms;
	due_ms = stop_at_ms < due_ms ? stop_at_ms : due_ms;
	const int64_t wait_ms = due_ms - clock_ms();
	return wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : (int)wait_ms;
}

static void nothing_happened(const struct host *host, struct pollfd *polls)
{
	for (size_t i = 0; i < POLL_LANES + host->lane_count; i++)
		polls[i].revents = 0;
}

static void wait_for_something(struct host *host, struct pollfd *polls, int64_t stop_at_ms)
{
	bool urgent = host->stopping;
	for (size_t i = 0; i < host->lane_count; i++) {
		lane_poll(host->lanes[i], &polls[POLL_LANES + i]);
		urgent = urgent || lane_waits(host->lanes[i]);
	}
	egress_poll(host->egress, urgent, &polls[POLL_EGRESS]);
	const int timeout = worker_pool_sleep(host->pool) ? timeout_ms(host, stop_at_ms) : 0;
	if (poll(polls, POLL_LANES + host->lane_count, timeout) < 0)
		nothing_happened(host, polls);
	worker_pool_awake(host->pool, (polls[POLL_WORKERS].revents & POLLIN) != 0);
}

/* Tells the lanes and the line of what is due. Returns whether the store answers. */
static bool read_news(struct host *host)
{
	struct store_news news;
	store_watch_news(host->store_watch, &news);
	for (struct parked_marks *marks = news.loaded, *next; marks != NULL; marks = next) {
		next = marks->next;
		struct lane **lane = host->lanes;
		while (strcmp(lane_client_id(*lane), marks->lane_id) != 0)
			lane++;
		lane_loaded(*lane, marks);
	}
	if (news.due_count > 0)
		parking_due(host, news.due, news.due_count);
	parked_users_free(news.due, news.due_count);
	return news.up;
}

/* How things stand, for whoever looks at the board. */
static void tell(const struct host *host)
{
	struct figures *figures = &host->board->figures;
	for (size_t i = 0; i < host->lane_count; i++)
		lane_tell(host->lanes[i]);
	egress_tell(host->egress);
	FIGURES_SET(figures->now.turned_ms, host->now_ms);
	FIGURES_SET(figures->now.commands, host->commands);
	FIGURES_SET(figures->now.jobs, host->jobs);
	FIGURES_SET(figures->now.parked, host->parked_running);
	FIGURES_SET(figures->now.store_up, host->store_up);
	FIGURES_SET(figures->now.ready, host->ready);
	FIGURES_SET(figures->now.stopping, host->stopping);
	FIGURES_SET(figures->log_dropped, host->log_dropped_before + log_dropped());
}

/* Events first: what they settle may let a group drain. */
static void serve(struct host *host, const struct pollfd *polls)
{
	egress_serve(host->egress, polls[POLL_EGRESS].revents);
	collect_finished(host);
	run_retries(host);
	const bool up = read_news(host);
	if (up)
		host->store_up = true;
	suspects_serve(host);
	parking_serve(host);
	for (size_t i = 0; i < host->lane_count; i++) {
		lane_serve(host->lanes[i], polls[POLL_LANES + i].revents);
		worker_pool_kick(host->pool);
	}
	egress_flush(host->egress);
	host->store_up = host->store_up && up;
	for (size_t i = 0; i < host->lane_count; i++) {
		lane_want(host->lanes[i], host->store_up);
		lane_flush(host->lanes[i]);
	}
	worker_pool_hold(host->pool, egress_full(host->egress));
	worker_pool_kick(host->pool);
	watch_readiness(host);
	tell(host);
}

/* ---- Stopping ---- */

static bool all_stopped(const struct host *host)
{
	for (size_t i = 0; i < host->lane_count; i++)
		if (!lane_stopped(host->lanes[i]))
			return false;
	return egress_idle(host->egress) && parking_idle(host);
}

/* The first signal lets what was read finish; the supervisor's second one hurries. One of anybody else's,
 * from a terminal or a service manager, has most likely gone to the supervisor as well. Returns the time at
 * which to stop at the latest. */
static int64_t read_signal(struct host *host, int fd, int64_t stop_at_ms)
{
	struct signalfd_siginfo info;
	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return stop_at_ms;
	const char *name = info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
	const bool told = info.ssi_code == SI_USER && (pid_t)info.ssi_pid == host->board->supervisor;
	host->stop_signals += told;
	if (host->stopping && (!told || host->stop_signals < 2))
		return stop_at_ms;
	if (host->stopping) {
		log_warn("stopping_now", "stopping now: unfinished commands are left to the broker",
			LOG_TEXT("signal", name));
		return host->now_ms;
	}
	log_info("stopping", "stopping: reading no more commands, finishing those that run",
		LOG_TEXT("signal", name), LOG_INT("limit_s", host->settings->stop_timeout_s));
	host->stopping = true;
	for (size_t i = 0; i < host->lane_count; i++)
		lane_stop(host->lanes[i]);
	return host->now_ms + (int64_t)host->settings->stop_timeout_s * 1000;
}

static void loop(struct host *host, struct pollfd *polls)
{
	int64_t stop_at_ms = INT64_MAX;
	bool polled = false;
	while (!host->stopping || (!all_stopped(host) && host->now_ms < stop_at_ms)) {
		/* Not twice in a row: what comes in is not to wait for what goes on in here. */
		polled = !polled || !worker_pool_let_run(host->pool);
		if (polled)
			wait_for_something(host, polls, stop_at_ms);
		else
			nothing_happened(host, polls);
		host->now_ms = clock_ms();
		/* The next supervisor's host may be at work already. */
		if ((polls[POLL_SUPERVISOR].revents & (POLLHUP | POLLERR)) != 0)
			_exit(EXIT_SOFTWARE);
		if ((polls[POLL_SIGNALS].revents & POLLIN) != 0)
			stop_at_ms = read_signal(host, polls[POLL_SIGNALS].fd, stop_at_ms);
		serve(host, polls);
	}
	for (size_t i = 0; i < host->lane_count; i++)
		lane_abandon(host->lanes[i]);
	egress_stop(host->egress);
}

/* ---- Setting up ---- */

static int open_store(struct host *host, struct store **ret_store)
{
	char message[STORE_MESSAGE_SIZE] = "out of memory";
	const struct store_options options = {
		.url = host->settings->mongo_db_url,
		.database = host->settings->mongo_db_name,
		.app_name = host->settings->client_id,
		.pool_size = host->settings->workers + 2, /* the watch, and the I/O thread's light handlers */
		.work_ms = host->settings->handler_timeout_s * 1000,
	};
	const int rc = store_open(&options, ret_store, message);
	if (rc == 0)
		return EXIT_OK;
	log_error("bad_setting",
		"MONGO_DB_URL cannot be used: expected a connection string that MongoDB's driver "
		"understands, like "
		"mongodb://user:password@host:27017",
		LOG_TEXT("setting", "MONGO_DB_URL"), LOG_TEXT("reason", message));
	return EXIT_CONFIG;
}

static int open_tls(struct host *host)
{
	char reason[TLS_REASON_SIZE] = "out of memory";
	if (!host->settings->broker_tls) {
		log_warn("tls_off", "BROKER_TLS=off: the token and all commands travel in clear");
		return EXIT_OK;
	}
	if (tls_new(host->settings, &host->tls, reason) == 0)
		return EXIT_OK;
	log_error("bad_setting", "TLS cannot be set up", LOG_TEXT("reason", reason));
	return EXIT_CONFIG;
}

static int open_connections(struct host *host)
{
	int rc = egress_new(host, &host->egress);
	host->lanes = calloc(host->routes.lane_count, sizeof(*host->lanes));
	if (host->lanes == NULL)
		rc = -ENOMEM;
	for (; rc == 0 && host->lane_count < host->routes.lane_count; host->lane_count++) {
		rc = lane_new(host, &host->routes.lanes[host->lane_count], &host->lanes[host->lane_count]);
		if (rc != 0)
			break;
	}
	return rc;
}

/* Of all handlers of one topic together, which run one after the other. */
static int64_t longest_deadline_ms(const struct host *host)
{
	int64_t longest_ms = 0;
	for (size_t i = 0; i < host->routes.lane_count; i++) {
		const struct route_lane *lane = &host->routes.lanes[i];
		for (size_t j = 0; j < lane->route_count; j++) {
			int64_t sum_ms = 0;
			for (unsigned k = 0; k < lane->routes[j].handler_count; k++) {
				const unsigned deadline_ms =
					host->routes.handlers[lane->routes[j].handlers[k]]->deadline_ms;
				sum_ms += deadline_ms != 0 ? deadline_ms
							   : host->settings->handler_timeout_s * 1000;
			}
			longest_ms = sum_ms > longest_ms ? sum_ms : longest_ms;
		}
	}
	return longest_ms;
}

static int open_watch(struct host *host, struct store *store)
{
	host->lane_ids = calloc(host->lane_count, sizeof(*host->lane_ids));
	if (host->lane_ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < host->lane_count; i++) {
		host->lane_ids[i] = strdup(lane_client_id(host->lanes[i]));
		if (host->lane_ids[i] == NULL)
			return -ENOMEM;
	}
	const struct store_watch_options options = {.store = store,
		.pool = host->pool,
		.lanes = (const char *const *)host->lane_ids,
		.lane_count = host->lane_count,
		.copies_max = host->settings->window,
		.host = host->settings->client_id,
		.board = host->board};
	return store_watch_new(&options, &host->store_watch);
}

/* The places of this host's handlers on the board. */
static int open_figures(struct host *host)
{
	struct figures *figures = &host->board->figures;
	host->places = calloc(host->routes.handler_count, sizeof(*host->places));
	if (host->places == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < host->routes.handler_count; i++)
		host->places[i] = figures_handler_place(figures, host->routes.handlers[i]->name);
	figures_use_rows(figures, host->settings->workers + 1);
	FIGURES_SET(figures->now.workers, host->settings->workers);
	host->log_dropped_before = FIGURES_GET(figures->log_dropped);
	return 0;
}

static int open_workers(struct host *host, struct store *store)
{
	host->light = (struct worker_context){
		.routes = &host->routes,
		.settings = host->settings,
		.store = store,
		.event_max = &host->event_max,
		.slot = &host->board->slots[0],
		.runs = &host->board->figures.runs[0],
		.places = host->places,
		.owner = host->owner,
		.lease_ms = longest_deadline_ms(host) + PARKING_LEASE_MS,
	};
	int rc = crash_thread_begin(&host->crash_stack, host->light.slot);
	if (rc == 0)
		rc = worker_states_new(&host->light);
	if (rc == 0)
		rc = worker_pool_new(&host->light, host->settings->workers, &host->pool);
	return rc;
}

static int open_signals(sigset_t *signals, int *ret_fd)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	*ret_fd = signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static void exit_now(int signal_number)
{
	(void)signal_number;
	_exit(EXIT_OK);
}

/* Everything is freed when all threads have come to an end. A handler that still runs, or a store that does
 * not answer, cannot be waited for: the process ends with them, and what they were doing comes again. That it
 * does not answer may not be known yet: the driver would wait for it to take leave. */
static void close_host(struct host *host, struct store *store, int rc)
{
	for (size_t i = 0; i < host->lane_count; i++)
		lane_free(host->lanes[i]);
	if (rc == EXIT_OK && (host->commands > 0 || !host->store_up)) {
		log_close(LOG_CLOSE_MS);
		_exit(rc);
	}
	if (rc == EXIT_OK) {
		signal(SIGALRM, exit_now);
		alarm(CLOSE_S);
	}
	store_watch_free(host->store_watch);
	for (size_t i = 0; host->lane_ids != NULL && i < host->lane_count; i++)
		free(host->lane_ids[i]);
	free(host->lane_ids);
	parked_drop_all(&host->parked);
	worker_pool_free(host->pool);
	worker_states_free(&host->light);
	egress_free(host->egress);
	free(host->lanes);
	free(host->places);
	routes_free(&host->routes);
	tls_free(host->tls);
	store_close(store);
	crash_thread_end(&host->crash_stack);
	mosquitto_lib_cleanup();
	alarm(0);
}

static int run(struct host *host, struct store **ret_store, int signal_fd, int supervisor_fd)
{
	int rc = open_store(host, ret_store);
	if (rc == EXIT_OK)
		rc = open_tls(host);
	if (rc != EXIT_OK)
		return rc;
	rc = open_figures(host);
	if (rc == 0)
		rc = open_workers(host, *ret_store);
	if (rc == 0)
		rc = open_connections(host);
	if (rc == 0)
		rc = open_watch(host, *ret_store);
	struct pollfd *polls = calloc(POLL_LANES + host->routes.lane_count, sizeof(*polls));
	if (rc != 0 || polls == NULL) {
		free(polls);
		log_error("start_failed", "the host cannot start",
			LOG_TEXT("reason", strerror(rc != 0 ? -rc : ENOMEM)));
		return EXIT_SOFTWARE;
	}
	polls[POLL_SIGNALS] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
	polls[POLL_SUPERVISOR] = (struct pollfd){.fd = supervisor_fd};
	polls[POLL_WORKERS] = (struct pollfd){.fd = worker_pool_fd(host->pool), .events = POLLIN};
	egress_start(host->egress);
	atomic_store(&host->board->host_up, 1);
	loop(host, polls);
	free(polls);
	return EXIT_OK;
}

int host_try(const struct settings *settings)
{
	struct host host = {.settings = settings};
	struct store *store = NULL;
	int rc = open_store(&host, &store);
	if (rc == EXIT_OK)
		rc = open_tls(&host);
	tls_free(host.tls);
	store_close(store);
	return rc;
}

int host_run(const struct host_options *options)
{
	struct host host = {.settings = options->settings,
		.board = options->board,
		.owner = options->board->owner,
		.event_max = options->settings->event_max,
		.now_ms = clock_ms()};
	struct store *store = NULL;
	sigset_t signals;
	int signal_fd = -1;
	if (open_signals(&signals, &signal_fd) != 0 || routes_new(options->handlers, &host.routes) != 0 ||
		mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
		log_error("start_failed", "the host cannot start", LOG_TEXT("reason", strerror(errno)));
		return EXIT_SOFTWARE;
	}
	const int rc = run(&host, &store, signal_fd, options->supervisor_fd);
	close_host(&host, store, rc);
	close(signal_fd);
	return rc;
}
