/*
 * configuration.h - settings and handlers together: what the program is to run, read and checked as a whole.
 */
#ifndef CONFIGURATION_H
#define CONFIGURATION_H

#include "settings.h"

struct configuration {
	struct settings settings;
	const struct cashew_handler **handlers; /* those that run; ended by NULL */
	char *warnings;				/* lines */
};

/* Where settings come from, and which handlers they choose from. The texts stay the caller's. */
struct configuration_source {
	const char *env_file;	  /* as in settings_read() */
	bool env_file_must_exist; /* it is a problem where it is missing */
	bool again;		  /* the thread must not wait: settings_file_rereadable() */
	char *const *environment; /* laid on top of the file; ended by NULL */
	const struct cashew_handler *const *handlers; /* those built in; ended by NULL */
};

/*
 * Reads the settings and picks the handlers. Every problem is written to `problems`, one line each, and where there are problems the warnings too. The
 * settings' secrets, and those of the environment's proxy variables, are from then on hidden by log_secret_hide(). Any thread. 0 and *ret, which configuration_free() frees; EXIT_CONFIG where the settings or the handlers cannot be used, EXIT_SOFTWARE when out of memory.
 */
__attribute__((warn_unused_result)) int configuration_read(
	const struct configuration_source *source, FILE *problems, struct configuration *ret);

/* All-zero is fine; leaves it so. */
void configuration_free(struct configuration *configuration);

#endif
