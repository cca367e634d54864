/*
 * loop.c - see loop.h.
 *
 * A turn of the loop: take what has come back, serve what is readable or due, hand new work to the threads, send the collected
 * events, and release the PUBACKs whose turn it is. Then sleep until something happens. Lanes, egress, parking and store watch
 * report here or to dispatch.c; who may read, connect and claim is decided here.
 */
#include "loop.h"

#include "arrival.h"
#include "clock.h"
#include "context.h"
#include "dispatch.h"
#include "egress.h"
#include "exit_codes.h"
#include "log.h"
#include "parked_commands.h"
#include "pool.h"
#include "settings.h"
#include "store_watch.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The places in the array for poll(); the lanes follow. */
enum { POLL_SIGNALS, POLL_SUPERVISOR, POLL_WORKERS, POLL_STORING, POLL_EGRESS, POLL_LANES };

enum {
	BYTES_MAX = 8 * 1024 * 1024, /* of payloads in memory, after which no lane reads on */
	HELD_URGENT = 16,	     /* so many places held, and PUBACKs of events are read at once */
	BOARD_FORGETS_MS = 1000,
	TURN_MS = 1000, /* also where nothing happens: else it looks like one that hangs */
};

/* ---- Reports ---- */

static void on_place_freed(void *owner, const struct place *place, bool released)
{
	const struct host_lane *home = owner;
	dispatch_place_freed(home->host, place, released);
}

const struct lane_owner loop_lane_owner = {
	.message = arrival_message,
	.oversized = arrival_oversized,
	.freed = on_place_freed,
};

int64_t loop_witness(void *context)
{
	const struct host *host = context;
	int64_t since_ms = INT64_MAX;
	for (size_t i = 0; i < host->lane_count; i++) {
		const int64_t lane_ms = lane_alive_since_ms(host->lanes[i].lane);
		since_ms = lane_ms < since_ms ? lane_ms : since_ms;
	}
	return since_ms;
}

void loop_wake(void *context)
{
	const struct host *host = context;
	pool_wake(host->pool);
}

/* ---- Sleeping ---- */

/* Whether lanes may read: not while so much is in memory that it could not be worked off. */
static bool may_read(const struct host *host)
{
	return host->bytes < BYTES_MAX && !egress_full(host->egress);
}

static int timeout_ms(const struct host *host, int64_t stop_at_ms)
{
	int64_t due_ms = egress_due_ms(host->egress);
	for (size_t i = 0; i < host->lane_count; i++) {
		const int64_t lane_ms = lane_due_ms(host->lanes[i].lane, may_read(host));
		due_ms = lane_ms < due_ms ? lane_ms : due_ms;
	}
	const int64_t others_ms[] = {dispatch_due_ms(host), parking_due_ms(host->parking),
		host->lease_until_ms, host->rejections.due_ms, stop_at_ms};
	for (size_t i = 0; i < sizeof(others_ms) / sizeof(others_ms[0]); i++)
		due_ms = others_ms[i] < due_ms ? others_ms[i] : due_ms;
	const int64_t wait_ms = due_ms - clock_ms();
	return wait_ms < 0 ? 0 : wait_ms > TURN_MS ? TURN_MS : (int)wait_ms;
}

static void nothing_happened(const struct host *host, struct pollfd *polls)
{
	for (size_t i = 0; i < POLL_LANES + host->lane_count; i++)
		polls[i].revents = 0;
}

/* So much is held that the broker may wait: what is read from the egress now is not read in vain. */
static bool waits_for_events(const struct host *host)
{
	for (size_t i = 0; i < host->lane_count; i++)
		if (lane_held(host->lanes[i].lane) >= HELD_URGENT)
			return true;
	return host->stopping;
}

static void wait_for_something(struct host *host, struct pollfd *polls, int64_t stop_at_ms)
{
	for (size_t i = 0; i < host->lane_count; i++)
		lane_poll(host->lanes[i].lane, may_read(host), &polls[POLL_LANES + i]);
	egress_poll(host->egress, waits_for_events(host), host->now_ms, &polls[POLL_EGRESS]);
	/* Both are asked: each has to know that this thread is about to sleep. */
	const bool idle = pool_sleep(host->pool), storing_idle = pool_sleep(host->storing_pool);
	const int timeout = idle && storing_idle ? timeout_ms(host, stop_at_ms) : 0;
	if (poll(polls, POLL_LANES + host->lane_count, timeout) < 0)
		nothing_happened(host, polls);
	pool_awake(host->pool, (polls[POLL_WORKERS].revents & POLLIN) != 0);
	pool_awake(host->storing_pool, (polls[POLL_STORING].revents & POLLIN) != 0);
}

