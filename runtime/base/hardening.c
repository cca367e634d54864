/*
 * hardening.c - see hardening.h.
 */
#include "hardening.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

bool hardening_sanitized(void)
{
#ifdef SANITIZED
	return true;
#else
	return false;
#endif
}

enum { BLOCK_SIZE_MAX = 128 * 1024 };

/* A file over the limit (ulimit -f) is a write that fails, with EFBIG, and not the end of the process. */
static void ignore_file_limit(void)
{
	signal(SIGXFSZ, SIG_IGN);
}

#ifndef SANITIZED
/* libmongoc makes a file in memory for its counters when it is loaded, before main(): only what stands in this section comes earlier. A sanitizer is
 * not ready for a call then. */
__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(
	void) = ignore_file_limit;
#endif

void hardening_apply(void)
{
	/* A closed descriptor 2 would become a socket, and log lines would go to the broker. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			abort();
	umask(077);
	(void)setrlimit(RLIMIT_CORE, &(const struct rlimit){.rlim_cur = 0, .rlim_max = 0});
#ifndef SANITIZED
	/* No core dump either where a pipe takes it, no debugger of the same user, no /proc/PID/environ. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	signal(SIGPIPE, SIG_IGN);
	ignore_file_limit();
	/* Many threads of small allocations: few heaps, and large blocks go back to the system when they are freed. */
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_MMAP_THRESHOLD, BLOCK_SIZE_MAX);
	(void)mallopt(M_TRIM_THRESHOLD, BLOCK_SIZE_MAX);
}
