/*
 * load_private.h - inside of the load generator: its state, between load_setup.c (connections) and
 * load_traffic.c (commands and events). One thread.
 */
#ifndef LOAD_PRIVATE_H
#define LOAD_PRIVATE_H

#include "load.h"
#include "nanoseconds.h"
#include "stream.h"
#include <stdio.h>

enum {
	LOAD_STALL_S = 10, /* no event for that long: give up */
	LOAD_DRAIN_S = 5,  /* how long the last events are waited for */
	LOAD_KEEPALIVE_S = 600,
	RING = 64, /* commands in flight per device at most; a power of two */
	USER_SIZE = 48,
};
#define NO_CONTACT UINT32_MAX

struct flight {
	uint64_t since;	  /* when it was sent, or was to be sent on the schedule */
	uint32_t contact; /* of LOAD_MATCH_CONTACT; NO_CONTACT: answered already */
};

struct device {
	char topic[USER_SIZE + 32]; /* of its commands */
	size_t topic_size;
	uint32_t head, tail; /* flights[head % RING] is the oldest */
	uint32_t next_contact;
	struct flight flights[RING];
};

struct connection {
	struct stream stream;
	uint16_t last_id;
	unsigned unacknowledged, receive_maximum;
	bool subscribed;
	bool watching_output;	/* EPOLLOUT is asked for */
	unsigned char *id_used; /* per packet id */
};

struct load {
	struct load_options *options;
	struct load_result *result;
	struct connection *connections;
	struct device *devices;
	int epoll;
	uint64_t now, started, measured_from, stop_sending, last_event;
	uint64_t sent; /* on the schedule */
	uint64_t in_flight;
	bool measuring, stopped;
};

/* Writes, waits until `until` at most, reads. 0 or -1. */
int load_turn(struct load *load, uint64_t until);

/* Sends and receives until the measured time is over and the last events have come. 0 or -1. */
int load_traffic(struct load *load);

static inline int fail(const char *what, const char *detail, size_t size)
{
	(void)fprintf(stderr, "load: %s: %.*s\n", what, (int)(size < 300 ? size : 300), detail);
	return -1;
}

#endif
