/*
 * program.c - see program.h.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* From the folder of cashewd to that of cashewd-host. */
static const char *const folders[] = {"", CASHEW_LIBEXEC};
enum { FOLDERS = sizeof(folders) / sizeof(folders[0]) };

/* Where this program lies, as "/usr/bin/" and "cashewd". */
static int find_own(char folder[static PATH_MAX], char name[static NAME_MAX + 1])
{
	const ssize_t size = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	if (size < 0)
		return -errno;
	folder[size] = '\0';
	/* What the kernel says of a file that was replaced since. */
	char *deleted = strstr(folder, " (deleted)");
	if (deleted && deleted[strlen(" (deleted)")] == '\0')
		*deleted = '\0';
	char *slash = strrchr(folder, '/');
	if (!slash || strlen(slash + 1) > NAME_MAX)
		return -EINVAL;
	strcpy(name, slash + 1);
	slash[1] = '\0';
	return 0;
}

static int open_program(const char *path, int *ret_fd)
{
	const int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) {
		const int error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

int program_open(struct program *ret, char message[static PROGRAM_MESSAGE_SIZE])
{
	char folder[PATH_MAX], name[NAME_MAX + 1];
	int error = find_own(folder, name);
	if (error != 0) {
		snprintf(message, PROGRAM_MESSAGE_SIZE,
			"/proc/self/exe, beside which the host's program is looked for, cannot be read: %s",
			strerror(-error));
		return PROGRAM_E_NONE;
	}
	int used = snprintf(message, PROGRAM_MESSAGE_SIZE,
		"%s-host, the program that runs the handlers, cannot be used:", name);
	for (size_t i = 0; i < FOLDERS; i++) {
		struct program found;
		const int size =
			snprintf(found.path, sizeof(found.path), "%s%s%s-host", folder, folders[i], name);
		error = size >= (int)sizeof(found.path) ? -ENAMETOOLONG : open_program(found.path, &found.fd);
		if (error == 0) {
			*ret = found;
			return 0;
		}
		used += snprintf(message + used, (size_t)(PROGRAM_MESSAGE_SIZE - used), "%s %s: %s",
			i > 0 ? ";" : "", found.path, strerror(-error));
	}
	return PROGRAM_E_NONE;
}

void program_close(struct program *program)
{
	if (program->fd >= 0)
		close(program->fd);
	program->fd = -1;
}

void program_take(struct program *program, struct program *from)
{
	if (from->fd < 0)
		return;
	program_close(program);
	*program = *from;
	from->fd = -1;
}
