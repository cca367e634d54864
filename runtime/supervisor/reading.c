/* reading.c - see reading.h. */
#include "reading.h"

#include "exit_codes.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void log_lines(enum log_level level, const char *event, char *lines)
{
	char *rest = lines;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (line[0] != '\0')
			LOG_EVENT(level, event, line);
}

void reading_warn(struct configuration *configuration)
{
	log_lines(LOG_LEVEL_WARN, "settings_warning", configuration->warnings);
}

int reading_again(const struct configuration_source *first, struct configuration *ret,
	char ret_reason[static READING_REASON_SIZE])
{
	char *problems = NULL;
	size_t size;
	FILE *stream = open_memstream(&problems, &size);
	if (!stream)
		return EXIT_SOFTWARE;
	struct configuration_source source = *first;
	source.again = true;
	const int error = configuration_read(&source, stream, ret);
	fclose(stream);
	if (error != 0 && problems) {
		/* All of them stand in the log, the first one in the event that says what followed. */
		snprintf(ret_reason, READING_REASON_SIZE, "%.*s", (int)strcspn(problems, "\n"), problems);
		log_lines(LOG_LEVEL_ERROR, "bad_setting", problems);
	}
	free(problems);
	return error;
}
