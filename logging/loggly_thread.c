/*
 * loggly_thread.c - the thread that makes events of lines and ships them. See loggly.h.
 *
 * A line's way: loggly_put() appends it to `incoming`; the thread swaps that with the emptied `taken`, makes
 * an event of each line in `building`, and hands that over when it is full or due: to `sending` where nothing
 * stands in front of it, else to the spool. `sending` is what a request is made of, whole or a part of it; it
 * comes from `building`, or it is the oldest segment of the spool, which is removed when all of it was taken.
 * After a failure what is in `sending` goes to the spool, unless it came from there or no disk takes it.
 */
#include "clock.h"
#include "log_spool_lines.h"
#include "loggly_private.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

enum {
	SLEEP_MAX_MS = 60000,
	RETRY_AFTER_MAX_MS = 3600 * 1000,
	PART_MIN = 1,
	TURN_BATCHES = 4,
};

/* ---- The spool ---- */

/* The account goes on in the spool's. */
static void move_account(struct loggly *l, struct log_account *to)
{
	pthread_mutex_lock(&l->lock);
	struct log_account *from = &l->own_account;
	account_add(&to->emitted, account_get(&from->emitted));
	account_add(&to->shipped, account_get(&from->shipped));
	account_add(&to->lost_memory, account_get(&from->lost_memory));
	account_add(&to->lost_disk, account_get(&from->lost_disk));
	account_add(&to->told, account_get(&from->told));
	l->account = to;
	pthread_mutex_unlock(&l->lock);
}

static void say_spool_failed(struct loggly *l, int error, int64_t now)
{
	l->spool_at_ms = now + l->options.disk_ms;
	if (l->spool_said)
		return;
	l->spool_said = true;
	log_warn("log_spool_failed",
		"the log's spool cannot be used: what cannot be shipped stays in memory, as long as there is room",
		LOG_TEXT("folder", l->spool_folder),
		LOG_TEXT("reason",
			error == LOG_SPOOL_E_LOCKED ? "another process uses it"
			: error == LOG_SPOOL_E_FOREIGN
				? "others can write to it, or own it, or it is a link: expected a folder of cashewd's user alone (chmod 700)"
				: strerror(-error)));
}

static void open_spool(struct loggly *l, int64_t now)
{
	if (!l->spool_folder || l->spool || now < l->spool_at_ms)
		return;
	const int error = log_spool_open(&l->spool_options, &l->spool);
	if (error != 0) {
		say_spool_failed(l, error, now);
		return;
	}
	l->spool_said = false;
	move_account(l, log_spool_account(l->spool));
}

/* Whether the lines are in the spool now. */
static bool spool_lines(struct loggly *l, const char *lines, size_t size, int64_t now)
{
	if (!l->spool || now < l->spool_at_ms)
		return false;
	const int error = log_spool_append(l->spool, lines, size);
	if (error != 0)
		say_spool_failed(l, error, now);
	else
		l->spool_said = false;
	return error == 0;
}

/* ---- Making events ---- */

static bool is_closing(struct loggly *l)
{
	pthread_mutex_lock(&l->lock);
	const bool closing = l->closing;
	pthread_mutex_unlock(&l->lock);
	return closing;
}

/* Whether there are lines in `taken`. */
static bool take(struct loggly *l)
{
	if (l->taken_at < l->taken.size)
		return true;
	pthread_mutex_lock(&l->lock);
	const struct lines full = l->incoming;
	l->incoming = (struct lines){.bytes = l->taken.bytes};
	pthread_mutex_unlock(&l->lock);
	l->taken = full;
	l->taken_at = 0;
	return full.size > 0;
}

static bool spool_waits(const struct loggly *l)
{
	return l->spool && !log_spool_is_empty(l->spool);
}

/* Whether what was built is somewhere else now. */
static bool hand_over(struct loggly *l, int64_t now)
{
	l->handed_over++;
	if (!l->sending.bytes && !spool_waits(l) && now >= l->retry_at_ms) {
		l->sending = l->building;
		l->sent = 0;
		l->from_spool = false;
		l->building = (struct lines){.bytes = NULL};
		return true;
	}
	if (!spool_lines(l, l->building.bytes, l->building.size, now))
		return false;
	l->building.size = 0;
	return true;
}

