/*
 * record.h - a command as a document in the store, and back.
 */
#ifndef RECORD_H
#define RECORD_H

#include "parked_commands.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct routes;

enum { RECORD_DELAY_MS = 1000, RECORD_DELAY_MAX_MS = 300000 };

/* Makes the document of a command that is not in the store yet, of what never changes while it runs: a worker may have
 * it meanwhile. position: its place in the order. attempts: those that count. delay_ms: not before. False when out of
 * memory. */
__attribute__((warn_unused_result)) bool record_make(
	struct command *command, const char *lane_id, int64_t position, unsigned attempts, unsigned delay_ms);

/* What its runs have come to, written into its record, a new one where it came from the store. No worker has it. False
 * when out of memory. */
__attribute__((warn_unused_result)) bool record_progress(
	struct command *command, const struct routes *routes, unsigned attempts, unsigned delay_ms);

/* A command from the store takes over what its document says. Its route is known. */
void record_read(struct command *command, const struct routes *routes);

/* The delay before the next run of a command that was tried so often: doubling from RECORD_DELAY_MS, half of it jitter. */
unsigned record_delay_ms(unsigned attempts);

/* Tells the log that it is parked. */
void record_log(const struct command *command);

#endif
