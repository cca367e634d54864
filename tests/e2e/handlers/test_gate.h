/* test_gate.h - a gate in a handler's way, opened by the test: a file that comes to be. */
#ifndef TEST_GATE_H
#define TEST_GATE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Notes the run; false if the folder cannot be written to any more. */
static inline bool gate_note(const char *folder, const char *gate)
{
	char path[512], line[128];
	snprintf(path, sizeof(path), "%s/runs", folder);
	const int runs = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const int size = snprintf(line, sizeof(line), "%s %d\n", gate, getpid());
	if (runs < 0)
		return false;
	const bool noted = write(runs, line, (size_t)size) == size;
	close(runs);
	return noted;
}

static inline bool gate_is_open(const char *folder, const char *gate)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s.open", folder, gate);
	return access(path, F_OK) == 0;
}

/* Notes the run, and returns true once the gate is open; false if the folder cannot be written to any more. */
static inline bool gate_enter(const char *folder, const char *gate)
{
	if (!gate_note(folder, gate))
		return false;
	while (!gate_is_open(folder, gate)) {
		if (access(folder, W_OK) != 0)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	return true;
}

#endif
