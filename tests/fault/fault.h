/*
 * fault.h - what can be done to a host, its broker, its database, and the network between them: one table.
 *
 * A fault begins and ends; between the two everything runs on, or another fault of another target begins and
 * ends. Both are made of states, not of times: a begin ends when the thing is broken, an end when it is whole
 * again (commands come to their end later). What a fault must have done to be one is asserted there.
 */
#ifndef FAULT_H
#define FAULT_H

#include "broker_log.h"
#include "promise_run.h"
#include "relay.h"
#include <sys/resource.h>

enum fault_target { FAULT_HOST, FAULT_BROKER, FAULT_DATABASE, FAULT_HANDLERS };

/* What has to be set up for it before anything starts. */
enum {
	FAULT_NEEDS_BROKER_RELAY = 1,
	FAULT_NEEDS_DATABASE_RELAY = 2,
	FAULT_NEEDS_SMALL_DISK = 4,
	FAULT_NEEDS_MANY_WORKERS = 8,
};

/* Longer than KEEPALIVE: the host gives the broker up. The broker gives the host up after one and a half times that. */
enum { FAULT_PAUSE_MS = 12000 };

struct round {
	struct promise promise;
	struct relay *broker_relay, *database_relay; /* NULL: none */
	struct broker_log broker_log;		     /* what the broker has sent to the host, and got back */
	const char *disk;			     /* a small file system, below the database; NULL: none */
};

struct fault;

/* One that was begun. */
struct fault_run {
	const struct fault *fault;
	int64_t began_ms;
	const char *failpoint;
	struct host *host; /* that was stopped */
	pid_t pid;
	rlim_t descriptors;
};

struct fault {
	const char *name;
	enum fault_target target;
	unsigned needs;
	bool outer; /* needs commands to come to its end, or time for itself: nothing else is broken by then */
	bool crashes; /* the host may die of it, and not by the fault's own hand */
	bool forgets; /* the broker may forget what was done and is not acknowledged yet: it never will be */
	bool slow;    /* never a round's second fault */
	bool stills;  /* while it lasts the host does nothing, or no phone reaches the broker */
	bool awaits;  /* something has to happen for it to begin or to end: not inside of one that stills */
	const char *place; /* failpoint */
	void (*begin)(struct round *round, struct fault_run *run);
	void (*end)(struct round *round, struct fault_run *run);
	const char *const *log; /* events in the host's log that it explains, ended by NULL; NULL: none */
};

extern const struct fault faults[];
extern const size_t fault_count;

/* NULL: there is none of that name. */
const struct fault *fault_find(const char *name, size_t size);

#endif
