/*
 * pages.c - see pages.h.
 */
#include "pages.h"

#include "board.h"
#include "clock.h"
#include "metrics.h"
#include "status.h"
#include "view.h"
#include <inttypes.h>

#define TEXT "text/plain; charset=utf-8"

static unsigned write_health(struct view *view, FILE *out)
{
	const int64_t silent_ms = clock_ms() - FIGURES_GET(view->turned_ms);
	if (silent_ms > PAGES_SUPERVISOR_MS) {
		fprintf(out, "the supervisor's loop has not turned for %" PRId64 " ms\n", silent_ms);
		return HTTP_UNAVAILABLE;
	}
	fputs("ok\n", out);
	return HTTP_OK;
}

static void write_connection(const struct figures_connection *connection, const char *name, FILE *out)
{
	const uint32_t state = FIGURES_GET(connection->state);
	if (FIGURES_GET(connection->standby))
		fprintf(out, "broker: %s: another host has the session: waiting as its standby\n", name);
	else if (state != FIGURES_CONNECTION_UP)
		fprintf(out, "broker: %s: not connected (%s)\n", name, figures_connection_state_name(state));
}

static void write_lane(const struct figures_lane *lane, FILE *out)
{
	const uint32_t filters = FIGURES_GET(lane->filters), granted = FIGURES_GET(lane->granted);
	if (!FIGURES_GET(lane->here))
		return;
	char name[FIGURES_NAME_SIZE + sizeof("lane ")];
	snprintf(name, sizeof(name), "lane %.*s", FIGURES_NAME_SIZE - 1, lane->name);
	write_connection(&lane->connection, name, out);
	if (FIGURES_GET(lane->connection.state) == FIGURES_CONNECTION_UP && granted != filters)
		fprintf(out, "broker: %s: %" PRIu32 " of %" PRIu32 " subscriptions granted\n", name, granted,
			filters);
}

static void write_store(const struct board *board, int64_t now_ms, FILE *out)
{
	const int64_t silent_ms = now_ms - FIGURES_GET(board->store_seen_ms);
	const char *refused = figures_refused_collection(&board->figures);
	if (!FIGURES_GET(board->figures.now.store_up) || silent_ms > PAGES_STORE_MS)
		fputs("store: it does not answer, or is no primary\n", out);
	else if (refused)
		fprintf(out, "store: it refuses this host the collection %s\n", refused);
	else if (!FIGURES_GET(board->figures.store.writable))
		fputs("store: it answers, but does not take writes\n", out);
}

void pages_why_not(const struct board *board, FILE *out)
{
	const struct figures *figures = &board->figures;
	const int64_t now_ms = clock_ms(), turned_at_ms = FIGURES_GET(figures->now.turned_ms);
	if (FIGURES_GET(figures->hosts.pid) == 0) {
		fputs("host: none is running\n", out);
		return;
	}
	/* 0: not once yet, and no time of this clock's, which began when the machine did. */
	if (atomic_load(&board->host_up) == 0 || turned_at_ms == 0) {
		fputs("host: it is starting\n", out);
		return;
	}
	if (now_ms - turned_at_ms > PAGES_HOST_MS)
		fprintf(out, "host: its I/O thread has not turned for %" PRId64 " ms\n",
			now_ms - turned_at_ms);
	if (FIGURES_GET(figures->now.stopping))
		fputs("host: it is stopping\n", out);
	write_connection(&figures->egress.connection, "egress", out);
	for (unsigned i = 0; i < figures_lane_count(figures); i++)
		write_lane(&figures->lanes[i], out);
	write_store(board, now_ms, out);
}

/* Ready is what nothing speaks against. */
static unsigned write_readiness(struct view *view, FILE *out)
{
	const long before = ftell(out);
	pages_why_not(view->board, out);
	if (ftell(out) != before)
		return HTTP_UNAVAILABLE;
	fputs("ready\n", out);
	return HTTP_OK;
}

const struct http_page pages_table[] = {
	{.path = "/metrics", .content_type = METRICS_CONTENT_TYPE, .write = metrics_write},
	{.path = "/healthz", .content_type = TEXT, .write = write_health},
	{.path = "/status", .content_type = STATUS_CONTENT_TYPE, .local_only = true, .write = status_write},
	{.path = "/readyz", .content_type = TEXT, .write = write_readiness},
	{.path = NULL},
};
