/*
 * reading.h - settings that are read again while the supervisor runs, and what the log holds of them.
 *
 * Happy path: reading_again(), and once they are in use reading_warn(). Failure: each problem is a line in the log, and the
 * first of them is handed to the caller, who says what follows from it. The supervisor's one thread.
 */
#ifndef READING_H
#define READING_H

#include "configuration.h"

enum { READING_REASON_SIZE = 512 };

/*
 * Reads the settings from where they came from first. 0 and *ret, to be freed with configuration_free(); else what configuration_read() returns, with
 * all problems in the log (bad_setting) and the first of them in ret_reason, which is left as it is where memory ran out.
 */
__attribute__((warn_unused_result)) int reading_again(const struct configuration_source *first,
	struct configuration *ret, char ret_reason[static READING_REASON_SIZE]);

/* Logs the warnings of a configuration that is used from now on, a line each (settings_warning). It cuts them up: they are not to be read after it. */
void reading_warn(struct configuration *configuration);

#endif
