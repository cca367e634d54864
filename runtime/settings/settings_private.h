/* settings_private.h - what the files settings*.c share and nobody else sees. "Own" settings are those that handlers declare. */
#ifndef SETTINGS_PRIVATE_H
#define SETTINGS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cashew_handler;
struct cashew_setting;
struct settings;

/* The value of a handler's own setting. */
struct own_value {
	const struct cashew_setting *setting; /* the first declaration of that name */
	const char *value;
};

/* What struct settings owns: this, the values of the handlers' own settings, then the texts of both kinds of settings. */
struct settings_block {
	size_t size; /* of the block */
	size_t count;
	struct own_value values[];
};

/* Where the reading of settings tells what it found. */
struct settings_reader {
	FILE *problems, *warnings;
	unsigned count; /* of problems */
	const struct cashew_handler *const *handlers;
};

/* A setting of an earlier version: setting it does nothing but to bring a warning. */
struct retired_setting {
	const char *name;
	const char *advice; /* what to do, one sentence */
};

extern const struct retired_setting settings_retired[]; /* ended by a name that is NULL */

/* Tells what is wrong between settings whose values are each in range. */
void settings_check(struct settings_reader *reader, const struct settings *settings);

#endif
