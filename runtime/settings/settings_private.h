/* settings_private.h - what the files settings*.c share and nobody else sees. */
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

/* What struct settings owns, in one block: this, the values, then the texts of both kinds of settings. */
struct settings_own {
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

/* Tells what is wrong between settings whose values are each in range, and fills in WINDOW=0. */
void settings_check(struct settings_reader *reader, struct settings *settings);

#endif
