/*
 * launch.c - see launch.h.
 */
#include "launch.h"

#include "child_log.h"
#include "descriptors.h"
#include "program.h"
#include "settings.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Above the numbers that the new process gets them under. */
enum { FD_MIN = DESCRIPTOR_PROGRAM + 1, FDS = FD_MIN - DESCRIPTOR_SETTINGS };

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t written = write(fd, bytes, size);
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* The settings as a file in memory, read from its beginning. */
static int settings_file_new(const struct settings *settings, int *ret_fd)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	if (!stream)
		return -errno;
	settings_write(settings, stream);
	int error = fclose(stream) != 0 ? -ENOMEM : 0;
	const int fd = error == 0 ? memfd_create("cashewd-settings", MFD_CLOEXEC) : -1;
	if (error == 0 && fd < 0)
		error = -errno;
	if (error == 0)
		error = write_all(fd, text, size);
	if (error == 0 && lseek(fd, 0, SEEK_SET) != 0)
		error = -errno;
	if (text)
		explicit_bzero(text, size);
	free(text);
	if (error != 0)
		close_fd(&fd);
	else
		*ret_fd = fd;
	return error;
}

/* A copy of the descriptor that the new process's own numbers do not run over; closed on exec. */
static int move_up(int fd, int *ret_fd)
{
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
	return *ret_fd < 0 ? -errno : 0;
}

/* output: where what it prints goes. */
static int start(char *name, enum launch_role role, const int fds[static FDS], int output, pid_t *ret_pid)
{
	static char trial[] = "--trial";
	char *arguments[] = {name, role == LAUNCH_TRIAL ? trial : NULL, NULL};
	char path[64];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	int error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (error == 0)
		error = posix_spawnattr_setsigmask(&attributes, &blocked);
	for (int i = 0; i < FDS && error == 0; i++)
		error = posix_spawn_file_actions_adddup2(&actions, fds[i], DESCRIPTOR_SETTINGS + i);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO && error == 0; fd++)
		error = posix_spawn_file_actions_adddup2(&actions, output, fd);
	/* What libraries have opened without closing it on exec is not for the host. */
	if (error == 0)
		error = posix_spawn_file_actions_addclosefrom_np(&actions, FD_MIN);
	/* The new process's own descriptor, as it is then. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", DESCRIPTOR_PROGRAM);
	if (error == 0)
		error = posix_spawn(ret_pid, path, &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

int launch(const struct program *program, enum launch_role role, const struct settings *settings,
	int board_fd, struct child_log *logs, struct child_log *printed, pid_t *ret_pid)
{
	char name[PATH_MAX];
	__attribute__((cleanup(close_fd))) int file = -1, log_end = -1, output_end = -1, high_file = -1,
					       high_board = -1, high_log = -1, high_program = -1,
					       high_output = -1;
	struct child_log opened = {.fd = -1}, output = {.fd = -1};
	int error = settings_file_new(settings, &file);
	if (error == 0)
		error = child_log_open(&opened, CHILD_LOG_RECORDS, &log_end);
	if (error == 0)
		error = child_log_open(&output, CHILD_LOG_PRINTED, &output_end);
	if (error == 0)
		error = move_up(file, &high_file);
	if (error == 0)
		error = move_up(board_fd, &high_board);
	if (error == 0)
		error = move_up(log_end, &high_log);
	if (error == 0)
		error = move_up(program->fd, &high_program);
	if (error == 0)
		error = move_up(output_end, &high_output);
	/* What a backtrace names the program by. */
	strcpy(name, program->path);
	if (error == 0)
		error = start(name, role, (const int[FDS]){high_file, high_board, high_log, high_program},
			high_output, ret_pid);
	if (error != 0) {
		child_log_close(&opened);
		child_log_close(&output);
	} else {
		*logs = opened;
		*printed = output;
	}
	return error;
}
