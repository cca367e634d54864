/*
 * replica_set.h - what stands in for a MongoDB that is more than one server, in front of the one database of a test: a replica set of three members,
 * or a router of a sharded cluster (mongos).
 *
 * Happy path: replica_set_new(), let a host use replica_set_url(), then have the primary step down, another one elected, members unplugged, or one
 * command after the other go wrong: replica_set_break(). All members have the same data, at once. It ends with the case. Functions are the test's own
 * thread's; members serve by threads of theirs (scripted_mongo.h).
 */
#ifndef REPLICA_SET_H
#define REPLICA_SET_H

#include "harness.h"
#include <bson/bson.h>

struct replica_set;

enum { REPLICA_SET_MEMBERS = 3 };
#define REPLICA_SET_NAME "rs0"

/* Member 0 is primary. */
struct replica_set *replica_set_new(struct harness *h, const struct database *database);

/* A router instead; it is the only member, 0. */
struct replica_set *replica_set_new_router(struct harness *h, const struct database *database);

/* Lives as long as the case. */
const char *replica_set_url(const struct replica_set *set);
const char *replica_set_address(const struct replica_set *set, unsigned member);

/* ---- Who is primary ---- */

/* The primary is one no more, and answers so (NotWritablePrimary, NotPrimaryNoSecondaryOk) on the connections that it has; nobody else is. */
void replica_set_step_down(struct replica_set *set);

void replica_set_elect(struct replica_set *set, unsigned member);

/* The machine is gone: its connections end, and whatever was on them. It is not primary any more. */
void replica_set_unplug(struct replica_set *set, unsigned member);

/* The machine stands still: its connections stay, and nothing is done or answered on them until it is there again. */
void replica_set_freeze(struct replica_set *set, unsigned member);

/* It is there again: as a secondary; a router as one. */
void replica_set_plug(struct replica_set *set, unsigned member);

/* ---- What goes wrong ---- */

enum replica_fault_kind {
	REPLICA_REFUSED,     /* answered with the error; nothing is done */
	REPLICA_INTERRUPTED, /* done, and answered with the error */
	REPLICA_NOT_DURABLE, /* done, and answered as done, with the error as that of the write concern */
	REPLICA_CUT_BEFORE,  /* the connection ends before anything is done */
	REPLICA_CUT_AMID,    /* done; it ends within the answer */
	REPLICA_CUT_AFTER,   /* done; it ends before the answer */
	REPLICA_ALL_CUT, /* all connections of the member end before it is done; what is under way on the others is done, and nobody is told */
};

struct replica_fault {
	const char *command,
		*collection; /* NULL: any that reads or writes; any collection but the host's lease. Trials of rights are none */
	enum replica_fault_kind kind;
	int code;
	unsigned times; /* so many of them, one after the other */
};

/* From now on, until it has happened so often; instead of one that has not. The texts live as long as it does. */
void replica_set_break(struct replica_set *set, const struct replica_fault *fault);

/* How often the latest has happened. */
unsigned replica_set_broken(struct replica_set *set);

/* ---- What is asked ---- */

/* Called with each command but hello and trials of rights, which has its statements as arrays, by any thread, by one at a time. NULL: no longer. */
typedef void replica_set_listener(void *context, const char *name, const bson_t *command);
void replica_set_listen(struct replica_set *set, replica_set_listener *listener, void *context);

/* How many commands that write a member has been asked. */
unsigned replica_set_writes(const struct replica_set *set, unsigned member);

#endif
