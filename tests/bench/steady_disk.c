/*
 * A disk whose every sync takes the same time, for a program that is measured (LD_PRELOAD): fsync() and fdatasync() wait
 * STEADY_DISK_MS milliseconds instead of asking the disk. What is measured then is what waits for a sync, not the machine's disk, which takes one
 * millisecond now and twenty a second later.
 *
 * It is for files on a tmpfs, or anywhere where only processes are killed: what was written survives those without any sync. It protects from no
 * loss of power, so nothing but a benchmark may use it.
 *
 * Failure: without STEADY_DISK_MS, or with one that is no number from 0 to 1000, the program is ended at its first sync: figures
 * of a disk that nobody chose would be worth nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOST_MS	  1000
#define NS_PER_MS 1000000

static int wait_for_disk(int fd)
{
	const char *text = getenv("STEADY_DISK_MS");
	char *end = NULL;
	double time_ms = text ? strtod(text, &end) : -1;
	if (!text || end == text || *end || !(time_ms >= 0 && time_ms <= MOST_MS)) {
		fprintf(stderr, "steady disk: STEADY_DISK_MS is %s: expected 0 to %d\n",
			text ? text : "not set", MOST_MS);
		abort();
	}
	if (fcntl(fd, F_GETFD) < 0)
		return -1; /* as fsync() says of what is not open: EBADF */
	struct timespec rest = {.tv_sec = (time_t)(time_ms / 1000)};
	rest.tv_nsec = (long)((time_ms - (double)rest.tv_sec * 1000) * NS_PER_MS);
	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
	return 0;
}

int fsync(int fd)
{
	return wait_for_disk(fd);
}

int fdatasync(int fd)
{
	return wait_for_disk(fd);
}