/* ---- News of the store ---- */

static void read_backlogs(struct host *host, struct store_backlogs *list)
{
	if (list) {
		host_groups_free(&host->former_groups);
		host->former_groups = list->groups;
		list->groups = (struct host_groups){.count = 0};
	}
	for (const struct store_backlogs *backlogs = list; backlogs; backlogs = backlogs->next) {
		struct host_lane *home = &host->lanes[backlogs->lane];
		if (backlogs->last_position > home->last_position)
			home->last_position = backlogs->last_position;
		for (size_t i = 0; i < backlogs->count; i++)
			dispatch_backlog_found(host, home, lane_client_id(home->lane),
				backlogs->backlogs[i].user, backlogs->backlogs[i].due_in_ms);
	}
	store_backlogs_free(list);
}

static void read_due(struct host *host, struct parked_user *due, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct host_lane *home = NULL;
		for (size_t k = 0; k < host->lane_count && !home; k++)
			if (strcmp(lane_client_id(host->lanes[k].lane), due[i].lane) == 0)
				home = &host->lanes[k];
		dispatch_backlog_found(host, home, due[i].lane, due[i].user, 0);
	}
	parked_users_free(due, count);
}

static void set_active(struct host *host, bool active, int64_t free_in_ms)
{
	if (!active && !host->standby_told && free_in_ms > 0) {
		host->standby_told = true;
		log_warn("standby", "another host is active under this client id: waiting as its standby",
			LOG_TEXT("client_id", host->settings->client_id),
			LOG_INT("its_lease_ends_in_ms", free_in_ms));
	}
	if (active == host->active)
		return;
	host->active = active;
	host->standby_told = false;
	if (active)
		log_info("active", "this host is the active one",
			LOG_TEXT("client_id", host->settings->client_id));
}

/* Whether the store answers, and this host may work. */
static void read_news(struct host *host)
{
	struct store_news news;
	store_watch_news(host->store_watch, &news);
	/* A lease that has only run out, since the store was away, is no other host's: what is in memory goes on with it. Where another
	 * has it, or has had it (then the backlogs come once more), that one has run what is unacknowledged. */
	if (!host->stopping && (news.backlogs || (news.free_in_ms > 0 && !host->forgotten)))
		dispatch_stand_by(host);
	host->forgotten = news.free_in_ms > 0;
	read_backlogs(host, news.backlogs);
	read_due(host, news.due, news.due_count);
	const bool active = news.ours && host->now_ms < news.ours_until_ms;
	host->lease_until_ms = active ? news.ours_until_ms : INT64_MAX;
	set_active(host, active, news.free_in_ms);
	host->store_back = news.up && (host->store_back || !host->store_up);
	host->store_up = news.up;
	/* What was not answered is repeated when it is known whether another host has been active meanwhile. */
	if (host->store_back && (active || news.free_in_ms > 0)) {
		host->store_back = false;
		dispatch_store_back(host);
	}
}

/* ---- One turn ---- */

static void collect_finished(struct host *host)
{
	for (struct job *job = pool_collect(host->pool), *next; job; job = next) {
		next = job->next;
		dispatch_returned(host, (struct command *)job);
	}
	parking_returned(host->parking, pool_collect(host->storing_pool));
}