/* Makes an event of the next line; false: there is no room for it, and it stays. */
static bool build(struct loggly *l, int64_t now)
{
	if (!l->building.bytes) {
		l->building = (struct lines){.bytes = malloc(l->options.batch_size + LOGGLY_EVENT_MAX)};
		if (!l->building.bytes)
			return false;
	}
	const char *line = l->taken.bytes + l->taken_at;
	const size_t size = (size_t)((const char *)memchr(line, '\n', l->taken.size - l->taken_at) - line);
	const size_t event =
		loggly_event_make(&l->source, l->number, line, size, l->building.bytes + l->building.size);
	if (l->building.size > 0 && l->building.size + event > l->options.batch_size)
		return hand_over(l, now);
	if (l->building.size == 0)
		l->building_due_ms = now + l->options.batch_ms;
	l->building.size += event;
	l->number++;
	l->taken_at += size + 1;
	return true;
}

/* Makes events of what came, but not for ever where lines come faster than they go; true: there is more. */
static bool collect(struct loggly *l, int64_t now, bool at_once)
{
	for (l->handed_over = 0; take(l) && build(l, now);)
		if (l->handed_over >= TURN_BATCHES)
			return true;
	if (l->building.size > 0 && (at_once || now >= l->building_due_ms))
		(void)hand_over(l, now);
	return false;
}

/* ---- Shipping ---- */

static void forget_sending(struct loggly *l)
{
	free(l->sending.bytes);
	l->sending = (struct lines){.bytes = NULL};
	l->sent = l->part = 0;
	l->from_spool = false;
}

/* What was sent of it is dealt with; the account has it in `as`. */
static void end_sending(struct loggly *l, _Atomic uint64_t *as)
{
	const uint64_t events = log_spool_lines_count(l->sending.bytes, l->sending.size);
	if (l->from_spool)
		log_spool_remove(l->spool);
	if (as)
		account_add(as, events);
	forget_sending(l);
}

/* What could not be sent waits, in the spool once that takes it. */
static void put_back(struct loggly *l, int64_t now)
{
	if (!l->sending.bytes || l->from_spool || l->sent > 0 || l->under_way || now >= l->retry_at_ms)
		return;
	if (spool_lines(l, l->sending.bytes, l->sending.size, now))
		forget_sending(l);
}

static void begin(struct loggly *l, int64_t now)
{
	if (l->under_way || now < l->retry_at_ms)
		return;
	if (!l->sending.bytes && l->spool && now >= l->spool_at_ms) {
		const int error = log_spool_load(l->spool, &l->sending.bytes, &l->sending.size);
		if (error < 0)
			say_spool_failed(l, error, now);
		l->from_spool = error == 0;
		l->sent = 0;
	}
	if (!l->sending.bytes)
		return;
	l->part = loggly_part(l->sending.bytes + l->sent, l->sending.size - l->sent, l->part_max);
	l->under_way = loggly_http_start(l->http, l->sending.bytes + l->sent, l->part) == 0;
	if (!l->under_way)
		l->retry_at_ms = now + l->options.retry_first_ms;
}

static void taken_by_loggly(struct loggly *l)
{
	l->failures = 0;
	l->told_when = false;
	l->sent += l->part;
	/* After a 413 back to whole batches, step by step. */
	l->part_max = l->part_max < l->options.batch_size / 2 ? 2 * l->part_max : l->options.batch_size;
	if (l->sent == l->sending.size)
		end_sending(l, &l->account->shipped);
	if (l->health == HEALTH_GOOD)
		return;
	l->health = HEALTH_GOOD;
	log_info("loggly_back", "the log is shipped again",
		LOG_INT("spooled", account_get(&l->account->spooled)));
}

