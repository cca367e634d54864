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

/*
 * Reads the settings (env_file as in settings_read(); must_exist: it is a problem where it is missing) and
 * picks the handlers; tells every problem to `problems`, and the warnings too where there are problems. 0 and
 * *ret, to be freed; EXIT_CONFIG or EXIT_SOFTWARE.
 */
__attribute__((warn_unused_result)) int configuration_read(const char *env_file, bool must_exist,
	char *const *environment, FILE *problems, struct configuration *ret);

/* All-zero is fine; leaves it so. */
void configuration_free(struct configuration *configuration);

#endif
