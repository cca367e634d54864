/*
 * store_watch.c - see store_watch.h.
 *
 * A turn of the thread: it asks whether the store answers, now and then tries a collection, takes or renews the lease, and, where that is
 * ours, asks what is due and reads the backlogs if that is wanted. Then it tells what came of it, and waits. All that it waits for is done without
 * the mutex.
 */
#include "store_watch.h"

#include "board.h"
#include "clock.h"
#include "log.h"
#include "own_certificates.h"
#include "parked_commands.h"
#include "rights_watch.h"
#include "schedule_watch.h"
#include "store.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ASK_UP_MS = 1000,
	ASK_AWAY_MS = 500,
	ASK_STANDBY_MS = 500,
	SLOW_MS = 500,
	OVERDUE_EVERY_MS = 10000, /* between looks for what other hosts have left */
	OVERDUE_MS = 60000,	  /* what has waited that long, somebody else may take */
	MARGIN_MS = 1000,	  /* the lease counts as over that much before its end: clocks differ */
	DUE_MAX = 1000,
	CLOCKS_AGREE_MS = STORE_CLOCK_APART_MS / 2,
};

struct store_watch {
	struct store_watch_options options;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under the mutex */
	bool stopping;
	bool release; /* when stopping */
	unsigned
		suspicion; /* counts; a verdict holds for the suspicion that was current when it was asked for */
	bool load;	   /* wanted by the I/O thread */
	struct store_news news;
	/* the thread's own */
	bool prepared;
	bool told_away;
	bool told_refused;
	bool unanswered; /* the last question */
	int64_t told_ahead_ms; /* how far this machine's clock is ahead of the database's, as the log has it; 0: they agree */
	bool to_load; /* the backlogs: they are not known since we became active, or are wanted anew */
	int64_t ours_until_ms; /* our lease; 0: never had it */
	bool awaited;	       /* somebody stands by for it */
	int64_t overdue_at_ms; /* the next look for what is long overdue */
	struct rights_watch rights;
};

/* What a turn came to. */
struct turn {
	int error; /* of the questions, not of the lease */
	bool ours;
	int64_t free_in_ms;
	long rest_ms; /* until a schedule is due, or the lease may be free */
	struct parked_user *due;
	size_t due_count;
	struct store_backlogs *backlogs;
};

void store_backlogs_free(struct store_backlogs *backlogs)
{
	for (struct store_backlogs *next; backlogs; backlogs = next) {
		next = backlogs->next;
		for (size_t i = 0; i < backlogs->count; i++)
			free(backlogs->backlogs[i].user);
		free(backlogs->backlogs);
		host_groups_free(&backlogs->groups);
		free(backlogs);
	}
}

/* ---- Whether it answers ---- */

/* For the deadlines of handlers: time in which the store does not answer is not theirs. */
static void note_answer(struct store_watch *watch, int error, int64_t asked_ms)
{
	struct board *board = watch->options.board;
	const int64_t now_ms = clock_ms();
	if (error == 0 && (watch->unanswered || now_ms - asked_ms > SLOW_MS))
		atomic_store_explicit(&board->store_back_ms, now_ms, memory_order_relaxed);
	watch->unanswered = error != 0;
	if (error == 0)
		atomic_store_explicit(&board->store_seen_ms, asked_ms, memory_order_release);
}

/* Each change once: apart, apart by more or less than was told, in agreement again. In between, and where it is not known, nothing is new. */
static void tell_clock(struct store_watch *watch)
{
	int64_t ahead_ms;
	if (!store_wall_clock_ahead_ms(watch->options.store, &ahead_ms))
		return;
	if (llabs(ahead_ms) > STORE_CLOCK_APART_MS) {
		if (watch->told_ahead_ms != 0 &&
			llabs(ahead_ms - watch->told_ahead_ms) <= STORE_CLOCK_APART_MS)
			return;
		watch->told_ahead_ms = ahead_ms;
		log_warn("clocks_differ",
			ahead_ms > 0
				? "this machine's clock is ahead of the database's: commands are kept by the database's time, but tokens and certificates are judged by this clock"
				: "this machine's clock is behind the database's: commands are kept by the database's time, but tokens and certificates are judged by this clock",
			LOG_TEXT("this_clock", ahead_ms > 0 ? "ahead" : "behind"),
			LOG_INT("by_ms", llabs(ahead_ms)));
	} else if (watch->told_ahead_ms != 0 && llabs(ahead_ms) <= CLOCKS_AGREE_MS) {
		watch->told_ahead_ms = 0;
		log_info("clocks_agree", "this machine's clock agrees with the database's again");
	}
}

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int ping(struct store_watch *watch, struct store_client *client)
{
	const int64_t began_us = now_us();
	const int error = store_ping(client);
	if (error == 0)
		figures_observe(
			&watch->options.board->figures.store.latency, (uint64_t)(now_us() - began_us));
	return error;
}

