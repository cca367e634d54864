/* disk.c - see disk.h. */
#include "disk.h"

#include "harness.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BALLAST "ballast"

int disk_allowed(void)
{
	/* From now on what is mounted here is seen only here. */
	static int error = 1;
	if (error == 1)
		error = unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
				? -errno
				: 0;
	return error;
}

int disk_mount(const char *folder, size_t size_mib)
{
	char options[64];
	const int error = disk_allowed();
	if (error != 0)
		return error;
	snprintf(options, sizeof(options), "size=%zum,mode=0700", size_mib);
	return mount("tmpfs", folder, "tmpfs", 0, options) != 0 ? -errno : 0;
}

static int open_ballast(const char *folder)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/" BALLAST, folder);
	const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		harness_fail("%s: %s", path, strerror(errno));
	return fd;
}

void disk_fill(const char *folder)
{
	static const char zeros[4096];
	const int fd = open_ballast(folder);
	struct statvfs left;
	ssize_t put;
	while ((put = write(fd, zeros, sizeof(zeros))) > 0)
		;
	const int error = errno;
	close(fd);
	if (error != ENOSPC || statvfs(folder, &left) != 0 || left.f_bavail != 0)
		harness_fail("the disk at %s could not be filled: %s", folder, strerror(error));
}

void disk_free(const char *folder)
{
	const int fd = open_ballast(folder);
	if (ftruncate(fd, 0) != 0)
		harness_fail("the disk at %s could not be freed: %s", folder, strerror(errno));
	close(fd);
}