static void watch_readiness(struct host *host)
{
	bool ready = host->store_up && host->active && !host->stopping && egress_up(host->egress);
	for (size_t i = 0; i < host->lane_count && ready; i++)
		ready = lane_ready(host->lanes[i].lane);
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

/* How things stand, for whoever looks at the board. */
static void tell(const struct host *host)
{
	struct figures *figures = &host->board->figures;
	for (size_t i = 0; i < host->lane_count; i++)
		lane_tell(host->lanes[i].lane, host->standby_told);
	egress_tell(host->egress);
	FIGURES_SET(figures->now.turned_ms, host->now_ms);
	FIGURES_SET(figures->now.commands, host->commands);
	FIGURES_SET(figures->now.jobs, host->jobs);
	FIGURES_SET(figures->now.parked, parking_claimed_count(host->parking));
	FIGURES_SET(figures->now.backlogs, parking_backlog_count(host->parking));
	FIGURES_SET(figures->now.store_up, host->store_up);
	FIGURES_SET(figures->now.ready, host->ready);
	FIGURES_SET(figures->now.stopping, host->stopping);
	FIGURES_SET(figures->log_dropped, host->log_dropped_before + log_dropped());
}

static void hand_out(struct host *host)
{
	pool_hold(host->pool, egress_full(host->egress) || !host->store_up ||
				      suspects_quiet(&host->suspects, host->now_ms));
	pool_kick(host->pool);
	pool_kick(host->storing_pool);
}

/* Events first: what they settle may be released in the same turn. */
static void serve(struct host *host, const struct pollfd *polls)
{
	egress_serve(host->egress, polls[POLL_EGRESS].revents, host->now_ms);
	collect_finished(host);
	read_news(host);
	dispatch_serve(host);
	parking_serve(host->parking,
		host->store_up && host->active && !host->stopping &&
			!suspects_quiet(&host->suspects, host->now_ms),
		host->now_ms);
	for (size_t i = 0; i < host->lane_count; i++) {
		lane_serve(host->lanes[i].lane, polls[POLL_LANES + i].revents, may_read(host), host->now_ms);
		hand_out(host);
	}
	egress_flush(host->egress);
	for (size_t i = 0; i < host->lane_count; i++) {
		lane_want(host->lanes[i].lane, host->store_up && host->active, host->now_ms);
		lane_flush(host->lanes[i].lane, host->now_ms);
	}
	hand_out(host);
	if (host->now_ms >= host->board_forgets_ms) {
		board_forget(host->board, INT64_MIN, host->now_ms);
		host->board_forgets_ms = host->now_ms + BOARD_FORGETS_MS;
	}
	rejections_serve(&host->rejections, host->now_ms);
	watch_readiness(host);
	tell(host);
}

/* ---- Stopping ---- */

static bool all_stopped(const struct host *host)
{
	for (size_t i = 0; i < host->lane_count; i++)
		if (!lane_stopped(host->lanes[i].lane))
			return false;
	return egress_idle(host->egress) && parking_idle(host->parking);
}

/* The first signal lets what was read finish; the supervisor's second one hurries. One of anybody else's, from a terminal or a
 * service manager, has most likely gone to the supervisor as well. Returns the time at which to stop at the latest. */
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
		lane_stop(host->lanes[i].lane, host->now_ms);
	parking_stop(host->parking);
	return host->now_ms + (int64_t)host->settings->stop_timeout_s * 1000;
}

static void turn_until_stopped(struct host *host, struct pollfd *polls)
{
	int64_t stop_at_ms = INT64_MAX;
	bool polled = false;
	while (!host->stopping || (!all_stopped(host) && host->now_ms < stop_at_ms)) {
		/* Not twice in a row: what comes in is not to wait for what goes on in here. */
		polled = !polled || !pool_let_run(host->pool);
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
		board_count(&host->board->account.left, lane_abandon(host->lanes[i].lane, host->now_ms));
	egress_stop(host->egress);
	rejections_serve(&host->rejections, INT64_MAX);
}

int loop_run(struct host *host, int signal_fd, int supervisor_fd)
{
	struct pollfd *polls = calloc(POLL_LANES + host->lane_count, sizeof(*polls));
	if (!polls)
		return -ENOMEM;
	polls[POLL_SIGNALS] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
	polls[POLL_SUPERVISOR] = (struct pollfd){.fd = supervisor_fd};
	polls[POLL_WORKERS] = (struct pollfd){.fd = pool_fd(host->pool), .events = POLLIN};
	polls[POLL_STORING] = (struct pollfd){.fd = pool_fd(host->storing_pool), .events = POLLIN};
	egress_start(host->egress);
	atomic_store(&host->board->host_up, 1);
	turn_until_stopped(host, polls);
	free(polls);
	return 0;
}
