/*
 * configuration.c - see configuration.h.
 */
#include "configuration.h"

#include "exit_codes.h"
#include "select.h"
#include "settings_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void configuration_free(struct configuration *configuration)
{
	settings_free(&configuration->settings);
	free(configuration->handlers);
	free(configuration->warnings);
	*configuration = (struct configuration){.handlers = NULL};
}

int configuration_read(const struct configuration_source *source, FILE *problems, struct configuration *ret)
{
	struct configuration found = {.handlers = NULL};
	size_t size;
	FILE *warnings = open_memstream(&found.warnings, &size);
	if (!warnings)
		return EXIT_SOFTWARE;
	int error = 0;
	if ((source->env_file_must_exist && !settings_file_exists(source->env_file, problems)) ||
		(source->again && !settings_file_rereadable(source->env_file, problems))) {
		error = SETTINGS_E_INVALID;
	} else {
		error = settings_read(source->env_file, source->environment, source->handlers, problems,
			warnings, &found.settings);
	}
	if (fclose(warnings) != 0 || error == -ENOMEM) {
		fputs("cashewd: out of memory\n", problems);
		configuration_free(&found);
		return EXIT_SOFTWARE;
	}
	if (error != 0) {
		fputs(found.warnings, problems);
		error = EXIT_CONFIG;
	} else {
		error = select_handlers(&found.settings, source->handlers, problems, &found.handlers);
	}
	if (error != 0) {
		configuration_free(&found);
		return error;
	}
	*ret = found;
	return 0;
}
