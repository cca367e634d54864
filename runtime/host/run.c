/*
 * run.c - what the host opens before its loop turns, and closes after that: see host.h.
 *
 * Happy path: the store's pool, the threads, the connections, the watch; loop_run(); and all of it closed again. Failure modes: what
 * settings name and cannot be used ends with EXIT_CONFIG, what the machine refuses with EXIT_SOFTWARE, or EXIT_TEMPORARY where that may pass, each
 * told once; a name of the database that cannot be looked up is waited for. Where
 * a handler still runs, or the store does not answer, the process ends without waiting: what they were doing comes again. The lease is given up
 * only where no host of the same supervisor follows and nothing of this one goes on; else it is kept, or comes to its end.
 */
#include "host.h"

#include "clock.h"
#include "context.h"
#include "dispatch.h"
#include "documents_indexes.h"
#include "egress.h"
#include "exit_codes.h"
#include "fingerprint.h"
#include "handler_token.h"
#include "hardening.h"
#include "log.h"
#include "loop.h"
#include "pool.h"
#include "resolver.h"
#include "schedule_watch.h"
#include "settings.h"
#include "setup.h"
#include "store.h"
#include "store_opening.h"
#include "store_watch.h"
#include "storing.h"
#include "thread_room.h"
#include "tls.h"
#include "users.h"
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	LOG_CLOSE_MS = 1000,
	CLOSE_S = 2,
	OWN_THREADS = LOOP_STORING_THREADS + 2, /* beside the workers: the watch, a resolver */
	DRIVER_THREADS =
		4, /* with which it watches a server or two; it does not say when it could not make them */
};

/* A line of the log for each. */
static void log_notes(const char *notes)
{
	char line[STORE_NOTES_SIZE];
	for (size_t size; *notes != '\0'; notes += size + 1) {
		size = strcspn(notes, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)size, notes);
		log_warn("mongo_db_url", line);
	}
}

/* What the machine refuses now, and may not in a while. */
static bool may_pass(int error)
{
	return error == -EAGAIN || error == -ENOMEM || error == -ENOBUFS || error == -EMFILE ||
	       error == -ENFILE;
}

static int start_failed(int error)
{
	log_error("start_failed", may_pass(error) ? "the host cannot start now" : "the host cannot start",
		LOG_TEXT("reason", strerror(-error)));
	return may_pass(error) ? EXIT_TEMPORARY : EXIT_SOFTWARE;
}

/* Without a store, and EXIT_OK, it was told to stop. */
static int open_store(struct host *host, int signal_fd, int supervisor_fd)
{
	const struct store_options options = store_opening_options(host->settings);
	const struct pollfd stops[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = supervisor_fd}};
	const int error = store_opening_wait(
		&options, STORE_OPENING_AGAIN_MS, stops, sizeof(stops) / sizeof(stops[0]), &host->store);
	if (error < 0)
		return start_failed(error);
	if (host->store)
		log_notes(store_notes(host->store));
	const int wanted = host->store ? documents_want_indexes(host->store, host->routes.handlers) : 0;
	if (wanted != 0)
		return start_failed(wanted);
	return error == STORE_OPENING_E_REFUSED ? EXIT_CONFIG : EXIT_OK;
}

static int check_tls(const struct settings *settings)
{
	char reason[TLS_REASON_SIZE] = "out of memory";
	if (!settings->broker_tls) {
		log_warn("tls_off", "BROKER_TLS=off: the token and all commands travel in clear");
		return EXIT_OK;
	}
	if (tls_check(settings, reason) == 0)
		return EXIT_OK;
	log_error("bad_setting", "TLS cannot be set up", LOG_TEXT("reason", reason));
	return EXIT_CONFIG;
}

static int open_lane(struct host *host, const struct route_lane *routes)
{
	struct host_lane *home = &host->lanes[host->lane_count];
	const struct lane_options options = {
		.settings = host->settings,
		.routes = routes,
		.former_groups = &host->former_groups,
		.figures = &host->board->figures,
		.resolver = host->resolver,
		.callbacks = &loop_lane_owner,
		.owner = home,
	};
	*home = (struct host_lane){.host = host, .routes = routes, .users = users_new()};
	if (!home->users)
		return -ENOMEM;
	const int error = lane_new(&options, &home->lane);
	if (error != 0) {
		users_free(home->users);
		return error;
	}
	home->key = fingerprint_text(lane_client_id(home->lane), strlen(lane_client_id(home->lane)));
	host->lane_count++;
	return 0;
}

