/*
 * loop.h - the I/O thread: one poll() over every broker connection, what threads have finished, and the signals.
 */
#ifndef LOOP_H
#define LOOP_H

#include "lane.h"
#include <stdint.h>

struct host;

/* Threads of the storing pool: what steps aside, is parked, claimed or buried never waits for a worker. */
enum { LOOP_STORING_THREADS = 2 };

/* Turns until SIGTERM or SIGINT has come and all is finished, or STOP_TIMEOUT is over. All that struct host points to is
 * open. supervisor_fd: hung up when the supervisor is gone; then the process ends at once. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int loop_run(struct host *host, int signal_fd, int supervisor_fd);

/* What lanes report to; the owner is the struct host_lane. */
extern const struct lane_owner loop_lane_owner;

/* Since when a lane's connection lives, for the egress. host: the struct host. */
int64_t loop_witness(void *host);

/* Wakes the I/O thread. host: the struct host. Any thread. */
void loop_wake(void *host);

#endif
