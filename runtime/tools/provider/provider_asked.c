/* provider_asked.c - see provider_asked.h. */
#include "provider_asked.h"

#include "provider_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STAMP_SIZE = 24 };

/* -1, and errno is set. */
static int open_locked(const char *path)
{
	struct stat status;
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return -1;
	int error = fstat(fd, &status) == 0 ? 0 : errno;
	if (error == 0 && !S_ISREG(status.st_mode))
		error = EINVAL;
	while (error == 0 && flock(fd, LOCK_EX) != 0)
		error = errno == EINTR ? 0 : errno;
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

/* What is no time, as in a file that is new, was never. */
static bool is_soon(int fd, int64_t now)
{
	char text[STAMP_SIZE + 1], *end;
	const ssize_t size = pread(fd, text, STAMP_SIZE, 0);
	if (size <= 0)
		return false;
	text[size] = '\0';
	const long long asked = strtoll(text, &end, 10);
	return *end == '\n' && asked <= now && now - asked < PROVIDER_ASK_EVERY_S;
}

static bool write_down(int fd, int64_t now)
{
	char text[STAMP_SIZE + 1];
	const int size = snprintf(text, sizeof(text), "%lld\n", (long long)now);
	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) == size;
}

int provider_asked_begin(const char *path, int *ret_lock, char reason[static PROVIDER_REASON_SIZE])
{
	char stamp[PROVIDER_FILE_PATH_MAX + sizeof(".asked")];
	const int size = snprintf(stamp, sizeof(stamp), "%s.asked", path);
	errno = ENAMETOOLONG;
	const int fd = size < (int)sizeof(stamp) ? open_locked(stamp) : -1;
	if (fd < 0) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.300s.asked cannot be opened: %s", path,
			strerror(errno));
		return PROVIDER_E_FILE;
	}
	const int64_t now = time(NULL);
	if (is_soon(fd, now)) {
		close(fd);
		(void)snprintf(reason, PROVIDER_REASON_SIZE,
			"the provider was asked for its keys less than %d s ago", PROVIDER_ASK_EVERY_S);
		return PROVIDER_E_SOON;
	}
	/* Before it is asked: one that does not answer is not asked more often than another. */
	if (!write_down(fd, now)) {
		(void)snprintf(reason, PROVIDER_REASON_SIZE, "%.300s.asked cannot be written: %s", path,
			strerror(errno));
		close(fd);
		return PROVIDER_E_FILE;
	}
	*ret_lock = fd;
	return 0;
}

void provider_asked_end(int lock)
{
	close(lock);
}
