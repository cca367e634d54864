/*
 * begin.c - the host process, from its start by the supervisor to its exit.
 *
 * Happy path: the descriptors are there, the supervisor lives, the settings are read from memory by the same
 * table as .env, the log goes to the supervisor, host_run(). Failure: started by hand it says so and exits
 * with 64; settings that cannot be used any more (a file is gone) are logged and exit with 78. The host never
 * outlives its supervisor: the kernel kills it, and should that be too early to be asked for, it ends here.
 */
#include "descriptors.h"
#include "exit_codes.h"
#include "host.h"

#include "board.h"
#include "configuration.h"
#include "crash.h"
#include "failpoint.h"
#include "log.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_CLOSE_MS = 2000, SETTINGS_MAX = 256 };

/* What the supervisor has written: texts one behind the other. */
struct passed {
	char *text;
	size_t size;
	char *variables[SETTINGS_MAX + 1];
};

static void passed_free(struct passed *passed)
{
	if (passed->text)
		explicit_bzero(passed->text, passed->size);
	free(passed->text);
}

static int read_passed(int fd, struct passed *ret)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		return -errno;
	ret->size = (size_t)status.st_size + 1;
	ret->text = calloc(1, ret->size);
	if (!ret->text)
		return -ENOMEM;
	if (pread(fd, ret->text, ret->size - 1, 0) != (ssize_t)ret->size - 1)
		return -EIO;
	size_t count = 0;
	for (char *at = ret->text; at < ret->text + ret->size - 1; at += strlen(at) + 1) {
		if (count == SETTINGS_MAX)
			return -E2BIG;
		ret->variables[count++] = at;
	}
	return 0;
}

/* Problems that were none when the supervisor read the same: told one by one, and the first one to the supervisor of a trial. */
static int read_configuration(
	const struct cashew_handler *const *handlers, struct board *trial_board, struct configuration *ret)
{
	__attribute__((cleanup(passed_free))) struct passed passed = {.text = NULL};
	char *problems = NULL;
	size_t size;
	int error = read_passed(DESCRIPTOR_SETTINGS, &passed);
	close(DESCRIPTOR_SETTINGS);
	FILE *stream = error == 0 ? open_memstream(&problems, &size) : NULL;
	if (!stream) {
		log_error("start_failed", "the settings cannot be read from the supervisor",
			LOG_TEXT("reason", strerror(error != 0 ? -error : errno)));
		return EXIT_SOFTWARE;
	}
	error = configuration_read(
		&(const struct configuration_source){.handlers = handlers, .environment = passed.variables},
		stream, ret);
	fclose(stream);
	char *rest = problems;
	for (char *line; error != 0 && (line = strsep(&rest, "\n"));) {
		if (line[0] == '\0')
			continue;
		log_error("bad_setting", line);
		if (trial_board)
			board_note_trial(trial_board, line);
	}
	free(problems);
	return error;
}

/* 0, or an exit code. */
static int take_over(struct board **ret_board)
{
	struct board *board;
	if (board_map(DESCRIPTOR_BOARD, &board) != 0) {
		fputs("cashewd-host: only cashewd can start this program; see cashewd --help\n", stderr);
		return EXIT_USAGE;
	}
	/* Killed, not drained: another supervisor may start at once, and its host must not find this one at
	 * work beside it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != board->supervisor)
		_exit(EXIT_SOFTWARE);
	for (int fd = DESCRIPTOR_SETTINGS; fd <= DESCRIPTOR_LOG; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	close(DESCRIPTOR_PROGRAM);
	/* It would be called by the number of its program's descriptor. */
	(void)prctl(PR_SET_NAME, "cashewd-host");
	*ret_board = board;
	return 0;
}

static int run(const struct configuration *configuration, struct board *board)
{
	const int error = crash_watch(board, DESCRIPTOR_BOARD);
	if (error != 0) {
		log_error("start_failed", "the host cannot start", LOG_TEXT("reason", strerror(-error)));
		return EXIT_SOFTWARE;
	}
	if (board->hosts > 1)
		failpoint_disarm();
	return host_run(&(const struct host_options){.settings = &configuration->settings,
		.handlers = configuration->handlers,
		.board = board,
		.supervisor_fd = DESCRIPTOR_LOG});
}

int host_begin(const struct cashew_handler *const *handlers, bool trial)
{
	struct configuration configuration = {.handlers = NULL};
	struct board *board;
	int code = take_over(&board);
	if (code != 0)
		return code;
	/* A handler's printf() goes to the supervisor, which puts it into the log. */
	if (crash_keep_output() != 0)
		return EXIT_SOFTWARE;
	/* Always JSON: the supervisor renders it where it writes text. */
	const int error = log_open(&(struct log_options){
		.fd = DESCRIPTOR_LOG, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_ERROR});
	if (error != 0)
		return error == -EAGAIN ? EXIT_TEMPORARY : EXIT_SOFTWARE;
	code = read_configuration(handlers, trial ? board : NULL, &configuration);
	if (code == 0 && trial) {
		code = host_try(&configuration.settings, configuration.handlers, board);
	} else if (code == 0) {
		log_set(LOG_FORMAT_JSON, (enum log_level)configuration.settings.log_level);
		code = run(&configuration, board);
	}
	configuration_free(&configuration);
	log_close(LOG_CLOSE_MS);
	return code;
}
