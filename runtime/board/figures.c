/*
 * figures.c - see figures.h.
 */
#include "figures.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct figures_runs) % 64 == 0, "threads do not share a cache line");

const uint32_t figures_bounds_us[FIGURES_BOUNDS] = {10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000,
	50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000};

/* ---- Writing ---- */

static void copy_name(char ret[static FIGURES_NAME_SIZE], const char *name)
{
	const size_t size = strnlen(name, FIGURES_NAME_SIZE - 1);
	memcpy(ret, name, size);
	ret[size] = '\0';
}

static bool is_named(const char own[static FIGURES_NAME_SIZE], const char *name)
{
	return strncmp(own, name, FIGURES_NAME_SIZE - 1) == 0;
}

/* The texts of places lie `stride` bytes apart. A place is seen only when its name is written. */
static unsigned place(char *names, size_t stride, _Atomic uint32_t *count, unsigned max, const char *name)
{
	const unsigned used = atomic_load_explicit(count, memory_order_relaxed);
	for (unsigned i = 0; i < used && i < max; i++)
		if (is_named(names + i * stride, name))
			return i;
	if (used >= max)
		return max - 1;
	copy_name(names + used * stride, used < max - 1 ? name : FIGURES_OTHERS);
	atomic_store_explicit(count, used + 1, memory_order_release);
	return used;
}

unsigned figures_handler_place(struct figures *figures, const char *name)
{
	const unsigned index = place(figures->handlers[0].name, sizeof(figures->handlers[0]),
		&figures->handler_count, FIGURES_HANDLERS, name);
	FIGURES_SET(figures->handlers[index].here, true);
	return index;
}

unsigned figures_lane_place(struct figures *figures, const char *name)
{
	const unsigned index = place(
		figures->lanes[0].name, sizeof(figures->lanes[0]), &figures->lane_count, FIGURES_LANES, name);
	FIGURES_SET(figures->lanes[index].here, true);
	return index;
}

unsigned figures_schedule_place(struct figures *figures, const char *name)
{
	return place(figures->schedules[0].name, sizeof(figures->schedules[0]), &figures->schedule_count,
		FIGURES_SCHEDULES, name);
}

void figures_up(struct figures_connection *connection, int64_t now_ms)
{
	FIGURES_SET(connection->since_ms, now_ms);
	FIGURES_SET(connection->standby, false);
	figures_add(&connection->opened, 1);
}

void figures_down(struct figures_connection *connection, bool was_up, bool taken_over)
{
	FIGURES_SET(connection->since_ms, 0);
	FIGURES_SET(connection->standby, taken_over);
	figures_add(&connection->lost, was_up);
}

void figures_use_rows(struct figures *figures, unsigned rows)
{
	if (rows > FIGURES_GET(figures->rows))
		FIGURES_SET(figures->rows, rows);
}

bool figures_standby(const struct figures *figures)
{
	for (unsigned i = 0; i < figures_lane_count(figures); i++)
		if (FIGURES_GET(figures->lanes[i].connection.standby))
			return true;
	return false;
}

static void clear_connection(struct figures_connection *connection)
{
	FIGURES_SET(connection->state, 0);
	FIGURES_SET(connection->standby, false);
	FIGURES_SET(connection->since_ms, 0);
}

static void clear_lane(struct figures_lane *lane)
{
	clear_connection(&lane->connection);
	FIGURES_SET(lane->here, false);
	FIGURES_SET(lane->filters, 0);
	FIGURES_SET(lane->granted, 0);
	FIGURES_SET(lane->held, 0);
	FIGURES_SET(lane->unsettled, 0);
	FIGURES_SET(lane->oldest_ms, 0);
}

void figures_need_collection(struct figures *figures, size_t i, const char *name)
{
	if (i >= FIGURES_COLLECTIONS)
		return;
	snprintf(figures->store.needed[i], FIGURES_NAME_SIZE, "%s", name);
}

void figures_refuse_collection(struct figures *figures, size_t i)
{
	atomic_store_explicit(
		&figures->store.refused, i < FIGURES_COLLECTIONS ? (uint32_t)i + 1 : 0, memory_order_release);
}

