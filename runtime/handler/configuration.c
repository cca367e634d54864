/*
 * configuration.c - see configuration.h.
 */
#include "configuration.h"

#include "exit_codes.h"
#include "log_secret.h"
#include "select.h"
#include "settings_file.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void configuration_free(struct configuration *configuration)
{
	settings_free(&configuration->settings);
	free(configuration->handlers);
	free(configuration->warnings);
	*configuration = (struct configuration){.handlers = NULL};
}

/* From here on no log line, and nothing else that is searched for secrets, holds them. The proxies' are those that libraries read in this process. */
static int keep_secrets(const struct settings *settings, char *const *environment)
{
	int error = settings_secrets(settings, log_secret_add);
	if (error == 0)
		error = settings_proxy_secrets(environ, log_secret_add);
	return error == 0 ? settings_proxy_secrets(environment, log_secret_add) : error;
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
	if (error == 0)
		error = keep_secrets(&found.settings, source->environment);
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