static int ask(struct store_watch *watch, struct store_client *client)
{
	const int64_t asked_ms = clock_ms();
	const int error = watch->prepared ? ping(watch, client) : store_prepare(client);
	watch->prepared = watch->prepared || error == 0;
	if (error == 0)
		tell_clock(watch);
	else
		figures_add(&watch->options.board->figures.store.failed, 1);
	note_answer(watch, error, asked_ms);
	return error;
}

/* ---- The lease ---- */

/* Tells a change once, not at every question. Whose the lease is, is told by the loop. No answer is no refusal: either the next question is not
 * answered either, and the store is away, or the lease is taken anew before it ends. */
static void tell_lease(struct store_watch *watch, int error, const struct store_client *client)
{
	if (error == STORE_E_AWAY)
		return;
	if (error != 0 && !watch->told_refused)
		log_error("store_refuses_writes",
			"the store answers, but does not take the write that says which host is active: not ready",
			LOG_TEXT("reason", store_last_error(client)));
	else if (error == 0 && watch->told_refused)
		log_info("store_takes_writes", "the store takes writes again");
	watch->told_refused = error != 0;
}

/* Whether it is ours now. It counts from before it was asked for. A request that may have taken it without an answer, after ours was over, has as
 * well taken it from another host. */
static bool hold_lease(struct store_watch *watch, struct store_client *client, int64_t *ret_free_in_ms)
{
	const struct store_watch_options *options = &watch->options;
	const int64_t asked_ms = clock_ms();
	struct host_lease lease = {.ours = false};
	/* A short one lets a standby in soon, and ends at each stall of the database: without a standby there is nothing to gain by it. */
	const unsigned lease_ms = watch->awaited ? STORE_WATCH_AWAITED_MS : STORE_WATCH_LEASE_MS;
	const int error = host_lease_hold(client, options->host, options->owner, lease_ms, &lease);
	FIGURES_SET(options->board->figures.store.writable, error == 0);
	tell_lease(watch, error, client);
	if (error != 0) {
		watch->to_load = watch->to_load || asked_ms >= watch->ours_until_ms;
		return clock_ms() < watch->ours_until_ms;
	}
	*ret_free_in_ms = lease.free_in_ms;
	watch->to_load = watch->to_load || lease.taken || !lease.ours;
	watch->awaited = lease.awaited;
	watch->ours_until_ms = lease.ours ? asked_ms + lease_ms - MARGIN_MS : 0;
	return lease.ours;
}

/* ---- What is parked ---- */

/* The users of this host's lanes. Where it has none, those of whatever lane that are long overdue: seldom, but for as long as there are any. */
static int ask_due(struct store_watch *watch, struct store_client *client, struct turn *turn)
{
	const int64_t now_ms = clock_ms();
	const struct store_watch_options *options = &watch->options;
	int error = parked_commands_due(
		client, options->lanes, options->lane_count, 0, DUE_MAX, &turn->due, &turn->due_count);
	if (error != 0 || turn->due_count > 0 || now_ms < watch->overdue_at_ms)
		return error;
	parked_users_free(turn->due, turn->due_count);
	turn->due = NULL;
	error = parked_commands_due(client, NULL, 0, OVERDUE_MS, DUE_MAX, &turn->due, &turn->due_count);
	if (error == 0 && turn->due_count == 0)
		watch->overdue_at_ms = now_ms + OVERDUE_EVERY_MS;
	return error;
}

struct reading {
	struct store_backlogs *backlogs;
	size_t room;
	bool no_memory;
};

static void add_backlog(void *context, const char *user, int64_t due_in_ms)
{
	struct reading *reading = context;
	struct store_backlogs *backlogs = reading->backlogs;
	if (reading->no_memory)
		return;
	if (backlogs->count == reading->room) {
		const size_t room = reading->room > 0 ? 2 * reading->room : 16;
		struct store_backlog *grown = reallocarray(backlogs->backlogs, room, sizeof(*grown));
		if (!grown) {
			reading->no_memory = true;
			return;
		}
		backlogs->backlogs = grown;
		reading->room = room;
	}
	char *copy = strdup(user);
	if (!copy) {
		reading->no_memory = true;
		return;
	}
	backlogs->backlogs[backlogs->count++] = (struct store_backlog){.user = copy, .due_in_ms = due_in_ms};
}

