/*
 * process.h - what the kernel says of a process, for metrics. Any thread.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct process_figures {
	double cpu_s;	  /* user and system, since it began */
	double started_s; /* Unix time */
	uint64_t resident_bytes;
	unsigned threads;
};

/* 0; -ESRCH where there is no such process, or /proc does not tell. */
__attribute__((warn_unused_result)) int process_read(pid_t pid, struct process_figures *ret);

/* Of all children that have ended and were waited for. */
double process_children_cpu_s(void);

#endif
