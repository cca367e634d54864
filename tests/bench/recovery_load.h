/*
 * recovery_load.h - the load of `tests/bench/run recovery`, between recovery_load.c (command line, connections) and
 * recovery_traffic.c (commands and events). One thread.
 *
 * Each device has a connection, a token and a session of its own, as a phone has, and behaves as a phone should: what the broker
 * has not acknowledged when the connection ends is sent again on the next one, and a command whose event does not come is repeated.
 * Each publish of a device has a number of its own ("n" in the payload), so the order of effects can be checked against the order of
 * sending even where commands were repeated.
 */
#ifndef RECOVERY_LOAD_H
#define RECOVERY_LOAD_H

#include "stream.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum {
	RECOVERY_SEGMENTS = 8,
	RECOVERY_USER_SIZE = 65,
	RECOVERY_KEEPALIVE_S = 600,
	RECOVERY_SESSION_S = 3600,
	RECOVERY_RETRY_MS = 200
};
#define RECOVERY_SECOND 1000000000ULL

/* So many commands a second for so long. */
struct recovery_segment {
	double seconds, rate;
};

struct recovery_options {
	const char *host, *ca_file, *tokens_file, *out_file;
	unsigned port;
	const char *command, *event, *list;
	struct recovery_segment segments[RECOVERY_SEGMENTS];
	unsigned segment_count;
	unsigned outstanding; /* per device, as fast as events come; 0: on the schedule */
	double seconds, drain_s,
		repeat_s; /* of the closed loop; how long the last events are waited for; see above */
};

enum recovery_state {
	RECOVERY_WAITING, /* due, and not sent, or not acknowledged when the connection ended */
	RECOVERY_SENT,
	RECOVERY_ANSWERED,
};

struct recovery_command {
	uint64_t due, sent; /* the last time */
	uint32_t last_number;
	unsigned char state; /* enum recovery_state */
	unsigned char repeats;
	bool acknowledged; /* its last publish, by the broker */
};

struct recovery_device {
	struct stream stream;
	char user[RECOVERY_USER_SIZE];
	char *token;
	bool connected, ready; /* the socket is open; SUBACK has come */
	bool watching_output;  /* EPOLLOUT is asked for */
	uint64_t reconnect_at, repeat_at;
	unsigned receive_maximum, unacknowledged;
	uint16_t last_id;
	uint32_t *number_of_id;		   /* per packet id; 0: free */
	struct recovery_command *commands; /* in the order in which they were due */
	uint32_t command_count, command_room;
	uint32_t oldest;  /* command that is not answered; command_count: none */
	uint32_t waiting; /* no command before this one is RECOVERY_WAITING */
	uint32_t *command_of_number;
	uint32_t numbers, number_room; /* numbers given so far: 1 .. numbers */
};

struct recovery {
	const struct recovery_options *options;
	struct recovery_device *devices;
	unsigned device_count;
	SSL_CTX *tls;
	FILE *out;
	int epoll;
	uint64_t now, started, stop_sending, flushed_at, looked_at;
	uint64_t scheduled; /* commands that were due so far */
	uint64_t answered, unanswered, repeated, refused;
	bool stopped; /* nothing new becomes due */
};

/* Connects and subscribes one device, which waits for the handshake only. 0 or -1. */
int recovery_connect(struct recovery *recovery, struct recovery_device *device);

/* Closes its connection; it is opened again RECOVERY_RETRY_MS later. */
void recovery_disconnect(struct recovery *recovery, struct recovery_device *device);

/* Reads and writes until `until` at most. 0 or -1. */
int recovery_turn(struct recovery *recovery, uint64_t until);

/* Sends and receives until the schedule and the waiting for the last events are over, or standard input says "stop" (no new commands) or
 * ends (nothing more). 0 or -1. */
int recovery_traffic(struct recovery *recovery);

static inline uint64_t recovery_clock(void)
{
	struct timespec at;

	if (clock_gettime(CLOCK_MONOTONIC, &at) != 0)
		return 0;
	return (uint64_t)at.tv_sec * RECOVERY_SECOND + (uint64_t)at.tv_nsec;
}

#endif