/* Loggly will never take it. */
static void set_aside(struct loggly *l, const struct loggly_answer *answer)
{
	const char *lines = l->sending.bytes + l->sent;
	/* Too large: that one event; bad: all that was sent, and what stands behind it is tried. */
	const uint64_t events = log_spool_lines_count(lines, l->part);
	const bool kept = l->spool && log_spool_set_aside(l->spool, lines, l->part) == 0;
	log_error("loggly_set_aside", "Loggly refused events, which are set aside and not sent again",
		LOG_INT("events", events), LOG_TEXT("kept", kept ? "yes" : "no"),
		LOG_TEXT("folder", kept ? l->spool_folder : NULL), LOG_TEXT("reason", answer->reason));
	const size_t end = l->sent + l->part;
	if (l->sent == 0 && end == l->sending.size) {
		end_sending(l, kept ? NULL : &l->account->lost_disk);
		return;
	}
	/* A part of it: the account gets the rest when that is done. */
	memmove(l->sending.bytes + l->sent, l->sending.bytes + end, l->sending.size - end);
	l->sending.size -= l->part;
	if (!kept)
		account_add(&l->account->lost_disk, events);
	if (l->sent == l->sending.size)
		end_sending(l, &l->account->shipped);
}

static void try_later(struct loggly *l, const struct loggly_answer *answer, int64_t now)
{
	l->failures++;
	int64_t pause = loggly_pause_ms(
		l->failures, l->options.retry_first_ms, l->options.retry_max_ms, loggly_random());
	l->told_when = answer->retry_after_ms > pause;
	if (l->told_when)
		pause = answer->retry_after_ms < RETRY_AFTER_MAX_MS ? answer->retry_after_ms
								    : RETRY_AFTER_MAX_MS;
	l->retry_at_ms = now + pause;
	if (l->health != HEALTH_GOOD)
		return;
	l->health = HEALTH_AWAY;
	log_warn("loggly_away", "the log cannot be shipped now: it is kept and tried again",
		LOG_TEXT("reason", answer->reason), LOG_INT("pause_ms", pause));
}

static void refused(struct loggly *l, const struct loggly_answer *answer, int64_t now)
{
	l->retry_at_ms = now + l->options.pause_ms;
	if (l->health == HEALTH_REFUSED)
		return;
	l->health = HEALTH_REFUSED;
	log_error("loggly_refused",
		"Loggly refuses the log: check LOGGLY_TOKEN and LOGGLY_URL; it is kept and tried again",
		LOG_TEXT("reason", answer->reason), LOG_INT("pause_ms", l->options.pause_ms));
}

static void handle_answer(struct loggly *l, const struct loggly_answer *answer, int64_t now)
{
	const char *sent = l->sending.bytes + l->sent;
	l->under_way = false;
	switch (answer->kind) {
	case LOGGLY_TAKEN: taken_by_loggly(l); break;
	case LOGGLY_LATER: try_later(l, answer, now); break;
	case LOGGLY_BAD: set_aside(l, answer); break;
	case LOGGLY_FORBIDDEN: refused(l, answer, now); break;
	case LOGGLY_TOO_LARGE:
		if (log_spool_lines_count(sent, l->part) <= 1)
			set_aside(l, answer);
		else
			l->part_max = l->part / 2 > PART_MIN ? l->part / 2 : PART_MIN;
		break;
	}
}

/* ---- The thread ---- */