static int read_lane(
	struct store_watch *watch, struct store_client *client, size_t lane, struct store_backlogs **ret)
{
	struct reading reading = {.backlogs = calloc(1, sizeof(*reading.backlogs))};
	if (!reading.backlogs)
		return -ENOMEM;
	reading.backlogs->lane = lane;
	int error = parked_commands_backlogs(client, watch->options.lanes[lane], watch->options.owner,
		add_backlog, &reading, &reading.backlogs->last_position);
	if (error == 0 && reading.no_memory)
		error = -ENOMEM;
	if (error != 0) {
		log_warn("parked_unknown", "what a lane has parked cannot be read: it does not connect",
			LOG_TEXT("client_id", watch->options.lanes[lane]),
			LOG_TEXT("reason", error > 0 ? store_last_error(client) : strerror(-error)));
		store_backlogs_free(reading.backlogs);
		return error;
	}
	*ret = reading.backlogs;
	return 0;
}

/* Of all lanes, or none. The group is noted before any lane connects, so that a later host knows of it. */
static int read_backlogs(struct store_watch *watch, struct store_client *client, struct turn *turn)
{
	const struct store_watch_options *options = &watch->options;
	struct store_backlogs **end = &turn->backlogs;
	int error = 0;
	for (size_t i = 0; i < options->lane_count && error == 0; i++) {
		error = read_lane(watch, client, i, end);
		end = error == 0 ? &(*end)->next : end;
	}
	if (error == 0)
		error = host_groups_note(client, options->host, options->group, &turn->backlogs->groups);
	watch->to_load = error != 0;
	if (error != 0) {
		store_backlogs_free(turn->backlogs);
		turn->backlogs = NULL;
	}
	return error;
}

/* ---- The thread ---- */

static void take_turn(struct store_watch *watch, struct store_client *client, struct turn *turn)
{
	turn->error = ask(watch, client);
	if (turn->error != 0) {
		FIGURES_SET(watch->options.board->figures.store.writable, false);
		return;
	}
	/* Its lease runs out then, for a host that may. */
	if (!rights_watch_ask(&watch->rights, client))
		return;
	turn->ours = hold_lease(watch, client, &turn->free_in_ms);
	if (!turn->ours) {
		schedule_watch_rest(watch->options.schedules);
		/* When the other's lease ends at the latest; it may be given up before. */
		turn->rest_ms = turn->free_in_ms > 0 && turn->free_in_ms < ASK_STANDBY_MS
					? (long)turn->free_in_ms
					: ASK_STANDBY_MS;
		return;
	}
	/* Before it is asked what is due: a run that is begun is among it. */
	turn->rest_ms = schedule_watch_turn(watch->options.schedules, client, ASK_UP_MS);
	turn->error = ask_due(watch, client, turn);
	if (turn->error == 0 && watch->to_load)
		turn->error = read_backlogs(watch, client, turn);
	/* What does not know its backlogs is not active yet. */
	turn->ours = !watch->to_load;
}

static void tell(struct store_watch *watch, int error, const struct store_client *client)
{
	if (error == 0) {
		log_info("store_up", "the store answers",
			LOG_TEXT("database", store_database_name(watch->options.store)));
		watch->told_away = false;
	} else if (!watch->told_away) {
		log_error("store_away",
			error == STORE_E_AWAY
				? "the store does not answer: commands stay with the broker, unacknowledged, until it does"
				: "the store answers, and cannot be used: commands stay with the broker, unacknowledged, until it can",
			LOG_TEXT("reason", store_last_error(client)));
		watch->told_away = true;
	}
}

/* Under the mutex. Wakes the I/O thread where there is something that it does not know. */
static void publish(struct store_watch *watch, const struct turn *turn, unsigned asked_for,
	const struct store_client *client)
{
	struct store_news *news = &watch->news;
	const bool ours = turn->error == 0 ? turn->ours : news->ours && clock_ms() < watch->ours_until_ms;
	bool wake = ours != news->ours || turn->due_count > 0 || turn->backlogs;
	if (asked_for == watch->suspicion &&
		(news->up != (turn->error == 0) || (turn->error != 0 && !watch->told_away))) {
		news->up = turn->error == 0;
		tell(watch, turn->error, client);
		wake = true;
	}
	news->ours = ours;
	news->ours_until_ms = watch->ours_until_ms;
	news->free_in_ms = turn->free_in_ms;
	parked_users_free(news->due, news->due_count);
	news->due = turn->due;
	news->due_count = turn->due_count;
	if (turn->backlogs) {
		store_backlogs_free(news->backlogs);
		news->backlogs = turn->backlogs;
	}
	if (wake)
		watch->options.wake(watch->options.context);
}

