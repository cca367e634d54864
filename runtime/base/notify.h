/*
 * notify.h - tells the service manager (systemd, or what speaks its protocol) how the program stands: sd_notify(3), without libsystemd.
 *
 * Happy path: notify_open() finds the manager's socket in NOTIFY_SOCKET, notify_send() gives it one datagram of NAME=value lines. Where nobody has
 * set that variable there is nobody to tell, and all calls do nothing. Failure modes: an address of another kind than those below is a condition; a
 * manager that has gone, or does not read, is an error of the one call, which never waits.
 *
 * The protocol is a datagram, promised to stay as it is, and written down so that programs need no library for it; libsystemd would bring six more
 * libraries into the process that must not die.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody is to be told */
	struct sockaddr_un address;
	socklen_t size;
	int64_t feed_ms; /* how often the manager wants to hear WATCHDOG=1, twice as often as it must; 0: not at all */
};

enum notify_error {
	NOTIFY_E_ADDRESS =
		1, /* NOTIFY_SOCKET is neither an absolute path nor @ and an abstract name (unix(7)), or is too long */
	NOTIFY_E_WATCHDOG, /* WATCHDOG_USEC or WATCHDOG_PID is no number */
};

/*
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child believes them its own, and opens a socket. A watchdog
 * is only this process's where WATCHDOG_PID names it or is not set (sd_watchdog_enabled(3)). 0 and *ret, to be closed by notify_close(), also where
 * there is nobody to tell; NOTIFY_E_... or a negative errno, and *ret then tells nobody (NOTIFY_E_WATCHDOG: it only has no watchdog). Main thread,
 * before there are threads that read the environment.
 */
__attribute__((warn_unused_result)) int notify_open(struct notify *ret);

/* Where nobody is to be told: fine. */
void notify_close(struct notify *notify);

/* Sends lines NAME=value, each but the last with a line end behind it. 0, also where nobody is to be told; a negative errno. Does not wait. */
__attribute__((warn_unused_result)) int notify_send(const struct notify *notify, const char *lines);

#endif
