/*
 * select.h - which of the built-in handlers run, and whether their descriptors can be used.
 */
#ifndef SELECT_H
#define SELECT_H

#include <stdio.h>

struct cashew_handler;
struct settings;

/*
 * Picks the handlers that settings->handlers names (all of `handlers`, ended by NULL, where it is empty). It refuses descriptors that cannot be used,
 * filters that overlap within a lane, and a deadline above SETTINGS_HANDLER_TIMEOUT_MAX_S. Any thread.
 *
 * 0, and *ret_selected is an array ended by NULL, freed with free(). EXIT_CONFIG after writing what is wrong to `problems`, one line each, or EXIT_SOFTWARE
 * when out of memory.
 */
__attribute__((warn_unused_result)) int select_handlers(const struct settings *settings,
	const struct cashew_handler *const *handlers, FILE *problems,
	const struct cashew_handler ***ret_selected);

#endif
