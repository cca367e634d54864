/*
 * account.h - what a host says of itself as it stops, and the gates of the handlers test_gate and
 * test_gate_lane.
 *
 * Both are read from the host's folder: the account from the record "stopped" in its log, a gate's runs from
 * the file that the handler writes to (GATE_FOLDER is "." where a test does not set it).
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "harness.h"

/* Commands since the start, by their end; see "stopped" in runtime/host/run.c. */
struct account {
	size_t done, rejected, dead, parked, left_to_the_broker, joined, retained_ignored, qos0;
};

/* Of the host's stop that was not asked for yet; waits for the record. */
#define account_read(host) account_read_at(__FILE__, __LINE__, host)
struct account account_read_at(const char *file, int line, struct host *host);

/* Lets the handler go on, now and later. */
void gate_open(struct harness *h, const struct host *host, const char *gate);

/* How often a handler has come to that gate. */
size_t gate_runs(struct harness *h, const struct host *host, const char *gate);

/* Waits until it has come there so often, or more. */
#define gate_wait_runs(h, host, gate, count) gate_wait_runs_at(__FILE__, __LINE__, h, host, gate, count)
void gate_wait_runs_at(const char *file, int line, struct harness *h, const struct host *host,
	const char *gate, size_t count);

/* What runs for more than a second does not step aside, so its PUBACK and those behind it are held until it is done, however slow the machine is:
 * the database refuses to keep commands, so one of the same user behind it would become a dead letter after that second.
 * To be called before a host is started. */
void gate_keeps_places(struct harness *h);

#endif
