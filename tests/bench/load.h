/*
 * load.h - the load generator's options and figures, between load.c (command line, report) and load_traffic.c
 * (commands and events).
 */
#ifndef LOAD_H
#define LOAD_H

#include "histogram.h"
#include "watch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the event that answers a command is found among the commands in flight of its device. */
enum load_match {
	LOAD_MATCH_ORDER, /* the event comes on the sender's topic: it answers the device's oldest command */
	LOAD_MATCH_CONTACT, /* the event comes on the contact's topic and names the sender: the pair is unique */
};

struct load_mode {
	const char *name; /* of --mode, and the command's name */
	const char *event;
	const char *payload; /* NULL: made for each command */
	enum load_match match;
};

enum { LOAD_CONTACTS = 2000 };

struct load_options {
	const struct load_mode *mode;
	const char *host;
	unsigned port;
	const char *ca_file; /* NULL: plain TCP */
	const char *token;   /* a handler's, which acts for all users; NULL: the broker asks for none */
	unsigned devices, outstanding, connections;
	unsigned nap_us;	  /* pause before each look for input: more packets per system call */
	double rate;		  /* commands a second on a fixed schedule; 0: as fast as answers come */
	double warmup_s, seconds; /* not measured, measured */
	uint64_t commands;	  /* measured; 0: as many as `seconds` has room for */
	char prefix;		  /* of the devices' user ids */
	const char *run;	  /* part of the contacts' user ids, so that each run's pairs are new */
	struct watches watches;	  /* over the measured time */
};

struct load_result {
	double seconds, load_cpu_s;
	uint64_t commands; /* whose event came within the measured time */
	uint64_t extra;	   /* events that no command in flight waits for: duplicates */
	uint64_t lost;	   /* commands whose event had not come LOAD_DRAIN_S after the last was sent */
	uint64_t late;	   /* commands sent more than 1 ms after their time on the schedule */
	struct histogram latency;
};

/* Connects, subscribes, sends, receives, disconnects. 0, or -1 after a message on standard error. */
int load_run(struct load_options *options, struct load_result *ret_result);

#endif