/* A stolen token is then good for the topics of this host's handlers alone. */
static int open_resolver(struct host *host)
{
	const char **filters = NULL;
	struct handler_topics topics = {.count = 0};
	int error = resolver_new(host->settings, &host->resolver);
	if (error == 0)
		error = routes_filters(&host->routes, &filters, &topics.count);
	topics.filters = filters;
	if (error == 0)
		error = resolver_lock(host->resolver, &topics);
	free(filters);
	return error;
}

static int open_connections(struct host *host)
{
	int error = open_resolver(host);
	const struct egress_options options = {
		.settings = host->settings,
		.resolver = host->resolver,
		.figures = &host->board->figures.egress,
		.event_max = &host->event_max,
		.ended = dispatch_event_ended,
		.witness = loop_witness,
		.owner = host,
	};
	if (error == 0)
		error = egress_new(&options, &host->egress);
	host->lanes = calloc(host->routes.lane_count, sizeof(*host->lanes));
	host->foreign = users_new();
	if (error == 0 && (!host->lanes || !host->foreign))
		error = -ENOMEM;
	for (size_t i = 0; error == 0 && i < host->routes.lane_count; i++)
		error = open_lane(host, &host->routes.lanes[i]);
	return error;
}

static int open_watch(struct host *host)
{
	host->lane_ids = calloc(host->lane_count, sizeof(*host->lane_ids));
	if (!host->lane_ids)
		return -ENOMEM;
	for (size_t i = 0; i < host->lane_count; i++) {
		host->lane_ids[i] = strdup(lane_client_id(host->lanes[i].lane));
		if (!host->lane_ids[i])
			return -ENOMEM;
	}
	const struct settings *settings = host->settings;
	host->certificates = (struct own_certificates){
		.of = {
			{.setting = "BROKER_CERT_FILE",
				.path = settings->broker_tls ? settings->broker_cert_file : NULL},
			{.setting = "MONGO_DB_URL", .path = store_certificate_file(host->store)},
		}};
	collections_of(host->routes.handlers, &host->needed);
	for (size_t i = 0; i < host->needed.count; i++)
		figures_need_collection(&host->board->figures, i, host->needed.needs[i].name);
	const struct schedule_watch_options schedules = {
		.handlers = host->routes.handlers,
		.store = host->store,
		.lane = host->lane_ids[0],
		.owner = host->owner,
		.figures = &host->board->figures,
	};
	const int error = schedule_watch_new(&schedules, &host->schedules);
	if (error != 0)
		return error;
	const struct store_watch_options options = {
		.store = host->store,
		.wake = loop_wake,
		.context = host,
		.lanes = (const char *const *)host->lane_ids,
		.lane_count = host->lane_count,
		.host = settings->client_id,
		.group = settings->shared_group,
		.owner = host->owner,
		.needed = &host->needed,
		.board = host->board,
		.schedules = host->schedules,
		.certificates = &host->certificates,
	};
	return store_watch_new(&options, &host->store_watch);
}

/* The places of this host's handlers on the board. */
static int open_figures(struct host *host)
{
	struct figures *figures = &host->board->figures;
	host->places = calloc(host->routes.handler_count, sizeof(*host->places));
	if (!host->places)
		return -ENOMEM;
	for (size_t i = 0; i < host->routes.handler_count; i++)
		host->places[i] = figures_handler_place(figures, host->routes.handlers[i]->name);
	figures_use_rows(figures, host->settings->workers + 1);
	FIGURES_SET(figures->now.workers, host->settings->workers);
	host->log_dropped_before = FIGURES_GET(figures->log_dropped);
	return 0;
}

/* What handlers have for all threads. -ECANCELED after logging which one refused. */
static int load_handlers(const struct host *host)
{
	for (size_t i = 0; i < host->routes.handler_count; i++) {
		char reason[SETUP_REASON_SIZE];
		const struct cashew_handler *handler = host->routes.handlers[i];
		if (setup_load(handler, host->settings, reason) == 0)
			continue;
		log_error("handler_load_failed", "a handler's load failed: the host does not start",
			LOG_TEXT("handler", handler->name), LOG_TEXT("reason", reason));
		return -ECANCELED;
	}
	return 0;
}

