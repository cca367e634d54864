/*
 * service.c - see service.h.
 */
#include "service.h"

#include "board.h"
#include "clock.h"
#include "log.h"
#include "pages.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MESSAGE_SIZE = SERVICE_STATUS_SIZE + 128,
	REASONS_SIZE = SERVICE_STATUS_SIZE - 128, /* other words come before them */
	CLOSING_MS = 5000,			  /* after the host: the log is written and shipped */
};

/* Whether it was taken. */
static bool tell(struct service *service, const char *lines)
{
	const int error = notify_send(&service->notify, lines);
	if (error != 0 && !service->complained) {
		service->complained = true;
		log_warn("notify_failed",
			"the service manager does not take what it is told: it is told again",
			LOG_TEXT("reason", strerror(-error)));
	}
	return error == 0;
}

void service_open(struct service *service, const struct board *board, int64_t now_ms)
{
	*service = (struct service){.board = board};
	const int error = notify_open(&service->notify);
	if (error == NOTIFY_E_WATCHDOG)
		log_warn("notify_failed",
			"WATCHDOG_USEC or WATCHDOG_PID is no number: the service manager's watchdog is not fed");
	else if (error != 0)
		log_warn("notify_failed", "the service manager cannot be told how this program stands",
			LOG_TEXT("reason",
				error == NOTIFY_E_ADDRESS
					? "NOTIFY_SOCKET is neither an absolute path nor @ and a name"
					: strerror(-error)));
	service->feed_at_ms = service->notify.feed_ms > 0 ? now_ms : INT64_MAX;
}

void service_close(struct service *service)
{
	notify_close(&service->notify);
}

/* ---- What is told ---- */

/* RELOADING=1 needs the time of the monotonic clock beside it (sd_notify(3), Type=notify-reload). */
static void tell_reloading(struct service *service)
{
	char lines[MESSAGE_SIZE];
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	service->reloading_told = tell(service, lines);
}

void service_reloading(struct service *service)
{
	/* While it starts nothing is waited for but READY=1. */
	if (!service->started || service->stopping)
		return;
	if (!service->reloading)
		service->pid_before = FIGURES_GET(service->board->figures.hosts.pid);
	service->reloading = true;
	service->not_reloaded = false;
	tell_reloading(service);
}

static void tell_stopping(struct service *service)
{
	char lines[MESSAGE_SIZE];
	snprintf(lines, sizeof(lines), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\nSTATUS=%s",
		(service->stop_limit_ms + CLOSING_MS) * 1000, "stopping: what runs is brought to its end");
	service->stopping_told = tell(service, lines);
}

void service_stopping(struct service *service, int64_t limit_ms)
{
	service->stopping = true;
	service->reloading = false;
	service->stop_limit_ms = limit_ms;
	tell_stopping(service);
}

/* One that was not taken is due again after half of the time: the manager waits for twice that. */
void service_feed(struct service *service, int64_t now_ms)
{
	if (now_ms < service->feed_at_ms)
		return;
	const int64_t feed_ms = service->notify.feed_ms;
	service->feed_at_ms = now_ms + (tell(service, "WATCHDOG=1") ? feed_ms : feed_ms / 2 + 1);
}

int64_t service_due_ms(const struct service *service)
{
	return service->feed_at_ms;
}

/* ---- Words ---- */

/* The reasons of /readyz in one line: "store: it does not answer; broker: egress: not connected (opening)". Whether there is none. */
static bool read_reasons(const struct service *service, char ret[static REASONS_SIZE])
{
	char *lines = NULL;
	size_t size;
	FILE *out = open_memstream(&lines, &size);
	snprintf(ret, REASONS_SIZE, "out of memory");
	if (!out)
		return false;
	pages_why_not(service->board, out);
	const bool good = fclose(out) == 0;
	if (good)
		ret[0] = '\0';
	size_t at = 0;
	char *rest = lines;
	for (char *line; good && (line = strsep(&rest, "\n")) && at < REASONS_SIZE;)
		if (line[0] != '\0')
			at += (size_t)snprintf(ret + at, REASONS_SIZE - at, "%s%s", at > 0 ? "; " : "", line);
	free(lines);
	return good && at == 0;
}

/* What people read in `systemctl status`. Whether commands are taken now. */
static bool describe(const struct service *service, enum child_state state, bool stands_by,
	char ret[static SERVICE_STATUS_SIZE])
{
	char reasons[REASONS_SIZE];
	const bool takes = read_reasons(service, reasons) && state == CHILD_RUNNING;
	const char *before = service->reloading ? "reading the settings again; "
			     : service->not_reloaded
				     ? "the last reload failed, see reload_failed in the log; "
				     : "";
	if (takes)
		snprintf(ret, SERVICE_STATUS_SIZE, "%sready", before);
	else if (stands_by)
		snprintf(ret, SERVICE_STATUS_SIZE, "%sstandby: another host is active under this client id",
			before);
	else
		snprintf(ret, SERVICE_STATUS_SIZE, "%snot ready: %s", before,
			reasons[0] != '\0'	   ? reasons
			: state == CHILD_REPLACING ? "host: a fresh one follows"
						   : "host: it is starting");
	return takes;
}

/* Whether the reload has come to its end. The host that was there before it is there only where it failed. */
static bool has_reloaded(struct service *service, bool ready)
{
	service->not_reloaded = FIGURES_GET(service->board->figures.hosts.pid) == service->pid_before;
	return ready || service->not_reloaded;
}

/* READY=1 where it is due, and what is new in words. */
static void tell_state(struct service *service, enum child_state state, bool trying)
{
	const bool running = state == CHILD_RUNNING;
	const bool stands_by = running && figures_standby(&service->board->figures);
	char status[SERVICE_STATUS_SIZE], lines[MESSAGE_SIZE];
	const bool ready = describe(service, state, stands_by, status) || stands_by;
	const bool reloading = service->reloading;
	const bool reloaded =
		reloading && service->reloading_told && !trying && running && has_reloaded(service, ready);
	const bool due = reloaded || (ready && !service->started);
	service->reloading = reloading && !reloaded;
	if (reloaded)
		(void)describe(service, state, stands_by, status);
	if (!due && strcmp(status, service->status) == 0)
		return;
	snprintf(lines, sizeof(lines), "%sSTATUS=%s", due ? "READY=1\n" : "", status);
	if (!tell(service, lines)) {
		service->reloading = reloading;
		return;
	}
	service->started |= due;
	strcpy(service->status, status);
}

void service_look(struct service *service, enum child_state state, bool trying)
{
	if (service->notify.fd < 0)
		return;
	if (service->reloading && !service->reloading_told)
		tell_reloading(service);
	if (!service->stopping)
		tell_state(service, state, trying);
	else if (!service->stopping_told)
		tell_stopping(service);
}
