/* provider_file.c - see provider_file.h. */
#include "provider_file.h"

#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(char *reason, const char *path, const char *what, int error)
{
	(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.300s %s%s%s", path, what, error != 0 ? ": " : "",
		error != 0 ? strerror(error) : "");
	return PROVIDER_E_FILE;
}

/* Whether it has these bytes already. */
static bool has(const char *path, const char *bytes, size_t size)
{
	char *old = NULL;
	size_t old_size = 0;
	if (small_file_read(path, size, &old, &old_size) != 0)
		return false;
	const bool same = old_size == size && memcmp(old, bytes, size) == 0;
	small_file_free(old, old_size);
	return same;
}

/* 0 or an errno. */
static int write_all(int fd, const char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t count = write(fd, bytes + done, size - done);
		if (count > 0)
			done += (size_t)count;
		else if (count == 0 || errno != EINTR)
			return count == 0 ? ENOSPC : errno;
	}
	/* The umask holds for what is nobody else's affair; these are public keys. */
	return fchmod(fd, 0644) == 0 && fsync(fd) == 0 ? 0 : errno;
}

/* The name of the file is on the disk only with its folder. Some file systems cannot do that: then they do not need it. */
static void folder_sync(const char *path)
{
	char copy[PROVIDER_FILE_PATH_MAX + 1];
	(void)snprintf(copy, sizeof(copy), "%s", path);
	const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

static int write_beside(const char *path, const char *bytes, size_t size, char *reason)
{
	char beside[PROVIDER_FILE_PATH_MAX + 8];
	(void)snprintf(beside, sizeof(beside), "%s.XXXXXX", path);
	const int fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0)
		return refuse(reason, path, "cannot be replaced: no file can be made beside it", errno);
	int error = write_all(fd, bytes, size);
	if (close(fd) != 0 && error == 0)
		error = errno;
	if (error == 0 && rename(beside, path) != 0)
		error = errno;
	if (error != 0) {
		(void)unlink(beside);
		return refuse(reason, path, "cannot be replaced", error);
	}
	folder_sync(path);
	return 0;
}

int provider_file_replace(const char *path, const char *bytes, size_t size, bool *ret_changed,
	char reason[static PROVIDER_REASON_SIZE])
{
	struct stat status;
	if (strlen(path) > PROVIDER_FILE_PATH_MAX)
		return refuse(reason, path, "... is too long a path", 0);
	const int error = lstat(path, &status) == 0 ? 0 : errno;
	if (error != 0 && error != ENOENT)
		return refuse(reason, path, "cannot be replaced", error);
	if (error == 0 && !S_ISREG(status.st_mode))
		return refuse(
			reason, path, "is not a regular file: name one, or one that is not there yet", 0);
	if (error == 0 && has(path, bytes, size)) {
		*ret_changed = false;
		return 0;
	}
	const int failed = write_beside(path, bytes, size, reason);
	if (failed == 0)
		*ret_changed = true;
	return failed;
}
