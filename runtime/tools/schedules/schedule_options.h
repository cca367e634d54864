/*
 * schedule_options.h - the command line of `cashewd schedules`, read and checked. Pure code.
 */
#ifndef SCHEDULE_OPTIONS_H
#define SCHEDULE_OPTIONS_H

#include "usage.h"
#include <stdbool.h>
#include <stdio.h>

enum schedule_action { SCHEDULE_LIST, SCHEDULE_RUN, SCHEDULE_HELP };

struct schedule_options {
	enum schedule_action action;
	const char *name; /* of a run */
	const char *env_file;
	bool env_file_given, json;
	unsigned wait_s;
};

enum schedule_options_error { SCHEDULE_OPTIONS_E_WRONG = USAGE_E_WRONG };

/* values[0] is "schedules". 0 and *ret, whose texts are those of values; SCHEDULE_OPTIONS_E_WRONG after one line on problems. Not thread-safe: getopt(). */
__attribute__((warn_unused_result)) int schedule_options_read(
	int count, char **values, FILE *problems, struct schedule_options *ret);

/* What --help says. */
void schedule_help(FILE *out);

#endif
