/*
 * scale_load.h - the load of `tests/bench/run scale`, between scale_load.c (command line, connections) and scale_traffic.c (commands and
 * events). One thread, one epoll for all connections.
 *
 * Each connection is a device of a user of its own, with the user's own token and several subscriptions: user/apples/0, user/apples/1 .. The devices
 * send get_apples by turns, and each command names, as its Response Topic, the next of the device's subscriptions: so all of them are used. A slot is
 * one subscription of one device, and its events come in the order of its commands.
 */
#ifndef SCALE_LOAD_H
#define SCALE_LOAD_H

#include "histogram.h"
#include "nanoseconds.h"
#include "stream.h"
#include "watch.h"
#include <stdbool.h>
#include <stdint.h>

enum { SCALE_USER_SIZE = 65, SCALE_KEEPALIVE_S = 600, SCALE_EACH_MAX = 99, SCALE_SOURCES = 32 };

struct scale_options {
	const char *host, *ca_file, *tokens_file;
	unsigned port, each; /* subscriptions of a device */
	double connect_rate; /* devices a second at most */
	double drain_s;	     /* how long the last events of a step are waited for */
	struct watches watches;
};

/* A command without its event yet. */
struct scale_flight {
	uint64_t due;
	uint32_t next; /* the index of the slot's next one, or of the next free one; 0: none */
};

struct scale_slot {
	uint32_t first, last; /* indices of flights; 0: none */
};

struct scale_device {
	struct stream stream;
	char user[SCALE_USER_SIZE];
	uint32_t index;
	char *token;
	bool subscribed;
	bool dirty;	      /* in scale.dirty */
	bool watching_output; /* EPOLLOUT is asked for */
	uint16_t last_id;
	unsigned unacknowledged, receive_maximum;
};

/* So many commands a second for so long. */
struct scale_step {
	double rate, warmup_s, seconds;
};

struct scale_result {
	double seconds, load_cpu_s;
	uint64_t due;	   /* commands that were due within the measured time, whose latencies these are */
	uint64_t answered; /* events within the measured time */
	uint64_t waiting;  /* commands without an event at its end */
	uint64_t lost;	   /* .. and when no event had come for drain_s */
	uint64_t extra;	   /* events that no command waits for */
	uint64_t late;	   /* commands sent more than a millisecond after their time */
	struct histogram latency;
};

struct scale {
	struct scale_options options;
	struct scale_device *devices;
	uint32_t device_count;
	struct scale_slot *slots; /* each of device 0, then of device 1 .. */
	struct scale_flight *flights;
	uint32_t flight_room, flight_free; /* flights[0] is none; flight_free: 0 or the first free one */
	uint32_t *dirty;		   /* devices with something to write */
	uint32_t dirty_count;
	int epoll;
	uint64_t now;
	uint64_t from, until; /* of the measured time */
	uint64_t sent, in_flight, last_event;
	bool measuring;
	struct scale_result result;
};

/* Something waits in the device's output. */
void scale_mark(struct scale *scale, struct scale_device *device);

/* Writes, waits until `until` at most, reads. 0, or -1 after a message. */
int scale_turn(struct scale *scale, uint64_t until);

/* One step: warms up, measures, waits for the last events. 0 with scale->result, or -1 after a message. */
int scale_run_step(struct scale *scale, const struct scale_step *step);

/* Tells standard error; -1. */
int scale_fail(const char *what, const char *detail);

#endif
