/* top_options.h - the command line of `cashewd top`, and the address it looks at. Pure code. */
#ifndef TOP_OPTIONS_H
#define TOP_OPTIONS_H

#include "usage.h"
#include <stdbool.h>
#include <stdio.h>

struct top_options {
	bool help, once, json;
	const char *address; /* HOST:PORT as given; NULL: that of the settings */
	const char *env_file;
	bool env_file_given;
	unsigned interval_ms;
};

enum top_options_error { TOP_OPTIONS_E_WRONG = USAGE_E_WRONG };
enum { TOP_ADDRESS_SIZE = 300 };

/* values[0] is "top". 0 and *ret, whose texts are those of values; TOP_OPTIONS_E_WRONG after one line on
 * problems. Not thread-safe: getopt(). */
__attribute__((warn_unused_result)) int top_options_read(
	int count, char **values, FILE *problems, struct top_options *ret);

/* The address to ask of a listener's: HOST:PORT or [V6]:PORT, where an empty host and one that stands for all
 * addresses become the loopback's. False: it is no such thing. */
__attribute__((warn_unused_result)) bool top_address(const char *text, char ret[static TOP_ADDRESS_SIZE]);

/* What --help says. */
void top_help(FILE *out);

#endif
