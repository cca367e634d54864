/*
 * record.h - a command as a document in the store, and back.
 */
#ifndef RECORD_H
#define RECORD_H

#include "parked_commands.h"
#include "routes.h"
#include <stdbool.h>
#include <stdint.h>

struct command;

/* What is written of a command: its texts are the command's own. */
struct record {
	struct parked_command written;
	const char *settled[ROUTE_HANDLERS_MAX];
};

/* What dispatch.c knows of it. */
struct record_terms {
	const char *lane_id;
	int64_t position; /* of a new one */
	unsigned attempts;
	unsigned delay_ms; /* not before */
	bool behind;	   /* others of its user are before it */
};

/* Makes the record of a command. Of one that steps aside, what its handlers have come to is not in it: a worker has that. Of
 * one from the store it is the document with what its runs have come to. False when out of memory. */
__attribute__((warn_unused_result)) bool record_make(
	struct command *command, const struct routes *routes, const struct record_terms *terms);

/* A new command takes over what its document says; then, with its route, what its handlers have come to. */
void record_read(struct command *command);
void record_read_progress(struct command *command, const struct routes *routes);

/* Of a schedule's run that was read: whether its payload says when it was due. */
bool record_schedule_readable(const struct command *command);

/* The delay before the next run of a command that was tried so often: doubling from a second to five minutes, half of it
 * jitter. */
unsigned record_delay_ms(unsigned attempts);

/* Tells the log that it is parked. */
void record_log(const struct command *command);

#endif
