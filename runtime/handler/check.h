/*
 * check.h - whether descriptors can be used: what the compiler cannot see of a handler, told with file and line.
 *
 * `cashewd --check-handlers` asks while building, select.h at each start. Pure functions, any thread.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

struct cashew_handler;

/* Writes what is wrong with one descriptor to `problems`, a line each, and returns how many there are. */
unsigned check_handler(const struct cashew_handler *handler, FILE *problems);

/* The same of all of them, which end with NULL, and of what they say together: a collection that two declare must be one. */
unsigned check_handlers(const struct cashew_handler *const *handlers, FILE *problems);

#endif
