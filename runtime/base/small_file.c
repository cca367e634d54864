/* small_file.c - see small_file.h. */
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One byte more than size_max is asked for, so that a file that grows meanwhile is found to be too large. */
static int read_all(int fd, size_t size_max, char **ret, size_t *ret_size)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return SMALL_FILE_E_KIND;
	if (status.st_size > (off_t)size_max)
		return SMALL_FILE_E_SIZE;
	const size_t room = size_max + 1;
	char *bytes = malloc(room + 1);
	if (!bytes)
		return -ENOMEM;
	size_t size = 0;
	int error = 0;
	while (size < room) {
		const ssize_t count = read(fd, bytes + size, room - size);
		if (count > 0)
			size += (size_t)count;
		else if (count == 0)
			break;
		else if (errno != EINTR) {
			error = -errno;
			break;
		}
	}
	if (error == 0 && size > size_max)
		error = SMALL_FILE_E_SIZE;
	if (error != 0) {
		small_file_free(bytes, size);
		return error;
	}
	bytes[size] = '\0';
	*ret = bytes;
	*ret_size = size;
	return 0;
}

int small_file_read(const char *path, size_t size_max, char **ret, size_t *ret_size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	const int error = read_all(fd, size_max, ret, ret_size);
	close(fd);
	return error;
}

void small_file_free(char *bytes, size_t size)
{
	if (bytes)
		explicit_bzero(bytes, size);
	free(bytes);
}

const char *small_file_explain(int error)
{
	if (error == SMALL_FILE_E_KIND)
		return "it is not a regular file";
	if (error == SMALL_FILE_E_SIZE)
		return "it is too large";
	return strerror(-error);
}