static int open_threads(struct host *host)
{
	host->light = (struct worker_context){
		.routes = &host->routes,
		.settings = host->settings,
		.store = host->store,
		.event_max = &host->event_max,
		.slot = &host->board->slots[0],
		.runs = &host->board->figures.runs[0],
		.places = host->places,
	};
	int error = crash_thread_begin(&host->crash_stack, host->light.slot);
	if (error == 0)
		error = load_handlers(host);
	if (error == 0)
		error = worker_states_new(&host->light);
	if (error == 0)
		error = worker_pool_new(&host->light, host->settings->workers, &host->pool);
	if (error == 0)
		error = storing_pool_new(host->store, LOOP_STORING_THREADS, &host->storing_pool);
	/* Few at once, so that what they have done is deleted many at a time, and more than the workers need. */
	const struct parking_options options = {
		.pool = host->storing_pool,
		.lease_owner = host->owner,
		.claimed_max = host->settings->workers * 3 / 2 + 1,
		.callbacks = &dispatch_parking_owner,
		.owner = host,
	};
	return error == 0 ? parking_new(&options, &host->parking) : error;
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

/* Where another host of the same supervisor follows it goes on with the lease: nobody is to come in between. */
static void leave_lease(struct host *host)
{
	store_watch_free(host->store_watch, atomic_load(&host->board->ending) != 0);
}

/*
 * Everything is freed when all threads have come to an end. That the store does not answer may not be known yet: the driver would
 * wait for it to take leave. Where commands are left the process just ends. A handler that runs may still write then, and so may what is being
 * stored: the lease is kept, so that a standby does not run the same commands beside them before it has run out.
 */
static void close_host(struct host *host, int code)
{
	for (size_t i = 0; i < host->lane_count; i++)
		lane_free(host->lanes[i].lane);
	const bool still = host->jobs == 0 && host->store_up && parking_idle(host->parking);
	if (code == EXIT_OK) {
		signal(SIGALRM, exit_now);
		alarm(CLOSE_S);
	}
	if (code == EXIT_OK && (host->commands > 0 || !still)) {
		if (still)
			leave_lease(host);
		log_close(LOG_CLOSE_MS);
		_exit(code);
	}
	leave_lease(host);
	schedule_watch_free(host->schedules);
	for (size_t i = 0; host->lane_ids && i < host->lane_count; i++)
		free(host->lane_ids[i]);
	free(host->lane_ids);
	pool_free(host->pool);
	pool_free(host->storing_pool);
	parking_free(host->parking);
	worker_states_free(&host->light);
	egress_free(host->egress);
	for (size_t i = 0; i < host->lane_count; i++)
		users_free(host->lanes[i].users);
	users_free(host->foreign);
	free(host->lanes);
	resolver_free(host->resolver);
	free(host->places);
	routes_free(&host->routes);
	host_groups_free(&host->former_groups);
	if (code == EXIT_OK)
		host_leave(code);
	store_close(host->store);
	crash_thread_end(&host->crash_stack);
	mosquitto_lib_cleanup();
	alarm(0);
}

/* The driver's monitor looks up from its wait every 500 ms, and to close the store is to wait for that: meanwhile no host would serve. */
void host_leave(int code)
{
	if (hardening_sanitized())
		return;
	log_close(LOG_CLOSE_MS);
	fflush(NULL);
	_exit(code);
}

static int run(struct host *host, int signal_fd, int supervisor_fd)
{
	int code = open_store(host, signal_fd, supervisor_fd);
	if (code == EXIT_OK && host->store)
		code = check_tls(host->settings);
	if (code != EXIT_OK || !host->store)
		return code;
	int error = thread_room(host->settings->workers + OWN_THREADS + DRIVER_THREADS);
	if (error == 0)
		error = open_figures(host);
	if (error == 0)
		error = open_threads(host);
	if (error == 0)
		error = open_connections(host);
	if (error == 0)
		error = open_watch(host);
	if (error == 0)
		error = loop_run(host, signal_fd, supervisor_fd);
	return error == 0 ? EXIT_OK : start_failed(error);
}

int host_run(const struct host_options *options)
{
	struct host host = {.settings = options->settings,
		.board = options->board,
		.owner = options->board->owner,
		.event_max = options->settings->event_max,
		.retries_at_ms = INT64_MAX,
		.lease_until_ms = INT64_MAX,
		.now_ms = clock_ms()};
	rejections_init(&host.rejections);
	sigset_t signals;
	int signal_fd = -1;
	if (open_signals(&signals, &signal_fd) != 0 || routes_new(options->handlers, &host.routes) != 0 ||
		routes_share(&host.routes, options->settings->shared_group) != 0 ||
		mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
		log_error("start_failed", "the host cannot start", LOG_TEXT("reason", strerror(errno)));
		return EXIT_SOFTWARE;
	}
	const int code = run(&host, signal_fd, options->supervisor_fd);
	close_host(&host, code);
	close(signal_fd);
	return code;
}
