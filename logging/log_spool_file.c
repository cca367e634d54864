/* log_spool_file.c - see log_spool_file.h. */
#include "log_spool_file.h"

#include "file_trust.h"
#include "log_spool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NUMBER_DIGITS = 20,
	SEGMENT_FILE_MAX = 16 * 1024 * 1024, /* a larger one is not ours */
};

/* ---- Names ---- */

void log_spool_file_name(const char *suffix, uint64_t number, char ret[static LOG_SPOOL_FILE_NAME_SIZE])
{
	snprintf(ret, LOG_SPOOL_FILE_NAME_SIZE, "%0*llu%s", (int)NUMBER_DIGITS, (unsigned long long)number,
		suffix);
}

const char *log_spool_file_number(const char *name, uint64_t *ret_number)
{
	if (strspn(name, "0123456789") != NUMBER_DIGITS)
		return NULL;
	errno = 0;
	const unsigned long long number = strtoull(name, NULL, 10);
	if (errno != 0 || number > LOG_SPOOL_FILE_NUMBER_MAX)
		return NULL;
	*ret_number = number;
	return name + NUMBER_DIGITS;
}

/* ---- Whose ---- */

bool log_spool_file_is_own(int fd)
{
	struct stat status;
	char doubt[FILE_TRUST_SIZE];
	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
	       !file_trust_doubt(&status, doubt);
}

/* Whoever could put files there could have events counted and deleted, and the supervisor killed by cutting the account. */
static int look_at_folder(int fd)
{
	struct stat status;
	char doubt[FILE_TRUST_SIZE];
	if (fstat(fd, &status) != 0)
		return -errno;
	return status.st_uid != geteuid() || file_trust_doubt(&status, doubt) ? LOG_SPOOL_E_FOREIGN : 0;
}

int log_spool_file_open_folder(const char *path, int *ret_fd)
{
	struct stat status;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -errno;
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		const int error = -errno;
		return lstat(path, &status) == 0 && S_ISLNK(status.st_mode) ? LOG_SPOOL_E_FOREIGN : error;
	}
	const int error = look_at_folder(fd);
	if (error == 0)
		*ret_fd = fd;
	else
		close(fd);
	return error;
}

/* ---- Content ---- */

int log_spool_file_read(int folder, const char *name, char **ret, size_t *ret_size)
{
	const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct stat status;
	int error = fstat(fd, &status) != 0 ? -errno : 0;
	if (error == 0 && (!S_ISREG(status.st_mode) || status.st_size > SEGMENT_FILE_MAX))
		error = -EFBIG;
	if (error == 0 && !log_spool_file_is_own(fd))
		error = -EPERM;
	char *bytes = error == 0 ? malloc((size_t)status.st_size + 1) : NULL;
	if (error == 0 && !bytes)
		error = -ENOMEM;
	size_t size = 0;
	while (error == 0 && size < (size_t)status.st_size) {
		const ssize_t got = read(fd, bytes + size, (size_t)status.st_size - size);
		if (got < 0 && errno != EINTR)
			error = -errno;
		else if (got == 0)
			break;
		else if (got > 0)
			size += (size_t)got;
	}
	close(fd);
	if (error != 0) {
		free(bytes);
		return error;
	}
	*ret = bytes;
	*ret_size = size;
	return 0;
}

int log_spool_file_write(int fd, uint64_t at, const char *bytes, size_t size)
{
	for (size_t written = 0; written < size;) {
		const ssize_t now = pwrite(fd, bytes + written, size - written, (off_t)(at + written));
		if (now > 0) {
			written += (size_t)now;
		} else if (now == 0 || errno != EINTR) {
			const int error = now == 0 ? ENOSPC : errno;
			/* Where this fails as well, the checksum tells what is torn. */
			if (ftruncate(fd, (off_t)at) != 0)
				return -error;
			return -error;
		}
	}
	return 0;
}