static void wait_ms(struct store_watch *watch, long ms, unsigned asked_for)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!watch->stopping && watch->suspicion == asked_for && !watch->load)
		if (pthread_cond_timedwait(&watch->changed, &watch->mutex, &until) == ETIMEDOUT)
			return;
}

/* Without the mutex. */
static void look_at_files(struct store_watch *watch, bool up)
{
	char message[STORE_MESSAGE_SIZE];
	if (watch->options.certificates)
		own_certificates_look(watch->options.certificates, clock_ms(), clock_unix_ms() / 1000);
	switch (store_renew(watch->options.store, up, message)) {
	case STORE_RENEWED:
		log_info("store_renewed",
			"the certificate files that MONGO_DB_URL names have been renewed: connections to the database are opened anew");
		break;
	case STORE_NOT_RENEWED:
		log_error("store_not_renewed",
			"the certificate files that MONGO_DB_URL names have been renewed, and the database does not answer with them: those of before "
			"stay in use, until this process ends",
			LOG_TEXT("reason", message));
		break;
	default: break;
	}
}

static void *run(void *argument)
{
	struct store_watch *watch = argument;
	pthread_mutex_lock(&watch->mutex);
	while (!watch->stopping) {
		const unsigned asked_for = watch->suspicion;
		struct turn turn = {.rest_ms = ASK_UP_MS};
		watch->to_load = watch->to_load || watch->load;
		watch->load = false;
		const bool up = watch->news.up;
		pthread_mutex_unlock(&watch->mutex);

		look_at_files(watch, up);
		struct store_client *client = store_acquire(watch->options.store);
		take_turn(watch, client, &turn);

		pthread_mutex_lock(&watch->mutex);
		publish(watch, &turn, asked_for, client);
		store_release(client);
		wait_ms(watch, turn.error != 0 ? ASK_AWAY_MS : turn.rest_ms, asked_for);
	}
	const bool release = watch->release && watch->ours_until_ms > 0 && watch->news.up;
	pthread_mutex_unlock(&watch->mutex);
	if (release) {
		struct store_client *client = store_acquire(watch->options.store);
		if (host_lease_release(client, watch->options.host, watch->options.owner) != 0)
			log_warn("lease_not_released",
				"the lease could not be given up: another host waits for its end",
				LOG_TEXT("reason", store_last_error(client)));
		store_release(client);
	}
	return NULL;
}

int store_watch_new(const struct store_watch_options *options, struct store_watch **ret)
{
	struct store_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->options = *options;
	watch->rights = (struct rights_watch){.needed = options->needed,
		.every_ms = options->try_every_ms > 0 ? options->try_every_ms : STORE_WATCH_TRY_MS,
		.figures = &options->board->figures};
	watch->to_load = true;
	pthread_mutex_init(&watch->mutex, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	const int error = pthread_create(&watch->thread, NULL, run, watch);
	if (error != 0) {
		pthread_mutex_destroy(&watch->mutex);
		pthread_cond_destroy(&watch->changed);
		free(watch);
		return -error;
	}
	*ret = watch;
	return 0;
}

void store_watch_free(struct store_watch *watch, bool release)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->mutex);
	watch->stopping = true;
	watch->release = release;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
	pthread_join(watch->thread, NULL);
	store_backlogs_free(watch->news.backlogs);
	parked_users_free(watch->news.due, watch->news.due_count);
	pthread_mutex_destroy(&watch->mutex);
	pthread_cond_destroy(&watch->changed);
	free(watch);
}

void store_watch_news(struct store_watch *watch, struct store_news *ret)
{
	pthread_mutex_lock(&watch->mutex);
	*ret = watch->news;
	watch->news.backlogs = NULL;
	watch->news.due = NULL;
	watch->news.due_count = 0;
	pthread_mutex_unlock(&watch->mutex);
}

void store_watch_load(struct store_watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->load = true;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
}

void store_watch_suspect(struct store_watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->news.up = false;
	watch->suspicion++;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
}
