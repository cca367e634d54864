/*
 * test_tick - runs each second, leaves its line and sends "68946/ticked" {since, slot}.
 *
 * Where there is a file `mode` in TICK_FOLDER it first does what that says: "hold" makes the file `held` and waits until its own is gone; "fail", "reject",
 * "retry" and "crash" remove it and then do so; "away" fails for now as long as it is there.
 */
#include "test_ticks.h"
#include <signal.h>
#include <string.h>
#include <time.h>

static bool read_mode(cashew_command *cmd, char *ret_path, size_t path_size, char *ret_mode, size_t mode_size)
{
	snprintf(ret_path, path_size, "%s/mode", cashew_setting(cmd, "TICK_FOLDER"));
	FILE *file = fopen(ret_path, "re");
	const size_t size = file ? fread(ret_mode, 1, mode_size - 1, file) : 0;
	if (file)
		fclose(file);
	ret_mode[size] = '\0';
	return size > 0;
}

static void tell_held(cashew_command *cmd)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/held", cashew_setting(cmd, "TICK_FOLDER"));
	const int held = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (held >= 0)
		close(held);
}

static cashew_result test_tick(cashew_command *cmd)
{
	char path[512], mode[16];
	while (read_mode(cmd, path, sizeof(path), mode, sizeof(mode)) && strcmp(mode, "hold") == 0) {
		tell_held(cmd);
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	if (!tick_leave(cmd, "test_tick"))
		return cashew_fail(cmd, "the ticks' folder is gone");
	if (strcmp(mode, "away") == 0)
		return cashew_retry(cmd, 0, "the test has it fail");
	if (mode[0] != '\0' && unlink(path) == 0) {
		if (strcmp(mode, "crash") == 0)
			raise(SIGSEGV);
		if (strcmp(mode, "retry") == 0)
			return CASHEW_RETRY;
		return strcmp(mode, "reject") == 0 ? cashew_reject(cmd, "the test wants it")
						   : cashew_fail(cmd, "the test wants it");
	}
	return cashew_event_json(cmd, "68946", "ticked",
		json_pack("{s:I,s:I}", "since", (json_int_t)cashew_since(cmd), "slot",
			(json_int_t)cashew_slot(cmd)));
}

CASHEW_SCHEDULE(test_tick, .every_s = 1, .settings = tick_settings);
