/*
 * shifted_clock.c - a library that is preloaded into a program, and so into those that it starts: they see another wall clock than this machine's.
 *
 * CLOCK_SHIFT_FILE names a file of eight bytes, an int64_t: by how many milliseconds that clock is ahead; less than 0: behind. Whoever writes there
 * sets the clock, at once. Without the file it is the true one.
 *
 * Shifted are clock_gettime() and time(). Not gettimeofday(): MongoDB's driver reckons by it until when it waits, and the kernel, which ends that wait,
 * knows the true time only. What waits for a thread until a time of the shifted clock is led back for the same reason.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int64_t *shift; /* NULL: none */

__attribute__((constructor)) static void open_file(void)
{
	const char *path = getenv("CLOCK_SHIFT_FILE");
	const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *there = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (there != MAP_FAILED)
		shift = there;
}

static int64_t shift_ms(void)
{
	return shift ? __atomic_load_n(shift, __ATOMIC_RELAXED) : 0;
}

static void move(struct timespec *time, int64_t ms)
{
	const int64_t ns = time->tv_nsec + ms % 1000 * 1000000;
	time->tv_sec += (time_t)(ms / 1000 + (ns < 0 ? -1 : ns / 1000000000));
	time->tv_nsec = (long)(ns < 0 ? ns + 1000000000 : ns % 1000000000);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	/* Not by libc's function, which might be asked for before the loader knows it. */
	const int error = (int)syscall(SYS_clock_gettime, clock, ret);
	if (error == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		move(ret, shift_ms());
	return error;
}

time_t time(time_t *ret)
{
	struct timespec now = {.tv_sec = 0};
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

int pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *until)
{
	int (*join)(pthread_t, void **, const struct timespec *);
	struct timespec truly = *until;
	*(void **)&join = dlsym(RTLD_NEXT, "pthread_timedjoin_np");
	if (!join)
		abort();
	move(&truly, -shift_ms());
	return join(thread, ret, &truly);
}
