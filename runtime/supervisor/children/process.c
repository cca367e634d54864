/*
 * process.c - see process.h. Read from /proc/PID/stat, which everybody may read.
 */
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* When the machine began, in Unix time. */
static double boot_s(void)
{
	struct timespec now, up;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
}

int process_read(pid_t pid, struct process_figures *ret)
{
	char path[32], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return -ESRCH;
	const size_t size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = '\0';
	/* The second field is the program's name in parentheses, which may hold anything. */
	const char *rest = strrchr(text, ')');
	unsigned long user, system, threads;
	unsigned long long started;
	long pages;
	if (!rest ||
		sscanf(rest + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %lu %*d %llu %*u %ld",
			&user, &system, &threads, &started, &pages) != 5)
		return -ESRCH;
	const double ticks = (double)sysconf(_SC_CLK_TCK);
	*ret = (struct process_figures){.cpu_s = (double)(user + system) / ticks,
		.started_s = boot_s() + (double)started / ticks,
		.resident_bytes = (uint64_t)(pages > 0 ? pages : 0) * (uint64_t)sysconf(_SC_PAGESIZE),
		.threads = (unsigned)threads};
	return 0;
}

double process_children_cpu_s(void)
{
	struct rusage usage;
	if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
		return 0;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
