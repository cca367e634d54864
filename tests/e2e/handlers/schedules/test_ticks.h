/* test_ticks.h - the runs of the tests' schedules leave lines in the file `ticks` of the folder TICK_FOLDER: NAME SINCE SLOT ATTEMPT ID, times in milliseconds. */
#ifndef TEST_TICKS_H
#define TEST_TICKS_H

#include <cashew.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static const struct cashew_setting tick_settings[] = {
	{.name = "TICK_FOLDER", .default_value = ".", .help = "Where the runs leave their lines."}, {0}};

static inline bool tick_leave(cashew_command *cmd, const char *name)
{
	char path[512], line[256];
	snprintf(path, sizeof(path), "%s/ticks", cashew_setting(cmd, "TICK_FOLDER"));
	const int ticks = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const int size = snprintf(line, sizeof(line), "%s %" PRId64 " %" PRId64 " %u %s\n", name,
		cashew_since(cmd), cashew_slot(cmd), cashew_attempt(cmd), cashew_id(cmd));
	if (ticks < 0)
		return false;
	const bool left = write(ticks, line, (size_t)size) == size;
	close(ticks);
	return left;
}

#endif