static void tell_lost(struct loggly *l, int64_t now)
{
	struct log_account *account = l->account;
	const uint64_t all = account_lost(account), told = account_get(&account->told);
	if (all == told || now < l->tell_at_ms)
		return;
	l->tell_at_ms = now + l->options.tell_ms;
	/* Not where it would be lost itself; and what closes leaves it to the next run. */
	pthread_mutex_lock(&l->lock);
	const bool taken = !l->closing && l->incoming.size < l->options.memory / 4;
	pthread_mutex_unlock(&l->lock);
	if (!taken)
		return;
	atomic_store_explicit(&account->told, all, memory_order_relaxed);
	log_warn("loggly_lost", "events of the log were lost on their way to Loggly",
		LOG_INT("events", all - told), LOG_INT("events_total", all),
		LOG_INT("no_memory_total", account_get(&account->lost_memory)),
		LOG_INT("spool_full_total", account_get(&account->lost_spool)),
		LOG_INT("disk_total", account_get(&account->lost_disk)),
		LOG_INT("killed_total", account_get(&account->lost_killed)));
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until when nothing is to be done, and at how many bytes of lines the thread wants to be woken before. */
static int64_t sleep_until(struct loggly *l, int64_t now, size_t *ret_wake_at)
{
	int64_t until = now + SLEEP_MAX_MS;
	const bool blocked = l->taken_at < l->taken.size;
	const bool is_building = l->building.size > 0;
	const bool spool_works = l->spool && now >= l->spool_at_ms;
	if (is_building && l->building_due_ms > now)
		until = sooner(until, l->building_due_ms);
	if (!l->under_way && (l->sending.bytes || (spool_works ? spool_waits(l) : is_building || blocked)))
		until = sooner(until, l->retry_at_ms);
	if (l->spool_folder && !spool_works)
		until = sooner(until, l->spool_at_ms);
	if (account_get(&l->account->told) != account_lost(l->account))
		until = sooner(until, l->tell_at_ms);
	*ret_wake_at = blocked ? SIZE_MAX : l->building.size > 0 ? l->options.memory / 8 : 1;
	return until;
}

static void rest(struct loggly *l, int64_t now, bool more)
{
	size_t wake_at;
	int64_t until = more ? now : sleep_until(l, now, &wake_at);
	if (more)
		wake_at = SIZE_MAX;
	const uint64_t spool_bytes = l->spool ? log_spool_bytes(l->spool) : 0;
	pthread_mutex_lock(&l->lock);
	l->spool_bytes = spool_bytes;
	if (l->closing)
		until = sooner(until, l->deadline_ms);
	if (l->incoming.size >= wake_at)
		until = now;
	l->wake_at = wake_at;
	pthread_mutex_unlock(&l->lock);
	loggly_http_wait(l->http, until > now ? (unsigned)(until - now) : 0);
	pthread_mutex_lock(&l->lock);
	l->wake_at = 0;
	pthread_mutex_unlock(&l->lock);
}

/* Whether the thread is to end: all is shipped, there is no more time, or Loggly does not take it. */
static bool may_end(struct loggly *l, int64_t now)
{
	if (!is_closing(l))
		return false;
	if (!l->last_try) {
		/* Whatever it waits for: once more, now. Not where Loggly has said when, or no. */
		l->last_try = true;
		if (l->health != HEALTH_REFUSED && !l->told_when)
			l->retry_at_ms = now;
	}
	if (now >= l->deadline_ms)
		return true;
	if (l->under_way)
		return false;
	if (now < l->retry_at_ms)
		return true;
	if (collect(l, now, true))
		return false;
	return !l->sending.bytes && !spool_waits(l) && l->building.size == 0;
}

/* What is left goes to the spool, or is lost. */
static void put_away(struct loggly *l)
{
	const int64_t now = clock_ms();
	loggly_http_drop(l->http);
	l->retry_at_ms = INT64_MAX;
	l->spool_at_ms = 0;
	open_spool(l, now);
	l->spool_at_ms = 0;
	if (l->sending.bytes && l->from_spool) {
		log_spool_unload(l->spool);
		forget_sending(l);
	} else if (l->sending.bytes) {
		/* All of it, if only a part was taken: their ids tell those apart that come twice. */
		if (spool_lines(l, l->sending.bytes, l->sending.size, now))
			forget_sending(l);
		else
			end_sending(l, &l->account->lost_disk);
	}
	while (collect(l, now, true))
		continue;
	account_add(&l->account->lost_disk, log_spool_lines_count(l->building.bytes, l->building.size));
	account_add(&l->account->lost_disk,
		log_spool_lines_count(l->taken.bytes + l->taken_at, l->taken.size - l->taken_at));
	l->taken_at = l->taken.size;
	if (take(l))
		account_add(&l->account->lost_disk, log_spool_lines_count(l->taken.bytes, l->taken.size));
	l->taken_at = l->taken.size;
	l->building.size = 0;
}

void *loggly_thread(void *argument)
{
	struct loggly *l = argument;
	for (int64_t now = clock_ms(); !may_end(l, now); now = clock_ms()) {
		struct loggly_answer answer;
		open_spool(l, now);
		put_back(l, now);
		const bool more = collect(l, now, false);
		begin(l, now);
		tell_lost(l, now);
		rest(l, now, more);
		if (l->under_way && loggly_http_answer(l->http, &answer))
			handle_answer(l, &answer, clock_ms());
	}
	put_away(l);
	return NULL;
}
