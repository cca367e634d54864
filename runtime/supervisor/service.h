/*
 * service.h - what the service manager is told of this program, and when: systemd's Type=notify (notify.h is the way to it).
 *
 * Happy path: READY=1 when a host takes commands, which is when /readyz says so, or stands by for another one; STATUS= in words whenever they change;
 * RELOADING=1 at SIGHUP, and READY=1 when its end is known; STOPPING=1 when the end is wanted; WATCHDOG=1 as long as the supervisor's loop turns.
 * Later troubles take nothing back: they stand in STATUS. Failure modes: a manager that does not take what it is told is told again at the next look;
 * the log says so once. Without a manager nothing happens. The supervisor's main thread alone.
 *
 * A standby is a service that does what it is there for; if it were none before it is active, the machine would not come to the end of its start.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "child.h"
#include "notify.h"
#include <stdbool.h>
#include <stdint.h>

struct board;

enum { SERVICE_STATUS_SIZE = 512 };

struct service {
	struct notify notify;
	const struct board *board;
	bool started;	     /* READY=1 was taken once */
	bool reloading;	     /* since SIGHUP */
	bool reloading_told; /* RELOADING=1 was taken */
	bool not_reloaded;   /* the last reload left the host as it was */
	bool stopping;
	bool stopping_told;
	bool complained;    /* what was told was not taken, and the log says so */
	int32_t pid_before; /* the host's, at SIGHUP */
	int64_t stop_limit_ms;
	int64_t feed_at_ms;		  /* INT64_MAX: there is no watchdog */
	char status[SERVICE_STATUS_SIZE]; /* taken last */
};

/* The board outlives the service. Says in the log what is wrong with the environment. */
void service_open(struct service *service, const struct board *board, int64_t now_ms);
void service_close(struct service *service);

/* SIGHUP has come: the settings are being read again. */
void service_reloading(struct service *service);

/* SIGTERM has come; the end takes limit_ms at most, which the manager is asked to wait for (EXTEND_TIMEOUT_USEC). */
void service_stopping(struct service *service, int64_t limit_ms);

/* The loop has turned. */
void service_feed(struct service *service, int64_t now_ms);

/* When the loop is to turn again at the latest, for the watchdog; INT64_MAX: it need not. */
int64_t service_due_ms(const struct service *service);

/* Twice a second: tells what is new. state: the host's; trying: new settings are being tried out. */
void service_look(struct service *service, enum child_state state, bool trying);

#endif
