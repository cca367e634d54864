/*
 * usage.h - what is wrong with a command line, in one line.
 *
 * Happy path: whoever reads options says what is wrong with them as it finds it, and hands on the error. No failure modes. Any thread.
 */
#ifndef USAGE_H
#define USAGE_H

#include <stdio.h>

enum usage_error { USAGE_E_WRONG = 1 };

/* Writes "COMMAND: what is wrong; see COMMAND --help" and the line's end on problems. Returns USAGE_E_WRONG. */
__attribute__((format(printf, 3, 4))) int usage_wrong(
	FILE *problems, const char *command, const char *format, ...);

#endif
