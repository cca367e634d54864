/*
 * context.h - what the parts of the host share. Belongs to the I/O thread; loop.c fills it.
 */
#ifndef CONTEXT_H
#define CONTEXT_H

#include "board.h"
#include "collections.h"
#include "crash.h"
#include "hosts.h"
#include "own_certificates.h"
#include "rejections.h"
#include "routes.h"
#include "suspects.h"
#include "worker.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct egress;
struct lane;
struct parking;
struct pool;
struct resolver;
struct schedule_watch;
struct settings;
struct store;
struct store_watch;
struct users;

/* A lane, and what the host knows beside it. */
struct host_lane {
	struct host *host;
	struct lane *lane;
	const struct route_lane *routes;
	struct users *users;
	uint64_t key;	       /* of its client id: tells equal packet identifiers of two lanes apart */
	int64_t last_position; /* of what is in the store; microseconds of the database's clock */
	size_t unpromised;     /* QoS 0 commands under way */
};

/* QoS 0 commands that were dropped, and how many of them the log has told of. */
struct unpromised {
	uint64_t dropped, told;
	int64_t told_ms;
	bool qos0_told, qos2_told; /* that there are such commands */
};

struct host {
	const struct settings *settings;
	struct board *board; /* shared with the supervisor */
	const char *owner;   /* the supervisor's random id, which its next hosts have as well */
	struct routes routes;
	struct host_lane *lanes;
	size_t lane_count;
	struct host_groups former_groups; /* that the lanes' sessions were in */
	struct collections needed;	  /* of the database; likewise */
	char **lane_ids;       /* client ids: the watch's thread reads them, and outlives the lanes */
	struct users *foreign; /* users of other hosts' lanes: "client id/user" */
	struct resolver *resolver;
	struct egress *egress;
	struct store *store;
	struct pool *pool;	   /* the workers */
	struct pool *storing_pool; /* what is written and claimed never waits for a worker */
	struct parking *parking;
	struct store_watch *store_watch;
	struct schedule_watch *schedules;     /* that one's; NULL: there are none */
	struct own_certificates certificates; /* the watch's */
	struct worker_context light;	      /* for the handlers that the I/O thread runs itself */
	unsigned *places;		      /* of the handlers in the board's figures */
	uint64_t log_dropped_before;	      /* lines of earlier hosts */
	uint32_t made_ids;		      /* of commands, so far */
	unsigned char id_chance[5];	      /* in each of them */
	_Atomic size_t event_max;
	struct command *retrying; /* linked by retry_next */
	struct command *shelved;  /* the same: until the store answers again */
	int64_t retries_at_ms;	  /* the first of retrying */
	int64_t places_at_ms;	  /* when places are looked at next, at the earliest */
	struct suspects suspects;
	size_t commands; /* alive, in whatever state */
	size_t jobs;	 /* of those, the ones that the workers have */
	size_t bytes;	 /* of the payloads of all that are alive */
	struct unpromised unpromised;
	struct rejections rejections;
	int64_t now_ms; /* monotonic, of this turn of the loop */
	bool store_up;
	bool store_back; /* it answers again, and what waits for that has not been told */
	bool active;	 /* this host has the lease */
	bool standby_told;
	bool forgotten;		/* another host is active: nothing of before is in memory */
	int64_t lease_until_ms; /* INT64_MAX: it has none */
	int64_t board_forgets_ms;
	bool ready;
	bool stopping;
	unsigned stop_signals; /* of the supervisor */
	struct crash_stack crash_stack;
};

#endif