void figures_clear_host(struct figures *figures)
{
	struct figures_now *now = &figures->now;
	for (unsigned i = 0; i < figures_handler_count(figures); i++)
		FIGURES_SET(figures->handlers[i].here, false);
	for (unsigned i = 0; i < figures_lane_count(figures); i++)
		clear_lane(&figures->lanes[i]);
	clear_connection(&figures->egress.connection);
	FIGURES_SET(figures->egress.unsent, 0);
	FIGURES_SET(figures->egress.awaiting, 0);
	FIGURES_SET(now->turned_ms, 0);
	FIGURES_SET(now->commands, 0);
	FIGURES_SET(now->jobs, 0);
	FIGURES_SET(now->parked, 0);
	FIGURES_SET(now->backlogs, 0);
	FIGURES_SET(now->workers, 0);
	FIGURES_SET(now->store_up, false);
	FIGURES_SET(now->ready, false);
	FIGURES_SET(now->stopping, false);
	FIGURES_SET(figures->store.writable, false);
	FIGURES_SET(figures->store.refused, 0);
	for (unsigned i = 0; i < figures_schedule_count(figures); i++) {
		FIGURES_SET(figures->schedules[i].here, false);
		FIGURES_SET(figures->schedules[i].overdue_ms, 0);
	}
}

/* ---- Reading ---- */

void figures_read_times(const struct figures_histogram *histogram, struct figures_times *ret)
{
	struct figures_times times = {.sum_us = FIGURES_GET(histogram->sum_us)};
	for (unsigned i = 0; i <= FIGURES_BOUNDS; i++) {
		times.counts[i] = FIGURES_GET(histogram->counts[i]);
		times.count += times.counts[i];
	}
	*ret = times;
}

void figures_read_runs(const struct figures *figures, unsigned handler, struct figures_run_sum *ret)
{
	struct figures_run_sum sum = {.ends = {0}};
	unsigned rows = FIGURES_GET(figures->rows);
	if (rows > FIGURES_SLOTS)
		rows = FIGURES_SLOTS;
	for (unsigned row = 0; row < rows; row++) {
		const struct figures_runs *runs = &figures->runs[row][handler];
		struct figures_times times;
		figures_read_times(&runs->durations, &times);
		for (unsigned i = 0; i <= FIGURES_BOUNDS; i++)
			sum.durations.counts[i] += times.counts[i];
		sum.durations.sum_us += times.sum_us;
		sum.durations.count += times.count;
		for (unsigned i = 0; i < FIGURES_ENDS; i++)
			sum.ends[i] += FIGURES_GET(runs->ends[i]);
	}
	*ret = sum;
}

static unsigned count_of(const _Atomic uint32_t *count, unsigned max)
{
	const unsigned used = atomic_load_explicit(count, memory_order_acquire);
	return used < max ? used : max;
}

unsigned figures_handler_count(const struct figures *figures)
{
	return count_of(&figures->handler_count, FIGURES_HANDLERS);
}

unsigned figures_lane_count(const struct figures *figures)
{
	return count_of(&figures->lane_count, FIGURES_LANES);
}

unsigned figures_schedule_count(const struct figures *figures)
{
	return count_of(&figures->schedule_count, FIGURES_SCHEDULES);
}

const char *figures_schedule_end_name(uint32_t end)
{
	static const char *const names[] = {"none", "done", "dead"};
	return end < sizeof(names) / sizeof(names[0]) ? names[end] : "?";
}

int figures_handler_find(const struct figures *figures, const char *name)
{
	const unsigned count = figures_handler_count(figures);
	for (unsigned i = 0; i < count; i++)
		if (is_named(figures->handlers[i].name, name))
			return (int)i;
	return -1;
}

const char *figures_refused_collection(const struct figures *figures)
{
	const uint32_t number = atomic_load_explicit(&figures->store.refused, memory_order_acquire);
	if (number == 0 || number > FIGURES_COLLECTIONS)
		return NULL;
	const char *name = figures->store.needed[number - 1];
	return memchr(name, '\0', FIGURES_NAME_SIZE) ? name : FIGURES_OTHERS;
}

const char *figures_connection_state_name(uint32_t state)
{
	static const char *const names[FIGURES_CONNECTION_STATES] = {
		"idle", "waiting", "opening", "up", "closing"};
	return state < FIGURES_CONNECTION_STATES ? names[state] : "?";
}

double figures_quantile_us(const struct figures_times *times, double share)
{
	const double rank = share * (double)times->count;
	double before = 0, lower = 0;
	for (unsigned i = 0; i < FIGURES_BOUNDS; i++) {
		const double here = (double)times->counts[i], upper = figures_bounds_us[i];
		if (here > 0 && before + here >= rank)
			return lower + (upper - lower) * (rank > before ? rank - before : 0) / here;
		before += here;
		lower = upper;
	}
	return times->count > 0 ? lower : 0;
}
